"""The messages of a run in its folder: one line each, in order, and the hash of all of them.

The tape is evidence, not a control: a line that cannot be written breaks the tape, never the order path. A
broken tape has no hash, so no replay takes it for a whole one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from workbench.core.canonical import canonical_json
from workbench.errors import DataError, ManifestMismatch

MESSAGES: Final = "messages.jsonl"


class MessageTape:
    """Writes messages while a run lasts.

    Parameters
    ----------
    path : Path
        A new file; its folder exists.

    Attributes
    ----------
    trouble : str
        Why the tape is broken; "" while it is whole.
    """

    def __init__(self, path: Path) -> None:
        self._hash = hashlib.sha256()
        self._lock = threading.Lock()
        self.count, self.trouble = 0, ""
        try:
            self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        except OSError as error:
            self.trouble = f"{path.name} cannot be made: {error.strerror}"

    def add(self, message: Sequence[Any]) -> None:
        """Write one message; after a failure none any more."""
        with self._lock:
            if self.trouble:
                return
            try:
                line = canonical_json(list(message)).encode() + b"\n"
                self._file.write(line)
            except (OSError, TypeError, ValueError) as error:
                self.trouble = f"message {self.count + 1} cannot be written: {error}"
                return
            self._hash.update(line)
            self.count += 1

    def seal(self) -> str:
        """Hex sha256 of all lines, once they are on disk; "" of a broken tape."""
        with self._lock:
            if not self.trouble:
                try:
                    self._file.flush()
                    os.fsync(self._file.fileno())
                except OSError as error:
                    self.trouble = f"the messages cannot be kept: {error.strerror}"
            if hasattr(self, "_file"):
                with contextlib.suppress(OSError):
                    self._file.close()
            if self.trouble:
                return ""
            self.trouble = "sealed"
            return self._hash.hexdigest()


def read_messages(path: Path, *, expected_hash: str) -> tuple[list[Any], ...]:
    """The messages of a run, once their hash is the recorded one.

    Raises
    ------
    DataError
        The file is missing.
    ManifestMismatch
        A byte of it was changed.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"the run's messages {path} cannot be read: {error.strerror}",
            next_step="restore the run's folder from a backup",
        ) from error
    if (found := hashlib.sha256(content).hexdigest()) != expected_hash:
        raise ManifestMismatch(
            f"the run's messages {path} have sha256 {found[:12]}, recorded is {expected_hash[:12]}",
            next_step="restore the run's folder from a backup",
        )
    return tuple(json.loads(line) for line in content.splitlines())
