"""Every strategy that is offered meets the contract, as a feature and as a forecast."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from workbench.core.features import Feature
from workbench.core.strategies import Strategy
from workbench.testing.feature_checks import FEATURE_CHECKS
from workbench.testing.strategy_checks import STRATEGY_CHECKS


@pytest.mark.parametrize("check", FEATURE_CHECKS, ids=lambda check: check.__name__)
def test_a_strategy_meets_the_contract_of_features(
    one_strategy: Strategy, check: Callable[[Feature], str]
) -> None:
    """Its column is a feature like any other."""
    assert check(one_strategy.column) == ""


@pytest.mark.parametrize("check", STRATEGY_CHECKS, ids=lambda check: check.__name__)
def test_a_strategy_forecasts_returns(one_strategy: Strategy, check: Callable[[Strategy], str]) -> None:
    """Its numbers can be returns, and a session computes what a history shows."""
    assert check(one_strategy) == ""
