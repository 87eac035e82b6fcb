"""The OMS at the lines where it decides: what is asked how often, what is written, in what order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from order_desk import ACCOUNT, CALENDAR, CASH_MICRO, FIRST, SECOND, Desk, Market, S, make_desk

from workbench.core.corporate import ENTRY_PREFIX
from workbench.core.ledger import Posting, opening_postings
from workbench.core.orders import Fill, Order, OrderIntent, OrderState, client_order_id
from workbench.core.ports import Activity, Event, LookupResult, SubmitOutcome, SubmitResult, VenueOrder
from workbench.core.types import NANO, OrderType, Side
from workbench.errors import JournalConflict, LeaseLost
from workbench.services.booking import MOST_AT_ONCE
from workbench.services.oms import LOOKUP_TRIES, NEVER_LEFT

OPEN_NS, CLOSE_NS = CALENDAR.session_open_ns(FIRST), CALENDAR.session_close_ns(FIRST)
NEXT_OPEN_NS = CALENDAR.session_open_ns(SECOND)
NOT_THERE = "the venue has no such id, which is no proof of absence"
ABSENT = LookupResult(found=False, answered=True, reason="404")


class Told:
    """A broker that says what a test writes down, and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.answers: dict[str, Any] = {"fills": (), "activities": (), "orders": (), "cancel": None}
        self.lookups: list[LookupResult | Exception] = []
        self.submits: list[SubmitResult] = []

    def lookup(self, key: str) -> LookupResult:
        self.asked.append(("lookup", key))
        answer = self.lookups.pop(0) if self.lookups else ABSENT
        if isinstance(answer, Exception):
            raise answer
        return answer

    def submit(self, intent: OrderIntent) -> SubmitResult:
        self.asked.append(("submit", intent.client_order_id))
        return self.submits.pop(0)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def answer(*arguments: Any, **named: Any) -> Any:
            self.asked.append((name, (*arguments, *named.values())))
            found = self.answers[name]
            if isinstance(found, Exception):
                raise found
            return found

        return answer


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = make_desk(tmp_path, Market())
    made.broker = Told()
    made.restart()
    yield made
    assert made.journal.verify().ok
    made.venue.close()
    made.journal.close()


def intent_of(symbol: str = "AAPL", leg: str = "entry", **changes: Any) -> OrderIntent:
    base = OrderIntent(
        client_order_id(ACCOUNT, "trend", 5, symbol, leg), ACCOUNT, "trend", FIRST, 5, symbol, leg, Side.BUY,
        10 * NANO, OrderType.MARKET, 0, 100_000_000,
    )  # fmt: skip
    return replace(base, **changes)


def intend(desk: Desk, *arguments: Any, **changes: Any) -> str:
    return desk.oms.intend(intent_of(*arguments, **changes), "d", ()).intent.client_order_id


def shown(desk: Desk, key: str, state: OrderState = S.ACCEPTED, **changes: Any) -> VenueOrder:
    order = desk.oms.orders[key]
    usual = VenueOrder(
        client_order_id=key, venue_order_id="v-1", symbol=order.intent.symbol, side=order.intent.side,
        quantity_nano=order.intent.quantity_nano, filled_nano=order.filled_nano, state=state, reason="shown",
    )  # fmt: skip
    return replace(usual, **changes)


def found(desk: Desk, key: str, state: OrderState = S.ACCEPTED, **changes: Any) -> LookupResult:
    return LookupResult(found=True, answered=True, order=shown(desk, key, state, **changes))


def unknown(desk: Desk, *arguments: Any, **changes: Any) -> str:
    """An order whose request said nothing, while the venue denies that it has it."""
    key = intend(desk, *arguments, **changes)
    desk.broker.submits = [SubmitResult(SubmitOutcome.UNKNOWN, reason="504")]
    desk.oms.send(key)
    order = desk.oms.orders[key]
    assert (order.state, order.venue_order_id, order.reason) == (S.UNKNOWN, "", "504")
    desk.broker.asked.clear()
    return key


def sent(desk: Desk, *arguments: Any, **changes: Any) -> str:
    key = intend(desk, *arguments, **changes)
    desk.broker.submits = [SubmitResult(SubmitOutcome.ACCEPTED, order=shown(desk, key))]
    desk.oms.send(key)
    order = desk.oms.orders[key]
    assert (order.state, order.venue_order_id, order.reason) == (S.ACCEPTED, "v-1", "")
    desk.broker.asked.clear()
    return key


