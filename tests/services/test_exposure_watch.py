"""Exposure within a session: judged at every poll, a breach told once and halted until a person lifts it."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import drive
import numpy as np
import pytest
from journals import Desk

from workbench.adapters.clock import SimulatedClock
from workbench.adapters.journal import JournalDatabase
from workbench.bootstrap.desk import Desk as OpenDesk
from workbench.bootstrap.lifting import lift
from workbench.config import Settings
from workbench.core.ledger import Ledger, Posting
from workbench.core.monitoring import Level
from workbench.core.monitoring.exposure import GROSS, LOSS
from workbench.core.pretrade import Limits
from workbench.core.types import MICRO, NANO, Quotes
from workbench.errors import OutcomeUnknown
from workbench.services.exposure_watch import ExposureWatch
from workbench.services.own_orders import OwnOrders
from workbench.services.session import SessionTimes

FIRST, SECOND, THIRD = "2013-02-01", "2013-02-04", "2013-02-05"
OPEN = 1_700_000_000 * NANO
TIMES = SessionTimes(FIRST, OPEN, OPEN + 3_600 * NANO, (OPEN,), OPEN + 3_900 * NANO, 15 * NANO)
LIMITS = Limits(max_gross_notional_usd=1_000, max_position_notional_usd=1_000, max_order_notional_usd=1_000,
                max_session_loss_usd=100, max_quote_age_s=60.0)  # fmt: skip


class Market:
    """Quotes that a test sets; `asked` counts the questions."""

    def __init__(self) -> None:
        self.prices: dict[str, float] = {}
        self.at_ns, self.asked, self.silent = OPEN, 0, False

    def quotes(self, symbols: Sequence[str]) -> Quotes:
        self.asked += 1
        if self.silent:
            raise OutcomeUnknown("no answer", next_step="wait")
        price = np.array([round(self.prices.get(s, 0) * MICRO) for s in symbols], dtype=np.int64)
        return Quotes(tuple(symbols), price, price, np.where(price > 0, self.at_ns, -1))


class World:
    """Ten shares bought at 90 with nothing else, in a session that began with 900 USD."""

    def __init__(self, journal: JournalDatabase) -> None:
        self.journal, self.market, self.clock = journal, Market(), SimulatedClock(OPEN)
        bought = (Posting("securities:A", 900 * MICRO, 10 * NANO, ""), Posting("cash", -900 * MICRO, 0, ""))
        self.ledger = Ledger.opening(900 * MICRO).apply(bought)
        self.closes: dict[str, int] = {}
        self.lease = journal.acquire_lease("demo", "a", ttl_ns=10**15)
        self.watch = self.process()

    def process(self, times: SessionTimes = TIMES) -> ExposureWatch:
        strategy: Any = types.SimpleNamespace(account="demo", name="trend", model_id="m1", limits=LIMITS)
        return ExposureWatch(
            journal=self.journal, broker=self.market, clock=self.clock, strategy=strategy,  # type: ignore[arg-type]
            times=times, lease=lambda: self.lease, books=lambda: (self.ledger, OwnOrders()),
            closes=lambda: self.closes, start_equity_micro=lambda: 900 * MICRO,
        )  # fmt: skip

    def at(self, price: float, *, seconds: int = 15, quoted: bool = True) -> dict[str, Level]:
        """Time passes, the market moves, and the exposure is judged."""
        self.clock.sleep_until(self.clock.now_ns() + seconds * NANO)
        self.market.prices["A"] = price
        if quoted:
            self.market.at_ns = self.clock.now_ns()
        return {one.name: one.level for one in self.watch.judge()}

    def told(self) -> list[str]:
        """Codes of the alerts so far, with the measure that each is about."""
        told = [event.payload for event in self.journal.events(kinds=("alert.raised",))]
        return [f"{one['code']} {one['subject']}" for one in told]

    def halted(self) -> list[str]:
        return [row["state"] for row in self.journal.rows("halts", account="demo")]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    desk = Desk(tmp_path)
    yield World(desk.open())
    desk.close()


def test_nothing_is_recorded_while_all_is_well_and_the_close_tells_the_largest(world: World) -> None:
    for price in (90, 95, 91, 89):
        assert set(world.at(price).values()) <= {Level.OK, Level.NOTE}
    assert world.journal.rows("exposures") == []
    world.journal.commit(world.watch.closing(), lease=world.lease)
    (row,) = world.journal.rows("exposures", session=FIRST)
    assert (row["level"], row["judged"]) == ("ok", 4)
    assert {one["name"]: one["value"] for one in row["peaks"]}[GROSS] == "0.95"
    (event,) = world.journal.events(kinds=("exposure.judged",))
    assert event.payload["marks"] == {"A": 89 * MICRO}


def test_a_breach_is_told_and_halted_once_however_it_swings(world: World) -> None:
    for price in (90, 105, 111, 109, 112, 105, 111):
        world.at(price)
    assert world.told() == [f"MONITOR_WARNED {GROSS}", "MONITOR_WARNED exposure.net",
                            f"MONITOR_BLOCKED {GROSS}", "MONITOR_BLOCKED exposure.net"]  # fmt: skip
    assert world.halted() == ["REDUCING"]
    (halt,) = world.journal.events(kinds=("halt.placed",))
    assert "exposure.gross 1.11 (1,110 of 1,000 USD)" in halt.payload["reason"]
    world.at(90)
    world.at(115)
    assert len(world.journal.events(kinds=("halt.placed",))) == 2, "it had come back, so it is a new breach"


def test_a_loss_halts_and_a_price_that_recovers_lifts_nothing(world: World) -> None:
    """F28: a drawdown halt latches."""
    assert world.at(79)[LOSS] is Level.BLOCK
    assert world.at(95)[LOSS] is Level.OK
    assert world.halted() == ["REDUCING"]
    world.watch = world.process()
    world.at(95)
    assert world.halted() == ["REDUCING"]


def test_a_new_process_knows_what_was_told_and_a_new_session_begins_its_loss_anew(world: World) -> None:
    world.at(79)
    world.watch = world.process()
    assert world.at(79)[LOSS] is Level.BLOCK
    assert len(world.journal.events(kinds=("halt.placed",))) == 1
    later = SessionTimes(SECOND, OPEN, OPEN + 3_600 * NANO, (OPEN,), OPEN + 3_900 * NANO, 15 * NANO)
    world.watch = world.process(later)
    world.at(79)
    assert len(world.journal.events(kinds=("halt.placed",))) == 2


def test_old_quotes_and_a_silent_venue_become_a_warning_in_trading_hours_only(world: World) -> None:
    world.at(90)
    world.market.silent = True
    assert world.at(90, seconds=50, quoted=False)[GROSS] is Level.OK, "the mark is young enough"
    assert world.at(90, seconds=20, quoted=False)[GROSS] is Level.WARN
    assert world.told() == [f"MONITOR_WARNED {GROSS}"]
    world.market.silent = False
    assert world.at(90)[GROSS] is Level.OK
    assert world.at(90, seconds=4_000, quoted=False)[GROSS] is Level.OK, "the market is closed"


@pytest.mark.parametrize(("close", "gross"), [(90 * MICRO, "0.9"), (0, "0.0")])
def test_what_was_never_quoted_stands_at_its_close_or_is_not_known(
    world: World, close: int, gross: str
) -> None:
    world.closes = {"A": close}
    found = world.at(0, quoted=False)
    assert found[GROSS] is Level.WARN
    assert found[LOSS] is (Level.OK if close else Level.WARN)
    (row,) = world.journal.rows("exposures")
    assert row["measures"][0]["value"] == gross


def test_many_polls_of_one_moment_ask_for_quotes_once(world: World) -> None:
    world.at(90)
    for _ in range(5):
        world.watch.after(3)
    assert world.market.asked == 1


# --- in a session -------------------------------------------------------------------------------------


def quote(job: Any, symbol: str, part: float) -> None:
    """The embedded venue's standing quote moves to a part of what it is."""
    quotes = job.account.broker.quotes((symbol,))
    bid, ask = int(quotes.bid_micro[0]), int(quotes.ask_micro[0])
    job.account.broker._venue.quotes[symbol] = (round(bid * part), round(ask * part))


