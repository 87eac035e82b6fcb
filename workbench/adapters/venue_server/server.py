"""The loopback venue on its sockets: one port for clients, one for whoever runs it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

from starlette.routing import Route, Router, WebSocketRoute
from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from workbench.adapters.venue_server.account_endpoints import AccountEndpoints
from workbench.adapters.venue_server.admin import Action, Admin
from workbench.adapters.venue_server.data_endpoints import DataEndpoints, quote_row, trade_row
from workbench.adapters.venue_server.door import NO_ENDPOINT, Call, Door, read_body, send_answer
from workbench.adapters.venue_server.faults import Faults
from workbench.adapters.venue_server.loopback import LoopbackVenue
from workbench.adapters.venue_server.market import MarketSource
from workbench.adapters.venue_server.options import VenueOptions
from workbench.adapters.venue_server.order_endpoints import OrderEndpoints
from workbench.adapters.venue_server.published import Published
from workbench.adapters.venue_server.streams import Streams
from workbench.adapters.venue_server.trouble import Receive, Send
from workbench.adapters.venue_server.wire import Answer
from workbench.core.ports import Calendar
from workbench.errors import UsageError, WorkbenchError

TICK_S = 0.05


class _Http(H11Protocol):
    """HTTP whose applications can reach the socket: faults happen below HTTP."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.app_state = {**self.app_state, "transport": transport}
        super().connection_made(transport)


