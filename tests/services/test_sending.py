"""A batch of orders on a real journal and venue: one commit for SENT, a last look before each request."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from order_desk import ACCOUNT, FIRST, Desk, Market, S, make_desk
from places import PostgresForTests

from workbench.core.orders import Order, OrderIntent, OrderState, client_order_id
from workbench.core.ports import LookupResult, SubmitOutcome, SubmitResult
from workbench.core.types import NANO, OrderType, Side
from workbench.errors import IllegalTransition, LeaseLost, OutcomeUnknown, StorageFailed, TradingHalted
from workbench.services import sending
from workbench.services.listening import Listening
from workbench.services.oms import Oms

BATCH = ("AAPL", "MSFT")
HALTED = TradingHalted("halted by hand")


class Line:
    """The venue behind a line that says what it is asked, and what the journal held at that moment."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.venue = desk, desk.venue
        self.submitted: list[tuple[str, dict[str, str]]] = []
        self.answers: list[Callable[[OrderIntent], SubmitResult]] = []

    def submit(self, intent: OrderIntent) -> SubmitResult:
        held = {row["symbol"]: row["state"] for row in self.desk.journal.rows("orders")}
        self.submitted.append((intent.symbol, held))
        return self.answers.pop(0)(intent) if self.answers else self.venue.submit(intent)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.venue, name)


class Hints:
    """A stream that a test puts into trouble; it notes when it was told of an order."""

    def __init__(self, line: Line) -> None:
        self.line, self.generation, self.down = line, 1, ""
        self.told: list[tuple[str, int]] = []
        #: How many requests may be announced before the connection drops.
        self.lasts = 99

    def trouble(self) -> str:
        return self.down

    def silent_s(self) -> float:
        return 0.0

    def reconciled(self, generation: int) -> None:
        pass

    def expect(self, client_order_id: str) -> None:
        self.told.append((client_order_id, len(self.line.submitted)))
        if len(self.told) == self.lasts:
            self.down = "the stream is down"

    def forget(self, client_order_id: str) -> None:
        self.told.append((f"not {client_order_id}", len(self.line.submitted)))


class World:
    """Two intended orders, a gate that a test writes, and a count of the commits."""

    def __init__(self, folder: Path, journal_url: str = "") -> None:
        self.desk = make_desk(folder, Market(), journal_url)
        self.line = Line(self.desk)
        self.looks: list[tuple[str, OrderState]] = []
        #: What the n-th look of a test says; () when nothing is written.
        self.gate: dict[int, tuple[str, ...] | Exception] = {}
        self.seen: Callable[[], None] = lambda: None
        self.commits: list[int] = []
        self.keys: list[str] = []
        self.restart()
        for symbol in BATCH:
            key = client_order_id(ACCOUNT, "trend", 1, symbol, "entry")
            intent = OrderIntent(
                key, ACCOUNT, "trend", FIRST, 1, symbol, "entry", Side.BUY, 10 * NANO, OrderType.MARKET, 0,
                100_000_000,
            )  # fmt: skip
            self.oms.intend(intent, "d", ())
            self.keys.append(key)
        self.commits.clear()

    def restart(self) -> None:
        desk = self.desk

        class Counted:
            def __getattr__(_, name: str) -> Any:
                return getattr(desk.journal, name)

            def commit(_, events: Any, **options: Any) -> Any:
                recorded = desk.journal.commit(events, **options)
                self.commits.append(len(recorded))
                return recorded

        self.hints = Hints(self.line)
        self.listening = Listening(
            clock=desk.clock, hints=self.hints, halt=desk.halts.append, silence_s=5.0,
            poll=lambda: self.oms.poll(since_ns=0), reconcile=lambda: (),
        )  # fmt: skip
        self.oms = Oms(
            journal=Counted(), broker=self.line, clock=desk.clock, account=ACCOUNT, lease=lambda: desk.lease,
            gate=self.look, halt=desk.halts.append, listening=self.listening,
        )  # fmt: skip

    def look(self, order: Order) -> tuple[str, ...]:
        self.looks.append((order.intent.symbol, order.state))
        self.seen()
        said = self.gate.get(len(self.looks), ())
        if isinstance(said, Exception):
            raise said
        return said

    def states(self) -> list[str]:
        held = [self.desk.journal.rows("orders", client_order_id=key)[0]["state"] for key in self.keys]
        assert held == [self.oms.orders[key].state for key in self.keys], "memory and journal disagree"
        return held

    def requested(self) -> list[str]:
        return [symbol for symbol, _ in self.line.submitted]


