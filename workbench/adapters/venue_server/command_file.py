"""The venue's journal: one line for each command, on disk before anybody hears of it."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from workbench.core.canonical import canonical_json
from workbench.errors import DataError, Refused, StorageFailed


class CommandFile:
    """Append-only file of commands; requests that wait at the same time share one flush.

    Parameters
    ----------
    path : Path or None
        The file, made when absent and held exclusively; None = nothing is kept.

    Raises
    ------
    Refused
        Another process holds the file.
    StorageFailed
        The file cannot be opened.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._descriptor = -1
        self._pending: list[bytes] = []
        self._kept: list[bytes] = []  # without a file: what a restart in the same process finds
        self.appended = self._durable = 0
        self._flushing: asyncio.Task[None] | None = None
        self._failed = ""
        if path is not None:
            self._open(path)

    def _open(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise Refused(
                f"the venue's file {path.name} is in use by another process",
                next_step="end the other venue first, or name another --state",
            ) from None
        except OSError as error:
            raise StorageFailed(
                f"cannot open the venue's file {path}: {error.strerror}",
                next_step="check that the folder exists and is writable",
            ) from error

    def read(self) -> Iterator[dict[str, Any]]:
        """The stored records, oldest first; a torn last line, which nobody was told of, is cut off.

        Raises
        ------
        DataError
            A line that is not a record, before the last one.
        """
        if self.path is None:
            yield from (json.loads(line) for line in self._kept)
            return
        size, whole = os.fstat(self._descriptor).st_size, 0
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    break
                try:
                    record = json.loads(line)
                except ValueError:
                    raise DataError(
                        f"the venue's file {self.path.name} is damaged in line {number}",
                        next_step="restore it from a copy, or move it away to start a new account",
                    ) from None
                whole += len(line)
                yield record
        if whole < size:
            os.ftruncate(self._descriptor, whole)

    @property
    def settled(self) -> int:
        """How many of the appended records are on disk; all of them where nothing is kept."""
        return self._durable if self._descriptor >= 0 else self.appended

    def append(self, record: Mapping[str, Any]) -> None:
        """Add a record; it is on disk when `durable` returns."""
        line = canonical_json(record).encode() + b"\n"
        (self._kept if self.path is None else self._pending).append(line)
        self.appended += 1

    async def durable(self) -> None:
        """Return when all that was appended before this call is on disk.

        Raises
        ------
        StorageFailed
            The disk did not take it; from then on the venue answers nothing but errors.
        """
        target = self.appended
        while self._descriptor >= 0 and self._durable < target:
            if self._failed:
                raise self._failure()
            if self._flushing is None:
                self._flushing = asyncio.get_running_loop().create_task(self._flush())
            await asyncio.shield(self._flushing)
        if self._failed:
            raise self._failure()

    def cut(self, records: int) -> int:
        """Lose the last records, never the first two that made the account; how many were lost."""
        self.flush()
        lines = self._kept if self.path is None else self.path.read_bytes().splitlines(keepends=True)
        records = max(min(records, len(lines) - 2), 0)
        if records and self.path is None:
            del self._kept[-records:]
        elif records:
            os.ftruncate(self._descriptor, sum(len(line) for line in lines[:-records]))
            os.fsync(self._descriptor)
        return records

    def flush(self) -> None:
        """Write and flush what is pending, now."""
        lines, upto = self._take()
        self._write(lines)
        self._durable = upto

    def close(self) -> None:
        """Release the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    async def _flush(self) -> None:
        try:
            lines, upto = self._take()
            await asyncio.get_running_loop().run_in_executor(None, self._write, lines)
            self._durable = upto
        except OSError as error:
            self._failed = f"cannot store a command: {error.strerror}"
        finally:
            self._flushing = None

    def _take(self) -> tuple[list[bytes], int]:
        lines, self._pending = self._pending, []
        return lines, self.appended

    def _write(self, lines: list[bytes]) -> None:
        if not lines or self._descriptor < 0:
            return
        data = b"".join(lines)
        while data:
            data = data[os.write(self._descriptor, data) :]
        os.fsync(self._descriptor)

    def _failure(self) -> StorageFailed:
        return StorageFailed(
            f"the venue's file: {self._failed}",
            next_step="free the disk and start the venue again: the file holds all that was acknowledged",
        )
