"""The literal transition table, walked in full, and ids that depend on nothing but the decision."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.orders import (
    TERMINAL,
    TRANSITIONS,
    WORKING,
    Order,
    OrderEvent,
    OrderIntent,
    OrderState,
    apply,
    client_order_id,
)
from workbench.core.types import NANO, OrderType, Side, TimeInForce
from workbench.errors import IllegalTransition, JournalConflict

S = OrderState
INTENT = OrderIntent(
    client_order_id="wb1-x",
    account="demo",
    strategy="trend",
    session="2013-02-01",
    scheduled_ns=1,
    symbol="AAPL",
    leg="entry",
    side=Side.BUY,
    quantity_nano=10 * NANO,
    order_type=OrderType.MARKET,
    limit_micro=0,
    reference_micro=1,
)


def event(state: OrderState, filled_nano: int | None = None) -> OrderEvent:
    return OrderEvent("wb1-x", state, 7, "v-1", filled_nano)


@pytest.mark.parametrize(("before", "after"), list(product(S, S)))
def test_every_pair_of_states_follows_the_table_or_is_refused(before: OrderState, after: OrderState) -> None:
    order = Order(INTENT, before)
    filled = 10 * NANO if after is S.FILLED else None
    if after is before and filled is None:
        assert apply(order, event(after)) == replace(order, venue_order_id="v-1")
    elif after in TRANSITIONS[before]:
        assert apply(order, event(after, filled)).state is after
    else:
        with pytest.raises(IllegalTransition):
            apply(order, event(after, filled))


def test_a_terminal_state_has_no_successor_and_leaves_nothing() -> None:
    assert {S.FILLED, S.CANCELED, S.REJECTED, S.EXPIRED, S.DENIED, S.EXPIRED_UNSENT} <= TERMINAL
    assert not TERMINAL & WORKING
    assert all(Order(INTENT, state).leaves_nano == 0 for state in TERMINAL)


def test_unknown_becomes_terminal_only_by_word_of_the_venue_or_the_sweep() -> None:
    ours = {S.DENIED, S.DECLINED}
    assert not TRANSITIONS[S.UNKNOWN] & ours
    assert not TRANSITIONS[S.SENT] & (ours | {S.EXPIRED_UNSENT})


@pytest.mark.parametrize(
    ("before", "change"),
    [
        (Order(INTENT, S.PARTIALLY_FILLED, filled_nano=5 * NANO), event(S.PARTIALLY_FILLED, 4 * NANO)),
        (Order(INTENT, S.PARTIALLY_FILLED, filled_nano=5 * NANO), event(S.PARTIALLY_FILLED, 11 * NANO)),
        (Order(INTENT, S.ACCEPTED), event(S.FILLED, 9 * NANO)),
        (Order(INTENT, S.CANCELED, filled_nano=5 * NANO), event(S.CANCELED, 6 * NANO)),
    ],
    ids=["falls", "exceeds", "filled without all", "rises after the end"],
)
def test_cumulative_quantity_never_falls_exceeds_or_rises_after_the_end(
    before: Order, change: OrderEvent
) -> None:
    with pytest.raises(IllegalTransition) as caught:
        apply(before, change)
    assert caught.value.next_step


def test_an_event_of_another_order_is_a_conflict() -> None:
    with pytest.raises(JournalConflict):
        apply(Order(INTENT, S.SENT), replace(event(S.ACCEPTED), client_order_id="wb1-y"))


@pytest.mark.parametrize(
    "changes",
    [
        {"quantity_nano": 0}, {"quantity_nano": NANO // 2}, {"limit_micro": 5}, {"stop_micro": 5},
        {"stop_micro": -5}, {"order_type": OrderType.STOP}, {"order_type": OrderType.LIMIT},
        {"order_type": OrderType.LIMIT, "limit_micro": -5},
        {"order_type": OrderType.STOP_LIMIT, "limit_micro": 5},
        {"order_type": OrderType.MARKET_ON_CLOSE, "time_in_force": TimeInForce.GTC},
    ],
)  # fmt: skip
def test_an_intent_that_makes_no_sense_cannot_be_made(changes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="AAPL"):
        replace(INTENT, **changes)


words = st.text(st.characters(blacklist_characters="\x1f", blacklist_categories=("Cs",)), max_size=8)
parts = st.tuples(words, words, st.integers(0, 2**62), words, words)


@given(parts, parts)
def test_ids_are_equal_exactly_when_the_decision_and_leg_are(
    a: tuple[str, str, int, str, str], b: tuple[str, str, int, str, str]
) -> None:
    assert (client_order_id(*a) == client_order_id(*b)) == (a == b)


@given(parts)
def test_ids_fit_the_venue(a: tuple[str, str, int, str, str]) -> None:
    identity = client_order_id(*a)
    assert len(identity) == 36 <= 48
    assert identity.startswith("wb1-")
    assert set(identity[4:]) <= set("abcdefghijklmnopqrstuvwxyz234567")


def test_a_part_cannot_pretend_to_be_two() -> None:
    with pytest.raises(ValueError, match="separator"):
        client_order_id("a\x1fb", "c", 1, "d", "entry")
