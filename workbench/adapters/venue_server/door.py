"""The one way in for requests: who is asking, how often, which fault is armed, what goes into the log."""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from collections import deque
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from workbench.adapters.venue_server.faults import AFTER, BEFORE, Fault, Faults
from workbench.adapters.venue_server.intake import MALFORMED
from workbench.adapters.venue_server.loopback import LoopbackVenue
from workbench.adapters.venue_server.trouble import INTERNAL, Receive, Send, break_off, changed, html, rewrite
from workbench.adapters.venue_server.wire import JSON_TYPE, Answer, refusal
from workbench.errors import StorageFailed, WorkbenchError

LARGEST_BODY, LONGEST_LOG = 1_000_000, 100_000
SHAPES = ("number_instead_of_string", "extra_fields", "missing_fields", "null_fields", "null_array",
          "unknown_status")  # fmt: skip
UNAUTHORISED = Answer(401, {"message": "unauthorized."})
NO_ENDPOINT = Answer(404, {"message": "endpoint not found."})


@dataclass(slots=True)
class Call:
    """One request as its handler sees it."""

    endpoint: str
    path: dict[str, str]
    query: dict[str, str]
    body: Any
    client_order_id: str = ""


Handler = Callable[[Call], Answer]


class Door:
    """Every request to the trading and data endpoints comes through here.

    Parameters
    ----------
    venue : LoopbackVenue
    faults : Faults
    publish : callable
        Sends what gathered in the venue's outbox to the streams.
    """

    def __init__(self, venue: LoopbackVenue, faults: Faults, publish: Callable[[], None]) -> None:
        self.venue, self.faults, self.publish = venue, faults, publish
        self.requests: deque[dict[str, Any]] = deque(maxlen=LONGEST_LOG)
        self.unknown: list[str] = []
        self.over_budget = 0
        self._tokens, self._refilled = 0.0, time.monotonic()
        if venue.options.rate_limit_per_minute:
            self._tokens = float(venue.options.rate_limit_per_minute)

    def endpoint(self, name: str, handler: Handler) -> Endpoint:
        """An ASGI application for one endpoint."""
        return Endpoint(self, name, handler)

    def admit(self, endpoint: str, headers: dict[bytes, bytes], client_order_id: str) -> Answer | None:
        """Why this caller gets no further; None = he does."""
        options = self.venue.options
        given = headers.get(b"apca-api-key-id", b""), headers.get(b"apca-api-secret-key", b"")
        wanted = options.key.encode(), options.secret.encode()
        known = [hmac.compare_digest(one, other) for one, other in zip(given, wanted, strict=True)]
        if not all(known):
            return UNAUTHORISED
        if self.faults.any:
            kinds = ("401", "401_html", "429", "503", "403", "422")
            fault = self.faults.take(kinds, endpoint, client_order_id, now_ns=self.venue.now_ns())
            if fault is not None:
                return self._refused(fault.kind, fault.params)
        return None if self._within_rate() else self._too_many(headers=True)

    def _refused(self, kind: str, params: dict[str, Any]) -> Answer:
        if kind == "401":
            return UNAUTHORISED
        if kind == "401_html":
            return html(401, "401 Authorization Required")
        if kind == "429":
            return self._too_many(headers=bool(params.get("headers", True)))
        if kind == "503":
            return Answer(503, {"message": "service unavailable"})
        code = int(params.get("code", 40310000 if kind == "403" else 42210000))
        return refusal(int(kind), code, str(params.get("message", "refused by an armed fault")))

    def _within_rate(self) -> bool:
        limit = self.venue.options.rate_limit_per_minute
        if not limit:
            return True
        now = time.monotonic()
        self._tokens = min(float(limit), self._tokens + (now - self._refilled) * limit / 60.0)
        self._refilled = now
        if self._tokens < 1.0:
            self.over_budget += 1
            return False
        self._tokens -= 1.0
        return True

    def _too_many(self, *, headers: bool) -> Answer:
        limit = self.venue.options.rate_limit_per_minute or 200
        told = {
            "x-ratelimit-limit": str(limit), "x-ratelimit-remaining": "0",
            "x-ratelimit-reset": str(int(time.time()) + 60),
        }  # fmt: skip
        return Answer(429, {"code": 42910000, "message": "rate limit exceeded"}, told if headers else {})

    def record(self, call: Call, status: int, started: float, fault: str) -> None:
        """Add a line to the request log; headers, and so the keys, are never part of it."""
        self.requests.append(
            {
                "at_ns": self.venue.now_ns(), "endpoint": call.endpoint, "path": call.path,
                "query": call.query, "client_order_id": call.client_order_id, "status": status,
                "fault": fault, "ms": round((time.monotonic() - started) * 1000, 3),
            }
        )  # fmt: skip


