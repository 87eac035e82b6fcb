"""An exchange fortnight that holds everything at once, a virtual clock, and runs that end as they are told.

Schedulers, job service, journal and its leases are the real ones; only kernels are scripted.
"""

from __future__ import annotations

import contextlib
import datetime
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

from workbench.adapters.journal import JournalDatabase
from workbench.core.jobs import Job, RunPlan, RunRequest, RunResult
from workbench.core.types import NANO
from workbench.errors import WorkbenchError
from workbench.services.jobs import JobService
from workbench.services.scheduler import Scheduler

ACCOUNT = "probe"
ZONE = ZoneInfo("America/New_York")
MINUTE = 60 * NANO


def at(text: str) -> int:
    """UTC nanoseconds of "2026-03-02 09:30" on the exchange's wall clock."""
    return int(datetime.datetime.fromisoformat(text).replace(tzinfo=ZONE).timestamp()) * NANO


class Fortnight:
    """Two weeks around a change to daylight saving, with a half day and a holiday; a `core.ports.Calendar`.

    Monday 2026-03-02 to Friday 2026-03-13. New York moves its clocks on Sunday the 8th. Made up: Thursday the
    5th closes at 13:00 and Friday the 6th is a holiday.
    """

    HALF, HOLIDAY = "2026-03-05", "2026-03-06"
    FIRST, LAST = "2026-03-02", "2026-03-13"

    def __init__(self) -> None:
        first = datetime.date(2026, 1, 5)
        days = [(first + datetime.timedelta(n)).isoformat() for n in range(200)]
        self.sessions = tuple(
            day for day in days if datetime.date.fromisoformat(day).weekday() < 5 and day != self.HOLIDAY
        )

    def is_session(self, session: str) -> bool:
        return session in self.sessions

    def session_open_ns(self, session: str) -> int:
        assert self.is_session(session)
        return at(f"{session} 09:30")

    def session_close_ns(self, session: str) -> int:
        assert self.is_session(session)
        return at(f"{session} {'13:00' if session == self.HALF else '16:00'}")

    def previous_session(self, session: str) -> str:
        return max(one for one in self.sessions if one < session)

    def next_session(self, session: str) -> str:
        return min(one for one in self.sessions if one > session)

    def session_after_ns(self, at_ns: int) -> str:
        return min(one for one in self.sessions if self.session_open_ns(one) > at_ns)

    def sessions_between(self, first: str, last: str) -> tuple[str, ...]:
        return tuple(one for one in self.sessions if first <= one <= last)

    def local_ns(self, date: str, minute: int) -> int:
        return at(f"{date} {minute // 60:02d}:{minute % 60:02d}")

    def local_date(self, at_ns: int) -> str:
        return datetime.datetime.fromtimestamp(at_ns / 1e9, ZONE).date().isoformat()


class Virtual:
    """One time for trading and for leases, which the test moves."""

    def __init__(self, text: str) -> None:
        self.at_ns = at(text)

    def now_ns(self) -> int:
        return self.at_ns

    wall_ns = now_ns

    def sleep_until(self, at_ns: int) -> None:
        self.at_ns = max(self.at_ns, at_ns)


def job(name: str, schedule: str = "", **changes: Any) -> Job:
    """A declared job of little consequence."""
    values: dict[str, Any] = {
        "notebook": Path(f"{name}.ipynb"), "purpose": "To try.", "needs_session": True, "timeout_s": 600.0,
        "sends_orders": False, "schedule": schedule, "alert_on": ("failed", "missed"),
    }  # fmt: skip
    return Job(name, **{**values, **changes})


class Crash(BaseException):
    """The process is gone: nothing after this is executed, nothing is recorded."""


@dataclass
class Ending:
    """A run that is under way in a thread of its own, held until the world says how it ends."""

    job: str
    session: str
    due_ns: int
    at_ns: int
    words: str = ""
    go: threading.Event = field(default_factory=threading.Event)
    reached: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None
    run_id: str = ""

    def end(self, words: str) -> None:
        """Let the run end: "done", "failed", or "crash", of which nothing is recorded."""
        self.words = words
        self.go.set()
        assert self.thread is not None
        self.thread.join()


