"""The stream of trade updates against a venue that misbehaves in every way that was ever measured."""

from __future__ import annotations

import contextlib
import json
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol
from websockets.sync.server import ServerConnection, serve

from tests.support.wire import KEY, SECRET, wait_for
from workbench.adapters.alpaca_stream import AlpacaStream, FrameInbox, read_frames
from workbench.errors import StorageFailed

AUTHORIZED = {"stream": "authorization", "data": {"status": "authorized", "action": "authenticate"}}
LISTENING = {"stream": "listening", "data": {"streams": ["trade_updates"]}}


def update(event: str, identity: str = "wb1-a") -> dict[str, Any]:
    return {"stream": "trade_updates", "data": {"event": event, "order": {"client_order_id": identity}}}


class Venue:
    """Answers the login, then does what the test says to each connection."""

    def __init__(self) -> None:
        self.logins: list[Any] = []
        self.auth: Any = AUTHORIZED
        self.ack: Any = LISTENING
        self.lines: list[ServerConnection] = []
        self._server = serve(self._talk, "127.0.0.1", 0, close_timeout=0.1)
        self.url = f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}/stream"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _talk(self, line: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            self.logins.append(json.loads(line.recv()))
            for answer in (self.auth, self.ack):
                if answer is None:
                    break
                line.send(json.dumps(answer).encode())  # JSON in binary frames, as the real one
                if answer is self.auth:
                    line.recv()
            else:
                self.lines.append(line)
            line.recv()

    def tell(self, *frames: Any) -> None:
        for frame in frames:
            self.lines[-1].send(frame if isinstance(frame, str | bytes) else json.dumps(frame).encode())

    def close(self) -> None:
        self._server.shutdown()


@pytest.fixture
def venue() -> Iterator[Venue]:
    made = Venue()
    yield made
    made.close()


@pytest.fixture
def listen(venue: Venue, tmp_path: Path) -> Iterator[Callable[..., AlpacaStream]]:
    made: list[AlpacaStream] = []

    def start(**changes: Any) -> AlpacaStream:
        limits: dict[str, Any] = {"answer_s": 0.3, "ping_s": 5.0, "lag_s": 5.0, "backoff_s": (0.02,)}
        inbox = FrameInbox(tmp_path / "frames.jsonl")
        made.append(AlpacaStream(url=venue.url, key=KEY, secret=SECRET, inbox=inbox, **(limits | changes)))
        made[-1].start()
        return made[-1]

    yield start
    for stream in made:
        stream.close()


def connected(stream: AlpacaStream, generation: int = 1) -> bool:
    return wait_for(lambda: stream.generation == generation)


def test_events_are_hints_and_every_frame_is_on_disk_first(
    venue: Venue, listen: Callable[..., AlpacaStream], tmp_path: Path
) -> None:
    stream = listen()
    assert connected(stream)
    venue.tell(update("new"), update("fill"))
    assert wait_for(lambda: len(read_frames(tmp_path / "frames.jsonl")) == 4)
    assert stream.wait(1.0)
    assert wait_for(lambda: len(stream._hints) == 2)
    assert [(hint.event, hint.client_order_id) for hint in stream.take()] == [
        ("new", "wb1-a"),
        ("fill", "wb1-a"),
    ]
    assert stream.take() == ()
    assert venue.logins == [{"action": "authenticate", "data": {"key_id": KEY, "secret_key": SECRET}}]


def test_a_new_connection_is_in_trouble_until_it_is_reconciled(
    venue: Venue, listen: Callable[..., AlpacaStream]
) -> None:
    stream = listen()
    assert connected(stream)
    assert "not reconciled" in stream.trouble()
    stream.reconciled(1)
    assert stream.trouble() == ""
    venue.lines[-1].socket.close()
    assert connected(stream, 2)
    assert "not reconciled" in stream.trouble()
    stream.reconciled(1)  # it began before the gap
    assert "not reconciled" in stream.trouble()
    stream.reconciled(2)
    assert stream.trouble() == ""


@pytest.mark.parametrize(
    "frame",
    [
        b"{nonsense", "[1, 2]", b"\xff\xfe", {"stream": "trade_updates", "data": None},
        {"stream": "trade_updates", "data": {"event": "fill"}},
        {"stream": "trade_updates", "data": {"event": 7, "order": {"client_order_id": "wb1-a"}}},
    ],
)  # fmt: skip
def test_a_poisoned_frame_is_parked_and_the_next_one_heard(
    venue: Venue, listen: Callable[..., AlpacaStream], tmp_path: Path, frame: Any
) -> None:
    stream = listen()
    assert connected(stream)
    venue.tell(frame, update("fill"))
    assert wait_for(lambda: len(stream._hints) == 2)
    assert [hint.event for hint in stream.take()] == ["unreadable", "fill"]
    assert stream.parked == 1
    assert len(read_frames(tmp_path / "frames.jsonl")) == 4


