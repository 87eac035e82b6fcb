"""Stops, times in force, halts, the day roll, splits and dividends at the venue, rule by rule."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from workbench.core.corporate import postings_of_activity
from workbench.core.costs import FeeSchedule
from workbench.core.fills import FillParams
from workbench.core.ledger import Ledger, postings_of_fill
from workbench.core.orders import OrderState
from workbench.core.types import DAY_NS, NANO
from workbench.core.venue import Venue

HOUR, CENT = 3_600 * NANO, 10_000
CASH = 10**12
DAYS = tuple(f"2013-01-{day:02d}" for day in range(1, 10))
S = OrderState


def open_ns(day: int) -> int:
    return day * DAY_NS + 14 * HOUR


def close_ns(day: int) -> int:
    return day * DAY_NS + 21 * HOUR


BEFORE, DURING = open_ns(1) - 2 * HOUR, open_ns(1) + HOUR


def opened(venue: Venue, day: int, **prices: int) -> dict[str, Any]:
    cents = {symbol: price * CENT for symbol, price in prices.items()}
    return venue.apply({"kind": "open", "at_ns": open_ns(day), "session": DAYS[day], "prices": cents})


def closed(venue: Venue, day: int, **bars: tuple[int, int, int, int, int]) -> dict[str, Any]:
    found = {symbol: [*(p * CENT for p in bar[:4]), bar[4]] for symbol, bar in bars.items()}
    return venue.apply({"kind": "close", "at_ns": close_ns(day), "session": DAYS[day], "bars": found})


def started(**changes: Any) -> Venue:
    venue = Venue()
    opening = {
        "kind": "open_account", "at_ns": close_ns(0), "account": "demo", "cash_micro": CASH,
        "symbols": ["AAA", "BBB"], "fills": asdict(FillParams()), "fees": asdict(FeeSchedule()),
    }  # fmt: skip
    venue.apply(opening | changes)
    closed(venue, 0, AAA=(1000, 1010, 990, 1000, 100_000), BBB=(2000, 2020, 1980, 2000, 100_000))
    return venue


def send(venue: Venue, key: str, day: int, at_ns: int, **changes: Any) -> dict[str, Any]:
    command = {
        "kind": "submit", "at_ns": at_ns, "account": "demo", "client_order_id": key, "symbol": "AAA",
        "side": 1, "quantity_nano": 10 * NANO, "order_type": "market", "limit_micro": 0,
        "session": DAYS[day], "open_ns": open_ns(day), "close_ns": close_ns(day),
        "previous_open_ns": open_ns(day - 1),
    }  # fmt: skip
    return venue.apply(command | changes)


def holding(shares: int = 1_000) -> Venue:
    """A venue where so many shares of AAA were bought on day 1."""
    venue = started()
    send(venue, "first", 1, BEFORE, quantity_nano=shares * NANO)
    opened(venue, 1, AAA=1000)
    closed(venue, 1, AAA=(1000, 1010, 990, 1000, 100_000))
    assert venue.order("first").state is S.FILLED  # type: ignore[union-attr]
    return venue


def state(venue: Venue, key: str) -> OrderState:
    order = venue.order(key)
    assert order is not None
    return order.state


def prices(venue: Venue, key: str) -> list[int]:
    return [fill.price_micro for fill in venue.fills(since_ns=0) if fill.client_order_id == key]


# --- stops -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bar", "base"),
    [
        ((1000, 1049, 990, 1000, 100_000), None),  # never reached
        ((1000, 1050, 990, 1000, 100_000), 1050),  # touched: believed
        ((1000, 1200, 990, 1000, 100_000), 1050),
        ((1060, 1200, 990, 1000, 100_000), 1060),  # gapped through: the open, which is worse
    ],
)
def test_a_buy_stop_is_filled_at_the_worse_of_stop_and_open_plus_cost(bar: Any, base: int | None) -> None:
    venue = started()
    assert send(venue, "a", 1, BEFORE, order_type="stop", stop_micro=1050 * CENT)["ok"]
    opened(venue, 1, AAA=bar[0])
    closed(venue, 1, AAA=bar)
    found = prices(venue, "a")
    assert len(found) == (base is not None)
    if base is not None:
        assert base * CENT < found[0] < base * CENT * 1.02
        (fill,) = venue.fills(since_ns=0)
        assert fill.filled_at_ns == (open_ns(1) if bar[0] >= 1050 else close_ns(1))
    assert state(venue, "a") is (S.EXPIRED if base is None else S.FILLED)


def test_a_sell_stop_sells_below() -> None:
    venue = holding()
    send(venue, "a", 2, open_ns(2) - HOUR, side=-1, order_type="stop", stop_micro=950 * CENT)
    opened(venue, 2, AAA=1000)
    assert prices(venue, "a") == []
    closed(venue, 2, AAA=(1000, 1010, 900, 1000, 100_000))
    assert 900 * CENT < prices(venue, "a")[0] < 950 * CENT


def test_a_stop_sent_in_the_session_is_triggered_by_the_close_only() -> None:
    for close, filled in ((1000, False), (1060, True)):
        venue = started()
        opened(venue, 1, AAA=1000)
        send(venue, "a", 1, DURING, order_type="stop", stop_micro=1050 * CENT)
        closed(venue, 1, AAA=(1000, 1100, 990, close, 100_000))  # 11.00 may have been in the morning
        assert bool(prices(venue, "a")) is filled
        assert not filled or prices(venue, "a")[0] > 1060 * CENT


@pytest.mark.parametrize(
    ("limit", "bar", "price"),
    [
        (1055, (1000, 1049, 990, 1000, 100_000), None),  # the stop was never reached, the limit was
        (1055, (1000, 1100, 990, 1080, 100_000), 1055),  # worsened beyond the limit: the limit
        (1055, (1070, 1100, 1055, 1090, 100_000), None),  # gapped over the limit, which is only touched
        (1055, (1070, 1100, 1040, 1050, 100_000), 1055),  # traded through the limit after the gap
        (1040, (1000, 1100, 990, 1080, 100_000), None),  # the limit lies this side of the stop
        (1040, (1000, 1100, 990, 1030, 100_000), 1040),  # only the close is certain then
    ],
)
def test_a_stop_limit_never_fills_beyond_its_limit(limit: int, bar: Any, price: int | None) -> None:
    venue = started()
    order = {"order_type": "stop_limit", "stop_micro": 1050 * CENT, "limit_micro": limit * CENT}
    assert send(venue, "a", 1, BEFORE, **order)["ok"]
    opened(venue, 1, AAA=bar[0])
    closed(venue, 1, AAA=bar)
    found = prices(venue, "a")
    assert len(found) == (price is not None)
    assert all(micro <= limit * CENT for micro in found)
    assert state(venue, "a") is (S.EXPIRED if price is None else S.FILLED)


def test_a_buy_stop_holds_cash_for_its_stop() -> None:
    venue = started()
    before = venue.buying_power_micro
    send(venue, "a", 1, BEFORE, order_type="stop", stop_micro=2000 * CENT)
    assert before - venue.buying_power_micro >= 10 * 2060 * CENT


def test_a_commission_is_held_with_the_price_or_the_order_is_refused() -> None:
    fees = asdict(FeeSchedule(commission_usd_per_share=0.01))
    limit = {"order_type": "limit", "limit_micro": 1000 * CENT}
    for cash, ok in ((100_100_000, True), (100_099_999, False)):
        venue = started(cash_micro=cash, fees=fees)
        reply = send(venue, "a", 1, BEFORE, **limit)
        assert (reply["ok"], reply["reason"]) == (ok, "" if ok else "insufficient buying power")
        assert venue.cash_micro - venue.buying_power_micro == (100_100_000 if ok else 0)


# --- times in force --------------------------------------------------------------------------------


def test_an_ioc_order_takes_the_next_event_and_the_rest_is_cancelled() -> None:
    venue = started(cash_micro=10**15)
    send(venue, "a", 1, BEFORE, quantity_nano=20_000 * NANO, time_in_force="ioc")
    opened(venue, 1, AAA=1000)
    order = venue.order("a")
    assert order is not None
    assert (order.state, order.filled_nano) == (S.CANCELED, 5_000 * NANO)
    assert venue.buying_power_micro == venue.cash_micro
    closed(venue, 1, AAA=(1000, 1010, 990, 1000, 10**6))
    assert len(prices(venue, "a")) == 1


def test_an_ioc_limit_never_rests() -> None:
    venue = started()
    limit = {"order_type": "limit", "limit_micro": 990 * CENT, "time_in_force": "ioc"}
    send(venue, "a", 1, BEFORE, **limit)
    opened(venue, 1, AAA=1000)
    assert (state(venue, "a"), prices(venue, "a")) == (S.CANCELED, [])
    send(venue, "b", 1, DURING, **limit)
    closed(venue, 1, AAA=(1000, 1010, 900, 1000, 100_000))
    assert (state(venue, "b"), prices(venue, "b")) == (S.CANCELED, [])


@pytest.mark.parametrize(("shares", "filled"), [(5_000, 5_000), (5_001, 0)])
def test_a_fok_order_is_whole_within_the_participation_cap_or_nothing(shares: int, filled: int) -> None:
    venue = started(cash_micro=10**15)
    send(venue, "a", 1, BEFORE, quantity_nano=shares * NANO, time_in_force="fok")
    opened(venue, 1, AAA=1000)
    order = venue.order("a")
    assert order is not None
    assert order.filled_nano == filled * NANO
    assert order.state is (S.FILLED if filled else S.CANCELED)


def test_a_fok_order_that_cash_cannot_bear_whole_is_nothing() -> None:
    venue = started(cash_micro=10_400_000_000)
    send(venue, "a", 1, BEFORE, quantity_nano=1_000 * NANO, time_in_force="fok")
    opened(venue, 1, AAA=1500)
    assert (state(venue, "a"), prices(venue, "a")) == (S.CANCELED, [])


def test_a_gtc_order_survives_the_close_and_is_filled_on_a_later_day() -> None:
    venue = started()
    send(venue, "a", 1, BEFORE, order_type="limit", limit_micro=950 * CENT, time_in_force="gtc")
    for day in (1, 2, 3):
        opened(venue, day, AAA=1000)
        closed(venue, day, AAA=(1000, 1010, 960, 1000, 100_000))
        assert state(venue, "a") is S.ACCEPTED
        assert venue.cash_micro - venue.buying_power_micro == 10 * 950 * CENT
    opened(venue, 4, AAA=1000)
    closed(venue, 4, AAA=(1000, 1010, 949, 1000, 100_000))
    assert (state(venue, "a"), prices(venue, "a")) == (S.FILLED, [950 * CENT])


def test_the_participation_cap_of_a_gtc_order_is_one_of_each_day() -> None:
    venue = started(cash_micro=10**15)
    send(venue, "a", 1, BEFORE, quantity_nano=12_000 * NANO, time_in_force="gtc")
    for day in (1, 2, 3):
        opened(venue, day, AAA=1000)
        closed(venue, day, AAA=(1000, 1010, 990, 1000, 100_000))
    assert [fill.quantity_nano // NANO for fill in venue.fills(since_ns=0)] == [5_000, 5_000, 2_000]
    assert state(venue, "a") is S.FILLED


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"time_in_force": "opg"}, "unknown time in force"),
        ({"order_type": "iceberg"}, "unknown order type"),
        ({"order_type": "market_on_open", "time_in_force": "gtc"}, 'invalid time_in_force "gtc"'),
        ({"order_type": "stop", "stop_micro": 10_000_000, "time_in_force": "ioc"}, 'time_in_force "ioc"'),
        ({"order_type": "stop"}, "stop orders require a stop price"),
        ({"stop_micro": 10_000_000}, "stop orders require a stop price"),
        ({"order_type": "stop", "stop_micro": 10_001_000}, "invalid stop_price 10.001. sub-penny"),
        ({"order_type": "stop_limit", "stop_micro": 10_000_000}, "limit orders require a limit price"),
    ],
)
def test_combinations_that_the_venue_refuses(change: dict[str, Any], words: str) -> None:
    venue = started()
    reply = send(venue, "a", 1, BEFORE, **change)
    assert not reply["ok"]
    assert words in reply["reason"]
    assert venue.orders(since_ns=0) == ()


# --- halts and half days ---------------------------------------------------------------------------


def test_a_halted_symbol_fills_nothing_and_its_orders_stay() -> None:
    venue = started()
    for key, tif in (("day", "day"), ("gtc", "gtc")):
        send(venue, key, 1, BEFORE, time_in_force=tif)
    venue.apply({"kind": "halt", "at_ns": BEFORE, "symbol": "AAA", "halted": True})
    assert opened(venue, 1, AAA=1000)["execution_ids"] == []
    assert (state(venue, "day"), state(venue, "gtc")) == (S.ACCEPTED, S.ACCEPTED)
    venue.apply({"kind": "halt", "at_ns": DURING, "symbol": "AAA", "halted": False})
    closed(venue, 1, AAA=(1000, 1010, 990, 1000, 100_000))
    assert (state(venue, "day"), state(venue, "gtc")) == (S.FILLED, S.FILLED)


def test_a_halt_to_the_end_of_the_day_ends_day_orders_only() -> None:
    venue = started()
    send(venue, "day", 1, BEFORE)
    send(venue, "gtc", 1, BEFORE, time_in_force="gtc")
    opened(venue, 1, BBB=2000)
    closed(venue, 1, BBB=(2000, 2020, 1980, 2000, 100_000))  # no bar: the market said nothing of AAA
    assert (state(venue, "day"), state(venue, "gtc")) == (S.EXPIRED, S.ACCEPTED)
    with pytest.raises(ValueError, match="does not know"):
        venue.apply({"kind": "halt", "at_ns": close_ns(1), "symbol": "ZZZ", "halted": True})


def test_on_a_half_day_the_closing_auction_is_earlier() -> None:
    early = open_ns(1) + 7 * HOUR // 2  # 13:00 New York
    for at_ns, ok in ((early - 601 * NANO, True), (early - 600 * NANO, False), (DURING + 3 * HOUR, False)):
        venue = started()
        opened(venue, 1, AAA=1000)
        reply = send(venue, "a", 1, at_ns, order_type="market_on_close", close_ns=early)
        assert reply["ok"] is ok


# --- splits and dividends --------------------------------------------------------------------------


def split(venue: Venue, day: int, new: int, old: int, symbol: str = "AAA") -> dict[str, Any]:
    ratio = {"new_shares": new, "old_shares": old}
    return venue.apply(
        {"kind": "split", "at_ns": open_ns(day), "symbol": symbol, "session": DAYS[day], **ratio}
    )


def books(venue: Venue) -> Ledger:
    """The books that follow from what the venue reports, in the order in which it happened."""
    ledger = Ledger.opening(CASH)
    events = [*venue.activities(since_ns=0), *venue.fills(since_ns=0)]
    when = {id(e): getattr(e, "at_ns", 0) or e.filled_at_ns for e in events}  # type: ignore[union-attr]
    for event in sorted(events, key=lambda e: (when[id(e)], hasattr(e, "execution_id"))):
        entry = postings_of_fill if hasattr(event, "execution_id") else postings_of_activity
        ledger = ledger.apply(entry(ledger, event))  # type: ignore[arg-type]
    return ledger


def check_books(venue: Venue) -> Ledger:
    ledger, view = books(venue), venue.account_view()
    assert ledger.cash_micro == view.cash_micro
    assert ledger.positions_nano == view.positions_nano
    return ledger


def test_a_split_multiplies_shares_at_unchanged_cost() -> None:
    venue = holding()
    cash, cost = venue.cash_micro, books(venue).cost_micro["AAA"]
    split(venue, 2, 7, 1)
    assert venue.account_view().positions_nano == {"AAA": 7_000 * NANO}
    assert (venue.cash_micro, check_books(venue).cost_micro["AAA"]) == (cash, cost)
    assert venue.price_micro("AAA") == 1000 * CENT // 7
    (activity,) = venue.activities(since_ns=0)
    assert (activity.kind, activity.quantity_nano, activity.amount_micro) == ("split", 6_000 * NANO, 0)


def test_a_fraction_of_a_share_is_paid_in_cash_at_the_last_price() -> None:
    venue = holding(shares=101)
    cash = venue.cash_micro
    split(venue, 2, 3, 2)  # 151.5 shares; half a share at 6.666
    assert venue.account_view().positions_nano == {"AAA": 151 * NANO}
    assert venue.cash_micro - cash == 1000 * CENT // 3
    ledger = check_books(venue)
    assert sum(amount for amount, _ in ledger.balances.values()) == 0
    assert ledger.realised_micro != 0


def test_a_reverse_split_to_less_than_a_share_leaves_cash_alone() -> None:
    venue = holding(shares=9)
    split(venue, 2, 1, 10)
    assert venue.account_view().positions_nano == {}
    assert check_books(venue).cost_micro == {}


def test_open_orders_are_adjusted_by_a_split_and_never_for_the_worse() -> None:
    """F20: the new limit lies on the grid, a sale's rounded up."""
    venue = holding()
    gtc = {"time_in_force": "gtc", "order_type": "limit"}
    send(venue, "sell", 2, close_ns(1) + HOUR, side=-1, limit_micro=1100 * CENT, **gtc)
    send(venue, "other", 2, close_ns(1) + HOUR, symbol="BBB", limit_micro=1900 * CENT, **gtc)
    held = venue.cash_micro - venue.buying_power_micro
    split(venue, 2, 3, 1)
    order = next(o for o in venue.open_orders("AAA"))
    assert (order.shares, order.limit_micro) == (30, 36_700_00)  # 3.6666 up to the cent
    assert venue.cash_micro - venue.buying_power_micro == held
    assert next(o for o in venue.open_orders("BBB")).limit_micro == 1900 * CENT
    opened(venue, 2, AAA=350)
    closed(venue, 2, AAA=(350, 400, 340, 380, 300_000))
    assert prices(venue, "sell") == [36_700_00]
    check_books(venue)


