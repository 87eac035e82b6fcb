"""A venue that is silent for a moment, or for long: reads are repeated within a bound, then a clean no."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import drive
import pytest

from workbench.bootstrap.desk import Desk
from workbench.config import Settings
from workbench.core.hours import SessionHours, hours_trouble
from workbench.core.orders import OrderState
from workbench.errors import OutcomeUnknown, Refused
from workbench.services.preflight import failed
from workbench.services.reading import READ_WAITS_S, PersistentReads

NewDesk = Callable[[str], Settings]
FIRST, SECOND, THIRD = "2013-02-01", "2013-02-04", "2013-02-05"
READS = ("orders", "fills", "activities", "account", "quotes", "now_ns", "hours")


def rows(settings: Settings, projection: str, **equals: Any) -> list[dict[str, Any]]:
    return Desk(settings).journal.rows(projection, **equals)


def silent(*_: Any, **__: Any) -> Any:
    raise OutcomeUnknown("the venue gave no trustworthy answer: status 502 with HTML")


def after(calls: int, real: Callable[..., Any]) -> Callable[..., Any]:
    """A read that answers so many times and is silent from then on."""
    left = [calls]

    def read(*args: Any, **kwargs: Any) -> Any:
        left[0] -= 1
        return real(*args, **kwargs) if left[0] >= 0 else silent()

    return read


@pytest.mark.parametrize(
    ("read", "name"),
    [("now_ns", "clocks agree"), ("hours", "hours agree"), ("account", "venue account open"),
     ("activities", "share terms agree")],
)  # fmt: skip
def test_a_silent_venue_is_a_line_of_the_preflight_table(new_desk: NewDesk, read: str, name: str) -> None:
    settings = new_desk(read)
    for session in (FIRST, SECOND):
        drive.trade(settings, session)  # something is held from here on
    job = drive.start(settings, THIRD)
    try:
        setattr(job.account.broker, read, silent)
        bad = {check.name: check for check in failed(job.trading.preflight())}
        assert "502" in bad[name].found
        assert bad[name].next_step
    finally:
        job.account.close()


def test_a_venue_that_falls_silent_at_the_start_refuses_and_the_session_may_run_again(
    new_desk: NewDesk,
) -> None:
    settings = new_desk("start")
    job = drive.start(settings, FIRST)
    try:
        job.account.broker.hours = silent
        with pytest.raises(Refused):
            job.trading.start()
    finally:
        job.account.close()
    assert drive.trade(settings, FIRST)["equal_to_venue"]


@pytest.mark.parametrize("read", ["orders", "account", "quotes"])
def test_silence_before_a_decision_refuses_decides_nothing_and_leaves_the_session_to_be_run(
    new_desk: NewDesk, read: str
) -> None:
    settings, undisturbed = new_desk(read), new_desk("undisturbed")
    job = drive.start(settings, FIRST)
    try:
        job.trading.start()
        setattr(job.account.broker, read, silent)
        with pytest.raises(Refused, match="nothing has left") as caught:
            job.trading.decide(job.trading.times.decision_ns[0])
        assert caught.value.exit_code == 3
    finally:
        job.account.close()
    assert rows(settings, "decisions") == []
    assert rows(settings, "leases")[0]["released"]
    assert drive.trade(settings, FIRST)["digest"] == drive.trade(undisturbed, FIRST)["digest"]


@pytest.mark.parametrize("answers", [1, 2, 3, 4])
def test_silence_in_a_last_look_stops_the_sending_and_not_the_session(
    new_desk: NewDesk, answers: int
) -> None:
    """However far the batch has come: what has left is watched, the rest goes out once the venue answers."""
    settings, undisturbed = new_desk("looks"), new_desk("undisturbed")
    for desk in (settings, undisturbed):
        drive.trade(desk, FIRST)
    job = drive.start(settings, SECOND)  # two orders in one batch
    try:
        job.trading.start()
        real = job.account.broker.account
        job.account.broker.account = after(answers, real)  # the first answer is the decision's
        (scheduled_ns,) = job.trading.times.decision_ns
        orders = job.trading.decide(scheduled_ns)
        waiting = [o for o in orders if o.state in (OrderState.INTENDED, OrderState.NOT_ACCEPTED)]
        assert waiting
        assert not [o for o in orders if o.state in (OrderState.SENT, OrderState.UNKNOWN)]
        assert job.trading._send_due() == 0  # still silent: nothing leaves, nothing ends
        job.account.broker.account = real
        assert job.trading._send_due() == len(waiting)
        job.trading.watch()
        job.trading.close()
        job.finish()
    finally:
        job.account.close()
    drive.trade(undisturbed, SECOND)
    same = ("client_order_id", "state", "filled_nano")
    found = [
        [tuple(row[name] for name in same) for row in rows(d, "orders")] for d in (settings, undisturbed)
    ]
    assert found[0] == found[1]


@pytest.mark.parametrize("read", READS)
def test_a_read_is_asked_again_within_the_bound_and_no_further(read: str) -> None:
    arguments: dict[str, Any] = {
        "orders": {"since_ns": 1}, "fills": {"since_ns": 1}, "activities": {"since_ns": 1}, "account": {},
        "quotes": {"symbols": ("AAA",)}, "now_ns": {}, "hours": {"session": FIRST},
    }[read]  # fmt: skip

    class Venue:
        def __init__(self, silences: int) -> None:
            self.silences, self.asked = silences, 0

        def answer(self, *_: Any, **__: Any) -> str:
            self.asked += 1
            return silent() if self.asked <= self.silences else "an answer"

        def __getattr__(self, name: str) -> Any:
            return self.answer

    for silences in range(len(READ_WAITS_S) + 1):
        venue, waits = Venue(silences), []
        reads: Any = PersistentReads(venue, wait=waits.append)  # type: ignore[arg-type]
        assert getattr(reads, read)(**arguments) == "an answer"
        assert waits == list(READ_WAITS_S[:silences])
    venue = Venue(100)
    reads = PersistentReads(venue, wait=lambda seconds: None)  # type: ignore[arg-type]
    with pytest.raises(OutcomeUnknown):
        getattr(reads, read)(**arguments)
    assert venue.asked == len(READ_WAITS_S) + 1


@pytest.mark.parametrize("call", ["submit", "cancel", "lookup"])
def test_what_may_change_the_venue_is_asked_once(call: str) -> None:
    asked: list[str] = []

    class Venue:
        def __getattr__(self, name: str) -> Any:
            return lambda *_: asked.append(name) or silent()

    reads: Any = PersistentReads(Venue(), wait=lambda seconds: None)  # type: ignore[arg-type]
    with pytest.raises(OutcomeUnknown):
        getattr(reads, call)("x")
    assert asked == [call]


HOURS = SessionHours(100, 200, is_open=True)


@pytest.mark.parametrize(
    ("change", "words"),
    [({}, ""), ({"open_ns": -1, "close_ns": -1}, "no such session"), ({"open_ns": 60 * 10**9}, "opens"),
     ({"close_ns": 60 * 10**9}, "closes"), ({"is_open": False}, "closed now")],
)  # fmt: skip
def test_the_hours_must_be_the_same_in_every_point(change: dict[str, Any], words: str) -> None:
    found = hours_trouble(HOURS, dataclasses.replace(HOURS, **change), at_border=False)
    assert (words in found) if words else found == ""


def test_at_the_border_only_the_word_for_now_may_differ() -> None:
    assert hours_trouble(HOURS, dataclasses.replace(HOURS, is_open=False), at_border=True) == ""
    assert hours_trouble(HOURS, dataclasses.replace(HOURS, open_ns=-1), at_border=True)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"open_ns": -1, "close_ns": -1}, "no such session"), ({"close_ns": 1_000}, "closes"),
     ({"is_open": True}, "open now")],
)  # fmt: skip
def test_a_venue_with_other_hours_is_not_traded_at(
    new_desk: NewDesk, change: dict[str, Any], words: str
) -> None:
    settings = new_desk("hours")
    job = drive.start(settings, FIRST)
    try:
        real = job.account.broker.hours
        job.account.broker.hours = lambda session: dataclasses.replace(real(session), **change)
        with pytest.raises(Refused, match=words):
            job.trading.start()
    finally:
        job.account.close()
    assert rows(settings, "leases")[0]["released"]
