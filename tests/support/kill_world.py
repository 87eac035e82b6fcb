"""A desk at a loopback venue with many open orders, and a loop in another process that goes on sending.

``python kill_world.py CONFIG COUNT`` is that loop: it sends COUNT orders through the order path, prints
"ready", and then goes on sending, one order after the other, until a line comes from standard input: it books
what came of its orders and begins anew. Each order is one share of a symbol of its own, far below the market.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
import queue
import select
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from tests.support.alpaca_world import Prices, ServedVenue
from tests.support.loopback_venue import VenueHands
from tests.support.order_desk import CALENDAR, Market
from workbench.adapters.kernel_guard import dead_holder, process_holder
from workbench.adapters.venue_server import VenueOptions
from workbench.bootstrap import admin
from workbench.bootstrap.desk import Desk, open_journal
from workbench.bootstrap.permission import desk_supervision, register_desk
from workbench.bootstrap.venues import open_venue
from workbench.config import DEFAULT_TOML, Settings, load_settings
from workbench.core.ledger import opening_postings
from workbench.core.orders import OrderIntent, client_order_id
from workbench.core.types import NANO, OrderType, Side
from workbench.errors import WorkbenchError
from workbench.services.authority import Authority
from workbench.services.last_look import LastLook
from workbench.services.oms import Oms
from workbench.services.people import People

ROOT = Path(__file__).resolve().parents[2]
SESSION = "2013-02-01"
ACCOUNT = "demo"
MANY = tuple(f"S{number:03d}" for number in range(900))
WHO = {"person": "ada", "reason": "checked"}


def venue_of_many(folder: Path, **options: Any) -> ServedVenue:
    """A venue of 900 symbols at 100 dollars whose clock runs with the wall clock's speed."""
    chosen = VenueOptions(
        account=ACCOUNT, cash_micro=100_000_000_000_000, symbols=MANY, matching="quotes",
        start_ns=CALENDAR.session_open_ns(SESSION) + 1_800 * NANO, **{"clock_rate": 1.0, **options},
    )  # fmt: skip
    venue = ServedVenue(
        chosen, calendar=CALENDAR, market=Prices(bars=Market()), state_path=folder / "v.jsonl"
    )
    door = venue._started["server"].door
    record = door.record

    def stamped(call: Any, status: int, started: float, fault: str) -> None:
        """The log of the venue, with the wall-clock time at which the request came in."""
        record(call, status, started, fault)
        door.requests[-1]["came_ns"] = time.time_ns() - int((time.monotonic() - started) * 1e9)

    door.record = stamped
    return venue


class VenueApart:
    """The venue of many in a process of its own, so that nobody here slows it down."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__)), "venue", str(folder)],
            env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, bufsize=1,
        )  # fmt: skip
        self.hands = VenueHands(json.loads(self._said()))

    def _said(self) -> str:
        assert self._process.stdout is not None
        waiting, _, _ = select.select([self._process.stdout], [], [], 120)
        assert waiting, "the venue says nothing"
        return self._process.stdout.readline()

    def limit(self, per_minute: int) -> None:
        """From now on the venue refuses more requests a minute than this."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{per_minute}\n")
        assert self._said()

    def close(self) -> None:
        self.hands.close()
        self._process.kill()
        self._process.communicate()


def serve(folder: Path) -> None:
    """Be that process: addresses first, then a new limit for each line of standard input."""
    venue = venue_of_many(folder)
    server = venue._started["server"]
    print(json.dumps(venue.hands.addresses), flush=True)
    for line in iter(sys.stdin.readline, ""):
        server.venue.options = dataclasses.replace(server.venue.options, rate_limit_per_minute=int(line))
        server.door._tokens = float(line)
        print("done", flush=True)
    os._exit(0)


def desk_at(
    folder: Path, venue: ServedVenue | VenueApart | None, *, journal_url: str = "", per_minute: int = 150
) -> Settings:
    """A desk of that venue (None = the embedded one) which a person has just resumed."""
    folder.mkdir(parents=True, exist_ok=True)
    text = DEFAULT_TOML.replace("requests_per_minute = 150", f"requests_per_minute = {per_minute}", 1)
    if venue is not None:
        hands = venue.hands
        os.environ["WORKBENCH_SECRETS__VENUE_KEY"] = hands.key
        os.environ["WORKBENCH_SECRETS__VENUE_SECRET"] = hands.secret
        head, _, tail = text.partition("[venue]")
        for key, value in {"broker": "alpaca", "url": hands.rest}.items():
            tail = tail.replace(f'\n{key} = ""', f'\n{key} = "{value}"', 1)
        text = head.replace('mode = "replay"', 'mode = "paper"') + "[venue]" + tail
    if journal_url:
        head, _, tail = text.partition("[journal]")
        text = head + "[journal]" + tail.replace('\nurl = ""', f'\nurl = "{journal_url}"', 1)
    config = folder / "workbench.toml"
    config.write_text(text)
    settings = admin.init(config)
    with open_journal(settings, read_only=False) as journal:
        People(journal).add("ada", role="operator")
        People(journal).add("bob", role="approver")
        People(journal).add("visitor", role="viewer")
    arm(settings)
    return settings