@pytest.fixture
def world(tmp_path: Path) -> Any:
    world = World(tmp_path)
    yield world
    world.desk.venue.close()
    world.desk.journal.close()


def test_all_of_a_batch_is_durably_sent_before_its_first_request_leaves(world: World) -> None:
    """F03: one commit for both, then each request with its own outcome."""
    sent = world.oms.send_many(world.keys)
    assert [order.state for order in sent] == [S.ACCEPTED, S.ACCEPTED]
    assert world.line.submitted[0] == ("AAPL", {"AAPL": "SENT", "MSFT": "SENT"})
    assert world.line.submitted[1] == ("MSFT", {"AAPL": "ACCEPTED", "MSFT": "SENT"})
    assert world.commits == [2, 1, 1]
    assert world.states() == ["ACCEPTED", "ACCEPTED"]


def test_each_order_is_looked_at_before_the_commit_and_again_before_its_request(world: World) -> None:
    world.oms.send_many(world.keys)
    before, after = world.looks[:2], world.looks[2:]
    assert before == [("AAPL", S.INTENDED), ("MSFT", S.INTENDED)]
    assert after == [("AAPL", S.SENT), ("MSFT", S.SENT)]


def test_an_order_alone_is_looked_at_once_straight_before_it_is_sent(world: World) -> None:
    assert world.oms.send(world.keys[0]).state is S.ACCEPTED
    assert world.looks == [("AAPL", S.INTENDED)]
    assert world.commits == [1, 1]


def test_a_later_order_is_judged_with_the_earlier_ones_as_sent(world: World) -> None:
    """Exposure, rate and duplicates of the controls count what the batch sends before it."""
    found = []
    world.seen = lambda: found.append([world.oms.orders[key].state for key in world.keys])
    world.oms.send_many(world.keys)
    assert found[1] == [S.SENT, S.INTENDED]


def test_what_the_controls_deny_shares_the_commit_and_never_leaves(world: World) -> None:
    world.gate = {1: ("RATE",)}
    world.oms.send_many(world.keys)
    assert world.states() == ["DENIED", "ACCEPTED"]
    assert world.requested() == ["MSFT"]
    assert world.commits[0] == 2
    assert world.oms.orders[world.keys[0]].reason == "RATE"


def test_a_halt_between_two_requests_stops_the_rest_which_may_be_sent_later(world: World) -> None:
    world.gate = {4: HALTED}
    with pytest.raises(TradingHalted, match="by hand"):
        world.oms.send_many(world.keys)
    assert world.states() == ["ACCEPTED", "NOT_ACCEPTED"]
    assert world.requested() == ["AAPL"]
    assert "never requested: halted by hand" in world.oms.orders[world.keys[1]].reason
    assert world.oms.send_many(world.keys[1:])[0].state is S.ACCEPTED


@pytest.mark.parametrize("trouble", [OutcomeUnknown("the venue does not show the account"), ValueError("x")])
def test_a_look_that_fails_takes_the_rest_back_too(world: World, trouble: Exception) -> None:
    world.gate = {4: trouble}
    with pytest.raises(type(trouble)):
        world.oms.send_many(world.keys)
    assert world.states() == ["ACCEPTED", "NOT_ACCEPTED"]
    assert world.requested() == ["AAPL"]


def test_a_halt_before_the_first_request_takes_the_whole_batch_back_in_one_commit(world: World) -> None:
    world.gate = {3: HALTED}
    with pytest.raises(TradingHalted):
        world.oms.send_many(world.keys)
    assert world.states() == ["NOT_ACCEPTED", "NOT_ACCEPTED"]
    assert (world.requested(), world.commits) == ([], [2, 2])


