"""SIGKILL between and inside commands: nothing acknowledged is lost, and the refold is the same venue."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from workbench.adapters.simulated_broker import SimulatedBroker
from workbench.core.costs import FeeSchedule
from workbench.core.fills import FillParams
from workbench.core.orders import OrderIntent
from workbench.core.ports import SubmitOutcome, SubmitResult
from workbench.core.types import DAY_NS, NANO, Bars, OrderType, Side

HOUR = 3_600 * NANO
DAYS = tuple(f"2013-01-{n:02d}" for n in range(1, 29))
ORDERS = 60


class EveryDay:
    """A calendar on which the exchange never rests, 14:00 to 21:00 UTC."""

    def is_session(self, session: str) -> bool:
        return session in DAYS

    def session_open_ns(self, session: str) -> int:
        return (15_705 + int(session[-2:])) * DAY_NS + 14 * HOUR

    def session_close_ns(self, session: str) -> int:
        return self.session_open_ns(session) + 7 * HOUR

    def previous_session(self, session: str) -> str:
        return max(day for day in DAYS if day < session)

    def next_session(self, session: str) -> str:
        return min(day for day in DAYS if day > session)

    def sessions_between(self, first: str, last: str) -> tuple[str, ...]:
        return tuple(day for day in DAYS if first <= day <= last)


class HandClock:
    """Trading time that the test sets."""

    at_ns = 0

    def now_ns(self) -> int:
        return self.at_ns

    def wall_ns(self) -> int:
        return self.at_ns

    def sleep_until(self, at_ns: int) -> None:
        self.at_ns = at_ns


def market(symbols: Sequence[str], session: str) -> Bars:
    base, shape = 20.0 + int(session[-2:]), (1, len(symbols))
    rows = [np.full(shape, value) for value in (base, base + 1.5, base - 1, base + 0.5, 1e5)]
    ends = np.array([EveryDay().session_close_ns(session)])
    return Bars(ends, tuple(sorted(symbols)), *rows, np.ones(shape, dtype=bool))


def open_broker(path: Path) -> tuple[SimulatedBroker, HandClock]:
    clock = HandClock()
    broker = SimulatedBroker(
        path, account="demo", cash_micro=10**10, clock=clock, calendar=EveryDay(), market=market,
        symbols=("AAA", "BBB"), fills=FillParams(), fees=FeeSchedule(),
    )  # fmt: skip
    return broker, clock


def play(broker: SimulatedBroker, clock: HandClock, n: int) -> SubmitResult:
    """Send the n-th order: mostly buys, some sells, some resting limits; three a session."""
    clock.at_ns = EveryDay().session_open_ns(DAYS[2 + n // 3]) - HOUR + n % 3 * 2 * HOUR
    kind = OrderType.LIMIT if n % 5 == 0 else OrderType.MARKET
    order = OrderIntent(
        f"id-{n}", "demo", "trend", DAYS[0], 1, ("AAA", "BBB")[n % 2], "entry",
        Side.SELL if n % 4 == 3 else Side.BUY, (10 + n) * NANO, kind,
        30_000_000 if kind is OrderType.LIMIT else 0, 1,
    )  # fmt: skip
    return broker.submit(order)


def child(path: Path, first: int) -> tuple[int, int]:
    """Start a process that plays on from order `first`; its id, and where it writes each reply."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            broker, clock = open_broker(path)
            for n in range(first, ORDERS):
                os.write(writing, f"{n} {play(broker, clock, n).outcome}\n".encode())
        finally:
            os._exit(0)
    os.close(writing)
    return process, reading


def kill_after(path: Path, first: int, acknowledged: int) -> dict[int, str]:
    """SIGKILL the process as soon as it has acknowledged so many; all replies that ever left it."""
    process, reading = child(path, first)
    heard = b""
    while heard.count(b"\n") < acknowledged and (piece := os.read(reading, 4096)):
        heard += piece
    os.kill(process, signal.SIGKILL)  # it has gone on meanwhile: it dies wherever it is
    while piece := os.read(reading, 4096):
        heard += piece
    os.close(reading)
    os.waitpid(process, 0)
    lines = [line.split() for line in heard.decode().splitlines()]
    return {int(n): outcome for n, outcome in lines}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[int, str], str]:
    """Outcome of every order, and the final digest."""
    broker, clock = open_broker(tmp_path_factory.mktemp("undisturbed") / "venue.sqlite")
    outcomes = {n: str(play(broker, clock, n).outcome) for n in range(ORDERS)}
    assert set(outcomes.values()) == {"accepted", "refused"}
    assert len(broker.fills(since_ns=0)) > 20
    digest = broker.digest()
    broker.close()
    return outcomes, digest


@pytest.mark.parametrize("kills", [(1,), (1, 1, 1), (5, 9, 17), (30, 2, 2), (13, 13, 13, 13), (59,)])
def test_killed_at_any_moment_nothing_acknowledged_is_lost_and_the_end_is_the_same(
    tmp_path: Path, undisturbed: tuple[dict[int, str], str], kills: tuple[int, ...]
) -> None:
    outcomes, digest = undisturbed
    path, seen = tmp_path / "venue.sqlite", {}
    unanswered: set[int] = set()
    for acknowledged in kills:
        first, landed_without_reply = len(seen), len(seen) in unanswered
        heard = kill_after(path, first, acknowledged)
        if landed_without_reply and heard.get(first) == "refused":
            heard[first] = "accepted"  # by the former life: the same id is refused now, as it must be
        seen |= heard
        assert seen == {n: outcomes[n] for n in range(len(seen))}
        broker, clock = open_broker(path)
        stored = [order.client_order_id for order in broker._venue.orders(since_ns=0)]
        accepted = [f"id-{n}" for n, outcome in seen.items() if outcome == "accepted"]
        assert stored[: len(accepted)] == accepted
        assert len(stored) <= len(accepted) + 1  # one may have landed without its reply
        unanswered = {len(seen)} if stored[len(accepted) :] == [f"id-{len(seen)}"] else set()
        broker.close()
    broker, clock = open_broker(path)
    for n in range(len(seen), ORDERS):
        result = play(broker, clock, n)
        landed = result.reason == "client_order_id must be unique" and n == len(seen)
        assert landed or result.outcome == outcomes[n]
    assert broker.digest() == digest
    broker.close()


def test_the_same_id_after_every_kill_never_gives_a_second_order(tmp_path: Path) -> None:
    path = tmp_path / "venue.sqlite"
    for _ in range(4):
        kill_after(path, 0, 3)  # a client that starts over with the same ids each time
    broker, clock = open_broker(path)
    ids = [order.client_order_id for order in broker._venue.orders(since_ns=0)]
    assert len(ids) == len(set(ids)) >= 3
    again = play(broker, clock, 0)
    assert (again.outcome, again.reason) == (SubmitOutcome.REFUSED, "client_order_id must be unique")
    broker.close()
