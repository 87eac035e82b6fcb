"""State of the pages without a browser: shared looks, honest problems, escaped words."""

from __future__ import annotations

import dataclasses
import html
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import workbench.bootstrap
from workbench import plots
from workbench.adapters.armed_file import ArmedFileOnDisk
from workbench.bootstrap import alerts, dashboards, monitoring
from workbench.bootstrap.dashboards import require_guarded, screen
from workbench.bootstrap.desk import Desk, DeskPaths, open_journal
from workbench.bootstrap.lifting import lift
from workbench.config import Settings, load_settings
from workbench.config.watching import DashboardsSettings
from workbench.core.ledger import Ledger, Posting
from workbench.core.ports import Event
from workbench.core.types import MICRO, NANO
from workbench.errors import DataError, Refused, UsageError
from workbench.pages import VERDICTS, bars, facts, verdict, work_line
from workbench.pages.frame import is_doubtful, status_line
from workbench.pages.pace import Pace
from workbench.pages.style import STALE_S
from workbench.plots.drawing import holoviews
from workbench.screens.drift import quality_log
from workbench.screens.release import GATE_COLUMNS, gate_table
from workbench.screens.screen import Screen
from workbench.screens.work import Work


class Counted(Screen):
    """A screen that counts its readings and fails on demand."""

    reads = 0
    fails: Exception | None = None

    def read(self) -> None:
        if self.fails:
            raise self.fails
        self.reads += 1


class World:
    """A clock and a mark that a test moves."""

    def __init__(self) -> None:
        self.now_s, self.mark = 100.0, 1
        self.screen = Counted(None, mark=lambda: self.mark, clock_s=lambda: self.now_s)

    def later(self, seconds: float) -> int:
        self.now_s += seconds
        return self.screen.poll()


def test_readers_share_one_look_and_nothing_is_read_twice() -> None:
    world = World()
    first = [world.screen.poll() for _ in range(20)]
    assert set(first) == {1}
    assert world.later(1.0) == 1
    assert world.screen.reads == 1
    world.mark = 2
    assert world.later(0.1) == 1  # somebody has just looked
    assert world.later(1.0) == 2
    assert world.screen.reads == 2


def test_a_page_that_cannot_be_read_says_why_and_is_doubtful_until_it_can() -> None:
    world = World()
    world.screen.poll()
    world.mark, world.screen.fails = 2, DataError("the disk hums", next_step="listen to it")
    version = world.later(1.0)
    assert version > 1
    assert (world.screen.problem, world.screen.next_step) == ("DataError: the disk hums", "listen to it")
    assert is_doubtful(world.screen)
    assert "listen to it" in status_line(world.screen)
    assert world.later(1.0) == version  # said once
    world.screen.fails = None
    world.later(1.0)
    assert not is_doubtful(world.screen)
    assert world.screen.reads == 2


def test_a_page_that_nobody_brings_up_to_date_becomes_doubtful() -> None:
    world = World()
    assert is_doubtful(world.screen)  # never read
    world.screen.poll()
    assert not is_doubtful(world.screen)
    world.now_s += STALE_S + 0.1
    assert is_doubtful(world.screen)
    assert "stale" in status_line(world.screen)


def test_a_defect_is_not_swallowed() -> None:
    world = World()
    world.screen.fails = ZeroDivisionError("a defect")
    with pytest.raises(ZeroDivisionError):
        world.screen.poll()


@given(st.text(max_size=40))
def test_no_text_from_data_becomes_markup(text: str) -> None:
    shown = facts(text, {text: text}, classes={})
    assert shown.count("<") == facts("a", {"b": "c"}).count("<")
    assert html.escape(text) in shown


@pytest.mark.parametrize(("share", "level"), [(0.5, ""), (0.8, "warn"), (1.0, "bad"), (float("nan"), "bad")])
def test_a_limit_that_is_reached_or_unknown_is_red(share: float, level: str) -> None:
    frame = pd.DataFrame([{"limit": "max", "used": share, "ceiling": 1.0, "utilisation": share}])
    assert f'<span class="{level}"' in bars("Limits", frame)


