"""The log of a command that runs for long: how it began, what happened, and how it ended."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from workbench.adapters.log import open_log
from workbench.config import Settings
from workbench.errors import StorageFailed, WorkbenchError


@contextmanager
def command_log(settings: Settings | None, name: str, **facts: object) -> Iterator[Any]:
    """A logger into `logs/NAME.log` of the desk while the command runs; its end is always a line.

    Parameters
    ----------
    settings : Settings or None
        None = there is no desk, and only warnings are shown, on stderr.
    name : str
        Of the command and its file, such as "jobs-run-trading_loop".
    **facts : object
        Stand on every line.

    Examples
    --------
    >>> with command_log(None, "doctest") as log:
    ...     log.info("looked", symbol="AAPL")
    """
    folder = None if settings is None else settings.desk_path / "logs"
    config_hash = None if settings is None else settings.config_hash
    with open_log(folder, name, pid=os.getpid(), **facts) as log:
        log.info("started", config_hash=config_hash)
        try:
            yield log
        except WorkbenchError as error:  # said, with its next step, by whoever called the command
            log.info("ended", outcome=type(error).__name__, exit_code=error.exit_code, reason=error.message)
            raise
        except BaseException as error:
            log.info("ended", outcome=type(error).__name__, exc_info=True)
            raise
        log.info("ended", outcome="done")


@contextmanager
def patient_log(settings: Settings, name: str, **facts: object) -> Iterator[Any]:
    """As `command_log`, of a command that runs even when its log cannot be written or there is no desk."""
    desk = settings if settings.desk_path.is_dir() else None
    with ExitStack() as stack:
        try:
            log = stack.enter_context(command_log(desk, name, **facts))
        except StorageFailed:  # a full disk is what a watchdog is for
            log = stack.enter_context(command_log(None, name, **facts))
        yield log