class Held:
    """A `JobRunner` whose runs last until they are told to end."""

    def __init__(self, world: World, ending: Ending) -> None:
        self.world, self.ending = world, ending

    def exclusive(self, job: str) -> Any:
        return contextlib.nullcontext()

    def is_over(self, run_id: str) -> bool:
        return self.world.is_over(run_id)

    def run(self, request: RunRequest) -> RunResult:
        self.ending.run_id = request.run_id
        self.world.began(self.ending, request)
        self.ending.reached.set()
        self.ending.go.wait()
        if self.ending.words == "crash":
            raise Crash
        code = 0 if self.ending.words == "done" else 5
        return RunResult(
            request.run_id, self.ending.words, code, message="" if not code else "it was told to"
        )


class Host:
    """A machine with a scheduler; also its launcher."""

    def __init__(self, name: str, world: World) -> None:
        self.name = name
        self.world = world
        self.holder = f"{name}:boot:1:1"
        self.open: list[Ending] = []
        self.up = True
        self.scheduler = self._boot()

    def _boot(self) -> Scheduler:
        world = self.world
        service = world.service(self, Ending("", "", 0, 0))
        return Scheduler(
            world.journal, world.calendar, world.clock, self, jobs=world.jobs, account=ACCOUNT,
            holder=self.holder, halted=lambda: world.halted, bury=service.bury_the_dead,
            is_dead=lambda holder: False, room=3,
        )  # fmt: skip

    def start(self, job: str, session: str, plan: RunPlan) -> None:
        minutes = self.world.minutes(job, session)
        ending = Ending(job, session, plan.due_ns, self.world.clock.now_ns() + int(minutes * MINUTE))
        service = self.world.service(self, ending)

        def work() -> None:
            with contextlib.suppress(Crash, WorkbenchError):
                service.run(job, session, plan=plan)
            ending.reached.set()

        ending.thread = threading.Thread(target=work)
        ending.thread.start()
        ending.reached.wait()
        self.open.append(ending)

    def running(self) -> tuple[tuple[str, str, int], ...]:
        return tuple((one.job, one.session, one.due_ns) for one in self.open)

    def stop(self) -> None:
        for ending in self.open:
            ending.end("failed")
        self.open.clear()

    def settle(self) -> None:
        """End the runs whose time has come."""
        for ending in [one for one in self.open if one.at_ns <= self.world.clock.now_ns()]:
            self.open.remove(ending)
            self.world.end(ending)

    def lose(self) -> None:
        """The machine is gone, with everything that ran on it."""
        self.up = False
        for ending in self.open:
            ending.end("crash")
        self.open.clear()

    def restart(self) -> None:
        """The scheduler's process is killed and starts anew: nothing that it knew is left."""
        for ending in self.open:  # they die with their parent
            ending.end("crash")
        self.open.clear()
        self.scheduler = self._boot()
        self.up = True


