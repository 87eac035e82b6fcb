"""`workbench storage`: bars and executed runs to and from object storage."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import typer

from workbench.bootstrap import storage
from workbench.cli.console import emit, rows_table
from workbench.cli.options import DEFAULT_CONFIG, AsJson, Config
from workbench.config import load_settings
from workbench.errors import UsageError

app = typer.Typer(
    no_args_is_help=True, help="Copy bars and executed runs to and from object storage (scale.storage)."
)


@app.command("push")
def push(
    bars: Annotated[bool, typer.Option("--bars/--no-bars", help="Bars, quotes and trades.")] = True,
    runs: Annotated[bool, typer.Option("--runs/--no-runs", help="Runs that have ended.")] = True,
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Copy there what it lacks; nothing is taken away, and rows of others are never overwritten."""
    _tell(storage.push(load_settings(str(config)), bars=bars, runs=runs), as_json)


@app.command("pull")
def pull(
    bars: Annotated[bool, typer.Option("--bars/--no-bars", help="Bars, quotes and trades.")] = True,
    run: Annotated[str, typer.Option("--run", help="Also one executed run, JOB/DATE.N.")] = "",
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Take over what lies there; every file's hash is checked before it counts."""
    if not bars and not run:
        raise UsageError("nothing is asked for", next_step="leave --no-bars out, or name a run with --run")
    _tell(storage.pull(load_settings(str(config)), bars=bars, run=run), as_json)


@app.command("status")
def status(config: Config = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """What lies there: stores with their rows, and runs."""
    found = storage.contents(load_settings(str(config)))
    rows = [(name, one["rows"], one["fingerprint"][:12]) for name, one in found["stores"].items()]

    def text(out: Any) -> None:
        out.print(rows_table(f"stores at {found['url']}", ["store", "rows", "fingerprint"], rows))
        out.print(f"{len(found['runs'])} runs")

    emit(found, as_json, text)


def _tell(moved: storage.Exchanged, as_json: bool) -> None:
    rows = [(name, one.parts, one.bytes, one.rows) for name, one in moved.stores.items()]

    def text(out: Any) -> None:
        out.print(rows_table(f"copied with {moved.url}", ["store", "files", "bytes", "rows"], rows))
        out.print(f"{len(moved.runs)} runs: {', '.join(moved.runs) or 'none'}", markup=False)

    emit(dataclasses.asdict(moved), as_json, text)
