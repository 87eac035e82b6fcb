"""The file of alerts that were told while the journal could not be written, one line each."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.errors import StorageFailed


class AlertSpool:
    """Alerts on disk until the journal has them.

    Parameters
    ----------
    path : Path
        Appended to and flushed to the disk; removed when the journal holds everything in it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, entry: Mapping[str, Any]) -> None:
        """Keep one alert durably.

        Raises
        ------
        StorageFailed
            The disk does not take it.
        """
        line = json.dumps(dict(entry), ensure_ascii=False, allow_nan=False) + "\n"
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(descriptor, line.encode())
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise StorageFailed(
                f"the alert cannot be kept in {self.path}: {error.strerror}",
                next_step="free space on the disk",
            ) from error

    def read(self) -> tuple[dict[str, Any], ...]:
        """All alerts that are kept, oldest first, as their last line says; a line cut short is no alert."""
        try:
            lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return ()
        found: dict[str, dict[str, Any]] = {}
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict) and {"code", "subject", "at_ns", "spool_id"} <= entry.keys():
                found[entry["spool_id"]] = entry  # a later line says where it has been told
        return tuple(found.values())

    def clear(self) -> None:
        """Forget everything: the journal has it."""
        self.path.unlink(missing_ok=True)
