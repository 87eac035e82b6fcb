"""What an alert's events do to the outbox: the list of what has to be told, to whom, and whether it was.

A raised alert stands in the outbox from the transaction of its cause on. Which alerts repeat others is
decided when they are delivered, and recorded: the rules may change, a fold never does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from workbench.adapters.journal.rowstore import RowWriter
from workbench.core.canonical import canonical_json
from workbench.core.ports import RecordedEvent
from workbench.errors import JournalConflict

Payload = Mapping[str, Any]
#: Columns of an alert that nobody has dealt with yet.
_NEW: Final[dict[str, Any]] = {
    "count": 1, "level": 0, "status": "pending", "attempts": 0, "next_wall_ns": 0, "holder": "",
    "until_wall_ns": 0, "error": "", "acknowledged_by": "", "acknowledged_at_ns": 0,
    "acknowledged_reason": "", "judged": "", "judged_by": "",
}  # fmt: skip


def _raised(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    told = {name: payload[name] for name in ("account", "code", "text")}
    told["at_ns"] = payload["at_ns"] or event.at_ns
    rows.insert("alerts", dict(told))
    row = {
        **told, **_NEW, "alert_id": event.seq, "subject": payload.get("subject") or "",
        "raised_at_ns": event.at_ns, "last_at_ns": event.at_ns, "level_at_ns": event.at_ns,
        "delivered": canonical_json(payload.get("delivered") or []),
        "spool_id": payload.get("spool_id") or "",
    }  # fmt: skip
    rows.insert("outbox", row)


def _row(rows: RowWriter, payload: Payload) -> dict[str, Any]:
    row = rows.get("outbox", payload["alert_id"])
    if row is None or row["account"] != payload["account"]:
        raise _conflict(payload, "is not in the outbox of this account")
    return row


def _conflict(payload: Payload, why: str) -> JournalConflict:
    return JournalConflict(
        f"alert {payload['alert_id']} {why}",
        next_step="look at `workbench alerts list`; nothing was written",
        alert_id=payload["alert_id"],
    )


def _merged(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    head = _row(rows, payload)
    count, last = head["count"], head["last_at_ns"]
    for alert_id in payload["merged"]:
        other = _row(rows, {**payload, "alert_id": alert_id})
        if other["status"] != "pending" or other["until_wall_ns"] > event.at_ns or other is head:
            raise _conflict({**payload, "alert_id": alert_id}, "is being delivered, so it repeats no other")
        count, last = count + other["count"], max(last, other["raised_at_ns"])
        rows.update("outbox", alert_id, status="merged")
    rows.update("outbox", payload["alert_id"], count=count, last_at_ns=last)


def _claimed(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    row = _row(rows, payload)
    if row["status"] != "pending":
        raise _conflict(payload, f"is {row['status']} already")
    if row["holder"] != payload["holder"] and row["until_wall_ns"] > event.at_ns:
        raise _conflict(payload, f"is being delivered by {row['holder']}")
    rows.update(
        "outbox", payload["alert_id"], holder=payload["holder"], until_wall_ns=payload["until_wall_ns"]
    )


def _delivered(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    row = _row(rows, payload)
    channels = json.loads(row["delivered"])
    if payload["channel"] not in channels:
        channels.append(payload["channel"])
    changes: dict[str, Any] = {"delivered": canonical_json(channels), "attempts": payload["attempt"]}
    if payload["complete"]:
        changes |= {"status": "delivered", "holder": "", "until_wall_ns": 0, "error": ""}
    rows.update("outbox", payload["alert_id"], **changes)


def _failed(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    _row(rows, payload)
    rows.update(
        "outbox", payload["alert_id"], attempts=payload["attempt"], next_wall_ns=payload["next_wall_ns"],
        error=f"{payload['channel']}: {payload['error']}", holder="", until_wall_ns=0,
        status="pending" if payload["next_wall_ns"] else "undeliverable",
    )  # fmt: skip


def _acknowledged(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    row = _row(rows, payload)
    _require_person(rows, payload)
    if row["acknowledged_by"]:
        raise _conflict(payload, f"was acknowledged by {row['acknowledged_by']}")
    rows.update(
        "outbox", payload["alert_id"], acknowledged_by=payload["person"], acknowledged_at_ns=event.at_ns,
        acknowledged_reason=payload["reason"],
    )  # fmt: skip


def _escalated(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    row = _row(rows, payload)
    if row["acknowledged_by"] or row["status"] in ("pending", "merged"):
        raise _conflict(payload, "is acknowledged, or has not been delivered to the group before")
    if payload["level"] != row["level"] + 1:
        raise _conflict(payload, f"is at level {row['level']}")
    rows.update(
        "outbox", payload["alert_id"], level=payload["level"], level_at_ns=event.at_ns, status="pending",
        attempts=0, next_wall_ns=0, delivered="[]",
    )  # fmt: skip


def _judged(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    _row(rows, payload)
    _require_person(rows, payload)
    word = "real" if payload["real"] else "false"
    rows.update("outbox", payload["alert_id"], judged=word, judged_by=payload["person"])


def _require_person(rows: RowWriter, payload: Payload) -> None:
    if not payload["reason"] or rows.get("people", payload["person"]) is None:
        raise _conflict(payload, f"needs a registered person and a reason (person {payload['person']!r})")


FOLDS: Final[dict[str, Callable[[RowWriter, RecordedEvent, Payload], None]]] = {
    "alert.raised": _raised,
    "alert.merged": _merged,
    "alert.claimed": _claimed,
    "alert.delivered": _delivered,
    "alert.failed": _failed,
    "alert.acknowledged": _acknowledged,
    "alert.escalated": _escalated,
    "alert.judged": _judged,
}
