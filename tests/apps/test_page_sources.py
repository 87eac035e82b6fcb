"""What pages say about numbers, addresses and notebooks, without a browser."""

from __future__ import annotations

import html
import inspect
import json
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.bootstrap import dashboards, page_sources
from workbench.bootstrap.desk import Desk, DeskPaths, open_journal
from workbench.bootstrap.limits import _orders_that_count, limit_utilisation
from workbench.cli.app import build as build_all
from workbench.cli.app import commands
from workbench.cli.pages import build as build_pages
from workbench.config import DEFAULT_TOML, Settings, load_settings
from workbench.core.ports import Event, RecordedEvent
from workbench.core.types import MICRO
from workbench.errors import DataError, UsageError
from workbench.pages import cards, execution_report, facts, picture, release_card, table, unknown_order
from workbench.pages.address import Address, address_name, asked_of
from workbench.pages.drawer import hash_of, question_of
from workbench.pages.executed import executed_notebook
from workbench.pages.frame import notices, status_line
from workbench.screens.desk_sources import desk_sources
from workbench.screens.questions import sql_of
from workbench.screens.tca_tables import markouts
from workbench.screens.timings import COLUMNS, stage_timings
from workbench.services.own_orders import OwnOrders
from workbench.services.records import order_from_row

EVERYTHING = ("", "", "", "")
pytestmark = pytest.mark.filterwarnings("ignore:button_type is deprecated:PendingDeprecationWarning")


# --- addresses ---------------------------------------------------------------------------------------


def widgets() -> dict[str, Any]:
    import panel as pn

    return {
        "symbol": pn.widgets.Select(options={"all": "", "AAPL": "AAPL", "FB": "FB"}),
        "cost": pn.widgets.Select(options=[0.0, 2.0, 5.0], value=5.0),
        "moment": pn.widgets.IntSlider(start=0, end=9, value=9),
        "order": pn.widgets.TextInput(),
    }


def test_a_link_sets_what_it_asks_for_and_keeps_the_rest_of_the_address() -> None:
    made = widgets()
    written: list[str] = []
    asked = asked_of("?symbol=FB&cost=2.0&moment=4&order=wb1&theme=dark")
    address = Address(asked, made, written.append)
    assert address.bring() == []
    assert [widget.value for widget in made.values()] == ["FB", 2.0, 4, "wb1"]
    made["symbol"].value = ""
    made["order"].value = "<a&b>"
    assert asked_of(written[-1]) == {"cost": "2.0", "moment": "4", "order": "<a&b>", "theme": "dark"}
    again = widgets()
    Address(asked_of(written[-1]), again, written.append).bring()
    assert {name: widget.value for name, widget in again.items()} == {
        name: widget.value for name, widget in made.items()
    }


@given(
    st.dictionaries(st.sampled_from(["symbol", "cost", "moment", "whim"]), st.text(max_size=300), max_size=4)
)
def test_any_address_is_shown_or_explained(asked: dict[str, str]) -> None:
    made = widgets()
    address = Address(asked, made, lambda query: None)
    said = address.bring()
    shown = {name: str(made[name].value) for name in asked if name in made}
    fits = {name for name, text in asked.items() if name in shown and text.strip().lstrip("+0") in
            (shown[name], shown[name].lstrip("0"))}  # fmt: skip
    assert len(said) >= len(set(asked) - fits)
    assert len(said) <= len(asked)
    words = notices(said)
    assert words.count("<") == notices(["x"] * len(said)).count("<")  # no text becomes markup
    assert address.bring() == []  # said once


def test_what_cannot_be_chosen_yet_is_brought_later() -> None:
    import panel as pn

    late = pn.widgets.Select(options=[])
    address = Address({"feature": "vol"}, {"feature": late}, lambda query: None)
    assert address.bring() == []
    late.options = ["mom", "vol"]
    assert address.bring() == []
    assert late.value == "vol"


def test_names_in_an_address_are_short() -> None:
    assert address_name("Reference, sessions") == "reference"
    assert address_name("Feature: then and now") == "feature"


