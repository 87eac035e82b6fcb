"""Which offered rows are believed: checks on each row by itself, with a reason for each that is not."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from workbench.adapters.bars.placing import place_days, place_instants, texts_of
from workbench.adapters.bars.reasons import CODE
from workbench.adapters.bars.rows import Rows, packed
from workbench.adapters.bars.schema import MINUTE_NS, PRICES, BarSchema
from workbench.adapters.bars.sources import Chunk
from workbench.core.ports import Calendar
from workbench.core.types import Booleans, Floats, Integers

LARGEST = 1e9  #: a price or, in thousands, a volume beyond this is a fault of the source
LARGEST_TICK = 9e9  #: shares in one tick; more does not fit the grid of 1e-9 shares


@dataclass
class Examined:
    """A chunk under examination; `reason` is 0 for rows that are believed so far."""

    chunk: Chunk
    schema: BarSchema
    reason: Any
    column: list[str] = field(default_factory=list)  # names; `at` holds positions in it
    at: Any = None
    numbers: dict[str, Floats] = field(default_factory=dict)
    symbols: Any = None
    times: Any = None
    rows: Rows | None = None

    def mark(self, mask: Booleans, reason: str, column: str) -> None:
        """Give reason and column to the masked rows that have none yet."""
        fresh = mask & (self.reason == 0)
        if fresh.any():
            if column not in self.column:
                self.column.append(column)
            self.reason[fresh] = CODE[reason]
            self.at[fresh] = self.column.index(column)


def examine(
    chunk: Chunk, schema: BarSchema, *, calendar: Calendar, known_at: Integers | None, now_ns: int
) -> Examined:
    """The chunk with a reason for each row that cannot be believed on its own.

    Prices are compared on the grid of micros, without any tolerance.

    Parameters
    ----------
    known_at : int64 (rows,) or None
        None = the moment the bar ended or the tick happened, unless the delivery has a column for it.
    """
    kind = schema.rules
    count = len(chunk.row)
    found = Examined(chunk, schema, np.zeros(count, np.uint8))
    found.at = np.zeros(count, np.int64)
    code, names = texts_of(chunk.columns["symbol"])
    tidy = np.array([bool(name) and name == name.strip() for name in names] or [False], dtype=bool)
    found.mark(~tidy[code], "malformed", "symbol")
    found.symbols = (code, names)
    place = place_days if schema.kind == "daily" else place_instants
    day, end = place(found, calendar)
    known = end.copy() if known_at is None else known_at
    if known_at is None and "known_at" in chunk.columns:
        from workbench.adapters.bars.placing import instants

        known, _ = instants(chunk.columns["known_at"], schema)  # 0 where there is no time: refused below
    _require(found)
    for name in kind.numbers:
        found.numbers[name] = _floats(chunk.columns[name])
        found.mark(~np.isfinite(found.numbers[name]), "null", name)
    found.mark(known <= 0, "null", "known_at")
    unit = schema.price_unit
    grid = {
        name: _grid(found.numbers[name] * (unit if step == 1_000_000 and unit != 1.0 else 1.0), step)
        for name, (_, step) in kind.numbers.items()
    }
    {"quotes": _quotes, "trades": _trades}.get(schema.kind, _bars)(found, grid)
    if schema.kind == "minute":
        found.mark(end % MINUTE_NS != 0, "malformed", "time")
    found.mark(end > now_ns, "future", schema.time_column)
    found.mark(known > now_ns, "future", "known_at")
    found.mark(known < end, "known_before_end", "known_at")
    columns = {"day": day, "ts_ns": end, "known_at_ns": known}
    columns.update({stored: grid[name] for name, (stored, _) in kind.numbers.items()})
    columns.update(_optional(found, kind.optional))
    if kind.ticks:
        columns["position"] = chunk.row
    order = np.argsort(np.array(names, dtype=object)) if names else np.array([], np.int64)
    recode = np.empty(max(len(names), 1), dtype=np.int32)
    recode[order] = np.arange(len(names), dtype=np.int32)
    ranked = tuple(names[at] for at in order.tolist())
    found.rows = Rows(ranked, recode[code], {name: columns[name] for name in kind.columns})
    return found


def _require(found: Examined) -> None:
    for name, wanted in found.schema.require.items():
        code, texts = texts_of(found.chunk.filters[name])
        good = np.array([text in wanted for text in texts] or [False], dtype=bool)
        found.mark(~good[code], "not_wanted", name)


def _bars(found: Examined, grid: dict[str, Integers]) -> None:
    stack = np.stack([grid[name] for name in PRICES])
    for name in PRICES:
        found.mark((grid[name] <= 0) | (found.numbers[name] > LARGEST), "impossible", name)
    found.mark(grid["low"] > stack.min(axis=0), "impossible", "low")
    found.mark(grid["high"] < stack.max(axis=0), "impossible", "high")
    volume = found.numbers["volume"]
    found.mark((volume < 0) | (volume > LARGEST * 1_000) | (volume % 1 != 0), "impossible", "volume")


def _quotes(found: Examined, grid: dict[str, Integers]) -> None:
    for name in ("bid", "ask", "bid_size", "ask_size"):
        found.mark(grid[name] < 0, "impossible", name)
        most = LARGEST_TICK if name.endswith("size") else LARGEST
        found.mark(found.numbers[name] > most, "impossible", name)
    for name in ("bid", "ask", "bid_size", "ask_size"):
        found.mark(grid[name] == 0, "zero_quote", name)
    found.mark(grid["bid"] > grid["ask"], "crossed_quote", "bid")
    found.mark(grid["bid"] == grid["ask"], "locked_quote", "bid")


def _trades(found: Examined, grid: dict[str, Integers]) -> None:
    for name, most in (("price", LARGEST), ("size", LARGEST_TICK)):
        found.mark((grid[name] <= 0) | (found.numbers[name] > most), "impossible", name)


def _optional(found: Examined, names: tuple[str, ...]) -> dict[str, Integers]:
    """Short texts packed; -1 = no sequence was offered."""
    columns: dict[str, Integers] = {}
    for name in names:
        count = len(found.chunk.row)
        column = found.chunk.columns.get(name)
        if name == "sequence":
            columns[name] = np.full(count, -1, np.int64)
            if column is not None:
                values = _floats(column)
                whole = np.isfinite(values) & (values >= 0) & (values % 1 == 0) & (values < 2**53)
                found.mark(~whole, "malformed", name)
                columns[name] = np.where(whole, values, -1).astype(np.int64)
            continue
        columns[name] = np.zeros(count, np.int64)
        if column is not None:
            code, texts = texts_of(column)
            short = np.array([packed(text) for text in texts] or [0], dtype=np.int64)
            found.mark(short[code] < 0, "malformed", name)
            columns[name] = np.maximum(short[code], 0)
    return columns


def _floats(column: Any) -> Floats:
    """Numbers of a column; NaN where the cell is none."""
    import pandas as pd

    if isinstance(column, pa.Array):
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            try:
                column = pc.cast(column, pa.float64())
            except pa.ArrowInvalid:
                column = column.to_pandas()
        if isinstance(column, pa.Array):
            return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
    numbers = pd.to_numeric(column, errors="coerce")
    return np.asarray(numbers.to_numpy(dtype=np.float64, na_value=math.nan))


def _grid(values: Floats, step: int) -> Integers:
    """Integers on the grid; what cannot be one becomes 0 or less, which no check lets pass."""
    usable = np.isfinite(values) & (np.abs(values) <= 9.2e18 / step)
    grid: Integers = np.rint(np.where(usable, values, 0.0) * step).astype(np.int64)
    return grid
