"""What `--json` prints: the keys of every command's object, shown by its `--help` and in the reference."""

from __future__ import annotations

from typing import Final

#: Keys of the one object that a command prints when it did not fail, by the command's path.
KEYS: Final[dict[str, dict[str, str]]] = {
    "init": {
        "config": "settings file",
        "desk": "folder of the desk",
        "config_hash": "hash of the effective settings",
    },
    "status": {
        "account": "account of the desk",
        "mode": "replay, shadow, paper or live",
        "state": "ACTIVE, REDUCING or HALTED",
        "reason": "why it is in that state",
        "epoch": "number of the last change of state",
        "sessions_run": "closed sessions",
        "last_session": "the last closed session, or null",
        "decisions": "decision times",
        "orders": "orders sent or to be sent",
        "orders_by_state": "number of orders by state",
        "denials": "orders that our own controls denied",
        "fills": "executions",
        "digest": "hash over all sessions",
        "digests": "hash of each session",
        "breaks": "differences that the last reconciliation found",
        "unresolved": "ids of orders whose fate is unknown",
        "equity_usd": "equity at the last close, or null",
        "cash_usd": "cash at the last close, or null",
        "positions": "shares held by symbol at the last close",
        "model_id": "accepted model, or null",
        "cost_model_id": "approved cost model, or null",
        "config_hash": "hash of the effective settings",
    },
    "adopt": {"cash_micro": "opening cash, millionths of a dollar", "person": "who decided"},
    "resume": {
        "state": "ACTIVE",
        "epoch": "number of this change of state",
        "reason": "the reason given",
        "code_hash": "hash of the package and notebook that were accepted",
    },
    "reduce": {"state": "REDUCING", "person": "who decided"},
    "halt": {"state": "HALTED", "person": "who decided"},
    "reconcile": {
        "clean": "true when nothing differs",
        "breaks": "kind, symbol, ours, theirs and evidence of each difference",
    },
    "features": {
        "features": "feature, lookback, family, unit, meaning and used of each",
        "used": "names that model.features uses",
    },
    "train": {
        "model_id": "hash that names the candidate",
        "folds": "walk-forward blocks with their scores",
        "manifest": "data, features, settings, seed and versions it was made from",
    },
    "candidates": {"models": "model_id, stage, what it was made of and its walk-forward scores, of each"},
    "promote": {
        "model_id": "the model",
        "stage": "stage it is accepted for",
        "person": "who decided",
    },
    "calibrate": {
        "cost_model_id": "hash that names the cost model",
        "source": "prior",
        "as_of": "session from whose close it is valid",
        "person": "who decided",
    },
    "demo": {
        "runs": "each run as `jobs run` prints it",
        "sessions": "money, counts, shortfall, reconciliation and digest of each closed session",
    },
    "config show": {
        "config_hash": "hash of the effective settings",
        "values": "key, value and source of each setting",
    },
    "config check": {
        "ok": "true",
        "config_hash": "hash of the effective settings",
        "keys": "number of settings",
    },
    "config hash": {"config_hash": "hash of the effective settings"},
    "people add": {"person": "name", "role": "viewer, operator or approver"},
    "people list": {"people": "person and role of each"},
    "data ingest": {
        "source": "where the rows come from",
        "offered": "rows in the delivery",
        "accepted": "rows added to the store",
        "corrections": "accepted rows that supersede a recorded one",
        "unchanged": "rows that the store already held",
        "quarantined": "rows set aside, by reason",
        "examples": "the first rows of each reason",
        "splits_added": "new split events",
        "fingerprint": "hash of the store's content afterwards",
    },
    "data status": {
        "rows": "bars in the store",
        "symbols": "rows, first and last session of each symbol",
        "first_session": "earliest session, or null",
        "last_session": "latest session, or null",
        "splits": "split events",
        "parts": "files",
        "sources": "where the rows come from",
        "fingerprint": "hash of the content",
        "quarantined": "rows set aside, by reason",
    },
    "jobs list": {"jobs": "job, purpose and timeout_s of each"},
    "jobs run": {
        "run_id": "JOB/DATE.ATTEMPT",
        "status": "done, refused, unknown or failed",
        "exit_code": "as of the command",
        "error": "family of the error, empty when done",
        "message": "what went wrong, or that the session was done before",
        "next_step": "what to do about it",
        "notebook": "executed notebook",
        "seconds": "duration",
    },
    "jobs skip": {
        "from": "first session that is left out",
        "to": "session to go on with",
        "person": "who decided",
    },
    "jobs history": {"runs": "run_id, status, exit_code, reason and notebook of each attempt"},
    "journal verify": {
        "ok": "true; a journal that is not whole is an error",
        "events": "events that were proved",
        "first_bad_seq": "null",
        "reason": "empty",
        "anchored": "true when the anchor's signature was checked",
    },
}

#: Keys of the object that any command prints when it fails.
ERROR_KEYS: Final[dict[str, str]] = {
    "error": "family of the error",
    "message": "what is wrong, naming the thing",
    "next_step": "what to do about it",
    "exit_code": "as of the command",
    "facts": "values that belong to the error",
}