@given(st.text(max_size=60))
def test_a_question_survives_the_hash_of_an_address(question: str) -> None:
    hash_ = hash_of(question)
    assert question_of(hash_) == question
    assert all(letter.isascii() and (letter.isalnum() or letter in "#-_") for letter in hash_)
    assert question_of("#top") == question_of("") == ""


# --- questions ---------------------------------------------------------------------------------------


def test_the_shown_sql_finds_the_shown_rows(traded: Settings) -> None:
    shown = dashboards._desk_screen(traded)
    shown.poll()
    asked = [*desk_sources("demo", "2013-02-04"), "positions/AAPL", "runs/none", "drive/Last cycle"]
    order = Desk(traded).journal.rows("orders")[0]["client_order_id"]
    with closing(sqlite3.connect(DeskPaths(traded.desk_path).journal)) as database:
        for question in [*asked, f"orders/{order}"]:
            found = shown.explain(question)
            assert found is not None, question
            assert len(database.execute(found.sql).fetchall()) == found.count == len(found.rows)
            if found.count:
                made = set(found.rows["added_seq"]) | set(found.rows["seq"])
                assert made == set(found.events["seq"])
    assert shown.explain("nonsense") is None
    assert sql_of("orders", {"account": "o'hara"}).count("'") == 4  # a quote in a value stays a value


def test_every_number_of_the_desk_page_leads_somewhere(traded: Settings) -> None:
    shown = dashboards._desk_screen(traded)
    shown.poll()
    for group, values in (("money", shown.money()), ("drive", shown.drive())):
        for label in values:
            assert shown.explain(f"{group}/{label}") is not None
    text = facts("Money", shown.money(), why="money")
    assert text.count('href="#why-money_2f') == sum(value is not None for value in shown.money().values())


def test_every_table_of_the_other_pages_leads_to_rows_that_make_it(traded: Settings) -> None:
    shown = dashboards._replay_screen(traded)
    shown.poll()
    journal = Desk(traded).journal
    for _, event in shown.timeline("2013-02-04").iterrows():
        found = shown.explain(f"events/2013-02-04/{event['what']}-{event['seq']}")
        assert found is not None
        assert found.count == 1
        assert event["seq"] in (found.rows["seq"].iloc[0], found.rows["added_seq"].iloc[0])
    last = journal.head()[0]
    for _, row in shown.holdings(last).iterrows():
        found = shown.explain(f"held/2013-02-04/{row['holding']}")
        assert found is not None
        assert found.rows["amount_micro"].sum() / MICRO == pytest.approx(row["cost_usd"])
    for question in [f"{name}/2013-02-04" for name in ("decisions", "account", "supposed", "again")]:
        assert shown.explain(question) is not None
    assert shown.explain("events/2013-02-04/order-one") is shown.explain("nonsense") is None
    for made in (dashboards._drift_screen(traded), dashboards._overfitting_screen(traded)):
        made.poll()
        assert made.sources
        for question in made.sources:
            found = made.explain(question)
            assert found is not None
            assert found.line
    model = journal.rows("models")[0]["model_id"]
    named = made.explain(f"candidates/{model[:12]}")
    assert named is not None
    assert named.rows["model_id"].tolist() == [model]


TABLE = re.compile(r"\btable\((?:[^()]|\([^()]*\))*\)")


@pytest.mark.parametrize("name", ["desk", "tca", "drift", "overfitting", "replay"])
def test_every_table_of_a_page_names_a_source_that_its_screen_has(traded: Settings, name: str) -> None:
    shown = getattr(dashboards, f"_{name}_screen")(traded)
    shown.poll()
    texts = [Path(dashboards.apps()[name]).read_text()]
    if name == "desk":  # its cards hold tables too
        texts.append(inspect.getsource(cards))
    tables = [found for text in texts for found in TABLE.findall(text)]
    assert tables
    for written in tables:
        asked = re.search(r'why="([a-z]+)"', written)
        assert asked, f"nobody can ask where this comes from: {written}"
        found = shown.explain(asked[1])
        assert found is not None, asked[1]
        assert found.count or not len(found.rows)


