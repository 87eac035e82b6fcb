"""What a scheduler does now: which slots are started, which are named as missed, which wait and for what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from workbench.core.jobs import Job
from workbench.core.schedule import (
    Agenda,
    AroundSession,
    Attempt,
    ExchangeTime,
    Miss,
    Recorded,
    Slot,
    Start,
    Waiting,
    parse_schedule,
    slots,
)
from workbench.core.types import NANO

#: The job that looks before a run that may have sent orders is resumed.
RECOVERY: Final = "reconcile"
#: Reconciliations that fail one after the other until only a person can go on.
MOST_RECOVERIES: Final = 3
#: How far ahead the next slot is looked for; nobody sleeps longer.
_AHEAD_NS: Final = 24 * 3600 * NANO


def agenda(
    jobs: Mapping[str, Job], calendar: ExchangeTime, recorded: Recorded, *, now_ns: int, room: int
) -> Agenda:
    """What to do at `now_ns`, from declarations, calendar and records alone.

    A slot is done when its job was done for the session, and is then never started again. A slot whose time
    has passed is named as missed ("skip") or started late, the oldest first ("catch_up"). A run that may
    have sent orders is never repeated blindly: a reconciliation comes first, and then the same session is
    resumed while its window lasts and the account may trade.

    Parameters
    ----------
    jobs : mapping of str to Job
        Declared jobs by name.
    now_ns : int
        Trading time, UTC nanoseconds.
    room : int
        Runs that may be started now.

    Returns
    -------
    Agenda
        Misses are to be recorded before anything is started: they may decide other slots.
    """
    return _Desk(jobs, calendar, recorded, now_ns).agenda(room)


class _Desk:
    """The records at one moment, indexed for the questions that a slot asks."""

    def __init__(
        self, jobs: Mapping[str, Job], calendar: ExchangeTime, recorded: Recorded, now_ns: int
    ) -> None:
        self._jobs = jobs
        self._calendar = calendar
        self._recorded = recorded
        self._now_ns = now_ns
        self._runs: dict[tuple[str, str], list[Attempt]] = defaultdict(list)
        for attempt in recorded.attempts:
            self._runs[attempt.job, attempt.session].append(attempt)
        self._missed = {(job, session) for job, session, _ in recorded.missed}
        alive = [attempt for attempt in recorded.attempts if not attempt.ended]
        self._busy = {attempt.job for attempt in alive}
        self._account_busy = any(job in jobs and jobs[job].holds_account for job in self._busy)

    def agenda(self, room: int) -> Agenda:
        found: list[Start] = []
        misses: list[Miss] = []
        waiting: list[Waiting] = []
        oldest: dict[str, int] = {}
        for slot in self._due():
            if not self._is_open(slot):
                continue
            if slot.job in oldest:
                waiting.append(_waits(slot, "an earlier session comes first"))
                continue
            step = self._judge(slot)
            if isinstance(step, Miss):
                misses.append(step)
                continue
            oldest[slot.job] = slot.due_ns
            if isinstance(step, Start):
                found.append(step)
            else:
                waiting.append(step)
        settled = {name: oldest.get(name, self._now_ns + 1) for name in self._recorded.from_ns}
        starts, held = self._fitting(found, room)
        return Agenda(starts, tuple(misses), (*waiting, *held), self._wake_ns(waiting, held), settled)

    def _due(self) -> list[Slot]:
        """Slots that are due, the oldest first."""
        found: list[Slot] = []
        for name, from_ns in self._recorded.from_ns.items():
            if name in self._jobs:
                found += slots(self._jobs[name], self._calendar, from_ns=from_ns, to_ns=self._now_ns)
        return sorted(found)

    def _is_open(self, slot: Slot) -> bool:
        if (slot.job, slot.session, slot.due_ns) in self._recorded.missed:
            return False
        return not any(attempt.status == "done" for attempt in self._attempts(slot))

    def _attempts(self, slot: Slot) -> list[Attempt]:
        """Runs that count for a slot: all of its session, or for a job that repeats those for this time."""
        runs = self._runs[slot.job, slot.session]
        return [run for run in runs if run.due_ns == slot.due_ns] if self._jobs[slot.job].repeats else runs

    # --- one slot ------------------------------------------------------------------------------------

    def _judge(self, slot: Slot) -> Start | Miss | Waiting:
        job, attempts = self._jobs[slot.job], self._attempts(slot)
        if any(not attempt.ended for attempt in attempts):
            return _waits(slot, "it is running")
        if len(attempts) >= job.attempts:
            return _miss(slot, f"{len(attempts)} attempt(s) ended without success")
        lost, blocked = self._needs(job, slot.session)
        if lost:
            return _miss(slot, lost)
        blocked = blocked or self._hindrance(job)
        deadline_ns = self._deadline_ns(job, slot, resumed=bool(attempts))
        if deadline_ns is not None and self._now_ns > deadline_ns:
            late = "it was not resumed in time" if attempts else "its time to start has passed"
            return _miss(slot, f"{late}: {blocked}" if blocked else late)
        if attempts and job.sends_orders:
            look = self._recovery(slot, attempts[-1])
            if look is not None:
                return look
        if blocked:
            return _waits(slot, blocked)
        return Start(slot.job, slot.session, slot.due_ns, "schedule")

    def _hindrance(self, job: Job) -> str:
        if job.name in self._recorded.paused:
            return f"paused by {self._recorded.paused[job.name]}"
        if job.sends_orders and self._recorded.halted:
            return f"the account may not trade: {self._recorded.halted}"
        return ""

    def _needs(self, job: Job, session: str) -> tuple[str, str]:
        """Why the slot can never run, and why it cannot run yet."""
        blocked = ""
        for need in job.needs:
            standing = self._standing(need, session)
            if standing == "missed":
                return f"it needs {need}, which was missed", ""
            if standing == "absent":
                return f"it needs {need}, which nobody ran", ""
            if standing == "open":
                blocked = blocked or f"{need} is not done yet"
        return "", blocked

    def _standing(self, name: str, session: str) -> str:
        runs = self._runs[name, session]
        if any(run.status == "done" for run in runs):
            return "done"
        if any(not run.ended for run in runs):
            return "open"
        if (name, session) in self._missed:
            return "missed"
        trigger = parse_schedule(self._jobs[name].schedule)
        from_ns = self._recorded.from_ns.get(name)
        if not isinstance(trigger, AroundSession) or from_ns is None:
            return "open"
        return "open" if trigger.at_ns(self._calendar, session) >= from_ns else "absent"

    def _deadline_ns(self, job: Job, slot: Slot, *, resumed: bool) -> int | None:
        """The last moment at which the slot may be started."""
        if resumed and job.resume_until:
            until = parse_schedule(job.resume_until)
            assert isinstance(until, AroundSession)
            return until.at_ns(self._calendar, slot.session)
        if job.misfire == "catch_up" or resumed:
            return None
        return slot.due_ns + int(job.start_within_s * NANO)

    def _recovery(self, slot: Slot, last: Attempt) -> Start | Waiting | None:
        """The reconciliation that has to be done before a trading run is resumed; None once it is."""
        if RECOVERY not in self._jobs:
            return _waits(slot, f"there is no job {RECOVERY}")
        looks = [one for one in self._recorded.attempts if one.job == RECOVERY and one.began > last.ended]
        if any(one.status == "done" for one in looks):
            return None
        if any(not one.ended for one in looks):
            return _waits(slot, f"{RECOVERY} is running")
        if len(looks) >= MOST_RECOVERIES:
            return _waits(slot, f"{RECOVERY} failed {len(looks)} times: a person has to look")
        return Start(RECOVERY, slot.session, 0, f"recovery of {last.run_id}")

    # --- all together --------------------------------------------------------------------------------

    def _fitting(self, found: Sequence[Start], room: int) -> tuple[tuple[Start, ...], list[Waiting]]:
        """Those that may start beside what runs: one a job, one at the account, orders before the rest."""
        chosen: list[Start] = []
        held: list[Waiting] = []
        busy, account_busy = set(self._busy), self._account_busy
        for start in sorted(found, key=self._rank):
            job = self._jobs[start.job]
            if start.job in busy:
                held.append(_waits(start, f"another run of {start.job} goes before"))
            elif job.holds_account and account_busy:
                held.append(_waits(start, "another run holds the account"))
            elif len(chosen) >= room:
                held.append(_waits(start, "as many runs as may run at once are running"))
            else:
                chosen.append(start)
                busy.add(start.job)
                account_busy = account_busy or job.holds_account
        return tuple(chosen), held

    def _rank(self, start: Start) -> tuple[bool, bool, bool, int, str]:
        job = self._jobs[start.job]
        return start.due_ns != 0, not job.sends_orders, not job.holds_account, start.due_ns, start.job

    def _wake_ns(self, waiting: Sequence[Waiting], held: Sequence[Waiting]) -> int:
        """The next due time or deadline; what ends a run or a pause is heard of otherwise."""
        times = [self._now_ns + _AHEAD_NS]
        for name, from_ns in self._recorded.from_ns.items():
            if name in self._jobs:
                after = max(from_ns, self._now_ns + 1)
                ahead = slots(self._jobs[name], self._calendar, from_ns=after, to_ns=times[0])
                times += [ahead[0].due_ns] if ahead else []
        for one in (*waiting, *held):
            slot = Slot(one.due_ns, one.job, one.session)
            resumed = bool(self._attempts(slot))
            deadline_ns = self._deadline_ns(self._jobs[one.job], slot, resumed=resumed)
            if deadline_ns is not None and deadline_ns >= self._now_ns:
                times.append(deadline_ns + 1)
        return min(times)


def _waits(slot: Slot | Start, reason: str) -> Waiting:
    return Waiting(slot.job, slot.session, slot.due_ns, reason)


def _miss(slot: Slot, reason: str) -> Miss:
    return Miss(slot.job, slot.session, slot.due_ns, reason)
