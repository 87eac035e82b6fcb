"""Records that wait for a journal which could not take them: one durable file each."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.core.canonical import canonical_json
from workbench.errors import StorageFailed

_SUFFIX, _BAD = ".json", ".unreadable"


class SpoolFolder:
    """The folder `spool` of a desk.

    Parameters
    ----------
    path : Path
        Made when the first record is kept.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def keep(self, record: Mapping[str, Any]) -> str:
        """Keep a record durably; returns its name."""
        name = f"{time.time_ns()}-{os.getpid()}"
        target = self.path / f"{name}{_SUFFIX}"
        unfinished = target.with_suffix(".tmp")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with unfinished.open("w") as file:
                file.write(canonical_json(record))
                file.flush()
                os.fsync(file.fileno())
            unfinished.rename(target)
            for folder in (self.path, self.path.parent):
                _sync(folder)
        except OSError as error:
            raise StorageFailed(
                f"cannot keep a record in {self.path}: {error.strerror}",
                next_step="write down what was printed; free the disk",
                path=str(self.path),
            ) from error
        return name

    def waiting(self) -> tuple[tuple[str, dict[str, Any] | None], ...]:
        """Name and content of every record, oldest first; None for one that cannot be read."""
        found = []
        for file in sorted(self.path.glob(f"*{_SUFFIX}")):
            try:
                content = json.loads(file.read_text())
            except (OSError, ValueError):
                content = None
            found.append((file.stem, content if isinstance(content, dict) else None))
        return tuple(found)

    def done(self, name: str) -> None:
        """Remove a record that the journal holds now."""
        (self.path / f"{name}{_SUFFIX}").unlink(missing_ok=True)
        _sync(self.path)

    def set_aside(self, name: str) -> None:
        """Put a record that cannot be read where a person finds it and no start meets it again."""
        file = self.path / f"{name}{_SUFFIX}"
        file.rename(file.with_suffix(_BAD))
        _sync(self.path)


def _sync(folder: Path) -> None:
    """Make a new or a removed name survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
