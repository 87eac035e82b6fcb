"""`workbench data`: take market data in and see what the stores hold."""

from __future__ import annotations

import dataclasses
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from workbench.bootstrap import admin, market_data, storage
from workbench.cli.console import emit, rows_table
from workbench.cli.options import DEFAULT_CONFIG, AsJson, Config
from workbench.config import load_settings
from workbench.errors import UsageError

app = typer.Typer(no_args_is_help=True, help="Ingest bars, quotes and trades; show what the stores hold.")

Kind = Annotated[str, typer.Option("--kind", help="daily, minute, quotes or trades.")]
Exchange = Annotated[str, typer.Option("--calendar", help="Exchange of the store.")]


@app.command("ingest")
def ingest(
    path: Annotated[
        str,
        typer.Argument(help="CSV, Parquet or JSON file, a folder, or s3://...; without it the sample."),
    ] = "",
    source: Annotated[str, typer.Option("--source", help="Where the rows come from; kept with them.")] = "",
    kind: Annotated[str, typer.Option("--kind", help="daily, minute, quotes or trades.")] = "",
    schema: Annotated[
        Path | None, typer.Option("--schema", help="TOML file: columns, delimiter, zone, label, hours.")
    ] = None,
    splits: Annotated[Path | None, typer.Option("--splits", help="Recorded splits.")] = None,
    dividends: Annotated[Path | None, typer.Option("--dividends", help="Recorded dividends.")] = None,
    renames: Annotated[Path | None, typer.Option("--renames", help="Recorded changes of symbol.")] = None,
    alpaca: Annotated[
        str, typer.Option("--alpaca", help="Download from Alpaca: symbols by comma, or universe.")
    ] = "",
    first: Annotated[str, typer.Option("--first", help="With --alpaca: first date or time.")] = "",
    last: Annotated[str, typer.Option("--last", help="With --alpaca: last date or time.")] = "",
    feed: Annotated[str, typer.Option("--feed", help="With --alpaca: sip, or iex for ticks.")] = "sip",
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Take market data in; rows that cannot be believed go to quarantine with a reason."""
    settings = load_settings(str(config))
    missing: tuple[str, ...] = ()
    if alpaca:
        if path or not first or not last:
            raise UsageError(
                "--alpaca takes no file and needs --first and --last",
                next_step="workbench data ingest --alpaca universe --first 2026-01-02 --last 2026-01-30",
            )
        names = settings.universe if alpaca == "universe" else tuple(alpaca.split(","))
        fetched = market_data.ingest_alpaca(
            settings, names, kind=kind or "daily", first=first, last=last, feed=feed
        )
        report, missing = fetched.report, fetched.missing
    elif not path:
        report = admin.ingest_sample(settings)
    else:
        with (
            storage.delivery(settings, path) if path.startswith("s3://") else nullcontext(Path(path)) as here
        ):
            report = market_data.ingest(
                settings, here, source=source or (path if path.startswith("s3://") else ""),
                kind=kind or None, schema=schema, splits=splits, dividends=dividends, renames=renames,
            )  # fmt: skip
    text = f"{report}\nnot there: {', '.join(missing)}" if missing else str(report)
    payload = {**dataclasses.asdict(report), "missing": list(missing)}
    emit(payload, as_json, lambda out: out.print(text, markup=False))


@app.command("status")
def status(
    kind: Kind = "daily", calendar: Exchange = market_data.HOME, config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Rows, symbols, sessions, files, fingerprint and quarantined rows by reason."""
    found = market_data.status(load_settings(str(config)), kind=kind, calendar=calendar)
    rows = [
        (name, facts["rows"], facts["first_session"], facts["last_session"])
        for name, facts in found["symbols"].items()
    ]
    title = (
        f"{found['rows']:,} {kind} rows, fingerprint {found['fingerprint'][:12]}, "
        f"quarantined {found['quarantined']}"
    )
    columns = ["symbol", "rows", "first session", "last session"]
    emit(found, as_json, lambda out: out.print(rows_table(title, columns, rows)))


@app.command("compact")
def compact(
    kind: Kind = "daily", calendar: Exchange = market_data.HOME, config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Merge many small files into few; rows and fingerprint stay."""
    before, after = market_data.compact(load_settings(str(config)), kind=kind, calendar=calendar)
    emit({"before": before, "after": after}, as_json, lambda out: out.print(f"{before} files, now {after}"))