def test_states_need_no_browser_library() -> None:
    code = "import sys, workbench.screens; print(sorted({'panel', 'bokeh', 'holoviews'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_page_that_does_not_exist_is_named() -> None:
    with pytest.raises(UsageError, match="no page 'poker'"):
        screen("poker")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "example.org", "", "127.0.0.1.example.org"])  # noqa: S104
def test_an_address_that_others_reach_is_refused(traded: Settings, host: str) -> None:
    with pytest.raises(Refused, match="no log-in"):
        require_guarded(traded, host)
    login = dataclasses.replace(traded, dashboards=DashboardsSettings(login=True))
    with pytest.raises(Refused, match="in the clear"):
        require_guarded(login, host)
    with pytest.raises(Refused, match="nobody is registered with a passphrase"):
        require_guarded(login, "127.0.0.1")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_a_loopback_address_is_served(traded: Settings, host: str) -> None:
    require_guarded(traded, host)


def test_the_desk_screen_values_what_the_ledger_holds(traded: Settings) -> None:
    shown = dashboards._desk_screen(traded)
    shown.poll()
    shown.work.wait(60.0)
    shown.read()
    assert shown.problem == ""
    closed = Desk(traded).journal.rows("sessions", account=traded.account)[-1]
    assert closed["positions"]
    positions = shown.frames["positions"]
    held = dict(zip(positions["symbol"], positions["shares"], strict=True))
    assert held == {name: nano / 1e9 for name, nano in closed["positions"].items()}
    invested = float(positions["value_usd"].sum())
    assert invested == pytest.approx((closed["equity_micro"] - closed["cash_micro"]) / 1e6, abs=0.01)
    assert shown.commands.halt("", "why") == shown.commands.halt("me", " ")
    assert not shown.commands.halt("me", " ").done
    assert shown.facts["state"] == "ACTIVE"


def test_the_replay_screen_follows_the_journal(traded: Settings) -> None:
    shown = dashboards._replay_screen(traded)
    shown.poll()
    assert shown.sessions == ["2013-02-04", "2013-02-01"]
    line = shown.timeline("2013-02-04")
    journal = Desk(traded).journal
    counts = line["what"].value_counts().to_dict()
    assert counts["fill"] == len(journal.rows("fills", account=traded.account))
    assert counts["decision"] == len(journal.rows("decisions", account=traded.account, session="2013-02-04"))
    assert line["seq"].is_monotonic_increasing
    before, after = shown.holdings(int(line["seq"].iloc[0])), shown.holdings(int(line["seq"].iloc[-1]))
    assert before["holding"].tolist() == ["cash"]
    closed = journal.rows("sessions", account=traded.account)[-1]
    assert set(after["holding"]) == {"cash", *closed["positions"]}
    assert after["cost_usd"].iloc[0] == pytest.approx(closed["cash_micro"] / 1e6)
    symbol = sorted(closed["positions"])[0]
    prices = shown.prices("2013-02-04", symbol)
    assert prices["at"].max() <= pd.Timestamp(line["at"].iloc[-1])
    assert len(shown.fills("2013-02-04", symbol)) >= 1


EVERYTHING = ("", "", "", "")


def test_the_execution_page_explains_the_whole_shortfall(traded: Settings) -> None:
    shown = dashboards._tca_screen(traded)
    shown.poll()
    found = shown.execution(EVERYTHING)
    assert found is not None
    sent = [row for row in Desk(traded).journal.rows("orders", account=traded.account) if row["sent_at_ns"]]
    assert found.facts["Orders"] == len(sent) == len(found.orders)
    exact = Desk(traded).execution.shortfall(split="cfa")
    assert found.facts["Shortfall, USD"] == pytest.approx(float(exact["total"].sum()), abs=1e-6)
    assert found.steps["end"].iloc[-1] == pytest.approx(found.steps["end"].iloc[-2])
    assert found.orders["total_usd"].sum() == pytest.approx(found.facts["Shortfall, USD"])
    assert found.orders["total_usd"].is_monotonic_decreasing
    assert "fewer than 10 days" in str(found.facts["90 % interval, days resampled, bps"])
    assert shown.execution(EVERYTHING) is found  # readers share the answer


