"""The log of a long-running command: lines of JSON in the desk's folder, warnings on stderr, no secrets."""

from __future__ import annotations

import logging
import logging.handlers
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from workbench.errors import StorageFailed
from workbench.redaction import MASK, is_secret_name, redact

#: A file is put aside at this size, and so many of them are kept.
LARGEST_BYTES: Final = 5_000_000
KEPT_FILES: Final = 5
_KEPT_NAMES: Final = frozenset({"event", "level", "logger", "timestamp"})


@contextmanager
def open_log(folder: Path | None, name: str, **facts: object) -> Iterator[Any]:
    """A structlog logger for one command; what libraries log at WARNING and above lands there too.

    Parameters
    ----------
    folder : Path or None
        Where `NAME.log` is kept, one JSON object a line; made when absent. None = stderr only.
    name : str
        Of the command and of its file; two processes never share a file.
    **facts : object
        Stand on every line.

    Raises
    ------
    StorageFailed
        The folder or the file cannot be written.
    """
    import structlog

    handlers: list[logging.Handler] = [_stderr(structlog)]
    if folder is not None:
        handlers.append(_file(structlog, folder / f"{name}.log"))
    root, own = logging.getLogger(), logging.getLogger("workbench")
    before = own.level
    own.setLevel(logging.INFO)
    for handler in handlers:
        root.addHandler(handler)
    try:
        yield structlog.wrap_logger(
            own,
            processors=[
                structlog.stdlib.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.format_exc_info,
                redact_event,  # here already: a handler that somebody else added gets the same event
                structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
            ],
            wrapper_class=structlog.stdlib.BoundLogger,
        ).bind(command=name, **facts)
    finally:
        own.setLevel(before)
        for handler in handlers:
            root.removeHandler(handler)
            handler.close()


def redact_event(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The event of a log without secrets: values of telling names are masked, all other text is redacted."""
    for name, value in event.items():
        event[name] = _masked(name if name not in _KEPT_NAMES else "", value)
    return event


def _masked(name: str, value: Any) -> Any:
    if is_secret_name(name):
        return MASK
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {str(key): _masked(str(key), item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_masked("", item) for item in value]
    return redact(repr(value))


def _stderr(structlog: Any) -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.WARNING)
    handler.setFormatter(_formatter(structlog, structlog.dev.ConsoleRenderer(colors=False)))
    return handler


def _file(structlog: Any, path: Path) -> logging.Handler:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.handlers.RotatingFileHandler(
            path, maxBytes=LARGEST_BYTES, backupCount=KEPT_FILES, encoding="utf-8"
        )
    except OSError as error:
        raise StorageFailed(
            f"the log {path} cannot be written: {error.strerror}", next_step="mend the desk's folder"
        ) from error
    handler.setFormatter(
        _formatter(structlog, structlog.processors.JSONRenderer(sort_keys=True, default=repr))
    )
    return handler


def _formatter(structlog: Any, renderer: Any) -> logging.Formatter:
    """Redacted twice: each value, and once more the finished line, whatever a library put into it."""

    def last_look(logger: Any, method: str, line: str) -> str:
        return redact(line)

    formatter: logging.Formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            redact_event,
            renderer,
            last_look,
        ],
    )
    return formatter
