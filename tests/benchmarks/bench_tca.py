"""CPU seconds and peak memory of the TCA report from Parquet, beside a bare as-of join of DuckDB.

Run it as a program; sizes come from the command line and default to a small run:

    python tests/benchmarks/bench_tca.py --fills 20000000 --quotes 50000000 --folder FOLDER

`--encoding delta` writes times as differences (Parquet's DELTA_BINARY_PACKED) instead of leaving them to
Snappy, as pandas and pyarrow do unless told otherwise: that is a second less to read. Run it with a tenth of
the rows beside, and the peaks say what grows with the fills.

The report joins fills to their parents, decomposes by symbol and hour and computes three markouts. DuckDB
only joins each fill with the last quote before it. Each runs in a process of its own, with one thread, so
that its peak memory and CPU time are its own. The files are read once before, so the cache is warm.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

SYMBOLS, DAYS, PARENTS = 500, 20, 200_000
FIRST_NS = 1_767_623_400 * 10**9
DAY_NS, SESSION_NS = 86_400 * 10**9, 23_400 * 10**9
BAR_CPU_S, BAR_MB = 5.0, 700.0


def times(rng: np.random.Generator, rows: int, day: int) -> np.ndarray:
    return FIRST_NS + day * DAY_NS + np.sort(rng.integers(0, SESSION_NS, rows))


#: How a writer of Parquet is told to keep times.
ENCODINGS: dict[str, dict[str, Any]] = {
    "default": {},
    "delta": {"column_encoding": "DELTA_BINARY_PACKED"},
}


def write(folder: Path, fills: int, quotes: int, encoding: str = "default") -> None:
    """Time-sorted files: orders, fills with a parent each, quotes of all symbols interleaved."""
    rng = np.random.default_rng(11)
    names = np.array([f"S{n:04d}" for n in range(SYMBOLS)])
    parents = {
        "order_id": np.arange(PARENTS) * 7 + 1_000_003,
        "symbol": names[rng.integers(0, SYMBOLS, PARENTS)],
        "side": np.where(rng.integers(0, 2, PARENTS) == 1, "buy", "sell"),
        "arrival_at": np.concatenate([times(rng, PARENTS // DAYS, day) - 10**9 for day in range(DAYS)]),
    }
    base = 20.0 + 5.0 * (pd.factorize(parents["symbol"])[0] % 37)
    for name in ("decision_price", "arrival_price", "final_price"):
        parents[name] = np.round(base * (1 + rng.normal(0, 0.001, PARENTS)), 2)
    per_parent = np.bincount(
        np.concatenate([share(rng, fills, day) for day in range(DAYS)]), minlength=PARENTS
    )
    parents["quantity"] = np.maximum(per_parent * 100, 100)
    pd.DataFrame(parents).to_parquet(folder / "orders.parquet", index=False)
    write_fills(folder / "fills.parquet", parents, base, fills, encoding)
    write_quotes(folder / "quotes.parquet", names, quotes, encoding)


def writer_of(path: Path, table: pa.Table, time: str, encoding: str) -> pq.ParquetWriter:
    """A writer whose other columns keep their dictionaries."""
    options = dict(ENCODINGS[encoding])
    if options:
        options["column_encoding"] = {time: options["column_encoding"]}
        options["use_dictionary"] = [name for name in table.column_names if name != time]
    return pq.ParquetWriter(path, table.schema, **options)


def share(rng: np.random.Generator, fills: int, day: int) -> np.ndarray:
    """The parent of each fill of a day."""
    first = day * (PARENTS // DAYS)
    return first + np.random.default_rng(day).integers(0, PARENTS // DAYS, fills // DAYS)


def write_fills(path: Path, parents: dict[str, Any], base: np.ndarray, fills: int, encoding: str) -> None:
    writer = None
    for day in range(DAYS):
        rng = np.random.default_rng(1_000 + day)
        of = share(rng, fills, day)
        count = len(of)
        begin = parents["arrival_at"][of]
        left = FIRST_NS + day * DAY_NS + SESSION_NS - begin
        at = begin + (rng.random(count) * np.minimum(left, 600 * 10**9)).astype(np.int64)
        order = np.argsort(at, kind="stable")
        table = pa.table(
            {
                "order_id": parents["order_id"][of][order],
                "filled_at": pa.array(at[order]).cast(pa.timestamp("ns", "UTC")),
                "quantity": np.full(count, 100, dtype=np.int64),
                "price": np.round(base[of][order] * (1 + rng.normal(0, 0.001, count)), 2),
                "fee": np.round(rng.random(count), 2),
            }
        )
        writer = writer or writer_of(path, table, "filled_at", encoding)
        writer.write_table(table, row_group_size=1 << 18)
    if writer:
        writer.close()


def write_quotes(path: Path, names: np.ndarray, quotes: int, encoding: str) -> None:
    writer = None
    for day in range(DAYS):
        rng = np.random.default_rng(2_000 + day)
        count = quotes // DAYS
        code = rng.integers(0, SYMBOLS, count).astype(np.int32)
        middle = 20.0 + 5.0 * (code % 37) + np.round(rng.normal(0, 0.02, count), 2)
        half = rng.integers(1, 4, count) / 100
        table = pa.table(
            {
                "symbol": pa.DictionaryArray.from_arrays(pa.array(code), pa.array(names)),
                "quoted_at": pa.array(times(rng, count, day)).cast(pa.timestamp("ns", "UTC")),
                "bid": np.round(middle - half, 2),
                "ask": np.round(middle + half, 2),
            }
        )
        writer = writer or writer_of(path, table, "quoted_at", encoding)
        writer.write_table(table, row_group_size=1 << 18)
    if writer:
        writer.close()


def run_report(folder: str) -> dict[str, Any]:
    import workbench as wb

    found = wb.tca.report(
        *(f"{folder}/{name}.parquet" for name in ("orders", "fills", "quotes")),
        by=["symbol", "hour"],
        split="cfa",
    )
    return {"groups": len(found.frame), "total_bps": round(found.total_bps, 4), "excluded": found.excluded}


def run_duckdb(folder: str) -> dict[str, Any]:
    import duckdb

    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute(
            "CREATE TABLE parents AS SELECT order_id, symbol FROM read_parquet($1)",
            [f"{folder}/orders.parquet"],
        )
        value = connection.execute(
            "SELECT count(*), avg(f.price - (q.bid + q.ask) / 2) FROM "
            "(SELECT f.*, p.symbol FROM read_parquet($1) f JOIN parents p USING (order_id)) f "
            "ASOF JOIN read_parquet($2) q ON f.symbol = q.symbol AND f.filled_at > q.quoted_at",
            [f"{folder}/fills.parquet", f"{folder}/quotes.parquet"],
        ).fetchone()
    return {"joined": value[0] if value else 0}


def measured(work: Callable[[str], dict[str, Any]], folder: str, out: Any) -> None:
    """CPU seconds after imports and compilation, and peak memory of this process."""
    warm_up() if work is run_report else warm_up_duckdb()
    start = time.process_time()
    result = work(folder)
    used = time.process_time() - start
    out.put({"cpu_s": round(used, 2), "peak_mb": round(peak_mb()), **result})


def peak_mb() -> float:
    """Of this process alone: `ru_maxrss` begins with what its parent held, which has just read the files."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def warm_up_duckdb() -> None:
    import duckdb

    duckdb.connect().execute("SELECT 1")