def test_a_selection_keeps_to_its_orders(traded: Settings) -> None:
    shown = dashboards._tca_screen(traded)
    shown.poll()
    symbol = shown.symbols[0]
    found = shown.execution((symbol, "buy", shown.sessions[0], shown.sessions[0]))
    whole = shown.execution(EVERYTHING)
    assert whole is not None
    fits = whole.orders[
        (whole.orders["symbol"] == symbol)
        & (whole.orders["side"] == "buy")
        & (whole.orders["session"] == shown.sessions[0])
    ]
    assert (0 if found is None else len(found.orders)) == len(fits)
    assert shown.execution(("<script>", "", "", "")) is None
    assert "widen" in shown.nothing()


def test_the_story_of_an_order_comes_from_its_journal_rows(traded: Settings) -> None:
    shown = dashboards._tca_screen(traded)
    shown.poll()
    found = shown.execution(EVERYTHING)
    assert found is not None
    order = found.orders.iloc[0]
    told = shown.story(order["order_id"])
    assert told is not None
    assert told.steps is not None
    assert told.steps["bps"].iloc[-1] == pytest.approx(order["total_bps"])
    assert told.events["what"].iloc[0] == "order.intended"
    assert "verdict allowed" in told.events["text"].iloc[0]
    assert "Reason of the decision" in told.facts
    assert told.prices["at"].max() <= pd.Timestamp(f"{order['session']}T23:59", tz="UTC")
    assert shown.story("no such order") is None


def test_the_drift_page_compares_the_features_of_the_last_closed_session(traded: Settings) -> None:
    shown = dashboards._drift_screen(traded)
    shown.poll()
    asked = (shown.symbols[0], 300, 60, 0.05)
    assert shown.answer(asked) is None
    assert "press Compare" in shown.advice(None)
    shown.ask(asked)
    shown.work.wait(60.0)
    found = shown.answer(asked)
    assert found is not None, shown.work.problem
    assert found.latest.index[-1] == shown.last_session == "2013-02-04"
    assert (len(found.reference), len(found.latest)) == (300, 60)
    assert set(found.table["feature"]) == {*traded.model.features, "daily_return"}
    few = found.table[found.table["effective_n"] < 50]
    assert len(few)
    assert set(few["verdict"]) == {"INSUFFICIENT"}
    assert shown.freshness["judgement"].eq("up to date with the last closed session").all()
    shown.ask((shown.symbols[0], 300, 60_000, 0.05))
    shown.work.wait(60.0)
    assert "no more than the latest window" in shown.work.problem
    assert "data ingest" in work_line(shown.work, "")


def test_the_overfitting_page_lists_the_registered_models(traded: Settings) -> None:
    shown = dashboards._overfitting_screen(traded)
    shown.poll()
    registered = Desk(traded).journal.rows("models")
    assert [len(registered), registered[0]["model_id"][:12]] == [
        len(shown.candidates),
        shown.candidates["model_id"].iloc[0],
    ]
    assert "press judge" in shown.advice(None).lower()
    assert shown.models == (registered[0]["model_id"],)
    assert list(shown.gates.columns) == list(GATE_COLUMNS)


def test_a_release_is_commanded_from_the_page_under_the_same_guards(new_desk) -> None:
    settings = new_desk()
    shown = dashboards._overfitting_screen(settings)
    shown.poll()
    (model,) = shown.models
    words = {"person": "operator", "reason": "try", "passphrase": ""}
    refused = shown.commands.promote(model, "shadow", **words)
    assert not refused.done
    assert "no holdout is declared" in refused.text
    assert not shown.commands.promote(model, "shadow", **{**words, "reason": " "}).done
    back = shown.commands.roll_back(**words)
    assert "there is no model to go back to" in back.text
    frame = gate_table([
        {"model_id": model, "stage": "shadow", "gates": [
            {"name": "universe", "passed": True, "numbers": {"symbols": "5"}, "reasons": []},
            {"name": "capacity", "passed": False, "numbers": {}, "reasons": ["no volume"]},
        ]},
    ])  # fmt: skip
    assert frame["verdict"].tolist() == ["refused", "passed"]
    assert frame["reasons"].tolist() == ["no volume", ""]


