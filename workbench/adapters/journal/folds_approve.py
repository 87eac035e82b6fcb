"""What people's keys, their signed acts and their agreements do to the projections."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from workbench.adapters.journal.rowstore import RowWriter
from workbench.core.ports import RecordedEvent
from workbench.errors import JournalConflict

Payload = Mapping[str, Any]


def _conflict(message: str, step: str) -> JournalConflict:
    return JournalConflict(message, next_step=step + "; nothing was written")


def _require_person(rows: RowWriter, person: str) -> None:
    if rows.get("people", person) is None:
        raise _conflict(f"{person} is not registered", "register the person first")


def _key_set(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    person = payload["person"]
    _require_person(rows, person)
    held = rows.get("person_keys", person)
    if held is not None and held["revoked"]:
        raise _conflict(f"{person} was revoked", "register the person under another name")
    columns = {name: payload[name] for name in payload if name != "person"}
    rows.put("person_keys", person, **columns, revoked=False)


def _revoked(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    person = payload["person"]
    _require_person(rows, person)
    columns = {"by": payload["by"], "reason": payload["reason"], "revoked": True}
    rows.put("person_keys", person, **columns, public_key="", key_source="")


def _act(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    """An act by its number used once; an unsigned one has none and is known by its place."""
    person = payload["person"]
    _require_person(rows, person)
    held = rows.get("person_keys", person)
    if held is not None and held["revoked"]:
        raise _conflict(f"{person} was revoked and may not act", "ask somebody who may")
    rows.insert("acts", {**payload, "nonce": payload["nonce"] or f"unsigned {event.seq}"})


def _asked(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    if payload["expires_ns"] <= payload["asked_ns"]:
        raise _conflict(f"request {payload['request_id']} expires before it is asked", "correct the caller")
    rows.insert("agreements", {**payload, "second": "", "reason": "", "weaker": False, "confirmed_ns": 0})


def _confirmed(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    request_id = payload["request_id"]
    asked = rows.get("agreements", request_id)
    problem = ""
    if asked is None:
        problem = "was never asked"
    elif asked["confirmed_ns"]:
        problem = f"was confirmed by {asked['second']} already"
    elif any(asked[name] != payload[name] for name in ("account", "subject", "first")):
        problem = "was asked for something else"
    elif payload["weaker"] != (payload["first"] == payload["second"]):
        problem = "says of its people what is not so"
    elif not asked["asked_ns"] <= payload["confirmed_ns"] < asked["expires_ns"]:
        problem = "has expired"
    if problem:
        raise _conflict(f"request {request_id} {problem}", "look at `workbench pending`")
    columns = {name: payload[name] for name in ("second", "reason", "weaker", "confirmed_ns")}
    rows.update("agreements", request_id, **columns)


Fold = Callable[[RowWriter, RecordedEvent, Payload], None]

FOLDS: dict[str, Fold] = {
    "person.key_set": _key_set,
    "person.revoked": _revoked,
    "act.recorded": _act,
    "agreement.asked": _asked,
    "agreement.confirmed": _confirmed,
}
