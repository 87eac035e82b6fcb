"""The order path against a real journal and the embedded venue, with faults on the wire between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workbench.adapters.calendar import ExchangeCalendar
from workbench.adapters.clock import SimulatedClock
from workbench.adapters.journal import JournalDatabase
from workbench.adapters.simulated_broker import SimulatedBroker
from workbench.core.costs import FeeSchedule
from workbench.core.fills import FillParams
from workbench.core.ledger import opening_postings
from workbench.core.orders import Fill, Order, OrderIntent, OrderState, client_order_id
from workbench.core.ports import Event, LookupResult, SubmitOutcome, SubmitResult
from workbench.core.types import NANO, Bars, OrderType, Side
from workbench.errors import LeaseLost, StorageFailed, TradingHalted
from workbench.services.oms import Oms
from workbench.services.reconciler import Reconciler
from workbench.services.records import intent_payload

ACCOUNT, SESSION = "demo", "2013-02-01"
CASH_MICRO = 1_000_000_000_000
SYMBOLS = ("AAPL", "MSFT")
CALENDAR = ExchangeCalendar(first="2012-12-03", last="2013-03-29")
OPEN_NS = CALENDAR.session_open_ns(SESSION)
CLOSE_NS = CALENDAR.session_close_ns(SESSION)
NEXT_OPEN_NS = CALENDAR.session_open_ns(CALENDAR.next_session(SESSION))
BEFORE_OPEN_NS = OPEN_NS - 900 * NANO


def flat_market(symbols: tuple[str, ...], session: str) -> Bars:
    """Every symbol opens and closes at 100 with a range of one dollar either way."""
    shape = (1, len(symbols))
    return Bars(
        np.array([CALENDAR.session_close_ns(session)]),
        tuple(sorted(symbols)),
        np.full(shape, 100.0),
        np.full(shape, 101.0),
        np.full(shape, 99.0),
        np.full(shape, 100.0),
        np.full(shape, 1e6),
        np.full(shape, True),
    )


class Wire:
    """The venue behind a line that can fail; each fault is used up by one call."""

    def __init__(self, venue: SimulatedBroker) -> None:
        self.venue = venue
        self.submits = 0
        self.on_submit: list[Callable[[OrderIntent], SubmitResult]] = []
        self.on_lookup: list[Callable[[str], LookupResult]] = []
        self.extra_fills: list[Fill] = []

    def submit(self, intent: OrderIntent) -> SubmitResult:
        self.submits += 1
        return self.on_submit.pop(0)(intent) if self.on_submit else self.venue.submit(intent)

    def lookup(self, identity: str) -> LookupResult:
        return self.on_lookup.pop(0)(identity) if self.on_lookup else self.venue.lookup(identity)

    def fills(self, *, since_ns: int) -> tuple[Fill, ...]:
        return (*self.venue.fills(since_ns=since_ns), *self.extra_fills)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.venue, name)

    def landed_then_lost(self, intent: OrderIntent) -> SubmitResult:
        self.venue.submit(intent)
        raise TimeoutError("no reply")

    @staticmethod
    def lost_before_landing(intent: OrderIntent) -> SubmitResult:
        raise ConnectionError("reset")


@dataclass
class World:
    journal: JournalDatabase
    clock: SimulatedClock
    wire: Wire
    oms: Oms
    halts: list[str]
    gate: list[tuple[str, ...] | Exception]
    folder: Path
    lease: Any

    def again(self) -> Oms:
        """What a restarted process would have: the same journal, an empty memory."""
        return build(self.journal, self.wire, self.clock, self.lease, self.halts, self.gate)

    def intend(self, symbol: str = "AAPL", **changes: Any) -> str:
        intent = OrderIntent(
            client_order_id=client_order_id(ACCOUNT, "trend", BEFORE_OPEN_NS, symbol, "entry"),
            account=ACCOUNT,
            strategy="trend",
            session=SESSION,
            scheduled_ns=BEFORE_OPEN_NS,
            symbol=symbol,
            leg="entry",
            side=Side.BUY,
            quantity_nano=100 * NANO,
            order_type=OrderType.LIMIT,
            limit_micro=100_500_000,
            reference_micro=100_000_000,
        )
        intent = replace(intent, **changes)
        self.journal.commit([Event("order.intended", {**intent_payload(intent, "d"), "verdict": "allowed"})])
        self.oms.adopt_intents([intent], {})
        return intent.client_order_id

    def state(self, identity: str) -> OrderState:
        row = self.journal.rows("orders", client_order_id=identity)[0]
        assert row["state"] == self.oms.orders[identity].state, "memory and journal disagree"
        return OrderState(row["state"])

    def sweep(self) -> None:
        self.oms.sweep(
            close_ns=CALENDAR.session_close_ns,
            next_open_ns=lambda session: CALENDAR.session_open_ns(CALENDAR.next_session(session)),
        )

    def at_venue(self) -> list[str]:
        return [order.client_order_id for order in self.wire.venue.orders(since_ns=0)]


def build(journal: Any, wire: Any, clock: Any, lease: Any, halts: list[str], gate: list[Any]) -> Oms:
    def look(order: Order) -> tuple[str, ...]:
        verdict = gate.pop(0) if gate else ()
        if isinstance(verdict, Exception):
            raise verdict
        return verdict

    return Oms(
        journal=journal,
        broker=wire,
        clock=clock,
        account=ACCOUNT,
        lease=lambda: lease,
        gate=look,
        halt=halts.append,
    )


@pytest.fixture
def world(tmp_path: Path) -> Any:
    clock = SimulatedClock(BEFORE_OPEN_NS)
    journal = JournalDatabase(
        f"sqlite:///{tmp_path}/journal.sqlite",
        anchor_path=tmp_path / "journal.anchor",
        anchor_key=b"k" * 32,
        config_hash="c" * 64,
        wall_ns=clock.wall_ns,
    )
    venue = SimulatedBroker(
        tmp_path / "venue.sqlite",
        account=ACCOUNT,
        cash_micro=CASH_MICRO,
        clock=clock,
        calendar=CALENDAR,
        market=flat_market,
        symbols=SYMBOLS,
        fills=FillParams(),
        fees=FeeSchedule(),
    )
    wire = Wire(venue)
    lease = journal.acquire_lease(ACCOUNT, "host:boot:1:1", ttl_ns=3_600 * NANO)
    halts: list[str] = []
    gate: list[Any] = []
    oms = build(journal, wire, clock, lease, halts, gate)
    made = World(journal, clock, wire, oms, halts, gate, tmp_path, lease)
    oms.record_opening("opening", "", opening_postings(CASH_MICRO), "test")
    yield made
    venue.close()
    journal.close()


def test_an_order_is_sent_filled_and_booked_to_the_micro(world: World) -> None:
    identity = world.intend()
    assert world.oms.send(identity).state is OrderState.ACCEPTED
    world.clock.sleep_until(CLOSE_NS)
    assert world.oms.poll(since_ns=0) > 0
    assert world.state(identity) is OrderState.FILLED
    theirs = world.wire.venue.account()
    assert world.oms.ledger.cash_micro == theirs.cash_micro < CASH_MICRO
    assert world.oms.ledger.positions_nano == {"AAPL": 100 * NANO} == dict(theirs.positions_nano)
    assert not world.halts


def test_sent_is_journalled_before_the_request_leaves(world: World) -> None:
    seen = []

    def look(intent: OrderIntent) -> SubmitResult:
        seen.append(world.journal.rows("orders", client_order_id=intent.client_order_id)[0]["state"])
        return world.wire.venue.submit(intent)

    world.wire.on_submit.append(look)
    world.oms.send(world.intend())
    assert seen == ["SENT"]


def test_no_journal_write_no_send(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    identity = world.intend()

    def full(*_: Any, **__: Any) -> Any:
        raise StorageFailed("disk full")

    monkeypatch.setattr(world.journal, "commit", full)
    with pytest.raises(StorageFailed):
        world.oms.send(identity)
    assert world.wire.submits == 0
    assert world.oms.orders[identity].state is OrderState.INTENDED


def test_a_reply_that_is_lost_after_landing_is_adopted_by_the_same_id(world: World) -> None:
    world.wire.on_submit.append(world.wire.landed_then_lost)
    identity = world.intend()
    assert world.oms.send(identity).state is OrderState.ACCEPTED
    assert world.at_venue() == [identity]


def test_a_request_lost_before_landing_stays_unknown_and_goes_again_under_the_same_id(world: World) -> None:
    world.wire.on_submit.append(world.wire.lost_before_landing)
    identity = world.intend()
    assert world.oms.send(identity).state is OrderState.UNKNOWN
    assert world.state(identity) is OrderState.UNKNOWN
    assert [order.intent.client_order_id for order in world.oms.unresolved()] == [identity]
    assert world.oms.send(identity).state is OrderState.ACCEPTED
    assert world.at_venue() == [identity]


def test_no_answer_is_neither_yes_nor_no(world: World) -> None:
    world.wire.on_submit.append(world.wire.landed_then_lost)
    world.wire.on_lookup += [lambda _: LookupResult(False, False, reason="timeout")] * 3
    identity = world.intend()
    assert world.oms.send(identity).state is OrderState.UNKNOWN
    assert world.oms.recover() == ()
    assert world.state(identity) is OrderState.ACCEPTED


def test_a_duplicate_refusal_of_our_own_id_means_that_it_landed(world: World) -> None:
    identity = world.intend()
    world.wire.venue.submit(world.oms.orders[identity].intent)
    assert world.oms.send(identity).state is OrderState.ACCEPTED
    assert world.at_venue() == [identity]


def test_another_order_under_our_id_is_quarantined_and_halts(world: World) -> None:
    identity = world.intend()
    world.wire.venue.submit(replace(world.oms.orders[identity].intent, quantity_nano=7 * NANO))
    assert world.oms.send(identity).state is OrderState.QUARANTINED
    assert len(world.halts) == 1


def test_a_crash_between_sent_and_reply_is_settled_by_look_up_at_the_next_start(world: World) -> None:
    identity = world.intend()

    def die(intent: OrderIntent) -> SubmitResult:
        world.wire.venue.submit(intent)
        raise KeyboardInterrupt  # no handler of the order path may catch this: it stands for SIGKILL

    world.wire.on_submit.append(die)
    with pytest.raises(KeyboardInterrupt):
        world.oms.send(identity)
    world.oms = world.again()
    assert world.state(identity) is OrderState.SENT
    assert world.oms.recover() == ()
    assert world.state(identity) is OrderState.ACCEPTED
    assert world.at_venue() == [identity]


def test_not_accepted_may_be_sent_again_and_refused_may_not(world: World) -> None:
    world.wire.on_submit.append(lambda _: SubmitResult(SubmitOutcome.NOT_ACCEPTED, reason="429"))
    identity = world.intend()
    assert world.oms.send(identity).state is OrderState.NOT_ACCEPTED
    assert world.oms.send(identity).state is OrderState.ACCEPTED
    world.wire.on_submit.append(lambda _: SubmitResult(SubmitOutcome.REFUSED, reason="asset is not tradable"))
    refused = world.intend("MSFT")
    assert world.oms.send(refused).state is OrderState.REJECTED


def test_the_gate_denies_without_sending_and_a_halt_leaves_the_order_intended(world: World) -> None:
    denied = world.intend()
    world.gate.append(("PRICE_STALE",))
    assert world.oms.send(denied).state is OrderState.DENIED
    halted = world.intend("MSFT")
    world.gate.append(TradingHalted("halted"))
    with pytest.raises(TradingHalted):
        world.oms.send(halted)
    assert world.state(halted) is OrderState.INTENDED
    assert world.wire.submits == 0


def test_the_gate_never_ends_an_order_that_may_have_landed(world: World) -> None:
    world.wire.on_submit.append(world.wire.lost_before_landing)
    identity = world.intend()
    world.oms.send(identity)
    world.gate.append(("SESSION_HOURS",))
    assert world.oms.send(identity).state is OrderState.UNKNOWN


def test_a_taken_lease_stops_the_former_holder_before_anything_leaves(world: World) -> None:
    identity = world.intend()
    world.journal.acquire_lease(ACCOUNT, "host:boot:2:2", ttl_ns=NANO, proof_of_death="host:boot:1:1")
    with pytest.raises(LeaseLost):
        world.oms.send(identity)
    assert world.wire.submits == 0


def test_each_execution_is_booked_once_in_every_process(world: World) -> None:
    world.oms.send(world.intend())
    world.clock.sleep_until(CLOSE_NS)
    world.wire.extra_fills = list(world.wire.venue.fills(since_ns=0))  # the venue repeats itself
    world.oms.poll(since_ns=0)
    world.oms = world.again()
    assert world.oms.poll(since_ns=0) == 0
    assert len(world.journal.rows("fills")) == len(world.wire.venue.fills(since_ns=0)) > 0


def execution(world: World, identity: str, **changes: Any) -> Fill:
    usual = Fill("x-1", identity, "AAPL", Side.BUY, 100 * NANO, 100_000_000, 0, OPEN_NS)
    return replace(usual, **changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"quantity_nano": 101 * NANO}, "exceeds the order"),
        ({"price_micro": 100_500_001}, "beyond its limit"),
    ],
)
def test_an_execution_that_may_not_happen_is_booked_and_halts(
    world: World, changes: dict[str, Any], words: str
) -> None:
    identity = world.intend()
    world.oms.send(identity)
    world.wire.extra_fills = [execution(world, identity, **changes)]
    world.oms.poll(since_ns=0)
    assert [row["execution_id"] for row in world.journal.rows("fills")] == ["x-1"]
    assert len(world.halts) == 1
    assert words in world.halts[0]


def test_an_execution_on_the_other_side_is_not_booked_and_halts(world: World) -> None:
    identity = world.intend()
    world.oms.send(identity)
    world.wire.extra_fills = [execution(world, identity, side=Side.SELL)]
    world.oms.poll(since_ns=0)
    assert world.journal.rows("fills") == []
    assert len(world.halts) == 1
    breaks = reconciler(world).reconcile(session=SESSION)  # what was heard and not booked stays a break
    assert "fill_missing_here" in {found.kind for found in breaks}


def test_an_execution_after_the_end_of_its_order_is_booked_and_halts(world: World) -> None:
    identity = world.intend()
    world.oms.send(identity)
    world.wire.venue.cancel(identity)
    world.oms.poll(since_ns=0)
    assert world.state(identity) is OrderState.CANCELED
    world.wire.extra_fills = [execution(world, identity, quantity_nano=NANO)]
    world.oms.poll(since_ns=0)
    assert world.oms.ledger.positions_nano == {"AAPL": NANO}
    assert world.state(identity) is OrderState.CANCELED
    assert len(world.halts) == 1


def test_an_execution_of_an_order_that_is_not_ours_is_not_booked(world: World) -> None:
    world.wire.extra_fills = [execution(world, "somebody-else")]
    assert world.oms.poll(since_ns=0) == 0
    assert world.oms.ledger.positions_nano == {}


def test_unsent_orders_expire_with_their_session_and_unknown_ones_only_after_the_next_open(
    world: World,
) -> None:
    unsent = world.intend()
    world.wire.on_submit.append(world.wire.lost_before_landing)
    unknown = world.intend("MSFT")
    world.oms.send(unknown)
    world.sweep()
    assert world.state(unsent) is OrderState.INTENDED, "its session is not over"
    world.clock.sleep_until(CLOSE_NS + 300 * NANO)
    world.sweep()
    assert world.state(unsent) is OrderState.EXPIRED_UNSENT
    assert world.state(unknown) is OrderState.UNKNOWN
    world.clock.sleep_until(NEXT_OPEN_NS)
    world.wire.on_lookup += [lambda _: LookupResult(False, False, reason="timeout")] * 4
    world.sweep()
    assert world.state(unknown) is OrderState.UNKNOWN, "no answer is no proof"
    world.sweep()
    assert world.state(unknown) is OrderState.EXPIRED_UNSENT


def test_a_cancel_counts_only_when_the_venue_shows_it(world: World) -> None:
    identity = world.intend()
    world.oms.send(identity)
    assert world.oms.cancel(identity, reason="supervisor").state is OrderState.PENDING_CANCEL
    world.oms.poll(since_ns=0)
    assert world.state(identity) is OrderState.CANCELED


def says_nothing_there(_: str) -> LookupResult:
    return LookupResult(False, True, reason="404")


def landed_unseen(world: World) -> str:
    """An order that is at the venue, while a lagging look-up still denies it."""
    world.wire.on_submit.append(world.wire.landed_then_lost)
    world.wire.on_lookup.append(says_nothing_there)
    identity = world.intend()
    assert world.oms.send(identity).state is OrderState.UNKNOWN
    return identity


@pytest.mark.parametrize(
    "answer",
    [
        SubmitResult(SubmitOutcome.NOT_ACCEPTED, reason="429"),
        SubmitResult(SubmitOutcome.REFUSED, reason="insufficient buying power"),
        SubmitResult(SubmitOutcome.UNKNOWN, reason="504"),
    ],
    ids=["429", "refused", "504"],
)
def test_no_answer_to_a_repeated_request_ends_the_first_one(world: World, answer: SubmitResult) -> None:
    identity = landed_unseen(world)
    world.wire.on_submit.append(lambda _: answer)
    world.wire.on_lookup += [says_nothing_there] * 5
    assert world.oms.send(identity).state is OrderState.UNKNOWN
    world.gate.append(("QUOTE_STALE",))
    assert world.oms.send(identity).state is OrderState.UNKNOWN
    world.clock.sleep_until(CLOSE_NS)
    world.sweep()
    assert world.state(identity) is OrderState.UNKNOWN
    world.wire.on_lookup.clear()
    assert world.oms.recover() == ()
    assert world.at_venue() == [identity]


def test_what_the_venue_did_with_an_order_it_said_no_to_is_believed(world: World) -> None:
    def no_but_yes(intent: OrderIntent) -> SubmitResult:
        world.wire.venue.submit(intent)
        return SubmitResult(SubmitOutcome.NOT_ACCEPTED, reason="429")

    world.wire.on_submit.append(no_but_yes)
    refused, other = world.intend(), world.intend("MSFT")
    assert world.oms.send(refused).state is OrderState.NOT_ACCEPTED
    world.oms.send(other)
    world.clock.sleep_until(CLOSE_NS)
    world.oms.poll(since_ns=0)
    assert {world.state(refused), world.state(other)} == {OrderState.FILLED}


def test_an_unknown_order_that_the_venue_lists_is_adopted_by_a_poll(world: World) -> None:
    identity = landed_unseen(world)
    world.oms.poll(since_ns=0)
    assert world.state(identity) is OrderState.ACCEPTED


def test_a_look_up_that_fails_says_nothing(world: World) -> None:
    def fails(_: str) -> LookupResult:
        raise TimeoutError

    world.wire.on_submit.append(world.wire.lost_before_landing)
    world.wire.on_lookup += [fails] * 3
    assert world.oms.send(world.intend()).state is OrderState.UNKNOWN


def test_only_a_person_ends_a_quarantine(world: World) -> None:
    identity = world.intend()
    world.wire.venue.submit(replace(world.oms.orders[identity].intent, quantity_nano=7 * NANO))
    world.oms.send(identity)
    world.oms.recover()
    assert world.state(identity) is OrderState.QUARANTINED


def reconciler(world: World) -> Reconciler:
    return Reconciler(
        journal=world.journal,
        broker=world.wire,
        clock=world.clock,
        account=ACCOUNT,
        oms=world.oms,
        lease=lambda: world.lease,
        halt=world.halts.append,
    )


def test_an_order_sent_after_its_scheduled_time_is_ours_on_the_next_day_too(world: World) -> None:
    identity = world.intend()
    world.clock.sleep_until(OPEN_NS + 600 * NANO)
    world.oms.send(identity)
    world.clock.sleep_until(CLOSE_NS + 300 * NANO)
    assert reconciler(world).reconcile(session=SESSION) == ()
    assert reconciler(world).reconcile(session=SESSION, since_ns=OPEN_NS) == ()


def test_a_break_is_recorded_and_halts(world: World) -> None:
    world.wire.venue.submit(replace(world.oms.orders[world.intend()].intent, client_order_id="by-hand"))
    (found,) = reconciler(world).reconcile(session=SESSION)
    assert found.kind == "order_foreign"
    assert not world.journal.rows("reconciliations")[-1]["clean"]
    assert len(world.halts) == 1