@pytest.mark.slow
def test_the_overfitting_page_refuses_the_best_of_many(traded: Settings) -> None:
    shown = dashboards._overfitting_screen(traded)
    shown.ask(5.0)
    shown.work.wait(300.0)
    found = shown.answer(5.0)
    assert found is not None, shown.work.problem
    assert not found.passed
    assert set(found.reasons["source"]) == {"statistics", "provenance"}
    assert found.paths.shape[1] == 9
    assert found.facts["Trials"] == 252
    assert found.deflation["deflated"].is_monotonic_decreasing


def test_only_a_judged_absence_of_drift_is_green() -> None:
    assert [word for word, level in VERDICTS.items() if level == "good"] == ["NONE"]
    assert "state good" in verdict("none", {})
    for status in ("drift", "insufficient", "refused", "statistics passed", "something new"):
        assert "good" not in verdict(status, {})


def test_work_is_done_once_and_one_at_a_time() -> None:
    work, hold, began = Work(), threading.Event(), threading.Event()

    def slow(tell: object) -> int:
        began.set()
        hold.wait(10.0)
        return 3

    assert work.start("three", slow)
    assert began.wait(10.0)
    assert not work.start("four", lambda tell: 4)
    assert work.answer("three") is None
    assert "Working" in work_line(work, "advice")
    hold.set()
    work.wait(10.0)
    assert (work.answer("three"), work.answer("four"), work.progress) == (3, None, "")
    assert "advice" in work_line(work, "advice")


@pytest.mark.parametrize("error", [DataError("no <rows>", next_step="find some"), ValueError("no <rows>")])
def test_work_that_fails_says_why_and_may_be_asked_again(error: Exception) -> None:
    work = Work()

    def fail(tell: object) -> None:
        raise error

    before = work.version
    assert work.start("x", fail)
    work.wait(10.0)
    assert work.version > before
    assert "no &lt;rows&gt;" in work_line(work, "")
    assert work.start("x", lambda tell: 1)
    work.wait(10.0)
    assert (work.answer("x"), work.problem) == (1, "")


def test_only_the_latest_answers_are_kept() -> None:
    work = Work()
    for number in range(10):
        work.start(number, lambda tell: "answer")
        work.wait(10.0)
    assert [number for number in range(10) if work.answer(number)] == list(range(2, 10))


# --- drift: what was measured, what it stopped -----------------------------------------------------------


def test_the_drift_screen_shows_measures_alarms_and_what_they_stopped(
    traded: Settings, tmp_path: Path
) -> None:
    folder = tmp_path / "desk"
    shutil.copytree(traded.folder, folder)
    settings = load_settings(str(folder / "workbench.toml"))
    monitoring.monitor(settings, "2013-02-01")
    beyond = pd.DataFrame([{"symbol": "IBM", "status": "drift", "changed": "momentum_20", "shift_sd": 2.0,
                            "spread": 0.1, "missing": 0.0}])  # fmt: skip
    monitoring.monitor(settings, "2013-02-04", found=beyond)
    looked = dashboards._drift_screen(settings)
    looked.poll()
    assert looked.problem == ""
    assert set(looked.measures["session"]) == {"2013-02-01", "2013-02-04"}
    blocked = looked.alarms[looked.alarms["level"] == "block"]
    assert blocked["measure"].tolist() == ["inputs.shift_sd"]
    assert blocked["false_alarms"].tolist() == ["none judged yet"]
    assert looked.taken["level"].tolist() == ["model"]
    assert "inputs.shift_sd" in looked.taken["reason"].iloc[0]
    (told,) = [
        row["alert_id"] for row in Desk(settings).journal.rows("outbox") if "shift_sd" in row["subject"]
    ]
    with alerts.open_alerting(settings) as service:
        service.judge(told, real=False, person="operator", reason="the feed was tested")
    (model,) = Desk(settings).journal.rows("models")
    lift(settings, "model", model["model_id"], person="operator", reason="looked at it")
    again = dashboards._drift_screen(settings)
    again.poll()
    found = again.alarms[again.alarms["level"] == "block"]["false_alarms"].tolist()
    assert found == ["1 of 1 judged false (100 %)"]
    assert again.taken["what"].tolist() == ["lifted by operator", "no new risk"]
    for picture in (plots.streams_by_day(again.measures), plots.levels_by_day(again.measures)):
        assert holoviews().render(picture) is not None


