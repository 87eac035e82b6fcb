"""Which store holds which kind of market data, and what a person does to it from the command line."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.adapters.alpaca_data import download
from workbench.adapters.bars import ALPACA, KINDS, BarSchema, IngestReport, ParquetBarStore, read_schema
from workbench.adapters.calendar import ExchangeCalendar
from workbench.bootstrap.desk import Desk
from workbench.bootstrap.venues import DATA_URL, data_transport, data_url
from workbench.config import Settings
from workbench.errors import ConfigError, DataError, UsageError

HOME = "XNYS"  #: the exchange whose daily bars a desk trades on


def store_of(settings: Settings, kind: str, *, calendar: str = HOME) -> ParquetBarStore:
    """The store of one kind and exchange; the daily bars of the desk's own exchange are `desk.bars`.

    Raises
    ------
    UsageError
        An unknown kind.
    ConfigError
        An unknown exchange.
    """
    desk = Desk(settings)
    if calendar == HOME:
        if kind == "daily":
            return desk.bars
        return ParquetBarStore(desk.paths.bars / kind, calendar=desk.calendar, kind=kind)
    try:
        hours = ExchangeCalendar(calendar)
    except ValueError as problem:  # the library's own error of an unknown name
        raise ConfigError(
            f"calendar: {str(problem)[:200]}", next_step="use a name such as XNYS or XLON"
        ) from None
    return ParquetBarStore(desk.paths.bars / calendar.replace("/", "-") / kind, calendar=hours, kind=kind)


def ingest(
    settings: Settings, path: Path, *, source: str = "", kind: str | None = None, schema: Path | None = None,
    splits: Path | None = None, dividends: Path | None = None, renames: Path | None = None,
) -> IngestReport:  # fmt: skip
    """Take a file, or a folder of them, into the store of its kind.

    Parameters
    ----------
    kind : str or None
        None = what the schema says, daily without one.
    schema : Path or None
        TOML file with what the delivery says about itself. None = the workbench's own columns; for JSON
        those of Alpaca's answers.
    """
    for name in (path, splits, dividends, renames):
        if name is not None and not name.exists():
            raise UsageError(f"there is no {name}", next_step="name a Parquet file or a folder of them")
    declared = _schema(path, kind, schema)
    store = store_of(settings, declared.kind, calendar=declared.calendar)
    return store.ingest(
        path, source=source or path.name, schema=declared, now_ns=time.time_ns(), splits=splits,
        dividends=dividends, renames=renames,
    )  # fmt: skip


@dataclass(frozen=True)
class Fetched:
    """What a download brought: the report of the ingest, and the symbols that the venue did not have."""

    report: IngestReport
    missing: tuple[str, ...]


def ingest_alpaca(
    settings: Settings, symbols: Sequence[str], *, kind: str, first: str, last: str, feed: str
) -> Fetched:
    """Download history from the venue's market data and take it in, with feed and adjustment as its source.

    Parameters
    ----------
    first, last : str
        ISO dates or RFC 3339 times.

    Raises
    ------
    UsageError, ConfigError, DataError
        As from `alpaca_data.download`; nothing was ingested.
    """
    line = data_transport(settings)
    try:
        found = download(
            lambda path, fields: line.ask("GET", path, fields), sorted(set(symbols)), kind=kind, first=first,
            last=last, feed=feed,
        )  # fmt: skip
    finally:
        line.close()
    if not any(found.rows.values()):
        raise DataError(
            f"Alpaca has no {kind} rows of {', '.join(found.missing)} from {first} to {last}",
            next_step="look at the symbols and the dates; nothing was ingested",
        )
    place = "alpaca" if data_url(settings) == DATA_URL else "loopback"
    source = "/".join(part for part in (place, found.feed, found.adjustment) if part)
    store = store_of(settings, kind)
    report = store.ingest(found.answer, source=source, schema=ALPACA[kind], now_ns=time.time_ns())
    return Fetched(report, found.missing)


def status(settings: Settings, *, kind: str = "daily", calendar: str = HOME) -> dict[str, Any]:
    """What the store of one kind holds."""
    return store_of(settings, kind, calendar=calendar).status()


def compact(settings: Settings, *, kind: str = "daily", calendar: str = HOME) -> tuple[int, int]:
    """Merge small files of one store; number of files before and after."""
    return store_of(settings, kind, calendar=calendar).compact(now_ns=time.time_ns())


def _schema(path: Path, kind: str | None, schema: Path | None) -> BarSchema:
    if kind is not None and kind not in KINDS:
        raise UsageError(f"--kind: {kind!r} is unknown", next_step=f"use one of {', '.join(KINDS)}")
    if schema is not None:
        return read_schema(schema, kind=kind)
    if path.suffix == ".json":
        return ALPACA[kind or "daily"]
    return BarSchema(kind=kind or "daily", ignore=("adj_close",))