def test_a_split_releases_what_the_rounded_limit_no_longer_costs() -> None:
    venue = started()
    send(venue, "a", 1, BEFORE - HOUR, order_type="limit", limit_micro=1000 * CENT, time_in_force="gtc")
    assert venue.cash_micro - venue.buying_power_micro == 10 * 1000 * CENT
    split_at = {"kind": "split", "at_ns": BEFORE, "symbol": "AAA", "session": DAYS[1]}
    venue.apply(split_at | {"new_shares": 3, "old_shares": 1})
    assert venue.cash_micro - venue.buying_power_micro == 30 * 333 * CENT


def test_a_sale_is_not_cut_by_what_cash_is_left() -> None:
    venue = started(cash_micro=10_400_000_000)
    send(venue, "buy", 1, BEFORE, quantity_nano=1_000 * NANO)
    opened(venue, 1, AAA=1000)
    assert venue.cash_micro < 400_000_000
    send(venue, "sell", 1, DURING, side=-1, quantity_nano=1_000 * NANO)
    closed(venue, 1, AAA=(1000, 1010, 990, 1000, 100_000))
    assert state(venue, "sell") is S.FILLED


def test_a_reverse_split_cancels_open_orders() -> None:
    venue = holding()
    gtc = {"time_in_force": "gtc", "order_type": "limit", "limit_micro": 1100 * CENT}
    send(venue, "sell", 2, close_ns(1) + HOUR, side=-1, **gtc)
    split(venue, 2, 1, 2)
    assert state(venue, "sell") is S.CANCELED
    assert venue.account_view().positions_nano == {"AAA": 500 * NANO}


