"""What went too far: short returns with the sign turned, split by when in the day they were earned."""

from __future__ import annotations

from workbench.core.features.arithmetic import mean, total, true_deviation
from workbench.core.features.definition import Window, feature
from workbench.core.types import Floats


@feature("reversal_1", lookback=2, unit="fraction", meaning="minus the return of the last session")
@feature("reversal_5", lookback=6, unit="fraction", meaning="minus the return over 5 sessions")
def reversal(window: Window) -> Floats:
    """Minus the return over the window (Lehmann 1990)."""
    change: Floats = 1.0 - window.close[-1] / window.close[0]
    return change


@feature(
    "overnight_reversal_5",
    lookback=6,
    unit="fraction",
    meaning="minus the sum of 5 returns from close to the next open",
)
def overnight_reversal(window: Window) -> Floats:
    """Minus the overnight part of the return (Lou, Polk and Skouras 2019)."""
    return total(1.0 - window.open[1:] / window.close[:-1])


@feature(
    "intraday_reversal_5",
    lookback=5,
    unit="fraction",
    meaning="minus the sum of 5 returns from open to close",
)
def intraday_reversal(window: Window) -> Floats:
    """Minus the intraday part of the return (Lou, Polk and Skouras 2019)."""
    return total(1.0 - window.close / window.open)


@feature(
    "mean_reversion_10",
    lookback=10,
    unit="standard deviations",
    meaning="minus the close's distance from its 10-session mean",
)
def mean_reversion(window: Window) -> Floats:
    """Minus the standardised distance from the mean (Bollinger 1992); missing for a flat price."""
    distance: Floats = (mean(window.close) - window.close[-1]) / true_deviation(window.close)
    return distance
