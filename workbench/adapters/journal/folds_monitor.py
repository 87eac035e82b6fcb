"""What a monitored session and the state of a detector do to the projections."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from workbench.adapters.journal.rowstore import RowWriter
from workbench.core.canonical import canonical_json
from workbench.core.ports import RecordedEvent
from workbench.errors import JournalConflict

Payload = Mapping[str, Any]


def _monitored(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    """A session is measured once: its consequences follow once."""
    rows.insert("monitored", {**payload, "measures": canonical_json(payload["measures"])})


def _detector_kept(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    """A detector of the same model has seen a later session; time does not run backwards."""
    account, detector = payload["account"], payload["detector"]
    held = rows.get("detectors", account, detector)
    if held is not None and held["model_id"] == payload["model_id"] and held["session"] >= payload["session"]:
        raise JournalConflict(
            f"detector {detector} of {account} has seen {held['session']}, {payload['session']} is not later",
            next_step="nothing was written; each session is monitored once, in order",
        )
    rows.put(
        "detectors", account, detector, model_id=payload["model_id"], session=payload["session"],
        alarmed=payload["alarmed"], state=payload["state"],
    )  # fmt: skip


FOLDS: Final[dict[str, Callable[[RowWriter, RecordedEvent, Payload], None]]] = {
    "session.monitored": _monitored,
    "detector.kept": _detector_kept,
}