def test_a_dividend_is_paid_for_each_share_held() -> None:
    venue = holding()
    cash = venue.cash_micro
    pay = {"kind": "dividend", "at_ns": open_ns(2), "session": DAYS[2], "amount_micro": 250_000}
    venue.apply(pay | {"symbol": "AAA"})
    venue.apply(pay | {"symbol": "BBB"})
    assert venue.cash_micro - cash == 250_000_000
    assert check_books(venue).dividends_micro == 250_000_000
    assert [activity.symbol for activity in venue.activities(since_ns=0)] == ["AAA"]
    assert len(venue.activities(since_ns=open_ns(2))) == 1
    assert venue.activities(since_ns=open_ns(2) + 1) == ()


@pytest.mark.parametrize(("new", "old", "cap"), [(3, 1, 15_000), (1, 2, 2_500)])
def test_after_a_split_the_volume_of_the_day_before_counts_in_new_shares(
    new: int, old: int, cap: int
) -> None:
    """The opening auction knows only the bar before: its cap is a twentieth of that day's volume."""
    venue = started(cash_micro=10**15)
    command = {"symbol": "AAA", "session": DAYS[1], "new_shares": new, "old_shares": old}
    venue.apply({"kind": "split", "at_ns": BEFORE - HOUR, **command})
    send(venue, "a", 1, BEFORE, quantity_nano=50_000 * NANO)
    opened(venue, 1, AAA=1000 * old // new)
    (fill,) = venue.fills(since_ns=0)
    assert fill.quantity_nano == cap * NANO


def test_a_corporate_event_of_nothing_known_is_an_error() -> None:
    ex = {"at_ns": open_ns(2), "session": DAYS[2]}
    for per_share in (0, -250_000):
        with pytest.raises(ValueError, match="dividend of AAA"):
            holding().apply({"kind": "dividend", "symbol": "AAA", "amount_micro": per_share, **ex})
    with pytest.raises(ValueError, match="split of 'ZZZ', which the venue does not know"):
        split(holding(), 2, 2, 1, symbol="ZZZ")
    with pytest.raises(ValueError, match="dividend of 'ZZZ', which the venue does not know"):
        holding().apply({"kind": "dividend", "symbol": "ZZZ", "amount_micro": 1, **ex})


def test_corporate_events_out_of_turn_are_errors() -> None:
    venue = holding()
    split(venue, 2, 2, 1)
    with pytest.raises(ValueError, match="happened already"):
        split(venue, 2, 2, 1)
    venue = holding()
    for new, old in ((1, 1), (0, 1), (2, -1)):
        with pytest.raises(ValueError, match="split of AAA"):
            split(venue, 2, new, old)
    with pytest.raises(ValueError, match="split of 2013-01-02 after 2013-01-02 closed"):
        venue.apply(
            {
                "kind": "split",
                "at_ns": close_ns(1),
                "symbol": "AAA",
                "session": DAYS[1],
                "new_shares": 2,
                "old_shares": 1,
            }
        )
    assert venue.account_view().positions_nano == {"AAA": 1_000 * NANO}
    opened(venue, 2, AAA=1000)
    with pytest.raises(ValueError, match="open"):
        split(venue, 3, 2, 1)