def first_beyond(journal: Any) -> int:
    """The moment at which the exposure was first judged to be beyond its bound."""
    judged = [event.payload for event in journal.events(kinds=("exposure.judged",))]
    return min(int(one["at_ns"]) for one in judged if one["level"] == "block")


def test_a_fall_within_the_session_stops_new_risk_until_a_person_lifts_it(
    new_desk: Callable[[str], Settings],
) -> None:
    """Judged at a poll between two closes, by the loop itself; the next session is still stopped."""
    settings = new_desk("fall")
    drive.trade(settings, FIRST)
    journal = OpenDesk(settings).journal
    job = drive.start(settings, SECOND)
    try:
        job.trading.start()
        for scheduled_ns in job.trading.times.decision_ns:
            job.trading.decide(scheduled_ns)
        polls: list[int] = []

        def noon(at_ns: int) -> None:
            polls.append(at_ns)
            if len(polls) == 3:
                quote(job, next(iter(job.trading.oms.ledger.positions_nano)), 0.5)
            if len(polls) == 5:
                job.account.broker._venue.quotes.clear()

        job.trading.watch(noon)
        job.trading.close()
        job.finish()
    finally:
        job.account.close()
    (halt,) = journal.rows("halts")
    assert (halt["level"], halt["state"], halt["cause"]) == ("strategy", "REDUCING", "monitoring")
    assert LOSS in halt["reason"]
    event = journal.events(kinds=("halt.placed",))[0]
    assert event.payload["reason"].startswith(f"monitoring of {SECOND}")
    assert polls[2] < first_beyond(journal) < job.trading.times.close_ns
    drive.trade(settings, THIRD)
    denied = [row["reason"] for row in journal.rows("orders", session=THIRD, state="DENIED")]
    assert denied
    assert all(reason == "MONITORING_BLOCKED" for reason in denied)
    assert not journal.rows("fills", session=THIRD, side="buy")
    lift(settings, "strategy", settings.strategy, person="operator", reason="looked at it")
    assert journal.rows("halts")[0]["state"] == "ACTIVE"
