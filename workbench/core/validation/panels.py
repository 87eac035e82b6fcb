"""Bars of any shape, seen as rows in time that can be cut, tied, scrambled and handed to a function."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from workbench.core.types import DAY_NS, Bars, Floats

_PRICES = ("open", "high", "low", "close")
_PARTS = (*_PRICES, "volume")
_CLOSE_NS = DAY_NS // 24 * 21


@dataclass(frozen=True, eq=False)
class Panel:
    """Bars, a DataFrame, a Series or an array, with rows in order of time.

    Attributes
    ----------
    data : Bars, DataFrame, Series or array
    rows : int
    names : tuple of str
        Columns whose values are comparable, such as symbols.
    """

    data: Any
    rows: int
    names: tuple[str, ...]

    def cut(self, start: int, stop: int) -> Any:
        """The data of rows `start` up to, not including, `stop`."""
        if isinstance(self.data, Bars):
            return self.data.rows(start, stop)
        return self.data.iloc[start:stop] if hasattr(self.data, "iloc") else self.data[start:stop]

    @property
    def times(self) -> Any:
        """Time of each row; None where there are none."""
        if isinstance(self.data, Bars):
            return self.data.ts_ns
        index = getattr(self.data, "index", None)
        return index if isinstance(index, pd.DatetimeIndex) else None

    @property
    def closes(self) -> Floats | None:
        """Prices whose next change no value may know, float64 (rows, columns); None without any."""
        if isinstance(self.data, Bars):
            return np.where(self.data.tradable, self.data.close, np.nan)
        if isinstance(self.data, pd.DataFrame):
            lowered = {str(name).lower(): name for name in self.data.columns}
            chosen = self.data[[lowered["close"]]] if "close" in lowered else self.data
            numbers = chosen.select_dtypes("number")
            return numbers.to_numpy(dtype=np.float64) if numbers.shape[1] else None
        values = np.asarray(self.data)
        return values.astype(np.float64).reshape(len(values), -1) if values.dtype.kind in "iuf" else None

    def scrambled(self, seed: int) -> Any:
        """Other prices and volumes at the same times, by a random factor for every cell."""
        draw = np.random.default_rng(seed)
        if isinstance(self.data, Bars):
            factor = draw.uniform(0.5, 2.0, self.data.close.shape)
            return replace(self.data, **{part: getattr(self.data, part) * factor for part in _PARTS})
        if isinstance(self.data, pd.DataFrame):
            numbers = self.data.select_dtypes("number").astype(np.float64)
            changed = self.data.copy()
            changed[numbers.columns] = numbers * draw.uniform(0.5, 2.0, numbers.shape)
            return changed
        values = np.asarray(self.data)
        if values.dtype.kind not in "iuf":
            return None
        other = values * draw.uniform(0.5, 2.0, values.shape)
        return pd.Series(other, index=self.data.index) if isinstance(self.data, pd.Series) else other

    def tied(self, column: int) -> Any:
        """The data with one symbol's values copied over those of the next; None without symbols."""
        if isinstance(self.data, Bars):
            parts = {part: getattr(self.data, part).copy() for part in (*_PARTS, "tradable")}
            for values in parts.values():
                values[:, column + 1] = values[:, column]
            return replace(self.data, **parts)
        if isinstance(self.data, pd.DataFrame) and not _is_one_symbol(self.data):
            copied = self.data.copy()
            copied.iloc[:, column + 1] = copied.iloc[:, column]
            return copied
        return None


def panel_of(bars: Any) -> Panel:
    """The bars as a panel.

    Raises
    ------
    ValueError
        No rows, rows out of order, or something that has no rows.
    """
    if isinstance(bars, Bars):
        found = Panel(bars, len(bars.ts_ns), bars.symbols)
    elif isinstance(bars, pd.DataFrame):
        names = ("",) if _is_one_symbol(bars) else tuple(str(name) for name in bars.columns)
        found = Panel(bars, len(bars), names)
    elif isinstance(bars, pd.Series):
        found = Panel(bars, len(bars), ("" if bars.name is None else str(bars.name),))
    else:
        values = np.asarray(bars)
        if values.ndim == 0:
            raise ValueError(
                f"bars must be Bars, a frame or an array with rows in time, not {type(bars).__name__}"
            )
        width = int(np.prod(values.shape[1:]))
        found = Panel(values, len(values), ("",) if values.ndim == 1 else tuple(map(str, range(width))))
    if found.rows == 0:
        raise ValueError("there are no bars to test on")
    index = getattr(bars, "index", None)
    if isinstance(index, pd.DatetimeIndex) and not (index.is_monotonic_increasing and index.is_unique):
        raise ValueError("bars must have one row a time, in order of time")
    return found


