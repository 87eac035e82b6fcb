"""Drift on real history: what a stated error rate does when nothing but the order of years was changed."""

from __future__ import annotations

import runpy

import numpy as np
import pytest
from drift_history import REFERENCE, STREAM, dealt, filtered, returns
from scipy.stats import binom

import workbench as wb

PERMUTATIONS, ALPHA = 500, 0.05


@pytest.mark.prove
def test_alarms_on_history_in_another_order_are_as_many_as_stated() -> None:
    """The market's filtered return, permuted in stationary blocks of mean 250 sessions, and then split.

    The alarm rates of the comparison and of the CUSUM lie inside the 99 % binomial interval around 5 %.
    """
    market = filtered(returns().mean(axis=1).to_frame("market"), slice("1993", "2003"))["market"].to_numpy()
    rng = np.random.default_rng(1)
    batch = sequential = 0
    for seed in range(PERMUTATIONS):
        order = dealt(len(market), rng)[: REFERENCE + STREAM]
        before, after = market[order[:REFERENCE]], market[order[REFERENCE:]]
        batch += wb.drift.compare(before, after, alpha=ALPHA).drifted
        detector = wb.drift.SequentialDetector(
            "cusum", alpha=ALPHA, horizon=STREAM, min_reference=500, block_length=None, seed=seed
        ).fit(before)
        sequential += any([detector.update(value) for value in after])
    low, high = binom.interval(0.99, PERMUTATIONS, ALPHA)
    assert low <= batch <= high, batch
    assert low <= sequential <= high, sequential


def test_a_deal_of_history_repeats_and_loses_nothing() -> None:
    order = dealt(3_000, np.random.default_rng(2))
    assert sorted(order) == list(range(3_000))
    assert (np.diff(order) == 1).mean() > 0.98
    assert not (np.diff(order) == 1).all()


def test_the_page_of_error_rates_is_what_its_figures_say(request: pytest.FixtureRequest) -> None:
    folder = request.config.rootpath / "docs" / "reference"
    for name, text in runpy.run_path(str(folder / "build_drift_rates.py"))["pages"]().items():
        assert (folder / name).read_text(encoding="utf-8") == text, "run: docs/reference/build_drift_rates.py"
