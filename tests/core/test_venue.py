"""The venue as a state machine: random programs of commands never break the rules of money and fills."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core.canonical import canonical_json
from workbench.core.costs import FeeSchedule
from workbench.core.fills import FillParams
from workbench.core.ledger import Ledger, postings_of_fill
from workbench.core.orders import TERMINAL, OrderState
from workbench.core.types import DAY_NS, NANO, Side
from workbench.core.venue import Venue

HOUR, CENT = 3_600 * NANO, 10_000
CASH = 50_000_000_000  # 50,000
SYMBOLS = ("AAA", "BBB")
DAYS = ("2013-01-02", "2013-01-03", "2013-01-04")
FEES = FeeSchedule(commission_usd_per_share=0.003)


def open_ns(day: int) -> int:
    return day * DAY_NS + 14 * HOUR


def close_ns(day: int) -> int:
    return day * DAY_NS + 21 * HOUR


def opening(**changes: Any) -> dict[str, Any]:
    base = {"kind": "open_account", "at_ns": close_ns(0), "account": "demo", "cash_micro": CASH}
    return base | {"symbols": SYMBOLS, "fills": asdict(FillParams()), "fees": asdict(FEES)} | changes


def market_open(day: int, **prices: int) -> dict[str, Any]:
    cents = {symbol: price * CENT for symbol, price in prices.items()}
    return {"kind": "open", "at_ns": open_ns(day), "session": DAYS[day - 1], "prices": cents}


def market_close(day: int, **bars: tuple[int, int, int, int, int]) -> dict[str, Any]:
    """Bars as open, high, low, close in cents and volume; day 0 is the close before the account."""
    found = {symbol: [*(p * CENT for p in bar[:4]), bar[4]] for symbol, bar in bars.items()}
    session = ("2013-01-01", *DAYS)[day]
    return {"kind": "close", "at_ns": close_ns(day), "session": session, "bars": found}


def submit(key: str, day: int, at_ns: int, **changes: Any) -> dict[str, Any]:
    base = {
        "kind": "submit", "at_ns": at_ns, "account": "demo", "client_order_id": key, "symbol": "AAA",
        "side": 1, "quantity_nano": 10 * NANO, "order_type": "market", "limit_micro": 0,
        "session": DAYS[day - 1], "open_ns": open_ns(day), "close_ns": close_ns(day),
        "previous_open_ns": open_ns(day - 1),
    }  # fmt: skip
    return base | changes


def started(**changes: Any) -> Venue:
    venue = Venue()
    venue.apply(opening(**changes))
    venue.apply(market_close(0, AAA=(1000, 1010, 990, 1000, 100_000), BBB=(2000, 2020, 1980, 2000, 100_000)))
    return venue


# --- random programs -------------------------------------------------------------------------------

bars = st.tuples(*(st.integers(500, 2000) for _ in range(4)), st.integers(0, 20_000)).map(
    lambda b: (b[0], max(b[:4]), min(b[:4]), b[3], b[4])
)
orders = st.fixed_dictionaries(
    {
        "key": st.integers(0, 12),
        "symbol": st.sampled_from([*SYMBOLS, "ZZZ"]),
        "side": st.sampled_from([1, -1, -1]),
        "shares": st.integers(1, 4000),
        "order_type": st.sampled_from(["market", "limit", "market_on_open", "market_on_close"]),
        "limit_cents": st.integers(500, 2000),
    }
)
actions = st.lists(st.one_of(orders, st.fixed_dictionaries({"cancel": st.integers(0, 12)})), max_size=5)
#: For each day: actions before the open, opening gaps, actions in the session, the bar of each symbol.
programs = st.lists(st.tuples(actions, actions, bars, bars, st.booleans()), min_size=1, max_size=3)


def commands_of(program: list[Any]) -> list[dict[str, Any]]:
    first = {"AAA": (1000, 1010, 990, 1000, 20_000), "BBB": (900, 910, 890, 900, 5_000)}
    found = [opening(), market_close(0, **first)]
    for day, (before, during, bar_a, bar_b, halted) in enumerate(program, start=1):
        found += [_action(a, day, open_ns(day) - 2 * HOUR + n) for n, a in enumerate(before)]
        traded = {"AAA": bar_a} if halted else {"AAA": bar_a, "BBB": bar_b}
        found.append(market_open(day, **{symbol: bar[0] for symbol, bar in traded.items()}))
        found += [_action(a, day, open_ns(day) + HOUR + n) for n, a in enumerate(during)]
        found.append(market_close(day, **traded))
    return found


def _action(action: dict[str, Any], day: int, at_ns: int) -> dict[str, Any]:
    if "cancel" in action:
        return {"kind": "cancel", "at_ns": at_ns, "client_order_id": f"k{action['cancel']}"}
    limit = action["limit_cents"] * CENT if action["order_type"] == "limit" else 0
    return submit(
        f"k{action['key']}", day, at_ns, symbol=action["symbol"], side=action["side"],
        quantity_nano=action["shares"] * NANO, order_type=action["order_type"], limit_micro=limit,
    )  # fmt: skip


def check_money(venue: Venue) -> None:
    """Cash, shares and holds follow from the fills and the open orders alone."""
    fills, view = venue.fills(since_ns=0), venue.account_view()
    cash = CASH - sum(int(f.side) * (f.quantity_nano // NANO) * f.price_micro + f.fee_micro for f in fills)
    assert venue.cash_micro == view.cash_micro == cash
    assert 0 <= view.buying_power_micro <= view.cash_micro
    book = Ledger.opening(CASH)
    for fill in fills:
        book = book.apply(postings_of_fill(book, fill))
    assert book.cash_micro == view.cash_micro
    assert book.positions_nano == view.positions_nano
    assert all(quantity > 0 for quantity in view.positions_nano.values())
    working = [order for order in venue.orders(since_ns=0) if order.state not in TERMINAL]
    if not any(order.side is Side.BUY for order in working):
        assert view.buying_power_micro == view.cash_micro
    for order in venue.orders(since_ns=0):
        executed = sum(f.quantity_nano for f in fills if f.client_order_id == order.client_order_id)
        assert executed == order.filled_nano <= order.quantity_nano
        assert (order.state is OrderState.FILLED) == (order.filled_nano == order.quantity_nano)


def check_fill(command: dict[str, Any], accepted: dict[str, Any], fill: Any, volume: dict[str, int]) -> None:
    """One execution against its order, the event that made it and the volume known at that event."""
    order = accepted[fill.client_order_id]
    assert order["at_ns"] < command["at_ns"] == fill.filled_at_ns
    assert (fill.symbol, int(fill.side)) == (order["symbol"], order["side"])
    if order["limit_micro"]:
        assert order["side"] * (fill.price_micro - order["limit_micro"]) <= 0
    if command["kind"] == "open":
        assert order["order_type"] != "market_on_close"
        reference = command["prices"][fill.symbol]
    else:
        assert order["order_type"] != "market_on_open"
        _, high, low, reference, _ = command["bars"][fill.symbol]
        if order["order_type"] == "limit" and order["at_ns"] < open_ns(order["at_ns"] // DAY_NS):
            reference, reached = order["limit_micro"], low if order["side"] == 1 else high
            assert order["side"] * (reference - reached) >= CENT  # traded through, not only touched
    assert order["side"] * (fill.price_micro - reference) >= 0  # never better than the market
    order["filled"] = order.get("filled", 0) + fill.quantity_nano // NANO
    assert order["filled"] <= math.floor(FillParams().participation * volume[fill.symbol])
    assert fill.fee_micro == FEES.fee_micro(fill.side, fill.quantity_nano // NANO, fill.price_micro)


@settings(max_examples=250, deadline=None, derandomize=True)
@given(programs)
def test_no_program_of_commands_breaks_the_rules_of_money_and_fills(program: list[Any]) -> None:
    venue, accepted, volume, seen = Venue(), {}, {}, 0
    for command in commands_of(program):
        reply = venue.apply(command)
        if command["kind"] == "submit":
            if command["client_order_id"] in accepted:
                assert reply["reason"] == "client_order_id must be unique"
            elif reply["ok"]:
                accepted[command["client_order_id"]] = dict(command)
        if command["kind"] == "close":
            volume |= {symbol: bar[4] for symbol, bar in command["bars"].items()}
        fresh = venue.fills(since_ns=0)[seen:]
        seen += len(fresh)
        assert command["kind"] in ("open", "close") or not fresh
        assert [f.execution_id for f in fresh] == reply["execution_ids"]
        for fill in fresh:
            check_fill(command, accepted, fill, volume)
        check_money(venue)
        if command["kind"] == "close":  # day orders: nothing is left
            assert all(order.state in TERMINAL for order in venue.orders(since_ns=0))
            assert venue.account_view().buying_power_micro == venue.cash_micro
    assert len({fill.execution_id for fill in venue.fills(since_ns=0)}) == seen
    assert {order.client_order_id for order in venue.orders(since_ns=0)} == set(accepted)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(programs)
def test_equal_commands_give_equal_replies_and_equal_bytes(program: list[Any]) -> None:
    first, second = Venue(), Venue()
    for command in commands_of(program):
        stored = json.loads(canonical_json(command))
        assert canonical_json(first.apply(command)) == canonical_json(second.apply(stored))
    assert first.digest() == second.digest()
    assert canonical_json(first.fills(since_ns=0)) == canonical_json(second.fills(since_ns=0))


# --- single rules ----------------------------------------------------------------------------------

BEFORE, DURING = open_ns(1) - 2 * HOUR, open_ns(1) + HOUR


def day_one(venue: Venue, *, volume: int = 100_000, close: int = 1000) -> None:
    venue.apply(market_open(1, AAA=1000))
    venue.apply(market_close(1, AAA=(1000, max(1010, close), min(990, close), close, volume)))


def test_a_market_order_sent_before_the_open_is_filled_in_the_opening_auction() -> None:
    venue = started()
    assert venue.apply(submit("a", 1, BEFORE)) == {
        "ok": True, "reason": "", "execution_ids": [],
        "cash_micro": CASH, "buying_power_micro": CASH - 103_030_000,
    }  # fmt: skip
    assert venue.order("a").state is OrderState.ACCEPTED  # type: ignore[union-attr]
    reply = venue.apply(market_open(1, AAA=1200))
    (fill,) = venue.fills(since_ns=0)
    assert reply["execution_ids"] == [fill.execution_id]
    assert fill.filled_at_ns == open_ns(1)
    assert 12_000_000 < fill.price_micro < 12_200_000  # the open, worsened by spread and impact
    assert fill.fee_micro == 30_000


def test_a_market_order_sent_after_the_open_sees_only_the_close() -> None:
    venue = started()
    venue.apply(market_open(1, AAA=1000))
    venue.apply(submit("a", 1, DURING))
    venue.apply(market_close(1, AAA=(1000, 1500, 500, 1400, 100_000)))
    (fill,) = venue.fills(since_ns=0)
    assert fill.filled_at_ns == close_ns(1)
    assert fill.price_micro > 14_000_000


def test_an_order_accepted_at_the_very_open_does_not_see_that_auction() -> None:
    venue = started()
    venue.apply(submit("a", 1, open_ns(1)))
    assert venue.apply(market_open(1, AAA=1000))["execution_ids"] == []


def test_a_resting_limit_is_filled_at_the_limit_and_only_when_traded_through() -> None:
    for low, shares in ((950, 0), (949, 10)):
        venue = started()
        venue.apply(submit("a", 1, BEFORE, order_type="limit", limit_micro=950 * CENT))
        venue.apply(market_open(1, AAA=1000))
        venue.apply(market_close(1, AAA=(1000, 1010, low, 1000, 100_000)))
        assert [(f.quantity_nano // NANO, f.price_micro) for f in venue.fills(since_ns=0)] == [
            (shares, 950 * CENT)
        ] * bool(shares)
        assert venue.order("a").state is (OrderState.FILLED if shares else OrderState.EXPIRED)  # type: ignore[union-attr]


def test_the_range_before_acceptance_never_fills_a_limit() -> None:
    venue = started()
    venue.apply(market_open(1, AAA=1000))
    venue.apply(submit("a", 1, DURING, order_type="limit", limit_micro=950 * CENT))
    venue.apply(market_close(1, AAA=(1000, 1010, 900, 1000, 100_000)))  # 9.00 may have been in the morning
    assert venue.fills(since_ns=0) == ()


def test_a_partial_fill_continues_at_the_close_and_the_rest_expires() -> None:
    venue = started(cash_micro=10**15)
    venue.apply(submit("a", 1, BEFORE, quantity_nano=20_000 * NANO))
    venue.apply(market_open(1, AAA=1000))
    assert venue.order("a").state is OrderState.PARTIALLY_FILLED  # type: ignore[union-attr]
    assert venue.order("a").filled_nano == 5_000 * NANO  # type: ignore[union-attr]
    venue.apply(market_close(1, AAA=(1000, 1010, 990, 1000, 160_000)))
    assert [f.quantity_nano // NANO for f in venue.fills(since_ns=0)] == [5_000, 3_000]
    order = venue.order("a")
    assert order is not None
    assert (order.state, order.reason) == (OrderState.EXPIRED, "expired at the close")
    assert venue.account_view().buying_power_micro == venue.cash_micro


def test_the_rest_of_an_opening_order_expires_after_the_auction() -> None:
    venue = started(cash_micro=10**15)
    venue.apply(submit("a", 1, BEFORE, quantity_nano=20_000 * NANO, order_type="market_on_open"))
    venue.apply(market_open(1, AAA=1000))
    order = venue.order("a")
    assert order is not None
    assert (order.state, order.filled_nano) == (OrderState.EXPIRED, 5_000 * NANO)


def test_a_closing_order_is_filled_at_the_close_only() -> None:
    venue = started()
    venue.apply(submit("a", 1, BEFORE, order_type="market_on_close"))
    assert venue.apply(market_open(1, AAA=1000))["execution_ids"] == []
    assert len(venue.apply(market_close(1, AAA=(1000, 1010, 990, 995, 100_000)))["execution_ids"]) == 1


def test_a_symbol_without_a_bar_fills_nothing() -> None:
    venue = started()
    venue.apply(submit("a", 1, BEFORE))
    venue.apply(market_open(1, BBB=2000))
    venue.apply(market_close(1, BBB=(2000, 2020, 1980, 2000, 1)))
    assert venue.order("a").state is OrderState.EXPIRED  # type: ignore[union-attr]


def test_market_orders_hold_three_percent_more_and_a_cancel_releases_it_once() -> None:
    venue = started()
    venue.apply(submit("a", 1, BEFORE, quantity_nano=1000 * NANO))
    assert venue.buying_power_micro == CASH - 1000 * 10_300_000 - 3_000_000
    cancel = {"kind": "cancel", "at_ns": BEFORE + 1, "client_order_id": "a"}
    assert venue.apply(cancel)["ok"]
    assert venue.buying_power_micro == CASH
    assert venue.apply(cancel)["reason"] == 'order is already in "canceled" state'
    assert venue.apply(cancel | {"client_order_id": "b"})["reason"] == "order not found for b"
    assert venue.buying_power_micro == CASH


def test_an_opening_gap_cannot_spend_more_than_the_account_has() -> None:
    venue = started()
    venue.apply(submit("a", 1, BEFORE, quantity_nano=4_800 * NANO))  # 49,454 held of 50,000
    venue.apply(market_open(1, AAA=1500))
    (fill,) = venue.fills(since_ns=0)
    assert 3_200 < fill.quantity_nano // NANO < 3_340
    assert 0 <= venue.cash_micro < 2 * fill.price_micro
    assert venue.order("a").state is OrderState.PARTIALLY_FILLED  # type: ignore[union-attr]


def test_what_is_held_for_one_order_is_not_there_for_another() -> None:
    venue = started()
    venue.apply(submit("a", 1, BEFORE, quantity_nano=3_000 * NANO))
    refused = venue.apply(submit("b", 1, BEFORE + 1, symbol="BBB", quantity_nano=1_000 * NANO))
    assert refused["reason"] == "insufficient buying power"
    assert venue.order("b") is None
    huge = venue.apply(submit("c", 1, BEFORE + 2, quantity_nano=10**15 * NANO))
    assert huge["reason"] == "insufficient buying power"


def test_only_what_is_held_and_not_yet_offered_can_be_sold() -> None:
    venue = started()
    short = venue.apply(submit("s", 1, BEFORE, side=-1))
    assert short["reason"] == "insufficient qty available for order (requested: 10, available: 0)"
    venue.apply(submit("a", 1, BEFORE))
    day_one(venue)
    before = open_ns(2) - 2 * HOUR
    limit = {"order_type": "limit", "limit_micro": 2000 * CENT, "side": -1}
    assert venue.apply(submit("b", 2, before, **limit, quantity_nano=6 * NANO))["ok"]
    more = venue.apply(submit("c", 2, before, **limit, quantity_nano=5 * NANO))
    assert more["reason"] == "insufficient qty available for order (requested: 5, available: 4)"
    assert venue.apply(submit("d", 2, before, **limit, quantity_nano=4 * NANO))["ok"]


def test_an_id_is_used_once_for_ever() -> None:
    venue = started()
    venue.apply(submit("a", 1, BEFORE))
    for at_ns in (BEFORE + 1, DURING, close_ns(1) + HOUR):
        if at_ns == DURING:
            venue.apply(market_open(1, AAA=1000))
        if at_ns > close_ns(1):
            venue.apply(market_close(1, AAA=(1000, 1010, 990, 1000, 1_000)))
        day = 2 if at_ns > close_ns(1) else 1
        digest_before = venue.orders(since_ns=0)
        again = venue.apply(submit("a", day, at_ns, symbol="nonsense"))
        assert again["reason"] == "client_order_id must be unique"
        assert venue.orders(since_ns=0) == digest_before


def test_one_cannot_trade_with_oneself() -> None:
    venue = started()
    venue.apply(submit("a", 1, BEFORE))
    day_one(venue)
    before = open_ns(2) - 2 * HOUR
    limit = {"order_type": "limit", "limit_micro": 1100 * CENT}
    assert venue.apply(submit("b", 2, before, side=-1, **limit))["ok"]
    wash = "potential wash trade detected. use complex orders"
    assert venue.apply(submit("c", 2, before))["reason"] == wash
    assert venue.apply(submit("d", 2, before, **limit))["reason"] == wash
    below = limit | {"limit_micro": 1099 * CENT}
    assert venue.apply(submit("e", 2, before, **below))["ok"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"symbol": "ZZZ"}, 'could not find asset "ZZZ"'),
        ({"account": "other"}, 'account "other" not found'),
        ({"client_order_id": ""}, "no more than 48 characters"),
        ({"client_order_id": "x" * 49}, "no more than 48 characters"),
        ({"quantity_nano": NANO // 2}, "qty must be integer"),
        ({"quantity_nano": 0}, "qty must be integer"),
        ({"quantity_nano": -NANO}, "qty must be integer"),
        ({"side": 0}, "side must be"),
        ({"order_type": "limit"}, "limit orders require a limit price"),
        ({"limit_micro": 10_000_000}, "limit orders require a limit price"),
        ({"order_type": "limit", "limit_micro": 10_001_000}, "invalid limit_price 10.001. sub-penny"),
        ({"order_type": "limit", "limit_micro": 500_050}, "invalid limit_price 0.50005. sub-penny"),
    ],
)
def test_orders_that_the_venue_refuses(change: dict[str, Any], words: str) -> None:
    venue = started()
    reply = venue.apply(submit("a", 1, BEFORE) | change)
    assert not reply["ok"]
    assert words in reply["reason"]
    assert venue.orders(since_ns=0) == ()
    assert venue.buying_power_micro == CASH


def test_a_tenth_of_a_cent_is_a_price_below_one_dollar() -> None:
    venue = started()
    assert venue.apply(submit("a", 1, BEFORE, order_type="limit", limit_micro=500_100))["ok"]


@pytest.mark.parametrize(
    ("order_type", "at_ns", "ok"),
    [
        ("market_on_open", open_ns(1) - 121 * NANO, True),
        ("market_on_open", open_ns(1) - 120 * NANO, False),
        ("market_on_open", open_ns(0) + 570 * 60 * NANO - 1, False),
        ("market_on_open", open_ns(0) + 570 * 60 * NANO, True),
        ("market_on_close", close_ns(1) - 601 * NANO, True),
        ("market_on_close", close_ns(1) - 600 * NANO, False),
        ("market_on_close", open_ns(0) + 570 * 60 * NANO - 1, False),
        ("market", close_ns(1) - 1, True),
        ("market", close_ns(1), False),
    ],
)
def test_hours_of_order_types(order_type: str, at_ns: int, ok: bool) -> None:
    venue = started()
    assert venue.apply(submit("a", 1, at_ns, order_type=order_type))["ok"] is ok


def test_an_order_for_the_next_session_does_not_fill_in_this_one() -> None:
    venue = started()
    venue.apply(submit("a", 2, BEFORE))
    day_one(venue)
    assert venue.order("a").state is OrderState.ACCEPTED  # type: ignore[union-attr]
    venue.apply(market_open(2, AAA=1000))
    assert venue.order("a").state is OrderState.FILLED  # type: ignore[union-attr]


@pytest.mark.parametrize("change", [{"account": ""}, {"cash_micro": -1}, {"cash_micro": 10**18 + 1}])
def test_an_account_needs_a_name_and_money_that_can_be(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="account"):
        Venue().apply(opening(**change))


def test_commands_that_no_venue_could_be_sent_are_errors() -> None:
    venue = started()
    with pytest.raises(ValueError, match="is before"):
        venue.apply(submit("a", 1, close_ns(0) - 1))
    with pytest.raises(ValueError, match="unknown venue command"):
        venue.apply({"kind": "reset", "at_ns": close_ns(0)})
    with pytest.raises(ValueError, match="account 'demo'"):
        venue.apply(opening())
    with pytest.raises(ValueError, match="account ''"):
        Venue().apply(submit("a", 1, BEFORE))
    with pytest.raises(ValueError, match="close of"):
        venue.apply(market_close(1, AAA=(1, 1, 1, 1, 1)))
    venue.apply(market_open(1, AAA=1000))
    with pytest.raises(ValueError, match="open of"):
        venue.apply(market_open(2, AAA=1000))
    with pytest.raises(ValueError, match="impossible bar of AAA"):
        venue.apply(market_close(1, AAA=(1000, 990, 980, 985, 1)))


def test_symbols_are_added_and_rules_changed_by_a_command() -> None:
    venue = started()
    change = {"kind": "configure", "at_ns": BEFORE, "symbols": ["CCC"], "fills": {}, "fees": {}}
    venue.apply(change)
    assert venue.symbols == ("AAA", "BBB", "CCC")
    assert venue.fee_schedule == FeeSchedule()
    assert venue.apply(submit("a", 1, BEFORE, symbol="CCC"))["reason"] == 'no market price for asset "CCC"'
