"""What runs, schedules and misses do to the projections; a scheduler without its lease writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from workbench.adapters.journal.rowstore import RowWriter
from workbench.core.ports import RecordedEvent
from workbench.errors import JournalConflict, LeaseLost

Payload = Mapping[str, Any]

_PLAN: Final = ("cause", "due_ns", "lease", "owner_token", "holder")


def _require_owner(rows: RowWriter, lease: str, token: int) -> None:
    """Refuse what a scheduler writes after another one has taken its place: the fence is in the database."""
    held = rows.get("leases", lease)
    if held is None or held["released"] or held["token"] != token:
        now = "nobody" if held is None or held["released"] else held["holder"]
        raise LeaseLost(
            f"this scheduler (token {token}) no longer owns {lease}; {now} does; nothing was written",
            next_step="stop it, or let it wait for its turn: `workbench jobs serve`",
            holder=now,
        )


def _run_started(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    run = {name: value for name, value in payload.items() if name not in _PLAN}
    rows.insert(
        "runs",
        {**run, "status": "running", "exit_code": None, "reason": "", "notebook": "",
         "started_at_ns": event.at_ns, "finished_at_ns": None},
    )  # fmt: skip
    token = payload.get("owner_token") or 0
    if token:
        _require_owner(rows, payload.get("lease") or "", token)
    rows.insert(
        "run_plans",
        {
            "run_id": payload["run_id"], "job": payload["job"], "session": payload["session"],
            "cause": payload.get("cause") or "person", "due_ns": payload.get("due_ns") or 0,
            "owner_token": token, "holder": payload.get("holder") or "",
        },
    )  # fmt: skip


def _counted(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    _require_owner(rows, payload["lease"], payload["owner_token"])
    rows.put("schedules", payload["job"], declared_hash=payload["declared_hash"], from_ns=payload["from_ns"])


def _missed(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    _require_owner(rows, payload["lease"], payload["owner_token"])
    names = ("job", "session", "due_ns", "reason", "at_ns")
    rows.insert("missed_slots", {name: payload[name] for name in names})


def _paused(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    if rows.get("people", payload["person"]) is None or not payload["reason"]:
        raise JournalConflict(
            f"{event.kind} of {payload['job']} without a registered person and a reason",
            next_step="add the person with `workbench people`; nothing was written",
        )
    rows.put(
        "pauses", payload["job"], paused=event.kind == "schedule.paused", person=payload["person"],
        reason=payload["reason"],
    )  # fmt: skip


def _pruned(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    """The event is the record; a run that is under way has a folder that somebody writes."""
    run = rows.get("runs", payload["run_id"])
    if run is None or run["status"] == "running":
        raise JournalConflict(
            f"the folder of {payload['run_id']} may not be deleted: it is no run that has ended",
            next_step="workbench jobs history shows how the runs ended; nothing was written",
        )


JOB_FOLDS: Final[dict[str, Callable[[RowWriter, RecordedEvent, Payload], None]]] = {
    "run.started": _run_started,
    "schedule.counted": _counted,
    "schedule.missed": _missed,
    "schedule.paused": _paused,
    "schedule.resumed": _paused,
    "run.pruned": _pruned,
}
