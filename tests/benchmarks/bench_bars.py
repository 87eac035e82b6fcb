"""Rows per second in, seconds a panel out, and peak memory of the market-data store.

Run it as a program; sizes come from the command line and default to a small run:

    python tests/benchmarks/bench_bars.py --daily 5000x2520 --minutes 500x252 --folder FOLDER

Every phase runs in a process of its own, so that its peak memory is its own. The raw figure beside
each is what pyarrow alone needs for the same bytes: a CSV or Parquet read without any check.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc_csv
import pyarrow.parquet as pq

from workbench.adapters.bars import BarSchema, ParquetBarStore
from workbench.adapters.calendar import ExchangeCalendar

MINUTE_NS = 60 * 10**9


def sessions_of(calendar: ExchangeCalendar, count: int) -> list[str]:
    return list(calendar.sessions_between("2005-01-03", "2024-12-31")[-count:])


def names_of(count: int) -> list[str]:
    return [f"{chr(65 + n % 26)}{chr(65 + n // 26 % 26)}{n:04d}" for n in range(count)]


def prices_of(rng: np.random.Generator, count: int, scale: float) -> dict[str, Any]:
    close = np.round(50 * np.exp(np.cumsum(rng.normal(0, scale, count))), 2) + 1
    start = np.round(close * (1 + rng.normal(0, scale / 2, count)), 2)
    high, low = np.maximum(start, close) + 0.01, np.minimum(start, close) - 0.01
    volume = rng.integers(100, 1_000_000, count)
    return {"open": start, "high": high.round(2), "low": low.round(2), "close": close, "volume": volume}


def write_daily(path: Path, symbols: int, days: int) -> None:
    """One Parquet delivery, symbol after symbol."""
    sessions = pa.array(sessions_of(ExchangeCalendar(), days))
    rng = np.random.default_rng(7)
    writer = None
    for name in names_of(symbols):
        table = pa.table(
            {"symbol": pa.array([name] * days), "session": sessions, **prices_of(rng, days, 0.02)}
        )
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def write_minutes(path: Path, symbols: int, days: int) -> None:
    """One CSV delivery, session after session, as a vendor would send it."""
    calendar = ExchangeCalendar()
    rng = np.random.default_rng(8)
    names = names_of(symbols)
    writer = None
    for session in sessions_of(calendar, days):
        ends = np.arange(
            calendar.session_open_ns(session) + MINUTE_NS, calendar.session_close_ns(session) + 1, MINUTE_NS
        )
        stamps = pa.array(ends).cast(pa.timestamp("ns")).cast(pa.timestamp("s"))
        columns = [prices_of(rng, len(ends), 0.0005) for _ in names]
        table = pa.table(
            {
                "symbol": pa.array(np.repeat(names, len(ends))),
                "time": pa.chunked_array([stamps] * len(names)),
                **{key: np.concatenate([one[key] for one in columns]) for key in columns[0]},
            }
        )
        writer = writer or pc_csv.CSVWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def measured(act: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
    """What the act returns, with its seconds and the peak memory of its process."""

    def child(pipe: Any) -> None:
        start = time.perf_counter()
        found = act(*arguments)
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        pipe.send({**(found or {}), "seconds": round(seconds, 2), "peak_mb": round(peak)})

    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=child, args=(theirs,))
    process.start()
    theirs.close()
    result: dict[str, Any] = ours.recv()
    process.join()
    return result


def opened(root: Path, kind: str) -> ParquetBarStore:
    return ParquetBarStore(root / kind, calendar=ExchangeCalendar(), kind=kind)


def raw_read(path: Path) -> dict[str, Any]:
    """The delivery read by pyarrow in pieces, nothing checked, nothing kept."""
    rows = 0
    if path.suffix == ".csv":
        for batch in pc_csv.open_csv(path, read_options=pc_csv.ReadOptions(block_size=32 << 20)):
            rows += len(batch)
    else:
        for batch in pq.ParquetFile(path).iter_batches(batch_size=500_000):
            rows += len(batch)
    return {"rows": rows}


def ingest(root: Path, kind: str, path: Path) -> dict[str, Any]:
    schema = BarSchema(kind=kind, timezone="UTC" if kind == "minute" else "America/New_York")
    report = opened(root, kind).ingest(path, source="bench", schema=schema, now_ns=time.time_ns())
    return {"rows": report.offered, "accepted": report.accepted, "quarantined": report.quarantined}


def panel(root: Path, kind: str, count: int, rows: int | None) -> dict[str, Any]:
    store = opened(root, kind)
    names = store.symbols()[:count]
    bars = store.read(names, as_of_ns=time.time_ns(), rows=rows)
    start = time.perf_counter()
    store.read(names, as_of_ns=time.time_ns(), rows=rows)
    return {"shape": list(bars.close.shape), "again_s": round(time.perf_counter() - start, 3)}


def next_day(root: Path, kind: str, session: str) -> dict[str, Any]:
    """The nightly delivery of one more session."""
    import pandas as pd

    store = opened(root, kind)
    table = pd.DataFrame({"symbol": store.symbols(), "session": session}).assign(
        open=50.0, high=51.0, low=49.0, close=50.0, volume=1000
    )
    schema = BarSchema(max_ratio=1_000.0)
    report = store.ingest(table, source="bench", schema=schema, now_ns=time.time_ns())
    return {"rows": report.accepted}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--daily", default="50x252", help="symbols x sessions")
    parser.add_argument("--minutes", default="10x5", help="symbols x sessions")
    parser.add_argument("--folder", type=Path, default=None)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as name:
        root = Path(name)
        for kind, size, write, suffix in (
            ("daily", chosen.daily, write_daily, "parquet"),
            ("minute", chosen.minutes, write_minutes, "csv"),
        ):
            symbols, days = map(int, size.split("x"))
            if not symbols:
                continue
            path = root / f"{kind}.{suffix}"
            write(path, symbols, days)

            def say(what: str, found: dict[str, Any], kind: str = kind) -> None:
                if "rows" in found:
                    found["rows_per_s"] = round(found["rows"] / max(found["seconds"], 1e-9))
                print(json.dumps({"kind": kind, "phase": what, **found}), flush=True)

            print(json.dumps({"kind": kind, "file_mb": round(path.stat().st_size / 2**20)}), flush=True)
            say("raw read of the file", measured(raw_read, path))
            say("ingest", measured(ingest, root, kind, path))
            path.unlink()
            say("panel of 5, last 250", measured(panel, root, kind, 5, 250))
            say("panel of 50, whole", measured(panel, root, kind, 50, None))
            say("panel of all, last 250", measured(panel, root, kind, symbols, 250))
            if kind == "daily":
                say("panel of all, whole", measured(panel, root, kind, symbols, None))
                say("one more session", measured(next_day, root, kind, "2025-01-02"))


if __name__ == "__main__":
    main()
