"""Differences of two runs, by cause: exact sums against equity, and each cause where only it differs."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench as wb
from workbench.core.divergence import CAUSES, Cell, explain, smallest_detectable_loss
from workbench.core.gates import Gate, ReleaseVerdict, judged_once
from workbench.core.robustness import capacity_gate, degradation_gate, sensitivity_gate

DAYS = ("2020-01-02", "2020-01-03", "2020-01-06")
BASE = Cell(
    session=DAYS[0], symbol="A", inputs="i", features="f", forecast_micro=5, target_shares=10,
    denied_shares=0, filled_shares=10, spent_micro=1_000, fee_micro=0, filled_ns=1, position_shares=10,
    mark_micro=110,
)  # fmt: skip


def side(draw, marks):
    """A run from flat books: wanted changes, some denied, some not filled, at prices near the marks."""
    cells, position = [], 0
    for day, mark in zip(DAYS, marks, strict=True):
        target = draw(st.integers(-20, 20))
        wanted = target - position
        denied = draw(st.sampled_from([0, 0, wanted]))
        allowed = wanted - denied
        filled = allowed if abs(allowed) < 2 else draw(st.sampled_from([allowed, allowed // 2, 0]))
        price = mark + draw(st.integers(-5, 5))
        position += filled
        cells.append(Cell(
            session=day, symbol="A", inputs=draw(st.sampled_from("ij")), features=draw(st.sampled_from("fg")),
            forecast_micro=draw(st.integers(0, 1)), target_shares=target, denied_shares=denied,
            filled_shares=filled, spent_micro=filled * price,
            fee_micro=draw(st.integers(0, 3)) * bool(filled),
            filled_ns=draw(st.integers(1, 2)) if filled else 0, position_shares=position, mark_micro=mark,
        ))  # fmt: skip
    return cells


def profit(cells):
    cash = -sum(cell.spent_micro + cell.fee_micro for cell in cells)
    return cash + cells[-1].position_shares * cells[-1].mark_micro


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.data())
def test_the_causes_sum_to_the_difference_of_what_was_earned_to_the_micro(data):
    marks = [data.draw(st.integers(50, 150)) for _ in DAYS]
    ours, theirs = side(data.draw, marks), side(data.draw, marks)
    found = explain(ours, theirs)
    assert found.total_micro == profit(theirs) - profit(ours) == sum(found.by_cause_micro.values())
    assert set(found.by_cause_micro) == set(CAUSES)
    back = explain(theirs, ours)
    assert back.total_micro == -found.total_micro
    assert explain(ours, ours).first == ""


@pytest.mark.parametrize(
    ("cause", "changes"),
    [
        ("data", {"inputs": "j", "target_shares": 12, "filled_shares": 12, "spent_micro": 1_200}),
        ("features", {"features": "g", "target_shares": 12, "filled_shares": 12, "spent_micro": 1_200}),
        ("forecast", {"forecast_micro": 6, "target_shares": 12, "filled_shares": 12, "spent_micro": 1_200}),
        ("policy", {"target_shares": 12, "filled_shares": 12, "spent_micro": 1_200}),
        ("controls", {"denied_shares": 10, "filled_shares": 0, "spent_micro": 0, "filled_ns": 0}),
        ("fills", {"filled_shares": 5, "spent_micro": 500}),
        ("fills", {"spent_micro": 1_010}),
        ("timing", {"spent_micro": 1_010, "filled_ns": 2}),
    ],
)
def test_a_difference_belongs_to_the_first_stage_that_differs(cause, changes):
    other = dataclasses.replace(BASE, **changes)
    other = dataclasses.replace(other, position_shares=other.filled_shares)
    found = explain([BASE], [other])
    assert [name for name, micro in found.by_cause_micro.items() if micro] == [cause]
    assert found.first == f"A in {DAYS[0]}: {'fills' if cause == 'timing' else cause}"


def test_sides_that_cannot_be_laid_beside_each_other_are_refused():
    later = dataclasses.replace(BASE, session=DAYS[1])
    with pytest.raises(ValueError, match="only one side has A in 2020-01-03"):
        explain([BASE], [BASE, later])
    with pytest.raises(ValueError, match="stands twice"):
        explain([BASE, BASE], [BASE])
    with pytest.raises(ValueError, match="different prices"):
        explain([BASE], [dataclasses.replace(BASE, mark_micro=111)])


def test_sixty_sessions_cannot_tell_a_sharpe_ratio_of_one_and_a_half_from_none():
    daily = 0.01
    (loss,) = wb.overfitting.detectable_loss([60], daily_deviation_bps=daily * 1e4)
    assert loss / (daily * 1e4) * 252**0.5 > 4.9  # as an annual Sharpe ratio
    drawn = np.tile([1.0, -1.0], 30)
    assert smallest_detectable_loss(drawn) == pytest.approx(2.4865 * 60**-0.5 * drawn.std(ddof=1), rel=1e-4)
    assert smallest_detectable_loss(np.ones(1)) == float("inf")
    with pytest.raises(ValueError, match="at least 1"):
        wb.overfitting.detectable_loss([0], daily_deviation_bps=1.0)


# --- gates on their own ---------------------------------------------------------------------------------


def test_a_peak_is_refused_and_a_plateau_passes():
    assert sensitivity_gate(1.0, {"a": 0.9, "b": 0.8, "c": 0.7}).passed
    (reason,) = sensitivity_gate(1.0, {"a": 0.9, "b": 0.2, "c": 0.1}).reasons
    assert "stands on a peak" in reason
    (reason,) = sensitivity_gate(1.0, {"a": 0.9, "b": 0.8, "horizon 6": -0.1}).reasons
    assert reason == "with horizon 6 its Sharpe ratio is -0.10"
    for own, neighbours in ((-0.1, {"a": 0.2}), (1.0, {}), (1.0, {"a": float("nan")})):
        assert not sensitivity_gate(own, neighbours).passed


def test_each_stress_and_each_kind_of_market_can_refuse_alone():
    draw = np.random.default_rng(1)
    own = 0.001 + draw.normal(0.0, 0.005, 400)
    half = np.arange(400) < 200
    fine = {"costs x 2": own - 0.0002, "noise 1": own * 0.9, "without A": own - 0.0001}
    assert degradation_gate(own, fine, {"calm": half}).passed
    for name, worse in (("costs x 2", own - 0.002), ("noise 1", own - 0.0008), ("without A", own * np.nan)):
        (reason,) = degradation_gate(own, {**fine, name: worse}, {}).reasons
        assert f"under {name}" in reason
    bad = own - 0.004 * half
    assert any("in calm it loses" in reason for reason in degradation_gate(bad, {}, {"calm": half}).reasons)
    few = degradation_gate(own, {}, {"calm": np.arange(400) < 59})
    assert few.numbers["calm"] == "not judged, 59 sessions"


def test_capacity_needs_volume_and_room():
    share, earns = np.full(100, 0.001), {1.0: np.array([0.01, 0.02]), 4.0: np.array([-0.01, -0.02])}
    gate = capacity_gate(share, earns, max_participation=0.02, notional_usd=1e4)
    assert gate.passed
    assert gate.numbers["capacity of one order, USD"] == 1e4
    assert (
        "no volume" in capacity_gate(share * np.nan, {}, max_participation=0.02, notional_usd=1e4).reasons[0]
    )
    assert (
        "the desk allows" in capacity_gate(share, earns, max_participation=1e-4, notional_usd=1.0).reasons[0]
    )
    poor = capacity_gate(share, {1.0: np.array([-0.01, -0.02])}, max_participation=0.02, notional_usd=1.0)
    assert poor.reasons == ("at its own size it earns no more than holding",)


def test_a_verdict_needs_gates_and_each_once_and_its_hash_is_of_every_number():
    assert not ReleaseVerdict("m", "shadow", ()).passed
    gate = Gate(name="drift", evidence="e", numbers={"x": 0.1})
    verdict = ReleaseVerdict("m", "shadow", (gate,))
    assert verdict.passed
    assert "drift" in verdict._repr_html_()
    other = ReleaseVerdict("m", "shadow", (dataclasses.replace(gate, numbers={"x": 0.2}),))
    assert other.evidence_hash != verdict.evidence_hash
    assert Gate.of_plain(gate.plain()).plain() == gate.plain()
    with pytest.raises(ValueError, match="stand twice: drift"):
        judged_once([gate, gate])
