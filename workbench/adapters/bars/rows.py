"""Rows as columns of integers: the canonical content that files hold and hashes cover."""

from __future__ import annotations

import hashlib
import io
import json
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from workbench.adapters.bars.schema import TEXT_BYTES, Kind
from workbench.core.types import Integers

EPOCH = date(1970, 1, 1).toordinal()
ROW_GROUP = 16_000
_INDEX = b"workbench.index"
#: symbol -> (rows, first day, last day)
Index = dict[str, tuple[int, int, int]]


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of one kind, one element a row; prices as printed.

    Attributes
    ----------
    names : tuple of str
        Symbols, sorted and unique; not each needs to have rows.
    code : int32 (rows,)
        Position of each row's symbol in `names`.
    columns : dict of str to int64 (rows,)
        `day` (exchange session as days since 1970-01-01), `ts_ns` (end of a bar, instant of a tick),
        `known_at_ns` (from when the row was known; a correction is a later row of the same key), and
        the values of the kind.
    """

    names: tuple[str, ...]
    code: NDArray[np.int32]
    columns: dict[str, Integers]

    def __len__(self) -> int:
        return len(self.code)

    def __getitem__(self, name: str) -> Integers:
        return self.columns[name]

    def take(self, places: NDArray[Any]) -> Rows:
        """The rows at those places (positions or a mask)."""
        return Rows(
            self.names, self.code[places], {name: column[places] for name, column in self.columns.items()}
        )

    def ordered(self) -> Rows:
        """The rows by symbol, time, position and time of knowledge."""
        keys: list[Any] = [self["known_at_ns"], self["ts_ns"], self.code]
        if "position" in self.columns:
            keys.insert(1, self["position"])
        code, ts = self.code, self["ts_ns"]
        rising = (code[1:] > code[:-1]) | ((code[1:] == code[:-1]) & (ts[1:] > ts[:-1]))
        return self if bool(rising.all()) else self.take(np.lexsort(keys))

    def bounds(self, name: str) -> slice:
        """Where a symbol's rows are; rows in canonical order."""
        code = bisect_left(self.names, name)
        if code == len(self.names) or self.names[code] != name:
            return slice(0, 0)
        start, stop = np.searchsorted(self.code, np.array([code, code + 1], dtype=self.code.dtype))
        return slice(int(start), int(stop))

    def index(self) -> Index:
        """Rows, first and last day of each symbol that has rows; rows in canonical order."""
        edges = np.searchsorted(self.code, np.arange(len(self.names) + 1))
        day = self["day"]
        return {
            name: (int(stop - start), int(day[start]), int(day[stop - 1]))
            for name, start, stop in zip(self.names, edges[:-1], edges[1:], strict=True)
            if stop > start
        }


def no_rows(kind: Kind) -> Rows:
    """No rows of a kind."""
    return concatenated([], kind)


def concatenated(blocks: Sequence[Rows], kind: Kind, extra: tuple[str, ...] = ()) -> Rows:
    """All rows of the blocks, in canonical order, with the kind's columns and the extra ones."""
    wanted = (*kind.columns, *extra)
    blocks = [block for block in blocks if len(block)]
    if not blocks:
        return Rows((), np.array([], np.int32), {name: np.array([], np.int64) for name in wanted})
    if len(blocks) == 1:
        return Rows(blocks[0].names, blocks[0].code, {name: blocks[0][name] for name in wanted}).ordered()
    names = tuple(sorted(set().union(*(block.names for block in blocks))))
    place = {name: at for at, name in enumerate(names)}
    codes = [np.array([place[name] for name in block.names], dtype=np.int32)[block.code] for block in blocks]
    columns = {name: np.concatenate([block[name] for block in blocks]) for name in wanted}
    return Rows(names, np.concatenate(codes), columns).ordered()


# --- identity --------------------------------------------------------------------------------------


def hash_rows(sha: hashlib._Hash, rows: Rows, kind: Kind) -> None:
    """Feed daily bars to a hash, symbol by symbol; rows in canonical order."""
    edges = np.searchsorted(rows.code, np.arange(len(rows.names) + 1)).tolist()
    for symbol, start, stop in zip(rows.names, edges[:-1], edges[1:], strict=True):
        if stop > start:
            sha.update(f"{symbol!r} {stop - start}\n".encode())
            for name in ("day", "known_at_ns", *kind.values):
                sha.update(rows[name][start:stop].astype("<i8").tobytes())


_LANES = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x27D4EB2F165667C5)