class _Sockets(WebSocketsSansIOProtocol):
    """Streams whose applications can reach the socket."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.app_state = {**self.app_state, "transport": transport}
        super().connection_made(transport)


class _Quiet(Server):
    """A server that leaves signals to whoever started it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture nothing."""
        yield


class _AdminEndpoint:
    """One admin action as an ASGI application."""

    def __init__(self, server: VenueServer, action: Action) -> None:
        self._server, self._action = server, action

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        raw = await read_body(receive)
        try:
            body = json.loads(raw) if raw else {}
            found = self._action(body)
            answer = found if isinstance(found, Answer) else Answer(200, found)
            await self._server.venue.file.durable()
        except WorkbenchError as error:
            answer = Answer(
                422, {"error": type(error).__name__, "message": error.message, "next_step": error.next_step}
            )
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            answer = Answer(422, {"error": "UsageError", "message": f"{type(problem).__name__}: {problem}",
                                  "next_step": "GET /_/ tells what each action takes"})  # fmt: skip
        self._server.publish()
        await send_answer(send, answer)


class VenueServer:
    """A venue that answers on sockets until it is told to stop.

    Parameters
    ----------
    options, calendar, market, state_path
        As of `LoopbackVenue`.
    host : str
        Address to listen on.
    port, admin_port : int
        0 = a free one.
    """

    def __init__(
        self, options: VenueOptions, *, calendar: Calendar, market: MarketSource, state_path: Path | None,
        host: str, port: int, admin_port: int,
    ) -> None:  # fmt: skip
        self._sockets = [_listen(host, port)]
        try:
            self._sockets.append(_listen(host, admin_port))
            self.venue = LoopbackVenue(options, calendar=calendar, market=market, state_path=state_path)
        except BaseException:
            for listening in self._sockets:
                listening.close()
            raise
        self.faults = Faults()
        self.streams = Streams(options.key, options.secret, self.faults)
        self.published = Published(self.venue)
        self.door = Door(self.venue, self.faults, self.publish)
        self.account = AccountEndpoints(self.venue, self.published, self.faults)
        self.orders = OrderEndpoints(self.venue, self.published, self.faults, self.account)
        self.data = DataEndpoints(self.venue, self.faults)
        self.admin = Admin(self)
        self._servers = [_server(self._public()), _server(self._private())]
        self._stopping = asyncio.Event()

    def addresses(self) -> dict[str, str]:
        """Where everything is: the first line that `workbench venue serve` prints."""
        host, port = self._sockets[0].getsockname()[:2]
        admin = self._sockets[1].getsockname()[1]
        options = self.venue.options
        return {
            "rest": f"http://{host}:{port}", "stream": f"ws://{host}:{port}/stream",
            "data": f"http://{host}:{port}", "admin": f"http://{host}:{admin}",
            "key": options.key, "secret": options.secret,
        }  # fmt: skip

    async def run(self) -> None:
        """Serve until `stop`; then every connection is ended and the journal closed."""
        serving = [
            asyncio.create_task(server.serve(sockets=[sock]))
            for server, sock in zip(self._servers, self._sockets, strict=True)
        ]
        ticking = asyncio.create_task(self._tick())
        try:
            await self._stopping.wait()
        finally:
            ticking.cancel()
            for server in self._servers:
                server.should_exit = True
                for connection in list(server.server_state.connections):
                    connection.transport.abort()
            await asyncio.gather(*serving, return_exceptions=True)
            self.venue.file.close()

    def stop(self) -> None:
        """End `run`; to be called in its event loop."""
        self._stopping.set()

    def publish(self) -> None:
        """Send what happened, once it is on disk, to the streams."""
        events = self.venue.events()
        if events:
            self.published.changed()
            self.streams.tell(events)

    def show_quote(self, symbol: str) -> None:
        """Send the standing quote of a symbol to the streams of market data."""
        bid, ask = self.venue.state.venue.quotes[symbol]
        at_ns = self.venue.state.venue.last_ns
        self.streams.show("quotes", {"T": "q", "S": symbol, **quote_row(at_ns, bid, ask)}, at_ns)
        self.streams.show("trades", {"T": "t", "S": symbol, **trade_row(at_ns, (bid + ask) // 2)}, at_ns)

    def restart(self, *, lose: int) -> int:
        """Drop every client and begin again from the journal; how many records were lost."""
        lost = self.venue.restart(lose=lose)
        for connection in list(self._servers[0].server_state.connections):
            connection.transport.abort()
        self.published.lag()
        return lost

    async def _tick(self) -> None:
        """Let time pass for the streams while nobody asks."""
        while True:
            await asyncio.sleep(TICK_S)
            try:
                self.venue.advance()
                await self.venue.file.durable()
            except WorkbenchError:
                continue  # the next request is told; nothing is published that is not on disk
            self.publish()

    def _public(self) -> Router:
        handlers = {**self.orders.routes(), **self.account.routes(), **self.data.routes()}
        routes: list[Route | WebSocketRoute] = []
        for name, handler in handlers.items():
            method, _, path = name.partition(" ")
            routes.append(Route(path, self.door.endpoint(name, handler), methods=[method]))
        routes.append(WebSocketRoute("/stream", self.streams.trade_updates))
        routes += [WebSocketRoute(f"/v2/{feed}", self.streams.market_data) for feed in ("iex", "sip")]
        routes.append(Route("/{rest:path}", self.door.endpoint("*", self._nowhere)))
        return Router(routes=routes)

    def _private(self) -> Router:
        routes = []
        for name, action in self.admin.routes().items():
            method, _, path = name.partition(" ")
            routes.append(Route(path, _AdminEndpoint(self, action), methods=[method]))
        return Router(routes=routes)

    def _nowhere(self, call: Call) -> Answer:
        self.door.unknown.append(call.path.get("rest", ""))
        return NO_ENDPOINT


def _listen(host: str, port: int) -> socket.socket:
    # The protocol is named, because asyncio switches Nagle's algorithm off only for sockets that say TCP:
    # with it every answer of two writes would wait 40 ms for the client's delayed acknowledgement.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(1024)
        return listening
    except OSError as error:
        listening.close()
        raise UsageError(
            f"cannot listen on {host}:{port}: {error.strerror}", next_step="use --port 0 for a free port"
        ) from error


def _server(application: Router) -> Server:
    config = Config(
        application, http=_Http, ws=_Sockets, lifespan="off", log_config=None, access_log=False,
        server_header=False, proxy_headers=False, ws_ping_interval=None, timeout_keep_alive=300,
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    return _Quiet(config)