class World:
    """Journal, calendar and clock of some hosts; it knows what really happened, whatever was recorded."""

    def __init__(self, folder: Path, jobs: Mapping[str, Job], *, start: str) -> None:
        self.clock = Virtual(start)
        self.calendar = Fortnight()
        self.jobs = dict(jobs)
        self.journal = JournalDatabase(
            f"sqlite:///{folder / 'journal.sqlite'}", anchor_path=folder / "journal.anchor",
            anchor_key=b"key", config_hash="f" * 64, wall_ns=self.clock.wall_ns,
        )  # fmt: skip
        self.halted = ""
        self.endings: dict[tuple[str, str], list[str]] = {}
        self.alive: dict[str, Ending] = {}
        self.overlaps: list[str] = []
        self.submits: list[tuple[str, int]] = []
        self.unclean = False
        self.hosts: list[Host] = []

    def service(self, host: Host, ending: Ending) -> JobService:
        service = JobService(
            self.journal, self.calendar, self.clock, Held(self, ending), jobs=self.jobs,
            code_hash=lambda path: "c" * 64, config_path="workbench.toml", desk_path="desk", account=ACCOUNT,
            holder=host.holder,
        )  # fmt: skip
        finish = service._finish

        def unless_it_crashed(*given: Any, **named: Any) -> None:
            if ending.words != "crash":
                finish(*given, **named)

        service._finish = unless_it_crashed  # type: ignore[method-assign]
        return service

    def minutes(self, job: str, session: str) -> float:
        """The trading loop lasts until five minutes after the close, everything else two minutes."""
        if job != "trading_loop":
            return 2.0
        end_ns = self.calendar.session_close_ns(session) + 5 * MINUTE
        return max(1.0, (end_ns - self.clock.now_ns()) / MINUTE)

    def is_over(self, run_id: str) -> bool:
        return run_id not in self.alive

    def began(self, ending: Ending, request: RunRequest) -> None:
        """A kernel is up: it takes the account's lease, and nothing else of its kind may be up."""
        job = self.jobs[ending.job]
        for other in self.alive.values():
            both = job.holds_account and self.jobs[other.job].holds_account
            if other.job == ending.job or both:
                self.overlaps.append(f"{request.run_id} beside {other.run_id}")
        self.alive[request.run_id] = ending
        if job.holds_account:
            self.lease = self.journal.acquire_lease(
                ACCOUNT, request.run_id, ttl_ns=30 * NANO, proof_of_death=self.proof_of_death()
            )
        told = self.endings.get((ending.job, ending.session))
        if told:
            ending.words = told.pop(0)
            if ending.words == "crash" and ending.job == "trading_loop":  # in the middle of its session
                ending.at_ns = self.clock.now_ns() + 90 * MINUTE

    def end(self, ending: Ending) -> None:
        """What the run leaves behind, then its end."""
        words = ending.words or "done"
        job = self.jobs[ending.job]
        self.alive.pop(ending.run_id, None)
        if job.sends_orders and words != "failed":
            self.unclean = words == "crash"
        if ending.job == "reconcile" and words == "done" and self.unclean:
            self.unclean, self.halted = False, "recovery: the former run ended without a clean end"
        if job.holds_account and words != "crash":
            self.journal.release_lease(self.lease)
        ending.end(words)

    def lose(self, host: Host) -> None:
        """A machine is gone."""
        for ending in host.open:
            self.alive.pop(ending.run_id, None)
            self.unclean = self.unclean or self.jobs[ending.job].sends_orders
        host.lose()

    def trade(self) -> None:
        """A trading kernel that is alive at its decision time decides, once a session whatever happens."""
        for ending in self.alive.values():
            decision_ns = self.calendar.session_open_ns(ending.session) - 15 * MINUTE
            decided = {session for session, _ in self.submits}
            if ending.job == "trading_loop" and ending.session not in decided and not self.halted:
                if self.clock.now_ns() >= decision_ns:
                    self.submits.append((ending.session, self.clock.now_ns()))

    def run_until(
        self, text: str, *, events: Mapping[int, Callable[[], None]] = MappingProxyType({})
    ) -> None:
        """Go through time, never past anything that happens."""
        end_ns, pending = at(text), dict(sorted(events.items()))
        while self.clock.now_ns() < end_ns:
            while pending and next(iter(pending)) <= self.clock.now_ns():
                pending.pop(next(iter(pending)))()
            wakes = [end_ns, *list(pending)[:1]]
            for host in self.hosts:
                if host.up:
                    host.settle()
                    tick = host.scheduler.tick()
                    wakes += [tick.wake_ns] if tick.owner and tick.wake_ns else []
                    wakes += [ending.at_ns for ending in host.open]
                    wakes += [self.clock.now_ns() + MINUTE] if tick.started else []
            self.trade()
            living = {*self.alive, *(host.holder for host in self.hosts if host.up)}
            wakes += [  # the lease of somebody who is gone runs out
                int(row["until_wall_ns"]) + 1
                for row in self.journal.rows("leases")
                if not row["released"] and row["holder"] not in living
            ]
            wakes += [
                self.calendar.session_open_ns(one.session) - 15 * MINUTE
                for one in self.alive.values()
                if one.job == "trading_loop"
            ]
            wakes += self.more_wakes()
            step_ns = min((wake for wake in wakes if wake > self.clock.now_ns()), default=end_ns)
            self.clock.sleep_until(step_ns)

    def proof_of_death(self) -> str:
        """Holder of the account's lease that is proved gone; nothing is proved of another machine."""
        return ""

    def more_wakes(self) -> list[int]:
        """Further times that are not passed over."""
        return []

    def close(self) -> None:
        """End what runs, and the journal."""
        for host in self.hosts:
            for ending in host.open:
                ending.end("crash")
        self.journal.close()
