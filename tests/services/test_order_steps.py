"""Every step of the transition table, taken by the OMS on what a venue of our own making says.

F07, F08: each pair of a state of ours and a word of the venue's either is a step of the table and is taken,
or is refused, quarantines the order and halts. What no part of this version does is named below.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from order_desk import ACCOUNT, CALENDAR, FIRST, Desk, Market, S, make_desk

from workbench.core.orders import TERMINAL, TRANSITIONS, Fill, OrderIntent, OrderState, client_order_id
from workbench.core.ports import Event, LookupResult, SubmitOutcome, SubmitResult, VenueOrder
from workbench.core.types import NANO, OrderType, Side
from workbench.errors import IllegalTransition

SHARES = 10 * NANO
#: States in which the venue may be asked about an order, and what it can say of one.
OURS = sorted(
    {
        S.SENT, S.NOT_ACCEPTED, S.UNKNOWN, S.ACCEPTED, S.PARTIALLY_FILLED, S.PENDING_CANCEL, S.QUARANTINED,
        *TERMINAL,
    }
)  # fmt: skip
SHOWN = (
    S.ACCEPTED, S.PENDING_CANCEL, S.CANCELED, S.REJECTED, S.EXPIRED, S.REPLACED, S.QUARANTINED,
    S.PARTIALLY_FILLED, S.FILLED,
)  # fmt: skip
#: What the venue says of fills counts only as executions.
BY_EXECUTION = (S.PARTIALLY_FILLED, S.FILLED)
#: Where the word ACCEPTED is news; elsewhere it says less than is known.
WAITING = (S.SENT, S.UNKNOWN, S.NOT_ACCEPTED)
#: What an answer to the first request of an order proves, and to a repeated one.
FIRST_ANSWER = {
    SubmitOutcome.ACCEPTED: S.ACCEPTED, SubmitOutcome.NOT_ACCEPTED: S.NOT_ACCEPTED,
    SubmitOutcome.REFUSED: S.REJECTED, SubmitOutcome.UNKNOWN: S.UNKNOWN,
}  # fmt: skip
LATER_ANSWER = dict.fromkeys(SubmitOutcome, S.UNKNOWN) | {SubmitOutcome.ACCEPTED: S.ACCEPTED}
SENDERS = (S.INTENDED, S.NOT_ACCEPTED, S.UNKNOWN, S.SENT)
SWEPT = (S.INTENDED, S.AWAITING_APPROVAL, S.NOT_ACCEPTED, S.UNKNOWN)
GATED = (S.INTENDED, S.NOT_ACCEPTED)


def after_word(before: OrderState, shown: OrderState) -> OrderState:
    """Our state after the venue showed that one."""
    if before in TERMINAL or (shown is S.ACCEPTED and before not in WAITING) or shown in BY_EXECUTION:
        return before
    return shown if shown is before or shown in TRANSITIONS[before] else S.QUARANTINED


def after_fill(before: OrderState, whole: bool) -> OrderState:
    """Our state after an execution of a part or of all."""
    wanted = S.FILLED if whole else S.PARTIALLY_FILLED
    return wanted if wanted in TRANSITIONS[before] else before


#: Every step that a test of this file takes and asserts.
TAKEN = {
    *((before, after_word(before, shown)) for before, shown in product(OURS, SHOWN)),
    *((before, after_fill(before, whole)) for before, whole in product((*OURS, *GATED), (False, True))),
    *((before, S.SENT) for before in SENDERS),
    *((S.SENT, after) for after in FIRST_ANSWER.values()),
    *((before, S.EXPIRED_UNSENT) for before in SWEPT),
    *((before, S.DENIED) for before in GATED),
}
TAKEN = {(before, after) for before, after in TAKEN if before is not after}
#: Steps that the OMS does not take by itself: those of approvals are in test_approvals.py; a cancel that the
#: venue refuses is told by what happens next; a second request goes by SENT; a person's word on a quarantine
#: is no step of the OMS.
NOBODY = {
    *((S.AWAITING_APPROVAL, after) for after in TRANSITIONS[S.AWAITING_APPROVAL] - {S.EXPIRED_UNSENT}),
    (S.INTENDED, S.AWAITING_APPROVAL), (S.INTENDED, S.QUARANTINED), (S.PENDING_CANCEL, S.ACCEPTED),
    (S.QUARANTINED, S.ACCEPTED), (S.PARTIALLY_FILLED, S.PARTIALLY_FILLED), (S.UNKNOWN, S.NOT_ACCEPTED),
    (S.NOT_ACCEPTED, S.UNKNOWN),
}  # fmt: skip


class Teller:
    """A broker that says what it is told to say."""

    def __init__(self, venue: Any) -> None:
        self.venue = venue
        self.listed: list[VenueOrder] = []
        self.told: list[Fill] = []
        self.answer: SubmitResult = SubmitResult(SubmitOutcome.UNKNOWN, reason="504")

    def submit(self, intent: OrderIntent) -> SubmitResult:
        return self.answer

    def lookup(self, key: str) -> LookupResult:
        found = next((order for order in self.listed if order.client_order_id == key), None)
        return LookupResult(found=found is not None, answered=True, order=found, reason="404")

    def cancel(self, key: str) -> SubmitResult:
        return SubmitResult(SubmitOutcome.ACCEPTED)

    def orders(self, *, since_ns: int) -> Any:
        return tuple(self.listed)

    def fills(self, *, since_ns: int) -> Any:
        return tuple(self.told)

    def activities(self, *, since_ns: int) -> Any:
        return ()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.venue, name)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    made = make_desk(tmp_path_factory.mktemp("steps"), Market())
    made.broker = Teller(made.venue)
    made.restart()
    yield made
    assert made.journal.verify().ok
    made.venue.close()
    made.journal.close()


def bring(desk: Desk, state: OrderState) -> str:
    """A new order of a symbol of its own in that state, by the shortest way, in a new process."""
    number = len(desk.oms.orders)
    key = client_order_id(ACCOUNT, "trend", number, f"S{number}", "entry")
    intent = OrderIntent(
        key, ACCOUNT, "trend", FIRST, number, f"S{number}", "entry", Side.BUY, SHARES, OrderType.MARKET, 0, 1
    )
    desk.oms.intend(intent, "d", ())
    ways: dict[OrderState, tuple[OrderState, ...]] = {S.INTENDED: ()}
    queue = [S.INTENDED]
    for at in queue:
        for following in sorted(TRANSITIONS[at]):
            if following not in ways:
                ways[following] = (*ways[at], following)
                queue.append(following)
    filled = 0
    events = []
    for step in ways[state]:
        filled = {S.PARTIALLY_FILLED: NANO, S.FILLED: SHARES}.get(step, filled)
        payload = {"client_order_id": key, "state": str(step), "at_ns": 9, "filled_nano": filled}
        events.append(Event("order.changed", payload))
    if events:
        desk.journal.commit(events)
    desk.restart()
    desk.halts.clear()
    desk.broker.listed.clear()
    desk.broker.told.clear()
    return key


def show(desk: Desk, key: str, state: OrderState, **changes: Any) -> None:
    order = desk.oms.orders[key]
    values: dict[str, Any] = {
        "client_order_id": key, "venue_order_id": f"v-{key}", "symbol": order.intent.symbol, "side": Side.BUY,
        "quantity_nano": SHARES, "filled_nano": order.filled_nano, "state": state, "reason": "shown",
    }  # fmt: skip
    desk.broker.listed.append(VenueOrder(**(values | changes)))


@pytest.mark.parametrize(("before", "shown"), list(product(OURS, SHOWN)))
def test_what_the_venue_shows_is_taken_over_exactly_where_the_table_has_the_step(
    desk: Desk, before: OrderState, shown: OrderState
) -> None:
    key = bring(desk, before)
    show(desk, key, shown)
    desk.oms.poll(since_ns=0)
    after = after_word(before, shown)
    assert desk.state(key) is after
    refused = after is S.QUARANTINED and shown not in (S.QUARANTINED, S.ACCEPTED, *BY_EXECUTION)
    assert len(desk.halts) == int(refused)


@pytest.mark.parametrize(
    "before", sorted({S.SENT, S.UNKNOWN, S.ACCEPTED, S.PARTIALLY_FILLED, S.PENDING_CANCEL})
)
@pytest.mark.parametrize("shown", [S.CANCELED, S.EXPIRED])
def test_an_end_whose_executions_are_not_here_yet_waits_for_them(
    desk: Desk, before: OrderState, shown: OrderState
) -> None:
    """F06: between two lists the venue moved; the end is taken over with the fill that came before it."""
    key = bring(desk, before)
    order = desk.oms.orders[key]
    show(desk, key, shown, filled_nano=order.filled_nano + NANO)
    desk.oms.poll(since_ns=0)
    assert desk.state(key) is before
    fill = Fill(f"x-{key}", key, order.intent.symbol, Side.BUY, NANO, 100_000_000, 0, 1)
    desk.broker.told.append(fill)
    desk.oms.poll(since_ns=0)
    assert (desk.state(key), desk.halts) == (shown, [])


@pytest.mark.parametrize("before", [*OURS, S.INTENDED, S.AWAITING_APPROVAL])
@pytest.mark.parametrize("whole", [False, True])
def test_an_execution_is_booked_in_every_state_and_halts_where_it_may_not_happen(
    desk: Desk, before: OrderState, whole: bool
) -> None:
    """F05, F06: a fill is a fact whatever we thought of its order; only an impossible one halts."""
    key = bring(desk, before)
    order = desk.oms.orders[key]
    left = SHARES - order.filled_nano
    quantity = left if whole and left else NANO
    at_ns = CALENDAR.session_open_ns(FIRST)
    desk.broker.told.append(
        Fill(f"x-{key}", key, order.intent.symbol, Side.BUY, quantity, 100_000_000, 0, at_ns)
    )
    desk.oms.poll(since_ns=0)
    assert desk.state(key) is after_fill(before, whole)
    possible = (S.FILLED if whole else S.PARTIALLY_FILLED) in TRANSITIONS[before]
    assert len(desk.halts) == int(not possible)
    assert before not in TERMINAL or f"came after {before}" in desk.halts[0]
    assert desk.oms.ledger.positions_nano[order.intent.symbol] == quantity
    assert len(desk.journal.rows("fills", client_order_id=key)) == 1


@pytest.mark.parametrize("before", SENDERS)
@pytest.mark.parametrize("outcome", list(SubmitOutcome))
def test_an_answer_to_a_request_is_believed_as_far_as_it_proves_something(
    desk: Desk, before: OrderState, outcome: SubmitOutcome
) -> None:
    key = bring(desk, before)
    show(desk, key, S.ACCEPTED)
    desk.broker.answer = SubmitResult(outcome, reason="said", order=desk.broker.listed.pop())
    desk.oms.send(key)
    answers = FIRST_ANSWER if before in GATED else LATER_ANSWER
    states = [
        event.payload["state"]
        for event in desk.journal.events(kinds=("order.changed",))
        if event.payload["client_order_id"] == key
    ]
    assert states[-2:] == [S.SENT, answers[outcome]]


@pytest.mark.parametrize("before", [S.SENT, S.UNKNOWN])
@pytest.mark.parametrize(
    ("changes", "after"),
    [
        ({"quantity_nano": NANO}, S.QUARANTINED), ({"symbol": "ZZZ"}, S.QUARANTINED),
        ({"side": Side.SELL}, S.QUARANTINED), ({"state": S.QUARANTINED}, S.QUARANTINED),
        ({"state": S.REJECTED}, S.REJECTED), ({}, S.ACCEPTED),
    ],
)  # fmt: skip
def test_a_look_up_adopts_our_order_and_quarantines_a_stranger(
    desk: Desk, before: OrderState, changes: dict[str, Any], after: OrderState
) -> None:
    """F09: one id with another symbol, side or quantity is a conflict that halts."""
    key = bring(desk, before)
    show(desk, key, **({"state": S.ACCEPTED} | changes))
    desk.oms.recover()
    assert desk.state(key) is after
    assert len(desk.halts) == int(bool(set(changes) - {"state"}))


@pytest.mark.parametrize("before", [*SWEPT, S.ACCEPTED, S.SENT])
def test_the_sweep_ends_only_what_never_left_or_what_the_venue_denies(desk: Desk, before: OrderState) -> None:
    key = bring(desk, before)
    desk.oms.sweep(close_ns=lambda session: 1, next_open_ns=lambda session: 1)
    assert desk.state(key) is (S.EXPIRED_UNSENT if before in SWEPT else before)


@pytest.mark.parametrize("before", GATED)
def test_the_gate_denies_what_never_left(desk: Desk, before: OrderState) -> None:
    key = bring(desk, before)
    desk.oms._gate = lambda order: ("PRICE_STALE",)
    desk.oms.send(key)
    assert desk.state(key) is S.DENIED


@pytest.mark.parametrize("before", sorted(set(OURS) - {S.PENDING_CANCEL}))
def test_a_cancel_is_asked_for_only_where_the_table_has_it(desk: Desk, before: OrderState) -> None:
    key = bring(desk, before)
    if S.PENDING_CANCEL in TRANSITIONS[before]:
        assert desk.oms.cancel(key, reason="test").state is S.PENDING_CANCEL
    else:
        with pytest.raises(IllegalTransition, match="cannot become PENDING_CANCEL"):
            desk.oms.cancel(key, reason="test")
        assert desk.state(key) is before


def test_every_step_of_the_table_is_taken_here_or_named_as_nobodys() -> None:
    table = {(before, after) for before, following in TRANSITIONS.items() for after in following}
    print(f"{len(TAKEN)} steps of {len(table)} taken by the OMS, {len(NOBODY)} by nobody")
    assert table >= TAKEN, TAKEN - table
    assert {*TAKEN, *NOBODY} == table, table - TAKEN - NOBODY
    assert not TAKEN & NOBODY
