"""Remainders, slices and flips through journal and venue, and after a crash between any two steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from order_desk import ACCOUNT, CALENDAR, FIRST, SECOND, Desk, Market, S, make_desk

from workbench.core.orders import Order, OrderIntent, client_order_id
from workbench.core.ports import Event
from workbench.core.types import NANO, OrderType, Side, TimeInForce
from workbench.errors import Refused, TradingHalted
from workbench.services.legs import Legs
from workbench.services.oms import Oms

LIMIT = {"order_type": OrderType.LIMIT, "time_in_force": TimeInForce.DAY, "stop_micro": 0}


@dataclass
class Way:
    """A desk with a journalled decision and the legs that follow from it."""

    desk: Desk
    codes: tuple[str, ...] = ()
    allow_short: bool = False

    def legs(self, session: str = FIRST) -> Legs:
        return Legs(
            journal=self.desk.journal, oms=self.desk.oms, account=ACCOUNT, strategy="trend", session=session,
            judge=lambda order: self.codes, intend=self.desk.oms.intend, max_slice_shares=100,
            allow_short=self.allow_short, now_ns=self.desk.clock.now_ns,
        )  # fmt: skip

    def decide(self, start: int, target: int, leg: str, shares: int, session: str = FIRST) -> str:
        at_ns = self.desk.clock.now_ns()
        row = {"symbol": "AAPL", "target_shares": target, "delta_shares": target - start}
        side = Side.BUY if target > start else Side.SELL
        decision = {
            "decision_id": f"d/{at_ns}", "account": ACCOUNT, "strategy": "trend", "session": session,
            "scheduled_ns": at_ns, "snapshot_hash": "s", "model_id": "m", "cost_model_id": "c",
            "bars_fingerprint": "b", "rows": [row],
        }  # fmt: skip
        self.desk.journal.commit([Event("decision.made", decision)])
        key = client_order_id(ACCOUNT, "trend", at_ns, "AAPL", leg)
        intent = OrderIntent(
            key, ACCOUNT, "trend", session, at_ns, "AAPL", leg, side, shares * NANO, OrderType.MARKET, 0,
            100_000_000,
        )  # fmt: skip
        self.desk.oms.intend(intent, decision["decision_id"], ())
        self.desk.oms.send(key)
        return key

    def of_symbol(self) -> list[tuple[str, str, int]]:
        orders = sorted(self.desk.oms.orders.values(), key=lambda order: (order.sent_at_ns, order.intent.leg))
        return [(o.intent.leg, str(o.state), int(o.intent.side) * o.intent.shares) for o in orders]


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Way]:
    desk = make_desk(tmp_path, Market())
    yield Way(desk)
    assert desk.journal.verify().ok
    assert desk.halts == []
    desk.venue.close()
    desk.journal.close()


def test_slices_follow_one_another_each_journalled_under_its_own_id_before_it_is_sent(path: Way) -> None:
    """F02: equal slices a moment apart are distinct orders with distinct ids."""
    first = path.decide(0, 250, "slice 1", 100)
    assert path.legs().proceed() == 0  # the first still works
    path.desk.clock.sleep_until(CALENDAR.session_open_ns(FIRST))
    path.desk.oms.poll(since_ns=0)
    assert path.legs().proceed() == 1
    assert path.legs().proceed() == 0
    second = client_order_id(
        ACCOUNT, "trend", path.desk.oms.orders[first].intent.scheduled_ns, "AAPL", "slice 2"
    )
    events = [
        (event.kind, event.payload.get("state", ""))
        for event in path.desk.journal.events()
        if event.payload.get("client_order_id") == second
    ]
    assert events[:3] == [("order.intended", ""), ("order.changed", "SENT"), ("order.changed", "ACCEPTED")]
    assert path.desk.oms.orders[second].intent.parent_id == first
    path.desk.end(FIRST)
    assert path.of_symbol() == [("slice 1", "FILLED", 100), ("slice 2", "FILLED", 100)]


@pytest.mark.parametrize("crash", ["before_intent", "after_intent", "after_sent", "after_landing"])
def test_half_sent_slices_are_resumed_after_a_crash_and_nothing_is_sent_twice(
    path: Way, crash: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F01, F03: the id comes from the decision, so the next process makes the very same leg."""

    class Killed(BaseException):
        pass

    def die(*args: Any, **kwargs: Any) -> Any:
        raise Killed

    def land_and_die(intent: OrderIntent) -> Any:
        type(path.desk.venue).submit(path.desk.venue, intent)
        raise Killed

    path.decide(0, 250, "slice 1", 100)
    path.desk.clock.sleep_until(CALENDAR.session_open_ns(FIRST))
    path.desk.oms.poll(since_ns=0)
    with monkeypatch.context() as patch:
        if crash == "before_intent":
            patch.setattr(Oms, "intend", die)
        elif crash == "after_intent":
            patch.setattr(Oms, "send", die)
        else:
            patch.setattr(path.desk.venue, "submit", die if crash == "after_sent" else land_and_die)
        with pytest.raises(Killed):
            path.legs().proceed()
    path.desk.restart()
    path.desk.oms.recover()
    path.legs().proceed()
    for order in tuple(path.desk.oms.orders.values()):
        if order.state in (S.INTENDED, S.UNKNOWN):  # as the session resumes a decision
            path.desk.oms.send(order.intent.client_order_id)
    path.desk.end(FIRST)
    assert path.of_symbol() == [("slice 1", "FILLED", 100), ("slice 2", "FILLED", 100)]
    assert len(path.desk.venue.orders(since_ns=0)) == 2