def test_an_alert_and_an_approval_are_asked_for_by_their_own_names() -> None:
    sources = desk_sources("demo", "2013-02-04")
    assert sources["alerts"].of_row("12").equals == {"account": "demo", "alert_id": 12}
    assert sources["alerts"].of_row("1 OR 1").equals == {"account": "demo"}  # no alert has such a name
    assert sources["pending"].of_row("ab").equals == {"account": "demo", "approval_id": "ab"}


def test_a_session_beside_itself_differs_nowhere_and_beside_another_where_it_does(traded: Settings) -> None:
    shown = dashboards._replay_screen(traded)
    facts_, frame = shown.beside("2013-02-04", "2013-02-04")
    assert (facts_["That differ"], facts_["First divergence"]) == (0, "none")
    facts_, frame = shown.beside("2013-02-01", "2013-02-04")
    views = Desk(traded).views
    ours, theirs = (views.decisions(one).set_index("symbol") for one in ("2013-02-01", "2013-02-04"))
    columns = ["reason", "target_shares", "change_shares"]
    apart = [symbol for symbol in ours.index if any(ours.loc[symbol, columns] != theirs.loc[symbol, columns])]
    assert frame.loc[frame["differs_in"] != "", "symbol"].tolist() == sorted(apart)
    assert facts_["That differ"] == len(apart) > 0
    assert str(facts_["First divergence"]).startswith(sorted(apart)[0])


def test_where_nothing_was_measured_no_alarm_is_no_answer(traded: Settings) -> None:
    shown = dashboards._drift_screen(traded)
    shown.poll()
    assert len(shown.measures) == 0
    assert shown.monitoring() == {
        "Sessions measured": 0, "Therefore": "nothing was judged: no alarm is no answer",
    }  # fmt: skip


# --- what pages are made of --------------------------------------------------------------------------


def test_a_table_is_light_until_it_has_a_row_and_a_picture_until_it_is_drawn() -> None:
    box, show = table("Orders", empty="None.")
    show(pd.DataFrame(columns=["a"]))
    assert len(box) == 2
    assert box[1].visible
    show(pd.DataFrame({"a": [1, 2]}))
    assert len(box) == 3
    assert (box[1].visible, box[2].visible) == (False, True)
    show(pd.DataFrame(columns=["a"]))
    assert (box[1].visible, box[2].visible) == (True, False)
    made = []
    place = picture()
    assert len(place) == 0
    place.draw(lambda: made.append(1))
    assert (len(place), made) == (1, [1])


def test_the_newest_model_is_chosen_and_a_choice_stays() -> None:
    class Anybody:
        def may_command(self, person: str) -> bool:
            return True

    box, show = release_card(Anybody())  # type: ignore[arg-type]
    model = box[1][0]
    show(())
    assert model.value is None
    show(("b" * 64, "a" * 64))
    assert model.value == "b" * 64
    model.value = "a" * 64
    show(("c" * 64, "b" * 64, "a" * 64))
    assert model.value == "a" * 64


def test_the_pages_are_reached_without_venues_and_drawing_libraries() -> None:
    code = (
        "import sys, workbench.cli.pages, workbench.bootstrap.dashboards;"
        "print(sorted({'alpaca', 'holoviews', 'papermill', 'psycopg', 'scipy.special'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", sorted(dashboards.apps()))
