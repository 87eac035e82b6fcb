"""When each row was known and when its label was settled, counted in distinct times.

Splitters think in positions on this timeline: position 0 is the first distinct time. Rows that share a
time, such as the symbols of one session, share a position and are never torn apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from workbench.core.types import Integers

#: Whole numbers from here on are UTC nanoseconds, smaller ones are row positions.
_NANOSECONDS_FROM = 10**15


@dataclass(frozen=True, eq=False)
class Timeline:
    """Rows in order of time.

    Attributes
    ----------
    rows, times : int
        How many rows, and how many distinct times.
    first_row : int64 (times + 1,) or None
        Row at which each time begins; None when every row has a time of its own.
    horizon : int
        Times from a row to the end of its label; only where `ends` is None.
    ends : int64 (rows,) or None
        Position of the last time that is not after the row's label end.
    sorted_ends : bool
        Whether `ends` never falls.
    """

    rows: int
    times: int
    first_row: Integers | None
    horizon: int
    ends: Integers | None
    sorted_ends: bool

    def row(self, position: int) -> int:
        """First row of a position; `rows` behind the last."""
        at = min(max(position, 0), self.times)
        return at if self.first_row is None else int(self.first_row[at])

    def settled_before(self, position: int) -> int:
        """Rows from the start whose labels all end before the position; exact where ends are sorted."""
        if self.ends is None:
            return self.row(position - self.horizon)
        return int(np.searchsorted(self.ends, position, side="left"))

    def last_end(self, start: int, stop: int) -> int:
        """Largest label end of the positions `start` up to, not including, `stop`."""
        if self.ends is None:
            return stop - 1 + self.horizon
        first, last = self.row(start), self.row(stop)
        return int(self.ends[last - 1] if self.sorted_ends else self.ends[first:last].max())


def timeline(X: Any, groups: Any, purge: Any) -> Timeline:
    """The timeline of the rows of X.

    The time of a row is its group where groups are given, else the index of a `purge` that is a Series,
    else the index of X where that is one of dates, else its position.

    Parameters
    ----------
    X : array or DataFrame (rows, ...)
    groups : sequence (rows,) or None
        Time or session of each row, never falling.
    purge : int or sequence (rows,)

    Raises
    ------
    ValueError
        Rows out of order, lengths that differ, a label that ends before it begins or has no end, or label
        ends that cannot be compared with the rows' times.
    """
    rows = _count(X)
    if rows == 0:
        raise ValueError("there are no rows to split")
    known = _row_times(X, groups, purge, rows)
    if known is None:
        position, first_row = None, None
    else:
        if len(known) != rows:
            raise ValueError(f"{len(known)} times for {rows} rows")
        falls = np.nonzero(np.diff(known) < 0)[0]
        if len(falls):
            raise ValueError(
                f"row {int(falls[0]) + 1} lies before the row above it: sort the rows by time first"
            )
        starts = np.concatenate([[0], np.nonzero(np.diff(known))[0] + 1])
        first_row = np.append(starts, rows).astype(np.int64) if len(starts) < rows else None
        position = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, rows)))
        known = known[starts]
    times = rows if known is None else len(known)
    if isinstance(purge, (int, np.integer)):
        return Timeline(rows, times, first_row, int(purge), None, True)
    ends = _end_positions(purge, known, rows)
    own = np.arange(rows) if position is None else position
    early = np.nonzero(ends < own)[0]
    if len(early):
        raise ValueError(f"the label of row {int(early[0])} ends before the row itself")
    return Timeline(rows, times, first_row, 0, ends, bool(np.all(ends[1:] >= ends[:-1])))


def _row_times(X: Any, groups: Any, purge: Any, rows: int) -> Integers | None:
    if groups is not None:
        return _numbers(groups, "groups")
    for owner in (purge, X):
        index = getattr(owner, "index", None)
        if isinstance(index, pd.MultiIndex):
            index = index.get_level_values(0)
        if isinstance(index, (pd.DatetimeIndex, pd.PeriodIndex)):
            return _numbers(index, "the index")
    return None


def _end_positions(purge: Any, known: Integers | None, rows: int) -> Integers:
    """Position of the last time that is not after each label end."""
    given = np.asarray(purge)
    ends = _numbers(purge, "purge")
    if len(ends) != rows:
        raise ValueError(f"purge has {len(ends)} label ends for {rows} rows")
    positions = given.dtype.kind in "iuf" and (not len(ends) or int(ends.max()) < _NANOSECONDS_FROM)
    if known is None or (positions and int(known[-1]) >= _NANOSECONDS_FROM):
        if not positions:
            raise ValueError(
                "purge holds label end times, but the rows have no times: give X an index of dates, pass "
                "purge as a Series over the rows' times, or pass the times as groups"
            )
        if known is not None and len(known) != rows:
            raise ValueError("purge holds row positions, but several rows share a time: give end times")
        return np.minimum(ends, rows - 1)
    return np.searchsorted(known, ends, side="right").astype(np.int64) - 1


def _numbers(values: Any, what: str) -> Integers:
    """Times as whole numbers that compare as the times do."""
    if isinstance(values, pd.PeriodIndex):
        values = values.to_timestamp()
    array = np.asarray(values)
    if array.ndim != 1:
        raise ValueError(f"{what} must be one value a row, not shape {array.shape}")
    if array.dtype.kind in "OUTS" or array.dtype.kind == "M" or hasattr(values, "tz"):
        stamps = pd.to_datetime(pd.Index(values) if not isinstance(values, pd.Index) else values, utc=True)
        missing = np.asarray(stamps.isna())
        numbers = stamps.as_unit("ns").asi8
    else:
        missing = ~np.isfinite(array) if array.dtype.kind == "f" else array < 0
        numbers = np.where(missing, 0, array).astype(np.int64)
    if missing.any():
        raise ValueError(f"row {int(np.nonzero(missing)[0][0])} has no time in {what}: nothing is guessed")
    return np.asarray(numbers, dtype=np.int64)


def _count(X: Any) -> int:
    if X is None:
        raise ValueError("X is needed: the folds depend on its rows")
    shape = getattr(X, "shape", None)
    return int(shape[0]) if shape else len(X)
