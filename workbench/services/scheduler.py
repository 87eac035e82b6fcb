"""The one process that starts jobs when they are due: what it may do is decided anew from records each time.

It keeps nothing in memory that matters. Ownership is a lease in the journal, and the journal itself refuses
what a scheduler writes, or a run that it starts, after another one has taken its place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from workbench.core.agenda import agenda
from workbench.core.canonical import sha256_of
from workbench.core.jobs import Job, RunLauncher, RunPlan
from workbench.core.ports import Clock, Event, Journal, Lease
from workbench.core.schedule import Agenda, Attempt, ExchangeTime, Miss, Recorded, Start, Waiting
from workbench.core.types import NANO
from workbench.errors import JournalConflict, LeaseLost, Refused, StorageFailed
from workbench.services.jobs import scheduler_lease

#: Life of the owner's lease; with the polls of those who wait this bounds a fail-over to 30 s.
OWNER_TTL_S: Final = 20.0
#: Runs that the owner ends before its lease has run out, so that a successor never meets them.
_LAST_CALL_NS: Final = 4 * NANO
#: A pause, a halt or a run that a person started is noticed after so long.
LOOK_EVERY_NS: Final = 5 * NANO
#: After a run that ended without a record of its own nothing of that job is started for so long.
_REST_NS: Final = 30 * NANO
#: The beginning of the count moves on when so much of it is settled.
_SETTLE_NS: Final = 7 * 24 * 3600 * NANO


@dataclass(frozen=True)
class Tick:
    """What one look did.

    Attributes
    ----------
    owner : bool
        Whether this process is the one that starts jobs; the others wait for their turn.
    started : tuple of Start
    missed : tuple of Miss
    waiting : tuple of Waiting
    wake_ns : int
        Trading time at which to look again at the latest; events may ask for it earlier.
    """

    owner: bool
    started: tuple[Start, ...] = ()
    missed: tuple[Miss, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    wake_ns: int = 0


class Scheduler:
    """Starts declared jobs, one owner at a time.

    Parameters
    ----------
    jobs : mapping of str to Job
    account, holder : str
        `holder` names this process so that its death can be proved.
    halted : callable () -> str
        Why the account may not trade; "" when it may.
    bury : callable (job) -> None
        Records the runs of a job that are proved dead; raises Refused when one may live.
    is_dead : callable (holder) -> bool
        Proof that the process of another scheduler has ended; without it its lease must run out.
    room : int
        Runs at the same time.
    """

    def __init__(
        self,
        journal: Journal,
        calendar: ExchangeTime,
        clock: Clock,
        launcher: RunLauncher,
        *,
        jobs: Mapping[str, Job],
        account: str,
        holder: str,
        halted: Callable[[], str],
        bury: Callable[[str], None],
        is_dead: Callable[[str], bool],
        room: int,
    ) -> None:
        self._journal = journal
        self._calendar = calendar
        self._clock = clock
        self._launcher = launcher
        self._jobs = dict(jobs)
        self._account = account
        self._holder = holder
        self._halted = halted
        self._bury = bury
        self._is_dead = is_dead
        self._room = room
        self._lease: Lease | None = None
        self._launched: dict[str, int] = {}
        self._rest_until: dict[str, int] = {}
        self._seen: object = None
        self._looked_ns = self._wake_ns = 0

    @property
    def token(self) -> int:
        """Token of the lease that is held; 0 = none."""
        return self._lease.token if self._lease is not None else 0

    def tick(self) -> Tick:
        """Look once: keep the ownership, name what was missed, start what is due.

        Raises
        ------
        LeaseLost
            The journal is closed for good: a later desk epoch has another one, so no turn will ever come.
        """
        try:
            if not self._own():
                return Tick(False)
            if self._is_idle():
                return Tick(True, wake_ns=self._wake_ns)
            self._count()
            self._bury_runs()
            return self._work()
        except LeaseLost:  # another owner's turn: what it finds running here would be run twice
            self._give_up()
            return Tick(False)
        except StorageFailed:  # a journal that is away for a moment; what runs goes on while the lease lasts
            self._give_up_in_time()
            return Tick(False)
        except JournalConflict as error:
            if not _is_closed(error):
                raise
            self._give_up()
            raise LeaseLost(
                f"this scheduler no longer owns a schedule: {error.message}",
                next_step="start it again: `workbench jobs serve` then serves the desk epoch in force",
            ) from error

    def close(self) -> None:
        """End what runs and give the ownership back."""
        self._launcher.stop()
        if self._lease is not None:
            lease, self._lease = self._lease, None
            try:
                self._journal.release_lease(lease)
            except LeaseLost:
                return  # taken over already
            except JournalConflict as error:
                if not _is_closed(error):  # a lease in a journal that takes no event holds nobody up
                    raise

    def _is_idle(self) -> bool:
        """Whether the last look still holds: nothing ended, nothing is due, and it is a moment ago."""
        seen = (self.token, self._launcher.running())
        wall_ns = self._clock.wall_ns()
        fresh = seen == self._seen and wall_ns - self._looked_ns < LOOK_EVERY_NS
        if fresh and self._clock.now_ns() < self._wake_ns:
            return True
        self._seen, self._looked_ns = seen, wall_ns
        return False

    # --- ownership -----------------------------------------------------------------------------------

    def _own(self) -> bool:
        ttl_ns = int(OWNER_TTL_S * NANO)
        if self._lease is not None:
            self._lease = self._journal.renew_lease(self._lease, ttl_ns=ttl_ns)
            return True
        name = scheduler_lease(self._account)
        rows = self._journal.rows("leases", account=name)
        before = str(rows[0]["holder"]) if rows and not rows[0]["released"] else ""
        proof = before if before and self._is_dead(before) else ""
        try:
            self._lease = self._journal.acquire_lease(name, self._holder, ttl_ns=ttl_ns, proof_of_death=proof)
        except LeaseLost:
            return False
        if before:
            self._alert("scheduler_replaced", f"the scheduler {before} ended without saying so")
        return True

    def _give_up_in_time(self) -> None:
        """End what runs before a successor may begin, when the lease cannot be renewed."""
        if self._lease and self._clock.wall_ns() > self._lease.until_wall_ns - _LAST_CALL_NS:
            self._give_up()

    def _give_up(self) -> None:
        self._lease = None
        self._launcher.stop()

    # --- records -------------------------------------------------------------------------------------

    def _count(self) -> None:
        """Let the schedule of every job count from the moment at which it was first seen so."""
        known = {row["job"]: row["declared_hash"] for row in self._journal.rows("schedules")}
        now_ns = self._clock.now_ns()
        new = [
            self._counted(job, now_ns)
            for job in self._jobs.values()
            if job.schedule and known.get(job.name) != _hash_of(job)
        ]
        if new:
            self._journal.commit(new)

    def _counted(self, job: Job, from_ns: int) -> Event:
        payload = {"job": job.name, "declared_hash": _hash_of(job), "from_ns": from_ns}
        return Event("schedule.counted", {**payload, **self._fence()})

    def _fence(self) -> dict[str, Any]:
        return {"lease": scheduler_lease(self._account), "owner_token": self.token}

    def _bury_runs(self) -> None:
        """Record as crashed what is proved dead; what may live is left alone and holds its job up."""
        ours = {job for job, _, _ in self._launcher.running()}
        for job in {str(row["job"]) for row in self._journal.rows("runs", status="running")} - ours:
            if job in self._jobs:
                try:
                    self._bury(job)
                except Refused:
                    continue

    def recorded(self) -> Recorded:
        """Everything that the decision rests on, as the journal holds it now."""
        return recorded(self._journal, self._jobs, halted=self._halted(), running=self._launcher.running())

    # --- work ----------------------------------------------------------------------------------------

    def _work(self) -> Tick:
        missed: list[Miss] = []
        while True:
            now_ns = self._clock.now_ns()
            found = self._agenda(now_ns)
            if not found.misses:
                break
            for miss in found.misses:
                self._record(miss, now_ns)
            missed += found.misses
        started = tuple(start for start in found.starts if self._start(start))
        self._settle(found, now_ns)
        self._wake_ns = 0 if started else found.wake_ns
        return Tick(True, started, tuple(missed), found.waiting, found.wake_ns)

    def _agenda(self, now_ns: int) -> Agenda:
        known = self.recorded()
        running = self._launcher.running()
        attempts = {name: sum(one.job == name for one in known.attempts) for name in self._launched}
        busy = {job for job, _, _ in running}
        for name, before in list(self._launched.items()):
            if name not in busy:
                del self._launched[name]
                if attempts[name] == before:  # it ended before it was recorded: no hurry to try that again
                    self._rest_until[name] = self._clock.wall_ns() + _REST_NS
        room = max(0, self._room - len(running))
        return agenda(self._jobs, self._calendar, known, now_ns=now_ns, room=room)

    def _start(self, start: Start) -> bool:
        if self._rest_until.get(start.job, 0) > self._clock.wall_ns():
            return False
        self._launched[start.job] = len(self._journal.rows("runs", job=start.job))
        plan = RunPlan(start.cause, start.due_ns, self.token)
        self._launcher.start(start.job, start.session, plan)
        return True

    def _record(self, miss: Miss, now_ns: int) -> None:
        job = self._jobs[miss.job]
        payload = {
            "job": miss.job, "session": miss.session, "due_ns": miss.due_ns, "reason": miss.reason,
            "at_ns": now_ns, **self._fence(),
        }  # fmt: skip
        events = [Event("schedule.missed", payload)]
        if "missed" in job.alert_on:
            code = "session_missed" if job.sends_orders else "job_missed"
            events.append(self._alert_event(code, f"{miss.job} of {miss.session} was missed: {miss.reason}"))
        self._journal.commit(events)

    def _settle(self, found: Agenda, now_ns: int) -> None:
        from_ns = {row["job"]: int(row["from_ns"]) for row in self._journal.rows("schedules")}
        moved = [
            self._counted(self._jobs[name], settled_ns)
            for name, settled_ns in found.settled_ns.items()
            if name in self._jobs and settled_ns - from_ns.get(name, settled_ns) > _SETTLE_NS
        ]
        if moved:
            self._journal.commit(moved)

    def _alert(self, code: str, text: str) -> None:
        self._journal.commit([self._alert_event(code, text)])

    def _alert_event(self, code: str, text: str) -> Event:
        return Event(
            "alert.raised",
            {"account": self._account, "code": code, "text": text, "at_ns": self._clock.now_ns()},
        )


def recorded(
    journal: Journal,
    jobs: Mapping[str, Job],
    *,
    halted: str,
    running: tuple[tuple[str, str, int], ...] = (),
) -> Recorded:
    """Runs, misses and pauses of the journal, and the runs that were started and are not in it yet."""
    due = {row["run_id"]: int(row["due_ns"]) for row in journal.rows("run_plans")}
    attempts = [
        Attempt(
            str(row["run_id"]), str(row["job"]), str(row["session"]), str(row["status"]),
            due.get(row["run_id"], 0), int(row["added_seq"]),
            0 if row["status"] == "running" else int(row["seq"]),
        )
        for row in journal.rows("runs")
    ]  # fmt: skip
    alive = {(one.job, one.session) for one in attempts if not one.ended}
    latest = max((one.began for one in attempts), default=0) + 1
    attempts += [
        Attempt("", job, session, "running", due_ns, latest, 0)
        for job, session, due_ns in running
        if (job, session) not in alive
    ]
    return Recorded(
        attempts=tuple(attempts),
        missed={
            (str(row["job"]), str(row["session"]), int(row["due_ns"])): str(row["reason"])
            for row in journal.rows("missed_slots")
        },
        from_ns={
            str(row["job"]): int(row["from_ns"])
            for row in journal.rows("schedules")
            if row["job"] in jobs and jobs[row["job"]].schedule
        },
        paused={
            str(row["job"]): f"{row['person']}: {row['reason']}"
            for row in journal.rows("pauses", paused=True)
        },
        halted=halted,
    )


def peek(
    journal: Journal, calendar: ExchangeTime, jobs: Mapping[str, Job], *, halted: str, now_ns: int
) -> Agenda:
    """What a scheduler would do now; changes nothing. A job that was never counted is taken from now on."""
    known = recorded(journal, jobs, halted=halted)
    new = {job.name: now_ns for job in jobs.values() if job.schedule and job.name not in known.from_ns}
    return agenda(
        jobs, calendar, replace(known, from_ns={**new, **known.from_ns}), now_ns=now_ns, room=len(jobs)
    )


def _is_closed(error: JournalConflict) -> bool:
    """Whether the journal takes no event from anybody any more, because its desk epoch has ended."""
    return bool(error.facts.get("closed"))


def _hash_of(job: Job) -> str:
    return sha256_of({"schedule": job.schedule, "needs_session": job.needs_session})
