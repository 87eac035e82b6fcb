"""Which events exist and which fields each must carry: the written form of the journal's vocabulary."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from workbench.errors import UsageError

_TYPES: dict[str, type | tuple[type, ...]] = {
    "text": str, "int": int, "bool": bool, "list": list, "dict": dict,
}  # fmt: skip
#: Integers of records lie in [-INT64, INT64).
INT64 = 2**63

_ORDER = (
    "client_order_id:text account:text strategy:text session:text scheduled_ns:int symbol:text leg:text "
    "side:text quantity_nano:int order_type:text limit_micro:int reference_micro:int "
    "expected_cost_micro:int parent_id:text decision_id:text time_in_force:text? stop_micro:int?"
)
_LEASE = "account:text holder:text token:int until_wall_ns:int"

#: Fields of each kind; a question mark marks one that may be None or absent.
_DECLARED: dict[str, str] = {
    "config.recorded": "config_hash:text config:text",
    "person.added": "person:text role:text passphrase_hash:text",
    "state.changed": "account:text state:text epoch:int reason:text cause:text person:text code_hash:text",
    "lease.acquired": _LEASE,
    "lease.renewed": _LEASE,
    "lease.released": _LEASE,
    "ticket.issued": "ticket_hash:text run_id:text code_hash:text expires_wall_ns:int",
    "ticket.used": "ticket_hash:text run_id:text",
    "run.started": "run_id:text job:text session:text attempt:int parameters_hash:text code_hash:text "
    "cause:text? due_ns:int? lease:text? owner_token:int? holder:text?",
    "run.finished": "run_id:text status:text exit_code:int reason:text notebook:text",
    "decision.made": "decision_id:text account:text strategy:text session:text scheduled_ns:int "
    "snapshot_hash:text model_id:text cost_model_id:text bars_fingerprint:text rows:list",
    "order.intended": _ORDER + " verdict:text",
    "order.denied": _ORDER + " verdict:text? codes:list",
    "order.changed": "client_order_id:text state:text at_ns:int venue_order_id:text? filled_nano:int? "
    "reason:text?",
    "order.adjusted": "client_order_id:text at_ns:int quantity_nano:int limit_micro:int stop_micro:int "
    "activity_id:text",
    "fill.booked": "execution_id:text client_order_id:text account:text session:text symbol:text "
    "side:text quantity_nano:int price_micro:int fee_micro:int filled_at_ns:int postings:list",
    "ledger.posted": "account:text session:text entry_id:text postings:list memo:text",
    "reconciliation.done": "account:text session:text at_ns:int clean:bool breaks:list",
    "session.closed": "account:text strategy:text session:text digest:text equity_micro:int "
    "cash_micro:int positions:dict report:dict",
    "session.skipped": "account:text expected:text to:text person:text reason:text",
    "model.registered": "model_id:text manifest:text",
    "model.staged": "model_id:text stage:text person:text reason:text request_id:text? second:text?",
    "cost_model.registered": "cost_model_id:text manifest:text",
    "cost_model.approved": "cost_model_id:text person:text reason:text",
    "trial.recorded": "trial_id:text family:text parameters:text source:text series_id:text "
    "first_session:text last_session:text rows:int model_id:text?",
    "holdout.read": "model_id:text inputs_hash:text series_id:text first_session:text last_session:text "
    "sessions:int net_sum_nano:int hold_sum_nano:int",
    "promotion.judged": "model_id:text stage:text passed:bool evidence_hash:text trials:int clusters:int "
    "attempt:int reasons:list gates:list? verdict_hash:text?",
    "calibration.done": "account:text session:text source:text decision:text reason:text first_session:text "
    "last_session:text sessions:int fills:int days:list old_cost_model_id:text new_cost_model_id:text "
    "step_low_micro:int? step_high_micro:int? cusum_micro:int",
    "journal.archived": "last_seq:int last_hash:text first_seq:int before_session:text base_hash:text "
    "file_hash:text person:text reason:text",
    "alert.raised": "account:text code:text text:text at_ns:int subject:text? spool_id:text? delivered:list?",
    # What became of an alert.
    "alert.merged": "account:text alert_id:int merged:list",
    "alert.claimed": "account:text alert_id:int holder:text until_wall_ns:int",
    "alert.delivered": "account:text alert_id:int attempt:int channel:text complete:bool",
    "alert.failed": "account:text alert_id:int attempt:int channel:text error:text next_wall_ns:int",
    "alert.acknowledged": "account:text alert_id:int person:text reason:text",
    "alert.escalated": "account:text alert_id:int level:int",
    "alert.judged": "account:text alert_id:int real:bool person:text reason:text",
    # halts below and above the account, and where its desks are
    "halt.placed": "account:text level:text target:text state:text reason:text cause:text person:text",
    "halt.lifted": "account:text level:text target:text placed_seq:int reason:text person:text second:text "
    "weaker:bool",
    "halt.carried_out": "account:text level:text target:text person:text reason:text spool:text report:dict",
    "desk.registered": "account:text broker:text host:text folder:text",
    # people, what they sign, and what waits for them
    "person.key_set": "person:text public_key:text key_source:text by:text reason:text",
    "person.revoked": "person:text by:text reason:text",
    "act.recorded": "act:text subject_hash:text person:text reason:text under:text signed_at_ns:int "
    "nonce:text signature:text",
    "agreement.asked": "request_id:text account:text subject:text first:text first_reason:text asked_ns:int "
    "expires_ns:int",
    "agreement.confirmed": "request_id:text account:text subject:text first:text second:text weaker:bool "
    "reason:text confirmed_ns:int",
    "approval.requested": "approval_id:text account:text kind:text bound_hash:text under:text "
    "asked_wall_ns:int expires_wall_ns:int detail:dict",
    "approval.decided": "approval_id:text account:text verdict:text person:text reason:text bound_hash:text "
    "nonce:text decided_wall_ns:int",
    "override.granted": "client_order_id:text account:text codes:list request_id:text first:text second:text "
    "weaker:bool reason:text under:text granted_wall_ns:int expires_wall_ns:int",
    "act.refused": "act:text subject:text person:text why:text",
    "limits.changed": "account:text limits:text config_hash:text changes:list first:text second:text "
    "weaker:bool reason:text effective_wall_ns:int",
    # symbols that a control has disabled until a person enables them
    "symbol.disabled": "account:text symbol:text reason:text at_ns:int",
    "symbol.enabled": "account:text symbol:text person:text reason:text at_ns:int",
    # day one on a real account
    "account.adopted": "account:text venue_account:text at_ns:int person:text reason:text positions:dict "
    "orders:list seen:list",
    # entries that a person accepted for what the books do not know how to take
    "books.adjusted": "account:text mark:text activities:list undoes:list person:text reason:text",
    # scheduling
    "schedule.counted": "job:text declared_hash:text from_ns:int lease:text owner_token:int",
    "schedule.missed": "job:text session:text due_ns:int reason:text at_ns:int lease:text owner_token:int",
    "schedule.paused": "job:text person:text reason:text",
    "schedule.resumed": "job:text person:text reason:text",
    # what own fills teach the fill simulator
    "fill_model.calibrated": "account:text session:text source:text decision:text reason:text orders:int "
    "sessions:int fill_model_id:text artifact_id:text",
    # releases of models, and the model that runs beside
    "model.rolled_back": "mode:text from_model:text to_model:text person:text reason:text",
    "shadow.decided": "account:text model_id:text beside:text session:text scheduled_ns:int "
    "snapshot_hash:text inputs_hash:text features_hash:text live_features_hash:text cash_micro:int "
    "positions:dict quotes:dict rows:list first_difference:text",
    "shadow.settled": "account:text model_id:text session:text scheduled_ns:int fills:list marks:dict "
    "cash_micro:int positions:dict equity_micro:int",
    "shadow.failed": "account:text model_id:text session:text scheduled_ns:int step:text why:text",
    # what was measured after a session, and the state of detectors that look at one value a session
    "session.monitored": "account:text session:text model_id:text at_ns:int level:text measures:list",
    "detector.kept": "account:text detector:text model_id:text session:text alarmed:bool state:text",
    # what a run leaves for its replay, and how long the stages of a session took
    "run.inputs": "run_id:text account:text session:text inputs:dict",
    "run.sealed": "run_id:text account:text messages:int sha256:text",
    "session.timed": "account:text session:text stages:dict",
    # exposure within a session, at each change of its level and at the close
    "exposure.judged": "account:text session:text at_ns:int level:text judged:int measures:list peaks:list "
    "marks:dict working:dict",
    # folders of runs that were deleted
    "run.pruned": "run_id:text days:int keep_days:int at_ns:int",
    # the last event of a desk epoch, and the first one of the next
    "epoch.closed": "account:text epoch:int venue_account:text successor:text last_session:text "
    "cash_micro:int positions:dict clean:bool archives:list person:text reason:text",
    "epoch.begun": "account:text epoch:int venue_account:text predecessor:text predecessor_seq:int "
    "predecessor_hash:text last_session:text person:text reason:text",
}


def _parse(declared: str) -> dict[str, tuple[str, bool]]:
    fields = {}
    for word in declared.split():
        name, _, kind = word.partition(":")
        fields[name] = (kind.rstrip("?"), kind.endswith("?"))
    return fields


FIELDS = {kind: _parse(declared) for kind, declared in _DECLARED.items()}
POSTING_FIELDS = _parse("ledger_account:text amount_micro:int quantity_nano:int memo:text")


def plain(value: Any, path: str) -> Any:
    """A copy of `value` made of None, bool, int, str, list and dict alone.

    Raises
    ------
    TypeError
        Anything else, a float above all: records hold integers on declared grids. Names the path.
    OverflowError
        An integer that does not fit in 64 bits.
    UsageError
        Text with a NUL character.
    """
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        if "\0" in value:
            raise UsageError(
                f"{path} holds a NUL character, which not every database keeps",
                next_step="take it out; nothing was written",
            )
        return str(value)
    if isinstance(value, int):
        if not -INT64 <= value < INT64:
            raise OverflowError(f"{path} is {value}, which does not fit in 64 bits")
        return int(value)
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"{path} has the key {key!r}; keys of records are text")
        return {str(key): plain(part, f"{path}.{key}") for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part, f"{path}[{position}]") for position, part in enumerate(value)]
    hint = "; round it to its grid and give an integer" if isinstance(value, float) else ""
    raise TypeError(f"{path} is a {type(value).__name__}, which records do not hold{hint}")


def check_event(kind: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    """The payload as plain values, once the kind is known and every field is as declared.

    Raises
    ------
    UsageError
        An unknown kind, or a field that is missing, unknown or of another type.
    TypeError, OverflowError
        As `plain`.
    """
    fields = FIELDS.get(kind)
    if fields is None:
        near = difflib.get_close_matches(kind, FIELDS, n=1)
        raise UsageError(
            f"there is no event kind {kind!r}" + (f"; the nearest is {near[0]!r}" if near else ""),
            next_step="use a kind that the journal declares",
            kind=kind,
        )
    values = {name: plain(part, f"{kind}.{name}") for name, part in payload.items()}
    check_fields(values, fields, kind)
    return values


def check_fields(values: Mapping[str, Any], fields: dict[str, tuple[str, bool]], where: str) -> None:
    """Refuse a record whose fields are not exactly the declared ones."""
    for name, (kind, optional) in fields.items():
        value = values.get(name)
        if value is None:
            if not optional:
                raise _unusable(f"{where} lacks the field {name!r}", where, name)
        elif not isinstance(value, _TYPES[kind]) or (kind == "int" and isinstance(value, bool)):
            raise _unusable(f"{where}.{name} is {type(value).__name__}, expected {kind}", where, name)
    if len(values) > len(fields) or not values.keys() <= fields.keys():
        name = sorted(values.keys() - fields.keys())[0]
        near = difflib.get_close_matches(name, fields, n=1)
        hint = f"; the nearest is {near[0]!r}" if near else ""
        raise _unusable(f"{where} has no field {name!r}{hint}", where, name)


def _unusable(message: str, where: str, name: str) -> UsageError:
    return UsageError(message, next_step="correct the caller; nothing was written", where=where, field=name)
