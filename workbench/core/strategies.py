"""Rules that forecast, found by registration: what somebody outside the package writes as a strategy.

A rule becomes a column of the model like any feature: the desk trains how much of it to believe, the same
detectors, gates and controls judge it, and no second path leads to an order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from workbench.core.features import Feature, compute_history, feature
from workbench.core.features.definition import FeatureFunction
from workbench.core.types import MICRO, Bars, Floats


@dataclass(frozen=True)
class Strategy:
    """A rule that forecasts from the last bars.

    Attributes
    ----------
    name : str
        Of the rule and of the model's column.
    horizon_sessions : int
        Exchange sessions over which the forecast return is earned.
    column : Feature
        The rule as a column of a model.
    """

    name: str
    horizon_sessions: int
    column: Feature


_REGISTRY: dict[str, Strategy] = {}


def strategy(
    name: str, *, lookback: int, horizon_sessions: int, meaning: str, compares_symbols: bool = False
) -> Callable[[FeatureFunction], FeatureFunction]:
    """Register the decorated rule as a strategy and as the model's column of that name.

    Parameters
    ----------
    name : str
        Lower-case words joined by underscores; unique among all features.
    lookback : int
        Rows of the window that the rule is given, the described row included.
    horizon_sessions : int
        Exchange sessions over which the forecast return is earned.
    meaning : str
        One line for people.
    compares_symbols : bool, default False
        The value depends on the other symbols of the panel.

    Raises
    ------
    ValueError
        The name is taken, nothing is described, or the horizon is below one session.

    Examples
    --------
    >>> from workbench.extending import strategy
    >>> @strategy("doc_reversal", lookback=2, horizon_sessions=1, meaning="half of yesterday comes back")
    ... def reversal(window):
    ...     return 0.5 * (window.close[0] / window.close[1] - 1.0)
    """
    if horizon_sessions < 1:
        raise ValueError(f"strategy {name!r} must look at least one session ahead")
    unit = f"fraction over {horizon_sessions} sessions"
    enter = feature(name, lookback=lookback, unit=unit, meaning=meaning, compares_symbols=compares_symbols)

    def register(function: FeatureFunction) -> FeatureFunction:
        enter(function)
        family = function.__module__.rpartition(".")[2]
        column = Feature(name, lookback, function, family, unit, meaning, compares_symbols)
        _REGISTRY[name] = Strategy(name, horizon_sessions, column)
        return function

    return register


def registered_strategies() -> tuple[Strategy, ...]:
    """Every strategy that was registered, sorted by name; none until a package with one is loaded.

    Examples
    --------
    >>> from workbench.extending import registered_strategies
    >>> isinstance(registered_strategies(), tuple)
    True
    """
    return tuple(_REGISTRY[name] for name in sorted(_REGISTRY))


def forecast_history(one: Strategy, bars: Bars) -> Floats:
    """Forecasts of the rule at every bar, float64 (times, symbols), as `simulate` takes them.

    Parameters
    ----------
    one : Strategy
    bars : Bars
        Adjusted bars; a row's forecast sees that row and those before it, never a later one.

    Returns
    -------
    float64 (times, symbols)
        Expected return over the horizon as a fraction, on the grid of 1e-6; NaN where a bar is missing.

    Examples
    --------
    >>> from workbench.core.validation.guard import reference_bars
    >>> from workbench.extending import Feature, Strategy, forecast_history
    >>> rule = Strategy("fade", 1, Feature("fade", 2, lambda window: 1.0 - window.close[1] / window.close[0]))
    >>> forecast_history(rule, reference_bars([rule.column]))[1:].shape
    (41, 5)
    """
    values = compute_history([one.column], bars)[:, :, 0]
    grid: Floats = np.round(values * MICRO) / MICRO + 0.0  # + 0.0: no negative zero
    return grid
