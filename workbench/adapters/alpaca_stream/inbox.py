"""Frames exactly as they came, on disk before anybody reads them; one JSON line each."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

from workbench.errors import StorageFailed


class FrameInbox:
    """An append-only file of raw frames.

    Parameters
    ----------
    path : Path
        Made when absent; a torn last line of a crash is left where it is and skipped by `read_frames`.

    Raises
    ------
    StorageFailed
        The file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab", buffering=0)
            if self._file.tell() and not path.read_bytes().endswith(b"\n"):
                self._file.write(b"\n")  # ends the torn line, so that it spoils no other
        except OSError as error:
            raise StorageFailed(
                f"cannot open the inbox {path.name}: {error.strerror}",
                next_step="free the disk or mend the folder; the stream stays off until then",
            ) from error

    def append(self, frame: str, *, at_ns: int, generation: int) -> None:
        """Keep one frame; on disk when this returns.

        Raises
        ------
        StorageFailed
            It could not be kept.
        """
        line = json.dumps({"at_ns": at_ns, "generation": generation, "frame": frame}) + "\n"
        try:
            if self._file.write(line.encode()) != len(line):
                raise OSError(errno.ENOSPC, "the line was cut")
            os.fsync(self._file.fileno())
        except OSError as error:
            raise StorageFailed(
                f"cannot keep a frame in {self.path.name}: {error.strerror}",
                next_step="free the disk; what the stream said meanwhile is asked for again by REST",
            ) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_frames(path: Path) -> list[dict[str, Any]]:
    """Every whole frame in the file of an inbox, oldest first; a line that a crash tore is skipped."""
    found = []
    for line in path.read_bytes().splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found
