"""Splits and dividends in the books and on open orders, case by case."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.corporate import (
    ACTIVITY_KINDS,
    adjusted_intent,
    adjusted_quantities,
    postings_of_activity,
    split_price,
    split_shares,
)
from workbench.core.ledger import CASH, DIVIDENDS, PNL, SECURITIES, Ledger
from workbench.core.orders import Fill, Order, OrderIntent, OrderState
from workbench.core.ports import Activity
from workbench.core.types import NANO, OrderType, Side, TimeInForce

SENT_NS, SPLIT_NS = 100, 200
INTENT = OrderIntent(
    "a", "demo", "trend", "2013-01-02", 1, "AAA", "entry", Side.BUY, 10 * NANO, OrderType.LIMIT, 30_000_000,
    1, time_in_force=TimeInForce.GTC,
)  # fmt: skip
ORDER = Order(INTENT, OrderState.ACCEPTED, sent_at_ns=SENT_NS)
SPLIT = Activity("s", "split", "AAA", SPLIT_NS, 0, 0, 3, 1)


def test_an_open_order_takes_the_terms_of_a_split() -> None:
    adjusted = adjusted_intent(ORDER, SPLIT)
    assert adjusted == replace(INTENT, quantity_nano=30 * NANO, limit_micro=10_000_000)
    part = replace(ORDER, filled_nano=4 * NANO)
    assert adjusted_intent(part, SPLIT) == replace(INTENT, quantity_nano=22 * NANO, limit_micro=10_000_000)


@pytest.mark.parametrize(
    ("order", "event"),
    [
        ({}, {"kind": "dividend"}),
        ({}, {"symbol": "BBB"}),
        ({}, {"new_shares": 1, "old_shares": 3}),  # the venue cancels at a reverse split
        ({}, {"new_shares": 1}),
        ({"state": OrderState.CANCELED}, {}),
        ({"sent_at_ns": SPLIT_NS}, {}),  # sent in new terms
        ({"sent_at_ns": SPLIT_NS + 1}, {}),
        ({"sent_at_ns": 0}, {}),  # never sent
    ],
)
def test_any_other_order_keeps_its_own(order: dict[str, Any], event: dict[str, Any]) -> None:
    assert adjusted_intent(replace(ORDER, **order), replace(SPLIT, **event)) is None
    assert adjusted_quantities(replace(ORDER, **order), [replace(SPLIT, **event)]) == ()


def test_several_events_follow_one_another_and_fills_leave_less_to_multiply() -> None:
    fill = Fill("x", "a", "AAA", Side.BUY, 6 * NANO, 1, 0, SPLIT_NS + 1)
    other = replace(fill, execution_id="y", client_order_id="b")
    second = replace(SPLIT, activity_id="t", at_ns=SPLIT_NS + 2, new_shares=2)
    news = [SPLIT, fill, other, replace(SPLIT, kind="dividend"), second]
    assert adjusted_quantities(ORDER, news) == (30 * NANO, 54 * NANO)  # 6 + (30 - 6) x 2
    assert adjusted_quantities(ORDER, []) == ()


@given(st.integers(1, 10**6), st.integers(1, 50), st.integers(1, 50), st.integers(1, 10**9))
def test_a_split_neither_makes_nor_loses_value(shares: int, new: int, old: int, price: int) -> None:
    whole, cash = split_shares(shares, new, old, price)
    exact = shares * price * new  # value x new, in old terms
    given_back = whole * old * price + cash * new
    assert 0 <= exact - given_back < new


@given(st.integers(10_000, 10**9), st.integers(2, 50), st.integers(1, 49))
def test_a_price_after_a_split_lies_on_the_grid_next_to_the_exact_one(price: int, new: int, old: int) -> None:
    down, up = (split_price(price, new, old, up=upwards) for upwards in (False, True))
    exact = price * old / new
    tick = 10_000 if exact >= 1_000_000 else 100
    assert down % 100 == up % 100 == 0
    assert up >= exact - 1e-6
    assert down <= max(exact, tick) + 1e-6
    assert up - down <= tick


def test_no_price_stays_no_price_and_a_tiny_one_stays_a_tick() -> None:
    assert split_price(0, 2, 1, up=True) == 0
    assert split_price(100, 50, 1, up=False) == 100


HELD = Ledger({CASH: (1_000, 0), SECURITIES + "AAA": (90, 3 * NANO)})


def booked(kind: str, amount: int, quantity: int = 0, new: int = 1, old: int = 1) -> Any:
    """What an event adds to each account of books that hold 3 shares of AAA at a cost of 90."""
    postings = postings_of_activity(HELD, Activity("a", kind, "AAA", 2, quantity, amount, new, old))
    assert sum(posting.amount_micro for posting in postings) == 0
    return {p.ledger_account: (p.amount_micro, p.quantity_nano) for p in postings}


def test_every_kind_has_its_entry_and_its_amounts_sum_to_zero() -> None:
    assert set(ACTIVITY_KINDS) == {"split", "dividend", "cash_in_lieu", "fee", "interest", "transfer"}
    assert booked("dividend", 12) == {CASH: (12, 0), DIVIDENDS + "AAA": (-12, 0)}
    assert booked("dividend", -12) == {CASH: (-12, 0), DIVIDENDS + "AAA": (12, 0)}
    assert booked("cash_in_lieu", 12) == {CASH: (12, 0), PNL + "AAA": (-12, 0)}
    assert booked("split", 0, 3 * NANO, 2, 1) == {SECURITIES + "AAA": (0, 3 * NANO)}
    # 3 shares 3 for 2: 4 and a half; the half carries a ninth of the cost
    assert booked("split", 25, NANO, 3, 2) == {
        SECURITIES + "AAA": (-10, NANO), CASH: (25, 0), PNL + "AAA": (-15, 0),
    }  # fmt: skip
    # 3 shares 1 for 4: nothing is left to carry the cost
    assert booked("split", 25, -3 * NANO, 1, 4) == {
        SECURITIES + "AAA": (-90, -3 * NANO), CASH: (25, 0), PNL + "AAA": (65, 0),
    }  # fmt: skip


def test_an_unknown_kind_has_no_entry() -> None:
    with pytest.raises(ValueError, match="unknown kind 'spinoff'"):
        booked("spinoff", 1)