def test_a_denied_leg_is_recorded_and_ends_the_change(path: Way) -> None:
    path.decide(0, 250, "slice 1", 100)
    path.desk.clock.sleep_until(CALENDAR.session_open_ns(FIRST))
    path.desk.oms.poll(since_ns=0)
    path.codes = ("SESSION_LOSS",)
    assert path.legs().proceed() == 1
    path.codes = ()
    assert path.legs().proceed() == 0
    assert [state for _, state, _ in path.of_symbol()] == ["DENIED", "FILLED"]
    (denied,) = path.desk.journal.events(kinds=("order.denied",))
    assert (denied.payload["leg"], denied.payload["codes"]) == ("slice 2", ["SESSION_LOSS"])
    path.desk.restart()
    assert [state for _, state, _ in path.of_symbol()] == ["DENIED", "FILLED"]


def test_a_halt_between_slices_leaves_the_leg_intended_and_it_expires_unsent(path: Way) -> None:
    """F13: what a halt kept back is not sent later; it ends with its session."""
    path.decide(0, 250, "slice 1", 100)
    path.desk.clock.sleep_until(CALENDAR.session_open_ns(FIRST))
    path.desk.oms.poll(since_ns=0)

    def halted(order: Order) -> tuple[str, ...]:
        raise TradingHalted("halted", next_step="resume")

    path.desk.oms._gate = halted
    assert path.legs().proceed() == 1
    path.desk.end(FIRST)
    path.desk.sweep()
    assert [state for _, state, _ in path.of_symbol()] == ["EXPIRED_UNSENT", "FILLED"]


@pytest.mark.parametrize("allowed", [False, True])
def test_a_flip_closes_and_opens_a_short_only_when_it_is_allowed(path: Way, allowed: bool) -> None:
    """F14: the venue of this account takes no short sale, and says so; the close stands either way."""
    path.allow_short = allowed
    path.decide(0, 50, "entry", 50)
    path.desk.clock.sleep_until(CALENDAR.session_open_ns(FIRST))
    path.desk.oms.poll(since_ns=0)
    path.decide(50, -30, "entry", 50)
    path.desk.clock.sleep_until(CALENDAR.session_close_ns(FIRST))
    path.desk.oms.poll(since_ns=0)
    assert path.desk.oms.ledger.positions_nano == {}
    assert path.legs().proceed() == int(allowed)
    assert [(leg, state) for leg, state, _ in path.of_symbol()][2:] == [("flip", "REJECTED")] * allowed


def test_a_remainder_is_a_new_leg_with_a_parent_made_once(path: Way) -> None:
    """F10: a partial fill, then a cancel: the rest is neither lost nor sent twice."""
    path.desk.market.volume = 1_600.0  # 80 shares a bar and order
    key = path.decide(0, 100, "entry", 100)
    with pytest.raises(Refused, match="it has no remainder"):
        path.legs().remainder(key, limit_micro=101_000_000, **LIMIT)
    path.desk.clock.sleep_until(CALENDAR.session_open_ns(FIRST))
    path.desk.oms.poll(since_ns=0)
    path.desk.oms.cancel(key, reason="reprice")
    with pytest.raises(Refused, match="PENDING_CANCEL"):
        path.legs().remainder(key, limit_micro=101_000_000, **LIMIT)
    path.desk.oms.poll(since_ns=0)
    made = path.legs().remainder(key, limit_micro=101_000_000, **LIMIT)
    again = path.legs().remainder(key, limit_micro=101_000_000, **LIMIT)
    assert (made.intent.leg, made.intent.parent_id, made.intent.shares) == ("remainder 1", key, 20)
    assert again.intent == made.intent
    path.desk.restart()
    assert path.legs().remainder(key, limit_micro=101_000_000, **LIMIT).intent == made.intent
    path.desk.end(FIRST)
    assert path.desk.oms.ledger.positions_nano == {"AAPL": 100 * NANO}
    assert len(path.desk.venue.orders(since_ns=0)) == 2


def test_no_remainder_while_another_order_of_the_symbol_works(path: Way) -> None:
    path.desk.market.volume = 1_600.0
    key = path.decide(0, 100, "entry", 100)
    path.desk.clock.sleep_until(CALENDAR.session_open_ns(FIRST))
    path.desk.oms.poll(since_ns=0)
    path.desk.oms.cancel(key, reason="reprice")
    path.desk.oms.poll(since_ns=0)
    path.desk.send(FIRST, leg="other", quantity_nano=NANO)
    with pytest.raises(Refused, match="another order of AAPL"):
        path.legs().remainder(key, limit_micro=101_000_000, **LIMIT)


