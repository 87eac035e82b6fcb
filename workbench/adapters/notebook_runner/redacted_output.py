"""What a kernel says reaches the disk without secrets: its notebook's outputs and its own log."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from pathlib import Path
from typing import Any

from workbench.redaction import may_hold_a_secret, redact, redact_lines


def mask_written_notebooks(iorw: Any) -> None:
    """Make papermill redact every notebook that it writes to this disk, from the first cell on.

    Parameters
    ----------
    iorw : module
        `papermill.iorw`.
    """

    class RedactedFiles(iorw.LocalHandler):  # type: ignore[misc]  # papermill ships no types
        def write(self, text: str, path: str) -> None:
            super().write(redact_notebook(text), path)

    iorw.papermill_io.register("/", RedactedFiles())  # the runner gives absolute paths


def redact_notebook(text: str) -> str:
    """The text of a notebook with every secret in it masked; still the same notebook."""
    if not may_hold_a_secret(text):
        return text
    return json.dumps(_redacted(json.loads(text)), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _redacted(part: Any) -> Any:
    if isinstance(part, str):
        return redact(part)
    if isinstance(part, dict):
        return {key: _redacted(value) for key, value in part.items()}
    if not isinstance(part, list):
        return part
    if part and all(isinstance(line, str) for line in part):  # one text as lines: a key may span several
        whole = "".join(part)
        masked = redact(whole)
        return part if masked == whole else masked.splitlines(keepends=True)
    return [_redacted(item) for item in part]


class RedactedLog:
    """A file that a process writes through a pipe, redacted line by line.

    Parameters
    ----------
    path : Path or None
        None while nobody knows the run yet; what is said until `write_to` is kept.

    Attributes
    ----------
    descriptor : int
        The pipe's end for the process; `hand_over` closes it here once the process has its own.
    """

    def __init__(self, path: Path | None) -> None:
        reading, self.descriptor = os.pipe()
        self._path = path
        self._known = threading.Event()
        if path is not None:
            self._known.set()
        self._copying = threading.Thread(target=self._copy, args=(reading,), name="kernel log", daemon=True)
        self._copying.start()

    def write_to(self, path: Path) -> None:
        """Name the file, once."""
        self._path = path
        self._known.set()

    def hand_over(self) -> None:
        """Close our copy of the writing end: the log ends when the process does."""
        with contextlib.suppress(OSError):
            os.close(self.descriptor)

    def finish(self) -> None:
        """Wait until everything that was said is in the file; without a file it is dropped."""
        self._known.set()
        self._copying.join(timeout=5)

    def _copy(self, reading: int) -> None:
        # A kernel that nobody uses yet says a line or two; the pipe holds that much.
        with os.fdopen(reading, "rb") as pipe:
            self._known.wait()
            if self._path is None:
                return
            with self._path.open("wb", buffering=0) as log:
                for line in redact_lines(raw.decode(errors="replace") for raw in pipe):
                    with contextlib.suppress(OSError):  # a full disk must not block the kernel: go on reading
                        log.write(line.encode())
