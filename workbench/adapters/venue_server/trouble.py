"""What faults do to an answer on its way out: on the socket itself, where HTTP ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from workbench.adapters.venue_server.faults import Fault
from workbench.adapters.venue_server.wire import Answer, encoded

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
NO_LINGER = struct.pack("ii", 1, 0)
PAGE = (
    "<html>\r\n<head><title>{0}</title></head>\r\n<body>\r\n<center><h1>{0}</h1></center>\r\n"
    "<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)


def html(status: int, title: str) -> Answer:
    """The page of a gateway."""
    return Answer(status, PAGE.format(title).encode(), {"content-type": "text/html"})


INTERNAL = Answer(500, {"code": 50010000, "message": "internal server error occurred"})
_PLAIN: dict[str, Callable[[Answer, Fault], Answer]] = {
    "504_html": lambda answer, fault: html(504, "504 Gateway Time-out"),
    "502_html": lambda answer, fault: html(502, "502 Bad Gateway"),
    "500_json": lambda answer, fault: INTERNAL,
    "malformed": lambda answer, fault: Answer(200, _body(answer)[:-1] + b",,"),
    "empty200": lambda answer, fault: Answer(200, b""),
    "html200": lambda answer, fault: html(200, "Welcome"),
    "huge": lambda answer, fault: Answer(200, b'"' + b"x" * int(fault.params.get("bytes", 8_000_000)) + b'"'),
    "302": lambda answer, fault: Answer(302, b"", {"location": "/elsewhere"}),
}


def _body(answer: Answer) -> bytes:
    return answer.content() or b'{"id":""}'


def changed(what: str, fault: Fault, answer: Answer) -> Answer | None:
    """The answer that the fault makes of it; None = it happens on the socket, see `break_off`."""
    return _PLAIN[what](answer, fault) if what in _PLAIN else None


async def break_off(
    what: str, fault: Fault, answer: Answer, transport: asyncio.Transport, receive: Receive
) -> None:
    """End the connection in the way of the fault; returns when it has ended."""
    if what == "timeout":
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(_gone(receive), float(fault.params.get("seconds", 60.0)))
        transport.abort()
    elif what == "reset":
        reset(transport)
    elif what == "close":
        transport.close()
    elif what == "truncated":
        body = _body(answer)
        transport.write(_head(body) + body[: len(body) // 2])
        transport.close()
    elif what == "slow_drip":
        body = _body(answer)
        transport.write(_head(body))
        pause = float(fault.params.get("ms", 20)) / 1000
        for at in range(len(body)):
            if transport.is_closing():
                break
            transport.write(body[at : at + 1])
            await asyncio.sleep(pause)
        transport.close()
    await _gone(receive)


def reset(transport: asyncio.BaseTransport) -> None:
    """End a connection with RST."""
    sock: socket.socket | None = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
    if isinstance(transport, asyncio.Transport):
        transport.abort()


def _head(body: bytes) -> bytes:
    head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: "
    return f"{head}{len(body)}\r\n\r\n".encode()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def rewrite(fault: Fault, answer: Answer) -> Answer:
    """The answer with its body in a shape that Alpaca's document does not promise."""
    if answer.status >= 300 or not isinstance(answer.body, (dict, list)):
        return answer
    if fault.kind == "null_array":
        body = None if isinstance(answer.body, list) else {
            name: None if isinstance(value, (list, dict)) else value for name, value in answer.body.items()
        }  # fmt: skip
        return Answer(answer.status, encoded(body), answer.headers)
    rows = json.loads(encoded(answer.body))
    for row in rows if isinstance(rows, list) else [rows]:
        if isinstance(row, dict):
            _rewrite_row(fault, row)
    return Answer(answer.status, rows, answer.headers)


def _rewrite_row(fault: Fault, row: dict[str, Any]) -> None:
    fields = [str(name) for name in fault.params.get("fields", ())]
    if fault.kind == "number_instead_of_string":
        for name, value in row.items():
            if isinstance(value, str) and value.replace(".", "", 1).lstrip("-").isdigit():
                row[name] = float(value)
    elif fault.kind == "extra_fields":
        row |= {"brand_new_field": {"nested": ["value", 1, None]}, "another": "1"}
    elif fault.kind == "missing_fields":
        for name in fields:
            row.pop(name, None)
    elif fault.kind == "null_fields":
        row |= dict.fromkeys(fields)
    elif fault.kind == "unknown_status" and "status" in row:
        row["status"] = str(fault.params.get("status", "quantum_superposition"))
