"""One connection for trade updates that is known to be alive, or is known not to be.

The SDK's own stream retries a refused login for ever, waits for ever for an unanswered one, drops events it
cannot parse and never says that it missed some; so this is a client of our own. Whatever it hears is a hint.
Every new connection is a new *generation*: events may be missing before it, and nothing new is sent until a
full reconciliation has been done for it.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import deque
from typing import Any

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from workbench.adapters.alpaca_stream.inbox import FrameInbox
from workbench.core.ports import Hint
from workbench.errors import StorageFailed

MASK = "***"
MAX_FRAME_BYTES = 4 * 1024 * 1024
BACKOFF_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)


class AlpacaStream:
    """Trade updates of one account, in a thread of their own; satisfies `core.ports.Hints`.

    Parameters
    ----------
    url : str
        Address of the stream, such as wss://paper-api.alpaca.markets/stream.
    key, secret : str
        The account's key pair; masked in every frame that is kept.
    inbox : FrameInbox
    answer_s : float
        Limit for connecting, for the login's answer and for the answer to the subscription, seconds.
    ping_s : float
        A ping is sent this often and must be answered in the same time, seconds.
    lag_s : float
        An order that was announced by `expect` must be heard of within this time, seconds.
    backoff_s : sequence of float
        Waits before the next attempts; the last one repeats.
    """

    def __init__(
        self,
        *,
        url: str,
        key: str,
        secret: str,
        inbox: FrameInbox,
        answer_s: float = 5.0,
        ping_s: float = 10.0,
        lag_s: float = 15.0,
        backoff_s: tuple[float, ...] = BACKOFF_S,
    ) -> None:
        self._url, self._inbox = url, inbox
        self._answer_s, self._ping_s, self._lag_s, self._backoff_s = answer_s, ping_s, lag_s, backoff_s
        self._hidden = (secret, key)
        self._lock = threading.Lock()
        self._hints: deque[Hint] = deque(maxlen=10_000)
        self._expected: dict[str, float] = {}
        self._parked = 0
        self._generation = 0
        self._reconciled = 0
        self._trouble = "the stream has not connected yet"
        self._since = time.monotonic()
        self._final = False
        self._stop = threading.Event()
        self._heard = threading.Event()
        self._thread = threading.Thread(target=self._run, name="trade-updates", daemon=True)

    def __repr__(self) -> str:
        return f"<AlpacaStream generation {self._generation}: {self._trouble or 'connected'}>"

    def __reduce__(self) -> Any:
        raise TypeError("a stream holds keys and is never copied")

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def close(self) -> None:
        """End the thread; it reacts within half a second."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=self._answer_s + 2.0)
        self._inbox.close()

    # --- what others ask -----------------------------------------------------------------------------

    @property
    def generation(self) -> int:
        """Number of connections so far; what happened between two of them was not heard."""
        return self._generation

    @property
    def parked(self) -> int:
        """Frames that could not be read; they are in the inbox."""
        return self._parked

    @property
    def refused(self) -> bool:
        """Whether the venue refused the login; then no further attempt is made."""
        return self._final

    def trouble(self) -> str:
        """Why the stream cannot be relied on; "" while it is connected, heard and reconciled."""
        with self._lock:
            if self._trouble:
                return self._trouble
            if self._reconciled != self._generation:
                return f"connection {self._generation} is not reconciled yet: events may be missing"
            return ""

    def silent_s(self) -> float:
        """Seconds since the stream was last connected; 0 while it is."""
        with self._lock:
            return time.monotonic() - self._since if self._trouble else 0.0

    def reconciled(self, generation: int) -> None:
        """A full reconciliation has been done that began in that generation."""
        with self._lock:
            self._reconciled = max(self._reconciled, generation)

    def expect(self, client_order_id: str) -> None:
        """An order whose request leaves now: the stream must mention it soon, or it is mute."""
        with self._lock:
            self._expected[client_order_id] = time.monotonic() + self._lag_s

    def forget(self, client_order_id: str) -> None:
        """An order that was expected and that the venue has not accepted: silence about it is no fault."""
        with self._lock:
            self._expected.pop(client_order_id, None)

    def take(self) -> tuple[Hint, ...]:
        """Everything heard since the last call, oldest first."""
        with self._lock:
            found = tuple(self._hints)
            self._hints.clear()
            self._heard.clear()
        return found

    def wait(self, seconds: float) -> bool:
        """Whether something was heard within that time."""
        return self._heard.wait(seconds)

    # --- the thread ----------------------------------------------------------------------------------

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            before = self._generation
            reason = "the stream ended"
            try:
                self._one_connection()
            except (WebSocketException, OSError, TimeoutError, StorageFailed, _Down) as problem:
                # only its kind: the message of a handshake may repeat what was sent
                reason = str(problem) if isinstance(problem, _Down) else type(problem).__name__
                self._final = isinstance(problem, _Refused)
            self._down(reason)
            if self._final:
                return
            failures = 0 if self._generation > before else failures + 1
            self._stop.wait(self._backoff_s[min(failures, len(self._backoff_s) - 1)])

    def _down(self, reason: str) -> None:
        with self._lock:
            if not self._trouble:
                self._since = time.monotonic()
            self._trouble = f"the stream is down: {reason}"
            self._expected.clear()

    def _one_connection(self) -> None:
        connector = connect(
            self._url, proxy=None, open_timeout=self._answer_s, close_timeout=0.5, max_size=MAX_FRAME_BYTES,
            ping_interval=self._ping_s, ping_timeout=self._ping_s, compression=None, logger=_silent(),
        )  # fmt: skip
        with connector as line:
            if getattr(connector, "uri", self._url) != self._url:
                raise _Down("the venue redirects elsewhere")  # the keys stay here
            secret, key = self._hidden
            self._say(line, "authenticate", {"key_id": key, "secret_key": secret})
            self._answer(line, "authorization", lambda data: data.get("status") == "authorized", _Refused)
            self._say(line, "listen", {"streams": ["trade_updates"]})
            self._answer(
                line, "listening", lambda data: "trade_updates" in (data.get("streams") or ()), _Down
            )
            with self._lock:
                self._generation += 1
                self._trouble = ""
            self._listen(line)

    def _say(self, line: ClientConnection, action: str, data: dict[str, Any]) -> None:
        line.send(json.dumps({"action": action, "data": data}))

    def _answer(self, line: ClientConnection, stream: str, good: Any, otherwise: type[_Down]) -> None:
        """Wait for the answer of that name; anything else, or a no, ends the connection."""
        until = time.monotonic() + self._answer_s
        while (left := until - time.monotonic()) > 0:
            try:
                frame = line.recv(timeout=left)
            except TimeoutError:
                break
            message = self._keep(frame)
            if message.get("stream") == stream:
                data = message.get("data")
                if isinstance(data, dict) and good(data):
                    return
                raise otherwise(f"the venue refused: {stream}")
        raise _Down(f"no answer: {stream}")

    def _listen(self, line: ClientConnection) -> None:
        while not self._stop.is_set():
            try:
                frame = line.recv(timeout=0.5)
            except TimeoutError:
                self._check_expected()
                continue
            message = self._keep(frame)
            if message.get("stream") == "trade_updates":
                self._hear(message.get("data"))
            self._check_expected()

    def _keep(self, frame: str | bytes) -> dict[str, Any]:
        """Store a frame before it is read; what cannot be read is parked and wakes a look by REST."""
        text = frame if isinstance(frame, str) else frame.decode("utf-8", "backslashreplace")
        for hidden in self._hidden:
            text = text.replace(hidden, MASK)
        self._inbox.append(text, at_ns=time.time_ns(), generation=self._generation)
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            message = None
        if isinstance(message, dict):
            return message
        self._park()
        return {}

    def _hear(self, data: Any) -> None:
        order = data.get("order") if isinstance(data, dict) else None
        identity = order.get("client_order_id") if isinstance(order, dict) else None
        event = data.get("event") if isinstance(data, dict) else None
        if not isinstance(identity, str) or not isinstance(event, str):
            self._park()
            return
        with self._lock:
            self._expected.pop(identity, None)
            self._hints.append(Hint(event, identity))
            self._heard.set()

    def _park(self) -> None:
        with self._lock:
            self._parked += 1
            self._hints.append(Hint("unreadable", ""))
            self._heard.set()

    def _check_expected(self) -> None:
        now = time.monotonic()
        with self._lock:
            late = [identity for identity, until in self._expected.items() if until < now]
        if late:
            raise _Down(f"mute: nothing was heard of {late[0]}")


def _silent() -> logging.Logger:
    """A logger that writes nothing: the library's own would log the login frame at level DEBUG."""
    logger = logging.Logger("trade-updates", logging.CRITICAL + 1)
    logger.addHandler(logging.NullHandler())
    return logger


class _Down(Exception):
    """A connection is over, for a reason in our own words."""


class _Refused(_Down):
    """The venue does not accept the login: trying again would change nothing."""
