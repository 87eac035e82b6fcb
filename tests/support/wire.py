"""A server on the loopback address that answers exactly what a test says, down to the byte."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY, SECRET = "PKOFTHETESTS", "value-of-the-test-account"
HTML_504 = b"<html><head><title>504 Gateway Time-out</title></head><body>nginx/1.16.1</body></html>"


@dataclass
class Reply:
    """One answer: a status with JSON or raw bytes, or something nastier."""

    status: int = 200
    json: Any = None
    raw: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    close: bool = False  # hang up without a word
    cut: int = 0  # promise this many bytes more than are sent
    drip_s: float = 0.0  # wait that long between two bytes
    hold: threading.Event | None = None  # answer nothing until it is set

    @property
    def body(self) -> bytes:
        return (
            self.raw if self.raw is not None else b"" if self.json is None else json.dumps(self.json).encode()
        )


@dataclass
class Request:
    method: str
    path: str
    query: str
    body: Any


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or an answer of two writes waits for a delayed acknowledgement
    wire: WireServer

    def _serve(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size)
        path, _, query = self.path.partition("?")
        self._answer(self.wire.reply(Request(self.command, path, query, json.loads(body) if body else None)))

    def _answer(self, reply: Reply) -> None:
        if reply.hold is not None:
            reply.hold.wait(10)
        if reply.close or reply.hold is not None:
            self.close_connection = True
            self.connection.close()
            return
        self.send_response(reply.status)
        self.send_header("Content-Length", str(len(reply.body) + reply.cut))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        step = 1 if reply.drip_s else max(len(reply.body), 1)
        for at in range(0, len(reply.body), step):
            if self.wire.stop.wait(reply.drip_s):
                break
            self.wfile.write(reply.body[at : at + step])
            self.wfile.flush()
        self.close_connection = self.close_connection or bool(reply.cut)

    do_GET = do_POST = do_DELETE = do_PATCH = _serve

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError, ValueError):
            super().handle()

    def log_message(self, *_: Any) -> None:
        return


class WireServer:
    """Routes of (method, path) with a list of replies, the last of which stays; other traffic is a 404."""

    def __init__(self) -> None:
        self.routes: dict[tuple[str, str], list[Reply | Callable[[Request], Reply]]] = {}
        self.seen: list[Request] = []
        self.stop = threading.Event()
        handler = type("Handler", (_Handler,), {"wire": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def on(self, method: str, path: str, *replies: Reply | Callable[[Request], Reply]) -> None:
        self.routes[method, "/v2" + path] = list(replies)

    def reply(self, request: Request) -> Reply:
        self.seen.append(request)
        script = self.routes.get((request.method, request.path))
        if not script:
            return Reply(404, {"message": "endpoint not found."})
        chosen = script.pop(0) if len(script) > 1 else script[0]
        return chosen(request) if callable(chosen) else chosen

    def sent(self, method: str, path: str) -> list[Request]:
        return [request for request in self.seen if (request.method, request.path) == (method, "/v2" + path)]

    def close(self) -> None:
        self.stop.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def wire_server() -> Iterator[WireServer]:
    server = WireServer()
    try:
        yield server
    finally:
        server.close()


ACCOUNT_ROW = {
    "id": "e6fe16f3-64a4-4921-8928-cadf02f92f98", "account_number": "PA3AAAAAAAAA", "status": "ACTIVE",
    "account_blocked": False, "trading_blocked": False, "transfers_blocked": False,
    "trade_suspended_by_user": False, "cash": "100000", "equity": "100000", "buying_power": "400000",
    "non_marginable_buying_power": "100000",
}  # fmt: skip


def asset(symbol: str, **changes: Any) -> dict[str, Any]:
    base = {
        "id": "a", "class": "us_equity", "symbol": symbol, "status": "active", "tradable": True,
        "fractionable": True, "shortable": True, "borrow_status": "easy_to_borrow",
    }  # fmt: skip
    return {**base, **changes}


def order(client_order_id: str, **changes: Any) -> dict[str, Any]:
    """An order as a submit is answered; the shape of a recorded answer, the values made up."""
    base = {
        "id": "f1a08ee3-0000-4000-8000-000000000001", "client_order_id": client_order_id,
        "created_at": "2026-10-08T15:10:18.094153596Z", "updated_at": "2026-10-08T15:10:18.094153596Z",
        "submitted_at": "2026-10-08T15:10:18.094153596Z", "filled_at": None, "symbol": "AAA",
        "asset_class": "us_equity", "notional": None, "qty": "100", "filled_qty": "0",
        "filled_avg_price": None, "order_class": "", "order_type": "limit", "type": "limit", "side": "buy",
        "time_in_force": "day", "limit_price": "20.5", "stop_price": None, "status": "pending_new",
        "extended_hours": False, "legs": None, "source": None, "subtag": None,
    }  # fmt: skip
    return {**base, **changes}


def wait_for(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Whether the condition came true in time."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True
