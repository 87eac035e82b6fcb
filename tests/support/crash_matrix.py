"""A session at a venue behind sockets, struck at each of its boundaries; what the oracles say in the end.

``python crash_matrix.py WORK die=all no_answer=10 ...`` makes a desk that trades at a loopback venue, trades
one session undisturbed while it counts the boundaries (see `boundaries`), and then once for every boundary,
or for so many evenly spread ones, on copies of both: the trader is a process of its own, the venue another
one, and the blow is struck at that boundary. Then a person resumes and the session is run again until it is
closed. With ``--again`` the life after a death is killed too, at a boundary drawn from the seed. Prints one
JSON line for each run, the undisturbed one first.

Blows: die, fill_the_disk, no_answer, kill_the_venue, and pause: the trader is stopped until its lease is
over, a rival trades the session to its end, and then it is continued.

Processes are forked from one that has imported everything, so that a life costs what it does.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boundaries
import drive
from loopback_venue import VenueHands

from workbench.adapters.venue_server.wire import parse_decimal
from workbench.bootstrap import admin
from workbench.bootstrap.desk import Desk
from workbench.bootstrap.venue import build_venue
from workbench.config import DEFAULT_TOML, Settings, load_settings
from workbench.core.ledger import Ledger, posting_from_payload
from workbench.core.types import MICRO, NANO, Side
from workbench.errors import LeaseLost

UNIVERSE = ("AAPL", "FB", "GOOG", "IBM", "MSFT")
START, FIRST, SESSION = "2013-01-31T21:00:00Z", "2013-02-01", "2013-02-04"  # two orders in one batch
#: A life may end so: done, or with an error that it has named itself.
DONE, NAMED = 0, 3
#: More lives than any run needs: whoever needs more does not recover.
MOST_LIVES = 6
#: Calls of the last looks and the requests of a decision: where a pause is told apart from a death.
SENDING = ("GET /stocks/quotes/latest", "POST /orders")
Arm = Callable[[], None]


# --- the venue, a process of its own ---------------------------------------------------------------


class Venue:
    """A forked venue on fixed ports, with its journal in a folder; it can be killed and started again."""

    def __init__(self, ports: tuple[int, int], state: Path) -> None:
        self._ports, self._state, self._parent = ports, state, os.getpid()
        self.pid = 0
        self.hands: VenueHands

    def start(self) -> None:
        reading, writing = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.close(reading)
            status = 1
            try:
                asyncio.run(self._serve(writing))
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        os.close(writing)
        with os.fdopen(reading) as told:
            self.hands = VenueHands(json.loads(told.readline()))

    async def _serve(self, writing: int) -> None:
        server = build_venue(
            port=self._ports[0], admin_port=self._ports[1], state=self._state, symbols=UNIVERSE,
            matching="daily", start=START, cash_usd=1_000_000, clock_rate=0.0,
        )  # fmt: skip
        os.write(writing, (json.dumps(server.addresses()) + "\n").encode())
        serving = asyncio.create_task(server.run())
        while os.getppid() == self._parent and not serving.done():  # never longer than who asked for it
            await asyncio.sleep(0.1)

    def stop(self) -> None:
        self.hands.close()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def free_ports() -> tuple[int, int]:
    found = [socket.socket() for _ in range(2)]
    for one in found:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in found]
    for one in found:
        one.close()
    return ports[0], ports[1]


# --- the trader, a process of its own --------------------------------------------------------------


def life(settings: Settings, arm: Arm, *, resumed: bool) -> None:
    """One process: a person resumes where that is needed, and the session is run until it is closed."""
    arm()
    if resumed and not closed(settings):
        resume(settings)
    if not closed(settings):
        drive.trade(settings, SESSION)


def resume(settings: Settings) -> None:
    """A person resumes; as long as somebody alive holds the lease, the person waits."""
    deadline = time.monotonic() + 30.0
    while True:
        try:
            admin.resume(settings, person="operator", reason="looked at what happened")
            return
        except LeaseLost:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def closed(settings: Settings) -> bool:
    return bool(Desk(settings).journal.rows("sessions", session=SESSION))


def spawn(body: Callable[[], None], errors: Path) -> int:
    child = os.fork()
    if child:
        return child
    status = NAMED
    try:
        body()
        status = DONE
    except BaseException as error:
        with errors.open("a") as file:
            file.write(" ".join(f"{type(error).__name__}: {error}".split()) + "\n")
    finally:
        os._exit(status)


# --- one run -----------------------------------------------------------------------------------------


@dataclass
class World:
    """A desk and the venue that it trades at, in one folder."""

    folder: Path
    ports: tuple[int, int]

    def __post_init__(self) -> None:
        self.venue = Venue(self.ports, self.folder / "venue.jsonl")

    @property
    def settings(self) -> Settings:
        return load_settings(str(self.folder / "desk" / "workbench.toml"))

    def copy(self, name: str) -> World:
        folder = self.folder.with_name(name)
        shutil.copytree(self.folder, folder)
        return World(folder, self.ports)

    def run(self, arm: Arm, *, resumed: bool) -> int:
        """One life; its exit code, negative when it was killed. A venue that dies meanwhile is restarted."""
        trader = spawn(lambda: life(self.settings, arm, resumed=resumed), self.folder / "errors.txt")
        while True:
            pid, status = os.waitpid(-1, 0)
            if pid == trader:
                return os.waitstatus_to_exitcode(status)
            self.venue.hands.close()
            self.venue.start()

    def posts(self) -> list[str]:
        """Ids of all orders that were sent to the venue, in turn."""
        rows = self.venue.hands.requests()
        return [row["client_order_id"] for row in rows if row["endpoint"] == "POST /v2/orders"]

    def judged(self) -> dict[str, Any]:
        """What is in the journal and at the venue, and every oracle that is broken."""
        journal, ledger = Desk(self.settings).journal, self.venue.hands.ledger()
        orders, fills = journal.rows("orders"), journal.rows("fills")
        rows = [tuple(row[name] for name in ("client_order_id", "side", "quantity_nano", "state",
                                             "filled_nano")) for row in orders]  # fmt: skip
        books = Ledger.from_postings([posting_from_payload(row) for row in journal.rows("postings")])
        sent = {row["client_order_id"] for row in orders if row["sent_at_ns"]}
        landed = [order["client_order_id"] for order in ledger["orders"]]
        theirs = sorted(
            (row["order_id"], row["cum_qty"])
            for row in ledger["activities"]
            if row["activity_type"] == "FILL"
        )
        positions = {s: int(parse_decimal(row["qty"]) * NANO) for s, row in ledger["positions"].items()}
        broken = []
        if len(landed) != len(set(landed)) or len({tuple(key) for key in rows}) != len(rows):
            broken.append("an order is there twice")
        if strangers := set(landed) - sent:
            broken.append(f"at the venue and in no journal: {sorted(strangers)}")
        if len(fills) != len(theirs) or len({row["execution_id"] for row in fills}) != len(fills):
            broken.append(f"{len(fills)} fills in the books, {len(theirs)} at the venue")
        if books.cash_micro != int(parse_decimal(ledger["cash"]) * MICRO):
            broken.append(f"cash {books.cash_micro} in the books, {ledger['cash']} at the venue")
        if {s: q for s, q in books.positions_nano.items() if q} != positions:
            broken.append("positions differ")
        if open_ := [row["state"] for row in orders if row["state"] in ("SENT", "UNKNOWN", "ACCEPTED")]:
            broken.append(f"orders are unsettled: {open_}")
        if not all(row["clean"] for row in journal.rows("reconciliations")[-1:]):
            broken.append("the last reconciliation has breaks")
        broken += self.venue.hands.oracle(secrets=[self.venue.hands.secret], texts=self._texts())
        return {
            "broken": broken, "orders": len(landed), "fills": len(fills),
            "orders_hash": _hashed(rows), "cash_micro": books.cash_micro,
            "fills_hash": _hashed(sorted((f["client_order_id"], f["quantity_nano"], f["price_micro"])
                                         for f in fills)),
            "digest": journal.rows("sessions", session=SESSION)[0]["digest"],
        }  # fmt: skip

    def _texts(self) -> list[str]:
        errors = self.folder / "errors.txt"
        return [errors.read_text()] if errors.exists() else []


def _hashed(rows: Any) -> str:
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]


def prepare(work: Path, *, ttl_s: float) -> World:
    """A desk that has traded its first session at the venue, both stopped in good order."""
    folder = work / "start"
    folder.mkdir(parents=True)
    world = World(folder, free_ports())
    world.venue.start()
    hands = world.venue.hands
    os.environ["WORKBENCH_SECRETS__VENUE_KEY"] = hands.key
    os.environ["WORKBENCH_SECRETS__VENUE_SECRET"] = hands.secret
    head, tail = DEFAULT_TOML.split("[venue]")
    for key, value in {"broker": "alpaca", "url": hands.rest, "admin_url": hands.addresses["admin"]}.items():
        assert f'\n{key} = ""' in tail
        tail = tail.replace(f'\n{key} = ""', f'\n{key} = "{value}"', 1)
    text = f"{head}[venue]{tail}"
    assert "\nttl_s = 30.0\n" in text
    settings = drive.make_desk(folder / "desk", text.replace("\nttl_s = 30.0\n", f"\nttl_s = {ttl_s}\n"))
    settings.fees.fee_micro(Side.BUY, 1, MICRO)  # numba starts here once, not in every life
    drive.trade(settings, FIRST)
    world.venue.stop()
    return world


def lives_after(world: World, arms: Sequence[Arm], *, resumed: bool = False) -> tuple[int, int]:
    """Lives until the session is closed, and how many of them were killed."""
    lives, kills, code = 0, 0, NAMED
    while code != DONE and lives < MOST_LIVES:
        arm = arms[lives] if lives < len(arms) else lambda: None
        code = world.run(arm, resumed=resumed or lives > 0)
        kills += code == -signal.SIGKILL
        lives += 1
    assert code == DONE, (world.folder / "errors.txt").read_text()
    return lives, kills


def struck(world: World, blow: str, at: int, second: int) -> dict[str, Any]:
    """One run: the blow at that boundary, perhaps a kill in the life after it, and lives until it is done."""

    def kill_the_venue(name: str) -> None:
        os.kill(world.venue.pid, signal.SIGKILL)

    hit = kill_the_venue if blow == "kill_the_venue" else getattr(boundaries, blow)
    arms: list[Arm] = [lambda: boundaries.strike(at, hit)]
    if second >= 0:
        arms.append(lambda: boundaries.strike(second, boundaries.die))
    lives, kills = lives_after(world, arms)
    return {"at": at, "second": second, "lives": lives, "kills": kills}


def paused(world: World, at: int) -> dict[str, Any]:
    """One run in which the holder of the lease stands still until a rival has done everything."""
    errors = world.folder / "errors.txt"
    holder = spawn(
        lambda: life(world.settings, lambda: boundaries.strike(at, boundaries.pause, only=SENDING),
                     resumed=False), errors,
    )  # fmt: skip
    _, status = os.waitpid(holder, os.WUNTRACED)
    assert os.WIFSTOPPED(status), "the holder was to stand still"
    lives, _ = lives_after(world, [], resumed=True)  # refused until the lease is over: then it trades
    before = world.posts()
    os.kill(holder, signal.SIGCONT)
    _, status = os.waitpid(holder, 0)
    late = world.posts()[len(before) :]
    said = errors.read_text().splitlines()[-1].partition(":")[0]
    return {"at": at, "lives": lives, "code": os.waitstatus_to_exitcode(status), "said": said,
            "late": len(late), "new": len(set(late) - set(before))}  # fmt: skip


def chosen_ats(words: str, names: list[str], blow: str) -> list[int]:
    """Boundaries where the blow makes sense: all of them, or so many evenly spread."""
    every = {
        "die": lambda name, side: True,
        "fill_the_disk": lambda name, side: name == boundaries.JOURNAL and side == 0,
        "no_answer": lambda name, side: name not in (boundaries.JOURNAL, boundaries.CLOCK),
        "kill_the_venue": lambda name, side: name != boundaries.JOURNAL,
        "pause": lambda name, side: True,
    }[blow]
    if blow == "pause":
        names = [name for name in names if name in SENDING]
    ats = [2 * n + side for n, name in enumerate(names) for side in (0, 1) if every(name, side)]
    if words == "all":
        return ats
    return [ats[n * len(ats) // int(words)] for n in range(int(words))]


def main(argv: list[str]) -> Iterator[dict[str, Any]]:
    parser = argparse.ArgumentParser()
    parser.add_argument("work", type=Path)
    parser.add_argument("blows", nargs="+", help="BLOW=all or BLOW=how many boundaries")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--again", action="store_true", help="a second kill in the life after a death")
    parser.add_argument("--ttl", type=float, default=30.0, help="life of a lease, seconds")
    chosen = parser.parse_args(argv)
    start = prepare(chosen.work, ttl_s=chosen.ttl)
    seen = chosen.work / "seen.txt"

    def played(name: str, play: Callable[[World], dict[str, Any]]) -> dict[str, Any]:
        world = start.copy(name)
        world.venue.start()
        found = play(world)
        found |= world.judged()
        world.venue.stop()
        shutil.rmtree(world.folder)
        return found

    def undisturbed(world: World) -> dict[str, Any]:
        code = world.run(lambda: boundaries.strike(-1, boundaries.die, seen=seen), resumed=False)
        assert code == DONE, (world.folder / "errors.txt").read_text()
        return {"names": seen.read_text().splitlines(), "lives": 1}

    first = played("undisturbed", undisturbed)
    yield first
    names = first["names"]
    draw = random.Random(chosen.seed)
    for blow, _, words in (item.partition("=") for item in chosen.blows):
        for at in chosen_ats(words, names, blow):
            second = draw.randrange(2 * len(names)) if chosen.again and blow == "die" else -1
            if blow == "pause":
                found = played(f"{blow}-{at}", lambda world, at=at: paused(world, at))  # type: ignore[misc]
            else:
                found = played(
                    f"{blow}-{at}",
                    lambda world, blow=blow, at=at, second=second: struck(world, blow, at, second),  # type: ignore[misc]
                )
                found["name"] = names[at // 2]
            yield {"blow": blow, **found}


if __name__ == "__main__":
    for found in main(sys.argv[1:]):
        print(json.dumps(found), flush=True)
