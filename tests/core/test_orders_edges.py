"""The tables of the order in words of their own, and each rule of an order at the step where it turns."""

from __future__ import annotations

import dataclasses
import itertools
import re
from dataclasses import replace
from pathlib import Path

import pytest

from workbench.core.orders import (
    MOST_AT_ONCE,
    TERMINAL,
    TIMES_IN_FORCE,
    TRANSITIONS,
    UNRESOLVED,
    WITH_LIMIT,
    WITH_STOP,
    WORKING,
    Fill,
    Order,
    OrderEvent,
    OrderIntent,
    OrderState,
    apply,
    changes_by,
    check_terms,
    client_order_id,
)
from workbench.core.types import NANO, OrderType, Side, TimeInForce
from workbench.errors import IllegalTransition, JournalConflict

S = OrderState
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "order-states.md"
INTENT = OrderIntent(
    client_order_id="wb1-x", account="demo", strategy="trend", session="2013-02-01", scheduled_ns=1,
    symbol="AAPL", leg="entry", side=Side.BUY, quantity_nano=10 * NANO, order_type=OrderType.MARKET,
    limit_micro=0, reference_micro=1,
)  # fmt: skip
FILL = Fill("x", "wb1-x", "AAPL", Side.BUY, NANO, 1, 0, 1)
EVENT = OrderEvent("wb1-x", S.ACCEPTED, 7)


def test_the_table_and_the_groups_are_those_of_the_reference_page() -> None:
    """Written down twice, in code and on the page: neither can lose a step alone."""
    rows = re.findall(r"(?m)^\| `(\w+)` \| ([a-z, ]+) \| (.*) \|$", PAGE.read_text("utf-8"))
    assert [name for name, _, _ in rows] == [str(state) for state in S] == [state.name for state in S]
    table = {name: set(re.findall(r"`(\w+)`", following)) for name, _, following in rows}
    assert {str(state): {str(each) for each in after} for state, after in TRANSITIONS.items()} == table
    for group, word in ((WORKING, "working"), (UNRESOLVED, "unresolved"), (TERMINAL, "final")):
        assert group == {S(name) for name, kinds, _ in rows if word in kinds.split(", ")}, word


def test_which_type_bears_which_price_and_lives_how_long() -> None:
    rests = {TimeInForce.DAY, TimeInForce.GTC}
    any_time = rests | {TimeInForce.IOC, TimeInForce.FOK}
    assert TIMES_IN_FORCE == {
        OrderType.MARKET: any_time, OrderType.LIMIT: any_time, OrderType.STOP: rests,
        OrderType.STOP_LIMIT: rests, OrderType.MARKET_ON_OPEN: {TimeInForce.DAY},
        OrderType.MARKET_ON_CLOSE: {TimeInForce.DAY},
    }  # fmt: skip
    assert WITH_LIMIT == {OrderType.LIMIT, OrderType.STOP_LIMIT}
    assert WITH_STOP == {OrderType.STOP, OrderType.STOP_LIMIT}


def test_the_id_of_a_decision_is_the_one_it_had_in_every_version() -> None:
    """Journals that exist name orders by it: another one would send them again."""
    made = client_order_id("demo", "trend", 1_359_729_000_000_000_000, "AAPL", "entry")
    assert made == "wb1-ozrk72fs3wpla6x5pjlw3plpg6ijwhqr"
    parts = ("demo", "trend", 5, "AAPL", "entry")
    for at in (0, 1, 3, 4):
        with pytest.raises(ValueError, match="separator"):
            client_order_id(*(f"{part}\x1f" if n == at else part for n, part in enumerate(parts)))  # type: ignore[arg-type]


def test_as_many_orders_are_sent_together_as_can_be_asked_about_after_a_crash() -> None:
    assert MOST_AT_ONCE == 64


PRICES = (-1, 0, 1)


@pytest.mark.parametrize("kind", list(OrderType))
def test_terms_make_an_order_exactly_when_every_price_is_there_that_belongs(kind: OrderType) -> None:
    for limit, stop, tif in itertools.product(PRICES, PRICES, TimeInForce):
        wants_limit = kind in (OrderType.LIMIT, OrderType.STOP_LIMIT)
        wants_stop = kind in (OrderType.STOP, OrderType.STOP_LIMIT)
        good = (limit, stop) == (int(wants_limit), int(wants_stop)) and tif in TIMES_IN_FORCE[kind]
        if good:
            check_terms("AAPL", NANO, kind, limit, stop, tif)
        else:
            with pytest.raises(ValueError, match=rf"{kind.word} order of AAPL (with (limit|stop)|cannot be)"):
                check_terms("AAPL", NANO, kind, limit, stop, tif)


@pytest.mark.parametrize("quantity", [-NANO, -1, 0, 1, NANO - 1, NANO + 1])
def test_a_quantity_is_a_positive_number_of_whole_shares(quantity: int) -> None:
    with pytest.raises(ValueError, match="quantity of AAPL"):
        check_terms("AAPL", quantity, OrderType.MARKET, 0, 0, TimeInForce.DAY)


def test_an_intent_begins_without_cost_parent_and_stop_and_lives_a_day() -> None:
    assert (INTENT.expected_cost_micro, INTENT.parent_id, INTENT.stop_micro) == (0, "", 0)
    assert INTENT.time_in_force is TimeInForce.DAY
    assert INTENT.shares == 10
    assert (EVENT.venue_order_id, EVENT.filled_nano, EVENT.reason) == ("", None, "")
    order = Order(INTENT, S.INTENDED)
    assert (order.venue_order_id, order.filled_nano, order.sent_at_ns, order.reason) == ("", 0, 0, "")