def test_the_log_of_data_holds_what_is_odd_about_data_and_nothing_else() -> None:
    rows = [
        ("2013-02-01", "data.gaps", 0.1, "warn", "6 of 60 bars", "m"),
        ("2013-02-01", "data.jump", 1.0, "ok", "", "m"),
        ("2013-02-01", "execution.denied", 0.9, "note", "", "m"),
        ("2013-02-04", "features.missing", 0.1, "warn", "momentum_20", "m"),
    ]
    measures = pd.DataFrame(rows, columns=["session", "measure", "value", "level", "evidence", "model_id"])
    found = quality_log(measures)
    assert found["measure"].tolist() == ["features.missing", "data.gaps"]
    assert found["meaning"].str.len().min() > 10
    assert len(quality_log(measures[:0])) == 0


# --- pace --------------------------------------------------------------------------------------------


def test_many_readers_take_half_a_processor_and_a_halt_never_waits() -> None:
    now = [0.0]
    for readers, drawn_in_10_s in ((1, 50), (20, 3)):
        pace, drawn = Pace(lambda: now[0]), 0
        end_s = now[0] + 10.0
        while now[0] < end_s:
            if pace.may_draw("ACTIVE"):
                now[0] += 0.1  # what one drawing takes
                pace.drawn("ACTIVE", readers=readers)
                drawn += 1
            now[0] += 1e-3
        assert drawn == pytest.approx(drawn_in_10_s, rel=0.2)  # of all readers: half of the time
        assert not pace.may_draw("ACTIVE")
        assert pace.may_draw("HALTED")


