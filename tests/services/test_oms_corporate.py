"""Splits, dividends and orders that outlive a session, heard by the OMS and compared by reconciliation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from order_desk import CALENDAR, FIRST, SECOND, THIRD, Desk, Market, S, make_desk

from workbench.adapters.simulated_broker import SimulatedBroker
from workbench.core.orders import OrderIntent
from workbench.core.ports import Activity, LookupResult
from workbench.core.types import NANO, OrderType, TimeInForce


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = make_desk(tmp_path, Market())
    yield made
    assert made.journal.verify().ok
    made.venue.close()
    made.journal.close()


def test_a_split_and_a_dividend_while_holding_leave_the_books_equal_to_the_micro(desk: Desk) -> None:
    desk.market.splits[SECOND] = {"AAPL": (3, 2)}
    desk.market.dividends[SECOND] = {"AAPL": 250_000}
    desk.send(FIRST)
    desk.end(FIRST)
    cash, cost = desk.oms.ledger.cash_micro, desk.oms.ledger.cost_micro["AAPL"]
    desk.end(SECOND)
    ledger = desk.oms.ledger
    assert ledger.positions_nano == {"AAPL": 151 * NANO}  # 151.5: half a share is paid
    assert ledger.cash_micro - cash == 101 * 250_000 + 100_000_000 // 3
    assert ledger.dividends_micro == 101 * 250_000
    assert ledger.cost_micro["AAPL"] + cost // 303 in (cost, cost - 1, cost + 1)
    assert sum(amount for amount, _ in ledger.balances.values()) == 0
    assert desk.halts == []
    entries = {row["entry_id"] for row in desk.journal.rows("postings") if row["session"] == SECOND}
    assert len(entries) == 2


def test_a_gtc_order_lives_on_and_its_fill_belongs_to_the_later_session(desk: Desk) -> None:
    key = desk.send(FIRST, order_type=OrderType.LIMIT, limit_micro=95_000_000, time_in_force=TimeInForce.GTC)
    desk.end(FIRST)
    assert desk.state(key) is S.ACCEPTED
    assert desk.sweep() == ()
    desk.market.low = 0.94
    desk.end(SECOND)
    assert desk.state(key) is S.FILLED
    (row,) = desk.journal.rows("fills")
    assert (row["session"], row["price_micro"]) == (SECOND, 95_000_000)


def test_a_gtc_order_is_adjusted_by_a_split_in_the_journal_as_at_the_venue(desk: Desk) -> None:
    desk.market.splits[SECOND] = {"AAPL": (7, 1)}
    gtc = {"order_type": OrderType.STOP_LIMIT, "time_in_force": TimeInForce.GTC}
    key = desk.send(FIRST, limit_micro=110_000_000, stop_micro=105_000_000, **gtc)
    desk.end(FIRST)
    desk.end(SECOND)
    intent = desk.oms.orders[key].intent
    assert (intent.shares, intent.limit_micro, intent.stop_micro) == (707, 15_710_000, 15_000_000)
    assert desk.oms.cancel(key, reason="test").state is S.PENDING_CANCEL
    desk.end(THIRD)
    assert desk.state(key) is S.CANCELED


def test_a_fill_before_a_split_that_is_heard_after_it_is_judged_by_its_own_terms(desk: Desk) -> None:
    """F05: the fill happened while nobody listened; the split of the next morning does not make it wrong."""
    desk.market.splits[SECOND] = {"AAPL": (2, 1)}
    desk.market.low = 0.90
    key = desk.send(FIRST, order_type=OrderType.LIMIT, limit_micro=95_000_000, time_in_force=TimeInForce.GTC)
    desk.clock.sleep_until(CALENDAR.session_close_ns(SECOND))
    desk.end(SECOND)
    assert desk.state(key) is S.FILLED
    assert desk.oms.ledger.positions_nano == {"AAPL": 202 * NANO}
    assert desk.halts == []


def test_a_reverse_split_cancels_the_order_here_too(desk: Desk) -> None:
    desk.market.splits[SECOND] = {"AAPL": (1, 4)}
    key = desk.send(FIRST, order_type=OrderType.LIMIT, limit_micro=95_000_000, time_in_force=TimeInForce.GTC)
    desk.end(FIRST)
    desk.end(SECOND)
    assert desk.state(key) is S.CANCELED


@pytest.mark.parametrize("ended", ["cancelled", "expired"])
def test_an_order_that_ended_unheard_before_the_split_keeps_its_own_terms(desk: Desk, ended: str) -> None:
    """F05: the venue ended it yesterday; that nobody listened does not move the split onto it."""
    desk.market.splits[SECOND] = {"AAPL": (2, 1)}
    desk.send(FIRST, leg="held", quantity_nano=10 * NANO)
    desk.end(FIRST)
    desk.clock.sleep_until(CALENDAR.session_close_ns(FIRST) + 60 * NANO)
    tif = TimeInForce.GTC if ended == "cancelled" else TimeInForce.DAY
    desk.market.splits.clear()
    key = desk.send(SECOND, order_type=OrderType.LIMIT, limit_micro=95_000_000, time_in_force=tif)
    if ended == "cancelled":
        desk.oms.cancel(key, reason="test")
    desk.clock.sleep_until(CALENDAR.session_close_ns(SECOND))
    desk.venue.account()  # the venue moves on; nobody polls
    desk.market.splits[THIRD] = {"AAPL": (2, 1)}
    desk.clock.sleep_until(CALENDAR.session_open_ns(THIRD))
    desk.end(THIRD)
    assert desk.oms.orders[key].intent.shares == 101
    assert desk.state(key) is (S.CANCELED if ended == "cancelled" else S.EXPIRED)


def test_an_unknown_order_is_recovered_after_a_split_in_its_new_terms(desk: Desk) -> None:
    """F03: sent, no reply, and a split before anybody asks: no stranger, no quarantine."""
    desk.market.splits[SECOND] = {"AAPL": (2, 1)}

    class Lost:
        def __getattr__(self, name: str) -> Any:
            return getattr(desk.venue, name)

        def submit(self, intent: OrderIntent) -> Any:
            desk.venue.submit(intent)
            raise TimeoutError("no reply")

        def lookup(self, key: str) -> LookupResult:
            return LookupResult(found=False, answered=False, reason="504")

    desk.broker = Lost()
    desk.restart()
    gtc = {"order_type": OrderType.LIMIT, "limit_micro": 95_000_000, "time_in_force": TimeInForce.GTC}
    key = desk.send(FIRST, **gtc)
    assert desk.state(key) is S.UNKNOWN
    desk.clock.sleep_until(CALENDAR.session_open_ns(SECOND))
    desk.broker = desk.venue
    desk.restart()
    assert desk.oms.recover() == ()
    assert (desk.state(key), desk.oms.orders[key].intent.shares) == (S.ACCEPTED, 202)
    desk.end(SECOND)
    assert desk.halts == []


class Telling:
    """The venue with a few activities of its own making."""

    def __init__(self, venue: SimulatedBroker, change: Callable[[tuple[Activity, ...]], Any]) -> None:
        self.venue, self.change = venue, change

    def activities(self, *, since_ns: int) -> Any:
        return self.change(self.venue.activities(since_ns=since_ns))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.venue, name)


SPINOFF = Activity("a-x", "spinoff", "AAPL", 1, 0, 0)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda told: (*told, SPINOFF), "activity_unknown"),
        (lambda told: (replace(told[0], amount_micro=told[0].amount_micro + 1),), "activity_differs"),
        (lambda told: (*told, replace(told[0], quantity_nano=1)), "activity_differs"),
        (lambda told: (), "activity_missing_there"),
    ],
)
def test_activities_that_do_not_fit_are_breaks_and_halt(desk: Desk, change: Any, kind: str) -> None:
    desk.market.dividends[SECOND] = {"AAPL": 250_000}
    desk.send(FIRST)
    desk.end(FIRST)
    desk.end(SECOND)
    desk.broker = Telling(desk.venue, change)
    desk.restart()
    breaks = desk.reconciler.reconcile(session=SECOND)
    assert kind in {found.kind for found in breaks}
    assert len(desk.halts) == 1


@pytest.mark.parametrize("after_ns", [0, -60 * NANO, 60 * NANO])
def test_an_activity_of_the_day_where_the_compared_period_begins_is_no_break(
    desk: Desk, after_ns: int
) -> None:
    """The books know an event's date, the venue its moment: a period that begins that day is still clean."""
    desk.market.dividends[SECOND] = {"AAPL": 250_000}
    desk.send(FIRST)
    desk.end(FIRST)
    desk.end(SECOND)
    (told,) = desk.venue.activities(since_ns=0)
    assert desk.reconciler.reconcile(session=SECOND, since_ns=told.at_ns + after_ns) == ()
    assert desk.halts == []


def test_an_activity_told_twice_is_booked_once(desk: Desk) -> None:
    """F34: nothing is emitted twice into the books, whatever the venue repeats."""
    desk.market.dividends[SECOND] = {"AAPL": 250_000}
    desk.broker = Telling(desk.venue, lambda told: (*told, *told))
    desk.restart()
    desk.send(FIRST)
    desk.end(FIRST)
    desk.end(SECOND)
    assert desk.oms.ledger.dividends_micro == 101 * 250_000