def steps(desk: Desk, key: str) -> list[tuple[str, str]]:
    """States and reasons that the journal has of an order, after its intent."""
    return [
        (event.payload["state"], event.payload.get("reason", ""))
        for event in desk.journal.events(kinds=("order.changed",))
        if event.payload["client_order_id"] == key
    ]


def fill_of(
    desk: Desk, key: str, number: int = 1, at_ns: int = OPEN_NS, shares: int = 1, **changes: Any
) -> Fill:
    symbol = desk.oms.orders[key].intent.symbol
    return replace(
        Fill(f"x-{number}", key, symbol, Side.BUY, shares * NANO, 100_000_000, 0, at_ns), **changes
    )


def dividend(number: int = 1, at_ns: int = OPEN_NS) -> Activity:
    return Activity(f"a-{number}", "dividend", "AAPL", at_ns, 0, 7_000_000)


# --- what is written -------------------------------------------------------------------------------


def test_an_entry_that_people_approved_is_booked_under_its_name_with_what_goes_with_it(desk: Desk) -> None:
    alert = Event("alert.raised", {"account": ACCOUNT, "code": "x", "text": "y", "at_ns": 1})
    entry = (Posting("cash", 5, 0, "corrected"), Posting("capital", -5, 0, "corrected"))
    desk.oms.record_opening(f"{ENTRY_PREFIX}a-9", FIRST, entry, "why", [alert])
    told = desk.journal.events(kinds=("ledger.posted", "alert.raised"))[-2:]
    assert [event.kind for event in told] == ["ledger.posted", "alert.raised"]
    booked = told[0].payload
    assert (booked["entry_id"], booked["session"], booked["memo"]) == (f"{ENTRY_PREFIX}a-9", FIRST, "why")
    assert desk.oms.ledger.cash_micro == CASH_MICRO + 5
    assert desk.oms.books.activities["a-9"].session == FIRST


def test_a_leg_is_written_with_its_verdict(desk: Desk) -> None:
    good = desk.oms.intend(intent_of(), "decision 7", ())
    bad = desk.oms.intend(intent_of("MSFT"), "decision 7", ("GROSS", "SHORT"))
    assert (good.state, good.reason) == (S.INTENDED, "")
    assert (bad.state, bad.reason) == (S.DENIED, "GROSS,SHORT")
    intended, denied = desk.journal.events(kinds=("order.intended", "order.denied"))
    assert (intended.kind, intended.payload["verdict"]) == ("order.intended", "allowed")
    assert (denied.kind, denied.payload["codes"]) == ("order.denied", ["GROSS", "SHORT"])
    assert {event.payload["decision_id"] for event in (intended, denied)} == {"decision 7"}
    desk.restart()
    assert desk.oms.orders == {one.intent.client_order_id: one for one in (good, bad)}


def test_what_the_caller_journalled_is_taken_over_with_its_codes(desk: Desk) -> None:
    one, two = intent_of(), intent_of("MSFT")
    desk.oms.adopt_intents([one, two], {two.client_order_id: ("GROSS", "SHORT")})
    assert list(desk.oms.orders.values()) == [
        Order(one, S.INTENDED),
        Order(two, S.DENIED, reason="GROSS,SHORT"),
    ]


WRITERS: dict[str, Callable[[Desk, str], Any]] = {
    "an entry": lambda desk, key: desk.oms.record_opening("more", "", opening_postings(5), "x"),
    "an intent": lambda desk, key: intend(desk, "MSFT"),
    "a request": lambda desk, key: desk.oms.send(intent_of("IBM").client_order_id),
    "a cancel": lambda desk, key: desk.oms.cancel(key, reason="x"),
    "a state": lambda desk, key: hear(desk, orders=[shown(desk, key, S.CANCELED)]),
    "an execution": lambda desk, key: hear(desk, fills=[fill_of(desk, key)]),
    "an event": lambda desk, key: hear(desk, activities=[dividend()]),
}


def hear(desk: Desk, **told: Any) -> int:
    desk.broker.answers.update(told)
    return desk.oms.poll(since_ns=3)


