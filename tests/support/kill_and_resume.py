"""Trade sessions in processes that are killed at chosen moments, with a person resuming in between.

``python kill_and_resume.py CONFIG FIRST LAST --kills 10 --seed 1`` forks one process a life, so that a
restart has nothing but the disk; a life resumes the desk and trades on until it is killed. Moments are
random times, or with ``--at N`` the N-th durable write (even: just before it, odd: just after it).
Prints one JSON line: digests, kills, and what the venue holds.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sqlite3
import sys
import time
import traceback
from typing import Any

import drive

from workbench.adapters.journal import JournalDatabase
from workbench.adapters.simulated_broker import SimulatedBroker
from workbench.bootstrap import admin
from workbench.bootstrap.desk import Desk
from workbench.config import Settings, load_settings


def life(settings: Settings, sessions: tuple[str, ...], die_at: int | None) -> None:
    """Resume as a person would, then trade whatever is not closed."""
    admin.resume(settings, person="operator", reason="the process was killed; look-ups done")
    if die_at is not None:
        count_writes(die_at)
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


def spawn(settings: Settings, sessions: tuple[str, ...], die_at: int | None = None) -> int:
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        life(settings, sessions, die_at)
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
    with sqlite3.connect(desk.paths.venue) as database:
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


def main(argv: list[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    parser.add_argument("config")
    parser.add_argument("first")
    parser.add_argument("last")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--longest", type=float, default=1.0, help="longest life in seconds")
    parser.add_argument("--at", type=int)
    chosen = parser.parse_args(argv)
    settings = load_settings(chosen.config)
    sessions = drive.sessions_of(settings, chosen.first, chosen.last)
    draw = random.Random(chosen.seed)
    kills = 0
    if chosen.at is not None:
        _, status = os.waitpid(spawn(settings, sessions, die_at=chosen.at), 0)
        kills = int(os.waitstatus_to_exitcode(status) == -signal.SIGKILL)
    while kills < chosen.kills:
        if not killed_after(spawn(settings, sessions), draw.uniform(0.0, chosen.longest)):
            break
        kills += 1
    return {"kills": kills, **finish(settings, sessions)}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1:])))
