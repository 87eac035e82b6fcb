"""What the OMS does with a venue that does not answer, answers late, or tells of many things at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from order_desk import CALENDAR, FIRST, SECOND, THIRD, Desk, Market, S, make_desk

from workbench.core.ports import Activity, SubmitOutcome, SubmitResult, VenueAccount
from workbench.core.types import NANO, OrderType, TimeInForce
from workbench.services.records import fill_from_row, order_from_row

GTC = {"order_type": OrderType.LIMIT, "limit_micro": 95_000_000, "time_in_force": TimeInForce.GTC}
ASKED = ("activities", "orders", "fills")


class Wrapped:
    """The venue with some of its answers replaced."""

    def __init__(self, venue: Any, **answers: Any) -> None:
        self.venue = venue
        self.__dict__.update(answers)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.venue, name)


def silence(**asked: Any) -> Any:
    raise ConnectionError("reset")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = make_desk(tmp_path, Market())
    yield made
    assert made.journal.verify().ok
    made.venue.close()
    made.journal.close()


def behind(desk: Desk, **answers: Any) -> None:
    """A new process whose line to the venue gives these answers."""
    desk.broker = Wrapped(desk.venue, **answers)
    desk.restart()


def lost_request(desk: Desk, **changes: Any) -> str:
    """An order that landed while nothing was heard of it."""
    behind(desk, submit=lambda intent: desk.venue.submit(intent) and silence(), lookup=silence)
    key = desk.send(FIRST, **changes)
    assert desk.state(key) is S.UNKNOWN
    return key


@pytest.mark.parametrize("question", ASKED)
def test_a_recovery_without_an_answer_leaves_the_order_unknown_by_name(desk: Desk, question: str) -> None:
    """F04: an error is no list; nothing is looked up in terms that nobody knows, and nothing is raised."""
    key = lost_request(desk, **GTC)
    asked: list[str] = []
    behind(desk, **{question: silence}, lookup=asked.append)
    (left,) = desk.oms.recover()
    assert (left.intent.client_order_id, left.state) == (key, S.UNKNOWN)
    assert asked == []
    assert desk.state(key) is S.UNKNOWN
    behind(desk)
    assert desk.oms.recover() == ()
    assert desk.state(key) is S.ACCEPTED


def test_a_sent_order_whose_process_died_is_unknown_by_name_too(desk: Desk) -> None:
    class Killed(BaseException):
        pass

    def land_and_die(intent: Any) -> Any:
        desk.venue.submit(intent)
        raise Killed

    behind(desk, submit=land_and_die)
    with pytest.raises(Killed):
        desk.send(FIRST, **GTC)
    behind(desk, activities=silence)
    (left,) = desk.oms.recover()
    assert (left.state, left.reason) == (S.UNKNOWN, "ConnectionError while asking what happened")
    assert desk.state(left.intent.client_order_id) is S.UNKNOWN


@pytest.mark.parametrize("question", [*ASKED, "account"])
def test_a_reconciliation_without_an_answer_is_a_named_break_and_changes_no_state(
    desk: Desk, question: str
) -> None:
    """F04, F05: an error or an empty page is never read as flat or cancelled."""
    desk.send(FIRST)
    desk.clock.sleep_until(CALENDAR.session_close_ns(FIRST))
    behind(desk, **{question: lambda **asked: silence()})
    events = len(desk.journal.events(kinds=("order.changed",)))
    (found,) = desk.reconciler.reconcile(session=FIRST)
    assert (found.kind, found.theirs) == ("account_unreadable", "ConnectionError")
    if question != "account":  # nothing was taken over from the lists that did come
        assert len(desk.journal.events(kinds=("order.changed",))) == events
    assert len(desk.halts) == 1
    assert "account_unreadable" in desk.halts[0]
    behind(desk)
    assert desk.reconciler.reconcile(session=FIRST) == ()


def test_a_poll_without_an_answer_changes_nothing(desk: Desk) -> None:
    """F04: the error reaches the caller before anything was written."""
    key = desk.send(FIRST)
    desk.clock.sleep_until(CALENDAR.session_close_ns(FIRST))
    behind(desk, orders=silence)
    with pytest.raises(ConnectionError):
        desk.oms.poll(since_ns=0)
    assert desk.state(key) is S.ACCEPTED
    assert desk.journal.rows("fills") == []


# --- the second look -------------------------------------------------------------------------------


@pytest.mark.parametrize(("wrong_answers", "clean"), [(1, True), (2, False)])
def test_a_break_counts_only_when_a_second_look_shows_it_too(
    desk: Desk, wrong_answers: int, clean: bool
) -> None:
    """The venue may have moved between two of its answers; what stays is a break."""
    looks: list[VenueAccount] = []

    def account() -> VenueAccount:
        true = desk.venue.account()
        looks.append(true)
        return replace(true, cash_micro=true.cash_micro + (len(looks) <= wrong_answers))

    behind(desk, account=account)
    breaks = desk.reconciler.reconcile(session=FIRST)
    assert (breaks == (), desk.halts == []) == (clean, clean)
    assert len(looks) == 2
    assert desk.journal.rows("reconciliations")[-1]["clean"] is clean


# --- many events in one answer ---------------------------------------------------------------------


def pass_sessions(desk: Desk, *sessions: str) -> None:
    """Let sessions pass at the venue while nobody of ours listens."""
    for session in sessions:
        desk.clock.sleep_until(CALENDAR.session_close_ns(session) + NANO)
        desk.venue.account()


def test_two_splits_heard_in_one_poll_give_the_terms_of_both(desk: Desk) -> None:
    desk.market.splits = {SECOND: {"AAPL": (2, 1)}, THIRD: {"AAPL": (3, 2)}}
    desk.send(FIRST, leg="held", quantity_nano=11 * NANO)
    desk.end(FIRST)
    desk.market.splits = {SECOND: {"AAPL": (2, 1)}, THIRD: {"AAPL": (3, 2)}}
    key = desk.send(SECOND, **GTC | {"limit_micro": 30_000_000})
    pass_sessions(desk, SECOND)
    desk.end(THIRD)
    assert desk.state(key) is S.ACCEPTED
    intent = desk.oms.orders[key].intent
    assert (intent.shares, intent.limit_micro) == (303, 10_000_000)
    assert desk.oms.ledger.positions_nano == {"AAPL": 33 * NANO}
    assert desk.halts == []


def test_a_partial_fill_between_two_splits_leaves_less_to_multiply(desk: Desk) -> None:
    desk.market.volume = 400.0  # 20 shares a bar
    desk.market.splits = {SECOND: {"AAPL": (2, 1)}, THIRD: {"AAPL": (2, 1)}}
    desk.market.low = 0.90
    key = desk.send(FIRST, **GTC)  # 20 of 101 fill in the first session, 20 of 162 in the second
    pass_sessions(desk, FIRST, SECOND)
    desk.end(THIRD)
    order = desk.oms.orders[key]
    theirs = desk.venue.lookup(key).order
    assert theirs is not None
    assert (order.intent.quantity_nano, order.filled_nano) == (theirs.quantity_nano, theirs.filled_nano)
    assert order.filled_nano == 60 * NANO
    assert desk.halts == []


def test_an_order_that_ended_between_two_splits_keeps_the_terms_of_the_first(desk: Desk) -> None:
    desk.market.splits = {SECOND: {"AAPL": (2, 1)}, THIRD: {"AAPL": (2, 1)}}
    desk.send(FIRST, leg="held", quantity_nano=10 * NANO)
    key = desk.send(FIRST, leg="gtc", symbol="MSFT", **GTC)
    desk.market.splits = {
        SECOND: {"AAPL": (2, 1), "MSFT": (2, 1)}, THIRD: {"AAPL": (2, 1), "MSFT": (2, 1)},
    }  # fmt: skip
    pass_sessions(desk, FIRST, SECOND)
    desk.venue.cancel(key)  # by another hand, between the splits
    desk.end(THIRD)
    assert (desk.state(key), desk.oms.orders[key].intent.shares) == (S.CANCELED, 202)
    assert desk.oms.ledger.positions_nano == {"AAPL": 40 * NANO}
    assert desk.halts == []


def test_splits_of_two_symbols_and_a_dividend_in_one_poll(desk: Desk) -> None:
    desk.market.splits = {SECOND: {"AAPL": (2, 1), "MSFT": (3, 1)}}
    desk.market.dividends = {SECOND: {"MSFT": 500_000}}
    desk.send(FIRST, quantity_nano=10 * NANO)
    desk.send(FIRST, leg="other", symbol="MSFT", quantity_nano=7 * NANO)
    desk.end(FIRST)
    desk.end(SECOND)
    assert desk.oms.ledger.positions_nano == {"AAPL": 20 * NANO, "MSFT": 21 * NANO}
    assert desk.oms.ledger.dividends_micro == 7 * 500_000  # on the shares of the day before


@pytest.mark.parametrize(
    ("kind", "amount"), [("cash_in_lieu", 33_333_333), ("dividend", 1_000_000), ("dividend", -1_000_000)]
)
def test_cash_without_shares_is_booked_to_the_micro_and_reconciles(
    desk: Desk, kind: str, amount: int
) -> None:
    """Cash in lieu apart from its split; a dividend received, and one owed for shares sold short."""
    desk.send(FIRST)
    desk.end(FIRST)
    told = Activity("a-1", kind, "AAPL", CALENDAR.session_open_ns(SECOND), 0, amount)

    def account() -> VenueAccount:
        true = desk.venue.account()
        return replace(true, cash_micro=true.cash_micro + amount)

    before = desk.oms.ledger
    behind(desk, activities=lambda *, since_ns: (told,), account=account)
    assert desk.reconciler.reconcile(session=SECOND) == ()
    ledger = desk.oms.ledger
    assert ledger.cash_micro - before.cash_micro == amount
    assert (ledger.positions_nano, ledger.cost_micro) == (before.positions_nano, before.cost_micro)
    assert sum(value for value, _ in ledger.balances.values()) == 0
    income = (ledger.realised_micro - before.realised_micro, ledger.dividends_micro)
    assert income == ((amount, 0) if kind == "cash_in_lieu" else (0, amount))


# --- refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    ["insufficient buying power", "potential wash trade detected", "the author of this text", "", "40310000"],
)
def test_the_words_of_a_refusal_decide_nothing(desk: Desk, words: str) -> None:
    """F17, F18: the adapter classifies by status and code; a word in a text halts nothing."""
    states = []
    for symbol, outcome in (("AAPL", SubmitOutcome.REFUSED), ("MSFT", SubmitOutcome.NOT_ACCEPTED)):
        answer = SubmitResult(outcome, reason=words)
        behind(desk, submit=lambda intent, answer=answer: answer)
        key = desk.send(FIRST, leg=symbol, symbol=symbol)
        states.append(desk.state(key))
    assert states == [S.REJECTED, S.NOT_ACCEPTED]
    assert desk.halts == []


@pytest.mark.parametrize("side", ["short", "sell_short", "", "BUY TO COVER"])
def test_an_unknown_side_is_refused_at_the_boundary_and_not_read_as_a_sale(desk: Desk, side: str) -> None:
    """F15: neither an order nor an execution of ours comes back from the record with a guessed side."""
    desk.send(FIRST)
    desk.end(FIRST)
    (order,), (fill,) = desk.journal.rows("orders"), desk.journal.rows("fills")
    for read, row in ((order_from_row, order), (fill_from_row, fill)):
        assert read(row) is not None
        with pytest.raises(KeyError):
            read({**row, "side": side})


# --- whose order it is -----------------------------------------------------------------------------


def test_no_sweep_ends_an_order_that_continues_another_one(desk: Desk) -> None:
    """F11: orders are owned by id and session; what replaced an ended order is not stale with it."""
    first = desk.send(FIRST, order_type=OrderType.LIMIT, limit_micro=95_000_000)
    desk.oms.cancel(first, reason="reprice")
    desk.oms.poll(since_ns=0)
    again = desk.send(FIRST, leg="remainder 1", parent_id=first, **GTC)
    for at_ns in (CALENDAR.session_close_ns(FIRST), CALENDAR.session_open_ns(SECOND)):
        desk.clock.sleep_until(at_ns)
        desk.oms.poll(since_ns=0)
        assert desk.sweep() == ()
    assert (desk.state(first), desk.state(again)) == (S.CANCELED, S.ACCEPTED)


def test_an_order_of_another_hand_is_never_cancelled_or_adopted(desk: Desk) -> None:
    """F11: what is at the venue under a foreign id is a break with evidence, and left alone."""
    mine = desk.send(FIRST, **GTC)
    foreign = replace(desk.oms.orders[mine].intent, client_order_id="by-hand", symbol="MSFT")
    desk.venue.submit(foreign)
    desk.oms.poll(since_ns=0)
    desk.oms.recover()
    desk.sweep()
    assert "by-hand" not in desk.oms.orders
    assert desk.venue.lookup("by-hand").order.state is S.ACCEPTED  # type: ignore[union-attr]
    (found,) = desk.reconciler.reconcile(session=FIRST)
    assert (found.kind, found.evidence) == ("order_foreign", "by-hand")
