"""What the watchdog reads: the journal, the heartbeats of runs, the disk, and the venue's time."""

from __future__ import annotations

import os
import shutil
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NoAnswer
from pathlib import Path
from typing import Any

from workbench.adapters.jobs_file import load_jobs
from workbench.adapters.journal import JournalDatabase
from workbench.adapters.kernel_guard import HEARTBEAT, dead_holder
from workbench.adapters.notebook_runner import NotebookRunner
from workbench.bootstrap.desk import Desk, journal_file, open_journal
from workbench.bootstrap.permission import desk_supervision
from workbench.bootstrap.resources import jobs_folder
from workbench.bootstrap.venues import CancelLink, open_for_cancels, uses_alpaca
from workbench.config import Settings
from workbench.core.orders import WORKING
from workbench.core.types import NANO, Mode
from workbench.core.watch import LeaseSeen, RunSeen, Sight
from workbench.errors import WorkbenchError

#: How often the venue is asked for its time, seconds: its limit of requests belongs to the loop.
_VENUE_EVERY_S = 10.0
#: How long one look waits for the journal, seconds.
_JOURNAL_WAIT_S = 2.0


class Door:
    """The journal while it can be had: opened when asked for, given up when it fails or its file changes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._file = 0
        self._journal: JournalDatabase | None = None

    def open(self) -> JournalDatabase:
        """The journal; raises a WorkbenchError when there is none to be had."""
        now = journal_file(self._settings, Desk(self._settings).paths)
        if self._journal is not None and self._file != now:
            self.drop()  # an open file outlives its name: what was moved away must not be watched on
        if self._journal is None:
            self._journal = open_journal(self._settings, read_only=False)
            self._file = now  # of before: one that changed meanwhile is seen by the next look
        return self._journal

    def drop(self) -> None:
        """Give it up; the next one opens it anew."""
        journal, self._journal = self._journal, None
        if journal is not None:
            journal.close()


class VenueEyes:
    """Asks the venue for its time now and then, in a thread: it may not answer for a long time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._every_s = min(_VENUE_EVERY_S, settings.watchdog.venue_silent_s / 3)
        self._link: CancelLink | None = None
        self._asked_s = 0.0
        self._answer: tuple[str, int | None] = ("", None)
        self._thread: threading.Thread | None = None
        self._started_s = 0.0

    def look(self) -> tuple[str, int | None]:
        """Trouble and clock skew as last heard; an answer that is still awaited is trouble by and by."""
        now_s = time.monotonic()
        if self._thread is not None and self._thread.is_alive():
            slow = now_s - self._started_s > self._settings.venue.answer_timeout_s
            return ("the venue has not answered yet", None) if slow else self._answer
        if now_s - self._asked_s >= self._every_s or not self._asked_s:
            self._asked_s = self._started_s = now_s
            self._thread = threading.Thread(target=self._ask, daemon=True)
            self._thread.start()
            self._thread.join(0.5)
        return self._answer

    def _ask(self) -> None:
        try:
            if self._link is None:
                self._link = open_for_cancels(self._settings, Desk(self._settings))
            before_ns = time.time_ns()
            theirs_ns = self._link.broker.now_ns()
            middle_ns = (before_ns + time.time_ns()) // 2
            comparable = self._settings.mode is not Mode.REPLAY  # a replay moves the venue's time as it likes
            self._answer = ("", theirs_ns - middle_ns if comparable else None)
        except Exception as error:  # the boundary: whatever it was, the venue was not heard
            link, self._link = self._link, None
            if link is not None:
                link.close()
            self._answer = (
                error.message if isinstance(error, WorkbenchError) else type(error).__name__,
                None,
            )

    def close(self) -> None:
        """Close the connection, unless it is still waiting."""
        if self._link is not None and not (self._thread and self._thread.is_alive()):
            self._link.close()