def arm(settings: Settings) -> None:
    """Make the account ACTIVE on a person's word, as `resume` does once everything is reconciled."""
    with open_journal(settings, read_only=False) as journal:
        register_desk(settings, journal)
        supervision = desk_supervision(settings, journal)
        supervision.resume(**WHO, code_hash="h", after_epoch=supervision.permission().epoch)


def identity(number: int, leg: str = "entry") -> str:
    return client_order_id(ACCOUNT, "trend", 1, MANY[number], leg)


def intent_of(number: int, leg: str = "entry", **changes: Any) -> OrderIntent:
    return OrderIntent(
        identity(number, leg), ACCOUNT, "trend", SESSION, 1, MANY[number], leg, Side.BUY,
        changes.get("shares", 1) * NANO, OrderType.LIMIT, changes.get("limit_micro", 50_000_000), 100_000_000,
    )  # fmt: skip


class OrderPath:
    """OMS with the real last look, journal, lease and broker of a desk."""

    def __init__(self, settings: Settings, *, holder: str = "", take: bool = True) -> None:
        self.settings, desk = settings, Desk(settings)
        self.journal = open_journal(settings, read_only=False)
        self.link = open_venue(settings, desk, start_ns=0)
        self.supervision = desk_supervision(settings, self.journal)
        self.authority = Authority(
            journal=self.journal, clock=self.link.clock, account=ACCOUNT, ttl_s=settings.lease.ttl_s,
            code_hash="h", holder=holder or process_holder(), stop_reason=str, ticket_redeemed=True,
        )  # fmt: skip
        if take:
            self.authority.acquire(is_dead=dead_holder)
            self._build()

    def steal(self) -> None:
        """Take the lease from whoever holds it, and forget everything that is not in the journal."""
        self.authority.acquire(is_dead=lambda holder: True)
        self._build()

    def _build(self) -> None:
        gate = LastLook(
            supervision=self.supervision, authority=self.authority, session=SESSION,
            ledger=lambda: self.oms.ledger, controls=lambda order: (),
        )  # fmt: skip
        self.oms = Oms(
            journal=self.journal, broker=self.link.broker, clock=self.link.clock, account=ACCOUNT,
            lease=self.authority.lease, gate=gate, halt=lambda reason: None,
        )  # fmt: skip
        if not self.oms.ledger.cash_micro:
            self.oms.record_opening("opening", "", opening_postings(100_000_000_000_000), "test")

    def send(self, *numbers: int, leg: str = "entry") -> tuple[Any, ...]:
        for number in numbers:
            if identity(number, leg) not in self.oms.orders:
                self.oms.intend(intent_of(number, leg), "d", ())
        return self.oms.send_many([identity(number, leg) for number in numbers])

    def close(self) -> None:
        self.link.close()
        self.journal.close()


class Loop:
    """The loop in a process of its own; it is made once the first COUNT orders are open."""

    def __init__(self, settings: Settings, count: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__)), str(settings.file), str(count)],
            env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, bufsize=1,
        )  # fmt: skip
        self._ready()

    def _ready(self) -> None:
        assert self._process.stdout is not None
        waiting, _, _ = select.select([self._process.stdout], [], [], 120)
        line = self._process.stdout.readline() if waiting else ""
        assert line.startswith("ready"), f"the loop is not ready: {line}"

    def again(self) -> None:
        """Once the account is ACTIVE again: book what came of the orders, and send as many new ones."""
        assert self._process.stdin is not None
        self._process.stdin.write("again\n")
        self._process.stdin.flush()
        self._ready()

    def stop(self) -> dict[str, Any]:
        """Let it end; how many orders it sent after it was ready, and how often it was refused."""
        out, _ = self._process.communicate("", timeout=60)
        found: dict[str, Any] = json.loads(out.splitlines()[-1])
        return found

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


def main(config: str, count: int) -> None:
    path, commands, leg = OrderPath(load_settings(config)), queue.SimpleQueue[str](), 0
    reader = map(commands.put, itertools.chain(iter(sys.stdin.readline, ""), [""]))
    threading.Thread(target=lambda: list(reader), daemon=True).start()
    while True:
        since_ns = path.link.broker.now_ns() - 3_600 * NANO
        leg += 1
        for first in range(0, count, 50):
            path.send(*range(first, min(first + 50, count)), leg=f"leg {leg}")
        print("ready", flush=True)
        sent = refused = 0
        number, command = count, None
        while command is None:
            try:
                path.send(number, leg=f"leg {leg}")
                sent, number = sent + 1, min(number + 1, len(MANY) - 1)
            except WorkbenchError:
                refused += 1
            with contextlib.suppress(queue.Empty):
                command = commands.get(timeout=0.005 if refused else 0.0001)
        if not command:
            print(json.dumps({"sent": sent, "refused": refused}), flush=True)
            os._exit(0)
        path.oms.recover()
        path.oms.poll(since_ns=since_ns)


def posts_after(venue: ServedVenue | VenueApart, at_ns: int, *, within_ms: float = 100.0) -> list[float]:
    """How many ms after a moment of the wall clock POSTs came to the venue; those within so many left out."""
    came = [
        (row["came_ns"] - at_ns) / 1e6
        for row in venue.hands.requests()
        if row["endpoint"] == "POST /v2/orders"
    ]
    return [round(ms, 1) for ms in came if ms > within_ms]


if __name__ == "__main__":
    if sys.argv[1] == "venue":
        serve(Path(sys.argv[2]))
    main(sys.argv[1], int(sys.argv[2]))
