"""What a judgement of exposure within a session does to the projections."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from workbench.adapters.journal.rowstore import RowWriter
from workbench.core.canonical import canonical_json
from workbench.core.ports import RecordedEvent

Payload = Mapping[str, Any]


def _judged(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    """The last judgement of a session stands; marks and working orders stay in the event."""
    rows.put(
        "exposures", payload["account"], payload["session"], at_ns=payload["at_ns"], level=payload["level"],
        judged=payload["judged"], measures=canonical_json(payload["measures"]),
        peaks=canonical_json(payload["peaks"]),
    )  # fmt: skip


FOLDS: Final[dict[str, Callable[[RowWriter, RecordedEvent, Payload], None]]] = {"exposure.judged": _judged}
