"""State of the pages without a browser: shared looks, honest problems, escaped words."""

from __future__ import annotations

import html
import subprocess
import sys

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.bootstrap import dashboards
from workbench.bootstrap.dashboards import require_loopback, screen
from workbench.bootstrap.desk import Desk
from workbench.config import Settings
from workbench.errors import DataError, Refused, UsageError
from workbench.pages import bars, facts
from workbench.pages.frame import STALE_S, is_doubtful, status_line
from workbench.screens import Screen


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
def test_an_address_that_others_reach_is_refused(host: str) -> None:
    with pytest.raises(Refused, match="no log-in"):
        require_loopback(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_a_loopback_address_is_served(host: str) -> None:
    require_loopback(host)


def test_the_desk_screen_values_what_the_ledger_holds(traded: Settings) -> None:
    shown = dashboards._desk_screen(traded)
    shown.poll()
    assert shown.problem == ""
    closed = Desk(traded).journal.rows("sessions", account=traded.account)[-1]
    assert closed["positions"]
    positions = shown.frames["positions"]
    held = dict(zip(positions["symbol"], positions["shares"], strict=True))
    assert held == {name: nano / 1e9 for name, nano in closed["positions"].items()}
    invested = float(positions["value_usd"].sum())
    assert invested == pytest.approx((closed["equity_micro"] - closed["cash_micro"]) / 1e6, abs=0.01)
    gross = shown.frames["limits"].set_index("limit").loc["max_gross_notional_usd", "used"]
    assert gross == pytest.approx(float(positions["value_usd"].abs().sum()))
    assert shown.halt("", "why") == shown.halt("me", " ")
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
