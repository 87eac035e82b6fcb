"""What every command shares: how it prints, how it asks for a key, and how an error becomes an exit code."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn, cast

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from workbench.bootstrap.signing import Credentials, credentials_of
from workbench.cli.sealing import RedactedStream
from workbench.config import Settings
from workbench.errors import WorkbenchError
from workbench.redaction import redact_values

#: A pipe has no width of its own; wide enough that no column is cut.
_WIDTH = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160


def console(*, errors: bool = False) -> Console:
    """A console for text; made when used, so that redirected streams are respected."""
    stream = RedactedStream(sys.stderr if errors else sys.stdout)
    return Console(file=cast("IO[str]", stream), width=_WIDTH, highlight=False, soft_wrap=True)


def credentials(settings: Settings, passphrase_file: str, ssh_key: Path | None) -> Credentials:
    """The key that a command was given; at a terminal it is asked for where an act has to be signed."""

    def ask() -> str:
        return str(typer.prompt("Passphrase", hide_input=True, err=True))

    return credentials_of(
        settings,
        passphrase_file=passphrase_file,
        ssh_key=ssh_key,
        prompt=ask if sys.stdin.isatty() else None,
    )


def emit(payload: Mapping[str, Any], as_json: bool, text: Callable[[Console], None]) -> None:
    """Print the payload as one JSON object, or let `text` print it for people."""
    if as_json:
        print(json.dumps(redact_values(_plain(payload)), allow_nan=False))
    else:
        text(console())


def _plain(value: Any) -> Any:
    """The value in what JSON knows: no NaN, no number that became text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (str, int)) else str(value)


def rows_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A plain table: words to the left, numbers to the right."""
    whole = [name.endswith("shares") for name in columns]  # counts, which frames keep as floats
    listed = [[_cell(value, whole=count) for value, count in zip(row, whole, strict=True)] for row in rows]
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for at, name in enumerate(columns):
        numeric = bool(listed) and all(_is_number(row[at]) for row in listed)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in listed:
        table.add_row(*row)
    return table


def _cell(value: object, *, whole: bool = False) -> str:
    if value is None or value != value:
        return "-"
    if isinstance(value, float):
        return f"{value:,.0f}" if whole and value.is_integer() else f"{value:,.2f}"
    return escape(str(value))  # a value in brackets is a value, not a style


def _is_number(text: str) -> bool:
    return text == "-" or text.replace(",", "").replace(".", "", 1).lstrip("+-").isdigit()


def fail(error: WorkbenchError, as_json: bool) -> NoReturn:
    """Print the error with its next step and leave with its exit code."""
    if as_json:
        facts = {name: value for name, value in error.facts.items() if name not in ("message", "next_step")}
        body = {
            "error": type(error).__name__,
            "message": error.message,
            "next_step": error.next_step,
            "exit_code": error.exit_code,
            "facts": facts,
        }
        print(json.dumps(redact_values(_plain(body)), allow_nan=False))
    else:
        out = console(errors=True)
        out.print(f"{type(error).__name__}: {error.message}", style="bold red", markup=False)
        if error.next_step:
            out.print(f"  next: {error.next_step}", markup=False)
    sys.exit(error.exit_code)
