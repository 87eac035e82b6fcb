"""The loop that learns costs: bounded, recorded, once a day, and it stops trading rather than guess (F33)."""

from __future__ import annotations

import dataclasses
import itertools
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from cost_world import ACCOUNT, World

from workbench.core.costs import (
    CalibrationRule,
    FeeSchedule,
    PriorCost,
    cusum,
    cusum_threshold,
    fit_cost_model,
    floor_step,
    prior,
    rolling_window,
)
from workbench.errors import ApprovalRequired, ManifestMismatch, Refused, UsageError
from workbench.services.calibration import RULE
from workbench.services.cost_gate import cost_alerts, cost_floors
from workbench.services.promotion import COST_SOURCES, current_cost_model, require_source

#: Nothing passes without a person: the way to hold a model back.
HELD = CalibrationRule(max_step=1.0, dead_band=1.0)


@pytest.fixture
def worlds(tmp_path: Path) -> Iterator[Any]:
    made: list[World] = []

    def make(fills: int = 60, truth: Any = lambda day: 1.0, **changes: Any) -> World:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(World(folder, fills, truth, **changes))
        return made[-1]

    yield make
    for world in made:
        world.journal.close()


def mean_floor(world: World, first: int, last: int) -> float:
    return float(np.mean([day.floor_bps for day in world.days[first:last]]))


def mean_fills(world: World, first: int, last: int) -> float:
    return float(np.mean([day.fills for day in world.days[first:last]]))


def alerts(world: World) -> list[str]:
    return [event.payload["code"] for event in world.journal.events(kinds=("alert.raised",))]


def reversals(world: World, first: int, last: int, size: float) -> int:
    """Turns of the floor by more than a factor: up and down again is one, as a zigzag counts them."""
    floors = [day.floor_bps for day in world.days[first:last]]
    turns, way, extreme = 0, 0, floors[0]
    for floor in floors[1:]:
        if way >= 0 and floor < extreme / size:
            turns, way, extreme = turns + (way > 0), -1, floor
        elif way <= 0 and floor > extreme * size:
            turns, way, extreme = turns + (way < 0), 1, floor
        else:
            extreme = max(extreme, floor) if way > 0 else min(extreme, floor) if way < 0 else extreme
    return turns


# --- the closed loop -----------------------------------------------------------------------------


def test_floors_follow_doubled_costs_and_come_back(worlds: Any) -> None:
    fills, up, down = 120, 20, 40
    world = worlds(fills, lambda day: 2.0 if up <= day < down else 1.0)
    world.run(64)
    follow = 10  # sessions: the window of 500 fills spans its least length at this rate
    calm, dear = mean_floor(world, 12, up), mean_floor(world, up + follow, down)
    again = mean_floor(world, down + follow + 4, 64)
    assert dear > 1.5 * calm
    assert 0.7 < again / calm < 1.4
    assert mean_fills(world, up + follow, down) < 0.85 * mean_fills(world, 12, up)
    assert mean_fills(world, down + follow + 4, 64) > 0.9 * mean_fills(world, 12, up)
    assert all(day.status == "ok" for day in world.days), "a model that follows is never blocked"
    assert reversals(world, 12, 64, 1.5) <= 2, "up once, down once"


@pytest.mark.prove
@pytest.mark.parametrize(
    ("fills", "settled", "after", "most"), [(10, 75, 90, 60), (50, 30, 40, 20), (200, 20, 25, 12)]
)
def test_floors_have_followed_within_days_that_the_fills_a_day_give(
    worlds: Any, fills: int, settled: int, after: int, most: int
) -> None:
    """A window of 500 fills and ten sessions at least: 50, 10 and 10 days; a dearer desk also trades less."""
    world = worlds(fills, lambda day: 2.0 if day >= settled else 1.0)
    world.run(settled + after)
    floors = np.array([day.floor_bps for day in world.days])
    calm, dear = np.nanmean(floors[settled - 10 : settled]), np.nanmean(floors[-10:])
    followed = {
        share: int(np.argmax(floors[settled:] > calm + share * (dear - calm))) for share in (0.5, 0.9)
    }
    print(f"{fills} fills a day: floors {calm:.1f} -> {dear:.1f} bps, half and nine tenths after {followed}")
    assert dear > 1.3 * calm
    assert 0 < followed[0.5] <= followed[0.9] <= most
    assert mean_fills(world, settled + after - 10, settled + after) < 0.85 * mean_fills(
        world, settled - 10, settled
    )


