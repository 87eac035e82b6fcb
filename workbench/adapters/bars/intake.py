"""A delivery on its way in: examined chunk by chunk, spilled when large, refusals kept with reasons."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from workbench.adapters.bars.files import STAGING
from workbench.adapters.bars.history import ORIGIN
from workbench.adapters.bars.placing import time_text, utc_text
from workbench.adapters.bars.reasons import MOST_EXAMPLES, NAMES, RULES, Refusal
from workbench.adapters.bars.rows import Rows, bucket_of, concatenated, parquet_bytes, session_text
from workbench.adapters.bars.schema import BarSchema
from workbench.adapters.bars.validation import Examined
from workbench.errors import StorageFailed

QUARANTINE_ROWS = 200_000


class Intake:
    """Believed and refused rows of one delivery; holds at most about `budget` rows in memory.

    Parameters
    ----------
    root : Path
        The store's folder; spilled rows lie in its folder "staging" until the delivery ends.
    budget : int
        Rows kept in memory before they are spilled to disk by period and symbol.
    """

    def __init__(self, root: Path, schema: BarSchema, *, budget: int) -> None:
        self.folder = root / STAGING
        self.schema = schema
        self.budget = budget
        self.files: list[str] = []
        self.offered = 0
        self.counts: Counter[str] = Counter()
        self.refusals: list[Refusal] = []
        self._pending: list[Rows] = []
        self._held = 0
        self._spilled: dict[tuple[int, int], list[Path]] = {}
        self._quarantine: dict[str, list[Any]] = {}
        self._full: list[tuple[dict[str, int], Path]] = []
        self._latest: dict[str, int] = {}

    def add(self, found: Examined) -> None:
        """Take an examined chunk."""
        chunk = found.chunk
        if not self.files or self.files[-1] != chunk.file:
            self.files.append(chunk.file)
            self._latest = {}
        if self.schema.rules.ticks and self.schema.order == "time":
            self._mark_disorder(found)
        self.offered += len(chunk.row) + len(chunk.broken)
        for row, text in chunk.broken:
            self._refuse(chunk.file, row, "", "", "line", text[:200], "malformed", None, 0)
        for place in np.flatnonzero(found.reason).tolist():
            self._refuse_row(found, place)
        good = found.reason == 0
        if found.rows is not None and good.any():
            rows = found.rows.take(good)
            file = np.full(len(rows), len(self.files) - 1, np.int64)
            columns = {**rows.columns, "file": file, "row": chunk.row[good]}
            self._pending.append(Rows(rows.names, rows.code, columns))
            self._held += len(rows)
            if self._held > self.budget:
                self._spill()

    def settled_out(self, reason: str, rows: Rows) -> None:
        """Set rows aside that were believed by themselves."""
        kind = self.schema.rules
        for place in range(len(rows)):
            ts, day = int(rows["ts_ns"][place]), int(rows["day"][place])
            time = session_text(day) if kind.name == "daily" else utc_text(ts)
            numbers = [int(rows[stored][place]) / step for stored, step in kind.numbers.values()]
            named = "close" if "close" in kind.numbers else next(iter(kind.numbers))
            value = numbers[list(kind.numbers).index(named)]
            where = (self.files[int(rows["file"][place])], int(rows["row"][place]))
            known = int(rows["known_at_ns"][place])
            self._refuse(
                *where, rows.names[rows.code[place]], time, named, f"{value:.6g}", reason, numbers, known
            )

    def groups(self) -> Iterator[Rows]:
        """Believed rows in groups that share no key, in order of time within each symbol."""
        kind = self.schema.rules
        if not self._spilled:
            if self._pending:
                yield concatenated(self._pending, kind, ORIGIN)
            return
        self._spill()
        for key in sorted(self._spilled):
            blocks = [_unspilled(path) for path in self._spilled[key]]
            for path in self._spilled[key]:
                path.unlink()
            yield concatenated(blocks, kind, ORIGIN)

    def close(self) -> None:
        """Remove what was spilled."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def quarantine_files(self) -> Iterator[tuple[dict[str, int], bytes]]:
        """Parquet files of the refused rows, each with its counts by reason."""
        for counts, path in self._full:
            yield counts, path.read_bytes()
        if self._quarantine:
            yield self._quarantine_file()

    def _quarantine_file(self) -> tuple[dict[str, int], bytes]:
        columns = {name: pa.array(values, _type(name)) for name, values in self._quarantine.items()}
        found = Counter(self._quarantine["reason"])
        return {reason: found[reason] for reason in RULES if found[reason]}, parquet_bytes(columns)

    def quarantined(self) -> dict[str, int]:
        """Rows by reason, in the order of the rules."""
        return {reason: self.counts[reason] for reason in RULES if self.counts[reason]}

    def examples(self) -> dict[str, tuple[str, ...]]:
        """The first rows of each reason, in short."""
        return {
            reason: tuple(
                f"{one.symbol} {one.time} (row {one.row})" for one in self.refusals if one.reason == reason
            )
            for reason in self.quarantined()
        }

    def _mark_disorder(self, found: Examined) -> None:
        rows = found.rows
        if rows is None or not len(rows):
            return
        good = np.flatnonzero(found.reason == 0)
        order = good[np.argsort(rows.code[good], kind="stable")]
        edges = np.searchsorted(rows.code[order], np.arange(len(rows.names) + 1)).tolist()
        late = np.zeros(len(found.reason), dtype=bool)
        for name, start, stop in zip(rows.names, edges[:-1], edges[1:], strict=True):
            if start < stop:
                places = order[start:stop]
                before = self._latest.get(name, 0)
                most = np.maximum.accumulate(np.concatenate([[before], rows["ts_ns"][places]]))
                late[places[rows["ts_ns"][places] < most[:-1]]] = True
                self._latest[name] = int(most[-1])
        found.mark(late, "out_of_order", "time")

    def _refuse_row(self, found: Examined, place: int) -> None:
        chunk = found.chunk
        code, names = found.symbols
        column = found.column[int(found.at[place])]
        numbers = [float(values[place]) for values in found.numbers.values()]
        known = int(found.rows["known_at_ns"][place]) if found.rows is not None else 0
        value = chunk.offered(column, place)
        reason = NAMES[int(found.reason[place])]
        time = time_text(found, place)
        self._refuse(
            chunk.file, int(chunk.row[place]), names[code[place]], time, column, value, reason, numbers, known
        )

    def _refuse(
        self, file: str, row: int, symbol: str, time: str, column: str, value: str, reason: str,
        numbers: list[float] | None, known: int,
    ) -> None:  # fmt: skip
        self.counts[reason] += 1
        if self.counts[reason] <= MOST_EXAMPLES:
            self.refusals.append(Refusal(file, row, symbol, time, column, value, reason, *RULES[reason]))
        named = numbers or [float("nan")] * len(self.schema.rules.numbers)
        cells = {
            "file": file, "row": row, "symbol": symbol, self.schema.time_column: time,
            **dict(zip(self.schema.rules.numbers, named, strict=True)),
            "known_at_ns": known if known > 0 else None, "column": column, "value": value, "reason": reason,
        }  # fmt: skip
        for name, cell in cells.items():
            self._quarantine.setdefault(name, []).append(cell)
        if len(self._quarantine["row"]) >= QUARANTINE_ROWS:
            counts, content = self._quarantine_file()
            path = self.folder / f"quarantine-{len(self._full)}"
            _put_aside(path, lambda: path.write_bytes(content))
            self._full.append((counts, path))
            self._quarantine = {}

    def _spill(self) -> None:
        """Write the pending rows to disk, by period and bucket of symbols."""
        kind = self.schema.rules
        rows = concatenated(self._pending, kind, ORIGIN)
        self._pending, self._held = [], 0
        if not len(rows):
            return
        buckets = np.array([bucket_of(name, kind) for name in rows.names], dtype=np.int64)
        part = period_of(rows["day"], kind.period) * kind.buckets + buckets[rows.code]
        order = np.argsort(part, kind="stable")
        edges = np.flatnonzero(np.diff(part[order], prepend=-1))
        for start, stop in zip(edges.tolist(), [*edges[1:].tolist(), len(order)], strict=True):
            key = divmod(int(part[order[start]]), kind.buckets)
            paths = self._spilled.setdefault(key, [])
            path = self.folder / f"{key[0]}-{key[1]}-{len(paths)}.parquet"
            paths.append(path)
            _spilled(path, rows.take(order[start:stop]))


