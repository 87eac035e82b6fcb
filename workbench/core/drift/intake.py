"""Two tables as features side by side, with a reason for each that cannot be compared."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from workbench.core.types import Floats
from workbench.errors import UsageError


class Feature(NamedTuple):
    """One feature of both tables.

    Attributes
    ----------
    name : str
    numeric : bool
        True: float64 arrays; False: object arrays of categories.
    reference, current : ndarray
        Empty where the table has no such column.
    reason : str
        Why it cannot be compared; empty when it can.
    """

    name: str
    numeric: bool
    reference: Any
    current: Any
    reason: str


def as_table(values: Any) -> pd.DataFrame:
    """The argument as a table; columns of a bare array are named x0, x1, ...

    Raises
    ------
    UsageError
        Neither a table, a series nor an array of one or two dimensions; a column name that occurs twice.
    """
    if isinstance(values, pd.Series):
        values = values.to_frame(values.name if values.name is not None else "x0")
    if not isinstance(values, pd.DataFrame):
        array = np.asarray(values)
        if array.ndim not in (1, 2):
            raise UsageError(
                f"an array of {array.ndim} dimensions is no table", next_step="give rows, or rows x features"
            )
        array = array.reshape(len(array), -1) if array.size else array.reshape(0, max(1, array.shape[-1]))
        values = pd.DataFrame(array, columns=[f"x{at}" for at in range(array.shape[1])])
    if not values.columns.is_unique:
        twice = values.columns[values.columns.duplicated()][0]
        raise UsageError(f"column {twice!r} occurs twice", next_step="give every feature its own name")
    table: pd.DataFrame = values
    return table


def order_notes(reference: pd.DataFrame, current: pd.DataFrame) -> tuple[str, ...]:
    """Where time runs backwards, in words; only an index of times says what time it is."""
    found = []
    for name, table in (("reference", reference), ("current", current)):
        index = table.index
        if isinstance(index, pd.DatetimeIndex) and not index.is_monotonic_increasing:
            backwards = np.flatnonzero(~(np.asarray(index[1:]) >= np.asarray(index[:-1])))
            at = int(backwards[0]) + 1
            found.append(f"time runs backwards in the {name} sample at row {at} ({index[at]})")
    return tuple(found)


def features_of(reference: pd.DataFrame, current: pd.DataFrame) -> list[Feature]:
    """All features of both tables: those of the reference in its order, then new ones.

    Raises
    ------
    UsageError
        There is no column at all.
    """
    names = [*reference.columns, *(name for name in current.columns if name not in reference.columns)]
    if not names:
        raise UsageError("neither table has a column", next_step="give at least one feature")
    return [_feature(name, reference, current) for name in names]


def _feature(name: Any, reference: pd.DataFrame, current: pd.DataFrame) -> Feature:
    if name not in current.columns:
        before = reference[name]
        return _made(name, before, before.iloc[:0], "absent from the current table")
    if name not in reference.columns:
        after = current[name]
        return _made(name, after.iloc[:0], after, "new: absent from the reference table")
    before, after = reference[name], current[name]
    kinds = [_kind(column) for column in (before, after)]
    if len(before) == 0 or len(after) == 0:
        side = "reference" if len(before) == 0 else "current"
        return _made(name, before, after, f"the {side} table has no rows", numeric="numbers" in kinds)
    if "unknown" in kinds:
        side = before if kinds[0] == "unknown" else after
        return _made(name, before.iloc[:0], after.iloc[:0], f"type {side.dtype} cannot be compared")
    if "missing" in kinds:  # a column that lost its values often lost its type with them
        known = [kind for kind in kinds if kind != "missing"]
        reason = "" if known and kinds[0] != "missing" else "the reference holds no value"
        return _made(name, before, after, reason, numeric="numbers" in known or not known)
    if kinds[0] != kinds[1]:
        return _made(name, before.iloc[:0], after.iloc[:0], f"retyped: {before.dtype} became {after.dtype}")
    return _made(name, before, after, "", numeric=kinds[0] == "numbers")


def _kind(column: pd.Series[Any]) -> str:
    """Numbers, categories, missing (no value, or no finite number) or unknown."""
    if not column.notna().any():
        return "missing"
    if pd.api.types.is_bool_dtype(column.dtype):
        return "categories"
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_complex_dtype(column.dtype):
        return "numbers" if np.isfinite(_numbers(column)).any() else "missing"
    if isinstance(column.dtype, pd.CategoricalDtype) or pd.api.types.is_string_dtype(column.dtype):
        return "categories"
    return "categories" if column.dtype == object else "unknown"


def _made(
    name: Any, before: pd.Series[Any], after: pd.Series[Any], reason: str, *, numeric: bool | None = None
) -> Feature:
    if numeric is None:
        numeric = all(_kind(side) in ("numbers", "missing") for side in (before, after))
    convert = _numbers if numeric else _categories
    return Feature(str(name), numeric, convert(before), convert(after), reason)


def _numbers(column: pd.Series[Any]) -> Floats:
    if not column.notna().any():
        return np.full(len(column), np.nan)
    return np.ascontiguousarray(column.to_numpy(dtype=np.float64, na_value=np.nan))


def _categories(column: pd.Series[Any]) -> Any:
    return column.astype(object).to_numpy()
