"""What each kind of event does to the projections: a pure fold, run live and again by every rebuild."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import groupby
from operator import attrgetter
from typing import Any

from workbench.adapters.journal import folds_adoption, folds_approve, folds_gate, folds_rewind, hot_path
from workbench.adapters.journal.encoding import nested_text
from workbench.adapters.journal.folds_alerts import FOLDS as ALERT_FOLDS
from workbench.adapters.journal.folds_controls import FOLDS as CONTROLS_FOLDS
from workbench.adapters.journal.folds_epoch import FOLDS as EPOCH_FOLDS
from workbench.adapters.journal.folds_exec import EXEC_FOLDS
from workbench.adapters.journal.folds_exposure import FOLDS as EXPOSURE_FOLDS
from workbench.adapters.journal.folds_jobs import JOB_FOLDS
from workbench.adapters.journal.folds_kill import FOLDS as KILL_FOLDS
from workbench.adapters.journal.folds_monitor import FOLDS as MONITOR_FOLDS
from workbench.adapters.journal.kinds import POSTING_FIELDS, check_fields
from workbench.adapters.journal.rowstore import RowWriter
from workbench.core.orders import WORKING, OrderEvent, OrderState, changes_by, check_terms
from workbench.core.ports import RecordedEvent
from workbench.core.types import OrderType, Side, TimeInForce
from workbench.errors import JournalConflict, UsageError

Payload = Mapping[str, Any]
Fold = Callable[[RowWriter, RecordedEvent, Payload], None]

#: How much each state permits; a step up is a person's decision. No row at all permits nothing.
_PERMISSION = {"HALTED": 0, "REDUCING": 1, "ACTIVE": 2}
_FINISHED = ("done", "refused", "unknown", "failed")
_STATES = {state.value: state for state in OrderState}
#: What an order is before anything has happened to it.
_NEW = {"state": "INTENDED", "reason": "", "venue_order_id": "", "filled_nano": 0, "sent_at_ns": 0}


def fold(rows: RowWriter, event: RecordedEvent) -> None:
    """Apply one event to the projections.

    Raises
    ------
    JournalConflict
        The event contradicts what the projections hold.
    IllegalTransition
        An order event that the transition table does not know.
    UsageError
        Nested content of the payload is not as declared.
    """
    many = _HOT.get(event.kind)
    if many is None:
        rows.seq = event.seq
        _FOLDS[event.kind](rows, event, event.payload)
    else:
        many(rows, (event,))


def fold_many(rows: RowWriter, recorded: Sequence[RecordedEvent]) -> None:
    """Apply events in their order, those of one kind that follow one another together; as `fold` of each."""
    if len(recorded) == 1:
        fold(rows, recorded[0])
        return
    for kind, run in groupby(recorded, _kind_of):
        many = _HOT.get(kind)
        if many is None:
            one = _FOLDS[kind]
            for event in run:
                rows.seq = event.seq
                one(rows, event, event.payload)
        else:
            many(rows, run)


def _conflict(message: str, step: str, **facts: Any) -> JournalConflict:
    return JournalConflict(message, next_step=step + "; nothing was written", **facts)


def _state(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    account, state = payload["account"], payload["state"]
    if state not in _PERMISSION:
        raise UsageError(
            f"state.changed of {account} to {state!r}", next_step=f"use one of {', '.join(_PERMISSION)}"
        )
    before = rows.get("state", account)
    epoch = before["epoch"] if before else 0
    if payload["epoch"] <= epoch:
        raise _conflict(
            f"state of {account}: epoch {payload['epoch']} does not grow beyond {epoch}",
            "read the state again; somebody changed it meanwhile", account=account, epoch=epoch,
        )  # fmt: skip
    held = before["state"] if before else "HALTED"
    if _PERMISSION[state] > _PERMISSION[held]:
        person = payload["person"]
        if not person or not payload["reason"] or rows.get("people", person) is None:
            raise _conflict(
                f"state of {account} cannot go from {held} to {state} without a registered person "
                f"and a reason (person {person!r})",
                "add the person with `workbench people`, then `workbench resume --person --reason`",
                account=account,
            )  # fmt: skip
    changes = {name: payload[name] for name in payload if name != "account"}
    rows.put("state", account, **changes, at_ns=event.at_ns)


def _lease_acquired(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    before = rows.get("leases", payload["account"])
    if before is not None and payload["token"] <= before["token"]:
        raise _conflict(
            f"lease of {payload['account']}: token {payload['token']} does not grow beyond "
            f"{before['token']}", "take the lease again", account=payload["account"],
        )  # fmt: skip
    _write_lease(rows, payload, released=False)


def _lease_changed(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    before = rows.get("leases", payload["account"])
    mine = before and (before["holder"], before["token"]) == (payload["holder"], payload["token"])
    if not mine or (before and before["released"]):
        raise _conflict(
            f"lease of {payload['account']} is not held by {payload['holder']} with token "
            f"{payload['token']}", "take the lease again", account=payload["account"],
        )  # fmt: skip
    _write_lease(rows, payload, released=event.kind == "lease.released")


def _write_lease(rows: RowWriter, payload: Payload, *, released: bool) -> None:
    rows.put(
        "leases", payload["account"], holder=payload["holder"], token=payload["token"],
        until_wall_ns=payload["until_wall_ns"], released=released,
    )  # fmt: skip


def _ticket_used(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    ticket = rows.get("tickets", payload["ticket_hash"])
    problem = ""
    if ticket is None:
        problem = "was never issued"
    elif ticket["used"]:
        problem = "was used before"
    elif ticket["run_id"] != payload["run_id"]:
        problem = f"belongs to run {ticket['run_id']}, not {payload['run_id']}"
    elif event.at_ns > ticket["expires_wall_ns"]:
        problem = "has expired"
    if problem:
        raise _conflict(
            f"ticket {payload['ticket_hash'][:12]} of run {payload['run_id']} {problem}",
            "start the job through the runner, which issues a ticket for each run",
            run_id=payload["run_id"],
        )
    rows.update("tickets", payload["ticket_hash"], used=True)


def _run_finished(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    run_id, status = payload["run_id"], payload["status"]
    if status not in _FINISHED:
        raise UsageError(f"run {run_id} ended as {status!r}", next_step=f"use one of {', '.join(_FINISHED)}")
    run = rows.get("runs", run_id)
    if run is not None and run["status"] not in ("running", "unknown"):
        raise _conflict(
            f"run {run_id} has already ended as {run['status']}", "start a new attempt", run_id=run_id
        )
    rows.update(
        "runs", run_id, status=status, exit_code=payload["exit_code"], reason=payload["reason"],
        notebook=payload["notebook"], finished_at_ns=event.at_ns,
    )  # fmt: skip


@cache
def _side(word: str) -> Side:
    return Side[word.upper()]


@cache
def _order_type(word: str) -> OrderType:
    return OrderType.parse(word)


@cache
def _time_in_force(word: str | None) -> TimeInForce:
    return TimeInForce.parse(word or "day")


def _require_order(row: Mapping[str, Any]) -> None:
    """Refuse a row that describes no order."""
    try:
        _side(row["side"])
        check_terms(
            row["symbol"], row["quantity_nano"], _order_type(row["order_type"]), row["limit_micro"],
            row["stop_micro"], _time_in_force(row["time_in_force"]),
        )  # fmt: skip
    except (KeyError, ValueError) as error:
        raise UsageError(
            f"order {row['client_order_id']} is not an order: {error}",
            next_step="correct the caller; nothing was written",
        ) from error


def _order_added(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    row = {**payload, **_NEW}
    if event.kind == "order.denied":
        codes = row.pop("codes")
        row["state"], row["reason"] = "DENIED", ",".join(codes)
        row.pop("verdict", None)
        consistent = bool(codes)
    else:
        consistent = row.pop("verdict") == "allowed"
    row["time_in_force"], row["stop_micro"] = row.get("time_in_force") or "day", row.get("stop_micro") or 0
    _require_order(row)
    if not consistent:
        raise _conflict(
            f"{event.kind} of {payload['client_order_id']} contradicts its own verdict",
            "an intended order is allowed, a denied one has codes",
        )
    rows.insert("orders", row)


def _order_changed(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    identity = payload["client_order_id"]
    row = rows.get("orders", identity)
    if row is None:
        raise _conflict(f"order {identity} is not in the journal", "record the intent before anything else")
    state = _STATES.get(payload["state"])
    if state is None:
        raise UsageError(
            f"order {identity}: {payload['state']!r} is no state of an order",
            next_step="map the venue's word first",
        )
    event_of_order = OrderEvent(
        identity, state, payload["at_ns"], payload.get("venue_order_id") or "",
        payload.get("filled_nano"), payload.get("reason") or "",
    )  # fmt: skip
    after = changes_by(
        event_of_order, symbol=row["symbol"], quantity_nano=row["quantity_nano"], state=_STATES[row["state"]],
        filled_nano=row["filled_nano"], venue_order_id=row["venue_order_id"], sent_at_ns=row["sent_at_ns"],
        reason=row["reason"],
    )  # fmt: skip
    after["state"] = state.value
    if row["state"] == OrderState.AWAITING_APPROVAL.value:
        folds_approve.leave_waiting(rows, identity, state)
    rows.update("orders", identity, **after)


def _order_adjusted(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    """New terms of a working order after a split: the venue changed it, nobody sent a new one."""
    identity = payload["client_order_id"]
    row = rows.get("orders", identity)
    if row is None or OrderState(row["state"]) not in WORKING:
        raise _conflict(f"order {identity} is not working, so no split can change it", "reconcile first")
    terms = {name: payload[name] for name in ("quantity_nano", "limit_micro", "stop_micro")}
    _require_order({**row, **terms})
    if terms["quantity_nano"] <= row["filled_nano"]:
        raise _conflict(f"order {identity} would have nothing left after the split", "reconcile first")
    rows.update("orders", identity, **terms)


def _post(rows: RowWriter, payload: Payload, entry_id: str, where: str) -> None:
    total = 0
    for n, posting in enumerate(payload["postings"]):
        if not isinstance(posting, dict):
            raise UsageError(f"{where}.postings[{n}] is not a dict", next_step="correct the caller")
        check_fields(posting, POSTING_FIELDS, f"{where}.postings[{n}]")
        total += posting["amount_micro"]
        rows.insert(
            "postings",
            {**posting, "entry_id": entry_id, "n": n, "account": payload["account"],
             "session": payload["session"]},
        )  # fmt: skip
    if total or not payload["postings"]:
        raise _conflict(
            f"{where} {entry_id}: postings sum to {total} micros over {len(payload['postings'])} lines",
            "an entry has lines and they sum to zero", entry_id=entry_id,
        )  # fmt: skip


def _fill(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    identity = payload["client_order_id"]
    order = rows.get("orders", identity)
    if order is None:
        raise _conflict(
            f"fill {payload['execution_id']} belongs to order {identity}, which is not in the journal",
            "a foreign execution is a break: run `workbench reconcile`",
        )
    for name in ("account", "symbol", "side"):
        if payload[name] != order[name]:
            raise _conflict(
                f"fill {payload['execution_id']} has {name} {payload[name]!r}, its order {identity} "
                f"{order[name]!r}", "halt and compare with the venue's record", field=name,
            )  # fmt: skip
    rows.insert("fills", {name: value for name, value in payload.items() if name != "postings"})
    _post(rows, payload, payload["execution_id"], "fill.booked")


def _ledger(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    _post(rows, payload, payload["entry_id"], "ledger.posted")


def _model_registered(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    rows.insert("models", {**payload, "stage": "candidate", "person": "", "reason": ""})


def _cost_model_registered(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    rows.insert("cost_models", {**payload, "approved_by": "", "approved_seq": None, "reason": ""})


def _cost_model_approved(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    rows.update(
        "cost_models", payload["cost_model_id"], approved_by=payload["person"], approved_seq=event.seq,
        reason=payload["reason"],
    )  # fmt: skip


def _trial(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    model_id = payload.get("model_id") or ""
    if model_id and rows.get("models", model_id) is None:
        raise _conflict(
            f"trial {payload['trial_id'][:12]} belongs to model {model_id[:12]}, which is not registered",
            "register the model first",
        )
    rows.insert("trials", {**payload, "model_id": model_id, "at_ns": event.at_ns})


def _holdout_read(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    model_id = payload["model_id"]
    if rows.get("models", model_id) is None:
        raise _conflict(f"model {model_id[:12]} of a holdout is not registered", "register it first")
    if rows.get("holdout_reads", model_id) is not None:
        raise _conflict(
            f"the holdout was read for model {model_id[:12]} already", "use the stored result",
            model_id=model_id,
        )  # fmt: skip
    rows.insert("holdout_reads", {**payload, "at_ns": event.at_ns})


def _kept_as_event(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    """A kind that is rare and read from the chain itself."""


def _added(projection: str, *nested: str, **constants: Any) -> Fold:
    """The fold of a kind whose payload is a row; nested fields are stored as canonical text."""

    def add(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
        row = {**payload, **constants}
        for name in nested:
            row[name] = nested_text(row[name])
        rows.insert(projection, row)

    return add


_FOLDS: dict[str, Fold] = {
    "config.recorded": _added("configs"),
    "person.added": _added("people"),
    "state.changed": _state,
    "lease.acquired": _lease_acquired,
    "lease.renewed": _lease_changed,
    "lease.released": _lease_changed,
    "ticket.issued": _added("tickets", used=False),
    "ticket.used": _ticket_used,
    "run.finished": _run_finished,
    "decision.made": _added("decisions", "rows"),
    "order.intended": _order_added,
    "order.denied": _order_added,
    "order.changed": _order_changed,
    "order.adjusted": _order_adjusted,
    "fill.booked": _fill,
    "ledger.posted": _ledger,
    "reconciliation.done": _added("reconciliations", "breaks"),
    "session.closed": _added("sessions", "positions", "report"),
    "session.skipped": _kept_as_event,
    "model.registered": _model_registered,
    "cost_model.registered": _cost_model_registered,
    "cost_model.approved": _cost_model_approved,
    "trial.recorded": _trial,
    "holdout.read": _holdout_read,
    "calibration.done": _kept_as_event,
    "journal.archived": _added("archives"),
    **ALERT_FOLDS,
    **KILL_FOLDS,
    **folds_approve.FOLDS,
    **CONTROLS_FOLDS,
    **MONITOR_FOLDS,
    **EXPOSURE_FOLDS,
    **folds_adoption.FOLDS,
    **folds_rewind.FOLDS,
    **JOB_FOLDS,
    **EXEC_FOLDS,
    **folds_gate.FOLDS,
    **EPOCH_FOLDS,
}
#: The kinds that come by the thousand.
_HOT: dict[str, hot_path.FoldRun] = {
    "order.intended": hot_path.orders_intended(_order_added),
    "order.changed": hot_path.orders_changed(_order_changed),
}
_kind_of = attrgetter("kind")