def warm_up() -> None:
    """Imports and compiled kernels, so that both are judged on their work alone."""
    import workbench as wb

    at = [FIRST_NS]
    orders = pd.DataFrame(
        {"order_id": [1], "symbol": "S", "side": "buy", "quantity": 1, "arrival_at": at,
         "decision_price": 1.0, "arrival_price": 1.0, "final_price": 1.0}
    )  # fmt: skip
    fills = pd.DataFrame({"order_id": [1], "quantity": 1, "price": 1.0, "fee": 0.0, "filled_at": at})
    quotes = pd.DataFrame({"symbol": ["S"], "ts": at, "bid": 1.0, "ask": 1.0})
    wb.tca.report(orders, fills, quotes, by=["symbol", "hour"], split="cfa")


def in_process(work: Callable[[str], dict[str, Any]], folder: Path) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")
    out = context.Queue()
    process = context.Process(target=measured, args=(work, str(folder), out))
    process.start()
    found: dict[str, Any] = out.get()
    process.join()
    return found


def main(fills: int, quotes: int, folder: Path, *, peers: bool, encoding: str = "default") -> dict[str, Any]:
    if not (folder / "quotes.parquet").exists():
        write(folder, fills, quotes, encoding)
    for path in folder.glob("*.parquet"):
        path.read_bytes()
    found = {"fills": fills, "quotes": quotes, "report": in_process(run_report, folder)}
    if peers:
        found["duckdb_asof_only"] = in_process(run_duckdb, folder)
        ratio = found["report"]["cpu_s"] / found["duckdb_asof_only"]["cpu_s"]
        found["report_over_duckdb"] = round(ratio, 3)
    return found


def test_tca_report(tmp_path: Path) -> None:
    found = main(1_000_000, 2_500_000, tmp_path, peers=True)
    print(json.dumps(found, indent=1))
    assert found["report"]["groups"] > 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fills", type=int, default=1_000_000)
    parser.add_argument("--quotes", type=int, default=2_500_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--encoding", choices=sorted(ENCODINGS), default="default")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        print(
            json.dumps(
                main(
                    given.fills,
                    given.quotes,
                    folder,
                    peers=not given.no_peers,
                    encoding=given.encoding,
                ),
                indent=1,
            )
        )
