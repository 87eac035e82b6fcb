"""Deliveries cut into chunks of bounded size: CSV, Parquet, frames and Alpaca's answers, one shape."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc_csv
import pyarrow.parquet as pq

from workbench.adapters.bars.schema import BarSchema
from workbench.core.types import Integers
from workbench.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    Delivery: TypeAlias = pd.DataFrame | Path | Mapping[str, Any]

CHUNK_ROWS = 500_000
ROW_BYTES = 64  #: a generous CSV line, to turn rows into a block size
_AGAIN = "fetch or build that file again; nothing was ingested"
#: keys of Alpaca's JSON -> names in alpaca-py's frames
_SHORT = {
    "bars": {"t": "timestamp", "o": "open", "h": "high", "l": "low", "c": "close", "v": "volume",
             "n": "trade_count", "vw": "vwap"},
    "quotes": {"t": "timestamp", "bp": "bid_price", "bs": "bid_size", "bx": "bid_exchange", "ap": "ask_price",
               "as": "ask_size", "ax": "ask_exchange", "c": "conditions", "z": "tape"},
    "trades": {"t": "timestamp", "p": "price", "s": "size", "x": "exchange", "i": "id", "c": "conditions",
               "z": "tape"},
}  # fmt: skip


@dataclass
class Chunk:
    """Some rows of a delivery as offered.

    Attributes
    ----------
    file : str
        Name of the file, or "the frame".
    row : int64 (rows,)
        Position in that file, counted from 0 without the header.
    columns : mapping
        Our column name -> values as offered (Arrow array or Series).
    filters : mapping
        Source column of `BarSchema.require` -> values.
    broken : list of (int, str)
        Lines that do not have the file's number of columns: position and text.
    """

    file: str
    row: Integers
    columns: dict[str, Any]
    filters: dict[str, Any] = field(default_factory=dict)
    broken: list[tuple[int, str]] = field(default_factory=list)

    def offered(self, name: str, place: int) -> str:
        """A cell as it was offered, as text."""
        column = self.columns.get(name, self.filters.get(name))
        if column is None:
            return ""
        value = column[place].as_py() if isinstance(column, pa.Array) else column.iloc[place]
        if isinstance(value, float | np.floating):
            return f"{value:.15g}"  # the same text for a whole number whatever its type
        return "" if value is None else str(value)


def read_chunks(delivery: Delivery, schema: BarSchema, *, chunk_rows: int = CHUNK_ROWS) -> Iterator[Chunk]:
    """The delivery in pieces of about `chunk_rows` rows, with our column names.

    Raises
    ------
    DataError
        A file cannot be read, or its columns are not the declared ones.
    """
    if isinstance(delivery, Path):
        files = _files(delivery)
        for file in files:
            yield from _file_chunks(file, schema, chunk_rows)
        return
    table = alpaca_frame(delivery, schema.kind) if isinstance(delivery, Mapping) else delivery
    yield from _frame_chunks(table, schema, chunk_rows, "the frame")


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.suffix in (".parquet", ".csv", ".txt", ".json"))
    if not files:
        raise DataError(
            f"{path} holds no Parquet, CSV or JSON file", next_step="name a file or a folder of them"
        )
    return files


def _file_chunks(file: Path, schema: BarSchema, chunk_rows: int) -> Iterator[Chunk]:
    try:
        if file.suffix == ".json":
            with file.open(encoding="utf-8") as stream:
                table = alpaca_frame(json.load(stream), schema.kind)
            yield from _frame_chunks(table, schema, chunk_rows, file.name)
        elif file.suffix in (".csv", ".txt"):
            yield from _csv_chunks(file, schema, chunk_rows)
        else:
            start = 0
            with pq.ParquetFile(file) as parquet:
                for batch in parquet.iter_batches(batch_size=chunk_rows):
                    found = dict(zip(batch.schema.names, batch.columns, strict=True))
                    yield _chunk(file.name, start, found, schema, len(batch))
                    start += len(batch)
    except (OSError, ValueError, pa.ArrowException) as problem:
        raise DataError(f"{file} cannot be read: {problem}", next_step=_AGAIN, path=str(file)) from problem


def _frame_chunks(table: pd.DataFrame, schema: BarSchema, chunk_rows: int, origin: str) -> Iterator[Chunk]:
    if table.index.names != [None]:  # alpaca-py: symbol and timestamp are the index
        table = table.reset_index()
    for start in range(0, max(len(table), 1), chunk_rows):
        piece = table.iloc[start : start + chunk_rows]
        if not table.columns.is_unique:
            repeated = sorted(set(map(str, table.columns[table.columns.duplicated()])))
            raise DataError(f"{origin}: columns {repeated} appear twice", next_step="name each column once")
        yield _chunk(origin, start, {str(name): piece[name] for name in piece.columns}, schema, len(piece))


def _csv_chunks(file: Path, schema: BarSchema, chunk_rows: int) -> Iterator[Chunk]:
    names = _header(file, schema)
    broken: list[tuple[int, str]] = []

    def skip(row: Any) -> str:
        broken.append((int(row.number or 0), str(row.text)))
        return "skip"

    reader = pc_csv.open_csv(
        file,
        read_options=pc_csv.ReadOptions(
            use_threads=False, block_size=max(512, chunk_rows * ROW_BYTES), column_names=names,
            skip_rows=1 if schema.header else 0,
        ),
        parse_options=pc_csv.ParseOptions(delimiter=schema.delimiter, invalid_row_handler=skip),
        convert_options=pc_csv.ConvertOptions(
            column_types={name: pa.string() for name in names}, strings_can_be_null=True,
            null_values=list(schema.null_values), quoted_strings_can_be_null=True,
        ),
    )  # fmt: skip
    shift = 2 if schema.header else 1  # physical lines are counted from 1
    start = 0
    for batch in reader:
        # The reader parses ahead, so lines reported by now may lie behind this batch.
        rows = _around(start, len(batch), [line - shift for line, _ in broken])
        found = dict(zip(names, batch.columns, strict=True))
        chunk = _chunk(file.name, start, found, schema, len(batch))
        start = int(rows[-1]) + 1 if len(rows) else start
        chunk.row = rows
        chunk.broken = [(line - shift, text) for line, text in broken if line - shift < start]
        broken[:] = broken[len(chunk.broken) :]
        yield chunk
    if broken:
        nothing = {name: pa.array([], pa.string()) for name in names}
        chunk = _chunk(file.name, start, nothing, schema, 0)
        chunk.broken = [(line - shift, text) for line, text in broken]
        yield chunk


def _around(start: int, count: int, holes: Sequence[int]) -> Integers:
    """Row numbers from `start` on that skip the broken lines among them."""
    rows = start + np.arange(count + len(holes), dtype=np.int64)
    kept: Integers = rows[~np.isin(rows, np.array(holes, dtype=np.int64))][:count]
    return kept


def _header(file: Path, schema: BarSchema) -> list[str]:
    try:
        with file.open(encoding="utf-8-sig") as stream:
            line = stream.readline().rstrip("\r\n")
    except UnicodeDecodeError as problem:
        raise DataError(f"{file} is not text in UTF-8: {problem}", next_step=_AGAIN) from None
    cells = [cell.strip().strip('"') for cell in line.split(schema.delimiter)]
    if len(cells) == 1 and len(schema.needed) > 1:
        others = [mark for mark in ";,\t|" if mark != schema.delimiter and mark in line]
        hint = f"; it contains {others[0]!r}" if others else ""
        raise DataError(
            f"{file}: the first line has no {schema.delimiter!r}{hint}: {line[:80]!r}",
            next_step="declare the file's delimiter in the schema",
            path=str(file),
        )
    names = cells if schema.header else [f"column {place}" for place in range(len(cells))]
    if len(set(names)) < len(names):
        raise DataError(f"{file}: a column name appears twice in {names}", next_step="name each column once")
    return names


def _chunk(origin: str, start: int, found: dict[str, Any], schema: BarSchema, count: int) -> Chunk:
    missing = [
        f"{schema.source_name(name)} (our {name})" if schema.source_name(name) != name else name
        for name in schema.needed
        if schema.source_name(name) not in found
    ]
    ours = {schema.source_name(name): name for name in schema.known}
    spare = {*ours, *schema.ignore, *schema.require}
    unknown = [name for name in found if name not in spare and (schema.header or name in ours)]
    lacking = [name for name in schema.require if name not in found]
    if missing or unknown or lacking:
        raise DataError(
            f"{origin}: missing columns {missing + lacking}, unknown columns {unknown}",
            next_step=f"needed are {', '.join(schema.needed)}; map the source's names under [columns] of the "
            "schema and list what is not kept under ignore",
        )
    columns = {ours[name]: column for name, column in found.items() if name in ours}
    if "symbol" not in columns:
        text = origin.split(".")[0].split("_")[0] if schema.symbol == "file" else schema.symbol
        columns["symbol"] = pa.array([text], pa.string()).take(pa.array(np.zeros(count, dtype=np.int32)))
    rows = start + np.arange(count, dtype=np.int64)
    return Chunk(origin, rows, columns, {name: found[name] for name in schema.require})


def alpaca_frame(answer: Mapping[str, Any], kind: str) -> pd.DataFrame:
    """Rows of Alpaca's JSON answer in the columns of alpaca-py's frames.

    Parameters
    ----------
    answer : mapping
        `{"bars": {symbol: [row, ...]}}`, `{"bars": [row, ...], "symbol": ...}` or `{symbol: [row, ...]}`;
        likewise with "quotes" or "trades".

    Raises
    ------
    DataError
        It has another shape.
    """
    import pandas as pd

    word = kind if kind in _SHORT else "bars"
    body = answer.get(word, answer)
    if isinstance(body, list):
        body = {str(answer.get("symbol", "")): body}
    if not isinstance(body, Mapping) or not all(isinstance(rows, list) for rows in body.values()):
        raise DataError(
            f"the answer has no {word} by symbol: keys {list(answer)[:5]}",
            next_step="pass Alpaca's JSON as it came",
        )
    try:
        rows = [
            {"symbol": symbol, **{_SHORT[word].get(key, key): value for key, value in row.items()}}
            for symbol, group in body.items()
            for row in group
        ]
    except AttributeError:
        raise DataError(
            f"a row of {word} is not an object", next_step="pass Alpaca's JSON as it came"
        ) from None
    if not rows:
        return pd.DataFrame(columns=["symbol", *(_SHORT[word][key] for key in _SHORT[word])])
    return pd.DataFrame(rows)
