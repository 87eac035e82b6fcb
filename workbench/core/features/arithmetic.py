"""Sums, means and ranks that give the same bytes whatever stands beside a column."""

from __future__ import annotations

import numpy as np

from workbench.core.types import Floats


def total(values: Floats) -> Floats:
    """Sum over the rows, strictly one by one, float64 (columns,).

    numpy's own sum adds pairwise, in an order that depends on the number of columns.

    Examples
    --------
    >>> import numpy as np
    >>> from workbench.extending import total
    >>> total(np.array([[1.0, 2.0], [3.0, 6.0]])).tolist()
    [4.0, 8.0]
    """
    summed: Floats = np.add.accumulate(values, axis=0)[-1]
    return summed


def mean(values: Floats) -> Floats:
    """Mean over the rows, float64 (columns,).

    Examples
    --------
    >>> import numpy as np
    >>> from workbench.extending import mean
    >>> mean(np.array([[1.0, 2.0], [3.0, 6.0]])).tolist()
    [2.0, 4.0]
    """
    return total(values) / len(values)


def deviation(values: Floats) -> Floats:
    """Sample standard deviation over the rows, float64 (columns,)."""
    away = values - total(values) / len(values)
    return np.sqrt(total(away * away) / (len(values) - 1))


def true_deviation(values: Floats) -> Floats:
    """Sample standard deviation over the rows, NaN where it is nothing but rounding, float64 (columns,).

    A divisor: what never varied has no scale, and 1e-17 left over from adding is no variation.

    Examples
    --------
    >>> import numpy as np
    >>> from workbench.extending import true_deviation
    >>> true_deviation(np.array([[1.0, 5.0], [3.0, 5.0]])).tolist()
    [1.4142135623730951, nan]
    """
    away = deviation(values)
    size: Floats = np.maximum.reduce(np.abs(values), axis=0)
    return np.where(away > 1e-9 * size, away, np.nan)


def changes(values: Floats) -> Floats:
    """Simple change from each row to the next, float64 (rows - 1, columns).

    Examples
    --------
    >>> import numpy as np
    >>> from workbench.extending import changes
    >>> changes(np.array([[1.0], [2.0], [3.0]])).ravel().tolist()
    [1.0, 0.5]
    """
    return values[1:] / values[:-1] - 1.0


def rank(values: Floats) -> Floats:
    """Rank among the columns from -0.5 (lowest) to 0.5 (highest), ties shared, float64 (columns,).

    NaN for a column without a value, and for all when fewer than two have one.

    Examples
    --------
    >>> import numpy as np
    >>> from workbench.extending import rank
    >>> rank(np.array([3.0, 1.0, 2.0])).tolist()
    [0.5, -0.5, 0.0]
    """
    below = (values[:, None] > values[None, :]).sum(axis=1)
    equal = (values[:, None] == values[None, :]).sum(axis=1)
    present = int(np.isfinite(values).sum())
    if present < 2:
        return np.full(len(values), np.nan)
    ranked = (below + 0.5 * (equal - 1)) / (present - 1) - 0.5
    return np.where(np.isfinite(values), ranked, np.nan)


def middle(values: Floats) -> float:
    """Median of the columns that have a value; NaN when fewer than two have one."""
    present = np.sort(values[np.isfinite(values)])
    n = len(present)
    return float((present[(n - 1) // 2] + present[n // 2]) / 2.0) if n >= 2 else float("nan")
