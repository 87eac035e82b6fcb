"""Schedules mean what they say on half days, holidays and days when the clocks move."""

from __future__ import annotations

import datetime

import pytest
from fortnight import Fortnight, at, job

from workbench.adapters.calendar import ExchangeCalendar
from workbench.core.schedule import AroundSession, Daily, parse_schedule, slots

CALENDAR = Fortnight()
DAY = 24 * 3600 * 10**9


def due(schedule: str, first: str, last: str, **changes: object) -> list[tuple[str, str]]:
    probe = job("probe", schedule, **changes)
    found = slots(probe, CALENDAR, from_ns=at(f"{first} 00:00"), to_ns=at(f"{last} 23:59"))
    return [
        (one.session, f"{datetime.datetime.fromtimestamp(one.due_ns / 1e9, datetime.UTC):%m-%d %H:%M}")
        for one in found
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "trigger"),
    [
        ("open-30m", AroundSession("open", -30)),
        ("close", AroundSession("close", 0)),
        ("close+10m", AroundSession("close", 10)),
        ("15:40 before each close, half days included", AroundSession("close", -20)),
        ("15:40 before close", AroundSession("close", -20)),
    ],
)
def test_times_of_a_session(text: str, trigger: AroundSession) -> None:
    assert parse_schedule(text) == trigger


def test_no_schedule_is_no_trigger() -> None:
    assert parse_schedule("  ") is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("open-30", "is no schedule"),
        ("noon", "is no schedule"),
        ("open+800m", "more than 12 hours"),
        ("16:40 before close", "usual close"),
        ("0 18 * *", "is no schedule"),
        ("*/5 18 * * *", "one number each"),
        ("0 9,18 * * *", "one number each"),
        ("60 18 * * *", "there is no"),
        ("0 24 * * *", "there is no"),
        ("0 18 32 * *", "outside"),
        ("0 18 0 * *", "outside"),
        ("0 18 * 13 *", "outside"),
        ("0 18 * * 8", "outside"),
        ("0 18 * * FUN", "no cron field"),
        ("0 18 30 2 *", "never comes"),
        ("0 18 31 4,6,9,11 *", "never comes"),
        ("0 18 5-3 * *", "outside"),
        ("0 18 */0 * *", "outside"),
    ],
)
def test_a_schedule_that_means_nothing_or_never_comes_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_schedule(text)


def test_a_leap_day_does_come() -> None:
    assert parse_schedule("0 18 29 2 *") == Daily(1080, frozenset({29}), frozenset({2}), frozenset(range(7)))


@pytest.mark.parametrize(("text", "days"), [("FRI", {4}), ("0", {6}), ("7", {6}), ("MON-FRI", set(range(5)))])
def test_weekdays_are_those_of_cron(text: str, days: set[int]) -> None:
    trigger = parse_schedule(f"0 18 * * {text}")
    assert isinstance(trigger, Daily)
    assert trigger.weekdays == days


def test_a_half_day_a_holiday_and_the_change_of_clocks() -> None:
    assert due("close-20m", "2026-03-04", "2026-03-10") == [
        ("2026-03-04", "03-04 20:40"),  # 15:40 in winter
        ("2026-03-05", "03-05 17:40"),  # 12:40, the half day
        ("2026-03-09", "03-09 19:40"),  # 15:40 in summer: an hour earlier by UTC
        ("2026-03-10", "03-10 19:40"),
    ]


def test_a_cron_text_is_exchange_time_and_belongs_to_the_last_closed_session() -> None:
    assert due("0 18 * * FRI", "2026-03-02", "2026-03-13") == [
        ("2026-03-05", "03-06 23:00"),  # a holiday: Thursday is the last session
        ("2026-03-13", "03-13 22:00"),
    ]


def test_a_session_is_due_once_however_often_the_cron_text_comes() -> None:
    assert [session for session, _ in due("0 18 * * *", "2026-03-05", "2026-03-10")] == [
        "2026-03-05", "2026-03-09", "2026-03-10",
    ]  # fmt: skip
    # also when the question begins in the middle of the long weekend
    assert due("0 18 * * *", "2026-03-07", "2026-03-08") == []


def test_a_job_without_sessions_is_due_on_dates() -> None:
    assert due("30 2 * * *", "2026-03-07", "2026-03-09", needs_session=False) == [
        ("2026-03-07", "03-07 07:30"),
        ("2026-03-08", "03-08 07:30"),  # 02:30 does not exist: an hour later by the wall, 03:30
        ("2026-03-09", "03-09 06:30"),
    ]


def test_the_real_calendar_agrees_about_skipped_and_doubled_minutes() -> None:
    real = ExchangeCalendar(first="2026-01-02", last="2026-12-31")
    assert real.local_ns("2026-03-08", 150) == at("2026-03-08 03:30")
    assert real.local_ns("2026-11-01", 90) == at("2026-11-01 01:30")
    assert real.local_ns("2026-11-01", 180) - real.local_ns("2026-11-01", 0) == 4 * 3600 * 10**9
    assert real.local_date(at("2026-03-08 23:59")) == "2026-03-08"
    assert str(real.zone) == "America/New_York"


def test_slots_are_those_of_every_shorter_question() -> None:
    first, last = at("2026-03-01 00:00"), at("2026-03-15 00:00")
    for text in ("open-30m", "close+50m", "0 18 * * FRI", "15 7 * * *"):
        probe = job("probe", text)
        whole = slots(probe, CALENDAR, from_ns=first, to_ns=last)
        pieces = [
            one
            for start in range(first, last, DAY // 2)
            for one in slots(probe, CALENDAR, from_ns=start, to_ns=start + DAY // 2 - 1)
        ]
        assert pieces == [one for one in whole if one.due_ns < last]
        assert len(whole) >= 2
