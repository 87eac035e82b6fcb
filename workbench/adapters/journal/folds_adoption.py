"""What an adoption or an adjustment changes in the projections: nothing; their entries do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.adapters.journal.rowstore import RowWriter


def _kept_as_event(rows: RowWriter, event: Any, payload: Mapping[str, Any]) -> None:
    """Their entries, and the orders that are taken over, have events of their own."""


FOLDS = {"account.adopted": _kept_as_event, "books.adjusted": _kept_as_event}