def test_every_page_is_built_before_there_is_a_desk(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from panel.io.application import build_single_handler_application

    (tmp_path / "workbench.toml").write_text(DEFAULT_TOML)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(dashboards, "_served", [])
    dashboards.screen.cache_clear()
    try:
        page = build_single_handler_application(str(dashboards.apps()[name]))
        page.create_document()
        assert [handler.error for handler in page.handlers] == [None]
        assert "there is no desk at" in dashboards.screen(name).problem
        assert "workbench demo for one with history" in status_line(dashboards.screen(name))
    finally:
        dashboards.screen.cache_clear()


def test_the_short_way_to_the_pages_is_the_same_command() -> None:
    short, whole = (dict(commands(build()))["dashboards"] for build in (build_pages, build_all))
    assert [one.opts for one in short.params] == [one.opts for one in whole.params]
    assert (short.help, short.epilog) == (whole.help, whole.epilog)


# --- the desk ----------------------------------------------------------------------------------------


def test_the_desk_page_shows_limits_money_and_next_steps_as_the_commands_do(traded: Settings) -> None:
    shown = dashboards._desk_screen(traded)
    shown.poll()
    shown.work.wait(60.0)
    shown.ahead.wait(60.0)
    shown.read()
    used = {use.code: use for use in limit_utilisation(traded)}
    frame = shown.frames["limits"].set_index("code")
    assert set(frame.index) == {
        code for code, use in used.items() if use.used is not None and isinstance(use.value, float)
    }
    assert frame["used"].to_dict() == {code: used[code].used for code in frame.index}
    assert frame["utilisation"].is_monotonic_decreasing
    views = Desk(traded).views
    equity = shown.frames["equity"]
    for column in ("equity_usd", "cash_usd", "invested_usd", "drawdown_bps"):
        assert equity[column].tolist() == pytest.approx(views.equity()[column].tolist())
    assert equity["pnl_usd"].tolist() == pytest.approx(views.sessions()["pnl_usd"].tolist())
    assert shown.facts["next_run"] == "session 2013-02-05, when a person starts it"
    assert shown.facts["watchdog"] == "none was ever seen; not required"
    assert shown.facts["last_cycle"].startswith("2013-02-04 ")


def test_sums_wait_until_the_first_reader_sees_the_page(traded: Settings) -> None:
    shown = dashboards._desk_screen(traded)
    shown.held = True
    shown.poll()
    shown.work.wait(60.0)
    assert shown.facts["added_up"] is False  # so that the page does not say that nothing is held
    assert shown.facts["next_run"] == "being looked up"
    assert shown.facts["state"] == "ACTIVE"
    shown.held = False
    shown.read()
    shown.work.wait(60.0)
    shown.read()
    assert shown.facts["added_up"]
    assert len(shown.frames["positions"])


def test_the_orders_that_limits_are_measured_by_count_as_all_of_them_do(
    traded: Settings, tmp_path: Path
) -> None:
    folder = tmp_path / "desk"
    shutil.copytree(traded.desk_path.parents[1], folder)
    settings = load_settings(str(folder / "workbench.toml"))
    with closing(sqlite3.connect(DeskPaths(settings.desk_path).journal, isolation_level=None)) as database:
        names = [row[1] for row in database.execute("PRAGMA table_info(orders)")]
        like = dict(zip(names, database.execute("SELECT * FROM orders").fetchone(), strict=True))
        older = {
            **like,
            "session": "2013-01-25",
            "scheduled_ns": 5,
            "sent_at_ns": 6,
            "seq": 1,
            "added_seq": 1,
        }
        for changes in (
            {"client_order_id": "ended", "state": "EXPIRED", "symbol": "IBM"},
            {"client_order_id": "open", "state": "ACCEPTED", "symbol": "IBM", "venue_order_id": "v1"},
            {"client_order_id": "outlasted", "state": "FILLED", "symbol": "AAPL"},
        ):
            row = {**older, **changes}
            marks = ",".join("?" * len(names))
            database.execute(f"INSERT INTO orders VALUES ({marks})", [row[name] for name in names])  # noqa: S608
        database.execute(
            "UPDATE fills SET client_order_id = 'outlasted' WHERE rowid = (SELECT min(rowid) FROM fills)"
        )
    desk = Desk(settings)
    account, sessions = settings.account, {"2013-02-04", "2013-02-01"}
    found = _orders_that_count(desk.journal, account, sessions)
    everything = OwnOrders(
        {row["client_order_id"]: order_from_row(row) for row in desk.journal.rows("orders", account=account)}
    )
    assert set(everything) - set(found) == {"ended"}
    assert found.working_shares() == everything.working_shares()
    assert set(found.unfinished()) == set(everything.unfinished())
    assert found["open"] == everything["open"]
    assert found["outlasted"] == everything["outlasted"]
    for session in sessions:
        assert found.sent_in(session) == everything.sent_in(session)
    assert found.ordered_after(0) != everything.ordered_after(0)  # the ended one is not even read


def test_books_that_do_not_balance_are_said_and_not_shown(traded: Settings, monkeypatch: Any) -> None:
    shown = dashboards._desk_screen(traded)
    monkeypatch.setattr(shown.desk.journal, "balances", lambda account: {"cash": (5, 0)})
    shown.poll()
    shown.work.wait(60.0)
    assert "do not sum to zero" in shown.work.problem
    shown.read()
    assert not len(shown.frames["positions"])


def recorded(kind: str, at_s: float, **payload: Any) -> RecordedEvent:
    return RecordedEvent(1, int(at_s * 1e9), kind, payload, "c", "h")


def test_the_stages_of_a_run_sum_to_its_duration() -> None:
    def run(began: float, name: str, job: str = "trading_loop") -> list[RecordedEvent]:
        steps = (
            ("ticket.used", 4.0), ("lease.acquired", 0.5), ("reconciliation.done", 1.0),
            ("decision.made", 0.25), ("reconciliation.done", 2.0), ("session.closed", 0.1),
            ("lease.released", 0.2),
        )  # fmt: skip
        events, at = [recorded("run.started", began, run_id=name, job=job)], began
        for kind, took in steps:
            at += took
            events.append(recorded(kind, at, account="demo"))
        return [*events, recorded("run.finished", at + 0.05, run_id=name)]

    twice = [*run(0.0, "a"), *run(50.0, "other", job="report"), *run(100.0, "b")]
    open_run = [recorded("run.started", 200.0, run_id="c", job="trading_loop")]
    frame = stage_timings([*twice, *open_run], "trading_loop")
    assert frame["last_s"].sum() == pytest.approx(8.1)
    assert frame["runs"].tolist() == [2] * 8
    took = frame.set_index("stage")["last_s"]
    assert took["recover and reconcile"] == pytest.approx(1.0)
    assert took["send, watch and reconcile"] == pytest.approx(2.0)
    assert stage_timings([], "trading_loop").columns.tolist() == list(COLUMNS)


# --- execution ---------------------------------------------------------------------------------------


def test_prices_after_the_fills_are_counted_out(traded: Settings) -> None:
    desk = Desk(traded)
    fills = desk.execution.fills()
    found = markouts(desk, fills, "2013-02-04").set_index(["side", "sessions"])
    total = value = 0.0
    for fill in fills.to_dict("records"):
        bars = desk.bars.read(
            [fill["symbol"]],
            as_of_ns=desk.calendar.session_close_ns(fill["session"]) + 6 * 3_600 * 10**9,
            rows=1,
        )
        sign = 1.0 if fill["side"] == "buy" else -1.0
        paid = fill["price"] * fill["quantity"]
        total += sign * (float(bars.close[-1, 0]) / fill["price"] - 1.0) * paid
        value += paid
    assert found.loc[("all", 0), "markout_bps"] == pytest.approx(total / value * 1e4)
    assert found.loc[("all", 0), "fills"] == len(fills)
    later = fills[fills["session"] < "2013-02-04"]
    assert (("all", 1) in found.index) == bool(len(later))
    assert not len(markouts(desk, fills.head(0), "2013-02-04"))


def test_a_long_history_is_measured_from_its_newest_whole_session(traded: Settings, monkeypatch: Any) -> None:
    whole = dashboards._tca_screen(traded)
    whole.poll()
    monkeypatch.setattr("workbench.screens.tca.MOST_ORDERS", 2)
    short = dashboards._tca_screen(traded)
    short.poll()
    assert whole.sessions[-1] == short.sessions[0]
    assert len(short.sessions) == 1
    last = short.sessions[0]
    wanted, found = whole.execution(("", "", last, "")), short.execution(EVERYTHING)
    assert wanted is not None
    assert found is not None
    assert found.orders["order_id"].tolist() == wanted.orders["order_id"].tolist()
    assert found.facts == wanted.facts
    assert any(f"Only orders from {last} on" in note for note in found.notes)


def test_groups_add_up_to_the_whole(traded: Settings) -> None:
    shown = dashboards._tca_screen(traded)
    shown.poll()
    found = shown.execution(EVERYTHING)
    assert found is not None
    for by in shown.groups:
        table = shown.broken_down(EVERYTHING, by)
        assert table["orders"].sum() == found.facts["Orders"]
        assert "unknown" not in set(table.iloc[:, 0]), "filled or not, the bars tell what was known"
        assert table["total_usd"].sum() == pytest.approx(found.facts["Shortfall, USD"])
    assert (
        shown.floors["floor_bps"].between(shown.floors["floor_low_bps"], shown.floors["floor_high_bps"]).all()
    )
    decided = Desk(traded).views.decisions().dropna(subset=["cost_floor_bps"])
    assert shown.floors["floor_high_bps"].max() == pytest.approx(decided["cost_floor_bps"].max())


def test_the_report_is_one_file_that_fetches_nothing(traded: Settings) -> None:
    shown = dashboards._tca_screen(traded)
    shown.poll()
    found = shown.execution(EVERYTHING)
    assert found is not None
    text = execution_report(shown, EVERYTHING)
    assert "http" not in text
    assert text.count("src=") == text.count('src="data:image/png;base64,') == 1
    for order in found.orders["order_id"]:
        assert order in text
    assert "widen" in execution_report(shown, ("<script>", "", "", ""))


@given(st.text(max_size=40))
def test_no_order_id_becomes_markup(text: str) -> None:
    assert unknown_order(text).count("<") == unknown_order("x").count("<")


# --- executed notebooks ------------------------------------------------------------------------------


@given(st.text(max_size=40))
def test_no_text_of_a_notebook_becomes_markup(text: str) -> None:
    def page(said: str) -> str:
        outputs = [
            {"output_type": "stream", "text": said},
            {"output_type": "error", "traceback": [said, said]},
            {"output_type": "execute_result", "data": {"text/plain": said}},
            {"output_type": "display_data", "data": {"image/png": said}},
        ]
        cells = [
            {"cell_type": "markdown", "source": f"words {said}"},
            {"cell_type": "raw", "source": said},
            {"cell_type": "code", "source": said, "outputs": outputs, "execution_count": said},
        ]
        return executed_notebook({"cells": cells}, title=said)

    tags = [piece.split(" ")[0] for piece in page(text).split("<")[1:]]
    assert {tag.split(">")[0].strip("/") for tag in tags} <= {
        "!doctype", "html", "head", "meta", "title", "style", "body", "p", "div", "pre", "img", "h1", "h2",
        "h3", "h4", "b", "code",
    }  # fmt: skip
    assert "<script" not in page("<script>")


def test_a_notebook_that_is_not_there_is_named(traded: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "desk"
    shutil.copytree(traded.desk_path.parents[1], folder)
    settings = load_settings(str(folder / "workbench.toml"))
    with open_journal(settings, read_only=False) as journal:
        for name, kept in (("a/b.1", str(tmp_path / "n.ipynb")), ("a/b.2", "")):
            started = {"run_id": name, "job": "a", "session": "b", "attempt": int(name[-1])}
            journal.commit([Event("run.started", {**started, "parameters_hash": "p", "code_hash": "c"})])
            ended = {
                "run_id": name,
                "status": "failed",
                "exit_code": 5,
                "reason": "no disk",
                "notebook": kept,
            }
            journal.commit([Event("run.finished", ended)])
    desk, path = Desk(settings), tmp_path / "n.ipynb"
    with pytest.raises(UsageError, match="there is no run"):
        page_sources.notebook_page(desk, "trading_loop/1999-01-01.1")
    with pytest.raises(DataError, match="is gone"):
        page_sources.notebook_page(desk, "a/b.1")
    path.write_text("{not json")
    with pytest.raises(DataError, match="is no notebook"):
        page_sources.notebook_page(desk, "a/b.1")
    path.write_text(json.dumps({"cells": [{"cell_type": "markdown", "source": ["# Hi"]}]}))
    assert "<h1>Hi</h1>" in page_sources.notebook_page(desk, "a/b.1")
    with pytest.raises(UsageError, match="left no notebook: failed no disk"):
        page_sources.notebook_page(desk, "a/b.2")


def test_a_moment_tells_both_clocks() -> None:
    at = pd.Timestamp("2013-02-01 21:00:00", tz="UTC")
    text = facts("Now", {"Time": at})
    assert "2013-02-01 16:00:00 EST" in text
    assert 'title="2013-02-01 21:00:00 UTC"' in text
    assert html.escape("<") in facts("<", {"a": np.float64(1.0)})