class Eyes:
    """One look at everything; never raises, never waits long."""

    def __init__(self, settings: Settings, door: Door) -> None:
        self._settings = settings
        self._desk = Desk(settings)
        self._door = door
        self._venue = VenueEyes(settings) if uses_alpaca(settings) else None
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        self._reading: Future[dict[str, Any]] | None = None
        self._kept: tuple[int, tuple[str, ...], dict[str, int]] = (-1, (), {})
        jobs = load_jobs(jobs_folder() / "jobs.toml")
        self._jobs = frozenset(name for name, job in jobs.items() if job.sends_orders)

    def look(self) -> Sight:
        """What can be seen now."""
        venue_trouble, skew_ns = self._venue.look() if self._venue is not None else ("", None)
        seen = self._from_journal()
        return Sight(
            wall_ns=time.time_ns(), venue_trouble=venue_trouble, skew_ns=skew_ns,
            free_bytes=self._free_bytes(), **seen,
        )  # fmt: skip

    def close(self) -> None:
        """Wait for nobody."""
        self._reader.shutdown(wait=False, cancel_futures=True)
        if self._venue is not None:
            self._venue.close()

    def _free_bytes(self) -> int | None:
        try:
            return shutil.disk_usage(self._desk.paths.root).free
        except OSError:
            return None

    def _from_journal(self) -> dict[str, Any]:
        if self._reading is None:
            self._reading = self._reader.submit(self._read)
        try:
            seen = self._reading.result(timeout=_JOURNAL_WAIT_S)
        except NoAnswer:
            return {"journal_trouble": "the journal does not answer"}
        except WorkbenchError as error:
            self._reading = None
            self._door.drop()
            return {"journal_trouble": error.message}
        except Exception as error:  # the boundary: what cannot be read is a finding
            self._reading = None
            self._door.drop()
            return {"journal_trouble": type(error).__name__}
        self._reading = None
        return seen

    def _read(self) -> dict[str, Any]:
        settings, journal = self._settings, self._door.open()
        head = journal.head()[0]
        if head != self._kept[0]:
            sessions = journal.rows("sessions", account=settings.account)
            open_ids = tuple(
                row["client_order_id"]
                for state in sorted(WORKING)
                for row in journal.rows("orders", account=settings.account, state=str(state))
                if row["sent_at_ns"]
            )
            self._kept = (head, open_ids, dict(sessions[-1]["positions"]) if sessions else {})
        leases = journal.rows("leases", account=settings.account)
        return {
            "state": desk_supervision(settings, journal).permission().state,
            "head": head,
            "journal_bytes": _size(None if settings.journal.url else self._desk.paths.journal),
            "lease": _lease(leases[0]) if leases else None,
            "runs": tuple(
                self._run(row) for row in journal.rows("runs", status="running") if self._mine(row)
            ),
            "open_orders": self._kept[1],
            "positions_nano": self._kept[2],
        }

    def _mine(self, row: dict[str, Any]) -> bool:
        """Whether it sends orders and runs on this machine: only here can its heartbeat be seen."""
        return row["job"] in self._jobs and (self._desk.paths.runs / row["run_id"]).is_dir()

    def _run(self, row: dict[str, Any]) -> RunSeen:
        beat = self._desk.paths.runs / row["run_id"] / HEARTBEAT
        try:
            age_s: float | None = time.time() - os.stat(beat).st_mtime
        except OSError:
            age_s = (time.time_ns() - row["started_at_ns"]) / NANO  # it may be about to write the first
        silent = age_s is None or abs(age_s) > self._settings.watchdog.stuck_after_s
        # Asking takes the runner's lock for a moment, so nobody is asked who shows signs of life.
        over = silent and NotebookRunner(self._desk.paths.runs).is_over(row["run_id"])
        return RunSeen(row["run_id"], age_s, over)


def _lease(row: dict[str, Any]) -> LeaseSeen:
    holder = str(row["holder"])
    return LeaseSeen(holder, row["token"], row["until_wall_ns"], bool(row["released"]), dead_holder(holder))


def _size(file: Path | None) -> int | None:
    """Bytes of the database and of what waits beside it."""
    if file is None:
        return None
    return sum(os.stat(path).st_size for path in (file, file.with_name(file.name + "-wal")) if path.exists())