def mixed(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Each integer scrambled (splitmix64's finaliser), so that sums of them tell sets apart."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    out: NDArray[np.uint64] = value ^ (value >> np.uint64(31))
    return out


def row_hash(rows: Rows, columns: Sequence[str], lane: int) -> NDArray[np.uint64]:
    """One 64-bit hash a row of its symbol and columns."""
    texts = [int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little") for name in rows.names]
    seen = mixed(np.array(texts or [0], dtype=np.uint64) ^ np.uint64(lane))
    total = seen[rows.code] if len(rows) else np.array([], np.uint64)
    for name in columns:
        total = mixed(total * np.uint64(3) + rows[name].view(np.uint64) + np.uint64(lane))
    return total


def content_sum(rows: Rows, kind: Kind) -> tuple[int, ...]:
    """Sum of the rows' hashes in four lanes: the same for the same set of rows, in any order and cut."""
    named = [name for name in kind.columns if name != "position"]
    return tuple(int(row_hash(rows, named, lane).sum(dtype=np.uint64)) for lane in _LANES)


def added(left: Sequence[int], right: Sequence[int]) -> tuple[int, ...]:
    """Content sum of two disjoint sets together."""
    return tuple((one + other) % 2**64 for one, other in zip(left, right, strict=True))


# --- dates and short texts -------------------------------------------------------------------------


def session_text(day: int) -> str:
    """The ISO date of a number of days since 1970-01-01."""
    return date.fromordinal(day + EPOCH).isoformat()


def day_number(session: str) -> int:
    """Days from 1970-01-01 to an ISO date."""
    return date.fromisoformat(session).toordinal() - EPOCH


def packed(text: str) -> int:
    """A short ASCII text as an integer; -1 when it is none or too long."""
    raw = text.encode("ascii", "replace")
    return int.from_bytes(raw, "big") if len(raw) <= TEXT_BYTES and raw.decode() == text else -1


def unpacked(value: int) -> str:
    """The text of `packed`."""
    return value.to_bytes(TEXT_BYTES, "big").lstrip(b"\0").decode() if value > 0 else ""


# --- Parquet ---------------------------------------------------------------------------------------


def parquet_bytes(columns: dict[str, Any], index: Index | None = None) -> bytes:
    """One Parquet file of the columns, in memory; the index goes into its footer."""
    table = pa.table(columns)
    if index is not None:
        table = table.replace_schema_metadata({_INDEX: json.dumps(index)})
    sink = io.BytesIO()
    pq.write_table(
        table, sink, compression="zstd", store_schema=False, row_group_size=ROW_GROUP,
        use_dictionary=["symbol"] if "symbol" in columns else False,
    )  # fmt: skip
    return sink.getvalue()


def rows_to_parquet(rows: Rows, kind: Kind) -> bytes:
    """Parquet file of the rows; the session is a date, everything else integers."""
    symbol = pa.DictionaryArray.from_arrays(pa.array(rows.code), pa.array(rows.names, pa.string()))
    columns: dict[str, Any] = {
        "symbol": symbol.cast(pa.string()),
        "session": pa.array(rows["day"].astype(np.int32)).cast(pa.date32()),
    }
    columns.update({name: pa.array(rows[name]) for name in kind.columns if name != "day"})
    return parquet_bytes(columns, rows.index())


def rows_from_parquet(
    source: Any, kind: Kind, *, names: Sequence[str] | None = None, days: tuple[int, int] | None = None
) -> Rows:
    """The rows that `rows_to_parquet` wrote, of some symbols and days only."""
    conditions: list[tuple[str, str, Any]] = []
    if names is not None:
        # A range, unlike a list of names, skips row groups by their statistics.
        conditions += [("symbol", ">=", min(names)), ("symbol", "<=", max(names))]
    if days is not None:
        first, last = (date.fromordinal(day + EPOCH) for day in days)
        conditions += [("session", ">=", first), ("session", "<=", last)]
    table = pq.read_table(source, read_dictionary=["symbol"], filters=conditions or None)
    symbol = table["symbol"].combine_chunks()
    if isinstance(symbol, pa.ChunkedArray):  # no chunk at all, or chunks with dictionaries of their own
        symbol = pa.chunked_array(symbol.chunks, type=symbol.type).unify_dictionaries().combine_chunks()
    if isinstance(symbol, pa.ChunkedArray):
        return no_rows(kind)
    if not isinstance(symbol, pa.DictionaryArray):
        symbol = symbol.dictionary_encode()
    texts = symbol.dictionary.to_pylist()
    held = tuple(sorted(set(texts)))
    place = {name: at for at, name in enumerate(held)}
    recode = np.array([place[text] for text in texts] or [0], dtype=np.int32)
    code = recode[symbol.indices.to_numpy(zero_copy_only=False).astype(np.int64)]
    day = table["session"].cast(pa.int32()).to_numpy().astype(np.int64)
    columns = {"day": day}
    for name in kind.columns:
        if name != "day":
            columns[name] = table[name].to_numpy().astype(np.int64, copy=False)
    rows = Rows(held, code, columns)
    if names is not None and not set(held) <= set(names):
        wanted = set(names)
        rows = rows.take(np.array([name in wanted for name in held], dtype=bool)[code])
    return rows.ordered()


def read_index(source: Any, decode: Callable[[], Rows]) -> Index:
    """Symbols of a part with their rows and days: from its footer, or from its rows where it has none."""
    found = (pq.read_metadata(source).metadata or {}).get(_INDEX)
    if found is None:
        return decode().index()
    return {name: (int(row[0]), int(row[1]), int(row[2])) for name, row in json.loads(found).items()}


def bucket_of(name: str, kind: Kind) -> int:
    """Number of the files, of those of one period of a large delivery, that hold a symbol."""
    return zlib.crc32(name.encode()) % kind.buckets


def groups(index: Index, most: int, *, by: Callable[[str], Any] = str) -> Iterator[tuple[str, ...]]:
    """Symbols in order, cut into groups of at most `most` rows (a single symbol may have more)."""
    group: list[str] = []
    size = 0
    for name in sorted(index, key=by):
        if group and size + index[name][0] > most:
            yield tuple(group)
            group, size = [], 0
        group.append(name)
        size += index[name][0]
    if group:
        yield tuple(group)
