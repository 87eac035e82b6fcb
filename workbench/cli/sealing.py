"""What this process must not leave behind: its memory in a core file, a secret on a screen."""

from __future__ import annotations

import sys
import threading
import traceback
from types import TracebackType
from typing import Any, TextIO

from workbench.redaction import redact


class RedactedStream:
    """A text stream that masks secrets in everything written to it, and else is that stream."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write the text without its secrets."""
        self._stream.write(redact(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def seal_process() -> None:
    """No core file, and redacted tracebacks of whatever nobody caught, in any thread."""
    _leave_no_core()
    sys.excepthook = _show
    threading.excepthook = lambda args: _show(args.exc_type, args.exc_value, args.exc_traceback)


def _show(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    print(redact("".join(traceback.format_exception(kind, error, trace))), end="", file=sys.stderr)


def _leave_no_core() -> None:
    try:
        import resource
    except ImportError:  # a system without core files
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
