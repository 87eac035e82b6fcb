"""What has risen: returns over windows, distance from means and highs, persistence."""

from __future__ import annotations

import numpy as np

from workbench.core.features.arithmetic import changes, mean, total, true_deviation
from workbench.core.features.definition import Window, feature
from workbench.core.types import Floats


@feature("momentum_20", lookback=21, unit="fraction", meaning="return over 20 sessions")
@feature("momentum_60", lookback=61, unit="fraction", meaning="return over 60 sessions")
def momentum(window: Window) -> Floats:
    """Return over the window (Jegadeesh and Titman 1993, at a short horizon)."""
    change: Floats = window.close[-1] / window.close[0] - 1.0
    return change


@feature(
    "momentum_120_skip_20",
    lookback=121,
    unit="fraction",
    meaning="return over 120 sessions without the latest 20, which tend to reverse",
)
def momentum_skipping(window: Window) -> Floats:
    """Return from the window's first row to 20 rows before its last (Jegadeesh and Titman 1993)."""
    change: Floats = window.close[-21] / window.close[0] - 1.0
    return change


@feature("mean_distance_50", lookback=50, unit="fraction", meaning="close over its 50-session mean, less one")
def mean_distance(window: Window) -> Floats:
    """Distance of the close from its mean over the window."""
    distance: Floats = window.close[-1] / mean(window.close) - 1.0
    return distance


@feature(
    "mean_gap_10_50",
    lookback=50,
    unit="fraction",
    meaning="10-session mean of the close over its 50-session mean, less one",
)
def mean_gap(window: Window) -> Floats:
    """Gap between the short and the long moving mean (Brock, Lakonishok and LeBaron 1992)."""
    return mean(window.close[-10:]) / mean(window.close) - 1.0


@feature(
    "high_proximity_120",
    lookback=120,
    unit="fraction from -1 to 0",
    meaning="close over the highest high of 120 sessions, less one",
)
def high_proximity(window: Window) -> Floats:
    """Nearness to the window's high (George and Hwang 2004, 52 weeks there)."""
    highest: Floats = np.maximum.reduce(window.high, axis=0)
    proximity: Floats = window.close[-1] / highest - 1.0
    return proximity


@feature(
    "up_share_20",
    lookback=21,
    unit="fraction from 0 to 1",
    meaning="share of the last 20 sessions that closed higher",
)
def up_share(window: Window) -> Floats:
    """Share of rising sessions, a momentum that no single jump makes (Da, Gurun and Warachka 2014)."""
    rose: Floats = (window.close[1:] > window.close[:-1]).astype(np.float64)
    return mean(rose)


@feature(
    "steady_momentum_20",
    lookback=21,
    unit="ratio",
    meaning="mean daily return of 20 sessions over its standard deviation",
)
def steady_momentum(window: Window) -> Floats:
    """Mean return in units of its deviation; missing when the price never moved."""
    returns = changes(window.close)
    return total(returns) / len(returns) / true_deviation(returns)
