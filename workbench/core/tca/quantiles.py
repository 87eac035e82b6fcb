"""Quantiles of a sample with intervals that assume nothing about its shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from workbench.core.types import Floats

if TYPE_CHECKING:
    import pandas as pd

#: Probabilities of the quantiles of a cost distribution.
PROBABILITIES = (0.05, 0.25, 0.5, 0.75, 0.95)


def quantile_intervals(
    values: Floats, probabilities: Sequence[float] = PROBABILITIES, *, confidence: float
) -> pd.DataFrame:
    """Each quantile of the values with an interval between two of the values themselves.

    Parameters
    ----------
    values : float64 (n,)
        Any unit; NaN is left out.
    probabilities : sequence of float
        Each between 0 and 1.
    confidence : float
        Such as 0.9: the interval covers the true quantile at least that often.

    Returns
    -------
    DataFrame
        probability, value, lower, upper, n; a bound that no value can give is NaN.

    Notes
    -----
    The ranks are those of the binomial distribution (Conover, Practical Nonparametric Statistics, section
    3.2). It takes the values as independent: costs of one day are not, so the truth is somewhat wider.

    Examples
    --------
    >>> import numpy as np
    >>> found = quantile_intervals(np.arange(101.0), (0.5,), confidence=0.9)
    >>> found.loc[0, ["value", "lower", "upper"]].tolist()
    [50.0, 41.0, 59.0]
    """
    import pandas as pd

    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence = {confidence!r} must lie between 0 and 1")
    known = np.sort(np.asarray(values, dtype=np.float64))
    known = known[~np.isnan(known)]
    n, tail = len(known), (1.0 - confidence) / 2.0
    rows = []
    for probability in probabilities:
        if not 0.0 < probability < 1.0:
            raise ValueError(f"probability {probability!r} must lie between 0 and 1")
        below = _binomial_quantile(tail, n, probability) if n else 0
        above = _binomial_quantile(1.0 - tail, n, probability) + 1 if n else 0
        # P(fewer than `below` values lie below the quantile) <= tail, and the same above
        lower = known[below - 1] if below >= 1 else np.nan
        upper = known[above - 1] if 0 < above <= n else np.nan
        value = float(np.quantile(known, probability)) if n else np.nan
        rows.append((probability, value, float(lower), float(upper), n))
    return pd.DataFrame(rows, columns=["probability", "value", "lower", "upper", "n"])


def _binomial_quantile(share: float, n: int, probability: float) -> int:
    """The least count whose distribution function reaches the share; scipy.stats takes a second to load."""
    from scipy.special import bdtr, bdtrik

    count = min(max(math.ceil(float(bdtrik(share, n, probability))), 0), n)
    while count > 0 and bdtr(count - 1, n, probability) >= share:
        count -= 1
    while count < n and bdtr(count, n, probability) < share:
        count += 1
    return count