def test_nothing_is_written_without_the_lease(desk: Desk) -> None:
    key = sent(desk)
    intend(desk, "IBM")
    desk.journal.acquire_lease(ACCOUNT, "host:boot:2:2", ttl_ns=NANO, proof_of_death="host:boot:1:1")
    events, cash = len(desk.journal.events()), desk.oms.ledger.cash_micro
    for name, write in WRITERS.items():
        desk.broker.answers |= {"fills": (), "activities": (), "orders": ()}
        with pytest.raises(LeaseLost):
            write(desk, key)
        assert len(desk.journal.events()) == events, name
        assert desk.oms.ledger.cash_micro == cash


def test_what_changes_nothing_is_not_written(desk: Desk) -> None:
    key = unknown(desk)
    events = len(desk.journal.events())
    desk.broker.lookups = [found(desk, key, S.ACCEPTED)]
    assert not desk.oms.is_denied(key)
    assert len(desk.journal.events()) == events + 1
    desk.broker.lookups = [found(desk, key, S.ACCEPTED)]
    assert not desk.oms.is_denied(key)
    assert len(desk.journal.events()) == events + 1


# --- in what order ---------------------------------------------------------------------------------


def test_what_works_stands_by_symbol_and_what_was_decided_by_side_first(desk: Desk) -> None:
    buy, denied = sent(desk, "MSFT"), desk.oms.intend(intent_of("AAPL", "b"), "d", ("GROSS",))
    sale, low = sent(desk, "ZZZ", side=Side.SELL), sent(desk, "AAPL", "a")
    intend(desk, "IBM")
    assert [order.intent.client_order_id for order in desk.oms.working()] == [low, buy, sale]
    assert desk.oms.unresolved() == ()
    legs = [(order.intent.symbol, order.intent.leg) for order in desk.oms.of_decision(5)]
    assert legs == [("ZZZ", "entry"), ("AAPL", "a"), ("AAPL", "b"), ("IBM", "entry"), ("MSFT", "entry")]
    assert denied in desk.oms.of_decision(5)
    assert desk.oms.of_decision(6) == ()


# --- answers ---------------------------------------------------------------------------------------


def test_an_acceptance_without_an_order_proves_nothing(desk: Desk) -> None:
    key = intend(desk)
    desk.broker.submits = [SubmitResult(SubmitOutcome.ACCEPTED)]
    assert desk.oms.send(key).state is S.UNKNOWN
    assert steps(desk, key)[1:] == [
        ("UNKNOWN", "no proof of the outcome"),
    ]  # fmt: skip
    assert desk.broker.asked[-1] == ("lookup", key)


def test_the_first_answer_is_kept_in_its_words(desk: Desk) -> None:
    for symbol, outcome, reason, state in (
        ("A", SubmitOutcome.NOT_ACCEPTED, "429", S.NOT_ACCEPTED),
        ("B", SubmitOutcome.REFUSED, "not tradable", S.REJECTED),
        ("C", SubmitOutcome.UNKNOWN, "504", S.UNKNOWN),
    ):
        key = intend(desk, symbol)
        desk.broker.submits = [SubmitResult(outcome, reason=reason)]
        order = desk.oms.send(key)
        assert order.state is state
        assert steps(desk, key)[1] == (str(state), reason)
        assert desk.oms.orders[key] == order


def test_an_unclear_order_is_looked_up_three_times_at_most_and_keeps_the_last_words(desk: Desk) -> None:
    """As a process finds it that died after SENT was written."""
    busy, silent = LookupResult(False, False, reason="busy"), LookupResult(False, False)
    for symbol, answers, tries, reason in (
        ("A", [busy] * 5, 3, "busy"),
        ("B", [silent] * 5, 3, "no answer"),
        ("C", [busy, silent] * 3, 3, "busy"),
        ("D", [busy, ABSENT], 2, NOT_THERE),
        ("E", [TimeoutError()] * 5, 3, "TimeoutError while looking up"),
        ("F", [LookupResult(True, True)] * 5, 1, NOT_THERE),
    ):
        key = intend(desk, symbol)
        payload = {"client_order_id": key, "state": "SENT", "at_ns": 1, "filled_nano": 0}
        desk.journal.commit([Event("order.changed", payload)])
        desk.restart()
        desk.broker.lookups, desk.broker.asked = list(answers), []
        (left,) = desk.oms.recover()
        assert left.state is S.UNKNOWN
        assert desk.broker.asked[3:] == [("lookup", key)] * tries
        assert tries <= LOOKUP_TRIES == 3
        assert steps(desk, key)[-1] == ("UNKNOWN", reason)
        hear(desk, orders=[shown(desk, key, S.CANCELED)])
        desk.broker.answers["orders"] = ()


