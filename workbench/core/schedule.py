"""When jobs are due, and what is to be done about it now: a pure function of what is declared and recorded.

Times are read off the exchange calendar, so half days, holidays and daylight saving need no rule of their
own. Nothing here remembers: a restart, a jump of the clock or another host comes to the same answer.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Final, Protocol

from workbench.core.jobs import Job
from workbench.core.ports import Calendar
from workbench.core.types import NANO

MINUTE_NS: Final = 60 * NANO
#: Two calls of one cron text that belong to the same session are never further apart, in days.
_LONGEST_BREAK: Final = 15
#: The usual close of the exchange, exchange time: what "15:40 before close" is measured from.
_USUAL_CLOSE: Final = 16 * 60
_MOST_MINUTES: Final = 12 * 60
_WEEKDAYS: Final = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")


class ExchangeTime(Calendar, Protocol):
    """A calendar that also knows the exchange's wall clock."""

    def local_ns(self, date: str, minute: int) -> int:
        """UTC nanoseconds at that minute of the exchange's day.

        A minute that the clocks skip is the next one that exists, of one that comes twice it is the first.
        """
        ...

    def local_date(self, at_ns: int) -> str:
        """ISO date of the exchange at that time."""
        ...


@dataclass(frozen=True)
class AroundSession:
    """So many minutes after (or, negative, before) the open or the close of every session."""

    anchor: str
    minutes: int

    def at_ns(self, calendar: Calendar, session: str) -> int:
        """The time of one session, UTC nanoseconds."""
        edge = calendar.session_open_ns if self.anchor == "open" else calendar.session_close_ns
        return edge(session) + self.minutes * MINUTE_NS


@dataclass(frozen=True)
class Daily:
    """One minute of the exchange's day, on the days that a cron text names."""

    minute: int
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]

    def falls_on(self, date: datetime.date) -> bool:
        """Whether the date is one of its days; all three fields must agree."""
        return (
            date.day in self.days and date.month in self.months and date.weekday() in self.weekdays
        )  # unlike cron, which takes either of two restricted day fields: one rule is enough


Trigger = AroundSession | Daily


@cache
def parse_schedule(text: str) -> Trigger | None:
    """What a schedule means; None for "", which is due by no clock.

    Parameters
    ----------
    text : str
        "open-30m", "close+10m", "15:40 before each close, half days included" (as long before every close
        as 15:40 is before 16:00), or a cron text "MINUTE HOUR DAY MONTH WEEKDAY" in exchange time with one
        minute and one hour.

    Raises
    ------
    ValueError
        Anything else, more than once a day, or days that never come.
    """
    words = text.strip()
    if not words:
        return None
    if found := re.fullmatch(r"(open|close)(?:([+-])(\d{1,3})m)?", words):
        minutes = int(f"{found[2] or '+'}{found[3] or 0}")
        return AroundSession(found[1], _bounded(minutes, words))
    if found := re.fullmatch(
        r"([01]\d|2[0-3]):([0-5]\d) before (?:each )?close(?:, half days included)?", words
    ):
        minutes = int(found[1]) * 60 + int(found[2]) - _USUAL_CLOSE
        if minutes > 0:
            raise ValueError(f"{text!r}: the usual close is 16:00, exchange time")
        return AroundSession("close", _bounded(minutes, words))
    fields = words.split()
    if len(fields) != 5:
        raise ValueError(
            f"{text!r} is no schedule: write open-30m, close+10m, 15:40 before close, or five cron fields"
        )
    return _cron(fields, text)


def _bounded(minutes: int, text: str) -> int:
    if abs(minutes) > _MOST_MINUTES:
        raise ValueError(f"{text!r} is more than 12 hours away from its session")
    return minutes


def _cron(fields: list[str], text: str) -> Daily:
    if not all(re.fullmatch(r"\d{1,2}", one) for one in fields[:2]):
        raise ValueError(f"{text!r}: minute and hour are one number each: a job runs once a session or day")
    minute, hour = int(fields[0]), int(fields[1])
    if minute > 59 or hour > 23:
        raise ValueError(f"{text!r}: there is no {hour:02d}:{minute:02d}")
    numbered = re.sub("|".join(_WEEKDAYS), lambda day: str(_WEEKDAYS.index(day[0]) + 1), fields[4].upper())
    weekdays = {(day + 6) % 7 for day in _numbers(numbered, 0, 7, text)}  # cron: 0 and 7 are Sunday
    daily = Daily(
        hour * 60 + minute,
        frozenset(_numbers(fields[2], 1, 31, text)),
        frozenset(_numbers(fields[3], 1, 12, text)),
        frozenset(weekdays),
    )
    first = datetime.date(2000, 1, 1)  # any 28 years hold every date on every weekday
    if not any(daily.falls_on(first + datetime.timedelta(days)) for days in range(28 * 366)):
        raise ValueError(f"{text!r} never comes: no such day exists")
    return daily


