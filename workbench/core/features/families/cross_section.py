"""How a symbol compares with the others of the panel; missing when there is nothing to compare with."""

from __future__ import annotations

from workbench.core.features.arithmetic import changes, deviation, mean, middle, rank
from workbench.core.features.definition import Window, feature
from workbench.core.types import Floats

_RANK = "rank from -0.5 to 0.5"


@feature(
    "rank_momentum_20",
    lookback=21,
    unit=_RANK,
    meaning="rank of the return over 20 sessions among the symbols",
    compares_symbols=True,
)
@feature(
    "rank_momentum_60",
    lookback=61,
    unit=_RANK,
    meaning="rank of the return over 60 sessions among the symbols",
    compares_symbols=True,
)
def rank_momentum(window: Window) -> Floats:
    """Relative strength (Jegadeesh and Titman 1993)."""
    return rank(window.close[-1] / window.close[0])


@feature(
    "rank_reversal_5",
    lookback=6,
    unit=_RANK,
    meaning="rank of minus the return over 5 sessions among the symbols",
    compares_symbols=True,
)
def rank_reversal(window: Window) -> Floats:
    """Relative weakness (Lehmann 1990)."""
    return rank(-(window.close[-1] / window.close[0]))


@feature(
    "rank_volatility_20",
    lookback=21,
    unit=_RANK,
    meaning="rank of the deviation of 20 daily returns among the symbols",
    compares_symbols=True,
)
def rank_volatility(window: Window) -> Floats:
    """Which symbols move most (Ang et al. 2006)."""
    return rank(deviation(changes(window.close)))


@feature(
    "rank_value_traded_20",
    lookback=20,
    unit=_RANK,
    meaning="rank of the mean value traded in 20 sessions among the symbols",
    compares_symbols=True,
)
def rank_value_traded(window: Window) -> Floats:
    """Which symbols are traded most (Brennan, Chordia and Subrahmanyam 1998)."""
    return rank(mean(window.close * window.volume))


@feature(
    "relative_return_5",
    lookback=6,
    unit="fraction",
    meaning="return over 5 sessions less the median of the symbols",
    compares_symbols=True,
)
def relative_return(window: Window) -> Floats:
    """The part of the return that the others did not share."""
    change: Floats = window.close[-1] / window.close[0] - 1.0
    return change - middle(change)
