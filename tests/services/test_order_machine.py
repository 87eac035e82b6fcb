"""Venue, OMS, journal and reconciliation as one state machine, driven at random with faults on the wire.

Every step of the table is taken once on a real journal, every illegal one is refused by table and journal
alike, and after each step cash and shares follow from the executions and corporate events alone. The
machine walks F03-F10 (write ahead, absence, late and repeated fills, conflicts, remainders), F14 (no sale
beyond the position), F34 (limits, repeats, duplicate ids) and F36 (only later events fill).

What must happen happens in stories, which are the same in every run; the random programs may draw
whatever they like, so no number is asked of them.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from order_desk import ACCOUNT, CALENDAR, CASH_MICRO, FIRST, Desk, Market, S, make_desk

from workbench.core.ledger import Ledger
from workbench.core.orders import (
    TERMINAL,
    TIMES_IN_FORCE,
    TRANSITIONS,
    WITH_LIMIT,
    WITH_STOP,
    Order,
    OrderIntent,
    OrderState,
    client_order_id,
)
from workbench.core.ports import Event, LookupResult, SubmitOutcome, SubmitResult
from workbench.core.types import NANO, OrderType, Side, TimeInForce
from workbench.errors import IllegalTransition, JournalConflict

SYMBOLS = ("AAPL", "MSFT")
KINDS = [(kind, tif) for kind in OrderType for tif in sorted(TIMES_IN_FORCE[kind])]
#: Steps seen in all runs, and how many runs there were: the figures of the proof.
WALKED: Counter[tuple[str, str]] = Counter()
COUNTS: Counter[str] = Counter()


class Line:
    """The venue behind a line whose next submit may be lost before or after it landed."""

    def __init__(self, venue: Any) -> None:
        self.venue, self.fault, self.deaf = venue, "", False

    def submit(self, intent: OrderIntent) -> SubmitResult:
        fault, self.fault = self.fault, ""
        if fault == "before":
            raise ConnectionError("reset")
        if fault == "refused":
            return SubmitResult(SubmitOutcome.NOT_ACCEPTED, reason="429")
        result = self.venue.submit(intent)
        if fault == "after":
            raise TimeoutError("no reply")
        return result

    def lookup(self, key: str) -> LookupResult:
        return LookupResult(False, False, reason="504") if self.deaf else self.venue.lookup(key)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.venue, name)


def filled_over_two_days(path: OrderPath) -> None:
    path.buy(1_500, TimeInForce.GTC)  # 1,000 shares a day: a twentieth of the volume
    path.next_open()
    path.end()
    path.next_open()
    path.end()


def rest_expires(path: OrderPath) -> None:
    path.buy(1_500)
    path.next_open()
    path.end()


def rest_is_cancelled(path: OrderPath) -> None:
    path.buy(1_500)
    path.next_open()
    path.cancel_all()
    path.end()


def rest_of_an_immediate_order(path: OrderPath) -> None:
    path.buy(1_500, TimeInForce.IOC)
    path.next_open()
    path.end()


def whole_or_nothing(path: OrderPath) -> None:
    path.buy(1_500, TimeInForce.FOK)
    path.next_open()
    path.end()


def filled_whole(path: OrderPath) -> None:
    path.buy(10)
    path.next_open()
    path.end()


def nobody_sells_so_cheaply(path: OrderPath) -> None:
    path.buy(10, cents=100)
    path.next_open()
    path.end()


def taken_back(path: OrderPath) -> None:
    path.buy(10, cents=100)
    path.cancel_all()
    path.listen("poll")


def sold_without_holding(path: OrderPath) -> None:
    path.submit("AAPL", False, 500_000, (OrderType.MARKET, TimeInForce.DAY), 0, "", False)


def reply_lost(path: OrderPath) -> None:
    path.buy(10, fault="after")
    path.listen("recover")
    path.next_open()
    path.end()


def request_lost(path: OrderPath) -> None:
    path.buy(10, fault="before")
    path.listen("recover")
    path.next_open()
    path.end()


def request_lost_for_ever(path: OrderPath) -> None:
    path.buy(10, fault="before")
    path.next_open()
    path.end()
    path.next_open()
    path.end()  # the sweep after the next open


def not_accepted(path: OrderPath) -> None:
    path.buy(10, fault="refused")
    path.next_open()
    path.end()


Story = tuple[Callable[["OrderPath"], None], list[OrderState]]
#: Directed programs, each with the path of its order.
STORIES: dict[str, Story] = {
    story.__name__: (story, [S.INTENDED, S.SENT, *states])
    for story, states in [
        (filled_whole, [S.ACCEPTED, S.FILLED]),
        (filled_over_two_days, [S.ACCEPTED, S.PARTIALLY_FILLED, S.FILLED]),
        (rest_expires, [S.ACCEPTED, S.PARTIALLY_FILLED, S.EXPIRED]),
        (rest_is_cancelled, [S.ACCEPTED, S.PARTIALLY_FILLED, S.PENDING_CANCEL, S.CANCELED]),
        (rest_of_an_immediate_order, [S.ACCEPTED, S.PARTIALLY_FILLED, S.CANCELED]),
        (whole_or_nothing, [S.ACCEPTED, S.CANCELED]),
        (nobody_sells_so_cheaply, [S.ACCEPTED, S.EXPIRED]),
        (taken_back, [S.ACCEPTED, S.PENDING_CANCEL, S.CANCELED]),
        (sold_without_holding, [S.REJECTED]),
        (reply_lost, [S.UNKNOWN, S.ACCEPTED, S.FILLED]),
        (request_lost, [S.UNKNOWN, S.SENT, S.ACCEPTED, S.FILLED]),
        (request_lost_for_ever, [S.UNKNOWN, S.EXPIRED_UNSENT]),
        (not_accepted, [S.NOT_ACCEPTED, S.EXPIRED_UNSENT]),
    ]
}  # fmt: skip


class OrderPath(RuleBasedStateMachine):
    """One desk over a few sessions."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.made = 0
        self.session, self.is_open = FIRST, False
        COUNTS["runs"] += 1

    @initialize()
    def begin(self) -> None:
        self.desk: Desk = make_desk(self.folder, Market(volume=20_000.0))
        self.line = self.desk.broker = Line(self.desk.venue)
        self.desk.restart()

    def teardown(self) -> None:
        if hasattr(self, "desk"):
            self.check_paths()
            assert self.desk.journal.verify().ok
            self.desk.venue.close()
            self.desk.journal.close()
        shutil.rmtree(self.folder)

    # --- what people and machines do ---------------------------------------------------------------

    def intent(self, symbol: str, buys: bool, shares: int, kind: Any, cents: int) -> OrderIntent:
        order_type, tif = kind
        self.made += 1
        now = self.desk.clock.now_ns()
        price = 10_000 * cents
        return OrderIntent(
            client_order_id(ACCOUNT, "trend", now, symbol, f"slice {self.made}"), ACCOUNT, "trend",
            self.session, now, symbol, f"slice {self.made}", Side.BUY if buys else Side.SELL, shares * NANO,
            order_type, price if order_type in WITH_LIMIT else 0, 100_000_000, time_in_force=tif,
            stop_micro=price if order_type in WITH_STOP else 0,
        )  # fmt: skip

    @rule(
        symbol=st.sampled_from(SYMBOLS), buys=st.booleans(), shares=st.integers(1, 2_000),
        kind=st.sampled_from(KINDS), cents=st.integers(9_800, 10_200),
        fault=st.sampled_from(["", "", "before", "after", "refused"]), deaf=st.booleans(),
    )  # fmt: skip
    def send(
        self, symbol: str, buys: bool, shares: int, kind: Any, cents: int, fault: str, deaf: bool
    ) -> None:
        self.submit(symbol, buys, shares, kind, cents, fault, deaf)

    def submit(
        self, symbol: str, buys: bool, shares: int, kind: Any, cents: int, fault: str, deaf: bool
    ) -> None:
        intent = self.intent(symbol, buys, shares, kind, cents)
        taken = any(o.intent.symbol == symbol and o.state not in TERMINAL for o in self.orders())
        try:
            self.desk.oms.intend(intent, "d", ())
        except JournalConflict:
            assert taken, "the journal refused the only order of its symbol"
            return
        assert not taken, "two unfinished orders of one symbol"
        COUNTS["orders"] += 1
        self.line.fault, self.line.deaf = fault, deaf and fault in ("before", "after")
        order = self.desk.oms.send(intent.client_order_id)
        self.line.deaf = False
        assert order.state is not S.SENT
        if fault in ("before", "after") and deaf:
            assert order.state is S.UNKNOWN

    @rule(symbol=st.sampled_from(SYMBOLS), kind=st.sampled_from(KINDS))
    def trade(self, symbol: str, kind: Any) -> None:
        """A plain order that can be filled: sell what is held, otherwise buy."""
        held = self.desk.venue.account().positions_nano.get(symbol, 0) // NANO
        last = int(self.desk.venue.quotes((symbol,)).bid_micro[0]) // 10_000 + 5
        self.submit(symbol, not held, held or 300, kind, last, "", False)

    @rule(how=st.sampled_from(["poll", "recover", "crash"]))
    def listen(self, how: str) -> None:
        if how == "poll":
            self.desk.oms.poll(since_ns=0)
        elif how == "crash":
            before = dict(self.desk.oms.orders)
            self.desk.restart()
            assert self.desk.oms.orders == before
        else:
            for order in self.desk.oms.recover():
                assert self.desk.venue.lookup(order.intent.client_order_id).found is False
                if order.intent.session == self.session:
                    self.desk.oms.send(order.intent.client_order_id)  # the same id again

    @rule(name=st.sampled_from(sorted(STORIES)))
    def tell(self, name: str) -> None:
        """A directed program among the random steps, where it can begin: market closed, AAPL free."""
        if not self.is_open and all(o.state in TERMINAL for o in self.orders() if o.intent.symbol == "AAPL"):
            STORIES[name][0](self)

    def next_open(self) -> None:
        self.turn(drop=0, ratio=None, pays=False, halted=False)
        self.listen("poll")

    def buy(self, shares: int, tif: TimeInForce = TimeInForce.DAY, fault: str = "", cents: int = 0) -> None:
        kind = (OrderType.LIMIT if cents else OrderType.MARKET, tif)
        self.submit("AAPL", True, shares, kind, cents, fault, bool(fault))

    def cancel_all(self) -> None:
        for order in self.orders():
            if order.state in (S.ACCEPTED, S.PARTIALLY_FILLED):
                self.desk.oms.cancel(order.intent.client_order_id, reason="test")

    @rule(data=st.data(), really=st.sampled_from([True, False, False, False]))
    def cancel(self, data: Any, really: bool) -> None:
        open_ = [o for o in self.orders() if o.state in (S.ACCEPTED, S.PARTIALLY_FILLED)]
        if open_ and really:
            chosen = data.draw(st.sampled_from(sorted(open_, key=lambda o: o.intent.client_order_id)))
            self.desk.oms.cancel(chosen.intent.client_order_id, reason="test")

    @rule(
        drop=st.integers(0, 3), ratio=st.sampled_from([None, None, (2, 1), (3, 2), (1, 2)]),
        pays=st.booleans(), halted=st.booleans(),
    )  # fmt: skip
    def turn(self, drop: int, ratio: Any, pays: bool, halted: bool) -> None:
        """The market opens, or closes and the day rolls."""
        if self.is_open:
            self.end()
            return
        market = self.desk.market
        market.low = 1.0 - drop / 100.0
        if ratio:
            market.splits[self.session] = {"AAPL": ratio}
        if pays:
            market.dividends[self.session] = {"MSFT": 123_457}
        if halted:
            market.halted[self.session] = {"MSFT"}
        self.desk.clock.sleep_until(CALENDAR.session_open_ns(self.session) + 60 * NANO)
        self.is_open = True

    def end(self) -> None:
        self.desk.clock.sleep_until(CALENDAR.session_close_ns(self.session) + NANO)
        self.desk.oms.poll(since_ns=0)
        self.desk.sweep()
        for order in self.orders():
            gtc = order.intent.time_in_force is TimeInForce.GTC
            assert order.state in (*TERMINAL, S.UNKNOWN) or gtc, f"{order.state} survives the close"
        breaks = self.desk.reconciler.reconcile(session=self.session)
        assert breaks == (), breaks
        assert self.desk.halts == []
        COUNTS["clean reconciliations"] += 1
        self.session, self.is_open = CALENDAR.next_session(self.session), False

    @rule(data=st.data())
    def refuse(self, data: Any) -> None:
        """A step outside the table is refused by the journal, and nothing is written."""
        orders = sorted(self.orders(), key=lambda o: o.intent.client_order_id)
        if not orders:
            return
        order = data.draw(st.sampled_from(orders))
        illegal = sorted(set(OrderState) - TRANSITIONS[order.state] - {order.state})
        state = data.draw(st.sampled_from(illegal))
        payload = {"client_order_id": order.intent.client_order_id, "state": str(state), "at_ns": 1}
        events = len(self.desk.journal.events())
        with pytest.raises(IllegalTransition):
            self.desk.journal.commit([Event("order.changed", payload)])
        assert len(self.desk.journal.events()) == events
        COUNTS["illegal steps refused"] += 1

    # --- what holds after every step ---------------------------------------------------------------

    def orders(self) -> list[Order]:
        return list(self.desk.oms.orders.values())

    @invariant()
    def cash_and_shares_are_conserved(self) -> None:
        if not hasattr(self, "desk"):
            return
        fills = self.desk.venue.fills(since_ns=0)
        told = self.desk.venue.activities(since_ns=0)
        account = self.desk.venue.account()
        cash = CASH_MICRO + sum(a.amount_micro for a in told)
        cash -= sum(int(f.side) * f.quantity_nano // NANO * f.price_micro + f.fee_micro for f in fills)
        assert account.cash_micro == cash
        shares: Counter[str] = Counter()
        for change in (*((f.symbol, int(f.side) * f.quantity_nano) for f in fills), *(
            (a.symbol, a.quantity_nano) for a in told
        )):  # fmt: skip
            shares[change[0]] += change[1]
        assert {s: q for s, q in shares.items() if q} == dict(account.positions_nano)
        assert all(quantity > 0 for quantity in account.positions_nano.values())
        COUNTS["cash and shares conserved"] += 1

    @invariant()
    def the_books_are_the_fold_of_the_journal(self) -> None:
        if hasattr(self, "desk"):
            ledger: Ledger = self.desk.oms.ledger
            assert sum(amount for amount, _ in ledger.balances.values()) == 0
            rows = self.desk.journal.rows("orders")
            assert {r["client_order_id"]: r["state"] for r in rows} == {
                o.intent.client_order_id: str(o.state) for o in self.orders()
            }

    def check_paths(self) -> None:
        """No state path outside the table; no fill beyond the order's terms at the time."""
        terms: dict[str, dict[str, Any]] = {}
        for event in self.desk.journal.events():
            p = event.payload
            key = p.get("client_order_id", "")
            if event.kind == "order.intended":
                terms[key] = {**p, "state": "INTENDED", "filled": 0}
            elif event.kind == "order.adjusted":
                terms[key] |= {name: p[name] for name in ("quantity_nano", "limit_micro", "stop_micro")}
                COUNTS["orders adjusted"] += 1
            elif event.kind == "order.changed":
                before, after = OrderState(terms[key]["state"]), OrderState(p["state"])
                assert after is before or after in TRANSITIONS[before]
                WALKED[before, after] += after is not before
                COUNTS["steps inside the table"] += 1
                terms[key]["state"] = p["state"]
            elif event.kind == "fill.booked":
                order = terms[key]
                order["filled"] += p["quantity_nano"]
                assert order["filled"] <= order["quantity_nano"]
                sign = 1 if p["side"] == "buy" else -1
                assert not order["limit_micro"] or sign * (p["price_micro"] - order["limit_micro"]) <= 0
                assert p["filled_at_ns"] > order["scheduled_ns"]  # F36: only a later event fills
                COUNTS["fills within limit and size"] += 1
            COUNTS["events"] += 1


def play(name: str) -> None:
    """One directed program on a desk of its own, every invariant looked at after it."""
    path = OrderPath()
    path.begin()
    tell, states = STORIES[name]
    before = Counter(WALKED)
    tell(path)
    path.cash_and_shares_are_conserved()
    path.the_books_are_the_fold_of_the_journal()
    path.teardown()
    walked = WALKED - before
    assert set(pairwise(states)) <= set(walked), f"{name} walked {set(walked)}"
    COUNTS["stories"] += 1


def run(examples: int, steps: int) -> None:
    """All stories, then random programs; prints what was counted."""
    WALKED.clear()
    COUNTS.clear()
    for name in sorted(STORIES):
        play(name)
    chosen = settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    run_state_machine_as_test(OrderPath, settings=chosen)  # type: ignore[arg-type]
    walked = {f"{before} -> {after}": n for (before, after), n in sorted(WALKED.items())}
    print(json.dumps({"counts": dict(sorted(COUNTS.items())), "walked": walked}, indent=1))
    assert set(WALKED) >= EVERY_DAY | RARE, (EVERY_DAY | RARE) - set(WALKED)
    assert set(WALKED) <= {(before, after) for before in TRANSITIONS for after in TRANSITIONS[before]}


#: Steps that this venue (no rejection after acceptance, no replacement, immediate answers) can show.
EVERY_DAY = {
    (S.INTENDED, S.SENT), (S.SENT, S.ACCEPTED), (S.SENT, S.UNKNOWN), (S.SENT, S.REJECTED),
    (S.SENT, S.NOT_ACCEPTED), (S.ACCEPTED, S.FILLED), (S.ACCEPTED, S.PARTIALLY_FILLED),
    (S.ACCEPTED, S.PENDING_CANCEL), (S.ACCEPTED, S.EXPIRED), (S.ACCEPTED, S.CANCELED),
    (S.PENDING_CANCEL, S.CANCELED),
}  # fmt: skip
RARE = {
    (S.UNKNOWN, S.ACCEPTED), (S.UNKNOWN, S.SENT), (S.UNKNOWN, S.EXPIRED_UNSENT),
    (S.NOT_ACCEPTED, S.EXPIRED_UNSENT), (S.PARTIALLY_FILLED, S.FILLED),
    (S.PARTIALLY_FILLED, S.PENDING_CANCEL), (S.PARTIALLY_FILLED, S.CANCELED),
    (S.PARTIALLY_FILLED, S.EXPIRED),
}  # fmt: skip


def test_stories_and_random_order_paths_keep_every_rule() -> None:
    run(examples=30, steps=30)


@pytest.mark.prove
def test_many_random_order_paths_keep_every_rule() -> None:
    run(examples=300, steps=60)


def test_every_step_of_the_table_is_taken_and_every_other_refused_by_journal_and_fold(tmp_path: Path) -> None:
    """F07, F08: all pairs of states on a real journal, the order brought to the first by legal steps."""
    desk = make_desk(tmp_path, Market())
    taken = refused = 0
    for n, (before, after) in enumerate(product(OrderState, OrderState)):
        if before is after:
            continue
        key = _bring(desk, n, before)
        filled = 10 * NANO if after is S.FILLED else None
        step = {"client_order_id": key, "state": str(after), "at_ns": 9, "filled_nano": filled}
        if after in TRANSITIONS[before]:
            if (before, after) == (S.AWAITING_APPROVAL, S.SENT):
                with pytest.raises(JournalConflict, match="nobody approved"):
                    desk.journal.commit([Event("order.changed", step)])
                desk.journal.commit(_approved(key))
            desk.journal.commit([Event("order.changed", step)])
            taken += 1
        else:
            with pytest.raises(IllegalTransition):
                desk.journal.commit([Event("order.changed", step)])
            refused += 1
    others = sum(len(following - {state}) for state, following in TRANSITIONS.items())
    assert (taken, refused) == (others, 17 * 16 - others)
    assert desk.journal.verify().ok
    desk.venue.close()
    desk.journal.close()


def _approved(key: str) -> list[Event]:
    """The request for an approval of that order, and the answer."""
    about = {"approval_id": key, "account": ACCOUNT, "bound_hash": "h"}
    asked = {**about, "kind": "order", "under": "c", "asked_wall_ns": 1, "expires_wall_ns": 9, "detail": {}}
    said = {"verdict": "approved", "person": "ann", "reason": "seen", "nonce": "", "decided_wall_ns": 2}
    ann = {"person": "ann", "role": "approver", "passphrase_hash": ""}
    return [
        Event("person.added", ann), Event("approval.requested", asked),
        Event("approval.decided", {**about, **said}),
    ]  # fmt: skip


def _bring(desk: Desk, n: int, state: OrderState) -> str:
    """A new order in that state, by the shortest legal way."""
    ways: dict[OrderState, tuple[OrderState, ...]] = {S.INTENDED: ()}
    queue = [S.INTENDED]
    for at in queue:
        for following in sorted(TRANSITIONS[at]):
            if following not in ways:
                ways[following] = (*ways[at], following)
                queue.append(following)
    assert set(ways) == set(OrderState), "a state that no order can reach"
    intent = OrderIntent(
        client_order_id(ACCOUNT, "trend", n, f"S{n}", "entry"), ACCOUNT, "trend", FIRST, n, f"S{n}", "entry",
        Side.BUY, 10 * NANO, OrderType.MARKET, 0, 1,
    )  # fmt: skip
    desk.oms.intend(intent, "d", ())
    events = [
        Event(
            "order.changed",
            {
                "client_order_id": intent.client_order_id, "state": str(step), "at_ns": 9,
                "filled_nano": 10 * NANO if step is S.FILLED else None,
            },
        )
        for step in ways[state]
    ]  # fmt: skip
    if events:
        desk.journal.commit(events)
    return intent.client_order_id
