"""The shadow model: same inputs, own books, nothing sent, live digests untouched."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import drive
import pytest
from staging import put_to_shadow

from workbench.adapters.bars import ParquetBarStore
from workbench.bootstrap import admin, releasing
from workbench.bootstrap.desk import Desk
from workbench.config import Settings, load_settings
from workbench.errors import DataError, UsageError
from workbench.services import shadow as shadow_service
from workbench.services import shadow_proof
from workbench.services.shadow_records import shadow_events

SESSIONS = ("2013-02-01", "2013-02-04", "2013-02-05")
BEFORE_FIRST = "2013-01-31"


def kept(settings: Settings, kind: str, model_id: str) -> list[Any]:
    return shadow_events(Desk(settings).journal, kind, settings.account, model_id)


@pytest.fixture(scope="module")
def desks(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Settings, str, Any]]:
    """The same sessions alone, beside a model of the same formula, and beside another formula."""
    found: dict[str, tuple[Settings, str, Any]] = {}
    for name, alpha in (("alone", None), ("twin", 100.0001), ("other", 1e7)):
        folder = tmp_path_factory.mktemp(name) / "desk"
        shutil.copytree(prepared, folder)
        settings = load_settings(str(folder / "workbench.toml"))
        model_id = ""
        if alpha is not None:
            model_id = admin.train(settings, last_session=BEFORE_FIRST, alpha=alpha).model_id
            put_to_shadow(settings, model_id)
        rows = [drive.trade(settings, session) for session in SESSIONS]
        found[name] = (settings, model_id, rows)
    return found


def test_the_live_session_is_the_same_byte_for_byte(desks):
    digests = {name: [row["digest"] for row in rows] for name, (_, _, rows) in desks.items()}
    assert digests["twin"] == digests["other"] == digests["alone"]
    assert not Desk(desks["alone"][0]).journal.events(kinds=("shadow.decided", "shadow.failed"))


def test_the_same_formula_decides_and_fills_the_same_as_the_live_one(desks):
    settings, model_id, _ = desks["twin"]
    report = releasing.shadow_of(settings, model_id)
    assert (report.sessions, report.decisions, report.missed) == (3, 3, 0)
    assert report.unlike == report.failures == ()
    assert report.first_difference == ""
    assert report.explanation is not None
    assert report.explanation.total_micro == 0
    assert set(report.explanation.by_cause_micro.values()) == {0}
    (fill, *_) = [fill for row in kept(settings, "shadow.settled", model_id) for fill in row["fills"]]
    live = Desk(settings).journal.rows("fills", account=settings.account, symbol=fill["symbol"])
    assert fill["price_micro"] in [row["price_micro"] for row in live]


def test_another_formula_parts_at_the_forecast_and_the_causes_sum_to_the_difference(desks):
    settings, model_id, _ = desks["other"]
    report = releasing.shadow_of(settings, model_id)
    assert report.first_difference.startswith("2013-02-01: forecast: forecast_micro of ")
    assert report.unlike == ()
    found = report.explanation
    assert found is not None
    assert found.first.endswith("in 2013-02-01: forecast")
    assert found.total_micro == sum(found.by_cause_micro.values()) != 0
    assert found.by_cause_micro["forecast"] != 0
    (*_, last) = kept(settings, "shadow.settled", model_id)
    (live,) = Desk(settings).journal.rows("sessions", account=settings.account, session=SESSIONS[-1])
    assert found.total_micro == last["equity_micro"] - live["equity_micro"]
    assert 0.0 < report.detectable_bps < float("inf")


def test_the_gate_prints_what_so_few_sessions_cannot_show(desks):
    settings, model_id, _ = desks["twin"]
    gate = releasing.shadow_of(settings, model_id).gate()
    assert "3 shadow sessions are on record, 20 are asked for" in gate.reasons
    assert "smallest detectable paired loss, bps a session" in gate.numbers


def test_bars_that_are_others_now_are_named_as_the_cause(desks, monkeypatch):
    settings, model_id, _ = desks["twin"]
    read = ParquetBarStore.read

    def restated(self, *given, **asked):
        bars = read(self, *given, **asked)
        bars.close[-1] *= 1.01
        return bars

    monkeypatch.setattr(ParquetBarStore, "read", restated)
    report = releasing.shadow_of(settings, model_id)
    assert len(report.unlike) == 3
    assert "data: the market as it was known then is another now" in report.unlike[0]
    assert report.unlike[0] in report.gate().reasons


def test_a_shadow_that_fails_is_recorded_and_the_session_goes_on(desks, new_desk, monkeypatch):
    settings = new_desk()
    model_id = admin.train(settings, last_session=BEFORE_FIRST, alpha=90.0).model_id
    put_to_shadow(settings, model_id)

    def broken(*_: object, **__: object) -> None:
        raise DataError("the shadow has no bars", next_step="none")

    monkeypatch.setattr(shadow_service, "think", broken)
    row = drive.trade(settings, SESSIONS[0])
    assert row["digest"] == desks["alone"][2][0]["digest"]
    (failed,) = kept(settings, "shadow.failed", model_id)
    assert failed["step"] == "decide"
    assert "the shadow has no bars" in failed["why"]
    with pytest.raises(UsageError, match="no shadow session"):
        releasing.shadow_of(settings, model_id)


def test_a_shadow_sends_nothing_and_counts_for_no_limit_of_the_account(desks):
    for name in ("twin", "other"):
        settings, _, _ = desks[name]
        accounts = {row["account"] for row in Desk(settings).journal.rows("orders")}
        assert accounts == {settings.account}


# --- against its backtest -------------------------------------------------------------------------------


def backtest_of(settings: Settings, model_id: str) -> Any:
    found = releasing.shadow_of(settings, model_id).backtest
    assert found is not None
    assert found.total_micro == sum(found.by_cause_micro.values())
    return found


def test_the_sessions_as_one_backtest_earn_the_same_to_the_micro(desks):
    for name in ("twin", "other"):
        settings, model_id, _ = desks[name]
        found = backtest_of(settings, model_id)
        assert (found.total_micro, found.first) == (0, "")
        assert list(found.by_session) == list(SESSIONS)  # every session, fills and all, is in the sum
        numbers = releasing.shadow_of(settings, model_id).gate().numbers
        assert numbers["first difference to its backtest"] == "none"


@pytest.mark.parametrize(
    ("part", "setting", "value", "stage"),
    [
        ("policy", "max_weight", 0.02, "policy"),
        ("limits", "max_order_shares", 1, "controls"),
        ("params", "half_spread_floor_bps", 40.0, "fills"),
    ],
)
def test_rules_that_are_others_now_are_named_as_the_cause(desks, monkeypatch, part, setting, value, stage):
    settings, model_id, _ = desks["twin"]
    report = releasing.shadow_report

    def otherwise(journal: Any, *, strategy: Any, filling: Any, **ports: Any) -> Any:
        if part == "params":
            filling = replace(filling, params=replace(filling.params, **{setting: value}))
        else:
            strategy = replace(strategy, **{part: replace(getattr(strategy, part), **{setting: value})})
        return report(journal, strategy=strategy, filling=filling, **ports)

    monkeypatch.setattr(releasing, "shadow_report", otherwise)
    found = backtest_of(settings, model_id)
    assert found.first.endswith(f": {stage}")
    assert found.by_cause_micro[stage] != 0
    assert found.by_cause_micro["data"] == found.by_cause_micro["forecast"] == 0


def test_history_that_was_restated_since_is_the_datas_cause(desks, monkeypatch):
    settings, model_id, _ = desks["twin"]
    read = ParquetBarStore.read

    def restated(self, *given, **asked):
        bars = read(self, *given, **asked)
        bars.close[bars.ts_ns < Desk(settings).calendar.session_open_ns(SESSIONS[0])] *= 1.01
        return bars

    monkeypatch.setattr(ParquetBarStore, "read", restated)
    found = backtest_of(settings, model_id)
    assert found.first.endswith(f"in {SESSIONS[0]}: data")
    assert found.by_cause_micro["data"] != 0


def test_a_desk_fits_its_candidate_anew_on_every_path(desks):
    settings, model_id, _ = desks["other"]
    found = Desk(settings).research.refitted_paths(model_id, n_folds=4, n_test_folds=2, embargo=5)
    assert found.columns.tolist() == ["label", 1, 2, 3]
    assert found.index.names == ["session", "symbol"]
    assert found.index.get_level_values("session").max() <= BEFORE_FIRST
    assert found.notna().all().all()
    assert found[1].ne(found[3]).any()  # other models forecast the same rows


def test_a_backtest_that_cannot_be_made_speaks_against_the_shadow(desks, monkeypatch):
    settings, model_id, _ = desks["twin"]

    def broken(*_: object, **__: object) -> None:
        raise DataError("a file is gone", next_step="none")

    monkeypatch.setattr(shadow_proof, "explain_backtest", broken)
    report = releasing.shadow_of(settings, model_id)
    assert report.backtest is None
    assert "its sessions cannot be traded again as a backtest: a file is gone" in report.gate().reasons
