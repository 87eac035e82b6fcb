"""A session told in quotes: what each order type sees, money in random programs, corrections."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core.canonical import canonical_json
from workbench.core.costs import FeeSchedule
from workbench.core.fills import FillParams
from workbench.core.orders import TERMINAL, OrderState
from workbench.core.types import DAY_NS, NANO
from workbench.core.venue import FEE, Venue

HOUR, CENT = 3_600 * NANO, 10_000
CASH = 50_000_000_000
DAYS = ("2013-01-01", "2013-01-02", "2013-01-03", "2013-01-04")
FEES = FeeSchedule(commission_usd_per_share=0.003)


def at(day: int, hour: float) -> int:
    return day * DAY_NS + int(hour * HOUR)


def opening(**changes: Any) -> list[dict[str, Any]]:
    account = {
        "kind": "open_account", "at_ns": at(0, 21), "account": "demo", "cash_micro": CASH,
        "symbols": ["AAA", "BBB"], "fills": asdict(FillParams()), "fees": asdict(FEES), "fees_accrue": True,
    }  # fmt: skip
    bars = {name: [1000 * CENT, 1010 * CENT, 990 * CENT, 1000 * CENT, 5_000] for name in ("AAA", "BBB")}
    return [account | changes, {"kind": "close", "at_ns": at(0, 21), "session": DAYS[0], "bars": bars}]


def session_open(day: int, **quotes: tuple[int, int]) -> dict[str, Any]:
    cents = {symbol: [bid * CENT, ask * CENT] for symbol, (bid, ask) in quotes.items()}
    return {"kind": "session_open", "at_ns": at(day, 14), "session": DAYS[day], "quotes": cents}


def session_close(day: int) -> dict[str, Any]:
    return {"kind": "session_close", "at_ns": at(day, 21), "session": DAYS[day]}


def quote(at_ns: int, bid: int, ask: int, symbol: str = "AAA", **more: Any) -> dict[str, Any]:
    prices = {"bid_micro": bid * CENT, "ask_micro": ask * CENT}
    return {"kind": "quote", "at_ns": at_ns, "symbol": symbol, **prices, **more}


def match(at_ns: int, symbol: str = "AAA", **more: Any) -> dict[str, Any]:
    return {"kind": "match", "at_ns": at_ns, "symbol": symbol, **more}


def submit(key: str, at_ns: int, day: int = 1, **changes: Any) -> dict[str, Any]:
    base = {
        "kind": "submit", "at_ns": at_ns, "account": "demo", "client_order_id": key, "symbol": "AAA",
        "side": 1, "quantity_nano": 10 * NANO, "order_type": "market", "limit_micro": 0, "session": DAYS[day],
        "open_ns": at(day, 14), "close_ns": at(day, 21), "previous_open_ns": at(day - 1, 14),
    }  # fmt: skip
    return base | changes


def trading(**changes: Any) -> Venue:
    venue = Venue()
    for command in [*opening(**changes), session_open(1, AAA=(999, 1001), BBB=(999, 1001))]:
        venue.apply(command)
    return venue


NOON = at(1, 17)


def prices(venue: Venue) -> list[tuple[str, int, int]]:
    return [
        (f.client_order_id, f.quantity_nano // NANO, f.price_micro // CENT) for f in venue.fills(since_ns=0)
    ]


def state(venue: Venue, key: str) -> OrderState:
    order = venue.order(key)
    assert order is not None
    return order.state


# --- single rules ----------------------------------------------------------------------------------


def test_a_market_order_takes_the_other_side_of_a_quote_that_stands_after_its_acceptance() -> None:
    venue = trading()
    assert venue.apply(submit("b", NOON))["ok"]
    venue.apply(match(NOON))
    assert prices(venue) == []
    venue.apply(match(NOON + 1))
    assert prices(venue) == [("b", 10, 1001)]
    venue.apply(submit("s", NOON + 2, side=-1))
    venue.apply(match(NOON + 3))
    assert prices(venue)[1:] == [("s", 10, 999)]


def test_a_limit_order_waits_for_a_quote_that_reaches_it_and_gets_the_better_price() -> None:
    venue = trading()
    venue.apply(submit("b", NOON, order_type="limit", limit_micro=990 * CENT))
    venue.apply(match(NOON + 1))
    venue.apply(quote(NOON + 2, 989, 991))
    assert prices(venue) == []
    venue.apply(quote(NOON + 3, 980, 985))
    assert prices(venue) == [("b", 10, 985)]


@pytest.mark.parametrize(
    ("side", "stop", "limit", "moves", "expected"),
    [
        (1, 1010, 0, [(1008, 1009), (1012, 1013)], [1013]),
        (-1, 990, 0, [(991, 992), (985, 986)], [985]),
        (1, 1010, 1011, [(1012, 1013), (1009, 1010)], [1010]),
        (-1, 990, 989, [(985, 986), (989, 990)], [989]),
    ],
)
def test_a_stop_is_triggered_by_the_quote_it_would_trade_at(
    side: int, stop: int, limit: int, moves: list[tuple[int, int]], expected: list[int]
) -> None:
    venue = trading()
    if side == -1:
        venue.apply(submit("have", NOON - 2))
        venue.apply(match(NOON - 1))
    kind = "stop_limit" if limit else "stop"
    order = {"side": side, "order_type": kind, "stop_micro": stop * CENT, "limit_micro": limit * CENT}
    assert venue.apply(submit("s", NOON, **order))["ok"]
    for n, (bid, ask) in enumerate(moves, start=1):
        venue.apply(quote(NOON + n, bid, ask))
    assert [price for key, _, price in prices(venue) if key == "s"] == expected


def test_immediate_orders_end_with_the_first_event_they_see() -> None:
    venue = trading()
    order = {"order_type": "limit", "limit_micro": 990 * CENT}
    venue.apply(submit("ioc", NOON, time_in_force="ioc", **order))
    venue.apply(match(NOON + 1))
    assert state(venue, "ioc") is OrderState.CANCELED
    venue.apply(submit("part", NOON + 2, time_in_force="ioc"))
    venue.apply(match(NOON + 3, caps={"part": 4}))
    assert (state(venue, "part"), prices(venue)) == (OrderState.CANCELED, [("part", 4, 1001)])
    venue.apply(submit("fok", NOON + 4, time_in_force="fok"))
    venue.apply(match(NOON + 5, caps={"fok": 9}))
    assert (state(venue, "fok"), len(prices(venue))) == (OrderState.CANCELED, 1)
    venue.apply(submit("whole", NOON + 6, time_in_force="fok"))
    venue.apply(match(NOON + 7))
    assert state(venue, "whole") is OrderState.FILLED


def test_auction_orders_see_their_auction_and_nothing_else() -> None:
    venue = Venue()
    for command in opening():
        venue.apply(command)
    venue.apply(submit("opg", at(1, 1), order_type="market_on_open"))
    venue.apply(submit("cls", at(1, 2), order_type="market_on_close"))
    venue.apply(submit("resting", at(1, 3), order_type="limit", limit_micro=900 * CENT))
    venue.apply(session_open(1, AAA=(1099, 1101)))
    assert prices(venue) == [("opg", 10, 1101)]
    venue.apply(quote(NOON, 1198, 1200))
    assert len(prices(venue)) == 1
    venue.apply(session_close(1))
    assert prices(venue)[1:] == [("cls", 10, 1200)]
    assert state(venue, "resting") is OrderState.EXPIRED


def test_an_opening_order_without_a_quote_expires_and_gtc_outlives_the_day() -> None:
    venue = Venue()
    for command in opening():
        venue.apply(command)
    venue.apply(submit("opg", at(1, 1), order_type="market_on_open"))
    venue.apply(submit("gtc", at(1, 2), order_type="limit", limit_micro=900 * CENT, time_in_force="gtc"))
    venue.apply(session_open(1))
    assert state(venue, "opg") is OrderState.EXPIRED
    venue.apply(session_close(1))
    assert state(venue, "gtc") is OrderState.ACCEPTED
    venue.apply(session_open(2, AAA=(890, 891)))
    assert prices(venue) == [("gtc", 10, 891)]


def test_a_trade_through_the_limit_is_refused_by_the_invariant() -> None:
    venue = trading()
    venue.apply(submit("b", NOON, order_type="limit", limit_micro=990 * CENT))
    venue.apply(match(NOON + 1, price_micro=991 * CENT, only=["b"]))
    assert prices(venue) == []
    venue.apply(match(NOON + 2, price_micro=990 * CENT, only=["b"], caps={"b": 3}))
    assert prices(venue) == [("b", 3, 990)]


def test_a_halted_symbol_fills_nothing() -> None:
    venue = trading()
    venue.apply({"kind": "halt", "at_ns": NOON, "symbol": "AAA", "halted": True})
    venue.apply(submit("b", NOON + 1))
    venue.apply(quote(NOON + 2, 999, 1000))
    assert prices(venue) == []
    venue.apply({"kind": "halt", "at_ns": NOON + 3, "symbol": "AAA", "halted": False})
    venue.apply(match(NOON + 4))
    assert prices(venue) == [("b", 10, 1000)]


def test_a_replacement_ends_the_old_order_or_changes_nothing() -> None:
    venue = trading()
    resting = {"order_type": "limit", "limit_micro": 900 * CENT}
    venue.apply(submit("old", NOON, quantity_nano=4000 * NANO, **resting))
    before = venue.digest()
    dear = {"order_type": "limit", "limit_micro": 990 * CENT, "quantity_nano": 40_000 * NANO}
    reply = venue.apply({**submit("new", NOON, **dear), "kind": "replace", "replaces": "old"})
    assert (reply["ok"], reply["reason"]) == (False, "insufficient buying power")
    assert venue.digest() == before
    # the old order's hold is free for the new one, which alone would not fit beside it
    fits = {"order_type": "limit", "limit_micro": 901 * CENT, "quantity_nano": 4001 * NANO}
    assert venue.apply({**submit("new", NOON + 1, **fits), "kind": "replace", "replaces": "old"})["ok"]
    assert (state(venue, "old"), state(venue, "new")) == (OrderState.REPLACED, OrderState.ACCEPTED)
    venue.apply({"kind": "cancel", "at_ns": NOON + 2, "client_order_id": "new"})
    assert venue.buying_power_micro == CASH


def test_fees_accrue_against_buying_power_and_are_posted_at_the_close() -> None:
    venue = trading()
    venue.apply(submit("b", NOON, quantity_nano=100 * NANO))
    venue.apply(match(NOON + 1))
    venue.apply(submit("s", NOON + 2, side=-1, quantity_nano=100 * NANO))
    venue.apply(match(NOON + 3))
    expected = sum(
        FEES.fee_micro(f.side, f.quantity_nano // NANO, f.price_micro) for f in venue.fills(since_ns=0)
    )
    assert venue.accrued_micro == expected > 0
    assert [f.fee_micro for f in venue.fills(since_ns=0)] == [0, 0]
    cash = CASH - 100 * 2 * CENT
    assert (venue.cash_micro, venue.buying_power_micro) == (cash, cash - expected)
    venue.apply(session_close(1))
    posted = venue.activities(since_ns=0)
    assert {a.kind for a in posted} == {FEE}
    assert [a.symbol for a in posted] == ["SEC", "TAF", "COM"]
    assert sum(a.amount_micro for a in posted) == -expected
    assert (venue.cash_micro, venue.accrued_micro) == (cash - expected, 0)


def test_a_posting_moves_cash_and_never_below_what_is_free() -> None:
    venue = trading()
    post = {"kind": "post", "activity": "CSD", "symbol": "", "memo": ""}
    assert venue.apply(post | {"at_ns": NOON, "amount_micro": 5 * CENT})["ok"]
    reply = venue.apply(post | {"at_ns": NOON + 1, "activity": "CSW", "amount_micro": -CASH - 6 * CENT})
    assert (reply["ok"], venue.cash_micro) == (False, CASH + 5 * CENT)
    assert [a.amount_micro for a in venue.activities(since_ns=0)] == [5 * CENT]


def test_a_bust_undoes_a_trade_once_and_a_correction_moves_its_price() -> None:
    venue = trading()
    venue.apply(submit("b", NOON))
    (execution,) = venue.apply(match(NOON + 1))["execution_ids"]
    fixed = {"kind": "correct", "at_ns": NOON + 2, "execution_id": execution, "price_micro": 1000 * CENT}
    assert venue.apply(fixed)["ok"]
    assert venue.cash_micro == CASH - 10 * 1000 * CENT
    assert venue.apply(fixed | {"at_ns": NOON + 3, "price_micro": 1001 * CENT})["ok"]
    bust = {"kind": "bust", "at_ns": NOON + 4, "execution_id": execution}
    assert venue.apply(bust)["ok"]
    assert venue.held("AAA") == 0
    assert venue.apply(bust | {"at_ns": NOON + 5})["reason"] == "there is no such execution"
    venue.apply(submit("c", NOON + 6))
    (sold_on,) = venue.apply(match(NOON + 7))["execution_ids"]
    venue.apply(submit("s", NOON + 8, side=-1))
    venue.apply(match(NOON + 9))
    assert not venue.apply({"kind": "bust", "at_ns": NOON + 10, "execution_id": sold_on})["ok"]


def test_a_symbol_changes_its_name_with_everything_it_has() -> None:
    venue = trading()
    venue.apply(submit("b", NOON))
    venue.apply(match(NOON + 1))
    venue.apply(submit("gtc", NOON + 2, order_type="limit", limit_micro=900 * CENT, time_in_force="gtc"))
    venue.apply(session_close(1))
    change = {"kind": "rename", "at_ns": at(2, 13), "session": DAYS[2], "symbol": "AAA", "to": "ZZZ"}
    assert venue.apply(change)["ok"]
    assert (venue.held("AAA"), venue.held("ZZZ"), venue.symbols) == (0, 10, ("BBB", "ZZZ"))
    assert venue.quotes["ZZZ"] == (999 * CENT, 1001 * CENT)
    assert state(venue, "gtc") is OrderState.CANCELED


@pytest.mark.parametrize(
    "command",
    [
        quote(NOON, 1001, 1000), quote(NOON, 0, 1000), quote(NOON, 1, 2, symbol="ZZZ"),
        session_open(1), session_close(2), match(at(1, 22)),
    ],
)  # fmt: skip
def test_what_no_market_does_is_a_defect_of_the_caller(command: dict[str, Any]) -> None:
    venue = trading()
    if command["kind"] == "match":
        venue.apply(session_close(1))
    with pytest.raises(ValueError, match=r"quote|after|session"):
        venue.apply(command)


# --- random programs -------------------------------------------------------------------------------

KINDS = [("market", "day"), ("market", "ioc"), ("market", "fok"), ("limit", "day"), ("limit", "gtc"),
         ("limit", "ioc"), ("stop", "day"), ("stop_limit", "gtc"), ("market_on_close", "day")]  # fmt: skip
prices_of = st.integers(900, 1100)
orders = st.fixed_dictionaries(
    {"key": st.integers(0, 15), "side": st.sampled_from([1, -1]), "shares": st.integers(1, 4000),
     "kind": st.sampled_from(KINDS), "limit": prices_of, "stop": prices_of, "cap": st.integers(0, 4000)}
)  # fmt: skip
moves = st.fixed_dictionaries({"bid": prices_of, "width": st.integers(0, 20)})
others = st.fixed_dictionaries(
    {"what": st.sampled_from(["cancel", "reject", "post", "bust"]), "n": st.integers(0, 15)}
)
programs = st.lists(st.lists(st.one_of(orders, orders, moves, others), max_size=12), min_size=1, max_size=3)


def commands_of(program: list[Any], venue: Venue) -> Any:
    yield from opening()
    for day, actions in enumerate(program, start=1):
        yield session_open(day, AAA=(999, 1001))
        for n, action in enumerate(actions):
            yield from _action(action, venue, at(day, 15) + n * 1000, day)
        yield session_close(day)


def _action(action: dict[str, Any], venue: Venue, now: int, day: int) -> Any:
    if "bid" in action:
        yield quote(now, action["bid"], action["bid"] + action["width"])
    elif "what" in action:
        key = f"k{action['n']}"
        if action["what"] == "post":
            amount = (action["n"] - 8) * 1_000_000_000 or 1
            yield {"kind": "post", "at_ns": now, "activity": "JNLC", "symbol": "", "amount_micro": amount}
        elif action["what"] == "bust":
            done = [f.execution_id for f in venue.fills(since_ns=0)]
            if done:
                yield {"kind": "bust", "at_ns": now, "execution_id": done[action["n"] % len(done)]}
        else:
            yield {"kind": action["what"], "at_ns": now, "client_order_id": key, "reason": "so"}
    else:
        (kind, tif), key = action["kind"], f"k{action['key']}"
        limit = action["limit"] * CENT if kind in ("limit", "stop_limit") else 0
        stop = action["stop"] * CENT if kind in ("stop", "stop_limit") else 0
        yield submit(
            key, now, day, side=action["side"], quantity_nano=action["shares"] * NANO, order_type=kind,
            time_in_force=tif, limit_micro=limit, stop_micro=stop,
        )  # fmt: skip
        yield match(now + 1, caps={key: action["cap"]})


def check_money(venue: Venue) -> None:
    """Cash and shares from the fills, the postings and the busts alone: the slow, obvious sum."""
    cash, held = CASH, 0
    for fill in venue.fills(since_ns=0):
        cash -= int(fill.side) * (fill.quantity_nano // NANO) * fill.price_micro
        held += int(fill.side) * (fill.quantity_nano // NANO)
    for activity in venue.activities(since_ns=0):
        cash += activity.amount_micro
        held += activity.quantity_nano // NANO
    assert (venue.cash_micro, venue.held("AAA")) == (cash, held)
    assert venue.accrued_micro >= 0
    assert 0 <= venue.buying_power_micro <= venue.cash_micro
    for order in venue.orders(since_ns=0):
        done = sum(
            f.quantity_nano for f in venue.fills(since_ns=0) if f.client_order_id == order.client_order_id
        )
        assert done == order.filled_nano <= order.quantity_nano


@settings(max_examples=120, deadline=None, derandomize=True)
@given(programs)
def test_no_program_breaks_money_or_limits_and_a_refold_gives_the_same_bytes(
    program: list[Any],
) -> None:
    venue, twin = Venue(), Venue()
    limits: dict[str, tuple[int, int]] = {}
    for command in commands_of(program, venue):
        stored = json.loads(canonical_json(command))
        reply = venue.apply(command)
        assert canonical_json(twin.apply(stored)) == canonical_json(reply)
        if command["kind"] == "submit" and reply["ok"]:
            limits[command["client_order_id"]] = (command["side"], command["limit_micro"])
        check_money(venue)
        venue.check(whole=True)
        if command["kind"] == "session_close":
            assert all(o.state in TERMINAL or o.client_order_id in limits for o in venue.orders(since_ns=0))
    for fill in venue.fills(since_ns=0):
        side, limit = limits[fill.client_order_id]
        assert not limit or side * (fill.price_micro - limit) <= 0
    assert venue.digest() == twin.digest()