def test_a_refused_login_ends_at_once_and_for_good(venue: Venue, listen: Callable[..., AlpacaStream]) -> None:
    venue.auth = {"stream": "authorization", "data": {"status": "unauthorized"}}
    stream = listen()
    assert wait_for(lambda: stream.refused)
    assert wait_for(lambda: not stream._thread.is_alive())
    assert len(venue.logins) == 1
    assert "refused" in stream.trouble()
    assert stream.silent_s() > 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"auth": None}, "no answer: authorization"),
        ({"ack": None}, "no answer: listening"),
        ({"ack": {"stream": "listening", "data": {"streams": []}}}, "refused: listening"),
        ({"ack": {"stream": "listening", "data": None}}, "refused: listening"),
    ],
)
def test_a_login_without_its_answers_is_tried_again(
    venue: Venue, listen: Callable[..., AlpacaStream], change: dict[str, Any], words: str
) -> None:
    for name, value in change.items():
        setattr(venue, name, value)
    stream = listen()
    assert wait_for(lambda: words in stream.trouble())
    assert stream.generation == 0
    venue.auth, venue.ack = AUTHORIZED, LISTENING
    assert connected(stream)


def test_a_mute_connection_is_dropped_when_an_order_is_not_mentioned(
    venue: Venue, listen: Callable[..., AlpacaStream]
) -> None:
    stream = listen(lag_s=0.1)
    assert connected(stream)
    stream.expect("wb1-a")
    venue.tell(update("new", "wb1-a"))
    assert wait_for(lambda: not stream._expected)
    assert stream.generation == 1
    stream.expect("wb1-b")
    assert connected(stream, 2)


def test_a_half_open_line_is_noticed_by_the_ping(
    venue: Venue, listen: Callable[..., AlpacaStream], monkeypatch: pytest.MonkeyPatch
) -> None:
    send = Protocol.send_frame

    def no_pong(self: Protocol, frame: Frame) -> None:
        if frame.opcode is not Opcode.PONG:
            send(self, frame)

    monkeypatch.setattr(Protocol, "send_frame", no_pong)
    stream = listen(ping_s=0.1)
    assert connected(stream, 2)


def test_a_venue_that_is_gone_is_trouble_and_closing_is_quick(
    venue: Venue, listen: Callable[..., AlpacaStream]
) -> None:
    stream = listen()
    assert connected(stream)
    venue.close()
    venue.lines[-1].socket.close()
    assert wait_for(lambda: "down" in stream.trouble())
    before = time.monotonic()
    stream.close()
    assert not stream._thread.is_alive()
    assert time.monotonic() - before < 2.0


def test_the_secret_is_in_no_frame_message_or_copy(
    venue: Venue, listen: Callable[..., AlpacaStream], tmp_path: Path
) -> None:
    stream = listen()
    assert connected(stream)
    venue.tell(update(f"echo {SECRET}"), f'{{"stream": "{KEY}"'.encode())
    assert wait_for(lambda: len(stream._hints) == 2)
    told = (tmp_path / "frames.jsonl").read_text() + repr(stream) + repr(stream.take()) + stream.trouble()
    assert "***" in told
    assert SECRET not in told
    assert KEY not in told
    with pytest.raises(TypeError):
        pickle.dumps(stream)


def test_the_inbox_survives_a_torn_line_and_says_when_it_cannot_be_kept(tmp_path: Path) -> None:
    inbox = FrameInbox(tmp_path / "frames.jsonl")
    inbox.append("one", at_ns=1, generation=1)
    inbox.close()
    with (tmp_path / "frames.jsonl").open("ab") as file:
        file.write(b'{"at_ns": 2, "fra')
    again = FrameInbox(tmp_path / "frames.jsonl")
    again.append("two", at_ns=3, generation=2)
    assert [row["frame"] for row in read_frames(again.path)] == ["one", "two"]
    again.close()
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageFailed):
        FrameInbox(tmp_path / "file" / "frames.jsonl")
    full = FrameInbox(Path("/dev/full"))
    with pytest.raises(StorageFailed, match="cannot keep a frame"):
        full.append("x", at_ns=1, generation=1)
    full.close()