def test_a_remainder_that_a_halt_kept_back_is_sent_when_it_is_asked_for_again(path: Way) -> None:
    path.desk.market.volume = 1_600.0
    key = path.decide(0, 100, "entry", 100)
    path.desk.clock.sleep_until(CALENDAR.session_open_ns(FIRST))
    path.desk.oms.poll(since_ns=0)
    path.desk.oms.cancel(key, reason="reprice")
    path.desk.oms.poll(since_ns=0)
    gate = path.desk.oms._gate

    def halted(order: Order) -> tuple[str, ...]:
        raise TradingHalted("halted", next_step="resume")

    path.desk.oms._gate = halted
    kept = path.legs().remainder(key, limit_micro=101_000_000, **LIMIT)
    assert kept.state is S.INTENDED
    path.desk.oms._gate = gate
    sent = path.legs().remainder(key, limit_micro=101_000_000, **LIMIT)
    assert (sent.intent, sent.state) == (kept.intent, S.ACCEPTED)


def test_a_decided_change_without_a_first_leg_has_no_next_one(path: Way) -> None:
    """The first leg belongs to the decision's own transaction; nothing here makes up for it."""
    row = {"symbol": "AAPL", "target_shares": 50, "delta_shares": 50}
    decision = {
        "decision_id": "d/1", "account": ACCOUNT, "strategy": "trend", "session": FIRST, "scheduled_ns": 1,
        "snapshot_hash": "s", "model_id": "m", "cost_model_id": "c", "bars_fingerprint": "b", "rows": [row],
    }  # fmt: skip
    path.desk.journal.commit([Event("decision.made", decision)])
    assert path.legs().proceed() == 0
    assert path.of_symbol() == []


def test_no_leg_follows_when_the_position_is_not_what_the_legs_made_it(path: Way) -> None:
    """F12: the next leg is computed from the reconciled ledger; after a split the change is over."""
    path.decide(0, 250, "slice 1", 100)
    path.desk.clock.sleep_until(CALENDAR.session_open_ns(FIRST))
    path.desk.oms.poll(since_ns=0)
    path.desk.oms.books.ledger = type(path.desk.oms.ledger).opening(1)
    assert path.legs().proceed() == 0


@pytest.mark.parametrize("restarted", [False, True])
def test_a_split_between_two_slices_ends_the_change(path: Way, restarted: bool) -> None:
    """F26: nothing was held, so the position alone does not show that the target counts in old shares."""
    path.desk.end(FIRST)
    path.desk.market.splits[SECOND] = {"AAPL": (2, 1)}
    path.decide(0, 350, "slice 1", 100, session=SECOND)
    path.desk.clock.sleep_until(CALENDAR.session_open_ns(SECOND))
    path.desk.oms.poll(since_ns=0)
    assert path.of_symbol() == [("slice 1", "FILLED", 200)]
    if restarted:
        path.desk.restart()
    assert path.desk.oms.ledger.positions_nano == {"AAPL": 200 * NANO}
    assert path.legs(SECOND).proceed() == 0, "350 old shares less 200 new ones"
    assert path.of_symbol() == [("slice 1", "FILLED", 200)]


def test_slices_of_a_decision_after_the_split_follow_one_another(path: Way) -> None:
    path.desk.send(FIRST, leg="held", quantity_nano=10 * NANO)
    path.desk.end(FIRST)
    path.desk.market.splits[SECOND] = {"AAPL": (2, 1)}
    path.desk.go(SECOND)
    path.desk.oms.poll(since_ns=0)
    path.decide(20, 270, "slice 1", 100, session=SECOND)
    path.desk.clock.sleep_until(CALENDAR.session_open_ns(SECOND))
    path.desk.oms.poll(since_ns=0)
    assert path.legs(SECOND).proceed() == 1


@pytest.mark.parametrize("tif", [TimeInForce.DAY, TimeInForce.GTC])
def test_what_an_order_left_before_a_split_is_no_remainder_after_it(path: Way, tif: TimeInForce) -> None:
    """F26: its size or its reference price counts in the shares of another day."""
    limit = {"order_type": OrderType.LIMIT, "limit_micro": 95_000_000, "time_in_force": tif}
    path.desk.send(FIRST, leg="held", quantity_nano=10 * NANO)
    path.desk.clock.sleep_until(CALENDAR.session_open_ns(FIRST))
    path.desk.oms.poll(since_ns=0)  # held from now on: of what is neither held nor ordered nobody tells
    key = path.desk.send(FIRST, **limit)
    path.desk.end(FIRST)
    path.desk.market.splits[SECOND] = {"AAPL": (2, 1)}
    path.desk.go(SECOND)
    path.desk.oms.poll(since_ns=0)
    if tif is TimeInForce.GTC:
        assert path.desk.oms.orders[key].intent.shares == 202
        path.desk.oms.cancel(key, reason="reprice")
        path.desk.oms.poll(since_ns=0)
    before = len(path.desk.oms.orders)
    with pytest.raises(Refused, match="a split of AAPL"):
        path.legs(SECOND).remainder(key, limit_micro=47_000_000, **LIMIT)
    assert len(path.desk.oms.orders) == before
