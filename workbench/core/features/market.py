"""The market statistics that size orders: volume, volatility and half spread of each symbol."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from workbench.core.kernel import kernel
from workbench.core.types import Bars, Floats

STATISTICS_ROWS = 21  #: rows that `market_statistics` needs: 20 returns
HALF_SPREAD_FLOOR_BPS = 1.0  #: half spreads are never taken as less
HALF_SPREAD_RANGE_FRACTION = 0.02  #: nor as less than this part of the mean high-low range

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
