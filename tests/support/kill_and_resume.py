"""Trade sessions in processes that are killed at chosen moments, with a person resuming in between.

``python kill_and_resume.py PREPARED WORK FIRST LAST --kills 10 --seed 1`` trades copies, made in WORK, of
the prepared desk: one undisturbed, then one that is killed. Sessions before FIRST are traded once for all
copies. It forks one process a life, so that a
restart has nothing but the disk and the libraries that are imported already; a life resumes the desk and
trades on until it is killed. Moments are random times, or with ``--at N ...`` the N-th durable write,
each on a copy of its own (even: just before it, odd: just after it), or with ``--everywhere`` all of
them, or with ``--before-request N ...`` just before the N-th request to the venue leaves. Prints one JSON
line for each desk, the undisturbed one first: digests, kills, and what the venue holds.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import drive

from workbench.adapters.journal import JournalDatabase
from workbench.adapters.simulated_broker import SimulatedBroker
from workbench.bootstrap import admin
from workbench.bootstrap.desk import Desk
from workbench.config import Settings, load_settings
from workbench.core.orders import OrderIntent
from workbench.core.ports import SubmitResult
from workbench.core.types import MICRO, Side


@dataclass(frozen=True)
class Death:
    """When a process kills itself: at a durable write, or before a request leaves; counted from 0."""

    at: int
    before_request: bool = False


def life(settings: Settings, sessions: tuple[str, ...], death: Death | None) -> None:
    """Resume as a person would, then trade whatever is not closed."""
    admin.resume(settings, person="operator", reason="the process was killed; look-ups done")
    if death is not None and death.before_request:
        count_requests(death.at)
    elif death is not None:
        count_writes(death.at)
    for session in sessions:
        if not Desk(settings).journal.rows("sessions", session=session):
            drive.trade(settings, session)


def count_writes(die_at: int) -> None:
    """Make this process kill itself at the chosen durable write of journal or venue."""
    seen = 0

    def deadly(write: Any) -> Any:
        def counted(*args: Any, **kwargs: Any) -> Any:
            nonlocal seen
            for moment in ("before", "after"):
                if moment == "after":
                    result = write(*args, **kwargs)
                if seen == die_at:
                    os.kill(os.getpid(), signal.SIGKILL)
                seen += 1
            return result

        return counted

    JournalDatabase.commit = deadly(JournalDatabase.commit)  # type: ignore[method-assign]
    SimulatedBroker._do = deadly(SimulatedBroker._do)  # type: ignore[method-assign]


def count_requests(die_at: int) -> None:
    """Make this process kill itself just before the chosen request leaves."""
    submit, numbers = SimulatedBroker.submit, itertools.count()

    def deadly(broker: SimulatedBroker, intent: OrderIntent) -> SubmitResult:
        if next(numbers) == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return submit(broker, intent)

    SimulatedBroker.submit = deadly  # type: ignore[method-assign]


def spawn(settings: Settings, sessions: tuple[str, ...], death: Death | None = None) -> int:
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        life(settings, sessions, death)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def killed_after(child: int, seconds: float) -> bool:
    """Wait, then kill; whether it was still alive to be killed."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 0, "a life ended by itself with an error"
            return False
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def finish(settings: Settings, sessions: tuple[str, ...]) -> dict[str, Any]:
    _, status = os.waitpid(spawn(settings, sessions), 0)
    assert os.waitstatus_to_exitcode(status) == 0, "the last life failed"
    desk = Desk(settings)
    rows = desk.journal.rows("sessions", account=settings.account)
    with closing(sqlite3.connect(desk.paths.venue)) as database:
        commands = [json.loads(row[0]) for row in database.execute("SELECT command FROM commands")]
        replies = [json.loads(row[0]) for row in database.execute("SELECT reply FROM commands")]
    accepted = [
        command["client_order_id"]
        for command, reply in zip(commands, replies, strict=True)
        if command["kind"] == "submit" and reply["ok"]
    ]
    sent = {row["client_order_id"] for row in desk.journal.rows("orders") if row["sent_at_ns"]}
    return {
        "digests": [row["digest"] for row in rows],
        "accepted": len(accepted),
        "duplicates": len(accepted) - len(set(accepted)),
        "unknown_to_us": len(set(accepted) - sent),
        "unsettled": [
            row["state"] for row in desk.journal.rows("orders") if row["state"] in ("SENT", "UNKNOWN")
        ],
    }


def killed_once(settings: Settings, sessions: tuple[str, ...], death: Death) -> int:
    """Let one life run into its end; 0 when it had fewer such moments."""
    _, status = os.waitpid(spawn(settings, sessions, death), 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, -signal.SIGKILL), "a life ended by itself with an error"
    return int(code == -signal.SIGKILL)


def killed_often(settings: Settings, sessions: tuple[str, ...], chosen: argparse.Namespace) -> int:
    """Kill life after life at random times; the number of kills."""
    draw = random.Random(chosen.seed)
    kills = 0
    while kills < chosen.kills:
        if not killed_after(spawn(settings, sessions), draw.uniform(0.0, chosen.longest)):
            break
        kills += 1
    return kills


def main(argv: list[str]) -> Iterator[dict[str, Any]]:
    parser = argparse.ArgumentParser()
    parser.add_argument("prepared", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("first")
    parser.add_argument("last")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--longest", type=float, default=1.0, help="longest life in seconds")
    parser.add_argument("--at", type=int, nargs="+", default=[])
    parser.add_argument("--before-request", type=int, nargs="+", default=[])
    parser.add_argument("--everywhere", action="store_true", help="at every durable write there is")
    chosen = parser.parse_args(argv)

    def copy(name: str, of: Path) -> Settings:
        shutil.copytree(of, chosen.work / name)
        return load_settings(str(chosen.work / name / "workbench.toml"))

    start = copy("start", chosen.prepared)
    start.fees.fee_micro(Side.BUY, 1, MICRO)  # numba starts here once, not in every life
    *earlier, _ = drive.sessions_of(start, drive.FIRST, chosen.first)
    if earlier:
        finish(start, tuple(earlier))
    sessions = drive.sessions_of(start, chosen.first, chosen.last)
    yield {"kills": 0, **finish(copy("undisturbed", start.folder), sessions)}
    if chosen.kills:
        settings = copy("killed", start.folder)
        kills = killed_often(settings, sessions, chosen)
        yield {"kills": kills, **finish(settings, sessions)}
    for at in itertools.count() if chosen.everywhere else chosen.at:
        settings = copy(f"killed-{at}", start.folder)
        kills = killed_once(settings, sessions, Death(at))
        if chosen.everywhere and not kills:
            break
        yield {"kills": kills, **finish(settings, sessions)}
    for at in chosen.before_request:
        settings = copy(f"killed-before-{at}", start.folder)
        kills = killed_once(settings, sessions, Death(at, before_request=True))
        yield {"kills": kills, **finish(settings, sessions)}


if __name__ == "__main__":
    for found in main(sys.argv[1:]):
        print(json.dumps(found), flush=True)
