"""A closed session is measured once; what is beyond a bound stops new risk until a person lifts it."""

from __future__ import annotations

import math
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import drive
import numpy as np
import pandas as pd
import pytest
from command_line import typed

from workbench.bootstrap import monitoring, releasing
from workbench.bootstrap.desk import Desk, open_journal
from workbench.bootstrap.lifting import lift
from workbench.bootstrap.preflight import readiness
from workbench.bootstrap.status import desk_status
from workbench.config import Settings, load_settings
from workbench.core.features import select_features
from workbench.core.manifest import INPUT_BOUNDS
from workbench.core.monitoring import Level, Measure, measure, rule_of
from workbench.core.ports import Event
from workbench.core.types import Bars
from workbench.errors import JournalConflict, Refused
from workbench.services.drift_watch import watch_features
from workbench.services.monitoring import input_measures
from workbench.services.preflight import Check
from workbench.services.promotion import read_model
from workbench.services.session_measures import (
    HostFacts,
    data_measures,
    exposure_measures,
    feed_measure,
    machine_measures,
    order_measures,
    outcomes_of,
)
from workbench.services.session_streams import read_detector, recent_measure

FIRST, SECOND, THIRD = "2013-02-01", "2013-02-04", "2013-02-05"
WHO = {"person": "operator", "reason": "looked at it"}
#: Digests of the first sessions without any monitoring: it must not change them.
DIGESTS = {
    FIRST: "02d24a66ef8d05e4d75b8660eb87c3804ed82faab6ce26b62370435430825d0e",
    SECOND: "557a3d82635c3a564a6299a4673ff00f1cde929a8a1b22069d6964e19a80dc16",
    THIRD: "07601fb131bbf0a3e5dc46d2725f8e247069e940b5a4dd114338923f08948199",
}


def drifted(**effects: Any) -> pd.DataFrame:
    """What the batch comparison would say of one symbol's inputs."""
    row = {"symbol": "IBM", "status": "drift", "changed": "momentum_20", "shift_sd": 0.3, "spread": 0.2,
           "missing": 0.0, **effects}  # fmt: skip
    return pd.DataFrame([row])


