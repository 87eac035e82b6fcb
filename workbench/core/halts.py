"""Levels of a halt, and what a halt at each of them stops.

The account's own state is a row and the ARMED file. Halts above it (broker, system) stop every account
they cover; halts below it (strategy, symbol, order) stop some orders and leave the account as it is.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from workbench.core.orders import OrderIntent
from workbench.errors import UsageError

LEVELS: Final = ("order", "symbol", "model", "strategy", "account", "broker", "system")
#: Levels that stop single orders, from the narrowest to the widest, with the word of their denial.
DENIALS: Final[Mapping[str, str]] = {
    "order": "HALTED_ORDER", "symbol": "HALTED_SYMBOL", "model": "HALTED_MODEL",
    "strategy": "HALTED_STRATEGY",
}  # fmt: skip
#: The cause of a halt that monitoring placed.
MONITORING: Final = "monitoring"
#: The word when monitoring placed the halt: the reason of the halt names the measure.
MONITORED: Final[Mapping[str, str]] = {"model": "MODEL_DRIFTED", "strategy": "MONITORING_BLOCKED"}
#: Levels whose halts belong to no single account.
WITHOUT_ACCOUNT: Final = ("broker", "system")
#: The only target of the system level.
WHOLE_SYSTEM: Final = "all"


@dataclass(frozen=True)
class Halt:
    """A halt in force.

    Attributes
    ----------
    account : str
        Whose orders it stops; "" = every account that it covers.
    level, target : str
    reducing : bool
        Whether orders that reduce risk still pass.
    seq : int
        Number of the event that placed it; who lifts it names the halt that he has seen by this.
    cause : str
        Who placed it: "person", or "monitoring" after a measure went beyond its bound.
    """

    account: str
    level: str
    target: str
    reason: str
    person: str
    reducing: bool
    seq: int
    cause: str = "person"

    def denies(self, intent: OrderIntent, *, reduces: bool, model_id: str = "") -> str:
        """The denial of an order by this halt; "" = this halt does not concern it.

        Parameters
        ----------
        model_id : str
            The model that decided it; "" = not known, which a halt of any model denies.
        """
        named = {
            "order": intent.client_order_id, "symbol": intent.symbol, "strategy": intent.strategy,
            "model": model_id or self.target,
        }.get(self.level)  # fmt: skip
        if self.account != intent.account or named != self.target or (self.reducing and reduces):
            return ""
        words = DENIALS if self.cause != MONITORING else {**DENIALS, **MONITORED}
        return words[self.level]


def halts_of_rows(rows: Iterable[Mapping[str, Any]]) -> tuple[Halt, ...]:
    """The halts in force that rows of the journal's `halts` projection describe."""
    return tuple(
        Halt(
            str(row["account"]), str(row["level"]), str(row["target"]), str(row["reason"]),
            str(row["person"]), row["state"] == "REDUCING", int(row["seq"]), str(row["cause"]),
        )
        for row in rows
        if row["state"] != "ACTIVE"
    )  # fmt: skip


def require_level(level: str) -> str:
    """The level, if there is one of that name; UsageError suggests the nearest otherwise."""
    if level in LEVELS:
        return level
    raise UsageError(
        f"there is no level {level!r}{_nearest(level, LEVELS)}", next_step=f"use one of {', '.join(LEVELS)}"
    )


def require_target(level: str, target: str, known: Iterable[str]) -> str:
    """The target, if the desk knows one of that name; UsageError suggests the nearest otherwise."""
    names = sorted(set(known))
    if target in names:
        return target
    if not target:
        raise UsageError(f"a halt of level {level} needs a target", next_step="add --target NAME")
    shown = ", ".join(names[:12]) or "none"
    raise UsageError(
        f"this desk knows no {level} {target!r}{_nearest(target, names)}", next_step=f"known: {shown}"
    )


def _nearest(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; the nearest is {near[0]!r}" if near else ""
