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

    The alarm rate of the comparison lies inside the 99 % binomial interval around 5 %. The CUSUM's does not:
    see docs/reference/drift-history.md.
    """
    market = filtered(returns().mean(axis=1).to_frame("market"), slice("1993", "2003"))["market"].to_numpy()
    rng = np.random.default_rng(1)
    alarms = 0
    for _ in range(PERMUTATIONS):
        order = dealt(len(market), rng)[: REFERENCE + STREAM]
        before, after = market[order[:REFERENCE]], market[order[REFERENCE:]]
        alarms += wb.drift.compare(before, after, alpha=ALPHA).drifted
    low, high = binom.interval(0.99, PERMUTATIONS, ALPHA)
    assert low <= alarms <= high, alarms


def test_a_deal_of_history_repeats_and_loses_nothing() -> None:
    order = dealt(3_000, np.random.default_rng(2))
    assert sorted(order) == list(range(3_000))
    assert (np.diff(order) == 1).mean() > 0.98
    assert not (np.diff(order) == 1).all()


def test_the_page_of_error_rates_is_what_its_figures_say(request: pytest.FixtureRequest) -> None:
    folder = request.config.rootpath / "docs" / "reference"
    for name, text in runpy.run_path(str(folder / "build_drift_rates.py"))["pages"]().items():
        assert (folder / name).read_text(encoding="utf-8") == text, "run: docs/reference/build_drift_rates.py"
