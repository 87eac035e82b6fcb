"""`workbench data`: take market data in and see what the store holds."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from workbench.bootstrap import admin, open_workbench
from workbench.cli.console import DEFAULT_CONFIG, AsJson, Config, emit, rows_table
from workbench.config import load_settings

app = typer.Typer(no_args_is_help=True, help="Ingest daily bars and show what the store holds.")


@app.command("ingest")
def ingest(
    path: Annotated[
        Path | None, typer.Argument(help="Parquet file or folder; without it the committed sample.")
    ] = None,
    source: Annotated[str, typer.Option("--source", help="Where the rows come from; kept with them.")] = "",
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Take daily bars in; rows that cannot be believed go to quarantine with a reason."""
    settings = load_settings(str(config))
    report = admin.ingest(settings, path, source=source) if path else admin.ingest_sample(settings)
    emit(dataclasses.asdict(report), as_json, lambda out: out.print(str(report), markup=False))


@app.command("status")
def status(config: Config = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Rows, symbols, sessions, files, fingerprint and quarantined rows by reason."""
    found = open_workbench(load_settings(str(config))).bars.status()
    rows = [
        (name, facts["rows"], facts["first_session"], facts["last_session"])
        for name, facts in found["symbols"].items()
    ]
    title = (
        f"{found['rows']:,} bars, fingerprint {found['fingerprint'][:12]}, quarantined {found['quarantined']}"
    )
    columns = ["symbol", "rows", "first session", "last session"]
    emit(found, as_json, lambda out: out.print(rows_table(title, columns, rows)))
