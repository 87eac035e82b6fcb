"""What people's keys, signed acts, agreements and approvals do to the projections."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from workbench.adapters.journal.rowstore import RowWriter
from workbench.core import approvals
from workbench.core.canonical import canonical_json
from workbench.core.orders import OrderState
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
        raise _conflict(f"request {request_id} {problem}", "ask for it again")
    columns = {name: payload[name] for name in ("second", "reason", "weaker", "confirmed_ns")}
    rows.update("agreements", request_id, **columns)


def _requested(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    identity = payload["approval_id"]
    order = rows.get("orders", identity)
    if order is None or order["state"] != OrderState.AWAITING_APPROVAL.value:
        raise _conflict(f"order {identity} does not wait for approval", "make it wait first")
    if order["account"] != payload["account"]:
        raise _conflict(f"order {identity} belongs to {order['account']}", "correct the caller")
    if payload["expires_wall_ns"] <= payload["asked_wall_ns"]:
        raise _conflict(f"request {identity} expires before it is asked", "correct the caller")
    row = {**payload, "detail": canonical_json(payload["detail"]), "state": approvals.WAITING}
    rows.insert("approvals", {**row, "person": "", "reason": "", "nonce": "", "decided_wall_ns": 0})


def _decided(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    """One answer to one request, in time and to the very bytes that were asked for."""
    identity, verdict = payload["approval_id"], payload["verdict"]
    asked = rows.get("approvals", identity)
    problem = ""
    if verdict not in (approvals.APPROVED, approvals.DECLINED):
        problem = f"cannot be {verdict!r}"
    elif asked is None:
        problem = "was never asked for"
    elif asked["state"] != approvals.WAITING:
        by = f" by {asked['person']}" if asked["person"] else ""
        problem = f"is {asked['state']} already{by}"
    elif any(asked[name] != payload[name] for name in ("account", "bound_hash")):
        problem = "was asked for another order or account"
    elif not asked["asked_wall_ns"] <= payload["decided_wall_ns"] < asked["expires_wall_ns"]:
        problem = "has expired"
    if problem:
        raise _conflict(f"{identity} {problem}", "look at `workbench pending`")
    _require_person(rows, payload["person"])
    columns = {name: payload[name] for name in ("person", "reason", "nonce", "decided_wall_ns")}
    rows.update("approvals", identity, state=verdict, **columns)


def leave_waiting(rows: RowWriter, identity: str, state: OrderState) -> None:
    """What becomes of a request when its order waits no longer; SENT needs an approval and uses it up.

    Raises
    ------
    JournalConflict
        Nobody approved what is to be sent.
    """
    asked = rows.get("approvals", identity)
    if state is OrderState.SENT and (asked is None or asked["state"] != approvals.APPROVED):
        raise _conflict(f"order {identity} cannot become {state}: nobody approved it", "workbench pending")
    if asked is not None:
        ends = {OrderState.SENT: approvals.USED, OrderState.DECLINED: approvals.DECLINED}
        rows.update("approvals", identity, state=ends.get(state, approvals.OVER))


def _refused(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    """Rare, and read from the chain itself."""


def _limits(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    rows.insert("limits_in_force", {**payload, "changes": canonical_json(payload["changes"])})


Fold = Callable[[RowWriter, RecordedEvent, Payload], None]

FOLDS: dict[str, Fold] = {
    "person.key_set": _key_set,
    "person.revoked": _revoked,
    "act.recorded": _act,
    "agreement.asked": _asked,
    "agreement.confirmed": _confirmed,
    "approval.requested": _requested,
    "approval.decided": _decided,
    "act.refused": _refused,
    "limits.changed": _limits,
}
