"""What a job is, what one run of it is asked, and how it ended."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Parameter:
    """One value that a notebook takes, with the bounds that a value must keep.

    Attributes
    ----------
    kind : {"text", "whole", "number", "flag"}
    default : str, int, float or bool
    low, high : float or None
        Bounds of a number, both included; None where there is none.
    choices : tuple of str
        The only texts that are allowed; empty = any.
    meaning : str
    """

    name: str
    kind: str
    default: Any
    meaning: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()

    def problem(self, value: Any) -> str:
        """Why the value cannot be used, in words; "" when it can."""
        if type(value) not in KINDS[self.kind] or (isinstance(value, float) and not math.isfinite(value)):
            return f"{self.name} = {value!r} is not a {self.kind}"
        if self.choices and value not in self.choices:
            return f"{self.name} = {value!r} is none of {', '.join(self.choices)}"
        if self.low is not None and value < self.low:
            return f"{self.name} = {value!r} is below {self.low:g}"
        if self.high is not None and value > self.high:
            return f"{self.name} = {value!r} is above {self.high:g}"
        return ""

    def parse(self, text: str) -> Any:
        """The value that a person typed; ValueError when it is none of this kind or out of bounds."""
        try:
            value = _READERS[self.kind](text)
        except (ValueError, KeyError):
            raise ValueError(f"{self.name} = {text!r} is not a {self.kind}") from None
        if words := self.problem(value):
            raise ValueError(words)
        return value


#: Types of a parameter's value. A whole number is a number; true and false are neither.
KINDS: Mapping[str, tuple[type, ...]] = {
    "text": (str,), "whole": (int,), "number": (int, float), "flag": (bool,),
}  # fmt: skip
_READERS: Mapping[str, Callable[[str], Any]] = {
    "text": str, "whole": int, "number": float, "flag": {"true": True, "false": False}.__getitem__,
}  # fmt: skip


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
    schedule : str
        When it is due, as `core.schedule.parse_schedule` reads it; "" = only when a person starts it.
    needs : tuple of str
        Jobs that must be done for the same session first.
    misfire : {"skip", "catch_up"}
        What becomes of a session whose time was missed: named as missed, or run late in order.
    start_within_s : float
        Latest start after the due time that is not a miss, seconds; without meaning for "catch_up".
    attempts : int
        Most runs for one session that the scheduler starts; a person may start more.
    resume_until : str
        Until when a run that failed may be started again, such as "close"; "" = no limit.
    holds_account : bool
        True when a run takes the account's lock: never two such runs at once.
    venue_keys : bool
        True when the kernel may hold the venue's keys; any other kernel is started without them.
    repeats : bool
        True when a session that is done may be run again, as a reconciliation may.
    alert_on : tuple of {"failed", "missed"}
        Endings that raise an alert.
    keep_days : int
        Days for which the run's folder is kept at least.
    parameters : mapping of str to Parameter
    """

    name: str
    notebook: Path
    purpose: str
    needs_session: bool
    timeout_s: float
    sends_orders: bool
    schedule: str = ""
    needs: tuple[str, ...] = ()
    misfire: str = "skip"
    start_within_s: float = 900.0
    attempts: int = 1
    resume_until: str = ""
    holds_account: bool = False
    venue_keys: bool = False
    repeats: bool = False
    alert_on: tuple[str, ...] = ()
    keep_days: int = 365
    parameters: Mapping[str, Parameter] = field(default_factory=dict)

    @property
    def is_analysis(self) -> bool:
        """Whether a run can neither send, nor hold the account, nor reach the venue.

        Only such a run may take a kernel that was started before it was known.
        """
        return not (self.sends_orders or self.holds_account or self.venue_keys)


@dataclass(frozen=True)
class RunPlan:
    """Why a run is started, and on whose word.

    Attributes
    ----------
    cause : str
        "person", "schedule" or "recovery of RUN".
    due_ns : int
        Time at which it was due, UTC nanoseconds; 0 = it was not due by any schedule.
    owner_token : int
        Token of the scheduler's lease; the journal refuses the run when it is no longer the current one.
        0 = not started by a scheduler.
    """

    cause: str = "person"
    due_ns: int = 0
    owner_token: int = 0


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
    withheld : tuple of str
        Variables of the runner's environment that the kernel does not get, such as the venue's keys.
    warm : bool
        Whether a kernel that was started beforehand will do; never for what sends or holds the account.
    """

    run_id: str
    notebook: Path
    parameters: Mapping[str, Any]
    environment: Mapping[str, str] = field(repr=False)
    timeout_s: float
    progress: Callable[[int, int], None] | None = field(default=None, repr=False)
    withheld: tuple[str, ...] = ()
    warm: bool = False


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


class RunLauncher(Protocol):
    """Starts runs for a scheduler; a run never outlives the launcher's process."""

    def start(self, job: str, session: str, plan: RunPlan) -> None:
        """Begin a run; how it ends is in the journal, never here."""
        ...

    def running(self) -> tuple[tuple[str, str, int], ...]:
        """Job, session and due time of every run that was started and has not ended."""
        ...

    def stop(self) -> None:
        """End every run now, kernels first; returns when they are gone."""
        ...