def test_a_look_at_one_order_asks_once_and_says_whether_the_venue_denies_it(desk: Desk) -> None:
    key = unknown(desk)
    for answer, denied in (
        (ABSENT, True), (LookupResult(False, False, reason="busy"), False), (LookupResult(True, True), False),
        (TimeoutError(), False), (found(desk, key), False),
    ):  # fmt: skip
        desk.broker.lookups, desk.broker.asked = [answer], []
        assert desk.oms.is_denied(key) is denied
        assert desk.broker.asked == [("lookup", key)]
    assert (desk.state(key), desk.oms.orders[key].venue_order_id) == (S.ACCEPTED, "v-1")


def test_another_order_under_our_id_halts_and_is_never_looked_up_again(desk: Desk) -> None:
    for symbol, change in (
        ("A", {"symbol": "ZZZ"}),
        ("B", {"side": Side.SELL}),
        ("C", {"quantity_nano": NANO}),
    ):
        key = unknown(desk, symbol)
        desk.halts.clear()
        desk.broker.lookups = [found(desk, key, **change)]
        left = desk.oms.recover()[-1]
        assert left.intent.client_order_id == key
        assert (left.state, left.reason) == (S.QUARANTINED, "the venue holds another order by this id")
        assert len(desk.halts) == 1
        assert f"order {key} at the venue is" in desk.halts[0]
        assert f"ours is ('{symbol}'" in desk.halts[0]
        desk.broker.asked.clear()
        assert desk.oms.recover()[-1] == left
        assert [what for what, _ in desk.broker.asked] == ["fills", "activities", "orders"]


def test_a_bad_end_that_is_looked_up_keeps_the_venues_words(desk: Desk) -> None:
    for symbol, state in (("A", S.REJECTED), ("B", S.QUARANTINED)):
        key = unknown(desk, symbol)
        desk.broker.lookups = [found(desk, key, state)]
        desk.oms.recover()
        order = desk.oms.orders[key]
        assert (order.state, order.venue_order_id, order.reason) == (state, "v-1", "shown")
    assert desk.halts == []


def test_a_look_up_proves_that_an_order_is_there_and_nothing_about_its_executions(desk: Desk) -> None:
    for symbol, state in (("A", S.FILLED), ("B", S.CANCELED), ("C", S.PARTIALLY_FILLED)):
        key = unknown(desk, symbol)
        desk.broker.lookups = [found(desk, key, state, filled_nano=NANO)]
        desk.oms.recover()
        order = desk.oms.orders[key]
        assert (order.state, order.filled_nano, order.venue_order_id) == (S.ACCEPTED, 0, "v-1")


# --- recovery --------------------------------------------------------------------------------------


def test_with_nothing_unresolved_nobody_is_asked(desk: Desk) -> None:
    sent(desk)
    assert desk.oms.recover() == ()
    assert desk.broker.asked == []


def test_recovery_asks_from_the_oldest_request_on_and_books_events_first(desk: Desk) -> None:
    key = sent(desk, "AAPL", "held")
    hear(desk, fills=[fill_of(desk, key)])
    first = unknown(desk, "MSFT")
    since_ns = desk.clock.now_ns()
    desk.clock.sleep_until(since_ns + 60 * NANO)
    unknown(desk, "IBM")
    desk.broker.answers["fills"] = [fill_of(desk, key, 2)]
    desk.oms.recover()
    assert desk.broker.asked[:3] == [(what, (since_ns,)) for what in ("fills", "activities", "orders")]
    assert len(desk.oms.books.fills) == 1, "without an event executions wait for the poll"
    desk.broker.answers["activities"] = [dividend(at_ns=OPEN_NS + 1)]
    desk.oms.recover()
    assert desk.oms.ledger.dividends_micro == 7_000_000
    assert len(desk.oms.books.fills) == 2
    assert first in [order.intent.client_order_id for order in desk.oms.unresolved()]


