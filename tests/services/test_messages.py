"""What a venue said is written and read back without loss, and given again only to the same question."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workbench.adapters.message_tape import MessageTape, read_messages
from workbench.core.hours import SessionHours
from workbench.core.messages import read, written
from workbench.core.orders import Fill, OrderIntent, OrderState
from workbench.core.ports import (
    Activity,
    Hint,
    LookupResult,
    SubmitOutcome,
    SubmitResult,
    VenueAccount,
    VenueOrder,
)
from workbench.core.types import NANO, OrderType, Quotes, Side, TimeInForce
from workbench.errors import DataError, ManifestMismatch, OutcomeUnknown
from workbench.services.messages import Heard, Talk, ToldBroker, ToldClock, ToldStream

INTENT = OrderIntent(
    "wb1-a", "demo", "trend", "2013-02-01", 1, "AAPL", "entry", Side.BUY, 10 * NANO, OrderType.LIMIT,
    450_000_000, 449_000_000, 8, time_in_force=TimeInForce.GTC,
)  # fmt: skip
ORDER = VenueOrder("wb1-a", "v-1", "AAPL", Side.BUY, 10 * NANO, 4 * NANO, OrderState.PARTIALLY_FILLED)
VALUES: list[Any] = [
    None, True, 7, 1.5, "text", (), (1, ("a", None)), {"AAPL": 3},
    INTENT, ORDER, SubmitResult(SubmitOutcome.ACCEPTED, ORDER), LookupResult(True, True, ORDER, "why"),
    Fill("e", "wb1-a", "AAPL", Side.SELL, NANO, 5, 1, 9), Activity("i", "split", "AAPL", 1, 2, 3, 2, 1),
    VenueAccount("demo", 1, 2, 3, blocked=False, positions_nano={"AAPL": NANO}),
    SessionHours(1, 2, is_open=True), Hint("fill", "wb1-a"),
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_message_is_read_as_it_was_written(value: Any) -> None:
    again = read(json.loads(json.dumps(written(value))))
    assert again == value
    assert type(again) is type(value)


def test_arrays_come_back_as_arrays() -> None:
    quotes = Quotes(("A", "B"), *(np.array([n, n + 1], dtype=np.int64) for n in (1, 3, -1)))
    again = read(json.loads(json.dumps(written(quotes))))
    assert again.symbols == quotes.symbols
    for name in ("bid_micro", "ask_micro", "at_ns"):
        np.testing.assert_array_equal(getattr(again, name), getattr(quotes, name))
        assert getattr(again, name).dtype == np.int64


@pytest.mark.parametrize("value", [object(), {1, 2}, np.ones(2), Path("x")])
def test_what_does_not_belong_into_a_message_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="no part of a message"):
        written(value)


@pytest.mark.parametrize(
    "value", [{"record": "Path", "fields": {}}, {"word": "os", "value": 1}, {"x": 1}, {"record": "Hint",
    "fields": {"other": 1}}, {"word": "Side", "value": 7}]
)  # fmt: skip
def test_what_is_no_message_is_not_read(value: Any) -> None:
    with pytest.raises(ValueError, match=r"is no message|is not a valid"):
        read(value)


class Venue:
    """A port with each kind of answer."""

    generation = 3

    def __init__(self) -> None:
        self.calls = 0

    def account(self) -> int:
        self.calls += 1
        if self.calls == 2:
            raise OutcomeUnknown("no answer", next_step="ask again")
        return self.calls

    def fills(self, *, since_ns: int) -> tuple[int, ...]:
        return (since_ns,)

    def odd(self) -> object:
        return object()


@pytest.fixture
def tape(tmp_path: Path) -> Iterator[MessageTape]:
    tape = MessageTape(tmp_path / "messages.jsonl")
    yield tape
    tape.seal()


def test_a_talk_gives_every_answer_and_every_silence_again(tape: MessageTape, tmp_path: Path) -> None:
    venue = Heard(Venue(), "broker", tape.add)
    assert venue.account() == 1
    with pytest.raises(OutcomeUnknown):
        venue.account()
    assert venue.fills(since_ns=4) == (4,)
    assert venue.account() == 3
    assert venue.generation == 3
    talk = Talk(read_messages(tmp_path / "messages.jsonl", expected_hash=tape.seal()))
    told: Any = ToldBroker(talk)
    assert told.account() == 1
    with pytest.raises(OutcomeUnknown, match="no answer"):
        told.account()
    assert told.fills(since_ns=4) == (4,)
    assert told.account() == 3
    assert talk.answer("broker.generation") == 3
    assert talk.strayed == []


def test_what_was_never_asked_has_no_answer(tape: MessageTape, tmp_path: Path) -> None:
    Heard(Venue(), "broker", tape.add).fills(since_ns=4)
    talk = Talk(read_messages(tmp_path / "messages.jsonl", expected_hash=tape.seal()))
    told: Any = ToldBroker(talk)
    with pytest.raises(OutcomeUnknown, match="not asked"):
        told.fills(since_ns=5)
    assert told.submit(INTENT).outcome is SubmitOutcome.UNKNOWN
    assert told.cancel("wb1-a").outcome is SubmitOutcome.UNKNOWN
    assert told.lookup("wb1-a") == LookupResult(
        found=False, answered=False, reason="broker.lookup: this was not asked in the recorded run"
    )
    assert len(talk.strayed) == 4
    assert told.fills(since_ns=4) == (4,)


def test_an_answer_that_cannot_be_written_never_stops_the_session(tape: MessageTape, tmp_path: Path) -> None:
    assert Heard(Venue(), "broker", tape.add).odd() is not None
    talk = Talk(read_messages(tmp_path / "messages.jsonl", expected_hash=tape.seal()))
    with pytest.raises(OutcomeUnknown, match="no part of a message"):
        talk.answer("broker.odd")


class Ticking:
    """A clock that moves by itself."""

    def __init__(self) -> None:
        self.at = 100

    def now_ns(self) -> int:
        self.at += 10
        return self.at

    def wall_ns(self) -> int:
        return 7 * self.now_ns()

    def sleep_until(self, at_ns: int) -> None:
        self.at = max(self.at, at_ns)


def test_a_told_clock_says_what_it_said_and_never_stands_still_when_left_alone(
    tape: MessageTape, tmp_path: Path
) -> None:
    clock = Heard(Ticking(), "clock", tape.add)
    said = [clock.now_ns(), clock.wall_ns(), clock.now_ns()]
    clock.sleep_until(1_000)
    said.append(clock.now_ns())
    talk = Talk(read_messages(tmp_path / "messages.jsonl", expected_hash=tape.seal()))
    told = ToldClock(talk, 0, start_wall_ns=0)
    again = [told.now_ns(), told.wall_ns(), told.now_ns()]
    told.sleep_until(1_000)
    assert [*again, told.now_ns()] == said
    told.sleep_until(5_000)
    assert told.now_ns() == 5_000
    stream = ToldStream(talk, told)
    assert not stream.wait(0.25)
    assert told.now_ns() == 5_000 + NANO // 4
    assert (stream.trouble(), stream.take(), stream.generation) == ("", (), 1)


# --- the tape -------------------------------------------------------------------------------------------


def test_an_altered_or_missing_tape_is_named(tape: MessageTape, tmp_path: Path) -> None:
    tape.add(["broker.account", [], 1])
    tape.add(["broker.account", [], 2])
    digest = tape.seal()
    path = tmp_path / "messages.jsonl"
    assert len(read_messages(path, expected_hash=digest)) == 2
    path.write_bytes(path.read_bytes().replace(b"2", b"3"))
    with pytest.raises(ManifestMismatch, match=r"messages\.jsonl have sha256"):
        read_messages(path, expected_hash=digest)
    path.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        read_messages(path, expected_hash=digest)


def test_a_tape_that_cannot_be_written_is_broken_and_has_no_hash(tmp_path: Path) -> None:
    tape = MessageTape(tmp_path / "absent" / "messages.jsonl")
    tape.add(["broker.account", [], 1])
    assert tape.trouble
    assert tape.seal() == ""
    half = MessageTape(tmp_path / "messages.jsonl")
    half.add(["broker.account", [], 1])
    half.add(["broker.account", [], float("nan")])
    half.add(["broker.account", [], 3])
    assert half.trouble.startswith("message 2 cannot be written")
    assert half.seal() == ""
