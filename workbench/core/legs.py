"""Legs of one decided change: what is sent first, and what follows when a leg is done.

A change too large for one order goes out in slices; one that crosses zero closes first and opens the
other side in a leg of its own, only where short positions are allowed. At most one leg is open at a time,
so each follows from the journal alone: from the decided change and from what the former legs filled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.core.orders import TERMINAL, Order, OrderState
from workbench.core.types import NANO, Side

ENTRY, FLIP, SLICE, REMAINDER = "entry", "flip", "slice", "remainder"


@dataclass(frozen=True)
class Leg:
    """One order that a change needs next."""

    name: str
    side: Side
    shares: int


def next_leg(
    start_shares: int,
    target_shares: int,
    legs: Sequence[Order],
    *,
    max_slice_shares: int,
    allow_short: bool,
    planned: Sequence[int] = (),
) -> Leg | None:
    """The leg that follows, the first when there are none; None when there is nothing (more) to send.

    Parameters
    ----------
    start_shares, target_shares : int
        Signed position before the decision, and the one decided.
    legs : sequence of Order
        The legs so far, in the order in which they were made.
    max_slice_shares : int
        Most shares of one order, > 0.
    allow_short : bool
        Whether a leg may open a short position.
    planned : sequence of int
        Shares of each slice of a schedule, () = none. The last takes what is left.

    Notes
    -----
    Only a filled leg has a successor of itself. What a cancelled or expired one left is a remainder, which
    somebody has to ask for; a denied or rejected one ends the change.
    """
    if max_slice_shares <= 0:
        raise ValueError(f"a slice of {max_slice_shares} shares")
    if any(order.state not in TERMINAL for order in legs):
        return None
    if legs and legs[-1].state is not OrderState.FILLED:
        return None
    now = start_shares + sum(int(o.intent.side) * (o.filled_nano // NANO) for o in legs)
    crosses = now * target_shares < 0
    wanted = -now if crosses else target_shares - now
    if wanted == 0:
        return None
    opens_short = target_shares < 0 and not crosses and now <= 0 and wanted < 0
    if opens_short and start_shares > 0 and not allow_short:
        return None
    shares = min(abs(wanted), max_slice_shares)
    if len(legs) < len(planned) - 1:
        shares = min(shares, planned[len(legs)])
    return Leg(
        _name(start_shares, target_shares, now, legs, whole=shares == abs(wanted)), _side(wanted), shares
    )


def remainder_name(legs: Sequence[Order]) -> str:
    """The name of the next remainder leg of a change."""
    made = sum(order.intent.leg.startswith(REMAINDER) for order in legs)
    return f"{REMAINDER} {made + 1}"


def in_sequence(orders: Sequence[Order]) -> tuple[Order, ...]:
    """Legs of one change from the first to the last, along their parent links."""
    by_parent = {order.intent.parent_id: order for order in orders}
    found: list[Order] = []
    at = by_parent.get("")
    while at is not None and len(found) < len(orders):
        found.append(at)
        at = by_parent.get(at.intent.client_order_id)
    if len(found) != len(orders):
        names = ", ".join(sorted(order.intent.leg for order in orders))
        raise ValueError(f"the legs {names} are not one chain of parents")
    return tuple(found)


def _name(start: int, target: int, now: int, legs: Sequence[Order], *, whole: bool) -> str:
    if not legs:
        return ENTRY if whole else f"{SLICE} 1"
    if now == 0 and start * target < 0:
        return FLIP
    return f"{SLICE} {len(legs) + 1}"


def _side(signed: int) -> Side:
    return Side.BUY if signed > 0 else Side.SELL