def test_a_recovery_that_cannot_ask_names_why_for_all_but_the_quarantined(desk: Desk) -> None:
    quarantined = unknown(desk, "IBM")
    desk.broker.lookups = [found(desk, quarantined, S.QUARANTINED)]
    desk.oms.recover()
    key = unknown(desk)
    desk.broker.answers["orders"] = ConnectionError("reset")
    left = desk.oms.recover()
    assert [(order.state, order.intent.client_order_id) for order in left] == [
        (S.UNKNOWN, key), (S.QUARANTINED, quarantined),
    ]  # fmt: skip
    assert [what for what, _ in desk.broker.asked] == ["fills", "activities", "orders"]


# --- hearing ---------------------------------------------------------------------------------------


def test_what_is_heard_is_counted_and_told_twice_it_is_one(desk: Desk) -> None:
    key, other = sent(desk), sent(desk, "MSFT")
    fills = [fill_of(desk, key, 1), fill_of(desk, key, 1), fill_of(desk, key, 2, OPEN_NS + 5)]
    events = [dividend(1, OPEN_NS + 2), dividend(1, OPEN_NS + 2), dividend(2, OPEN_NS + 9)]
    foreign = [replace(fills[0], client_order_id="by-hand", execution_id="x-9")]
    orders = [shown(desk, other, S.CANCELED, client_order_id="by-hand"), shown(desk, other, S.CANCELED)]
    strange = [replace(dividend(3), kind="of tomorrow")]
    assert hear(desk, fills=fills + foreign, activities=events + strange, orders=orders) == 5
    assert desk.broker.asked == [(what, (3,)) for what in ("fills", "activities", "orders")]
    assert [row["execution_id"] for row in desk.journal.rows("fills")] == ["x-1", "x-2"]
    assert desk.oms.ledger.positions_nano == {"AAPL": 2 * NANO}
    assert desk.oms.ledger.dividends_micro == 14_000_000
    order = desk.oms.orders[other]
    assert (order.state, order.reason, order.venue_order_id) == (S.CANCELED, "shown", "v-1")
    kinds = [event.kind for event in desk.journal.events(kinds=("fill.booked", "ledger.posted"))][1:]
    assert kinds == ["fill.booked", "ledger.posted", "fill.booked", "ledger.posted"]
    assert hear(desk) == 0
    desk.restart()
    assert hear(desk) == 0


def test_executions_that_follow_one_another_share_their_transactions(desk: Desk, monkeypatch: Any) -> None:
    key = sent(desk)
    commits: list[list[str]] = []
    commit = desk.journal.commit

    def counted(events: Any, **named: Any) -> Any:
        commits.append([event.payload.get("execution_id", event.kind) for event in events])
        return commit(events, **named)

    monkeypatch.setattr(desk.journal, "commit", counted)
    monkeypatch.setattr("workbench.services.oms.MOST_AT_ONCE", 2)
    told = [fill_of(desk, key, n, OPEN_NS + n) for n in (1, 2, 3, 5)]
    assert hear(desk, fills=told, activities=[dividend(4, OPEN_NS + 4)]) == 5
    changed = "order.changed"
    assert commits == [
        ["x-1", "x-2", changed, changed], ["x-3", changed], ["ledger.posted"], ["x-5", changed],
    ]  # fmt: skip
    assert MOST_AT_ONCE == 256


def test_an_execution_that_contradicts_the_record_is_refused_alone(desk: Desk, monkeypatch: Any) -> None:
    """The journal says no to a transaction with it: the others are booked one by one, and it is named."""
    key = sent(desk)
    commit, sizes = desk.journal.commit, []

    def refuses(events: Any, **named: Any) -> Any:
        booked = [event.payload["execution_id"] for event in events if event.kind == "fill.booked"]
        sizes.append(len(booked))
        if "x-2" in booked:
            raise JournalConflict("execution x-2 was another one")
        return commit(events, **named)

    monkeypatch.setattr(desk.journal, "commit", refuses)
    with pytest.raises(JournalConflict, match="x-2"):
        hear(desk, fills=[fill_of(desk, key, n, OPEN_NS + n) for n in (1, 2, 3)])
    assert sizes == [3, 1, 1]
    assert [row["execution_id"] for row in desk.journal.rows("fills")] == ["x-1"]
    assert desk.oms.ledger.positions_nano == {"AAPL": NANO}
    assert desk.oms.orders[key].filled_nano == NANO