def test_a_model_that_is_held_back_drifts_alerts_and_blocks(worlds: Any) -> None:
    change = 14
    world = worlds(
        250, lambda day: 2.0 if day >= change else 1.0, rule=HELD, person_approves=lambda day: day < change
    )
    world.run(24)
    assert alerts(world) == ["cost_drift", "cost_model_blocked"]
    (blocked,) = [at for at, day in enumerate(world.days) if day.decision == "blocked"]
    assert change < blocked < change + 8
    assert all(day.fills for day in world.days[:blocked])
    assert "is drifted" in world.days[blocked + 1].status
    assert all(day.fills == 0 and day.status != "ok" for day in world.days[blocked + 1 :])
    assert {day.decision for day in world.days[blocked + 1 :]} == {"needs_approval"}
    done = [event.payload for event in world.journal.events(kinds=("calibration.done",))]
    for payload in done[:change]:  # a person has approved every evening, and each time the sum starts anew
        scores = [row["score_micro"] for row in payload["days"]]
        assert payload["cusum_micro"] == pytest.approx(
            cusum([math.nan if score is None else score / 1e6 for score in scores]) * 1e6, abs=2
        )
    assert any(payload["cusum_micro"] for payload in done[:change])
    assert [payload["cusum_micro"] for payload in done[blocked + 1 :]] == [0] * (len(done) - blocked - 1)
    waiting = done[-1]
    assert waiting["decision"] == "needs_approval"
    assert "drifted" in waiting["reason"]
    world.service.approve(waiting["new_cost_model_id"], person="ada", reason="costs have doubled")
    assert world.step().fills > 0, "a person's word brings trading back"


def test_the_alarm_ends_the_rest_within_the_dead_band_and_age_does_too(worlds: Any) -> None:
    """A dead band that holds every step: what is approved is so for its age, or for the alarm."""
    change, wide = 14, {"max_step": 10.0, "dead_band": 10.0}
    world = worlds(
        120, lambda day: 2.0 if day >= change else 1.0, rule=CalibrationRule(**wide, valid_days=60)
    )
    world.run(change + 9)
    decided = [day.decision for day in world.days]
    first = decided.index("approved", change)
    assert set(decided[10:first]) == {"kept"}
    assert first > change
    assert alerts(world) == ["cost_drift"]
    assert "blocked" not in decided
    aged = worlds(60, rule=CalibrationRule(**wide, valid_days=10))
    aged.run(22)
    assert {"approved", "kept"} == {day.decision for day in aged.days[10:]}
    assert all(day.status == "ok" for day in aged.days), "renewed before it is stale"


def test_an_unchanged_market_stays_quiet(worlds: Any) -> None:
    world = worlds(60)
    world.run(35)
    assert alerts(world) == []
    assert {day.decision for day in world.days[12:]} <= {"approved", "kept"}
    assert reversals(world, 12, 35, 1.6) <= 1


def test_one_absurd_day_is_one_bad_day() -> None:
    assert cusum([1_000.0]) == cusum([3.0]) == cusum([-1_000.0]) == 2.5


# --- one day -------------------------------------------------------------------------------------


def test_too_few_fills_leave_the_prior_and_say_so(worlds: Any) -> None:
    world = worlds(20)
    world.run(3)
    (*_, done) = world.journal.events(kinds=("calibration.done",))
    assert done.payload["decision"] == "too_few_fills"
    assert "the prior model stays" in done.payload["reason"]
    assert done.payload["new_cost_model_id"] == ""
    assert world.model().source == "prior"


def test_the_day_is_in_the_journal_with_window_counts_prediction_and_decision(worlds: Any) -> None:
    world = worlds(60)
    world.run(14)
    done = [event.payload for event in world.journal.events(kinds=("calibration.done",))]
    assert [payload["session"] for payload in done] == [day.session for day in world.days]
    last = done[-1]
    window = rolling_window(world.records, until=last["session"], rule=world.rule)
    assert (last["fills"], last["sessions"]) == (len(window), window["session"].nunique())
    (row,) = last["days"]
    day = world.records[world.records["session"] == last["session"]]
    assert row["fills"] == len(day)
    assert row["predicted_micro"] == round(day["expected_bps"].mean() * 100)
    assert row["realised_micro"] == pytest.approx(day["cost_bps"].mean() * 100, abs=1)
    approvals = [event.payload for event in world.journal.events(kinds=("cost_model.approved",))]
    chain = [payload for payload in done if payload["decision"] == "approved"]
    assert [p["cost_model_id"] for p in approvals if p["person"] == RULE] == [
        p["new_cost_model_id"] for p in chain
    ]
    for before, after in itertools.pairwise(chain):
        assert after["old_cost_model_id"] == before["new_cost_model_id"]


