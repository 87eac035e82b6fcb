"""Where prices stand within their ranges, and the shape of the bars."""

from __future__ import annotations

import numpy as np

from workbench.core.features.arithmetic import mean, total
from workbench.core.features.definition import Window, feature
from workbench.core.types import Floats


@feature(
    "range_position_20",
    lookback=20,
    unit="fraction from 0 to 1",
    meaning="where the close lies between the lowest low and the highest high of 20 sessions",
)
def range_position(window: Window) -> Floats:
    """Where the close lies in the window's range: 0 at the low, 1 at the high (Lane's stochastic)."""
    low: Floats = np.minimum.reduce(window.low, axis=0)
    high: Floats = np.maximum.reduce(window.high, axis=0)
    position: Floats = (window.close[-1] - low) / (high - low)
    return position


@feature(
    "close_location_5",
    lookback=5,
    unit="fraction from -1 to 1",
    meaning="where the close lies in the window's summed daily ranges: -1 all lows, 1 all highs",
)
def close_location(window: Window) -> Floats:
    """Closes within their own bars, weighted by range (Chaikin); missing when no bar has a range."""
    location = total(2.0 * window.close - window.high - window.low)
    return location / total(window.high - window.low)


@feature("gap_1", lookback=2, unit="fraction", meaning="last open over the close before it, less one")
def gap(window: Window) -> Floats:
    """The latest return from close to open."""
    change: Floats = window.open[-1] / window.close[-2] - 1.0
    return change


@feature(
    "body_share_5",
    lookback=5,
    unit="fraction from 0 to 1",
    meaning="distances from open to close over the high-low ranges of 5 sessions",
)
def body_share(window: Window) -> Floats:
    """How much of the range was kept by the close; missing when no bar has a range."""
    return total(np.abs(window.close - window.open)) / total(window.high - window.low)


@feature(
    "range_mean_20",
    lookback=20,
    unit="fraction a day",
    meaning="mean of 20 high-low ranges over the middle of their bars",
)
def range_mean(window: Window) -> Floats:
    """Mean relative range, a volatility that sees the day (Parkinson 1980, without the logarithm)."""
    return mean((window.high - window.low) / (0.5 * (window.high + window.low)))


@feature(
    "range_trend_5_20",
    lookback=20,
    unit="fraction",
    meaning="mean high-low range of 5 sessions over that of 20, less one",
)
def range_trend(window: Window) -> Floats:
    """Whether ranges widen; missing when no bar has a range."""
    spans = window.high - window.low
    return mean(spans[-5:]) / mean(spans) - 1.0
