"""What a calibrated fill model changes in the projections: nothing; it is read from the chain itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.adapters.journal.rowstore import RowWriter


def _kept_as_event(rows: RowWriter, event: Any, payload: Mapping[str, Any]) -> None:
    """Its manifest lies in the registry, under the id that the event names."""


EXEC_FOLDS = {"fill_model.calibrated": _kept_as_event}
