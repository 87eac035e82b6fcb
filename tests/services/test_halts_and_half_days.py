"""Half days and halted symbols, by the exchange calendar, at venue, controls and OMS alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from order_desk import CALENDAR, FIRST, SECOND, Desk, Market, S, make_desk

from workbench.core.pretrade import AccountValues
from workbench.core.pretrade.market import check_hours
from workbench.core.types import NANO, OrderType, TimeInForce

HALF, AFTER = "2012-12-24", "2012-12-26"
OPENS, CLOSES = CALENDAR.session_open_ns(HALF), CALENDAR.session_close_ns(HALF)
MINUTE = 60 * NANO
MOC, MOO = OrderType.MARKET_ON_CLOSE, OrderType.MARKET_ON_OPEN


@pytest.fixture
def half(tmp_path: Path) -> Iterator[Desk]:
    """A desk half an hour before the open of the day before Christmas, which closes at 13:00."""
    assert CLOSES - OPENS == 210 * MINUTE
    made = make_desk(tmp_path, Market(), first=HALF)
    yield made
    assert made.journal.verify().ok
    made.venue.close()
    made.journal.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = make_desk(tmp_path, Market())
    yield made
    made.venue.close()
    made.journal.close()


def controls_allow(order_type: OrderType, now_ns: int) -> bool:
    """What the pre-trade controls say of the hour, by the calendar's hours of that session."""
    account = AccountValues(10**11, 10**11, 10**11, 10**11, 0.0, 0.0, 0.0, 0, now_ns, OPENS, CLOSES)
    return int(check_hours(int(order_type), account)) == 0


@pytest.mark.parametrize(
    ("order_type", "at_ns", "at_venue", "by_controls"),
    [
        (MOC, CLOSES - 10 * MINUTE - NANO, True, True),
        (MOC, CLOSES - 10 * MINUTE, False, False),
        (MOC, OPENS + 360 * MINUTE, False, False),  # before the cut-off of a whole day
        (MOO, OPENS - 2 * MINUTE - NANO, True, True),
        (MOO, OPENS - 2 * MINUTE, False, False),
        (OrderType.MARKET, CLOSES - NANO, True, True),
        (OrderType.MARKET, CLOSES, True, False),  # the venue would keep it for the next session
    ],
)
def test_venue_and_controls_have_the_cut_offs_of_the_early_close(
    half: Desk, order_type: OrderType, at_ns: int, at_venue: bool, by_controls: bool
) -> None:
    """F16, F25: hours come from the calendar, so a half day moves the closing auction with its close."""
    half.clock.sleep_until(at_ns)
    key = half.send(HALF, order_type=order_type)
    assert half.state(key) is (S.ACCEPTED if at_venue else S.REJECTED)
    assert controls_allow(order_type, at_ns) is by_controls


def test_the_day_rolls_at_the_early_close(half: Desk) -> None:
    """F25: closing orders fill at 13:00, day orders end there, unsent ones expire; GTC goes on."""
    moc = half.send(HALF, leg="moc", order_type=MOC)
    far = {"order_type": OrderType.LIMIT, "limit_micro": 90_000_000, "symbol": "MSFT"}
    day = half.send(HALF, leg="day", **far)
    half.clock.sleep_until(CLOSES - NANO)
    half.oms.poll(since_ns=0)
    assert half.sweep() == ()
    assert (half.state(moc), half.state(day)) == (S.ACCEPTED, S.ACCEPTED)
    half.clock.sleep_until(CLOSES)
    half.oms.poll(since_ns=0)
    assert (half.state(moc), half.state(day)) == (S.FILLED, S.EXPIRED)
    (fill,) = half.venue.fills(since_ns=0)
    assert fill.filled_at_ns == CLOSES
    unsent = replace(half.oms.orders[day].intent, client_order_id="wb1-unsent", leg="unsent")
    half.oms.intend(unsent, "d", ())
    (ended,) = half.sweep()
    assert (ended.intent, ended.state) == (unsent, S.EXPIRED_UNSENT)


def test_a_gtc_order_passes_the_half_day_and_the_holiday(half: Desk) -> None:
    far = {"order_type": OrderType.LIMIT, "limit_micro": 95_000_000, "time_in_force": TimeInForce.GTC}
    key = half.send(HALF, **far)
    half.end(HALF)
    assert half.state(key) is S.ACCEPTED
    half.market.low = 0.94
    half.clock.sleep_until(CALENDAR.session_open_ns(AFTER) - NANO)
    half.oms.poll(since_ns=0)
    assert half.state(key) is S.ACCEPTED
    half.end(AFTER)
    assert half.state(key) is S.FILLED
    (row,) = half.journal.rows("fills")
    assert row["session"] == AFTER


@pytest.mark.parametrize("tif", [TimeInForce.DAY, TimeInForce.GTC])
def test_a_halted_symbol_is_not_filled_and_its_order_stays_open_as_long_as_it_may(
    desk: Desk, tif: TimeInForce
) -> None:
    """F08: no trading, no fill; the order is open until the close, a GTC order beyond it."""
    desk.market.halted[FIRST] = {"AAPL"}
    halted = desk.send(FIRST, time_in_force=tif)
    other = desk.send(FIRST, leg="other", symbol="MSFT")
    desk.clock.sleep_until(CALENDAR.session_close_ns(FIRST) - NANO)
    desk.oms.poll(since_ns=0)
    assert (desk.state(halted), desk.state(other)) == (S.ACCEPTED, S.FILLED)
    desk.end(FIRST)
    assert desk.state(halted) is (S.ACCEPTED if tif is TimeInForce.GTC else S.EXPIRED)
    assert {fill.symbol for fill in desk.venue.fills(since_ns=0)} == {"MSFT"}
    desk.end(SECOND)  # it trades again
    assert desk.state(halted) is (S.FILLED if tif is TimeInForce.GTC else S.EXPIRED)
    assert desk.halts == []
