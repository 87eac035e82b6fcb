"""Lists read to their end, or no list at all: a page that does not advance is an error, never an end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from workbench.adapters.alpaca_broker.rows import BadRow, OrderRow, order_row, text
from workbench.adapters.alpaca_broker.transport import Answer
from workbench.core.types import NANO
from workbench.errors import OutcomeUnknown

ORDER_PAGE, ACTIVITY_PAGE = 500, 100
#: More pages than an account can fill in a session: whoever sends more repeats himself.
MAX_PAGES = 1_000

Get = Callable[[str, Mapping[str, Any]], Answer]


def list_orders(get: Get, *, since_ns: int, status: str = "all") -> tuple[OrderRow, ...]:
    """Every order of a status ("all", "open") submitted at or after `since_ns`, oldest first.

    The venue has no cursor: `after` is exclusive on submitted_at, and a page ends at 500. The next page is
    asked for from one microsecond before the last row, and repeats are dropped by id.

    Raises
    ------
    OutcomeUnknown
        No trustworthy list: an error, a row that cannot be read, or a full page without anything new.
    """
    found: dict[str, OrderRow] = {}
    after_ns = max(since_ns, 0)
    for _ in range(MAX_PAGES):
        fields = {"status": status, "limit": ORDER_PAGE, "direction": "asc", "nested": "false"}
        page = _rows(get("/orders", fields | {"after": before(after_ns)}), "orders")
        known = len(found)
        try:
            for value in page:
                row = order_row(value)
                found.setdefault(row.order.venue_order_id, row)
        except BadRow as problem:
            raise _no_list("orders", str(problem)) from None
        if len(page) < ORDER_PAGE:
            ordered = sorted(found.values(), key=lambda row: row.submitted_ns)
            return tuple(row for row in ordered if row.submitted_ns >= since_ns)
        if len(found) == known:
            raise _no_list("orders", f"a full page of {ORDER_PAGE} without anything new")
        after_ns = max(row.submitted_ns for row in found.values())
    raise _no_list("orders", "the pages do not end")


def list_activities(get: Get, path: str, *, since_ns: int) -> tuple[Mapping[str, Any], ...]:
    """Every row of the activities at `path` from a second before `since_ns` on, each id once.

    Raises
    ------
    OutcomeUnknown
        As for `list_orders`.
    """
    found: dict[str, Mapping[str, Any]] = {}
    token = ""
    for _ in range(MAX_PAGES):
        fields: dict[str, Any] = {"direction": "asc", "page_size": ACTIVITY_PAGE}
        fields["after"] = before(max(since_ns - NANO, 0))
        if token:
            fields["page_token"] = token
        page = _rows(get(path, fields), "activities")
        known = len(found)
        try:
            for value in page:
                found.setdefault(text(value if isinstance(value, dict) else {}, "id"), value)
        except BadRow as problem:
            raise _no_list("activities", str(problem)) from None
        if len(page) < ACTIVITY_PAGE:
            return tuple(found.values())
        if len(found) == known:
            raise _no_list("activities", "a full page without anything new")
        token = str(page[-1]["id"])
    raise _no_list("activities", "the pages do not end")


def before(at_ns: int) -> str:
    """The time one microsecond before `at_ns`, as the venue writes it: its `after` is exclusive."""
    micros = max(at_ns // 1_000 - 1, 0)
    moment = datetime.fromtimestamp(micros // 1_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{micros % 1_000_000:06d}Z"


def _rows(answer: Answer, what: str) -> list[Any]:
    if answer.status != 200 or not isinstance(answer.json, list):
        raise _no_list(what, answer.words or "the answer is no list")
    return answer.json


def _no_list(what: str, why: str) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"the venue gave no trustworthy list of {what}: {why}",
        next_step="nothing is concluded from it; workbench reconcile asks again",
    )
