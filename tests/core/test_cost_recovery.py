"""A cost model finds known costs again: coverage, width, bias and gross errors, from another code path."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from own_fills import (
    EXPONENT,
    HALF_SPREAD_BPS,
    IMPACT,
    SPREAD_MULTIPLE,
    VOLATILITY_BPS,
    Truth,
    draw,
    expected,
)

from workbench.costs import CostModel, fit_cost_model

AS_OF = "2026-06-01"
PARTICIPATIONS = (0.001, 0.01, 0.05)
ADV = 1e8
RUNS = 200


def fitted(records: pd.DataFrame) -> CostModel:
    return fit_cost_model(records, as_of=AS_OF, min_fills=100)


def predictions(model: CostModel) -> np.ndarray:
    """Mean, lower and upper at each participation, shape (3, 3)."""
    facts = {"adv": ADV, "volatility_bps": VOLATILITY_BPS, "half_spread_bps": HALF_SPREAD_BPS}
    found = [model.expected_bps("S000", "buy", int(share * ADV), **facts) for share in PARTICIPATIONS]
    return np.array([(one.mean, one.lower, one.upper) for one in found])


@dataclass(frozen=True)
class Run:
    """One drawn history: intervals (rows: estimate, lower, upper), truths and Cramer-Rao errors."""

    intervals: np.ndarray
    truths: np.ndarray
    errors: np.ndarray
    moved: np.ndarray


def run(fills: int, seed: int) -> Run:
    truth = draw(fills, seed)
    model = fitted(truth.records)
    parameters = model.parameters
    own = [
        (i.estimate, i.lower, i.upper) for i in (parameters.spread_multiple, parameters.impact_coefficient)
    ]
    intervals = np.concatenate([np.array(own), predictions(model)])
    truths = np.array([SPREAD_MULTIPLE, IMPACT, *(expected(share) for share in PARTICIPATIONS)])
    points = [(1.0, 0.0), (0.0, 1.0), *((HALF_SPREAD_BPS, VOLATILITY_BPS * p**0.5) for p in PARTICIPATIONS)]
    errors = np.array([math.sqrt(np.array(at) @ truth.bound @ np.array(at)) for at in points])
    soiled = predictions(fitted(with_gross_errors(truth, seed)))[:, 0]
    half = (intervals[2:, 2] - intervals[2:, 1]) / 2.0
    return Run(intervals, truths, errors, np.abs(soiled - intervals[2:, 0]) / half)


def with_gross_errors(truth: Truth, seed: int) -> pd.DataFrame:
    """The records, and one in twenty again with a price wrong by 10 % to 100 %."""
    rng = np.random.Generator(np.random.Philox(seed + 10_000))
    again = truth.records.iloc[rng.integers(0, len(truth.records), len(truth.records) // 20)].copy()
    again["cost_bps"] += rng.uniform(1_000.0, 10_000.0, len(again)) * rng.choice([1.0, 1.0, -1.0], len(again))
    return pd.concat([truth.records, again], ignore_index=True)


def covered(runs: list[Run]) -> np.ndarray:
    """In how many runs each interval holds its truth."""
    inside = [(r.intervals[:, 1] <= r.truths) & (r.truths <= r.intervals[:, 2]) for r in runs]
    return np.sum(inside, axis=0)


def histories(fills: int, count: int) -> Iterator[Run]:
    return (run(fills, seed) for seed in range(count))


def hold(runs: list[Run], low: int, high: int) -> None:
    counts = covered(runs)
    assert np.all((low <= counts) & (counts <= high)), counts
    width = np.array([(r.intervals[:, 2] - r.intervals[:, 1]) / 2.0 / (1.645 * r.errors) for r in runs])
    assert np.all(np.median(width, axis=0) <= 1.5), np.median(width, axis=0)
    assert np.all(np.median([r.moved for r in runs], axis=0) < 0.25)


@pytest.mark.parametrize("fills", [500, 5_000])
def test_a_few_histories_are_found_again(fills: int) -> None:
    runs = list(histories(fills, 20))
    hold(runs, 14, 20)  # of 20 runs at 90 %: fewer than 14 in one of four hundred
    mean = np.mean([r.intervals[:, 0] for r in runs], axis=0)
    room = 4.0 * runs[0].errors / math.sqrt(len(runs))
    assert np.all(np.abs(mean - runs[0].truths) < room), (mean, room)


@pytest.mark.prove
@pytest.mark.parametrize("fills", [500, 5_000, 50_000])
def test_two_hundred_histories_are_found_again_as_often_as_stated(fills: int) -> None:
    runs = list(histories(fills, RUNS))
    moved = np.array([r.moved for r in runs])
    print(fills, "covered", covered(runs), "moved", np.quantile(moved, [0.5, 0.95, 1.0], axis=0))
    hold(runs, 171, 188)
    assert np.all(np.quantile(moved, 0.95, axis=0) < 0.25)


@pytest.mark.prove
@pytest.mark.parametrize(("fills", "count"), [(500, 2_000), (5_000, 400), (50_000, 100)])
def test_the_conditional_mean_is_not_biased(fills: int, count: int) -> None:
    """More histories where one says less: the mean of 2,000 is known to 2 % at 1 % participation."""
    means = np.mean([predictions(fitted(draw(fills, seed).records))[:, 0] for seed in range(count)], axis=0)
    truths = np.array([expected(share) for share in PARTICIPATIONS])
    print(fills, "bias", means / truths - 1.0)
    assert np.all(np.abs(means / truths - 1.0) < 0.10)


@pytest.mark.prove
def test_an_exponent_that_large_orders_identify_is_covered_too() -> None:
    models = [fitted(draw(5_000, seed, largest=0.05).records) for seed in range(RUNS)]
    assert all(model.parameters.identified for model in models)
    exponents = [model.parameters.exponent for model in models]
    inside = [one.lower <= EXPONENT <= one.upper for one in exponents]
    truths = np.array([expected(share) for share in PARTICIPATIONS])
    bands = np.array([predictions(model) for model in models])
    counts = np.sum((bands[:, :, 1] <= truths) & (truths <= bands[:, :, 2]), axis=0)
    print("exponent", sum(inside), "predictions", counts)
    assert 171 <= sum(inside) <= 188
    assert np.all((counts >= 171) & (counts <= 188))