def test_what_is_refused_together_and_taken_alone_keeps_nothing_back(desk: Desk, monkeypatch: Any) -> None:
    key = sent(desk)
    commit = desk.journal.commit

    def refuses(events: Any, **named: Any) -> Any:
        if sum(event.kind == "fill.booked" for event in events) > 1:
            raise JournalConflict("two at once")
        return commit(events, **named)

    monkeypatch.setattr(desk.journal, "commit", refuses)
    monkeypatch.setattr("workbench.services.oms.MOST_AT_ONCE", 2)
    assert hear(desk, fills=[fill_of(desk, key, n, OPEN_NS + n) for n in (1, 2, 3)]) == 3
    assert [row["execution_id"] for row in desk.journal.rows("fills")] == ["x-1", "x-2", "x-3"]
    assert desk.oms.ledger.positions_nano == {"AAPL": 3 * NANO}


def test_an_execution_of_another_side_is_remembered_as_one_that_is_not_booked(desk: Desk) -> None:
    key = sent(desk)
    stranger = fill_of(desk, key, 1, side=Side.SELL)
    hear(desk, fills=[stranger, fill_of(desk, key, 2)])
    assert desk.oms.books.fills == {"x-1": None, "x-2": fill_of(desk, key, 2)}
    assert len(desk.halts) == 1
    assert "execution x-1 is sell AAPL" in desk.halts[0]
    events = len(desk.journal.events())
    assert hear(desk, fills=[replace(stranger, execution_id="x-3")]) == 1
    assert len(desk.journal.events()) == events, "nothing to book is no transaction"


def test_a_step_that_the_table_does_not_have_quarantines_and_halts_with_its_words(desk: Desk) -> None:
    key = unknown(desk)
    hear(desk, orders=[shown(desk, key, S.REPLACED)])
    order = desk.oms.orders[key]
    assert (order.state, order.reason) == (
        S.QUARANTINED,
        f"order {key} (AAPL): UNKNOWN cannot become REPLACED",
    )
    assert len(desk.halts) == 1
    assert order.reason in desk.halts[0]


def test_a_cancel_is_written_before_it_is_asked(desk: Desk) -> None:
    key = sent(desk)
    desk.broker.answers["cancel"] = ConnectionError("reset")
    with pytest.raises(ConnectionError):
        desk.oms.cancel(key, reason="supervisor")
    assert steps(desk, key)[-1] == ("PENDING_CANCEL", "supervisor")
    assert desk.broker.asked == [("cancel", (key,))]


# --- the end of a session --------------------------------------------------------------------------


def sweep(desk: Desk, now_ns: int) -> list[str]:
    desk.clock.sleep_until(now_ns)
    return [order.intent.client_order_id for order in desk.sweep()]


def test_what_never_left_ends_at_the_close_to_the_nanosecond(desk: Desk) -> None:
    assert {S.INTENDED, S.AWAITING_APPROVAL, S.NOT_ACCEPTED} == NEVER_LEFT
    key, works = intend(desk), sent(desk, "MSFT")
    assert sweep(desk, CLOSE_NS - 1) == []
    assert desk.broker.asked == []
    assert sweep(desk, CLOSE_NS) == [key]
    assert steps(desk, key) == [("EXPIRED_UNSENT", "its session ended before it was sent")]
    assert desk.oms.orders[works].state is S.ACCEPTED


def test_what_may_have_left_ends_at_the_next_open_and_only_on_the_venues_word(desk: Desk) -> None:
    key = unknown(desk)
    assert sweep(desk, NEXT_OPEN_NS - 1) == []
    assert desk.broker.asked == []
    desk.clock.sleep_until(NEXT_OPEN_NS)
    desk.broker.lookups = [ABSENT, LookupResult(False, False, reason="busy")]
    assert sweep(desk, NEXT_OPEN_NS) == []
    assert desk.broker.asked == [("lookup", key)] * 2, "two looks that both must deny it"
    desk.broker.lookups = [found(desk, key)]
    assert sweep(desk, NEXT_OPEN_NS) == []
    assert desk.state(key) is S.ACCEPTED


def test_what_the_venue_denies_twice_after_the_next_open_was_never_there(desk: Desk) -> None:
    key = unknown(desk)
    assert sweep(desk, NEXT_OPEN_NS) == [key]
    assert desk.state(key) is S.EXPIRED_UNSENT