class Endpoint:
    """One endpoint as an ASGI application."""

    def __init__(self, door: Door, name: str, handler: Handler) -> None:
        self._door, self._name, self._handler = door, name, handler

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        door, started = self._door, time.monotonic()
        raw = await read_body(receive)
        call, problem = self._call(scope, raw)
        headers = dict(scope["headers"])
        answer = door.admit(self._name, headers, call.client_order_id) or problem
        trouble = None
        if answer is None:
            trouble = self._trouble(call)
            if trouble is None or trouble.kind.startswith(AFTER):
                answer = await self._handled(call)
            else:
                answer = Answer(200, b"")
            if trouble is None and door.faults.any:
                shape = door.faults.take(SHAPES, self._name, call.client_order_id)
                answer = rewrite(shape, answer) if shape else answer
        if door.faults.any:
            early = door.faults.take(("event_before_http",), self._name, call.client_order_id)
            if early is not None:
                door.publish()
                await asyncio.sleep(float(early.params.get("ms", 50)) / 1000)
        final: Answer | None = answer
        what = trouble.kind.removeprefix(AFTER).removeprefix(BEFORE) if trouble else ""
        if trouble is not None:
            door.publish()
            final = changed(what, trouble, answer)
        door.record(call, final.status if final else 0, started, trouble.kind if trouble else "")
        if final is not None:
            await send_answer(send, final)
        elif trouble is not None:
            await break_off(what, trouble, answer, scope["state"]["transport"], receive)
        door.publish()

    async def _handled(self, call: Call) -> Answer:
        try:
            answer = self._handler(call)
            await self._door.venue.file.durable()
        except StorageFailed:
            return INTERNAL
        except WorkbenchError as error:
            return refusal(422, MALFORMED, error.message)
        return answer

    def _trouble(self, call: Call) -> Fault | None:
        if not self._door.faults.any:
            return None
        now_ns = self._door.venue.now_ns()
        return self._door.faults.take((AFTER, BEFORE), self._name, call.client_order_id, now_ns=now_ns)

    def _call(self, scope: MutableMapping[str, Any], raw: bytes | None) -> tuple[Call, Answer | None]:
        query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        call = Call(self._name, dict(scope.get("path_params", {})), query, None)
        problem = None
        if raw is None:
            problem = Answer(413, {"message": "request body is too large"})
        elif raw:
            try:
                call.body = json.loads(raw)
            except (ValueError, RecursionError):  # the latter for brackets without end
                problem = refusal(400, 40010000, "request body format is invalid")
        state = self._door.venue.state
        if isinstance(call.body, dict) and isinstance(call.body.get("client_order_id"), str):
            call.client_order_id = call.body["client_order_id"]
        if "id" in call.path:
            call.client_order_id = state.by_id.get(call.path["id"], call.client_order_id)
        call.client_order_id = query.get("client_order_id", call.client_order_id)
        return call, problem


async def read_body(receive: Receive) -> bytes | None:
    """The whole body, or None when it is longer than any request has a reason to be."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        part = message.get("body", b"")
        size += len(part)
        if size <= LARGEST_BODY:
            parts.append(part)
        if message["type"] != "http.request" or not message.get("more_body"):
            return b"".join(parts) if size <= LARGEST_BODY else None


async def send_answer(send: Send, answer: Answer) -> None:
    """Send a whole answer."""
    content = answer.content()
    headers = {"content-type": JSON_TYPE, "content-length": str(len(content)), **answer.headers}
    if answer.status == 204:
        headers = {
            name: value for name, value in headers.items() if name not in ("content-type", "content-length")
        }
    await send(
        {
            "type": "http.response.start", "status": answer.status,
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
    )  # fmt: skip
    await send({"type": "http.response.body", "body": content})
