"""The watchdog's sign of life: a file that names its process and is touched at every look."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from workbench.errors import StorageFailed


@dataclass(frozen=True)
class Beat:
    """The last sign of life.

    Attributes
    ----------
    holder : str
        The process, as `process_holder` names it.
    age_s : float
        Seconds since then; negative when the clock was set back.
    """

    holder: str
    age_s: float


class WatchdogFile:
    """The file `watchdog.heartbeat` in the desk's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self, holder: str) -> None:
        """Name this process; raises StorageFailed when the disk does not take it."""
        partial = self.path.with_name(self.path.name + ".tmp")
        try:
            partial.write_text(json.dumps({"holder": holder}), encoding="utf-8")
            partial.replace(self.path)
        except OSError as error:
            raise StorageFailed(
                f"{self.path} cannot be written: {error.strerror}", next_step="mend the desk's folder"
            ) from error

    def beat(self) -> None:
        """Say that the watchdog lives; a failure is silence, which is what others act on."""
        try:
            os.utime(self.path)
        except OSError:
            return

    def end(self) -> None:
        """A clean end: nobody watches any more."""
        self.path.unlink(missing_ok=True)

    def read(self) -> Beat | None:
        """The last sign of life; None when there is none that can be read."""
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            age_s = time.time() - os.stat(self.path).st_mtime
            return Beat(str(content["holder"]), age_s)
        except (OSError, ValueError, KeyError, TypeError):
            return None
