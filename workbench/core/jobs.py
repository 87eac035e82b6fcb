"""What a job is, what one run of it is asked, and how it ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Job:
    """One declared job of `jobs.toml`.

    Attributes
    ----------
    name : str
        As on the command line: small letters, digits and underscores.
    notebook : Path
        The production notebook.
    purpose : str
        One sentence for people.
    needs_session : bool
        True when the job belongs to an exchange session; a closed day is then refused.
    timeout_s : float
        Limit for one run, seconds.
    sends_orders : bool
        True for the trading loop alone: only such a run gets a ticket.
    """

    name: str
    notebook: Path
    purpose: str
    needs_session: bool
    timeout_s: float
    sends_orders: bool


@dataclass(frozen=True)
class RunRequest:
    """One attempt of a job, ready to be executed.

    Attributes
    ----------
    run_id : str
        "JOB/DATE.N", for example "trading_loop/2013-02-01.1".
    notebook : Path
        The production notebook, which is read and never written.
    parameters : mapping
        JSON values; they reach the notebook as one file, never as injected source.
    environment : mapping
        Added to the environment of the kernel's process only; may hold the one-use ticket, so it is
        kept out of the repr and of every file.
    timeout_s : float
        Limit for the whole run, seconds.
    progress : callable or None
        Called with (cells finished, cells in all) before each cell and at the end.
    """

    run_id: str
    notebook: Path
    parameters: Mapping[str, Any]
    environment: Mapping[str, str] = field(repr=False)
    timeout_s: float
    progress: Callable[[int, int], None] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class RunResult:
    """How a run ended, by the kernel's own proof; without that proof it failed.

    Attributes
    ----------
    status : str
        "done", "refused", "unknown" or "failed".
    exit_code : int
        0, 2, 3, 4 or 5, as in `workbench.errors`.
    error, message, next_step : str
        Name of the error family, what went wrong, what a person should do; empty when done.
    notebook : str
        Path of the executed notebook; empty when none was written.
    seconds : float
        Wall-clock duration.
    """

    run_id: str
    status: str
    exit_code: int
    error: str = ""
    message: str = ""
    next_step: str = ""
    notebook: str = ""
    seconds: float = 0.0
