"""Measures of a session: levels, consequences, labels that arrive late, and scores of dependent outcomes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.alerts import RULES as ALERT_RULES
from workbench.core.halts import Halt, halts_of_rows
from workbench.core.monitoring import (
    RULES,
    Level,
    Measure,
    Outcome,
    Rule,
    block_score,
    consequences,
    measure,
    newly_blocked,
    overdue_sessions,
    rule_of,
    worst,
)
from workbench.core.monitoring.outcomes import calibration_score, hit_score, residual_score
from workbench.core.orders import OrderIntent
from workbench.core.ports import Event
from workbench.core.types import OrderType, Side
from workbench.errors import UsageError

WHO: dict[str, Any] = {
    "account": "demo", "strategy": "trend", "model_id": "m1", "session": "2024-03-01", "at_ns": 7,
}  # fmt: skip


# --- levels --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(RULES))
def test_a_rule_rises_through_its_levels_and_never_falls_back(name: str) -> None:
    rule = RULES[name]
    bounds = [bound for bound in (rule.note, rule.warn, rule.block) if math.isfinite(bound)]
    assert bounds == sorted(bounds, reverse=rule.below)
    away = [0.0, *bounds, *(bound * 1.5 + (-1.0 if rule.below else 1.0) for bound in bounds)]
    values = sorted(away, reverse=rule.below)
    ranks = [rule.level(value).rank for value in values]
    assert ranks == sorted(ranks)


@pytest.mark.parametrize("name", sorted(RULES))
def test_what_is_not_known_is_never_all_clear(name: str) -> None:
    assert RULES[name].level(None).rank >= Level.UNKNOWN.rank
    assert measure(name, math.nan).level is RULES[name].level(None)


def test_only_a_measure_that_stops_something_blocks() -> None:
    for rule in RULES.values():
        blocks = math.isfinite(rule.block)
        from_manifest = rule.name.startswith("inputs.")
        assert (blocks or from_manifest) == bool(rule.stops), rule.name


def test_the_worst_there_can_be_blocks_and_a_bound_itself_does_not() -> None:
    rule = Rule("x.y", "", "", warn=1.0, block=2.0, stops="model")
    assert [rule.level(value) for value in (1.0, 1.1, 2.0, math.inf)] == [
        Level.OK, Level.WARN, Level.WARN, Level.BLOCK,
    ]  # fmt: skip


def test_an_unknown_measure_is_refused() -> None:
    with pytest.raises(UsageError, match=r"no measure 'data\.behnd'"):
        rule_of("data.behnd")


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_a_measure_survives_the_journal(value: float) -> None:
    one = measure("data.jump", value, "IBM")
    again = Measure.of_payload(one.payload())
    assert (again.name, again.level, again.detail) == (one.name, one.level, one.detail)
    assert again.value == one.value or math.isnan(again.value)


def test_worst_of_nothing_is_ok_and_of_many_the_loudest() -> None:
    assert worst(()) is Level.OK
    assert worst([measure("data.jump", 9.0), measure("labels.overdue", 9.0)]) is Level.BLOCK


# --- consequences --------------------------------------------------------------------------------------


def overdue(sessions: float) -> Measure:
    return measure("labels.overdue", sessions, "IBM of 2024-02-01")


def codes(events: list[Event]) -> list[str]:
    return [event.payload.get("code", event.kind) for event in events]


def test_a_warning_is_an_alert_and_a_block_an_alert_and_a_halt_that_lets_reductions_pass() -> None:
    assert consequences([overdue(0.0)], (), **WHO) == []
    assert codes(consequences([overdue(2.0)], (), **WHO)) == ["MONITOR_WARNED"]
    alert, halt = consequences([overdue(6.0)], (), **WHO)
    assert alert.payload["code"] == "MONITOR_BLOCKED"
    assert (halt.kind, halt.payload["level"], halt.payload["target"]) == ("halt.placed", "model", "m1")
    assert halt.payload["state"] == "REDUCING"
    for said in (alert.payload["text"], halt.payload["reason"]):  # evidence and runbook
        assert "labels.overdue" in said
        assert "IBM of 2024-02-01" in said
        assert "docs/runbooks/monitoring-blocked.md" in said


def test_what_is_no_fault_of_the_model_stops_the_strategy() -> None:
    events = consequences([measure("exposure.gross", 1.2)], (), **WHO)
    (halt,) = [event for event in events if event.kind == "halt.placed"]
    assert (halt.payload["level"], halt.payload["target"]) == ("strategy", "trend")


def test_a_block_that_a_person_has_lifted_comes_back_only_after_the_measure_had_recovered() -> None:
    assert newly_blocked([overdue(6.0)], [overdue(9.0)]) == ()
    assert codes(consequences([overdue(9.0)], [overdue(6.0)], **WHO)) == []
    assert [one.value for one in newly_blocked([overdue(3.0)], [overdue(9.0)])] == [9.0]


def test_every_alert_of_monitoring_has_a_rule() -> None:
    assert {"MONITOR_WARNED", "MONITOR_BLOCKED"} <= set(ALERT_RULES)


def intent() -> OrderIntent:
    return OrderIntent(
        client_order_id="wb1-a", account="demo", strategy="trend", session="2024-03-01", scheduled_ns=1,
        symbol="IBM", leg="entry", side=Side.BUY, quantity_nano=10**9, order_type=OrderType.LIMIT,
        limit_micro=10**6, reference_micro=10**6, expected_cost_micro=1, parent_id="",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("level", "target", "cause", "word"),
    [
        ("model", "m1", "monitoring", "MODEL_DRIFTED"),
        ("model", "m1", "person", "HALTED_MODEL"),
        ("strategy", "trend", "monitoring", "MONITORING_BLOCKED"),
        ("strategy", "trend", "person", "HALTED_STRATEGY"),
        ("symbol", "IBM", "monitoring", "HALTED_SYMBOL"),
    ],
)
def test_the_denial_says_who_stopped_it(level: str, target: str, cause: str, word: str) -> None:
    (halt,) = halts_of_rows(
        [{"account": "demo", "level": level, "target": target, "state": "REDUCING", "reason": "r",
          "person": "", "seq": 3, "cause": cause}]
    )  # fmt: skip
    assert halt.denies(intent(), reduces=False, model_id="m1") == word
    assert halt.denies(intent(), reduces=True, model_id="m1") == ""


def test_another_model_is_not_stopped_and_one_that_nobody_names_is() -> None:
    halt = Halt("demo", "model", "m1", "r", "", True, 3, "monitoring")
    assert halt.denies(intent(), reduces=False, model_id="m2") == ""
    assert halt.denies(intent(), reduces=False) == "MODEL_DRIFTED"


# --- labels --------------------------------------------------------------------------------------------


def outcome(number: int, *, forecast: float = 0.01, realised: float = math.nan, **more: Any) -> Outcome:
    known = 0 if math.isnan(realised) else 100 + number
    return Outcome(f"2024-01-{number:02d}", "IBM", number, 50 + number, known, forecast, realised, **more)


def test_a_label_cannot_end_before_its_decision_nor_be_known_before_its_end() -> None:
    with pytest.raises(ValueError, match="time runs backwards"):
        Outcome("2024-01-02", "IBM", 10, 10, 0, 0.0, math.nan)
    with pytest.raises(ValueError, match="time runs backwards"):
        Outcome("2024-01-02", "IBM", 10, 20, 19, 0.0, 0.1)


def test_a_label_is_overdue_by_the_closes_since_its_own_and_only_while_it_is_missing() -> None:
    closes = [51, 52, 53, 60]
    assert overdue_sessions([outcome(1)], closes[:1]) == (0, "")
    assert overdue_sessions([outcome(1), outcome(2)], closes) == (3, "IBM of 2024-01-01")
    assert overdue_sessions([outcome(1, realised=0.1)], closes) == (0, "")


@pytest.mark.parametrize("late", [(0, Level.OK), (1, Level.WARN), (5, Level.WARN), (6, Level.BLOCK)])
def test_overdue_labels_warn_and_then_block(late: tuple[int, Level]) -> None:
    assert overdue(late[0]).level is late[1]


def slow_score(sessions: list[str], values: list[float], block: int) -> float:
    """The same, spelled out."""
    days = sorted(set(sessions))
    daily = [np.mean([v for s, v in zip(sessions, values, strict=True) if s == day]) for day in days]
    count = len(daily) // block
    if count < 8:
        return math.nan
    daily = daily[len(daily) - count * block :]
    means = [np.mean(daily[at : at + block]) for at in range(0, len(daily), block)]
    return float(np.mean(means) / (np.std(means, ddof=1) / math.sqrt(count)))


@pytest.mark.parametrize("block", [1, 3, 5])
def test_the_score_agrees_with_the_slow_one(block: int) -> None:
    rng = np.random.default_rng(4)
    sessions = [f"{1000 + at // 2}" for at in range(120)]
    values = rng.normal(0.1, 1.0, 120).tolist()
    assert block_score(sessions, values, block_length=block) == pytest.approx(
        slow_score(sessions, values, block)
    )
    assert math.isnan(block_score(sessions[:10], values[:10], block_length=block))


def test_overlapping_labels_alarm_too_often_unless_blocks_are_as_long_as_the_horizon() -> None:
    """Returns over five days that overlap: naive scores pass 1.96 in far more than one of twenty worlds."""
    rng = np.random.default_rng(9)
    sessions = [f"{1000 + at}" for at in range(200)]
    alarms = {1: 0, 10: 0}
    for _ in range(200):
        daily = rng.standard_normal(204)
        labels = np.convolve(daily, np.ones(5), "valid").tolist()
        for block in alarms:
            alarms[block] += abs(block_score(sessions, labels, block_length=block)) > 1.96
    assert alarms[1] > 60
    assert alarms[10] < 25


def test_hits_residuals_and_chances_are_seen_when_they_go_wrong() -> None:
    rng = np.random.default_rng(5)
    found = []
    for number in range(1, 29):
        forecast = 0.01 * (1 if rng.random() < 0.5 else -1)
        chance = 0.9 if forecast > 0 else 0.1
        found.append(
            outcome(number, forecast=forecast, realised=-forecast * rng.uniform(0.5, 2), chance=chance)
        )
    rate, hit = hit_score(found, block_length=2)
    assert rate == 0.0
    assert hit == -math.inf  # wrong in every block
    assert measure("labels.hit_rate", hit).level is Level.WARN
    assert abs(calibration_score(found, block_length=2)) > 3.0
    shifted = [outcome(at, forecast=0.0, realised=0.05 + 0.01 * rng.standard_normal()) for at in range(1, 29)]
    assert residual_score(shifted, block_length=2) > 3.0
