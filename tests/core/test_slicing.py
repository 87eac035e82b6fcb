"""Children of a change: they sum to it, keep the limit of one order, and fall due on the schedule."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core.costs import almgren_chriss
from workbench.core.slicing import LEAST_SLICES, MOST_SLICES, plan_slices

HOURS_NS = 23_400 * 10**9
FACTS = {
    "begin_ns": 0, "end_ns": HOURS_NS, "price": 50.0, "volatility_bps": 200.0, "impact_bps": 5.0,
    "half_spread_bps": 1.0, "risk_aversion": 2e-5,
}  # fmt: skip


@settings(max_examples=150)
@given(
    st.integers(1, 200_000), st.integers(1, 50_000), st.floats(0.0, 1e-2), st.floats(0.0, 500.0),
    st.floats(-5.0, 300.0),
)  # fmt: skip
def test_children_sum_to_the_change_and_none_exceeds_the_limit(
    shares: int, most: int, risk_aversion: float, volatility: float, impact: float
) -> None:
    given_facts = {
        **FACTS,
        "risk_aversion": risk_aversion,
        "volatility_bps": volatility,
        "impact_bps": impact,
    }
    plan = plan_slices(shares, most_shares=most, **given_facts)
    if shares <= most or shares / most > MOST_SLICES:
        assert plan == ()
        return
    if not plan:
        assert shares / most > MOST_SLICES - 2, "only what is far too large stays whole"
        return
    assert sum(one.shares for one in plan) == shares
    assert max(one.shares for one in plan) <= most
    assert min(one.shares for one in plan) >= 1
    due = [one.due_ns for one in plan]
    assert due == sorted(set(due))
    assert 0 <= due[0] < due[-1] < HOURS_NS


def test_the_sizes_are_those_of_the_published_schedule() -> None:
    plan = plan_slices(1_000, most_shares=400, **FACTS)
    oracle = almgren_chriss(
        shares=1_000, horizon=1.0, periods=LEAST_SLICES, volatility=1.0, eta=5e-4 * 50.0 / 1_000, gamma=0.0,
        epsilon=0.005, risk_aversion=2e-5,
    )  # fmt: skip
    assert oracle.slices().max() <= 400
    assert [one.shares for one in plan] == oracle.slices().tolist()
    assert [one.due_ns for one in plan] == [at * HOURS_NS // LEAST_SLICES for at in range(LEAST_SLICES)]


def test_more_aversion_trades_earlier_and_none_trades_evenly() -> None:
    even = plan_slices(1_200, most_shares=1_000, **{**FACTS, "risk_aversion": 0.0})
    assert [one.shares for one in even] == [300, 300, 300, 300]
    first = [
        plan_slices(1_200, most_shares=1_000, **{**FACTS, "risk_aversion": aversion})[0].shares
        for aversion in (0.0, 1e-5, 1e-4, 1e-3, 1e-2)
    ]
    assert first == sorted(first)
    assert first[0] < first[-1]


def test_the_limit_comes_before_the_schedule() -> None:
    plan = plan_slices(1_000, most_shares=251, **{**FACTS, "risk_aversion": 1.0})
    assert max(one.shares for one in plan) <= 251


@pytest.mark.parametrize("name", [name for name in FACTS if not name.endswith("_ns")])
def test_what_is_not_known_leaves_the_change_whole(name: str) -> None:
    assert plan_slices(1_000, most_shares=400, **{**FACTS, name: math.nan}) == ()
    assert plan_slices(1_000, most_shares=0, **FACTS) == ()
    assert plan_slices(1_000, most_shares=400, **{**FACTS, "end_ns": 0}) == ()
    assert np.isfinite(plan_slices(1_000, most_shares=400, **FACTS)[0].due_ns)