@pytest.mark.parametrize("value", [INTENT, FILL, Order(INTENT, S.SENT), EVENT])
def test_what_happened_cannot_be_changed(value: object) -> None:
    for item in dataclasses.fields(value):  # type: ignore[arg-type]
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, item.name, None)


def test_what_is_left_of_an_order() -> None:
    for state in S:
        left = Order(INTENT, state, filled_nano=3 * NANO).leaves_nano
        assert left == (0 if state in TERMINAL else 7 * NANO), state


def moved(state: OrderState, event: OrderEvent, **fields: object) -> Order:
    return apply(replace(Order(INTENT, state), **fields), event)  # type: ignore[arg-type]


def test_the_first_request_dates_an_order_and_no_later_one() -> None:
    sent = moved(S.INTENDED, OrderEvent("wb1-x", S.SENT, 7))
    assert sent.sent_at_ns == 7
    again = apply(replace(sent, state=S.UNKNOWN), OrderEvent("wb1-x", S.SENT, 9))
    assert (again.state, again.sent_at_ns) == (S.SENT, 7)
    assert moved(S.SENT, OrderEvent("wb1-x", S.ACCEPTED, 9)).sent_at_ns == 0


def test_words_and_the_venues_id_stay_until_there_are_others() -> None:
    known = {"venue_order_id": "v-1", "reason": "before"}
    assert moved(S.SENT, EVENT, **known) == replace(Order(INTENT, S.ACCEPTED), **known)  # type: ignore[arg-type]
    told = moved(S.SENT, replace(EVENT, venue_order_id="v-2", reason="after"), **known)
    assert (told.venue_order_id, told.reason) == ("v-2", "after")
    # what is no news has nothing to say either, but for an id that was not known
    same = moved(S.ACCEPTED, replace(EVENT, venue_order_id="v-2", reason="after"), **known)
    assert (same.venue_order_id, same.reason) == ("v-2", "before")


@pytest.mark.parametrize(
    ("state", "had", "event", "words"),
    [
        (S.ACCEPTED, 0, OrderEvent("wb1-x", S.INTENDED, 1), "ACCEPTED cannot become INTENDED"),
        (S.PARTIALLY_FILLED, 5, OrderEvent("wb1-x", S.PARTIALLY_FILLED, 1, "", 4), "fell from 5 to 4"),
        (
            S.ACCEPTED,
            0,
            OrderEvent("wb1-x", S.PARTIALLY_FILLED, 1, "", 10 * NANO + 1),
            "filled 10000000001 of",
        ),
        (S.CANCELED, 5, OrderEvent("wb1-x", S.CANCELED, 1, "", 6), "rose after CANCELED"),
        (S.ACCEPTED, 0, OrderEvent("wb1-x", S.FILLED, 1, "", 10 * NANO - 1), "FILLED with 9999999999 of"),
        (S.ACCEPTED, 0, OrderEvent("wb1-x", S.FILLED, 1), "FILLED with 0 of"),
    ],
)
def test_a_refused_step_names_order_states_and_what_to_do(
    state: OrderState, had: int, event: OrderEvent, words: str
) -> None:
    with pytest.raises(IllegalTransition, match=rf"order wb1-x \(AAPL\): .*{words}") as caught:
        moved(state, event, filled_nano=had)
    refused = caught.value
    assert (refused.client_order_id, refused.from_state, refused.to_state) == (
        "wb1-x",
        str(state),
        str(event.state),
    )
    assert "workbench reconcile" in refused.next_step


def test_quantities_at_the_edge_of_what_is_allowed() -> None:
    whole = 10 * NANO
    assert moved(S.ACCEPTED, OrderEvent("wb1-x", S.FILLED, 1, "", whole)).filled_nano == whole
    part = moved(S.PARTIALLY_FILLED, OrderEvent("wb1-x", S.PARTIALLY_FILLED, 1, "", 6), filled_nano=5)
    assert part.filled_nano == 6
    assert (
        moved(S.PARTIALLY_FILLED, OrderEvent("wb1-x", S.CANCELED, 1, "", 5), filled_nano=5).filled_nano == 5
    )
    assert moved(S.ACCEPTED, OrderEvent("wb1-x", S.CANCELED, 1, "", 0)).filled_nano == 0
    # an end that comes with its last executions is one step
    assert moved(S.ACCEPTED, OrderEvent("wb1-x", S.CANCELED, 1, "", 4)).filled_nano == 4
    # PARTIALLY_FILLED may follow itself, and only it: the rest of a fill is not a new state
    assert moved(S.ACCEPTED, OrderEvent("wb1-x", S.ACCEPTED, 1, "", 4)).filled_nano == 4


def test_an_event_of_another_order_names_both() -> None:
    with pytest.raises(JournalConflict, match=r"event of wb1-y applied to wb1-x"):
        apply(Order(INTENT, S.SENT), replace(EVENT, client_order_id="wb1-y"))


def test_what_an_event_makes_of_single_fields() -> None:
    changed = changes_by(
        OrderEvent("wb1-x", S.SENT, 5, "", 2, "why"), symbol="AAPL", quantity_nano=3, state=S.UNKNOWN,
        filled_nano=1, venue_order_id="v", sent_at_ns=0, reason="old",
    )  # fmt: skip
    assert changed == {
        "state": S.SENT, "filled_nano": 2, "venue_order_id": "v", "sent_at_ns": 5, "reason": "why",
    }  # fmt: skip