def test_a_session_is_calibrated_once(worlds: Any) -> None:
    world = worlds(60)
    world.run(12)
    before = world.journal.events()
    again = world.service.run(world.records, world.days[-1].session, source="simulated")
    assert again.decision == world.days[-1].decision
    assert world.journal.events() == before
    closed_later = world.days[-1].session, world.days[-2].session
    with pytest.raises(Refused, match="is not closed"):
        world.service.run(world.records, world.session, source="simulated")
    assert world.service.run(world.records, closed_later[1], source="simulated").session == closed_later[1]
    assert world.journal.events() == before


def test_a_session_before_a_calibrated_one_is_refused(worlds: Any) -> None:
    world = worlds(60)
    earlier = world.session
    world.session = "2013-01-04"
    world.step()
    world.close(earlier)
    with pytest.raises(Refused, match="is calibrated already"):
        world.service.run(world.records, earlier, source="simulated")


def test_a_step_beyond_bounds_waits_for_a_person(worlds: Any) -> None:
    world = worlds(60, rule=HELD, person_approves=lambda day: False)
    world.run(10)
    assert world.days[-1].decision == "needs_approval"
    with pytest.raises(ApprovalRequired, match="beyond 1/1 to 1") as refusal:
        world.service.run(world.records, world.days[-1].session, source="simulated")
    assert refusal.value.exit_code == 3
    identity = str(refusal.value.facts["cost_model_id"])
    assert f"workbench calibrate --approve {identity}" in refusal.value.next_step
    assert world.model().source == "prior"
    with pytest.raises(ApprovalRequired, match="'eve' is not registered"):
        world.service.approve(identity, person="eve", reason="because")
    with pytest.raises(UsageError, match="a reason is required"):
        world.service.approve(identity, person="ada", reason=" ")
    world.service.approve(identity, person="ada", reason="looked at it")
    assert world.model().model_id == identity
    assert world.service.run(world.records, world.days[-1].session, source="simulated").decision


def test_only_a_registered_and_newer_model_is_approved(worlds: Any) -> None:
    world = worlds(60)
    world.run(16)
    with pytest.raises(Refused, match="no cost model 'absent' is registered"):
        world.service.approve("absent", person="ada", reason="x")
    first, *_, last = [row["cost_model_id"] for row in world.journal.rows("cost_models")]
    assert world.model().model_id == last
    with pytest.raises(Refused, match="older than the one in use"):
        world.service.approve(first, person="ada", reason="x")


# --- provenance ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "mode"),
    [
        ("simulated", "paper"), ("simulated", "live"), ("simulated", "shadow"), ("paper", "replay"),
        ("paper", "live"), ("live", "paper"), ("live", "replay"), ("", "replay"), ("simulated", "unknown"),
    ],
)  # fmt: skip
def test_costs_of_other_fills_never_serve_a_mode(worlds: Any, source: str, mode: str) -> None:
    with pytest.raises(Refused, match=f"does not fit mode '{mode}'"):
        require_source(source, mode)
    assert source not in COST_SOURCES.get(mode, ())
    world = worlds(60, mode=mode)
    with pytest.raises(Refused, match="does not fit mode"):
        world.service.run(world.records, world.session, source=source)


def test_a_simulated_model_is_refused_where_money_is_real(worlds: Any) -> None:
    world = worlds(60)
    world.run(11)
    assert world.model().source == "simulated"
    now_ns = world.model().as_of_ns
    for mode in ("paper", "live", "shadow"):
        with pytest.raises(Refused, match="source 'simulated' does not fit"):
            current_cost_model(world.journal, world.registry, now_ns, mode=mode)


# --- the gate at the decision --------------------------------------------------------------------


