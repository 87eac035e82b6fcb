"""What halts below and above the account do to the projections, and where desks say they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from workbench.adapters.journal.rowstore import RowWriter
from workbench.core.halts import LEVELS, WITHOUT_ACCOUNT
from workbench.core.ports import RecordedEvent
from workbench.errors import JournalConflict, UsageError

Payload = Mapping[str, Any]
#: How much each state permits: placing a halt may only take away, lifting one needs a person.
_PERMISSION: Final = {"HALTED": 0, "REDUCING": 1, "ACTIVE": 2}


def _halt_placed(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    """A halt; placed again, the stricter of both holds."""
    level, target, state = payload["level"], payload["target"], payload["state"]
    if level not in LEVELS or state not in ("HALTED", "REDUCING"):
        raise UsageError(
            f"halt.placed of {level!r} as {state!r}",
            next_step=f"levels are {', '.join(LEVELS)}; states are HALTED and REDUCING",
        )
    if not payload["reason"] or (level in WITHOUT_ACCOUNT) != (payload["account"] == ""):
        raise UsageError(
            f"halt.placed of {level} {target!r} for account {payload['account']!r} is no halt",
            next_step="a halt has a reason; one of broker or system belongs to no single account",
        )
    before = rows.get("halts", payload["account"], level, target)
    if before is not None and _PERMISSION[before["state"]] < _PERMISSION[state]:
        state = before["state"]
    rows.put(
        "halts", payload["account"], level, target, state=state, reason=payload["reason"],
        cause=payload["cause"], person=payload["person"], at_ns=event.at_ns,
    )  # fmt: skip


def _halt_lifted(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    """A person takes back the very halt that he has looked at; nothing else lifts one."""
    level, target, person = payload["level"], payload["target"], payload["person"]
    held = rows.get("halts", payload["account"], level, target)
    if held is None or held["state"] == "ACTIVE":
        raise _conflict(f"there is no halt of {level} {target} to lift", "look at `workbench status`")
    if held["seq"] != payload["placed_seq"]:
        raise _conflict(
            f"the halt of {level} {target} was placed again meanwhile: {held['reason']}",
            "look at `workbench status`, then decide again",
        )
    if not person or not payload["reason"] or rows.get("people", person) is None:
        raise _conflict(
            f"the halt of {level} {target} is not lifted without a registered person and a reason "
            f"(person {person!r})", "workbench resume --person NAME --reason",
        )  # fmt: skip
    second = payload["second"]
    agreed = payload["weaker"] or (second != person and second and rows.get("people", second) is not None)
    if level == "system" and not agreed:
        raise _conflict(
            "the halt of the system is not lifted by one person",
            "a second registered person says so too: workbench resume --level system",
        )
    rows.update(
        "halts", payload["account"], level, target, state="ACTIVE", reason=payload["reason"], cause="person",
        person=person, at_ns=event.at_ns,
    )  # fmt: skip


def _desk_registered(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    rows.put(
        "desks", payload["account"], payload["host"], payload["folder"], broker=payload["broker"],
        at_ns=event.at_ns,
    )  # fmt: skip


def _kept_as_event(rows: RowWriter, event: RecordedEvent, payload: Payload) -> None:
    """Evidence of what a halt did, read from the chain itself."""


def _conflict(message: str, step: str) -> JournalConflict:
    return JournalConflict(message, next_step=step + "; nothing was written")


FOLDS: Final[dict[str, Callable[[RowWriter, RecordedEvent, Payload], None]]] = {
    "halt.placed": _halt_placed,
    "halt.lifted": _halt_lifted,
    "halt.carried_out": _kept_as_event,
    "desk.registered": _desk_registered,
}
