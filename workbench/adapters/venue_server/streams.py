"""The two streams: trade updates (JSON in binary frames) and market data (MessagePack or JSON)."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Callable, Iterable
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from workbench.adapters.venue_server.faults import STREAM, Faults
from workbench.adapters.venue_server.packing import Instant, pack, unpack
from workbench.adapters.venue_server.trouble import reset
from workbench.adapters.venue_server.wire import encoded, when

TRADE_UPDATES = "trade_updates"
CHANNELS = (
    "trades",
    "quotes",
    "bars",
    "updatedBars",
    "dailyBars",
    "statuses",
    "lulds",
    "corrections",
    "cancelErrors",
)


class Connection:
    """One open stream and what it has asked for."""

    def __init__(self, socket: WebSocket) -> None:
        self.socket = socket
        self.queue: asyncio.Queue[bytes | int] = asyncio.Queue()
        self.authorised = self.listening = self.muted = self.stalled = False
        self.packed = "msgpack" in socket.headers.get("content-type", "")
        self.wanted: dict[str, set[str]] = {channel: set() for channel in CHANNELS}

    @property
    def transport(self) -> asyncio.Transport:
        """The TCP connection underneath."""
        found: asyncio.Transport = self.socket.scope["state"]["transport"]
        return found

    async def write(self) -> None:
        """Send what is queued, in order; a number closes with that code."""
        while True:
            item = await self.queue.get()
            if isinstance(item, int):
                await self.socket.close(code=item)
                return
            if not self.stalled:
                await self.socket.send_bytes(item)


class Streams:
    """All open streams of a venue.

    Parameters
    ----------
    key, secret : str
        What a client must authenticate with.
    faults : Faults
    """

    def __init__(self, key: str, secret: str, faults: Faults) -> None:
        self._key, self._secret, self._faults = key, secret, faults
        self._updates: list[Connection] = []
        self._data: list[Connection] = []
        self._held: list[dict[str, Any]] = []
        self.emitted = 0

    # --- trade updates -----------------------------------------------------------------------------

    async def trade_updates(self, socket: WebSocket) -> None:
        """`WS /stream`."""
        await socket.accept()
        connection = Connection(socket)
        if self._faults.take(("ws_second_connection_kicks_first",), STREAM):
            for older in self._updates:
                older.queue.put_nowait(1000)
        self._updates.append(connection)
        await self._serve(connection, self._updates, self._update_message)

    async def _serve(
        self, connection: Connection, among: list[Connection], hear: Callable[[Connection, Any], None]
    ) -> None:
        writer = asyncio.create_task(connection.write())
        try:
            while True:
                message = await connection.socket.receive()
                if message["type"] == "websocket.disconnect":
                    break
                hear(connection, message.get("bytes") or (message.get("text") or "").encode())
        except (WebSocketDisconnect, RuntimeError):
            pass  # the client left, or was made to
        finally:
            among.remove(connection)
            writer.cancel()

    def _update_message(self, connection: Connection, raw: bytes) -> None:
        try:
            message = json.loads(raw)
            action, data = message["action"], message.get("data") or {}
        except (ValueError, KeyError, TypeError, AttributeError):
            connection.queue.put_nowait(
                encoded({"stream": "listening", "data": {"error": "invalid message"}})
            )
            return
        if action in ("authenticate", "auth"):
            data = data or {"key_id": message.get("key"), "secret_key": message.get("secret")}
            self._authenticate(connection, data)
        elif action == "listen" and connection.authorised:
            asked = data.get("streams", [])
            granted = [name for name in asked if name == TRADE_UPDATES]
            if self._faults.take(("ws_empty_ack",), STREAM):
                granted = []
            connection.listening = bool(granted)
            connection.queue.put_nowait(encoded({"stream": "listening", "data": {"streams": granted}}))

    def _authenticate(self, connection: Connection, data: dict[str, Any]) -> None:
        if self._faults.take(("ws_never_answer_auth",), STREAM):
            return
        refused = self._faults.take(("ws_refuse_auth",), STREAM) is not None
        connection.authorised = self._knows(data.get("key_id"), data.get("secret_key")) and not refused
        status = "authorized" if connection.authorised else "unauthorized"
        answer = {"status": status, "action": "authenticate"}
        connection.queue.put_nowait(encoded({"stream": "authorization", "data": answer}))

    def _knows(self, key: object, secret: object) -> bool:
        same = [hmac.compare_digest(str(a).encode(), b.encode())
                for a, b in ((key, self._key), (secret, self._secret))]  # fmt: skip
        return all(same)

    def tell(self, events: Iterable[dict[str, Any]]) -> None:
        """Send events to everybody who listens, as the armed faults let them."""
        for event in events:
            for spoiled, delay in self._spoiled(event):
                if delay:
                    asyncio.get_running_loop().call_later(delay, self._send, spoiled)
                else:
                    self._send(spoiled)

    def _send(self, event: dict[str, Any] | bytes) -> None:
        self.emitted += 1
        hearing = [one for one in self._updates if one.listening and not one.muted]
        if hearing:
            frame = event if isinstance(event, bytes) else encoded({"stream": TRADE_UPDATES, "data": event})
            for connection in hearing:
                connection.queue.put_nowait(frame)

    def _spoiled(self, event: dict[str, Any]) -> list[tuple[dict[str, Any] | bytes, float]]:
        held, self._held = self._held, []
        after: list[tuple[dict[str, Any] | bytes, float]] = [(late, 0.0) for late in held]
        if not self._faults.any:
            return [(event, 0.0), *after]
        fault = self._faults.take_event(event["event"], event["order"]["client_order_id"])
        if fault is None:
            return [(event, 0.0), *after]
        kind = fault.kind
        if kind == "event_drop":
            return after
        if kind == "event_reorder":
            self._held = [event]
            return after
        if kind == "event_duplicate":
            return [(event, 0.0), (event, 0.0), *after]
        if kind == "event_delay":
            return [(event, float(fault.params.get("ms", 200)) / 1000), *after]
        if kind == "event_malformed":
            return [(b'{"stream":"trade_updates","data":', 0.0), *after]
        if kind == "event_unknown_event":
            return [({**event, "event": "teleported"}, 0.0), *after]
        order = {**event["order"], "status": "quantum_superposition"}
        return [({**event, "order": order}, 0.0), *after]

    def act(self, action: str) -> int:
        """Do something to all open streams of trade updates at once; how many there were."""
        for connection in list(self._updates):
            if action == "drop":
                reset(connection.transport)
            elif action == "close_1011":
                connection.queue.put_nowait(1011)
            elif action == "half_open":
                connection.stalled = True
                connection.transport.pause_reading()
            else:
                connection.muted = action == "mute"
        return len(self._updates)

    @property
    def listeners(self) -> int:
        """Streams of trade updates that listen."""
        return sum(connection.listening for connection in self._updates)

    def close(self) -> None:
        """End all streams, without ceremony."""
        for connection in [*self._updates, *self._data]:
            connection.transport.abort()

    # --- market data -------------------------------------------------------------------------------

    async def market_data(self, socket: WebSocket) -> None:
        """`WS /v2/iex` and `WS /v2/sip`."""
        await socket.accept()
        connection = Connection(socket)
        self._data.append(connection)
        self._reply(connection, {"T": "success", "msg": "connected"})
        await self._serve(connection, self._data, self._data_message)

    def _reply(self, connection: Connection, *messages: dict[str, Any]) -> None:
        connection.queue.put_nowait(pack(list(messages)) if connection.packed else encoded(list(messages)))

    def _data_message(self, connection: Connection, raw: bytes) -> None:
        try:
            message = unpack(raw) if connection.packed else json.loads(raw)
            action = message["action"]
        except (ValueError, KeyError, TypeError):
            self._reply(connection, {"T": "error", "code": 400, "msg": "invalid syntax"})
            return
        if action == "auth":
            connection.authorised = self._knows(message.get("key"), message.get("secret"))
            good = {"T": "success", "msg": "authenticated"}
            self._reply(connection, good if connection.authorised else _error(402, "auth failed"))
        elif not connection.authorised:
            self._reply(connection, _error(401, "not authenticated"))
        elif action in ("subscribe", "unsubscribe"):
            for channel in CHANNELS:
                names = {str(name) for name in message.get(channel, ())}
                if action == "subscribe":
                    connection.wanted[channel] |= names
                else:
                    connection.wanted[channel] -= names
            told = {channel: sorted(names) for channel, names in connection.wanted.items()}
            self._reply(connection, {"T": "subscription", **told})
        else:
            self._reply(connection, {"T": "error", "code": 400, "msg": "invalid syntax"})

    def show(self, channel: str, message: dict[str, Any], at_ns: int) -> None:
        """Send one quote, trade or bar to everybody who subscribed to its symbol."""
        for connection in self._data:
            wanted = connection.wanted[channel]
            if connection.authorised and (message["S"] in wanted or "*" in wanted):
                stamp: Any = Instant(at_ns) if connection.packed else when(at_ns)
                self._reply(connection, {**message, "t": stamp})


def _error(code: int, text: str) -> dict[str, Any]:
    return {"T": "error", "code": code, "msg": text}
