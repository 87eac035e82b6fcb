"""A lock that a person's command holds while it works on an account, so that no run works beside it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workbench.errors import Refused


@contextmanager
def process_lock(path: Path) -> Iterator[None]:
    """Hold the exclusive lock on `path` until the context ends or the process dies.

    Raises
    ------
    Refused
        A run or another command holds it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Refused(
                f"{path.name} is held: a run or another command is working on this account",
                next_step="wait for its end; `workbench jobs history` shows the run",
                lock=str(path),
            ) from error
        yield
    finally:
        os.close(descriptor)
