"""Drive a desk through its services, without papermill: the notebook's steps in one process.

Run as a script it trades sessions and prints one JSON line for each:
``python tests/support/drive.py CONFIG FIRST LAST``.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from workbench.bootstrap.demo import prepare
from workbench.bootstrap.desk import Desk, open_journal
from workbench.bootstrap.resources import present_code_hash
from workbench.bootstrap.trading import start_trading
from workbench.config import Settings, load_settings
from workbench.services.tickets import issue_ticket

FIRST, LAST = "2013-02-01", "2013-03-01"


def put_aside(folder: Path) -> Path:
    """A copy of a desk to copy from: a halt takes away the ARMED file that the journal names, not its."""
    return Path(shutil.copytree(folder, folder.with_name(folder.name + "-aside")))


def make_desk(folder: Path, toml: str | None = None) -> Settings:
    """A desk that a person has prepared and resumed, ready to trade the sample's last month."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "workbench.toml"
    if toml is not None:
        config.write_text(toml)
    for _ in prepare(config):
        pass
    return load_settings(str(config))


def start(settings: Settings, session: str, attempt: int = 1) -> Any:
    """A job inside this process, with a ticket of its own."""
    code_hash = present_code_hash(settings)
    run_id = f"trading_loop/{session}.{attempt}-{os.getpid()}"
    journal = open_journal(settings, read_only=False)
    try:
        ticket = issue_ticket(journal, run_id=run_id, code_hash=code_hash, wall_ns=time.time_ns())
    finally:
        journal.close()
    environ = {"WORKBENCH_TICKET": ticket}
    return start_trading(settings, session, run_id=run_id, code_hash=code_hash, environ=environ)


def trade(settings: Settings, session: str) -> dict[str, Any]:
    """One session, step by step as in the production notebook; returns its closing row."""
    job = start(settings, session)
    try:
        job.trading.start()
        for scheduled_ns in job.trading.times.decision_ns:
            job.trading.decide(scheduled_ns)
        job.trading.watch()
        job.trading.close()
        broker, oms = job.account.broker, job.trading.oms
        theirs = broker.account()
        equal = theirs.cash_micro == oms.ledger.cash_micro and {
            s: q for s, q in theirs.positions_nano.items() if q
        } == {s: q for s, q in oms.ledger.positions_nano.items() if q}
        job.finish()
    finally:
        job.account.close()
    row = Desk(settings).journal.rows("sessions", account=settings.account, session=session)[0]
    return {"session": session, "digest": row["digest"], "equal_to_venue": equal, "report": row["report"]}


def sessions_of(settings: Settings, first: str = FIRST, last: str = LAST) -> tuple[str, ...]:
    """The exchange sessions from `first` to `last`."""
    return Desk(settings).calendar.sessions_between(first, last)


if __name__ == "__main__":
    desk_settings = load_settings(sys.argv[1])
    for each in sessions_of(desk_settings, *sys.argv[2:4]):
        print(json.dumps(trade(desk_settings, each)), flush=True)