def period_of(day: Any, period: str) -> Any:
    """Number of the year, month or day that days since 1970-01-01 lie in."""
    dates = day.astype("datetime64[D]")
    unit = {"year": "datetime64[Y]", "month": "datetime64[M]", "day": "datetime64[D]"}[period]
    return dates.astype(unit).astype(np.int64)


def _spilled(path: Path, rows: Rows) -> None:
    used, code = np.unique(rows.code, return_inverse=True)
    names = pa.array([rows.names[at] for at in used.tolist()], pa.string())
    symbol = pa.DictionaryArray.from_arrays(pa.array(code.astype(np.int32)), names).cast(pa.string())
    table = pa.table({"symbol": symbol, **rows.columns})
    _put_aside(path, lambda: pq.write_table(table, path, compression="lz4", use_dictionary=["symbol"]))


def _put_aside(path: Path, write: Callable[[], Any]) -> None:
    try:
        path.parent.mkdir(exist_ok=True)
        write()
    except OSError as problem:
        raise StorageFailed(
            f"{path} could not be written: {problem}",
            next_step="make room on that disk and run the same command again; the old data is intact",
            path=str(path),
        ) from problem


def _unspilled(path: Path) -> Rows:
    table = pq.read_table(path, read_dictionary=["symbol"])
    symbol = table["symbol"].unify_dictionaries().combine_chunks()
    if isinstance(symbol, pa.ChunkedArray):
        symbol = symbol.chunk(0)
    names = tuple(symbol.dictionary.to_pylist())
    code = symbol.indices.to_numpy(zero_copy_only=False).astype(np.int32)
    columns = {name: table[name].to_numpy() for name in table.column_names if name != "symbol"}
    order = np.argsort(np.array(names, dtype=object))
    rank = np.empty(len(names), dtype=np.int32)
    rank[order] = np.arange(len(names), dtype=np.int32)
    return Rows(tuple(sorted(names)), rank[code], columns)


def _type(name: str) -> Any:
    if name in ("row", "known_at_ns"):
        return pa.int64()
    return (
        pa.string()
        if name in ("file", "symbol", "session", "time", "column", "value", "reason")
        else pa.float64()
    )
