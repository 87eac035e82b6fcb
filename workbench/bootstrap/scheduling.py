"""Compose the scheduler: on the real clock with a process a run, or through recorded sessions at once."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import FrameType
from typing import Any, Final

from workbench.adapters.armed_file import ArmedFileOnDisk
from workbench.adapters.clock import SimulatedClock, SystemClock
from workbench.adapters.health_server import HealthServer
from workbench.adapters.journal import JournalDatabase
from workbench.adapters.kernel_guard import dead_holder, process_holder
from workbench.adapters.run_processes import RunProcesses
from workbench.bootstrap import ordered_run
from workbench.bootstrap.declared import declared_jobs
from workbench.bootstrap.desk import Desk, open_journal
from workbench.bootstrap.health import HealthAnswers
from workbench.bootstrap.jobs import job_service, make_service
from workbench.bootstrap.signing import Credentials, people_of
from workbench.config import Settings
from workbench.core.agenda import agenda
from workbench.core.exposition import Figure
from workbench.core.jobs import RunLauncher, RunPlan, RunResult
from workbench.core.ports import Clock, Event
from workbench.core.schedule import Agenda, Miss, Slot, Waiting, slots
from workbench.core.types import NANO, Mode
from workbench.errors import Refused, UsageError, WorkbenchError
from workbench.services.jobs import JobService
from workbench.services.people import People
from workbench.services.preflight import Check
from workbench.services.scheduler import Scheduler, Tick, peek, recorded
from workbench.services.supervision import HALTED, Supervision

#: How often the owner looks at its children and the others at its lease, seconds.
POLL_S: Final = 1.0
#: Kernels at the same time; each loads its own libraries.
ROOM: Final = 3
#: A scheduler that has not looked for so long is not well, seconds.
_SILENT_S: Final = 60.0
#: How long before its first session a simulated scheduler begins.
_BEFORE_NS: Final = 4 * 3600 * NANO
_AFTER_NS: Final = 3 * 3600 * NANO
#: How far back a call from outside looks for sessions that were not run.
_LOOK_BACK_NS: Final = 36 * 3600 * NANO


class InlineRuns:
    """Runs each job at once in this process: for a simulated clock, which does not move meanwhile."""

    def __init__(self, service: JobService) -> None:
        self._service = service

    def start(self, job: str, session: str, plan: RunPlan) -> None:
        """Run to the end; how it ended is recorded, and an error of one run ends no other."""
        with contextlib.suppress(WorkbenchError):
            self._service.run(job, session, plan=plan)

    def running(self) -> tuple[tuple[str, str, int], ...]:
        """None: a run has ended when `start` returns."""
        return ()

    def stop(self) -> None:
        """Nothing runs between two calls."""


def serve(
    settings: Settings,
    *,
    seconds: float | None,
    tell: Callable[[Tick], None],
    ready: Callable[[str], None] = lambda address: None,
) -> None:
    """Start jobs as they fall due until a stop signal, or for so many seconds; runs end with it.

    Parameters
    ----------
    ready : callable (address) -> None
        Told where /healthz and /metrics of this scheduler are answered.

    Raises
    ------
    UsageError
        A replay desk: its sessions are over.
    LeaseLost
        The desk began another epoch meanwhile; started again it serves that one.
    """
    if settings.mode is Mode.REPLAY:
        raise UsageError(
            "a replay desk has no present: its sessions are over",
            next_step="workbench jobs serve --first SESSION --last SESSION takes it through recorded ones",
        )
    if settings.file is None:
        raise UsageError("a scheduler needs a settings file", next_step="name it with --config")
    desk = Desk(settings)
    command = [sys.executable, "-m", ordered_run.__name__, str(settings.file)]
    jobs = declared_jobs(settings)
    launcher = RunProcesses(
        command, desk.paths.runs / ".scheduler", spares=settings.scale.warm_kernels,
        takes_spare=lambda job: jobs[job].is_analysis,
    )  # fmt: skip
    clock = SystemClock()
    until_ns = clock.now_ns() + int(seconds * NANO) if seconds is not None else None
    pulse = Pulse(clock.now_ns)
    with (
        stopping() as stopped,
        _scheduler(settings, clock, launcher) as scheduler,
        contextlib.closing(
            HealthServer(settings.monitoring.health_port, HealthAnswers(settings, more=pulse.more))
        ) as server,
    ):
        ready(server.address)
        while not stopped() and (until_ns is None or clock.now_ns() < until_ns):
            tick = pulse.took(scheduler.tick())
            tell(tick)
            if tick.owner:  # the others wait for a turn that may never come
                launcher.keep_spares()
            clock.sleep_until(clock.now_ns() + int(POLL_S * NANO))


class Pulse:
    """When the scheduler last looked at what is due, and whether it is the owner: a probe of its own.

    Parameters
    ----------
    now_ns : callable () -> int
    """

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns, self._last_ns, self._owner = now_ns, now_ns(), False

    def took(self, tick: Tick) -> Tick:
        """The tick itself, noted."""
        self._last_ns, self._owner = self._now_ns(), tick.owner
        return tick

    def more(self) -> tuple[Sequence[Check], Sequence[Figure]]:
        """Its line of health and its figures."""
        age_s = (self._now_ns() - self._last_ns) / NANO
        owner = "owner" if self._owner else "waiting for the owner"
        return (
            (Check("scheduler", age_s < _SILENT_S, f"{owner}, looked {age_s:.0f} s ago"),),
            (
                Figure("workbench_scheduler_owner", float(self._owner), "Whether it owns the schedule."),
                Figure("workbench_scheduler_age_seconds", age_s, "Time since it last looked."),
            ),
        )


def simulate(settings: Settings, first: str, last: str, *, tell: Callable[[Tick], None]) -> None:
    """Take a replay desk through recorded sessions as its scheduler would have, every job in its kernel.

    No kernel is started beforehand: jobs follow each other at once, so there is no time in which one could
    load without slowing a run down.

    Raises
    ------
    UsageError
        Not a replay desk, or the dates are not sessions.
    Refused
        Another scheduler owns the desk's schedule.
    """
    if settings.mode is not Mode.REPLAY:
        raise UsageError(
            f"a {settings.mode} desk has a present and no other time", next_step="workbench jobs serve"
        )
    calendar = Desk(settings).calendar
    calendar.require_session(first, argument="--first")
    calendar.require_session(last, argument="--last")
    clock = SimulatedClock(calendar.session_open_ns(first) - _BEFORE_NS)
    end_ns = calendar.session_close_ns(last) + _AFTER_NS
    with (
        job_service(settings, clock=clock) as service,
        _scheduler(settings, clock, InlineRuns(service)) as scheduler,
    ):
        while clock.now_ns() <= end_ns:
            tick = scheduler.tick()
            tell(tick)
            if not tick.owner:
                raise Refused(
                    "another scheduler owns this desk's schedule",
                    next_step="end it, or wait 20 s until its lease has run out",
                )
            if not tick.started:
                clock.sleep_until(min(tick.wake_ns, end_ns + 1))


@contextlib.contextmanager
def _scheduler(settings: Settings, clock: Clock, launcher: RunLauncher) -> Iterator[Scheduler]:
    desk = Desk(settings)
    jobs = declared_jobs(settings)
    journal = open_journal(settings, read_only=False)
    service = make_service(settings, journal, clock)
    scheduler = Scheduler(
        journal,
        desk.calendar,
        clock,
        launcher,
        jobs=jobs,
        account=settings.account,
        holder=process_holder(),
        halted=lambda: _halted(settings, journal),
        bury=service.bury_the_dead,
        is_dead=dead_holder,
        room=ROOM,
    )
    try:
        yield scheduler
    finally:
        try:
            scheduler.close()
        finally:
            journal.close()


def _halted(settings: Settings, journal: Any) -> str:
    armed = ArmedFileOnDisk(Desk(settings).paths.armed)
    permission = Supervision(journal, armed, settings.account).permission()
    return permission.reason or "no reason was recorded" if permission.state == HALTED else ""


@contextlib.contextmanager
def stopping() -> Iterator[Callable[[], bool]]:
    """Whether a stop signal has come; the loop then ends in order instead of in the middle."""
    stopped = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True

    signals = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    previous = {number: signal.signal(number, stop) for number in signals}
    try:
        yield lambda: stopped
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@dataclass(frozen=True)
class Upcoming:
    """What a scheduler would do at a time, and what falls due after it.

    Attributes
    ----------
    at_ns : int
        UTC nanoseconds.
    agenda : Agenda
    ahead : tuple of Slot
        Slots of the days that follow, in order.
    """

    at_ns: int
    agenda: Agenda
    ahead: tuple[Slot, ...]


def upcoming(settings: Settings, *, day: str = "", days: int = 7) -> Upcoming:
    """What a scheduler would do now, or at the start of a day, and what comes; changes nothing."""
    desk = Desk(settings)
    at_ns = desk.calendar.local_ns(day, 0) if day else SystemClock().now_ns()
    jobs = declared_jobs(settings)
    journal = open_journal(settings, read_only=True)
    try:
        found = peek(journal, desk.calendar, jobs, halted=_halted(settings, journal), now_ns=at_ns)
    finally:
        journal.close()
    to_ns = at_ns + days * 24 * 3600 * NANO
    ahead = sorted(
        slot for job in jobs.values() for slot in slots(job, desk.calendar, from_ns=at_ns + 1, to_ns=to_ns)
    )
    return Upcoming(at_ns, found, tuple(ahead))


def run_due(
    settings: Settings,
    service: JobService,
    job: str,
    *,
    values: Mapping[str, Any],
    progress: Callable[[int, int], None] | None = None,
) -> RunResult:
    """Run a job for the session that is due now, for another scheduler that calls by the clock alone.

    Returns
    -------
    RunResult
        With status "not_due", exit code 0 and no run when nothing is due: a holiday, the other closing time,
        or a session that is done.

    Raises
    ------
    Refused
        The session is due but what it needs is not done, or its time has passed; call again in a minute.
    """
    service.require_declared(job)
    desk = Desk(settings)
    now_ns = SystemClock().now_ns()
    journal = open_journal(settings, read_only=True)
    try:
        known = recorded(journal, jobs := declared_jobs(settings), halted=_halted(settings, journal))
    finally:
        journal.close()
    since = {name: now_ns - _LOOK_BACK_NS for name, one in jobs.items() if one.schedule}
    found = agenda(jobs, desk.calendar, replace(known, from_ns=since), now_ns=now_ns, room=len(jobs))
    for start in found.starts:
        if start.job == job:
            plan = RunPlan("schedule", start.due_ns)
            return service.run(job, start.session, values=values, plan=plan, progress=progress)
    held: tuple[Waiting | Miss, ...] = (*found.waiting, *found.misses)
    for step in held:
        if step.job == job:
            raise Refused(
                f"{job} of {step.session} is due and cannot start: {step.reason}",
                next_step="workbench jobs next shows what it waits for",
                session=step.session,
            )
    return RunResult("", "not_due", 0, message=f"{job} is not due")


def exchange_time(settings: Settings) -> Callable[[int], str]:
    """Writes a time, UTC nanoseconds, as the exchange's wall clock shows it."""
    zone = Desk(settings).calendar.zone
    return lambda at_ns: f"{datetime.fromtimestamp(at_ns // NANO, zone):%Y-%m-%d %H:%M}"


def pause_job(settings: Settings, job: str, *, person: str, reason: str) -> None:
    """Keep a job from being started, on a registered person's word: to stop takes no key."""
    with _declared_in_journal(settings, job) as journal:
        People(journal).check(person, reason, act="pause job")
        journal.commit([Event("schedule.paused", {"job": job, "person": person, "reason": reason})])


def resume_job(
    settings: Settings, job: str, *, person: str, reason: str, credentials: Credentials | None = None
) -> None:
    """Let a paused job be started again; signed where acts are signed."""
    word = {"job": job, "person": person, "reason": reason}
    with _declared_in_journal(settings, job) as journal:
        acts = people_of(settings, journal, credentials).require(
            person, reason, act="resume job", subject=word
        )
        journal.commit([*acts, Event("schedule.resumed", word)])


@contextlib.contextmanager
def _declared_in_journal(settings: Settings, job: str) -> Iterator[JournalDatabase]:
    """The journal, when the job is one that is declared."""
    journal = open_journal(settings, read_only=False)
    try:
        make_service(settings, journal, SystemClock()).require_declared(job)
        yield journal
    finally:
        journal.close()