@pytest.fixture(scope="module")
def world(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Two sessions traded and monitored; inputs of the second beyond what the model bears; a third."""
    folder = tmp_path_factory.mktemp("monitored") / "desk"
    shutil.copytree(prepared, folder)
    settings = load_settings(str(folder / "workbench.toml"))
    found: dict[str, Any] = {"settings": settings, "folder": folder}
    found["first"] = drive.trade(settings, FIRST), monitoring.monitor(settings, FIRST)
    found["second"] = (
        drive.trade(settings, SECOND),
        monitoring.monitor(settings, SECOND, found=drifted(shift_sd=2.5)),
    )
    found["status"] = desk_status(settings)
    found["blocked"] = shutil.copytree(folder, folder.with_name("blocked"))
    found["third"] = drive.trade(settings, THIRD)
    return found


def orders(settings: Settings, session: str) -> list[dict[str, Any]]:
    return Desk(settings).journal.rows("orders", account=settings.account, session=session)


def rows(settings: Settings, projection: str) -> list[dict[str, Any]]:
    with open_journal(settings, read_only=True) as journal:
        return journal.rows(projection, account=settings.account)


# --- on the sample nothing blocks, and nothing of the session changes ----------------------------------


def test_a_clean_session_is_measured_in_every_group_and_blocks_nothing(world: dict[str, Any]) -> None:
    traded, measured = world["first"]
    assert traded["digest"] == DIGESTS[FIRST]
    groups = {rule_of(one.name).group for one in measured.measures}
    assert groups == {
        "data", "features", "stream", "inputs", "forecasts", "labels", "execution", "exposure", "machine",
    }  # fmt: skip
    assert measured.at(Level.BLOCK) == ()
    assert [one.name for one in measured.at(Level.WARN)] in ([], ["machine.over_budget"])
    assert measured.recorded


def test_a_session_with_a_trade_is_as_it_was_before_there_was_monitoring(world: dict[str, Any]) -> None:
    assert world["second"][0]["digest"] == DIGESTS[SECOND]


# --- beyond the manifest's bounds ----------------------------------------------------------------------


def test_a_model_trained_here_carries_the_bounds_of_the_settings(world: dict[str, Any]) -> None:
    settings = world["settings"]
    (model,) = Desk(settings).journal.rows("models")
    _, manifest = read_model(Desk(settings).registry, model["model_id"])
    assert manifest.input_bounds == settings.monitoring.input_bounds()
    assert set(manifest.input_bounds) == set(INPUT_BOUNDS)


def test_a_drifted_model_opens_no_risk_and_the_denial_names_why(world: dict[str, Any]) -> None:
    measured = world["second"][1]
    assert [one.name for one in measured.at(Level.BLOCK)] == ["inputs.shift_sd"]
    assert "IBM: momentum_20; the model bears 1" in measured.at(Level.BLOCK)[0].detail
    denied = [row for row in orders(world["settings"], THIRD) if row["state"] == "DENIED"]
    assert denied
    assert {row["reason"] for row in denied} == {"MODEL_DRIFTED"}
    assert all(row["side"] == "buy" for row in denied)
    assert not [row for row in orders(world["settings"], THIRD) if row["sent_at_ns"]]


def test_status_and_alert_name_evidence_and_runbook(world: dict[str, Any]) -> None:
    status = world["status"]
    found = status["monitoring"]
    assert (found["session"], found["level"], found["blocks"]) == (SECOND, "block", ["inputs.shift_sd"])
    (halt,) = status["halts"]
    assert (halt["level"], halt["state"]) == ("model", "REDUCING")
    assert status["state"] == "ACTIVE"  # the account is not halted: what reduces still passes
    (told,) = [row for row in rows(world["settings"], "alerts") if row["code"] == "MONITOR_BLOCKED"]
    for said in (halt["reason"], told["text"]):
        assert "inputs.shift_sd" in said
        assert "2.5" in said
        assert "docs/runbooks/monitoring-blocked.md" in said


def test_the_model_is_not_promoted_while_it_is_stopped(world: dict[str, Any]) -> None:
    (model,) = Desk(world["settings"]).journal.rows("models")
    with pytest.raises(Refused, match=r"it is halted: monitoring of 2013-02-04: inputs\.shift_sd"):
        releasing.accept_model(world["settings"], model["model_id"], stage="replay", **WHO)


def test_only_a_registered_person_lifts_it_and_then_it_trades_again(
    world: dict[str, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "desk"
    shutil.copytree(world["blocked"], folder)
    settings = load_settings(str(folder / "workbench.toml"))
    (model,) = Desk(settings).journal.rows("models")
    with pytest.raises(Refused, match="nobody"):
        lift(settings, "model", model["model_id"], person="nobody", reason="let it go")
    assert lift(settings, "model", model["model_id"], **WHO).state == "ACTIVE"
    assert drive.trade(settings, THIRD)["digest"] == DIGESTS[THIRD]
    # beyond the bound as before: the person's word stands
    again = monitoring.monitor(settings, THIRD, found=drifted(shift_sd=2.6))
    assert [one.name for one in again.at(Level.BLOCK)] == ["inputs.shift_sd"]
    assert monitoring.halts_by_monitoring(settings) == ()
    # back within it, then beyond again: a new block
    drive.trade(settings, "2013-02-06")
    monitoring.monitor(settings, "2013-02-06", found=drifted(shift_sd=0.2))
    assert monitoring.halts_by_monitoring(settings) == ()
    drive.trade(settings, "2013-02-07")
    monitoring.monitor(settings, "2013-02-07", found=drifted(shift_sd=2.0))
    (halt,) = monitoring.halts_by_monitoring(settings)
    assert "monitoring of 2013-02-07: inputs.shift_sd 2" in halt.reason


def test_the_command_shows_the_record_and_the_halt(world: dict[str, Any]) -> None:
    answer = typed(world["folder"], "monitor", "--session", SECOND, "--json")
    assert answer.code == 0
    payload = answer.payload
    assert (payload["level"], payload["recorded"]) == ("block", False)
    assert {one["name"] for one in payload["measures"] if one["level"] == "block"} == {"inputs.shift_sd"}
    assert payload["halts"][0]["level"] == "model"
    shown = typed(world["folder"], "monitor", "--session", SECOND)
    assert "no new risk of model" in shown.out


# --- once, in order, across restarts -------------------------------------------------------------------


def test_a_session_is_recorded_once_and_never_out_of_order(world: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "desk"
    shutil.copytree(world["folder"], folder)
    settings = load_settings(str(folder / "workbench.toml"))
    before = len(rows(settings, "alerts"))
    again = monitoring.monitor(settings, SECOND)
    assert not again.recorded
    assert [one.payload() for one in again.measures] == [one.payload() for one in world["second"][1].measures]
    assert len(rows(settings, "alerts")) == before
    monitoring.monitor(settings, THIRD)
    journal = open_journal(settings, read_only=False)
    with pytest.raises(JournalConflict):
        journal.commit([Event("session.monitored", {
            "account": settings.account, "session": THIRD, "model_id": "m", "at_ns": 1, "level": "ok",
            "measures": []})])  # fmt: skip
    (kept, *_) = journal.rows("detectors", account=settings.account)
    payload = {name: kept[name] for name in ("account", "detector", "model_id", "alarmed", "state")}
    with pytest.raises(JournalConflict, match="is not later"):
        journal.commit([Event("detector.kept", {**payload, "session": SECOND})])
    journal.close()


def test_preflight_names_the_session_that_nobody_looked_at(world: dict[str, Any]) -> None:
    def line(folder: Path) -> Check:
        found = readiness(load_settings(str(folder / "workbench.toml")))
        return {check.name: check for check in found.checks}["the last session was monitored"]

    looked_at, not_yet = line(world["blocked"]), line(world["folder"])
    assert looked_at.ok
    assert SECOND in looked_at.found
    assert not not_yet.ok
    assert f"{THIRD} was not" in not_yet.found
    assert "drift_report" in not_yet.next_step


def test_an_earlier_session_is_refused_once_a_later_one_was_measured(
    prepared: Path, world: dict[str, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "desk"
    shutil.copytree(world["folder"], folder)
    settings = load_settings(str(folder / "workbench.toml"))
    journal = Desk(settings).paths.journal
    with closing(sqlite3.connect(journal, isolation_level=None)) as file:  # as if the second were first
        file.execute("DELETE FROM monitored WHERE session = ?", (FIRST,))
    with pytest.raises(Refused, match="time would run backwards"):
        monitoring.monitor(settings, FIRST)
    with pytest.raises(Refused, match="is not closed"):
        monitoring.monitor(settings, "2013-02-20")


def test_detectors_go_on_where_they_stood_in_another_process(world: dict[str, Any]) -> None:
    kept = {row["detector"]: row for row in rows(world["settings"], "detectors")}
    features = set(world["settings"].model.features)
    assert set(kept) == features | {"forecast"}
    for row in kept.values():
        detector = read_detector(row)
        assert (row["session"], detector.updates) == (SECOND, 2)
        assert detector.alpha == pytest.approx(world["settings"].monitoring.alpha / len(kept))


def test_a_rebuild_gives_the_same_rows(world: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "desk"
    shutil.copytree(world["folder"], folder)
    settings = load_settings(str(folder / "workbench.toml"))
    before = {name: rows(settings, name) for name in ("monitored", "detectors", "halts")}
    with open_journal(settings, read_only=False) as journal:
        journal.rebuild_projections()
    assert {name: rows(settings, name) for name in before} == before
    assert before["halts"]


# --- what the batch comparison hands over --------------------------------------------------------------


def bounds_of(found: pd.DataFrame, world: dict[str, Any], **bounds: float) -> dict[str, Any]:
    (model,) = Desk(world["settings"]).journal.rows("models")
    _, manifest = read_model(Desk(world["settings"]).registry, model["model_id"])
    own = {"shift_sd": 9.0, "spread": 9.0, "missing": 9.0, **bounds}
    return {one.name: one for one in input_measures(found, manifest, own)}


def test_effects_of_what_has_not_drifted_do_not_count(world: dict[str, Any]) -> None:
    quiet = drifted(shift_sd=9.0, status="none")
    assert bounds_of(quiet, world)["inputs.shift_sd"].level is Level.OK
    unjudged = drifted(shift_sd=9.0, status="insufficient")
    assert bounds_of(unjudged, world)["inputs.shift_sd"].level is Level.UNKNOWN


def test_the_manifest_decides_and_not_the_settings_of_today(world: dict[str, Any]) -> None:
    assert bounds_of(drifted(shift_sd=1.5), world, shift_sd=9.0)["inputs.shift_sd"].level is Level.BLOCK
    assert bounds_of(drifted(shift_sd=0.5), world, shift_sd=0.1)["inputs.shift_sd"].level is Level.WARN


@pytest.mark.parametrize("spoil", ["shift", "constant", "missing"])
def test_features_that_really_change_are_measured_from_bars(spoil: str) -> None:
    """The same walk, then prices that jump about ten times as much, stand still, or are not there."""
    rng = np.random.default_rng(3)
    moves = rng.normal(0.0, 0.01, 900)
    if spoil == "shift":
        moves[800:] *= 10.0
    if spoil == "constant":
        moves[800:] = 0.0
    close = 50.0 * np.exp(np.cumsum(moves))[:, None]
    if spoil == "missing":
        close[800:] = np.nan
    features = select_features(("volatility_20", "momentum_20"))
    found = watch_features(bars_of(close), features, trained_to_ns=799, latest_sessions=100, alpha=0.05)
    (status,) = found["status"]
    if spoil == "shift":
        assert status == "drift"
    else:  # never "none": it changed, or it cannot be judged
        assert status in ("drift", "insufficient")


def scores(*values: float, alarm_at: int = -1) -> list[list[Measure]]:
    return [[measure("stream.momentum_20", value, alarmed=at == alarm_at)] for at, value in enumerate(values)]


def test_an_input_that_stays_away_for_long_stops_the_model_once_its_detector_has_said_so() -> None:
    away = scores(*[1.5] * 20, alarm_at=12)
    one = recent_measure(away, bound=1.0)
    assert (one.level, one.value) == (Level.BLOCK, 1.5)
    assert one.detail == "momentum_20 +1.50 over 20 sessions; the model bears 1"
    assert recent_measure(away, bound=2.0).level is Level.WARN
    assert recent_measure(scores(*[1.5] * 20), bound=1.0).level is Level.OK  # no alarm: chance alone
    assert recent_measure([*away, *scores(*[0.0] * 20)], bound=1.0).level is Level.OK  # long ago
    assert recent_measure(scores(*[3.0] * 6, alarm_at=5), bound=1.0).level is Level.OK  # too few sessions
    once = scores(*[0.0] * 19, 3.2, alarm_at=19)  # one absurd value is bounded by its rank
    assert recent_measure(once, bound=1.0).level is Level.WARN


# --- single measures, with what is wrong put in by hand ------------------------------------------------


def bars_of(close: np.ndarray[Any, Any], symbols: tuple[str, ...] = ("A",)) -> Bars:
    close = np.asarray(close, dtype=np.float64)
    known = np.isfinite(close)
    volume = np.where(known, 1e6, np.nan)
    ts_ns = np.arange(len(close), dtype=np.int64)
    return Bars(ts_ns, symbols, close, close * 1.01, close * 0.99, close, volume, known)


def walk(rows: int = 60, symbols: int = 1) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(1)
    return 50.0 * np.exp(np.cumsum(rng.normal(0.0, 0.01, (rows, symbols)), axis=0))


def data(
    close: np.ndarray[Any, Any], later: np.ndarray[Any, Any] | None = None, **more: Any
) -> dict[str, Any]:
    symbols = tuple("ABCDE"[: close.shape[1]])
    then, now = bars_of(close, symbols), bars_of(close if later is None else later, symbols)
    more = {"expected_close_ns": len(close) - 1, "closes_ns": list(range(len(close) + 5)), **more}
    return {one.name: one for one in data_measures(then, now, **more)}


def test_a_symbol_that_stopped_is_behind_and_blocks_after_two_sessions() -> None:
    assert data(walk())["data.behind"].value == 0.0
    close = walk(symbols=2)
    close[-1:, 1] = np.nan
    one = data(close)["data.behind"]
    assert (one.value, one.level, one.detail) == (1.0, Level.WARN, "B")
    close[-3:, 1] = np.nan
    assert data(close)["data.behind"].level is Level.BLOCK
    close[:, 1] = np.nan
    never = data(close)["data.behind"]
    assert (never.value, never.level) == (math.inf, Level.BLOCK)


def test_no_bars_at_all_are_not_known_which_is_a_warning() -> None:
    found = data(walk()[:0])
    assert {one.level for one in found.values()} >= {Level.WARN}
    assert found["data.behind"].level is Level.WARN
    assert math.isnan(found["data.behind"].value)


def test_gaps_repeats_jumps_and_revisions_are_counted() -> None:
    close = walk(symbols=2)
    assert {one.level for one in data(close).values()} == {Level.OK}
    holes = close.copy()
    holes[10:14, 0] = np.nan
    assert data(holes)["data.gaps"].value == pytest.approx(4 / 120, abs=1e-6)
    still = close.copy()
    still[-5:, 1] = 50.0
    assert data(still)["data.repeated"].detail == "B"
    assert data(still[:-1])["data.repeated"].value == 0.0
    jump = close.copy()
    jump[-1, 0] *= 1.5
    assert data(jump)["data.jump"].level is Level.WARN
    later = close.copy()
    later[7, 1] += 0.01
    later[8, 0] = np.nan
    revised = data(close, later)["data.revised"]
    assert (revised.value, revised.detail) == (2.0, "A, B")


def test_one_absurd_price_is_bounded_and_named() -> None:
    close = walk(symbols=2)
    close[-1, 0] = 1e12
    found = data(close)["data.jump"]
    assert (found.detail, found.level) == ("A", Level.WARN)
    assert math.isfinite(found.value)


def test_another_feed_is_a_warning_once() -> None:
    first = feed_measure("alpaca/iex", ())
    assert first.level is Level.OK
    changed = feed_measure("alpaca/sip", [first])
    assert (changed.level, changed.detail) == (Level.WARN, "from alpaca/iex to alpaca/sip")
    assert feed_measure("alpaca/sip", [changed]).level is Level.OK


def order(**changes: Any) -> dict[str, Any]:
    return {
        "client_order_id": "o1", "state": "FILLED", "sent_at_ns": 5, "scheduled_ns": 2, "reason": "",
        "quantity_nano": 100 * 10**9, "reference_micro": 10_000_000, "expected_cost_micro": 500, **changes,
    }  # fmt: skip


def fill(**changes: Any) -> dict[str, Any]:
    return {
        "client_order_id": "o1", "side": "buy", "quantity_nano": 50 * 10**9, "price_micro": 10_010_000,
        "fee_micro": 0, **changes,
    }  # fmt: skip


def orders_of(*rows: dict[str, Any], fills: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    return {one.name: one for one in order_measures(rows, fills, equity_micro=10_000 * 10**6)}


def test_orders_and_fills_are_measured_in_their_units() -> None:
    found = orders_of(order(), fills=(fill(),))
    assert found["execution.fill_rate"].value == 0.5
    assert found["execution.turnover"].value == pytest.approx(500.5 / 10_000)
    assert found["execution.cost_beyond"].value == pytest.approx(10.0 - 5.0)  # paid 10 bps, 5 expected
    sold = orders_of(order(), fills=(fill(side="sell"),))
    assert sold["execution.cost_beyond"].value == pytest.approx(-10.0 - 5.0)
    assert orders_of()["execution.fill_rate"].level is Level.OK


def test_rejections_of_the_venue_block_the_strategy_and_quotes_are_told_apart() -> None:
    bad = [order(state="REJECTED", reason="insufficient margin")] * 2
    found = orders_of(*bad, order())
    assert found["execution.rejected"].level is Level.BLOCK
    assert "insufficient margin" in found["execution.rejected"].detail
    assert rule_of("execution.rejected").stops == "strategy"
    crossed = order(state="DENIED", sent_at_ns=0, reason="QUOTE_CROSSED QUOTE_MISSING")
    assert orders_of(crossed, order())["data.quotes_refused"].value == 0.5


def test_exposure_beyond_its_limit_blocks_and_without_a_price_it_is_not_known() -> None:
    limits = {"gross_limit_usd": 1_000.0, "net_limit_usd": 1_000.0}
    held = {"A": 10 * 10**9, "B": -5 * 10**9}
    found = {one.name: one for one in exposure_measures(held, {"A": 80.0, "B": 80.0}, **limits)}
    assert (found["exposure.gross"].value, found["exposure.net"].value) == (1.2, 0.4)
    assert found["exposure.gross"].level is Level.BLOCK
    blind = {one.name: one for one in exposure_measures(held, {"A": 80.0}, **limits)}
    assert blind["exposure.gross"].level is Level.WARN
    assert blind["exposure.gross"].detail == "no price of B"


def test_the_machine_is_measured_as_far_as_it_is_known() -> None:
    budget = {"code": "STAGE_BUDGET", "text": "stage decide took 9 s"}
    host = HostFacts(
        feed="x", journal_bytes=200_000_000, free_bytes=500_000_000, heartbeat_s=90.0, skew_s=-1.0
    )
    first = {one.name: one for one in machine_measures([budget], host, ())}
    assert first["machine.over_budget"].level is Level.NOTE
    assert (first["machine.disk_free"].level, first["machine.heartbeat"].level) == (Level.WARN, Level.WARN)
    assert first["machine.clock_skew"].level is Level.NOTE
    more = HostFacts(journal_bytes=350_000_000)
    second = {one.name: one for one in machine_measures([], more, list(first.values()))}
    assert second["machine.journal_grown"].value == 150.0
    assert second["machine.disk_free"].level is Level.UNKNOWN
    skewed = {one.name: one for one in machine_measures([{"code": "CLOCK_SKEW", "text": ""}], more, ())}
    assert skewed["machine.clock_skew"].level is Level.UNKNOWN


def test_a_label_is_the_return_from_the_close_before_the_decision_over_the_horizon() -> None:
    close = walk(40)
    panel = bars_of(close)
    closes = list(range(45))
    decision = {
        "session": "2024-01-02", "scheduled_ns": 31, "model_id": "m",
        "rows": [{"symbol": "A", "forecast_micro": 2_000}, {"symbol": "A", "forecast_micro": None}],
    }  # fmt: skip
    (one,) = outcomes_of([decision], panel, closes_ns=closes, horizon=5, as_of_ns=60)
    assert one.realised == pytest.approx(close[35, 0] / close[30, 0] - 1.0)
    assert (one.label_end_ns, one.known_at_ns) == (35, 60)
    assert 0.5 < one.chance < 0.6
    (late,) = outcomes_of([{**decision, "scheduled_ns": 37}], panel, closes_ns=closes, horizon=5, as_of_ns=60)
    assert (late.label_end_ns, late.known_at_ns) == (41, 0)
    assert math.isnan(late.realised)
