"""Faults that can be armed: which, for which call, how often."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any

from workbench.errors import UsageError

SUBMIT, CANCEL, REPLACE = "POST /v2/orders", "DELETE /v2/orders/{id}", "PATCH /v2/orders/{id}"
BY_ID, LIST = "GET /v2/orders/{id}", "GET /v2/orders"
BY_CLIENT_ID = "GET /v2/orders:by_client_order_id"
STREAM, ANY = "WS /stream", "*"
#: What can happen to the answer of a request, before the venue acted on it or after.
TROUBLES: Mapping[str, str] = MappingProxyType(
    {
        "timeout": "no answer; the connection is held for `seconds` (60) or until the client leaves",
        "reset": "the connection is reset (RST)",
        "close": "the connection is closed without an answer",
        "504_html": "504 with the HTML page of a gateway",
        "502_html": "502 with the HTML page of a gateway",
        "500_json": "500 with code 50010000",
        "malformed": "200 with a body that is not JSON",
        "truncated": "200 with a body shorter than its Content-Length",
        "empty200": "200 without a body",
        "html200": "200 with an HTML page",
        "huge": "200 with a body of `bytes` (8 MB)",
        "302": "302 with a Location and no body",
        "slow_drip": "the answer byte by byte, `ms` (20) apart",
    }
)
#: Everything else: kind -> (default endpoint, meaning).
KNOBS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "429": (ANY, "429; `headers` (true) adds X-RateLimit-Limit, -Remaining and -Reset"),
        "503": (ANY, "503, maintenance"),
        "401": (ANY, "401 as for a revoked key"),
        "401_html": (ANY, "401 with an HTML page"),
        "403": (SUBMIT, "403 with code 40310000 and `message`"),
        "422": (SUBMIT, "422 with code 42210000 and `message`"),
        "duplicate_409": (SUBMIT, "a duplicate id is refused with 409 instead of 422"),
        "duplicate_checked_last": (SUBMIT, "a duplicate id is looked for after the risk checks"),
        "reject_after_accept": (SUBMIT, "200, then the order is rejected with `reason`"),
        "event_before_http": (SUBMIT, "the stream tells of the order `ms` (50) before the answer"),
        "by_client_id_404": (BY_CLIENT_ID, "404 although the order exists"),
        "by_id_404": (BY_ID, "404 although the order exists"),
        "list_truncate": (LIST, "only the first `limit` rows of a list"),
        "list_empty": (LIST, "an empty list"),
        "list_page_repeat": (ANY, "every page is the first page, its token never ends"),
        "stale_order": (
            BY_ID,
            "the order as it was `versions` (1) changes ago; also in lists and by client id",
        ),
        "cancel_204_then_fill": (CANCEL, "204, and the order is filled"),
        "cancel_422_filled": (CANCEL, "the order is filled first: 422"),
        "cancel_stuck_pending": (CANCEL, "204, and the order stays pending_cancel until it is released"),
        "cancel_204_on_filled": (CANCEL, "204 for an order that has ended"),
        "cancel_lost": (CANCEL, "204, and nothing happens"),
        "replace_fill_wins": (REPLACE, "200, the old order is filled, the new one rejected"),
        "number_instead_of_string": (ANY, "numbers where Alpaca sends strings"),
        "extra_fields": (ANY, "fields that nobody knows"),
        "missing_fields": (ANY, "without `fields`"),
        "null_fields": (ANY, "null in `fields`"),
        "null_array": (ANY, "null instead of a list"),
        "unknown_status": (ANY, "an order status that is in no document (`status`)"),
        "ws_refuse_auth": (STREAM, "authentication is refused"),
        "ws_never_answer_auth": (STREAM, "authentication is never answered"),
        "ws_empty_ack": (STREAM, "the acknowledgement of `listen` names no stream"),
        "ws_second_connection_kicks_first": (STREAM, "a new connection closes the older ones"),
        "event_delay": (STREAM, "events come `ms` (200) late; `event` names one kind"),
        "event_duplicate": (STREAM, "events come twice"),
        "event_reorder": (STREAM, "an event comes after the one that follows it"),
        "event_drop": (STREAM, "events never come"),
        "event_unknown_event": (STREAM, "an event of a kind that is in no document"),
        "event_unknown_status": (STREAM, "an event whose order has an unknown status"),
        "event_malformed": (STREAM, "a frame that is not JSON"),
    }
)
#: Things done to the open streams at once: `POST /_/stream`.
STREAM_ACTIONS: Mapping[str, str] = MappingProxyType(
    {
        "drop": "TCP reset", "close_1011": "close with code 1011",
        "half_open": "nothing in, nothing out, no pong",
        "mute": "events are swallowed, pings answered", "unmute": "events flow again",
    }
)  # fmt: skip
BEFORE, AFTER = "before_accept_", "accept_then_"
SCOPE = ("fault", "endpoint", "client_order_id", "nth", "count", "after")


@dataclass
class Fault:
    """One armed fault.

    Attributes
    ----------
    kind : str
    endpoint : str
        As `POST /v2/orders` or `GET /v2/orders/{id}`; `*` and other wildcards are allowed.
    client_order_id : str
        "" = of any order, or none.
    nth : int
        The matching call from which on it acts; 1 = the next one.
    count : int
        How many calls in a row; 0 = all.
    after_ns : int
        Not before this trading time.
    """

    number: int
    kind: str
    endpoint: str
    client_order_id: str = ""
    nth: int = 1
    count: int = 1
    after_ns: int = 0
    params: dict[str, Any] = field(default_factory=dict)
    seen: int = 0
    fired: int = 0

    def concerns(self, endpoint: str, client_order_id: str) -> bool:
        """Whether a call is in the scope."""
        whose = self.client_order_id in ("", client_order_id)
        return whose and (self.endpoint == endpoint or fnmatchcase(endpoint, self.endpoint))

    def view(self) -> dict[str, Any]:
        """As the admin port shows it."""
        return {
            "id": self.number, "fault": self.kind, "endpoint": self.endpoint,
            "client_order_id": self.client_order_id, "nth": self.nth, "count": self.count,
            "seen": self.seen, "fired": self.fired, **self.params,
        }  # fmt: skip


class Faults:
    """The armed faults of a venue, in the order in which they were armed."""

    def __init__(self) -> None:
        self._armed: list[Fault] = []
        self._next = 1

    def arm(self, body: Mapping[str, Any], *, after_ns: int = 0) -> Fault:
        """Arm one.

        Raises
        ------
        UsageError
            No such fault.
        """
        kind = str(body.get("fault", ""))
        default = default_endpoint(kind)
        if default is None:
            known = [*KNOBS, *(f"{when}{what}" for when in (AFTER, BEFORE) for what in TROUBLES)]
            raise UsageError(f"fault {kind!r} is unknown", next_step=f"use one of {', '.join(known)}")
        params = {name: value for name, value in body.items() if name not in SCOPE}
        fault = Fault(
            self._next, kind, str(body.get("endpoint") or default), str(body.get("client_order_id") or ""),
            max(int(body.get("nth", 1)), 1), max(int(body.get("count", 1)), 0), after_ns, params,
        )  # fmt: skip
        self._next += 1
        self._armed.append(fault)
        return fault

    def take(
        self, kinds: tuple[str, ...], endpoint: str, client_order_id: str = "", *, now_ns: int = 0
    ) -> Fault | None:
        """The first armed fault of these kinds that acts on this call; every one concerned counts the call.

        A kind that ends with an underscore stands for all that begin so.
        """
        acting = None
        for fault in self._armed:
            named = any(fault.kind == k or (k[-1] == "_" and fault.kind.startswith(k)) for k in kinds)
            if not named or fault.after_ns > now_ns or not fault.concerns(endpoint, client_order_id):
                continue
            fault.seen += 1
            if acting is None and fault.seen >= fault.nth and (not fault.count or fault.fired < fault.count):
                fault.fired += 1
                acting = fault
        return acting

    def take_event(self, event: str, client_order_id: str) -> Fault | None:
        """The armed fault that acts on this event of the stream."""
        kinds = {fault.kind for fault in self._armed if fault.params.get("event") in (None, event)}
        named = tuple(kind for kind in kinds if kind.startswith("event_") and kind != "event_before_http")
        return self.take(named, STREAM, client_order_id) if named else None

    def armed(self) -> list[dict[str, Any]]:
        """All, used up or not."""
        return [fault.view() for fault in self._armed]

    def clear(self, number: int = 0) -> None:
        """Disarm one, or all with 0."""
        self._armed = [fault for fault in self._armed if number and fault.number != number]

    @property
    def any(self) -> bool:
        """Whether any was armed."""
        return bool(self._armed)


def default_endpoint(kind: str) -> str | None:
    """Where a fault acts unless told otherwise; None = there is no such fault."""
    for prefix in (AFTER, BEFORE):
        if kind.startswith(prefix) and kind.removeprefix(prefix) in TROUBLES:
            return SUBMIT
    return KNOBS[kind][0] if kind in KNOBS else None
