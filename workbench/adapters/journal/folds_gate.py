"""What judgements of models do to the projections, and what the journal itself refuses of their stages."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from workbench.adapters.journal.rowstore import RowWriter
from workbench.core.canonical import canonical_json
from workbench.core.ports import RecordedEvent
from workbench.errors import JournalConflict

Payload = Mapping[str, Any]
_RETIRED: Final = "retired"
#: Stages that a model is at only after a judgement that it passed, and the one that takes two people.
_JUDGED: Final = frozenset({"shadow", "paper", "live"})
_TWO_PEOPLE: Final = "live"


def _judged(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    if payload["passed"] == bool(payload["reasons"]):
        raise _conflict("a judgement passes exactly when it has no reasons", "correct the caller")
    row = {name: payload[name] for name in payload if name not in ("gates", "verdict_hash")}
    row["reasons"] = canonical_json(payload["reasons"])
    rows.insert("judgements", {**row, "at_ns": event.at_ns})
    rows.put(
        "releases", payload["model_id"], payload["stage"], passed=payload["passed"],
        verdict_hash=payload.get("verdict_hash") or "", gates=canonical_json(payload.get("gates") or []),
        at_ns=event.at_ns,
    )  # fmt: skip


def _staged(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    """A stage beyond replay needs a judgement that was passed; live needs two people; retired is final."""
    model_id, stage = payload["model_id"], payload["stage"]
    held = rows.get("models", model_id)
    if held is not None and held["stage"] == _RETIRED:
        raise _conflict(f"model {model_id[:12]} is retired", "train another candidate")
    request = payload.get("request_id") or ""
    if held is not None and stage in _JUDGED:
        judged = rows.get("releases", model_id, stage)
        if judged is None or not judged["passed"]:
            raise _conflict(f"model {model_id[:12]} was not judged fit for {stage}", "workbench promote")
        if request or stage == _TWO_PEOPLE:
            _require_agreement(rows, payload, request, str(judged["verdict_hash"]))
            _require_another(rows, request, held["manifest"])
    rows.update("models", model_id, stage=stage, person=payload["person"], reason=payload["reason"])


def _require_agreement(rows: RowWriter, payload: Payload, request: str, verdict_hash: str) -> None:
    """Two people agreed to this model, this stage and the evidence that was judged last."""
    agreed = rows.get("agreements", request)
    subject = (
        f"promote model {payload['model_id'][:16]} to {payload['stage']} on evidence {verdict_hash[:16]}"
    )
    if agreed is None or not agreed["confirmed_ns"] or agreed["subject"] != subject:
        raise _conflict(f"no two people agreed to {subject}", "a second person runs `workbench promote`")
    if agreed["second"] != payload["person"] or agreed["first"] != payload.get("second"):
        raise _conflict(f"other people agreed to {subject}", "a second person runs `workbench promote`")


def _require_another(rows: RowWriter, request: str, manifest: Any) -> None:
    """Whoever trained a model does not confirm it; alone on the desk, both words are the same person's."""
    agreed = rows.get("agreements", request) or {}
    author = (json.loads(manifest) if isinstance(manifest, str) else manifest).get("author")
    if author and author == agreed.get("second") != agreed.get("first"):
        raise _conflict(f"{author} trained the model and cannot confirm it", "another person confirms")


def _kept_as_event(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    """Read from the chain itself."""


def _conflict(message: str, step: str) -> JournalConflict:
    return JournalConflict(message, next_step=step + "; nothing was written")


FOLDS: Final[dict[str, Callable[[RowWriter, RecordedEvent, Payload], None]]] = {
    "promotion.judged": _judged,
    "model.staged": _staged,
    "model.rolled_back": _kept_as_event,
    "shadow.decided": _kept_as_event,
    "shadow.settled": _kept_as_event,
    "shadow.failed": _kept_as_event,
}
