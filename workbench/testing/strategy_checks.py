"""What every strategy has to be besides a feature: its numbers are returns that can be believed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from workbench.core.strategies import Strategy, forecast_history
from workbench.testing.feature_checks import SEEDS, bars_for, troubles
from workbench.testing.panels import changed

MOST = 1.0  #: beyond -100 % or +100 % the policy takes a forecast for missing


def forecasts_no_return(one: Strategy) -> str:
    """Values that cannot be returns over the horizon."""
    for seed in SEEDS:
        values = forecast_history(one, bars_for(one.column, seed))[one.column.lookback - 1 :]
        if not np.all(np.abs(values) < MOST):
            return f"a forecast of {float(np.max(np.abs(values))):g} is no return"
    return ""


def forecasts_the_same_for_all(one: Strategy) -> str:
    """One value whatever the bars: there is nothing to trade on."""
    values = [forecast_history(one, bars_for(one.column, seed))[-1] for seed in SEEDS]
    return "the forecast never depends on the bars" if len({row.tobytes() for row in values}) == 1 else ""


def differs_in_a_session(one: Strategy) -> str:
    """A row of a history that is not what a session computes from the bars up to it."""
    bars = bars_for(one.column, 3)
    whole = forecast_history(one, changed(bars, 60, 2, tradable=False))
    for row in (one.column.lookback - 1, len(bars.ts_ns) // 2, len(bars.ts_ns) - 1):
        known = changed(bars, 60, 2, tradable=False).rows(0, row + 1)
        if forecast_history(one, known)[-1].tobytes() != whole[row].tobytes():
            return f"row {row} of a history is not the forecast of that session"
    return ""


STRATEGY_CHECKS: tuple[Callable[[Strategy], str], ...] = (
    forecasts_no_return,
    forecasts_the_same_for_all,
    differs_in_a_session,
)


def strategy_troubles(one: Strategy) -> tuple[str, ...]:
    """What every check says of the strategy and of its column; empty when it meets the contract.

    Examples
    --------
    >>> from workbench.extending import Feature, Strategy
    >>> from workbench.testing import strategy_troubles
    >>> rule = Strategy("fade", 1, Feature("fade", 2, lambda window: 1.0 - window.close[1] / window.close[0]))
    >>> strategy_troubles(rule)
    ()
    """
    own = tuple(f"{check.__name__}: {said}" for check in STRATEGY_CHECKS if (said := check(one)))
    return troubles(one.column) + own