@dataclasses.dataclass
class Moment:
    """The fields of a snapshot and of a strategy that the cost gate reads."""

    scheduled_ns: int
    volatility_bps: Any
    symbols: tuple[str, ...] = ("S0", "S1")
    cost_model: Any = None
    cost_model_id: str = "c" * 64
    account: str = ACCOUNT
    cost_problem: str = "ok"


@pytest.mark.parametrize(
    ("days", "volatility", "status"),
    [(20, 190.0, "stale"), (-1, 190.0, "out_of_bounds"), (1, 5_000.0, "wrong_regime"),
     (1, float("nan"), "wrong_regime")],
)  # fmt: skip
def test_a_model_that_may_not_be_used_gives_no_floor_and_a_named_alert(
    worlds: Any, days: int, volatility: float, status: str
) -> None:
    world = worlds(60)
    world.run(11)
    model = world.model()
    at = Moment(model.as_of_ns + days * 86_400 * 10**9, np.array([volatility, float("nan")]))
    at.cost_model = model
    assert np.isnan(cost_floors(at, at, np.zeros(2))).all()  # type: ignore[arg-type]
    (alert,) = cost_alerts(at, at)  # type: ignore[arg-type]
    assert alert.payload["code"] == f"cost_model_{status}"
    well = dataclasses.replace(at, scheduled_ns=model.as_of_ns + 1, volatility_bps=np.array([190.0, 100.0]))
    assert cost_alerts(well, well) == []  # type: ignore[arg-type]


def test_missing_and_drifted_models_stop_at_the_door(worlds: Any) -> None:
    world = worlds(60)
    world.run(11)
    drifted = world.model().drifted("evidence")
    with pytest.raises(Refused, match="is drifted on its own date"):
        world.approve(drifted)
    few = fit_cost_model(world.records.head(5), as_of=drifted.as_of_ns, min_fills=100)
    with pytest.raises(Refused, match="is missing on its own date"):
        world.approve(few)
    world.session = "2013-03-01"
    with pytest.raises(ManifestMismatch, match="is stale"):
        world.model()


# --- arithmetic ----------------------------------------------------------------------------------


def test_the_cusum_alarms_as_rarely_as_it_declares() -> None:
    horizon, alpha, runs = 63, 0.05, 2_000
    limit = cusum_threshold(alpha=alpha, horizon=horizon)
    draw = np.random.Generator(np.random.Philox(7)).standard_normal((runs, horizon))
    above, below, worst = np.zeros(runs), np.zeros(runs), np.zeros(runs)
    for column in draw.T:
        above, below = np.maximum(above + column - 0.5, 0.0), np.maximum(below - column - 0.5, 0.0)
        worst = np.maximum(worst, np.maximum(above, below))
    assert 0.035 < np.mean(worst > limit) < 0.06
    assert limit < cusum_threshold(alpha=0.005, horizon=horizon)
    walked = [max(cusum(row[: n + 1].tolist()) for n in range(horizon)) for row in draw[:5]]
    assert walked == pytest.approx(worst[:5].tolist())  # nothing of these draws lies beyond the cut


def test_the_window_reaches_back_no_further_than_it_must() -> None:
    days = pd.bdate_range("2013-01-01", periods=80).strftime("%Y-%m-%d")
    for a_day, wanted in ((10, 50), (50, 10), (200, 10)):
        records = pd.DataFrame({"session": np.repeat(days, a_day)})
        window = rolling_window(records, until=str(days[-2]), rule=CalibrationRule())
        assert window["session"].nunique() == wanted
        assert window["session"].max() == days[-2]
    old = rolling_window(pd.DataFrame({"session": days}), until="2014-01-01", rule=CalibrationRule())
    assert len(old) == 0


def test_a_step_from_or_to_a_model_that_does_not_know_is_beyond_any_bound(worlds: Any) -> None:
    world = worlds(60)
    world.run(11)
    model, window = world.model(), world.records
    assert floor_step(model, model, window).within(1.0)
    blind = prior(PriorCost(max_notional_usd=1), FeeSchedule(), as_of_ns=1)
    assert not floor_step(blind, model, window).within(10.0)
    assert not floor_step(model, blind, window).within(10.0)
    assert not floor_step(model, model, window.head(0)).within(10.0)


@pytest.mark.parametrize(
    "changes", [{"max_step": 0.9}, {"dead_band": 1.6}, {"block_alpha": 0.1}, {"window_fills": 0}]
)
def test_an_absurd_rule_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must|<="):
        CalibrationRule(**changes)
