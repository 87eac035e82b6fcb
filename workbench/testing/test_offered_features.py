"""Every feature that is offered meets the contract."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from workbench.core.features import Feature
from workbench.testing.feature_checks import FEATURE_CHECKS


@pytest.mark.parametrize("check", FEATURE_CHECKS, ids=lambda check: check.__name__)
def test_a_feature_meets_the_contract(one_feature: Feature, check: Callable[[Feature], str]) -> None:
    """Causal, pure, local in time, free of order and scale, missing where a bar is missing."""
    assert check(one_feature) == ""


def test_a_feature_is_described(one_feature: Feature) -> None:
    """For people who read a report in a year."""
    assert one_feature.unit
    assert one_feature.meaning
    assert one_feature.function.__doc__, "its function says nothing about itself"
