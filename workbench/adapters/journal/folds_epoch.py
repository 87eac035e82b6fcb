"""The beginning and the end of a desk epoch: no projection changes, but the end is judged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.adapters.journal.rowstore import RowWriter
from workbench.errors import JournalConflict


def _begun(rows: RowWriter, event: Any, payload: Mapping[str, Any]) -> None:
    """Read from the chain itself."""


def _closed(rows: RowWriter, event: Any, payload: Mapping[str, Any]) -> None:
    state = rows.get("state", payload["account"])
    if state is None or state["state"] != "HALTED":
        raise JournalConflict(
            f"account {payload['account']} is not HALTED, so its desk epoch does not end",
            next_step="halt it in the same transaction; nothing was written",
        )


FOLDS = {"epoch.begun": _begun, "epoch.closed": _closed}
