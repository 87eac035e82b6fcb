"""Quantile intervals against the definition, counted out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.tca.quantiles import PROBABILITIES, quantile_intervals


def miss(n: int, p: float, rank: int) -> float:
    """Probability that fewer than `rank` of n values lie below the quantile, term by term."""
    return sum(math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(rank))


@given(st.integers(1, 60), st.sampled_from(PROBABILITIES), st.sampled_from([0.5, 0.9, 0.99]))
def test_an_interval_covers_as_often_as_it_says_and_no_narrower_one_does(
    n: int, p: float, confidence: float
) -> None:
    values = np.arange(1.0, n + 1.0)  # a value is its own rank
    found = quantile_intervals(values[::-1], (p,), confidence=confidence).iloc[0]
    tail = (1.0 - confidence) / 2.0
    low = 0 if math.isnan(found["lower"]) else int(found["lower"])
    high = n + 1 if math.isnan(found["upper"]) else int(found["upper"])
    assert miss(n, p, low) <= tail + 1e-12
    assert 1.0 - miss(n, p, high) <= tail + 1e-12
    assert miss(n, p, low + 1) > tail - 1e-12
    assert 1.0 - miss(n, p, high - 1) > tail - 1e-12
    assert found["value"] == pytest.approx(np.quantile(values, p))


def test_nothing_is_known_of_nothing_and_missing_values_count_for_nothing() -> None:
    empty = quantile_intervals(np.array([]), confidence=0.9)
    assert empty[["value", "lower", "upper"]].isna().all(axis=None)
    assert empty["n"].tolist() == [0] * len(PROBABILITIES)
    full = quantile_intervals(np.arange(50.0), confidence=0.9)
    holed = quantile_intervals(np.append(np.arange(50.0), [np.nan, np.nan]), confidence=0.9)
    assert holed.equals(full)


@pytest.mark.parametrize(("probability", "confidence"), [(0.5, 1.0), (0.5, 0.0), (0.0, 0.9), (1.0, 0.9)])
def test_absurd_arguments_are_refused(probability: float, confidence: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        quantile_intervals(np.arange(5.0), (probability,), confidence=confidence)
