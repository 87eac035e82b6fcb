"""An order path to play with: real journal, embedded venue and a market that the test writes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from workbench.adapters.calendar import ExchangeCalendar
from workbench.adapters.clock import SimulatedClock
from workbench.adapters.journal import JournalDatabase
from workbench.adapters.simulated_broker import SimulatedBroker
from workbench.core.costs import FeeSchedule
from workbench.core.fills import FillParams
from workbench.core.ledger import opening_postings
from workbench.core.orders import OrderIntent, OrderState, client_order_id
from workbench.core.types import NANO, Bars, OrderType, Side
from workbench.services.oms import Oms
from workbench.services.reconciler import Reconciler

ACCOUNT = "demo"
CASH_MICRO = 1_000_000_000_000
SYMBOLS = ("AAPL", "MSFT")
CALENDAR = ExchangeCalendar(first="2012-11-01", last="2013-12-31")
FIRST, SECOND, THIRD = "2013-02-01", "2013-02-04", "2013-02-05"
S = OrderState


@dataclass
class Market:
    """Flat prices at 100 until a split divides them; a symbol in `halted` has no bar that session."""

    splits: dict[str, dict[str, tuple[int, int]]] = field(default_factory=dict)
    dividends: dict[str, dict[str, int]] = field(default_factory=dict)
    halted: dict[str, set[str]] = field(default_factory=dict)
    low: float = 0.99
    volume: float = 1e6

    def __call__(self, symbols: tuple[str, ...], session: str) -> Bars:
        names = tuple(sorted(symbols))
        price = np.full((1, len(names)), 100.0)
        for day, ratios in self.splits.items():
            for symbol, (new, old) in ratios.items():
                if day <= session and symbol in names:
                    price[0, names.index(symbol)] *= old / new
        there = np.array([[symbol not in self.halted.get(session, set()) for symbol in names]])
        return Bars(
            np.array([CALENDAR.session_close_ns(session)]), names, price, price * 1.01, price * self.low,
            price, np.full(price.shape, self.volume), there,
        )  # fmt: skip


@dataclass
class Desk:
    journal: JournalDatabase
    clock: SimulatedClock
    venue: SimulatedBroker
    market: Market
    lease: Any
    halts: list[str]
    broker: Any = None

    def __post_init__(self) -> None:
        self.broker = self.venue
        self.restart()

    def restart(self) -> None:
        """Forget everything that is not in the journal."""
        ports: dict[str, Any] = {
            "journal": self.journal, "broker": self.broker, "clock": self.clock, "account": ACCOUNT,
            "lease": lambda: self.lease, "halt": self.halts.append,
        }  # fmt: skip
        self.oms = Oms(gate=lambda order: (), **ports)
        self.reconciler = Reconciler(oms=self.oms, **ports)

    def send(self, session: str, leg: str = "entry", **changes: Any) -> str:
        key = client_order_id(ACCOUNT, "trend", 1, "AAPL", leg)
        base: dict[str, Any] = {
            "side": Side.BUY, "quantity_nano": 101 * NANO, "order_type": OrderType.MARKET, "limit_micro": 0,
            "symbol": "AAPL", "reference_micro": 100_000_000,
        }  # fmt: skip
        scheduled = self.clock.now_ns()
        intent = OrderIntent(
            client_order_id=key, account=ACCOUNT, strategy="trend", session=session, scheduled_ns=scheduled,
            leg=leg, **(base | changes),
        )  # fmt: skip
        self.oms.intend(intent, "d", ())
        self.oms.send(key)
        return key

    def state(self, key: str) -> OrderState:
        row = self.journal.rows("orders", client_order_id=key)[0]
        assert row["state"] == self.oms.orders[key].state, "memory and journal disagree"
        return OrderState(row["state"])

    def go(self, session: str, *, minutes_before_open: int = 30) -> None:
        self.clock.sleep_until(CALENDAR.session_open_ns(session) - minutes_before_open * 60 * NANO)

    def sweep(self) -> tuple[Any, ...]:
        return self.oms.sweep(
            close_ns=CALENDAR.session_close_ns,
            next_open_ns=lambda session: CALENDAR.session_open_ns(CALENDAR.next_session(session)),
        )

    def end(self, session: str) -> None:
        """Let the session pass and compare everything, in this process and in a new one."""
        self.clock.sleep_until(CALENDAR.session_close_ns(session) + NANO)
        assert self.reconciler.reconcile(session=session) == ()
        before = (dict(self.oms.orders), self.oms.ledger)
        self.restart()
        assert (self.oms.orders, self.oms.ledger) == before
        assert self.reconciler.reconcile(session=session) == ()


def make_desk(folder: Path, market: Market, journal_url: str = "", *, first: str = FIRST) -> Desk:
    clock = SimulatedClock(CALENDAR.session_open_ns(first) - 1_800 * NANO)
    journal = JournalDatabase(
        journal_url or f"sqlite:///{folder}/journal.sqlite", anchor_path=folder / "journal.anchor",
        anchor_key=b"k" * 32, config_hash="c" * 64, wall_ns=clock.wall_ns,
    )  # fmt: skip
    venue = SimulatedBroker(
        folder / "venue.sqlite", account=ACCOUNT, cash_micro=CASH_MICRO, clock=clock, calendar=CALENDAR,
        market=market, symbols=SYMBOLS, fills=FillParams(), fees=FeeSchedule(),
        splits=lambda session: market.splits.get(session, {}),
        dividends=lambda session: market.dividends.get(session, {}),
    )  # fmt: skip
    lease = journal.acquire_lease(ACCOUNT, "host:boot:1:1", ttl_ns=3_600 * NANO)
    desk = Desk(journal, clock, venue, market, lease, [])
    desk.oms.record_opening("opening", "", opening_postings(CASH_MICRO), "test")
    return desk