def test_an_alert_does_not_make_the_desk_add_up_its_books_again(traded: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "desk"
    shutil.copytree(traded.desk_path.parents[1], folder)
    settings = load_settings(str(folder / "workbench.toml"))
    shown = dashboards._desk_screen(settings)
    shown.poll()
    shown.work.wait(60.0)
    sums = shown.work.latest
    assert sums is not None
    clock = [1e9]
    shown._clock_s = shown.work._clock_s = lambda: clock[0]

    def commit(event: Event) -> int:
        with open_journal(settings, read_only=False) as journal:
            journal.commit([event])
        clock[0] += 1e6
        return int(shown.poll())

    before = shown.version
    words = {"account": settings.account, "code": "STAGE_BUDGET", "text": "slow", "at_ns": 1}
    assert commit(Event("alert.raised", words)) > before
    shown.work.wait(60.0)
    assert shown.work.latest is sums
    posted = {
        "account": settings.account, "session": "2013-02-05", "entry_id": "gift", "memo": "a test",
        "postings": [
            {"ledger_account": name, "amount_micro": micro, "quantity_nano": 0, "memo": ""}
            for name, micro in (("cash", 10**6), ("capital", -(10**6)))
        ],
    }  # fmt: skip
    commit(Event("ledger.posted", posted))
    shown.work.wait(60.0)
    assert shown.work.latest is not sums


def test_a_halt_on_the_page_stops_sending_before_it_loads_what_tells_of_it(
    traded: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(traded.folder, tmp_path / "desk")
    settings = load_settings(str(tmp_path / "desk/workbench.toml"))
    armed = ArmedFileOnDisk(DeskPaths(settings.desk_path).armed)
    armed.write(settings.account, 1)
    shown = dashboards._desk_screen(settings)
    monkeypatch.setitem(sys.modules, "workbench.bootstrap.killing", None)  # nothing tells of it
    monkeypatch.delattr(workbench.bootstrap, "killing", raising=False)
    with pytest.raises(ImportError):
        shown.commands.halt("ada", "a strange price")
    assert armed.read() is None


def test_what_runs_next_is_looked_up_after_a_run_and_as_time_passes(traded: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "desk"
    shutil.copytree(traded.folder, folder)
    settings = load_settings(str(folder / "workbench.toml"))
    shown = dashboards._desk_screen(settings)
    clock, asked = [1e9], []

    def next_run(session: str) -> str:
        asked.append(session)
        return f"look {len(asked)}"

    shown._clock_s, shown._next_run = lambda: clock[0], next_run

    def shows(after_s: float) -> str:
        clock[0] += after_s
        shown.poll()
        for name in ("ahead", "work"):
            getattr(shown, name, shown.work).wait(60.0)
        clock[0] += 0.5  # the next reader's look
        shown.poll()
        return str(shown.facts["next_run"])

    assert shows(0.0) == "look 1"
    sums = shown.work.latest
    assert shows(1.0) == "look 1"  # nothing has happened
    assert shows(60.0) == "look 2"
    run = {
        "run_id": "monitor/2013-02-05.1", "job": "monitor", "session": "2013-02-05", "attempt": 1,
        "parameters_hash": "p", "code_hash": "c",
    }  # fmt: skip
    with open_journal(settings, read_only=False) as journal:
        journal.commit([Event("run.started", run)])
    assert shows(1.0) == "look 3"
    assert shown.work.latest is sums  # a run alone moves no position
    assert asked == ["2013-02-04"] * 3


def test_what_a_moment_shows_is_what_the_whole_history_says(traded: Settings) -> None:
    shown = dashboards._replay_screen(traded)
    shown.poll()
    desk = Desk(traded)
    whole = desk.views.fills()
    for symbol in (*whole["symbol"].unique(), "NONE"):
        found = shown.fills("2013-02-04", symbol)
        there = whole[whole["symbol"] == symbol].reset_index(drop=True)[list(found.columns)]
        assert len(found) == len(there)
        assert found.astype(str).equals(there.astype(str))
        desk.plots.price_path(shown.prices("2013-02-04", "AAPL"), found)  # also without any
    postings = desk.journal.rows("postings", account=traded.account)
    for seq in {row["seq"] for row in postings}:
        ledger = Ledger.from_postings(
            Posting(row["ledger_account"], row["amount_micro"], row["quantity_nano"], row["memo"])
            for row in postings
            if row["seq"] <= seq
        )
        held = shown.holdings(seq).set_index("holding")
        assert held.loc["cash", "cost_usd"] == ledger.cash_micro / MICRO
        known = {name: nano / NANO for name, nano in ledger.positions_nano.items() if nano}
        assert held["shares"].dropna().to_dict() == known
        shown.holdings_soon(seq)
        shown.sums.wait(60.0)
        soon = shown.holdings_soon(seq)
        assert soon is not None
        assert soon.equals(shown.holdings(seq))


def test_a_long_history_of_a_page_is_measured_beside_it(traded: Settings) -> None:
    shown = dashboards._tca_screen(traded)
    shown.held = True  # the first reader's page is on its way
    shown.poll()
    assert not shown.known
    assert shown.newest["Its session"] == "2013-02-04"
    assert not shown.work.progress
    shown.held, shown._looked_s = False, -1e9
    shown.poll()
    shown.work.wait(60.0)
    shown._looked_s = -1e9
    shown.poll()
    assert shown.known
    alone = dashboards._tca_screen(traded)
    alone.poll()
    ours, theirs = shown.execution(("", "", "", "")), alone.execution(("", "", "", ""))
    assert ours is not None
    assert theirs is not None
    assert ours.facts == theirs.facts
    first = shown._sent
    shown._looked_s = -1e9
    shown.poll()
    shown.work.wait(60.0)
    assert shown._sent is first  # nothing has moved: nothing is measured again
