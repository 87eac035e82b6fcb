"""The exchange's sessions, from the exchange-calendars library: the only source of trading hours."""

from __future__ import annotations

import re
import warnings
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from datetime import UTC, date, datetime, tzinfo
from functools import cache, cached_property
from types import MappingProxyType

from workbench.errors import DataError, UsageError

_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


class ExchangeCalendar:
    """Sessions of one exchange; satisfies `core.ports.Calendar`.

    The library is imported and asked once in a process, when the first such object is made; afterwards
    every answer is a look-up. Sessions are ISO dates, times are UTC nanoseconds, half days and daylight
    saving included.

    Parameters
    ----------
    name : str, default "XNYS"
        Exchange, as exchange-calendars spells it.
    first : str, default "1999-01-01"
        First date about which the calendar can be asked.
    last : str or None, default None
        Last such date; None = a year from today, which is how far the library looks ahead.

    Raises
    ------
    UsageError
        `first` or `last` is not a date.
    """

    def __init__(self, name: str = "XNYS", *, first: str = "1999-01-01", last: str | None = None) -> None:
        self.name = name
        self.first = parse_date(first, argument="first")
        self._asked_last = last and parse_date(last, argument="last")

    @cached_property
    def _known(self) -> tuple[Mapping[str, tuple[int, int]], tzinfo]:
        return _library_hours(self.name, self.first, self._asked_last)

    @cached_property
    def _hours(self) -> Mapping[str, tuple[int, int]]:
        return self._known[0]

    @cached_property
    def _sessions(self) -> tuple[str, ...]:
        return tuple(self._hours)

    @property
    def zone(self) -> tzinfo:
        """The exchange's zone."""
        return self._known[1]

    @cached_property
    def last(self) -> str:
        """Last date about which it can be asked; without one that was asked for, the last known session."""
        return self._asked_last or self._sessions[-1]

    def __repr__(self) -> str:
        return f"ExchangeCalendar({self.name!r}, first={self.first!r}, last={self.last!r})"

    def is_session(self, session: str) -> bool:
        """Whether the exchange is open on that date.

        Raises
        ------
        UsageError
            Not a date of the form YYYY-MM-DD.
        DataError
            The date is outside the calendar, so nobody knows.
        """
        return self._within(session) in self._hours

    def require_session(self, session: str, *, argument: str = "session") -> str:
        """The date itself, when the exchange is open on it.

        Parameters
        ----------
        session : str
            ISO date.
        argument : str, default "session"
            What the caller's user knows the value as; named in the error.

        Raises
        ------
        UsageError
            Not a date, or the exchange is closed; names the previous and the next session.
        DataError
            The date is outside the calendar.
        """
        if self._within(session, argument) not in self._hours:
            around = [
                self._sessions[place]
                for place in (bisect_left(self._sessions, session) - 1, bisect_left(self._sessions, session))
                if 0 <= place < len(self._sessions)
            ]
            raise UsageError(
                f"{argument}: {self.name} is closed on {session}",
                next_step=f"use a session; the nearest are {' and '.join(around)}",
                argument=argument,
                session=session,
            )
        return session

    def session_open_ns(self, session: str) -> int:
        """Open of a session, UTC nanoseconds; raises as `require_session`."""
        return self._hours_of(session)[0]

    def session_close_ns(self, session: str) -> int:
        """Close of a session (the early one on half days), UTC nanoseconds; raises as `require_session`."""
        return self._hours_of(session)[1]

    def previous_session(self, session: str) -> str:
        """The last session strictly before that date; DataError when the calendar does not reach it."""
        place = bisect_left(self._sessions, self._within(session)) - 1
        if place < 0:
            raise self._outside(session, "previous session")
        return self._sessions[place]

    def next_session(self, session: str) -> str:
        """The first session strictly after that date; DataError when the calendar does not reach it."""
        place = bisect_right(self._sessions, self._within(session))
        if place == len(self._sessions):
            raise self._outside(session, "next session")
        return self._sessions[place]

    def session_after_ns(self, at_ns: int) -> str:
        """The first session that opens after `at_ns`, UTC nanoseconds."""
        day = datetime.fromtimestamp(at_ns / 1e9, UTC).date().isoformat()
        session = day if self.is_session(day) else self.next_session(day)
        return session if self.session_open_ns(session) > at_ns else self.next_session(session)

    def sessions_between(self, first: str, last: str) -> tuple[str, ...]:
        """All sessions from `first` to `last`, both included; empty when `last` is before `first`."""
        start = bisect_left(self._sessions, self._within(first, "first"))
        return self._sessions[start : bisect_right(self._sessions, self._within(last, "last"))]

    def local_ns(self, date: str, minute: int) -> int:
        """UTC nanoseconds at that minute of the exchange's day.

        A minute that the clocks skip in spring is the one an hour later by the wall, which is the first that
        exists at that distance from midnight; of one that comes twice in autumn it is the first.
        """
        day = datetime.fromisoformat(parse_date(date, argument="date")).replace(tzinfo=self.zone)
        local = day.replace(hour=minute // 60, minute=minute % 60)
        return int(local.astimezone(UTC).timestamp()) * 1_000_000_000

    def local_date(self, at_ns: int) -> str:
        """ISO date of the exchange's wall clock at that time."""
        return datetime.fromtimestamp(at_ns // 1_000_000_000, self.zone).date().isoformat()

    def _hours_of(self, session: str) -> tuple[int, int]:
        hours = self._hours.get(session)
        return self._hours[self.require_session(session)] if hours is None else hours

    def _within(self, session: str, argument: str = "session") -> str:
        if session in self._hours:
            return session
        if not self.first <= parse_date(session, argument=argument) <= self.last:
            raise self._outside(session, "answer")
        return session

    def _outside(self, session: str, what: str) -> DataError:
        return DataError(
            f"calendar {self.name} has no {what} for {session}: it covers {self.first} to {self.last}",
            next_step="use a date inside that range, or update exchange-calendars when it is too old",
            session=session,
        )


@cache
def _library_hours(name: str, first: str, last: str | None) -> tuple[Mapping[str, tuple[int, int]], tzinfo]:
    """Open and close of every session, oldest first, and the zone; half a second, so once a process."""
    from exchange_calendars import get_calendar  # not before a calendar is needed

    with warnings.catch_warnings():  # the library (4.13) asks pandas 3.1 for arrays the old way
        warnings.filterwarnings("ignore", "Series.values returning", DeprecationWarning)
        library = get_calendar(name, start=first, end=last)
    hours = (column.dt.as_unit("ns").astype("int64") for column in (library.opens, library.closes))
    pairs = zip(*(column.tolist() for column in hours), strict=True)
    hours_of = dict(zip(library.sessions.strftime("%Y-%m-%d"), pairs, strict=True))
    return MappingProxyType(hours_of), library.tz


def parse_date(text: str, *, argument: str) -> str:
    """The text itself, when it is a date of the form YYYY-MM-DD.

    Raises
    ------
    UsageError
        Anything else; names the argument.
    """
    try:
        if not _ISO_DATE.fullmatch(text):  # fromisoformat also takes 20130301 and 2013-W09-5
            raise ValueError(text)
        date.fromisoformat(text)
    except (TypeError, ValueError):
        raise UsageError(
            f"{argument}: {text!r} is not a date",
            next_step="write it as YYYY-MM-DD, for example 2013-02-28",
            argument=argument,
            value=text,
        ) from None
    return text
