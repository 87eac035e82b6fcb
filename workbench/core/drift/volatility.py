"""Returns divided by a volatility that was known before them, so that quiet and wild times compare.

Source: J.P. Morgan and Reuters, "RiskMetrics - Technical Document", 4th edition 1996 (exponentially weighted
variance). A GARCH with a mean-reverting level was tried and refused: the level's estimation error alone
made filtered references and windows differ in 10 of 100 unchanged pairs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from workbench.core.drift.intake import as_table
from workbench.core.kernel import allocating_kernel
from workbench.core.printing import html_table
from workbench.core.types import Floats
from workbench.errors import DataError

WARM_UP_ROWS = 50
LEAST_ROWS = 3 * WARM_UP_ROWS
_CUSTOMARY_DECAY = 0.94  # RiskMetrics' for daily returns
_DECAYS = (0.85, 0.88, 0.9, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99)
_LARGEST_SQUARE = 100.0  # times the variance: one absurd return is remembered as one of ten sigma


@dataclass(frozen=True, slots=True)
class VolatilityFilter:
    """An exponentially weighted volatility for each column, its decay the reference's most likely one.

    Causal: a row is divided by what was known before it. What follows must continue where the reference
    ended: give the rows between as well, and cut them off afterwards. A lasting change of *volatility* is
    divided away with the rest within about 1 / (1 - decay) rows; compare raw columns to see that.

    Attributes
    ----------
    names : tuple of str
    mean : tuple of float
        Of each reference column; subtracted before squaring and dividing.
    decay : tuple of float
        Weight of yesterday's variance.
    next_variance : tuple of float
        The variance forecast for the row after the reference.
    """

    names: tuple[str, ...]
    mean: tuple[float, ...]
    decay: tuple[float, ...]
    next_variance: tuple[float, ...]

    def _repr_html_(self) -> str:
        known = zip(self.names, self.decay, self.next_variance, strict=True)
        facts = {name: f"decay {decay:.3f}, next deviation {next_**0.5:.4g}" for name, decay, next_ in known}
        return html_table("Volatility filter", facts, {"deviation": "of one row, in the reference's unit"})

    @classmethod
    def fit(cls, reference: Any) -> VolatilityFilter:
        """The filter of a reference table of returns, rows in order of time.

        Raises
        ------
        DataError
            A column with fewer than 150 values, or one that never moves in its first 50 rows.

        Examples
        --------
        >>> import numpy as np, pandas as pd
        >>> returns = pd.DataFrame({"KO": np.random.default_rng(3).normal(0.0, 0.01, 500)})
        >>> fitted = VolatilityFilter.fit(returns)
        >>> len(fitted.filtered_reference(returns))
        450
        """
        table = as_table(reference)
        rows = []
        for name in table.columns:
            values = table[name].to_numpy(dtype=np.float64, na_value=np.nan)
            known = values[np.isfinite(values)]
            mean = float(known.mean()) if len(known) else math.nan
            start = _start(values, mean)
            if len(known) < LEAST_ROWS or not start > 0.0:
                raise DataError(
                    f"column {name!r} has {len(known)} values or starts without moving; a volatility needs "
                    f"{LEAST_ROWS} values",
                    next_step="give a longer reference, or leave the column out",
                )
            decay = _likely_decay(values - mean, start)
            rows.append((str(name), mean, decay, _walked(values, mean, decay, start)[1]))
        return cls(*(tuple(column) for column in zip(*rows, strict=True)))

    def filtered_reference(self, reference: Any) -> pd.DataFrame:
        """The reference without its first 50 rows, which the volatility starts from, standardised."""
        table = as_table(reference)
        starts = [
            _start(self._values(table, name), mean) for name, mean in zip(self.names, self.mean, strict=True)
        ]
        return self._filtered(table, tuple(starts)).iloc[WARM_UP_ROWS:]

    def filtered(self, following: Any) -> pd.DataFrame:
        """Rows that follow the reference, standardised; a missing value stays missing."""
        return self._filtered(as_table(following), self.next_variance)

    def _filtered(self, table: pd.DataFrame, start: tuple[float, ...]) -> pd.DataFrame:
        columns = {
            name: _walked(self._values(table, name), mean, decay, first)[0]
            for name, mean, decay, first in zip(self.names, self.mean, self.decay, start, strict=True)
        }
        return pd.DataFrame(columns, index=table.index)

    @staticmethod
    def _values(table: pd.DataFrame, name: str) -> Floats:
        if name not in table.columns:
            raise DataError(f"column {name!r} is absent", next_step="give the columns of the reference")
        return np.ascontiguousarray(table[name].to_numpy(dtype=np.float64, na_value=np.nan))


def _start(values: Floats, mean: float) -> float:
    """Variance of the first rows, none of them counted beyond ten times the middle one."""
    squares = (values[:WARM_UP_ROWS] - mean) ** 2
    squares = squares[np.isfinite(squares)]
    if not len(squares):
        return math.nan
    return float(np.minimum(squares, 20.0 * np.median(squares)).mean()) or float(squares.mean())


def _likely_decay(deviations: Floats, start: float) -> float:
    """The customary decay, or the likeliest one where it beats the customary one by Schwarz's criterion."""
    fits = [_likelihood(deviations, decay, start) for decay in _DECAYS]
    best, customary = int(np.argmax(fits)), _DECAYS.index(_CUSTOMARY_DECAY)
    rows = int(np.isfinite(deviations[WARM_UP_ROWS:]).sum())
    return _DECAYS[best if fits[best] - fits[customary] > math.log(max(rows, 1)) else customary]


@allocating_kernel
def _likelihood(deviations: Floats, decay: float, start: float) -> float:
    """Twice the Gaussian log likelihood of the rows after the warm-up, each under the variance before it."""
    variance, total = start, 0.0
    for row in range(len(deviations)):
        deviation = deviations[row]
        if not math.isfinite(deviation):
            continue
        square = min(deviation * deviation, _LARGEST_SQUARE * variance)
        if row >= WARM_UP_ROWS:
            total -= math.log(variance) + square / variance
        variance = decay * variance + (1.0 - decay) * square
    return total


@allocating_kernel
def _walk_volatility(values: Floats, mean: float, decay: float, start: float, out: Floats) -> float:
    variance = start
    for row in range(len(values)):
        deviation = values[row] - mean
        out[row] = deviation / math.sqrt(variance)
        if math.isfinite(deviation):
            square = min(deviation * deviation, _LARGEST_SQUARE * variance)
            variance = decay * variance + (1.0 - decay) * square
    return variance


def _walked(values: Floats, mean: float, decay: float, start: float) -> tuple[Floats, float]:
    out = np.empty(len(values))
    following = _walk_volatility(np.ascontiguousarray(values), mean, decay, start, out)
    return out, float(following)
