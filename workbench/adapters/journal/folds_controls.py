"""What a disabled symbol, and a person who enables it, do to the projections."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from workbench.adapters.journal.rowstore import RowWriter
from workbench.core.ports import RecordedEvent
from workbench.errors import JournalConflict

Payload = Mapping[str, Any]


def _disabled(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    rows.put(
        "disabled_symbols", payload["account"], payload["symbol"], disabled=True, reason=payload["reason"],
        person="", at_ns=payload["at_ns"],
    )  # fmt: skip


def _enabled(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    """Only a registered person with a reason enables, and only what is disabled."""
    account, symbol, person = payload["account"], payload["symbol"], payload["person"]
    held = rows.get("disabled_symbols", account, symbol)
    if held is None or not held["disabled"]:
        raise JournalConflict(
            f"{symbol} of {account} is not disabled",
            next_step="look at `workbench limits`; nothing was written",
        )
    if not person or not payload["reason"] or rows.get("people", person) is None:
        raise JournalConflict(
            f"{symbol} of {account} is not enabled without a registered person and a reason "
            f"(person {person!r})",
            next_step="workbench enable SYMBOL --person NAME --reason; nothing was written",
        )
    rows.put(
        "disabled_symbols", account, symbol, disabled=False, reason=payload["reason"], person=person,
        at_ns=payload["at_ns"],
    )  # fmt: skip


FOLDS: Final[dict[str, Callable[[RowWriter, RecordedEvent, Payload], None]]] = {
    "symbol.disabled": _disabled,
    "symbol.enabled": _enabled,
}