def test_a_denial_just_before_the_request_ends_that_order_and_no_other(world: World) -> None:
    world.gate = {3: ("BUYING_POWER",)}
    world.oms.send_many(world.keys)
    assert world.states() == ["DENIED", "ACCEPTED"]
    assert world.requested() == ["MSFT"]
    assert world.oms.orders[world.keys[0]].reason == "BUYING_POWER"
    steps = [e.payload["state"] for e in world.desk.journal.events(kinds=("order.changed",))]
    assert steps == ["SENT", "SENT", "NOT_ACCEPTED", "DENIED", "ACCEPTED"]


def test_a_halt_while_the_batch_is_still_judged_leaves_it_as_it_was(world: World) -> None:
    world.gate = {2: HALTED}
    with pytest.raises(TradingHalted):
        world.oms.send_many(world.keys)
    assert world.states() == ["INTENDED", "INTENDED"]
    assert (world.requested(), world.commits) == ([], [])


def test_each_id_is_announced_to_the_stream_before_its_request(world: World) -> None:
    world.oms.send_many(world.keys)
    assert world.hints.told == [(world.keys[0], 0), (world.keys[1], 1)]


@pytest.mark.parametrize("outcome", sorted(set(SubmitOutcome) - {SubmitOutcome.ACCEPTED}))
def test_what_the_venue_did_not_take_need_not_be_mentioned(world: World, outcome: SubmitOutcome) -> None:
    world.line.answers = [lambda intent: SubmitResult(outcome, reason="no")]
    world.oms.send(world.keys[0])
    assert world.hints.told == [(world.keys[0], 0), (f"not {world.keys[0]}", 1)]


def test_a_gap_between_two_requests_takes_the_rest_back_and_raises_nothing(world: World) -> None:
    world.hints.lasts = 1
    world.oms.send_many(world.keys)
    assert world.states() == ["ACCEPTED", "NOT_ACCEPTED"]
    assert world.requested() == ["AAPL"]
    assert world.oms.orders[world.keys[1]].reason == "never requested: the stream is down"


def test_an_order_alone_does_not_leave_in_a_gap_either(world: World) -> None:
    world.hints.down = "the stream is down"
    assert world.oms.send(world.keys[0]).state is S.NOT_ACCEPTED
    assert world.requested() == []


def test_while_the_stream_is_down_one_reconciliation_is_good_for_one_request(world: World) -> None:
    world.hints.down = "the stream is down"
    world.listening.catch_up()
    world.oms.send_many(world.keys)
    assert world.states() == ["ACCEPTED", "NOT_ACCEPTED"]
    world.listening.catch_up()
    world.hints.generation = 2  # connected again since: what happened in between was not heard
    assert world.oms.send(world.keys[1]).state is S.NOT_ACCEPTED
    world.listening.catch_up()
    assert world.oms.send(world.keys[1]).state is S.ACCEPTED


