"""What is judged: all that installed packages offer; `-k NAME` takes those of that name."""

from __future__ import annotations

import pytest

from workbench.testing.offered import brokers, features_and_strategies


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each feature, strategy or broker that is judged."""
    features, strategies = features_and_strategies()
    if "one_feature" in metafunc.fixturenames:
        metafunc.parametrize("one_feature", features, ids=lambda one: one.name)
    if "one_strategy" in metafunc.fixturenames:
        metafunc.parametrize("one_strategy", strategies, ids=lambda one: one.name)
    if "broker_maker" in metafunc.fixturenames:
        makers = brokers()
        metafunc.parametrize("broker_maker", makers.values(), ids=list(makers))
