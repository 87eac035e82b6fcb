"""Drift on real history: what a stated error rate does when nothing but the order of years was changed."""

from __future__ import annotations

import runpy

import numpy as np
import pandas as pd
import pytest
from drift_history import REFERENCE, STREAM, dealt, filtered, returns
from scipy.stats import binom

import workbench as wb

PERMUTATIONS, ALPHA = 500, 0.05
FIT_ON = slice("1993", "2003")
#: Sessions in the block of a session, on average: twice the mean length where lengths follow a geometric law.
BLOCK = 500
HORIZON = 252


def as_stated(alarms: int) -> bool:
    """Whether so many alarms of so many permutations lie in the 99 % binomial interval around 5 %."""
    low, high = binom.interval(0.99, PERMUTATIONS, ALPHA)
    return bool(low <= alarms <= high)


@pytest.mark.prove
def test_all_columns_of_history_in_another_order_alarm_as_often_as_stated() -> None:
    """All 20 companies, filtered, permuted together in stationary blocks of mean 250, then halved."""
    table, rng = companies(), np.random.default_rng(1)
    alarms = sum(alarm_of_halves(table, rng) for _ in range(PERMUTATIONS))
    assert as_stated(alarms), alarms


@pytest.mark.prove
def test_the_chart_on_history_in_another_order_alarms_as_often_as_stated() -> None:
    """The market's CUSUM, calibrated on three years of permuted sessions, in the year after them."""
    values, rng = market(), np.random.default_rng(21)
    alarms = sum(alarm_of_chart(values, rng, HORIZON, seed) for seed in range(PERMUTATIONS))
    assert as_stated(alarms), alarms


@pytest.mark.prove
def test_three_years_of_the_market_in_another_order_alarm_as_often_as_stated() -> None:
    """One series over three and three years, with the blocks that `compare` takes by itself."""
    values, rng = market(), np.random.default_rng(1)
    alarms = 0
    for _ in range(PERMUTATIONS):
        order = dealt(len(values), rng)[: REFERENCE + STREAM]
        before, after = values[order[:REFERENCE]], values[order[REFERENCE:]]
        alarms += wb.drift.compare(before, after, alpha=ALPHA).drifted
    assert as_stated(alarms), alarms


def companies() -> pd.DataFrame:
    return filtered(returns(), FIT_ON)


def market() -> np.ndarray:
    values: np.ndarray = filtered(returns().mean(axis=1).to_frame("market"), FIT_ON)["market"].to_numpy()
    return values


def alarm_of_halves(table: pd.DataFrame, rng: np.random.Generator) -> bool:
    half = len(table) // 2
    other = table.iloc[dealt(len(table), rng)].reset_index(drop=True)  # without dates that run backwards
    return wb.drift.compare(other[:half], other[half:], alpha=ALPHA, block_length=BLOCK).drifted


def alarm_of_chart(values: np.ndarray, rng: np.random.Generator, horizon: int, seed: int) -> bool:
    other = values[dealt(len(values), rng)]
    chart = wb.drift.SequentialDetector(
        "cusum", alpha=ALPHA, horizon=horizon, min_reference=REFERENCE, block_length=None, seed=seed
    ).fit(other[:REFERENCE])
    return any(chart.update(float(value)) for value in other[REFERENCE : REFERENCE + horizon])


def test_a_few_permutations_are_judged_and_a_change_is_seen() -> None:
    table, values = companies(), market()
    rng = np.random.default_rng(1)
    assert sum(alarm_of_halves(table, rng) for _ in range(20)) <= 4  # more happen once in 400 times
    rng = np.random.default_rng(21)
    assert sum(alarm_of_chart(values, rng, HORIZON, seed) for seed in range(20)) <= 4
    half = len(table) // 2
    moved = table.copy()
    moved.iloc[half:] += 1.0
    assert wb.drift.compare(moved.iloc[:half], moved.iloc[half:], alpha=ALPHA, block_length=BLOCK).drifted


def test_a_deal_of_history_repeats_and_loses_nothing() -> None:
    order = dealt(3_000, np.random.default_rng(2))
    assert sorted(order) == list(range(3_000))
    assert (np.diff(order) == 1).mean() > 0.98
    assert not (np.diff(order) == 1).all()


def test_the_page_of_error_rates_is_what_its_figures_say(request: pytest.FixtureRequest) -> None:
    folder = request.config.rootpath / "docs" / "reference"
    for name, text in runpy.run_path(str(folder / "build_drift_rates.py"))["pages"]().items():
        assert (folder / name).read_text(encoding="utf-8") == text, "run: docs/reference/build_drift_rates.py"