def bars_from_frame(rows: pd.DataFrame, *, last: int | None = None) -> Bars:
    """Daily rows of several symbols as one panel; each session ends at 21:00 UTC.

    Parameters
    ----------
    rows : DataFrame
        Columns symbol, session (ISO date), open, high, low, close, volume.
    last : int or None, default None
        Sessions to keep, counted from the end.

    Raises
    ------
    ValueError
        Two rows for a symbol and session.
    """
    if rows.duplicated(["symbol", "session"]).any():
        raise ValueError("a symbol has two rows for one session")
    parts = {part: rows.pivot(index="session", columns="symbol", values=part) for part in _PARTS}
    sessions, symbols = parts["close"].index, parts["close"].columns
    start = 0 if last is None else max(len(sessions) - last, 0)
    ends = pd.to_datetime(sessions[start:]).as_unit("ns").asi8 + _CLOSE_NS
    values = {part: frame.to_numpy(dtype=np.float64)[start:] for part, frame in parts.items()}
    whole = np.logical_and.reduce([np.isfinite(part) for part in values.values()])
    return Bars(ends, tuple(symbols), **values, tradable=whole)


def as_matrix(output: Any, data: Any, rows: int, names: tuple[str, ...]) -> Floats:
    """What a function returned, as float64 (rows, columns).

    Parameters
    ----------
    output : array, Series, DataFrame, or a collection of symbols
        One value a row; a collection of symbols is a universe that holds for every row.
    data : object
        What the function was given, for its index.
    rows : int
        Rows that it was given.
    names : tuple of str

    Raises
    ------
    ValueError
        Another number of rows, or values that are no numbers.
    """
    if isinstance(output, (set, frozenset)) or (
        isinstance(output, (list, tuple)) and all(isinstance(one, str) for one in output)
    ):
        return np.tile(np.array([float(name in output) for name in names]), (rows, 1))
    index = getattr(data, "index", None)
    if hasattr(output, "reindex") and index is not None and not output.index.equals(index):
        output = output.reindex(index)  # rows that the function dropped have no value
    values = np.asarray(output)
    if values.dtype.kind not in "biuf":
        values = values.astype(np.float64)
    if values.ndim == 0 or len(values) != rows:
        raise ValueError(
            f"the function returned shape {values.shape} for {rows} rows: it must give one value a row"
        )
    return values.astype(np.float64).reshape(rows, -1)


def column_names(output_columns: int, names: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the output's columns: the symbols where there are as many, or a multiple of them."""
    if names and output_columns % len(names) == 0 and output_columns >= len(names):
        return tuple(name for name in names for _ in range(output_columns // len(names)))
    return tuple(str(at) for at in range(output_columns)) if output_columns > 1 else ("",)


def known_records(records: Any, until: Any) -> Any:
    """The records that were known at a time.

    Raises
    ------
    ValueError
        The records do not say when they were known.
    """
    if "known_at" not in getattr(records, "columns", ()):
        raise ValueError("records need a column known_at: without it nobody can say what was known when")
    known = records["known_at"]
    if known.isna().any():
        raise ValueError("a record without known_at cannot be placed in time")
    if known.dtype.kind in "iu":
        return records[known <= int(pd.Timestamp(until).value)]
    stamp = pd.Timestamp(until)
    zone = getattr(known.dt, "tz", None)
    if zone is not None:
        stamp = stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp
    elif stamp.tzinfo is not None:
        stamp = stamp.tz_convert("UTC").tz_localize(None)
    return records[known <= stamp]


def _is_one_symbol(frame: pd.DataFrame) -> bool:
    return "close" in {str(name).lower() for name in frame.columns}
