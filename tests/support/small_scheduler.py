"""A real scheduler with real runners and kernels over tiny notebooks, as a program of its own.

``python small_scheduler.py serve FOLDER HOST`` serves until it is killed; it orders
``python small_scheduler.py run FOLDER HOST ORDER``. `prepare` makes the folder.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]

from fortnight import Fortnight

from notebooks import DONE, GUARD, PARAMETERS, write_notebook
from workbench.adapters.clock import SimulatedClock, SystemClock
from workbench.adapters.journal import JournalDatabase
from workbench.adapters.kernel_guard import dead_holder, process_holder
from workbench.adapters.notebook_runner import NotebookRunner
from workbench.adapters.run_processes import RunProcesses, read_order
from workbench.core.jobs import Job
from workbench.services.jobs import JobService
from workbench.services.scheduler import Scheduler

ACCOUNT, SESSION = "probe", "2026-03-04"
#: Says that it lives every 20 ms, and may go on only when it is the one that holds the account's lock.
WORK = """
import time
desk = Path(params_file).parents[4]
guard.hold_lock(desk / "trading.lock")
me = "/".join(Path(params_file).parts[-3:-1])
with (desk / "submits").open("a", buffering=1) as submits:
    while not (desk / "go").exists():
        if guard.parent_alive():
            submits.write(f"{me} {time.time()} {__import__('os').getpid()}\\n")
        time.sleep(0.02)
"""


class Today(Fortnight):
    """One session that opens when the folder says, for an hour."""

    def __init__(self, open_ns: int) -> None:
        super().__init__()
        self.open_ns = open_ns

    def session_open_ns(self, session: str) -> int:
        return self.open_ns if session == SESSION else super().session_open_ns(session)

    def session_close_ns(self, session: str) -> int:
        return self.session_open_ns(session) + 3600 * 10**9

    def local_date(self, at_ns: int) -> str:
        return SESSION


def prepare(folder: Path, url: str = "") -> None:
    """Notebooks, and one session that opens now, of a schedule that counts since a minute."""
    write_notebook(folder / "trading_loop.ipynb", PARAMETERS, GUARD, WORK, DONE)
    write_notebook(folder / "reconcile.ipynb", PARAMETERS, GUARD, DONE)
    now_ns = time.time_ns()
    facts = {"open_ns": now_ns, "url": url or f"sqlite:///{folder / 'journal.sqlite'}"}
    (folder / "facts.json").write_text(json.dumps(facts))
    journal = open_journal(folder)
    scheduler = scheduler_of(folder, "", journal, SimulatedClock(now_ns - 60 * 10**9))
    scheduler.tick()
    scheduler.close()
    journal.close()


def open_journal(folder: Path) -> JournalDatabase:
    """The journal; the hosts share their folder and with it the anchor."""
    facts = json.loads((folder / "facts.json").read_text())
    return JournalDatabase(
        facts["url"], anchor_path=folder / "anchor", anchor_key=b"key", config_hash="f" * 64,
        wall_ns=time.time_ns,
    )  # fmt: skip


def jobs_of(folder: Path) -> dict[str, Job]:
    common: dict[str, Any] = {"needs_session": True, "timeout_s": 120.0, "holds_account": True}
    return {
        "trading_loop": Job(
            "trading_loop", folder / "trading_loop.ipynb", "Trade.", sends_orders=True, schedule="open",
            attempts=5, resume_until="close", alert_on=("failed", "missed"), **common,
        ),
        "reconcile": Job(
            "reconcile", folder / "reconcile.ipynb", "Look.", sends_orders=False, repeats=True, **common
        ),
    }  # fmt: skip


def holder_of(host: str) -> str:
    """This process on a machine of that name; "" = this machine."""
    mine = process_holder()
    return f"{host}:{mine.partition(':')[2]}" if host else mine


def service_of(folder: Path, host: str, journal: JournalDatabase) -> JobService:
    facts = json.loads((folder / "facts.json").read_text())
    return JobService(
        journal, Today(facts["open_ns"]), SystemClock(), NotebookRunner(folder / (host or "here") / "runs"),
        jobs=jobs_of(folder), code_hash=lambda path: "c" * 64, config_path="", desk_path=str(folder),
        account=ACCOUNT, holder=holder_of(host),
    )  # fmt: skip


def scheduler_of(folder: Path, host: str, journal: JournalDatabase, clock: Any) -> Scheduler:
    facts = json.loads((folder / "facts.json").read_text())
    command = [sys.executable, __file__, "run", str(folder), host]
    launcher = RunProcesses(command, folder / (host or "here") / "logs")
    service = service_of(folder, host, journal)
    return Scheduler(
        journal, Today(facts["open_ns"]), clock, launcher, jobs=jobs_of(folder), account=ACCOUNT,
        holder=holder_of(host), halted=lambda: "", bury=service.bury_the_dead, is_dead=dead_holder, room=2,
    )  # fmt: skip


def serve(folder: Path, host: str) -> None:
    scheduler = scheduler_of(folder, host, open_journal(folder), SystemClock())
    while True:
        scheduler.tick()
        time.sleep(0.1)


def main(what: str, folder: str, host: str, order: str = "") -> int:
    if what == "serve":
        serve(Path(folder), host)
    job, session, plan = read_order(order)
    journal = open_journal(Path(folder))
    return service_of(Path(folder), host, journal).run(job, session, plan=plan).exit_code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
