"""What a run leaves for its replay changes no projection: it is rare, and read from the chain itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.adapters.journal.rowstore import RowWriter


def _kept_as_event(rows: RowWriter, event: Any, payload: Mapping[str, Any]) -> None:
    """Inputs, the seal of the messages and the durations of stages are looked up by kind."""


FOLDS = {kind: _kept_as_event for kind in ("run.inputs", "run.sealed", "session.timed")}
