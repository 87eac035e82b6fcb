"""How much prices move, on which side, and how unevenly."""

from __future__ import annotations

import numpy as np

from workbench.core.features.arithmetic import changes, deviation, mean, total, true_deviation
from workbench.core.features.definition import Window, feature
from workbench.core.types import Floats


@feature("volatility_20", lookback=21, unit="fraction a day", meaning="deviation of 20 daily returns")
@feature("volatility_60", lookback=61, unit="fraction a day", meaning="deviation of 60 daily returns")
def volatility(window: Window) -> Floats:
    """Sample standard deviation of simple daily returns."""
    return deviation(changes(window.close))


@feature(
    "volatility_ratio_5_20",
    lookback=21,
    unit="ratio",
    meaning="deviation of the last 5 daily returns over that of 20, less one",
)
def volatility_ratio(window: Window) -> Floats:
    """How the latest volatility compares with that of the window; missing when nothing moved."""
    returns = changes(window.close)
    return deviation(returns[-5:]) / true_deviation(returns) - 1.0


@feature(
    "downside_volatility_20",
    lookback=21,
    unit="fraction a day",
    meaning="root mean square of 20 daily returns, gains counted as zero",
)
def downside_volatility(window: Window) -> Floats:
    """Semideviation around zero (Ang, Chen and Xing 2006)."""
    losses = np.minimum(changes(window.close), 0.0)
    root: Floats = np.sqrt(mean(losses * losses))
    return root


@feature("max_return_20", lookback=21, unit="fraction", meaning="highest daily return of 20 sessions")
def max_return(window: Window) -> Floats:
    """Lottery-like jumps (Bali, Cakici and Whitelaw 2011)."""
    highest: Floats = np.maximum.reduce(changes(window.close), axis=0)
    return highest


@feature("skewness_20", lookback=21, unit="ratio", meaning="skewness of 20 daily returns")
def skewness(window: Window) -> Floats:
    """Third central moment over the cube of the population deviation; missing when nothing moved."""
    returns = changes(window.close)
    away = returns - total(returns) / len(returns)
    n = len(returns)
    scale = true_deviation(returns) * np.sqrt((n - 1) / n)
    ratio: Floats = mean(away * away * away) / (scale * scale * scale)
    return ratio