def _numbers(field_text: str, low: int, high: int, text: str) -> set[int]:
    found: set[int] = set()
    for part in field_text.split(","):
        match = re.fullmatch(r"(?:\*|(\d{1,2})(?:-(\d{1,2}))?)(?:/(\d{1,2}))?", part)
        if match is None:
            raise ValueError(f"{text!r}: {part!r} is no cron field")
        first = low if match[1] is None else int(match[1])
        last = high if match[1] is None else int(match[2] or match[1])
        step = int(match[3] or 1)
        if not (low <= first <= last <= high and step):
            raise ValueError(f"{text!r}: {part!r} is outside {low} to {high}")
        found.update(range(first, last + 1, step))
    return found


# --- what is due ------------------------------------------------------------------------------------------


@dataclass(frozen=True, order=True)
class Slot:
    """One session of one job that is due at a time, UTC nanoseconds."""

    due_ns: int
    job: str
    session: str


def slots(job: Job, calendar: ExchangeTime, *, from_ns: int, to_ns: int) -> list[Slot]:
    """Every slot of a job that is due from `from_ns` to `to_ns`, both included, in order."""
    trigger = parse_schedule(job.schedule)
    if trigger is None or to_ns < from_ns:
        return []
    if isinstance(trigger, AroundSession):
        first = _shifted(calendar.local_date(from_ns), -1)
        last = _shifted(calendar.local_date(to_ns), 1)
        found = [
            Slot(trigger.at_ns(calendar, session), job.name, session)
            for session in calendar.sessions_between(first, last)
        ]
    else:
        found = list(_daily_slots(job, trigger, calendar, from_ns, to_ns))
    return [slot for slot in found if from_ns <= slot.due_ns <= to_ns]


def _daily_slots(
    job: Job, trigger: Daily, calendar: ExchangeTime, from_ns: int, to_ns: int
) -> Iterator[Slot]:
    """One slot a session (or a date, of a job without session): the first call after its close."""
    date = _shifted(calendar.local_date(from_ns), -_LONGEST_BREAK)
    last, before = calendar.local_date(to_ns), ""
    while date <= last:
        if trigger.falls_on(datetime.date.fromisoformat(date)):
            due_ns = calendar.local_ns(date, trigger.minute)
            session = _closed_by(calendar, date, due_ns) if job.needs_session else date
            if session != before:
                yield Slot(due_ns, job.name, session)
            before = session
        date = _shifted(date, 1)


def _closed_by(calendar: Calendar, date: str, at_ns: int) -> str:
    """The last session that was closed at that time."""
    session = date if calendar.is_session(date) else calendar.previous_session(date)
    return session if calendar.session_close_ns(session) <= at_ns else calendar.previous_session(session)


def _shifted(date: str, days: int) -> str:
    return (datetime.date.fromisoformat(date) + datetime.timedelta(days)).isoformat()


# --- what is recorded, and what to do ------------------------------------------------------------------


@dataclass(frozen=True)
class Attempt:
    """One recorded run; `began` and `ended` order it among all records, `ended` is 0 while it runs."""

    run_id: str
    job: str
    session: str
    status: str
    due_ns: int
    began: int
    ended: int


@dataclass(frozen=True)
class Recorded:
    """All that the decision rests on.

    Attributes
    ----------
    attempts : tuple of Attempt
        In order of their start.
    missed : mapping of (job, session, due_ns) to str
        Slots that were named as missed, with the reason.
    from_ns : mapping of str to int
        By job, the time since which its schedule counts; a job that is absent is not scheduled yet.
    paused : mapping of str to str
        By job, who paused it and why.
    halted : str
        Why the account may not trade; "" = it may.
    """

    attempts: tuple[Attempt, ...] = ()
    missed: Mapping[tuple[str, str, int], str] = field(default_factory=dict)
    from_ns: Mapping[str, int] = field(default_factory=dict)
    paused: Mapping[str, str] = field(default_factory=dict)
    halted: str = ""


@dataclass(frozen=True)
class Start:
    """Run a job for a session now."""

    job: str
    session: str
    due_ns: int
    cause: str


@dataclass(frozen=True)
class Miss:
    """Name a slot as missed; it is never run by the scheduler afterwards."""

    job: str
    session: str
    due_ns: int
    reason: str


@dataclass(frozen=True)
class Waiting:
    """A slot that is due and neither run nor missed, and what it waits for."""

    job: str
    session: str
    due_ns: int
    reason: str


@dataclass(frozen=True)
class Agenda:
    """What to do now.

    Attributes
    ----------
    starts : tuple of Start
        At most one a job, and at most one that holds the account.
    misses : tuple of Miss
    waiting : tuple of Waiting
    wake_ns : int
        The next time at which the answer may change by itself, UTC nanoseconds.
    settled_ns : mapping of str to int
        By job, a time before which every slot is done or named as missed.
    """

    starts: tuple[Start, ...]
    misses: tuple[Miss, ...]
    waiting: tuple[Waiting, ...]
    wake_ns: int
    settled_ns: Mapping[str, int]
