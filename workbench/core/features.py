"""Causal features with declared lookback, and the market statistics that size orders.

A feature sees exactly `lookback` rows that end with the row it describes, so it cannot see the future,
and a replayed row is computed by the same call on the same rows. Features use only operations that
IEEE 754 rounds exactly (no logarithm) and sum in row order, so a value depends neither on the machine
nor on which symbols stand beside it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import ClassVar, NamedTuple

import numpy as np

from workbench.core.canonical import sha256_of
from workbench.core.kernel import kernel
from workbench.core.types import Bars, Floats, Integers

GRID = 1e9  #: features are rounded to 1 / GRID
STATISTICS_ROWS = 21  #: rows that `market_statistics` needs: 20 returns
HALF_SPREAD_FLOOR_BPS = 1.0  #: half spreads are never taken as less
HALF_SPREAD_RANGE_FRACTION = 0.02  #: nor as less than this part of the mean high-low range


class Window(NamedTuple):
    """Adjusted prices and volumes of the last `lookback` bars, each of shape (lookback, symbols)."""

    high: Floats
    low: Floats
    close: Floats
    volume: Floats


@dataclass(frozen=True)
class Feature:
    """A named function of the last `lookback` bars.

    Attributes
    ----------
    name : str
    lookback : int
        Rows that the function needs, the described row included.
    function : callable
        From a `Window` to float64 (symbols,); pure, and column by column.
    """

    uses_future: ClassVar[bool] = False
    name: str
    lookback: int
    function: Callable[[Window], Floats]

    def __post_init__(self) -> None:
        if self.lookback < 1:
            raise ValueError(f"feature {self.name} must look back at least one row")


def momentum(window: Window) -> Floats:
    """Return over the window (Jegadeesh and Titman 1993, at a short horizon)."""
    change: Floats = window.close[-1] / window.close[0] - 1.0
    return change


def reversal(window: Window) -> Floats:
    """Minus the return over the window (Lehmann 1990)."""
    change: Floats = 1.0 - window.close[-1] / window.close[0]
    return change


def volatility(window: Window) -> Floats:
    """Sample standard deviation of simple daily returns."""
    returns = window.close[1:] / window.close[:-1] - 1.0
    n = len(returns)
    away = returns - _total(returns) / n
    return np.sqrt(_total(away * away) / (n - 1))


def volume_trend(window: Window) -> Floats:
    """Mean volume of the last five bars over that of the window, less one."""
    short = _total(window.volume[-5:]) / 5.0
    return short / (_total(window.volume) / len(window.volume)) - 1.0


def range_position(window: Window) -> Floats:
    """Where the close lies in the window's range: 0 at the low, 1 at the high (Lane's stochastic)."""
    low: Floats = np.minimum.reduce(window.low, axis=0)
    high: Floats = np.maximum.reduce(window.high, axis=0)
    position: Floats = (window.close[-1] - low) / (high - low)
    return position


#: The features of version 1, in the order of the model's columns.
FEATURES: tuple[Feature, ...] = (
    Feature("momentum_20", 21, momentum),
    Feature("reversal_5", 6, reversal),
    Feature("volatility_20", 21, volatility),
    Feature("volume_trend_20", 20, volume_trend),
    Feature("range_position_20", 20, range_position),
)


def compute(features: Sequence[Feature], bars: Bars) -> Floats:
    """Features of the last row, float64 (symbols, features), on a grid of 1e-9.

    Parameters
    ----------
    features : sequence of Feature
    bars : Bars
        Adjusted bars up to and including the row to describe; only the last `lookback` rows are read.

    Returns
    -------
    float64 (symbols, features)
        NaN where a bar of the window is missing, or there are too few rows.

    Raises
    ------
    ValueError
        Something among the features uses the future.
    """
    last: Floats = compute_history(features, bars, [len(bars.ts_ns) - 1])[0]
    return last


def compute_history(
    features: Sequence[Feature], bars: Bars, rows: Sequence[int] | Integers | None = None
) -> Floats:
    """Features of the given rows, float64 (rows, symbols, features), each by the call that `compute` makes.

    Parameters
    ----------
    features : sequence of Feature
    bars : Bars
    rows : sequence of int or None, default None
        Positions in the bars, None = all; a row never sees what follows it.

    Raises
    ------
    ValueError
        Something among the features uses the future.
    """
    for feature in features:
        if feature.uses_future:
            raise ValueError(f"{feature.name} uses the future and cannot be a feature")
    if rows is None:
        rows = range(len(bars.ts_ns))
    panel = Window(bars.high, bars.low, bars.close, bars.volume)
    complete = bars.tradable.copy()
    for values in panel:
        complete &= np.isfinite(values)
    out = np.full((len(rows), len(bars.symbols), len(features)), np.nan)
    for k, row in enumerate(rows):
        for j, feature in enumerate(features):
            start = int(row) - feature.lookback + 1
            if start < 0 or row >= len(bars.ts_ns):
                continue
            cut = slice(start, int(row) + 1)
            with np.errstate(all="ignore"):
                values = feature.function(Window(*(part[cut] for part in panel)))
                values = np.rint(values * GRID) / GRID + 0.0  # + 0.0: no negative zero
            values[~(complete[cut].all(axis=0) & np.isfinite(values))] = np.nan
            out[k, :, j] = values
    return out


def features_hash(features: Sequence[Feature]) -> str:
    """Hex sha256 of names, lookbacks and *behaviour*: the values on a fixed panel.

    A change of a formula, or of anything it calls, changes the hash; a change of wording does not.
    """
    described = []
    for feature in features:
        values = compute([feature], _reference_bars(feature.lookback))[:, 0]
        digest = hashlib.sha256(np.rint(values * GRID).astype("<i8").tobytes()).hexdigest()
        described.append([feature.name, feature.lookback, digest])
    return sha256_of(described)


def _total(values: Floats) -> Floats:
    # strictly row by row; numpy's sum adds pairwise, in an order that depends on the number of columns
    total: Floats = np.add.accumulate(values, axis=0)[-1]
    return total


def _reference_bars(rows: int) -> Bars:
    # arbitrary but fixed: integer arithmetic only, no generator whose stream may change
    i, j = np.indices((rows, 7))
    close = 50.0 + ((i * 7_919 + j * 104_729 + i * i * j * 31) % 4_999) / 100.0
    spread = 0.25 + ((i * 613 + j * 257) % 97) / 100.0
    volume = (100_000 + (i * 48_611 + j * 15_485_863) % 999_983).astype(np.float64)
    return Bars(
        ts_ns=np.arange(1, rows + 1, dtype=np.int64),
        symbols=tuple("ABCDEFG"),
        open=close.copy(),
        high=close + spread,
        low=close - spread,
        close=close,
        volume=volume,
        tradable=np.ones((rows, 7), dtype=np.bool_),
    )


# --- market statistics -----------------------------------------------------------------------------

# inverse normal of (1 + zeros / 20) / 2 for 0 to 19 zero returns among 20
_FHT_QUANTILES = tuple(NormalDist().inv_cdf((1.0 + zeros / 20.0) / 2.0) for zeros in range(20))


class MarketStatistics(NamedTuple):
    """What sizes an order, each float64 (symbols,); NaN = a bar of the last 21 is missing.

    Attributes
    ----------
    adv_shares
        Mean volume of the last 20 bars, whole shares.
    volatility_bps
        Sample standard deviation of the last 20 daily log returns of the close.
    half_spread_bps
        Estimated half spread, see `market_statistics`.
    """

    adv_shares: Floats
    volatility_bps: Floats
    half_spread_bps: Floats


@kernel
def symbol_statistics(
    high: Floats, low: Floats, close: Floats, volume: Floats, column: int
) -> tuple[float, float, float]:
    """Mean volume, volatility in bps and half spread in bps of one column of 21 rows; NaN when missing."""
    unknown = (math.nan, math.nan, math.nan)
    rows = close.shape[0]
    for i in range(rows):
        bar = 0.0 < low[i, column] <= close[i, column] <= high[i, column] < 1e9
        if not (bar and 0.0 <= volume[i, column] < 1e15):
            return unknown
    n = rows - 1
    shares = 0.0
    span = 0.0
    mean = 0.0
    zeros = 0
    for i in range(1, rows):
        shares += volume[i, column]
        span += (high[i, column] - low[i, column]) / (0.5 * (high[i, column] + low[i, column]))
        change = math.log(close[i, column] / close[i - 1, column])
        mean += change
        zeros += 1 if change == 0.0 else 0
    mean /= n
    squares = 0.0
    for i in range(1, rows):
        away = math.log(close[i, column] / close[i - 1, column]) - mean
        squares += away * away
    if zeros >= n or not shares > 0.0:
        return unknown
    sigma = math.sqrt(squares / (n - 1))
    half_spread_bps = 1e4 * sigma * _FHT_QUANTILES[zeros]
    half_spread_bps = max(half_spread_bps, HALF_SPREAD_FLOOR_BPS)
    half_spread_bps = max(half_spread_bps, HALF_SPREAD_RANGE_FRACTION * 1e4 * span / n)
    return (
        float(np.rint(shares / n)),
        float(np.rint(1e6 * sigma) / 100.0),
        float(np.rint(half_spread_bps * 100.0) / 100.0),
    )


@kernel
def statistics_row(high: Floats, low: Floats, close: Floats, volume: Floats, out: Floats) -> None:
    """Write `symbol_statistics` of every column to `out` (3, symbols)."""
    for column in range(close.shape[1]):
        adv, sigma, half_spread = symbol_statistics(high, low, close, volume, column)
        out[0, column] = adv
        out[1, column] = sigma
        out[2, column] = half_spread


def market_statistics(bars: Bars) -> MarketStatistics:
    """Mean daily volume, daily volatility and half spread of each symbol from its last 21 bars.

    The spread estimate is 2 sigma Phi^-1((1 + z) / 2) with z the share of days without a price change
    (Fong, Holden and Trzcinka 2017, "What are the best liquidity proxies for global research?",
    Review of Finance 21(4)). It tends to zero for liquid symbols, so it is held above 1 bps and above
    2 % of the mean high-low range. Estimators from highs and lows (Corwin and Schultz 2012, Abdi and
    Ranaldo 2017) are dominated by their own noise for large caps over 20 days and are not used.

    Parameters
    ----------
    bars : Bars
        Adjusted bars; only the last 21 rows are read.

    Returns
    -------
    MarketStatistics
        NaN for a symbol that misses one of these bars, or never changed its price.
    """
    n = len(bars.symbols)
    out = np.full((3, n), np.nan)
    if len(bars.ts_ns) >= STATISTICS_ROWS:
        cut = slice(len(bars.ts_ns) - STATISTICS_ROWS, None)
        present = bars.tradable[cut]
        statistics_row(
            np.where(present, bars.high[cut], np.nan),
            np.where(present, bars.low[cut], np.nan),
            np.where(present, bars.close[cut], np.nan),
            np.where(present, bars.volume[cut], np.nan),
            out,
        )
    return MarketStatistics(out[0], out[1], out[2])