def test_no_journal_write_no_request_of_the_batch(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise StorageFailed("disk full")

    monkeypatch.setattr(world.desk.journal, "commit", full)
    with pytest.raises(StorageFailed):
        world.oms.send_many(world.keys)
    monkeypatch.undo()
    assert world.states() == ["INTENDED", "INTENDED"]
    assert world.requested() == []


def test_a_lease_that_is_lost_between_two_requests_stops_them_and_the_next_holder_asks(world: World) -> None:
    def take_over() -> None:
        if len(world.looks) == 4:
            held = world.desk.lease.holder
            world.taken = world.desk.journal.acquire_lease(
                ACCOUNT, "host:boot:2:2", ttl_ns=NANO, proof_of_death=held
            )

    world.seen, world.gate = take_over, {4: LeaseLost("another process took the account")}
    with pytest.raises(LeaseLost):
        world.oms.send_many(world.keys)
    assert world.states() == ["ACCEPTED", "SENT"]
    assert world.requested() == ["AAPL"]
    world.desk.lease = world.taken
    world.gate = {}
    world.restart()
    assert [order.intent.symbol for order in world.oms.recover()] == ["MSFT"]
    assert world.states() == ["ACCEPTED", "UNKNOWN"]
    assert world.oms.send_many(world.keys[1:])[0].state is S.ACCEPTED
    assert world.requested() == ["AAPL", "MSFT"]


def test_the_database_fences_even_when_the_gate_did_not_notice(world: World) -> None:
    world.desk.journal.acquire_lease(
        ACCOUNT, "host:boot:2:2", ttl_ns=NANO, proof_of_death=world.desk.lease.holder
    )
    with pytest.raises(LeaseLost):
        world.oms.send_many(world.keys)
    assert world.states() == ["INTENDED", "INTENDED"]
    assert world.requested() == []


def test_an_order_that_may_be_there_already_is_unknown_and_not_unsent_after_a_halt(world: World) -> None:
    """F05: that this request did not leave proves nothing about the one before it."""

    def lost(intent: OrderIntent) -> SubmitResult:
        world.line.venue.submit(intent)
        return SubmitResult(SubmitOutcome.UNKNOWN, reason="504")

    world.line.lookup = lambda _: LookupResult(False, False, reason="504")
    world.line.answers = [lost]
    assert world.oms.send(world.keys[0]).state is S.UNKNOWN
    del world.line.lookup
    world.looks.clear()
    world.gate = {3: HALTED}
    with pytest.raises(TradingHalted):
        world.oms.send_many(world.keys)
    assert world.states() == ["UNKNOWN", "NOT_ACCEPTED"]
    world.looks.clear()
    world.gate = {3: ("RATE",)}
    world.oms.send_many(world.keys)
    assert world.states() == ["UNKNOWN", "ACCEPTED"]
    assert world.oms.recover() == ()
    assert world.states() == ["ACCEPTED", "ACCEPTED"]


def test_an_order_that_cannot_be_sent_stops_the_batch_before_anything_leaves(world: World) -> None:
    world.oms.send(world.keys[1])
    with pytest.raises(IllegalTransition):
        world.oms.send_many(world.keys)
    assert world.states() == ["INTENDED", "ACCEPTED"]
    assert world.requested() == ["MSFT"]


def test_a_long_batch_is_sent_in_parts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "MOST_AT_ONCE", 1)
    world.oms.send_many(world.keys)
    assert world.commits == [1, 1, 1, 1]
    assert world.line.submitted[0] == ("AAPL", {"AAPL": "SENT", "MSFT": "INTENDED"})
    assert world.states() == ["ACCEPTED", "ACCEPTED"]


@pytest.mark.parametrize("look", [2, 4])
def test_a_database_that_goes_away_in_a_batch_lets_nothing_leave_unrecorded(
    tmp_path: Path, postgres: PostgresForTests, look: int
) -> None:
    """It stops before the commit of SENT, then between two requests; what is known afterwards is enough."""
    world = World(tmp_path, postgres.new_place().url)

    def go_away() -> None:
        if len(world.looks) == look:
            postgres.stop()

    world.seen = go_away
    line, venue = world.line, world.desk.venue
    line.submit = lambda intent: (line.submitted.append((intent.symbol, {})), venue.submit(intent))[1]
    try:
        with pytest.raises(StorageFailed, match=r"went away|cannot be reached"):
            world.oms.send_many(world.keys)
    finally:
        postgres.start()
    world.seen = lambda: None
    assert world.states() == (["INTENDED", "INTENDED"] if look == 2 else ["ACCEPTED", "SENT"])
    assert world.requested() == ([] if look == 2 else ["AAPL", "MSFT"])
    world.restart()
    assert world.oms.recover() == ()
    if look == 2:
        world.oms.send_many(world.keys)
    assert world.states() == ["ACCEPTED", "ACCEPTED"]
    assert world.requested() == ["AAPL", "MSFT"]
    assert world.desk.journal.verify().ok
    world.desk.venue.close()
    world.desk.journal.close()


def test_nothing_to_send_is_nothing_done(world: World) -> None:
    assert world.oms.send_many(()) == ()
    assert world.commits == []
