"""What an adoption changes in the projections: nothing; it is rare and read from the chain itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.adapters.journal.rowstore import RowWriter


def _kept_as_event(rows: RowWriter, event: Any, payload: Mapping[str, Any]) -> None:
    """The opening entry and the orders that are taken over have events of their own."""


FOLDS = {"account.adopted": _kept_as_event}
