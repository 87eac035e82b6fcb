"""The whole order path on real sockets: journal, OMS and reconciler here, the venue with its faults there."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.support.alpaca_world import ServedVenue, broker_at
from workbench.adapters.alpaca_stream import AlpacaStream, FrameInbox
from workbench.adapters.calendar import ExchangeCalendar
from workbench.adapters.clock import SimulatedClock
from workbench.adapters.journal import JournalDatabase
from workbench.adapters.venue_server import VenueOptions
from workbench.adapters.venue_server.wire import money
from workbench.bootstrap.venue import sample_market
from workbench.core.ledger import opening_postings
from workbench.core.orders import Order, OrderIntent, OrderState, client_order_id
from workbench.core.types import NANO, OrderType, Side
from workbench.services.listening import Listening
from workbench.services.oms import Oms
from workbench.services.reconciler import Reconciler
from workbench.services.resending import Resender

ACCOUNT, SESSION = "demo", "2013-02-01"
SYMBOLS = ("AAPL", "IBM", "MSFT")
CASH_MICRO = 100_000_000_000
S = OrderState
#: Our states in the words of the venue, for its oracles.
WORDS = {
    S.FILLED: "filled", S.CANCELED: "canceled", S.REJECTED: "rejected", S.EXPIRED: "expired",
    S.ACCEPTED: "new", S.PARTIALLY_FILLED: "partially_filled", S.PENDING_CANCEL: "pending_cancel",
    S.UNKNOWN: "UNKNOWN", S.SENT: "UNKNOWN", S.QUARANTINED: "UNKNOWN",
}  # fmt: skip
#: States that say that the venue has no such order.
NOT_THERE = frozenset({S.INTENDED, S.DENIED, S.EXPIRED_UNSENT, S.DECLINED})


@functools.cache
def calendar() -> ExchangeCalendar:
    return ExchangeCalendar(first="2012-12-03", last="2013-03-29")


@functools.cache
def market() -> Any:
    return sample_market(SYMBOLS)[1]


class Killed(BaseException):
    """The process died here."""


class Line:
    """One account's order path against one loopback venue, which a test may break anywhere.

    `between` holds callables that run inside the next submits, after the request has left and been answered
    (`after`) or before it leaves (`before`).
    """

    def __init__(self, folder: Path, venue: ServedVenue, **broker: Any) -> None:
        self.folder, self.venue, self.hands = folder, venue, venue.hands
        self.clock = SimulatedClock(self.hands.state()["now_ns"])
        self.journal = JournalDatabase(
            f"sqlite:///{folder}/journal.sqlite", anchor_path=folder / "journal.anchor", anchor_key=b"k" * 32,
            config_hash="c" * 64, wall_ns=self.clock.wall_ns,
        )  # fmt: skip
        self.lease = self.journal.acquire_lease(ACCOUNT, "host:boot:1:1", ttl_ns=3_600 * NANO)
        self.broker = broker_at(self.hands, account=ACCOUNT, **({"read_s": 2.0} | broker))
        self.halts: list[str] = []
        self.gate: Callable[[Order], tuple[str, ...]] = lambda order: ()
        self.streams: list[AlpacaStream] = []
        self.faults: list[str] = []
        self.restart()
        self.oms.record_opening("opening", "", opening_postings(CASH_MICRO), "test")
        self.broker.account()
        for symbol in SYMBOLS:
            self.broker._asset(symbol)

    def restart(self, journal: Any = None, listening: Listening | None = None) -> None:
        """Forget everything that is not in the journal, as a new process does."""
        ports: dict[str, Any] = {
            "journal": journal or self.journal, "broker": self.broker, "clock": self.clock,
            "account": ACCOUNT, "lease": lambda: self.lease, "halt": self.halts.append,
        }  # fmt: skip
        self.oms = Oms(gate=lambda order: self.gate(order), listening=listening, **ports)
        self.reconciler = Reconciler(oms=self.oms, **ports)
        self.resender = Resender(
            oms=self.oms, clock=self.clock, session=SESSION, until_ns=calendar().session_close_ns(SESSION)
        )

    def listening(self, stream: AlpacaStream | None, *, silence_s: float = 5.0) -> Listening:
        """What the order path listens with from now on."""
        listening = Listening(
            clock=self.clock, hints=stream, halt=self.halts.append, poll=self.poll, reconcile=self.reconcile,
            silence_s=silence_s,
        )  # fmt: skip
        self.restart(listening=listening)
        return listening

    def listen(self, **limits: Any) -> AlpacaStream:
        base: dict[str, Any] = {"answer_s": 0.4, "ping_s": 5.0, "lag_s": 5.0, "backoff_s": (0.02,)}
        stream = AlpacaStream(
            url=self.hands.stream, key=self.hands.key, secret=self.hands.secret,
            inbox=FrameInbox(self.folder / "frames.jsonl"), **(base | limits),
        )  # fmt: skip
        self.streams.append(stream)
        stream.start()
        return stream

    # --- orders ------------------------------------------------------------------------------------

    def intent(self, leg: str = "entry", **changes: Any) -> OrderIntent:
        """A buy of 10 AAPL that rests far below the market unless it is changed."""
        symbol = changes.get("symbol", "AAPL")
        base = OrderIntent(
            client_order_id(ACCOUNT, "trend", 1, symbol, leg), ACCOUNT, "trend", SESSION, 1, symbol, leg,
            Side.BUY, 10 * NANO, OrderType.LIMIT, 400_000_000, 459_110_000,
        )  # fmt: skip
        return dataclasses.replace(base, **changes)

    def intend(self, leg: str = "entry", **changes: Any) -> str:
        intent = self.intent(leg, **changes)
        self.oms.intend(intent, "d", ())
        return intent.client_order_id

    def send(self, leg: str = "entry", **changes: Any) -> str:
        key = self.intend(leg, **changes)
        self.oms.send(key)
        return key

    def arm(self, fault: str, **scope: Any) -> None:
        self.faults.append(fault)
        self.hands.fault(fault, **scope)

    def state(self, key: str) -> OrderState:
        row = self.journal.rows("orders", client_order_id=key)[0]
        assert row["state"] == self.oms.orders[key].state, "memory and journal disagree"
        return OrderState(row["state"])

    def market_buy(self, leg: str = "entry", **changes: Any) -> str:
        """A buy that the standing quote fills."""
        return self.send(leg, **{"limit_micro": 470_000_000, **changes})

    def poll(self) -> int:
        return self.oms.poll(since_ns=0)

    def reconcile(self) -> tuple[Any, ...]:
        return self.reconciler.reconcile(session=SESSION)

    @contextlib.contextmanager
    def dying(self, *, after: bool) -> Iterator[None]:
        """The next submit kills the process: before its request leaves, or after its answer came."""
        submit = self.broker.submit

        def deadly(intent: OrderIntent) -> Any:
            if after:
                submit(intent)
            raise Killed

        self.broker.submit = deadly  # type: ignore[method-assign]
        with contextlib.suppress(Killed):
            yield
        self.broker.submit = submit  # type: ignore[method-assign]
        self.restart()

    # --- judging -----------------------------------------------------------------------------------

    def at_venue(self) -> list[dict[str, Any]]:
        return list(self.hands.ledger()["orders"])

    def posts(self) -> int:
        return sum(row["endpoint"] == "POST /v2/orders" for row in self.hands.requests())

    def violations(self, *, log: str = "") -> list[str]:
        """Everything that must be true at the end of any test, by the venue's oracles and by our own."""
        frozen = {order.intent.symbol for order in self.oms.unresolved()}
        rows = self.journal.rows("orders", account=ACCOUNT)
        intents = {
            row["client_order_id"]: {
                "status": WORDS.get(OrderState(row["state"]), row["state"]), "symbol": row["symbol"],
                "frozen": row["symbol"] in frozen,
            }
            for row in rows
        }  # fmt: skip
        fills = [
            {"client_order_id": row["client_order_id"], "qty": str(row["quantity_nano"] // NANO),
             "price": money(row["price_micro"])}
            for row in self.journal.rows("fills", account=ACCOUNT)
        ]  # fmt: skip
        texts = [json.dumps([dict(event.payload) for event in self.journal.events()]), log, repr(self.halts)]
        frames = self.folder / "frames.jsonl"
        texts += [frames.read_text()] if frames.exists() else []
        hidden = [self.hands.secret, self.hands.key]
        found = self.hands.oracle(intents=intents, fills=fills, texts=texts, secrets=hidden)
        ledger = self.hands.ledger()
        by_hand = {o["client_order_id"] for o in ledger["orders"] if o["source"] == "human"}
        found = [words for words in found if not any(f"'{key}'" in words for key in by_hand)]
        landed = [order["client_order_id"] for order in ledger["orders"]]
        found += [f"{key} landed twice" for key in set(landed) if landed.count(key) > 1]
        for row in rows:
            if OrderState(row["state"]) in NOT_THERE and row["client_order_id"] in landed:
                found.append(f"{row['client_order_id']} is {row['state']} here and at the venue")
        return found

    def ledger_equal(self) -> bool:
        """Cash and positions here and there, to the micro and the nano share."""
        account = self.broker.account()
        ours = {s: q for s, q in self.oms.ledger.positions_nano.items() if q}
        return (self.oms.ledger.cash_micro, ours) == (account.cash_micro, dict(account.positions_nano))

    def close(self) -> None:
        for stream in self.streams:
            stream.close()
        self.broker.close()
        self.journal.close()


@contextlib.contextmanager
def order_line(folder: Path, *, options: dict[str, Any] | None = None, **broker: Any) -> Iterator[Line]:
    """A line with a venue of its own, in the middle of a session, whose time stands still."""
    chosen = VenueOptions(
        account=ACCOUNT, cash_micro=CASH_MICRO, symbols=SYMBOLS, clock_rate=0.0,
        start_ns=calendar().session_open_ns(SESSION) + 1_800 * NANO, **(options or {}),
    )  # fmt: skip
    venue = ServedVenue(chosen, calendar=calendar(), market=market(), state_path=folder / "venue.jsonl")
    line = Line(folder, venue, **broker)
    try:
        yield line
    finally:
        line.close()
        venue.close()
