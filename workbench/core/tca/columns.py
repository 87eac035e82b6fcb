"""Columns of trades, fills and quotes as integers: times in UTC nanoseconds, prices in micros, sides 1 or -1.

A column may hold currency ("price") or micros ("price_micro"), a time with a zone, or UTC nanoseconds.
Times without a zone count as UTC when every table has such; a table with zones beside one without is
refused, because one of them is then wrong by hours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.types import MICRO, Booleans, Floats, Integers

if TYPE_CHECKING:
    import pandas as pd

MISSING_TIME = int(np.iinfo(np.int64).min)
MISSING_PRICE = -1
TIMES = {
    "trades": ("traded_at", "filled_at", "at", "ts", "ts_ns", "timestamp", "time"),
    "fills": ("filled_at", "traded_at", "at", "ts", "ts_ns", "timestamp", "time"),
    "quotes": ("quoted_at", "at", "ts", "ts_ns", "timestamp", "time"),
}
QUANTITIES = ("quantity", "size", "shares", "volume")
SIDES = {"buy": 1, "sell": -1}


def require(frame: pd.DataFrame, columns: Sequence[str], name: str) -> None:
    """Raise ValueError, naming what is missing, unless the table has the columns."""
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise ValueError(f"{name} has no column {', '.join(missing)}; it needs {', '.join(columns)}")


def first_of(frame: pd.DataFrame, names: Sequence[str], table: str) -> str:
    """The first of the names that the table has; ValueError when it has none."""
    for name in names:
        if name in frame.columns:
            return name
    raise ValueError(f"{table} has none of the columns {', '.join(names)}")


def times_ns(column: pd.Series[Any], where: str) -> tuple[Integers, bool | None]:
    """UTC nanoseconds of a column, the smallest integer where there is no time, and whether it has zones.

    Returns
    -------
    (int64 (rows,), bool or None)
        None: whole numbers, which are UTC nanoseconds.

    Raises
    ------
    ValueError
        Neither times nor whole numbers, or some rows have a zone and others none.
    """
    import pandas as pd

    if pd.api.types.is_integer_dtype(column.dtype):
        return np.asarray(column.to_numpy(np.int64, na_value=MISSING_TIME)), None
    if not len(column):
        return np.zeros(0, dtype=np.int64), None
    zoned = getattr(column.dtype, "tz", None) is not None
    if column.dtype.kind != "M":
        stamps = [None if value is None or value != value else pd.Timestamp(value) for value in column]
        kinds = {stamp.tzinfo is not None for stamp in stamps if stamp is not None}
        if len(kinds) > 1:
            raise ValueError(f"{where} mixes times with and without a zone; name the zone of all")
        zoned = kinds == {True}
    stamped = pd.to_datetime(column, utc=True).dt.as_unit("ns")
    return np.asarray(stamped.astype("int64").to_numpy()), zoned


def require_one_clock(zones: dict[str, bool | None]) -> None:
    """Raise ValueError when one table has zones and another has none."""
    known = {name: zoned for name, zoned in zones.items() if zoned is not None}
    if len(set(known.values())) > 1:
        with_zone = ", ".join(name for name, zoned in known.items() if zoned)
        without = ", ".join(name for name, zoned in known.items() if not zoned)
        raise ValueError(f"mixed time zones: {with_zone} with a zone, {without} without; name the zone")


def micros(frame: pd.DataFrame, name: str, table: str) -> Integers:
    """A price column in micros, -1 where it is missing, not finite or not greater than 0."""
    import pandas as pd

    exact = f"{name}_micro"
    if exact in frame.columns:
        values = pd.to_numeric(frame[exact], errors="coerce").to_numpy(np.float64)
    else:
        require(frame, (name,), table)
        values = pd.to_numeric(frame[name], errors="coerce").to_numpy(np.float64) * MICRO
    with np.errstate(invalid="ignore"):
        known = (values > 0.5) & (values < 1e15)
    return np.where(known, np.rint(np.where(known, values, 0.0)), MISSING_PRICE).astype(np.int64)


def numbers(frame: pd.DataFrame, name: str) -> Floats:
    """A column as float64, NaN where it is no number."""
    import pandas as pd

    return np.asarray(pd.to_numeric(frame[name], errors="coerce").to_numpy(np.float64))


def signs(column: pd.Series[Any]) -> Integers:
    """1 for "buy", -1 for "sell", 0 for anything else."""
    import pandas as pd

    code, words = pd.factorize(column)  # -1 = missing: the last of the meanings
    meanings = [SIDES.get(word, 0) if isinstance(word, str) else 0 for word in words]
    return np.array([*meanings, 0], dtype=np.int64)[code]


def span_ns(value: object, name: str) -> int:
    """A duration in nanoseconds: a timedelta, a text such as "5min", or a whole number of nanoseconds.

    Raises
    ------
    ValueError
        Not a duration, negative, or a whole number below a microsecond: seconds were meant.
    """
    import pandas as pd

    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        if 0 < value < 1_000:
            raise ValueError(f"{name} = {value!r} nanoseconds: write the unit, such as '{value}s'")
        span = int(value)
    else:
        try:
            span = int(pd.Timedelta(value).as_unit("ns").value)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            raise ValueError(f"{name} = {value!r} is not a duration such as '5min'") from None
    if span < 0:
        raise ValueError(f"{name} = {value!r} must not be negative")
    return span


def floats(column: Any) -> Floats:
    """A column of a frame or of an Arrow batch as float64; what is no number is NaN."""
    import pandas as pd

    values = _array(column)
    if values.dtype == object:  # decimals, or texts in a column of numbers
        values = pd.to_numeric(pd.Series(values), errors="coerce").to_numpy()
    return np.ascontiguousarray(values, dtype=np.float64)


def batch_ns(column: Any, name: str, clock: dict[str, bool | None]) -> Integers:
    """UTC nanoseconds of a column of a frame or of an Arrow batch; `clock` learns whether it has a zone.

    Raises
    ------
    ValueError
        Not times, or one table has a zone and another none.
    """
    if not hasattr(column, "to_pandas"):
        ts, clock[name] = times_ns(column, name)
    else:
        values = _array(column)
        clock[name] = None if values.dtype.kind in "iu" else getattr(column.type, "tz", None) is not None
        ts = (
            values.astype("datetime64[ns]", copy=False).view(np.int64) if values.dtype.kind == "M" else values
        )
        if ts.dtype.kind not in "iu":
            raise ValueError(f"{name}: times must be timestamps or whole nanoseconds, not {column.type}")
    require_one_clock(clock)
    return np.ascontiguousarray(ts, dtype=np.int64)


def in_place(ts_ns: Integers, before_ns: int) -> tuple[Integers, Booleans]:
    """The times, and which are known; a row without one stands at the time of the row before it.

    So it is counted without disturbing the order of the others. `before_ns` is the time before the first row.
    """
    if not len(ts_ns) or ts_ns.min() != MISSING_TIME:  # a time that is missing is the smallest of all
        return ts_ns, np.ones(len(ts_ns), dtype=np.bool_)
    timed = ts_ns != MISSING_TIME
    last = np.maximum.accumulate(np.where(timed, np.arange(len(ts_ns)), -1))
    return np.where(last >= 0, ts_ns[last], before_ns), timed


def _array(column: Any) -> Any:
    """Values of a column of a frame or of an Arrow batch."""
    return column.to_numpy(zero_copy_only=False) if hasattr(column, "to_pandas") else column.to_numpy()
