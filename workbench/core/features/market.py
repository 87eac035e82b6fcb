"""The market statistics that size orders: volume, volatility and half spread of each symbol."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from workbench.core.kernel import kernel
from workbench.core.types import Bars, Floats

STATISTICS_ROWS = 21  #: rows that `market_statistics` needs: 20 returns
BLOCK = 512  #: windows that are summed side by side
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
def bar_measures(
    high: Floats, low: Floats, close: Floats, volume: Floats, width: int, change: Floats, span: Floats
) -> None:
    """Write log change and relative range of each bar, NaN where it or its forerunner is not whole.

    Arrays are flat, row after row of `width` symbols.
    """
    for at in range(close.shape[0]):
        bar = 0.0 < low[at] <= close[at] <= high[at] < 1e9 and 0.0 <= volume[at] < 1e15
        span[at] = (high[at] - low[at]) / (0.5 * (high[at] + low[at])) if bar else math.nan
        change[at] = math.nan
        if bar and at >= width and not math.isnan(span[at - width]):
            change[at] = math.log(close[at] / close[at - width])


@kernel
def statistics_rows(
    change: Floats, span: Floats, volume: Floats, width: int, first: int, sums: Floats, out: Floats
) -> None:
    """Write mean volume, volatility in bps and half spread in bps of the 20 changes up to each bar.

    Every window is summed from its oldest bar on, whatever the number of rows, so one row and many give
    equal bytes; the sums of neighbouring windows are made side by side.

    Parameters
    ----------
    change, span, volume : float64 (bars,)
        Flat; from `bar_measures`, and the volume.
    first : int
        Flat position of the first bar to describe, at least 20 rows of `width` in.
    sums : float64 (5, block)
        Room to work in.
    out : float64 (3, bars - first)
        NaN where a bar of the window is missing.
    """
    block = sums.shape[1]
    days = STATISTICS_ROWS - 1
    mean, squares, spans, shares, zeros = sums[0], sums[1], sums[2], sums[3], sums[4]
    for base in range(first, change.shape[0], block):
        size = min(block, change.shape[0] - base)
        sums[:, :size] = 0.0
        for back in range(days - 1, -1, -4):
            at = base - back * width
            add_four(mean[:size], change[at:], width)
            add_four(spans[:size], span[at:], width)
            add_four(shares[:size], volume[at:], width)
            count_zeros(zeros[:size], change[at:], width)
        for j in range(size):
            mean[j] /= days
        for back in range(days - 1, -1, -4):
            at = base - back * width
            add_squares(squares[:size], change[at:], width, mean)
        for j in range(size):
            found = sizing(shares[j], spans[j], squares[j], zeros[j])
            out[0, base - first + j] = found[0]
            out[1, base - first + j] = found[1]
            out[2, base - first + j] = found[2]


# Loops with one output, and four rows at a time: the compiler turns them into instructions that add
# several windows at once. The order of additions within a window is that of time.


@kernel
def add_four(total: Floats, values: Floats, width: int) -> None:
    """Add the values of four rows to the sum of each window."""
    size = total.shape[0]
    first, second = values[:size], values[width : width + size]
    third, fourth = values[2 * width : 2 * width + size], values[3 * width : 3 * width + size]
    for j in range(size):
        total[j] = total[j] + first[j] + second[j] + third[j] + fourth[j]


@kernel
def add_squares(total: Floats, values: Floats, width: int, mean: Floats) -> None:
    """Add the squared distances of four rows from the mean to the sum of each window."""
    size = total.shape[0]
    first, second = values[:size], values[width : width + size]
    third, fourth = values[2 * width : 2 * width + size], values[3 * width : 3 * width + size]
    for j in range(size):
        one, two, three, four = (
            first[j] - mean[j],
            second[j] - mean[j],
            third[j] - mean[j],
            fourth[j] - mean[j],
        )
        total[j] = total[j] + one * one + two * two + three * three + four * four


@kernel
def count_zeros(total: Floats, values: Floats, width: int) -> None:
    """Count the values of four rows that are exactly zero."""
    size = total.shape[0]
    first, second = values[:size], values[width : width + size]
    third, fourth = values[2 * width : 2 * width + size], values[3 * width : 3 * width + size]
    for j in range(size):
        early = (1.0 if first[j] == 0.0 else 0.0) + (1.0 if second[j] == 0.0 else 0.0)
        late = (1.0 if third[j] == 0.0 else 0.0) + (1.0 if fourth[j] == 0.0 else 0.0)
        total[j] += early + late


@kernel
def sizing(shares: float, span: float, squares: float, zeros: float) -> tuple[float, float, float]:
    """Mean volume, volatility and half spread from the sums of one window; NaN when not known."""
    days = STATISTICS_ROWS - 1
    if zeros >= days or not shares > 0.0 or not squares >= 0.0 or not span >= 0.0:
        return (math.nan, math.nan, math.nan)
    sigma = math.sqrt(squares / (days - 1))
    half_spread_bps = 1e4 * sigma * _FHT_QUANTILES[int(zeros)]
    half_spread_bps = max(half_spread_bps, HALF_SPREAD_FLOOR_BPS)
    half_spread_bps = max(half_spread_bps, HALF_SPREAD_RANGE_FRACTION * 1e4 * span / days)
    return (
        float(np.rint(shares / days)),
        float(np.rint(1e6 * sigma) / 100.0),
        float(np.rint(half_spread_bps * 100.0) / 100.0),
    )


def statistics_history(
    high: Floats, low: Floats, close: Floats, volume: Floats, *, first_row: int = STATISTICS_ROWS - 1
) -> Floats:
    """`market_statistics` at every row from `first_row` on, by the same kernels.

    Parameters
    ----------
    high, low, close, volume : float64 (times, symbols)
        In one share term; NaN where there is no bar.

    Returns
    -------
    float64 (3, times - first_row, symbols)
    """
    rows, width = close.shape
    change, span = np.empty(rows * width), np.empty(rows * width)
    tops, bottoms, last, shares = (
        np.ascontiguousarray(values, dtype=np.float64).ravel() for values in (high, low, close, volume)
    )
    bar_measures(tops, bottoms, last, shares, width, change, span)
    out = np.empty((3, (rows - first_row) * width))
    statistics_rows(change, span, shares, width, first_row * width, np.empty((5, BLOCK)), out)
    return out.reshape(3, rows - first_row, width)


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
    if len(bars.ts_ns) < STATISTICS_ROWS:
        return MarketStatistics(*np.full((3, len(bars.symbols)), np.nan))
    cut = slice(len(bars.ts_ns) - STATISTICS_ROWS, None)
    present = bars.tradable[cut]
    parts = (np.where(present, part[cut], np.nan) for part in (bars.high, bars.low, bars.close, bars.volume))
    return MarketStatistics(*statistics_history(*parts)[:, 0])
