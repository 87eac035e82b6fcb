"""What declared jobs must be together: needs without a cycle, schedules that come, one job that sends."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from workbench.core.agenda import RECOVERY
from workbench.core.jobs import Job
from workbench.core.schedule import AroundSession, parse_schedule

#: The one job that may be declared to send orders.
TRADING: Final = "trading_loop"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with the declarations: where, what, and what to do."""

    job: str
    key: str
    message: str
    next_step: str


def findings(jobs: Mapping[str, Job]) -> tuple[Finding, ...]:
    """Everything that is wrong with the jobs as a whole; empty when they may be scheduled.

    Examples
    --------
    >>> findings({})
    ()
    """
    return tuple(
        finding
        for job in jobs.values()
        for finding in (*_schedules(job), *_orders(job, jobs), *_needs(job, jobs))
    )


def _schedules(job: Job) -> Iterator[Finding]:
    for key, text in (("schedule", job.schedule), ("resume_until", job.resume_until)):
        try:
            trigger = parse_schedule(text)
        except ValueError as error:
            yield Finding(job.name, key, str(error), 'write "close+10m", or "" for only by hand')
            continue
        if key == "resume_until" and text and not isinstance(trigger, AroundSession):
            yield Finding(job.name, key, f"{text!r} is no time of a session", 'write "close" or ""')
        if key == "schedule" and isinstance(trigger, AroundSession) and not job.needs_session:
            yield Finding(
                job.name, key, f"{text!r} belongs to sessions, and the job needs none",
                "set needs_session = true, or give a cron text",
            )  # fmt: skip


def _orders(job: Job, jobs: Mapping[str, Job]) -> Iterator[Finding]:
    if not job.sends_orders:
        return
    if job.name != TRADING:
        yield Finding(job.name, "sends_orders", f"only {TRADING} may send orders", "set sends_orders = false")
    if job.misfire != "skip":
        yield Finding(
            job.name, "misfire", "a session that sends orders is never run late", 'set misfire = "skip"'
        )
    if job.attempts > 1 and not job.resume_until:
        yield Finding(
            job.name, "resume_until", "a run that sends orders needs an end of its window", 'write "close"'
        )
    if job.attempts > 1 and RECOVERY not in jobs:
        yield Finding(
            job.name, "attempts", f"without a job {RECOVERY} nothing looks before a run is resumed",
            f"declare {RECOVERY}, or set attempts = 1",
        )  # fmt: skip
    if not (job.holds_account and job.needs_session and not job.repeats):
        yield Finding(
            job.name, "holds_account", "a job that sends orders holds the account for one session, once",
            "set holds_account = true, needs_session = true and repeats = false",
        )  # fmt: skip
    if set(job.alert_on) != {"failed", "missed"}:
        yield Finding(
            job.name, "alert_on", "a session that fails or is missed must be heard of",
            'set alert_on = ["failed", "missed"]',
        )  # fmt: skip


def _needs(job: Job, jobs: Mapping[str, Job]) -> Iterator[Finding]:
    for need in job.needs:
        if need not in jobs:
            near = difflib.get_close_matches(need, jobs, n=1)
            step = f"write {near[0]}" if near else "declare it, or take it out of needs"
            yield Finding(job.name, "needs", f"there is no job {need!r}", step)
            continue
        try:
            theirs, ours = parse_schedule(jobs[need].schedule), parse_schedule(job.schedule)
        except ValueError:
            continue  # named already
        if ours is not None and not isinstance(theirs, AroundSession):
            yield Finding(
                job.name, "needs", f"{need} is not due in every session, so this would wait for ever",
                f"give {need} a time of the session, or take it out of needs",
            )  # fmt: skip
    if cycle := _cycle(job.name, jobs):
        yield Finding(job.name, "needs", f"a circle: {' needs '.join(cycle)}", "take one of these needs away")


def _cycle(name: str, jobs: Mapping[str, Job]) -> list[str]:
    """A way from the job along needs back to itself; empty when there is none."""
    ways = [[name]]
    seen: set[str] = set()
    while ways:
        way = ways.pop()
        for need in jobs[way[-1]].needs:
            if need == name:
                return [*way, name]
            if need in jobs and need not in seen:
                seen.add(need)
                ways.append([*way, need])
    return []
