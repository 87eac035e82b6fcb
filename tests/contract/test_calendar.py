"""The calendar port on published facts of the New York Stock Exchange."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from workbench.adapters.calendar import ExchangeCalendar
from workbench.errors import DataError, UsageError


@pytest.fixture(scope="module")
def calendar() -> ExchangeCalendar:
    return ExchangeCalendar(last="2026-12-31")


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000_000


@pytest.mark.parametrize(
    "day", ["2001-09-11", "2012-10-29", "2012-10-30", "2018-12-05", "2025-01-09", "2013-03-02", "2013-03-29"]
)
def test_the_exchange_was_closed(calendar: ExchangeCalendar, day: str) -> None:
    assert not calendar.is_session(day)
    with pytest.raises(UsageError) as caught:
        calendar.session_open_ns(day)
    assert day in caught.value.message
    assert calendar.previous_session(day) in caught.value.next_step
    assert calendar.next_session(day) in caught.value.next_step


@pytest.mark.parametrize(
    ("session", "opens", "closes"),
    [
        ("2024-07-03", "2024-07-03T13:30", "2024-07-03T17:00"),  # half day in summer time
        ("2024-11-29", "2024-11-29T14:30", "2024-11-29T18:00"),  # half day in winter time
        ("2013-03-08", "2013-03-08T14:30", "2013-03-08T21:00"),  # the last session before the clocks change
        ("2013-03-11", "2013-03-11T13:30", "2013-03-11T20:00"),  # and the first after
        ("2006-04-03", "2006-04-03T13:30", "2006-04-03T20:00"),  # the older daylight saving rule
    ],
)
def test_hours_follow_the_exchange_not_utc(
    calendar: ExchangeCalendar, session: str, opens: str, closes: str
) -> None:
    assert calendar.is_session(session)
    assert calendar.session_open_ns(session) == utc(opens)
    assert calendar.session_close_ns(session) == utc(closes)


def test_a_year_has_its_published_number_of_sessions(calendar: ExchangeCalendar) -> None:
    assert len(calendar.sessions_between("2025-01-01", "2025-12-31")) == 250
    sessions = calendar.sessions_between("2000-03-01", "2013-03-01")
    assert len(sessions) == 3270
    assert (sessions[0], sessions[-1]) == ("2000-03-01", "2013-03-01")
    assert calendar.sessions_between("2013-03-02", "2013-03-03") == ()
    assert calendar.sessions_between("2013-03-05", "2013-03-04") == ()


def test_neighbours_are_strictly_before_and_after(calendar: ExchangeCalendar) -> None:
    assert calendar.previous_session("2013-03-04") == "2013-03-01"
    assert calendar.next_session("2013-03-01") == "2013-03-04"
    assert calendar.next_session("2012-10-26") == "2012-10-31"
    assert calendar.previous_session("2013-03-03") == "2013-03-01"
    assert calendar.next_session("2013-03-02") == "2013-03-04"


@pytest.mark.parametrize("text", ["2013-02-30", "20130301", "2013-W09-5", "03/01/2013", "", "2013-3-1", "x"])
def test_a_wrong_date_names_the_argument_and_the_form(calendar: ExchangeCalendar, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        calendar.require_session(text, argument="--session")
    assert "--session" in caught.value.message
    assert "YYYY-MM-DD" in caught.value.next_step
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("day", ["1989-06-01", "2051-01-03"])
def test_a_date_outside_the_calendar_is_unknown_not_closed(calendar: ExchangeCalendar, day: str) -> None:
    for ask in (calendar.is_session, calendar.session_close_ns, calendar.next_session):
        with pytest.raises(DataError) as caught:
            ask(day)
        assert day in caught.value.message
    with pytest.raises(DataError):
        calendar.sessions_between(*sorted((day, "2013-01-02")))


def test_the_ends_of_the_calendar_are_not_neighbours(calendar: ExchangeCalendar) -> None:
    with pytest.raises(DataError):
        calendar.previous_session("1999-01-04")
    with pytest.raises(DataError):
        calendar.next_session("2026-12-31")


def test_without_an_end_the_calendar_reaches_past_today() -> None:
    today = datetime.now(UTC).date().isoformat()
    calendar = ExchangeCalendar(first=f"{int(today[:4]) - 1}-01-01")
    assert calendar.next_session(today) > today
    assert calendar.last > today
