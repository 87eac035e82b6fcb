"""Orders: intents, fills, states, the literal transition table and the fold of events over an order.

DENIED is our own no, REJECTED is the venue's. UNKNOWN is a state of its own: a request that may have
reached the venue; it is left only on evidence from the venue. The table below is the whole truth about
which state may follow which; anything else is refused and quarantines the order.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from workbench.core.types import NANO, OrderType, Side, TimeInForce
from workbench.errors import IllegalTransition, JournalConflict

ID_PREFIX = "wb1-"
#: Types that bear a limit, types that bear a stop, and the times in force that each type may have.
WITH_LIMIT = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT})
WITH_STOP = frozenset({OrderType.STOP, OrderType.STOP_LIMIT})
_IMMEDIATE = frozenset({TimeInForce.IOC, TimeInForce.FOK})
_RESTING = frozenset({TimeInForce.DAY, TimeInForce.GTC})
TIMES_IN_FORCE: dict[OrderType, frozenset[TimeInForce]] = {
    OrderType.MARKET: _RESTING | _IMMEDIATE,
    OrderType.LIMIT: _RESTING | _IMMEDIATE,
    OrderType.MARKET_ON_OPEN: frozenset({TimeInForce.DAY}),
    OrderType.MARKET_ON_CLOSE: frozenset({TimeInForce.DAY}),
    OrderType.STOP: _RESTING,
    OrderType.STOP_LIMIT: _RESTING,
}


class OrderState(StrEnum):
    """States of an order in the order in which a life usually passes through them."""

    INTENDED = "INTENDED"
    DENIED = "DENIED"
    AWAITING_APPROVAL = "AWAITING_APPROVAL"
    DECLINED = "DECLINED"
    EXPIRED_UNSENT = "EXPIRED_UNSENT"
    SENT = "SENT"
    NOT_ACCEPTED = "NOT_ACCEPTED"
    UNKNOWN = "UNKNOWN"
    ACCEPTED = "ACCEPTED"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    PENDING_CANCEL = "PENDING_CANCEL"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    REPLACED = "REPLACED"
    QUARANTINED = "QUARANTINED"


S = OrderState

#: From each state, the states that may follow. A terminal state has no successor. EXPIRED_UNSENT after
#: SENT, UNKNOWN or NOT_ACCEPTED needs the sweep through the next open (the OMS decides, not this table).
TRANSITIONS: dict[OrderState, frozenset[OrderState]] = {
    S.INTENDED: frozenset({S.DENIED, S.AWAITING_APPROVAL, S.SENT, S.EXPIRED_UNSENT, S.QUARANTINED}),
    S.AWAITING_APPROVAL: frozenset({S.SENT, S.DENIED, S.DECLINED, S.EXPIRED_UNSENT, S.QUARANTINED}),
    S.SENT: frozenset(
        {S.ACCEPTED, S.REJECTED, S.NOT_ACCEPTED, S.UNKNOWN, S.PARTIALLY_FILLED, S.FILLED,
         S.PENDING_CANCEL, S.CANCELED, S.EXPIRED, S.QUARANTINED}
    ),
    S.NOT_ACCEPTED: frozenset(  # the venue said no, yet it alone knows: what it shows later is believed
        {S.SENT, S.UNKNOWN, S.DENIED, S.EXPIRED_UNSENT, S.ACCEPTED, S.REJECTED, S.PARTIALLY_FILLED, S.FILLED,
         S.PENDING_CANCEL, S.CANCELED, S.EXPIRED, S.QUARANTINED}
    ),
    S.UNKNOWN: frozenset(
        {S.SENT, S.ACCEPTED, S.REJECTED, S.NOT_ACCEPTED, S.PARTIALLY_FILLED, S.FILLED, S.PENDING_CANCEL,
         S.CANCELED, S.EXPIRED, S.EXPIRED_UNSENT, S.QUARANTINED}
    ),
    S.ACCEPTED: frozenset(
        {S.PARTIALLY_FILLED, S.FILLED, S.PENDING_CANCEL, S.CANCELED, S.REJECTED, S.EXPIRED, S.REPLACED,
         S.QUARANTINED}
    ),
    S.PARTIALLY_FILLED: frozenset(
        {S.PARTIALLY_FILLED, S.FILLED, S.PENDING_CANCEL, S.CANCELED, S.EXPIRED, S.REPLACED, S.QUARANTINED}
    ),
    S.PENDING_CANCEL: frozenset(
        {S.ACCEPTED, S.PARTIALLY_FILLED, S.FILLED, S.CANCELED, S.EXPIRED, S.REJECTED, S.QUARANTINED}
    ),
    S.QUARANTINED: frozenset({S.ACCEPTED, S.PARTIALLY_FILLED, S.FILLED, S.CANCELED, S.REJECTED, S.EXPIRED}),
    S.DENIED: frozenset(),
    S.DECLINED: frozenset(),
    S.EXPIRED_UNSENT: frozenset(),
    S.FILLED: frozenset(),
    S.CANCELED: frozenset(),
    S.REJECTED: frozenset(),
    S.EXPIRED: frozenset(),
    S.REPLACED: frozenset(),
}  # fmt: skip

TERMINAL = frozenset(state for state, following in TRANSITIONS.items() if not following)
#: States in which the venue may hold the order, or may yet receive it: exposure at worst case.
WORKING = frozenset(
    {S.SENT, S.UNKNOWN, S.ACCEPTED, S.PARTIALLY_FILLED, S.PENDING_CANCEL, S.QUARANTINED, S.NOT_ACCEPTED}
)
#: States that nobody may act on before the venue has answered: the symbol is frozen.
UNRESOLVED = frozenset({S.SENT, S.UNKNOWN, S.QUARANTINED})
#: Most orders that are sent together, under one commit: as many may have to be looked up after a crash.
MOST_AT_ONCE = 64


def client_order_id(account: str, strategy: str, scheduled_ns: int, symbol: str, leg: str) -> str:
    """The one id of an order leg: the same inputs give the same id in every process and attempt.

    Parameters
    ----------
    account, strategy, symbol : str
    scheduled_ns : int
        *Scheduled* decision time in UTC nanoseconds; never the wall clock, never an attempt number.
    leg : str
        "entry", "slice 2", "remainder 1", "flip" or "flatten".

    Returns
    -------
    str
        "wb1-" and 32 lower-case base32 characters (36 in all; Alpaca allows 48).

    Examples
    --------
    >>> client_order_id("demo", "trend", 1_359_729_000_000_000_000, "AAPL", "entry")[:4]
    'wb1-'
    """
    parts = (account, strategy, str(scheduled_ns), symbol, leg)
    if any("\x1f" in part for part in parts):
        raise ValueError("ids may not contain the unit separator")
    digest = hashlib.sha256("\x1f".join(parts).encode()).digest()
    return ID_PREFIX + base64.b32encode(digest[:20]).decode().lower()


def check_terms(
    symbol: str,
    quantity_nano: int,
    order_type: OrderType,
    limit_micro: int,
    stop_micro: int,
    time_in_force: TimeInForce,
) -> None:
    """Nothing, when these terms make an order; ValueError says what does not fit together."""
    if quantity_nano <= 0 or quantity_nano % NANO:
        raise ValueError(f"quantity of {symbol} must be a positive number of whole shares")
    if limit_micro < 0 or (limit_micro > 0) != (order_type in WITH_LIMIT):
        raise ValueError(f"{order_type.word} order of {symbol} with limit {limit_micro}")
    if stop_micro < 0 or (stop_micro > 0) != (order_type in WITH_STOP):
        raise ValueError(f"{order_type.word} order of {symbol} with stop {stop_micro}")
    if time_in_force not in TIMES_IN_FORCE[order_type]:
        raise ValueError(f"{order_type.word} order of {symbol} cannot be {time_in_force.word}")


@dataclass(frozen=True)
class OrderIntent:
    """One leg that the desk wants to send; immutable from the moment it is journalled.

    Attributes
    ----------
    quantity_nano : int
        Quantity in 1e-9 shares, > 0; whole shares in version 1.
    limit_micro, stop_micro : int
        Limit and stop price in micros; 0 for types without one.
    reference_micro : int
        Decision price (last known close) in micros: the anchor of shortfall and collars.
    expected_cost_micro : int
        Expected one-way cost as a fraction x 1e6.
    parent_id : str
        `client_order_id` of the leg that this one continues; "" for the first.
    time_in_force : TimeInForce
        One that `TIMES_IN_FORCE` permits for the type.
    """

    client_order_id: str
    account: str
    strategy: str
    session: str
    scheduled_ns: int
    symbol: str
    leg: str
    side: Side
    quantity_nano: int
    order_type: OrderType
    limit_micro: int
    reference_micro: int
    expected_cost_micro: int = 0
    parent_id: str = ""
    time_in_force: TimeInForce = TimeInForce.DAY
    stop_micro: int = 0

    def __post_init__(self) -> None:
        check_terms(
            self.symbol, self.quantity_nano, self.order_type, self.limit_micro, self.stop_micro,
            self.time_in_force,
        )  # fmt: skip

    @property
    def shares(self) -> int:
        """Quantity in whole shares."""
        return self.quantity_nano // NANO


@dataclass(frozen=True)
class Fill:
    """One execution, keyed by the venue's execution id.

    Attributes
    ----------
    quantity_nano : int
        Quantity of *this* execution, 1e-9 shares, > 0.
    price_micro, fee_micro : int
        Price per share and fee of this execution in currency micros; the fee is a cost when positive.
    filled_at_ns : int
        The venue's time of the execution.
    """

    execution_id: str
    client_order_id: str
    symbol: str
    side: Side
    quantity_nano: int
    price_micro: int
    fee_micro: int
    filled_at_ns: int


@dataclass(frozen=True)
class Order:
    """An intent and what has become of it; a fold of events."""

    intent: OrderIntent
    state: OrderState
    venue_order_id: str = ""
    filled_nano: int = 0
    sent_at_ns: int = 0
    reason: str = ""

    @property
    def leaves_nano(self) -> int:
        """Quantity that may still be filled, in 1e-9 shares; 0 once terminal."""
        return 0 if self.state in TERMINAL else self.intent.quantity_nano - self.filled_nano


@dataclass(frozen=True)
class OrderEvent:
    """Something that happened to an order.

    Attributes
    ----------
    state : OrderState
        The state that follows.
    filled_nano : int or None
        *Cumulative* filled quantity that the venue reports; None = says nothing.
    """

    client_order_id: str
    state: OrderState
    at_ns: int
    venue_order_id: str = ""
    filled_nano: int | None = None
    reason: str = ""


def apply(order: Order, event: OrderEvent) -> Order:
    """The order after the event, if the table allows it.

    Cumulative quantity never falls and never exceeds the order. The same terminal state again is not
    an error: venues repeat themselves.

    Raises
    ------
    IllegalTransition
        The table has no such step, or the quantity falls, or it exceeds the order.
    JournalConflict
        The event belongs to another order.
    """
    if event.client_order_id != order.intent.client_order_id:
        raise JournalConflict(f"event of {event.client_order_id} applied to {order.intent.client_order_id}")
    changes = changes_by(
        event, symbol=order.intent.symbol, quantity_nano=order.intent.quantity_nano, state=order.state,
        filled_nano=order.filled_nano, venue_order_id=order.venue_order_id, sent_at_ns=order.sent_at_ns,
        reason=order.reason,
    )  # fmt: skip
    return replace(order, **changes)


def changes_by(
    event: OrderEvent,
    *,
    symbol: str,
    quantity_nano: int,
    state: OrderState,
    filled_nano: int,
    venue_order_id: str,
    sent_at_ns: int,
    reason: str,
) -> dict[str, Any]:
    """What an event makes of these fields of its own order, by name; the rule behind `apply`.

    Raises
    ------
    IllegalTransition
        As `apply`.
    """
    filled = filled_nano if event.filled_nano is None else event.filled_nano
    if event.state is not state or filled != filled_nano:
        if event.state is not state and event.state not in TRANSITIONS[state]:
            raise _illegal(event, symbol, state, f"{state} cannot become {event.state}")
        if filled < filled_nano:
            raise _illegal(event, symbol, state, f"filled quantity fell from {filled_nano} to {filled}")
        if filled > quantity_nano:
            raise _illegal(event, symbol, state, f"filled {filled} of {quantity_nano}")
        if filled > filled_nano and state in TERMINAL:
            raise _illegal(event, symbol, state, f"filled quantity rose after {state}")
        if event.state is S.FILLED and filled != quantity_nano:
            raise _illegal(event, symbol, state, f"FILLED with {filled} of {quantity_nano}")
        if event.state is S.SENT and not sent_at_ns:
            sent_at_ns = event.at_ns
        reason = event.reason or reason
    return {
        "state": event.state, "filled_nano": filled, "venue_order_id": event.venue_order_id or venue_order_id,
        "sent_at_ns": sent_at_ns, "reason": reason,
    }  # fmt: skip


def _illegal(event: OrderEvent, symbol: str, state: OrderState, what: str) -> IllegalTransition:
    return IllegalTransition(
        f"order {event.client_order_id} ({symbol}): {what}",
        next_step="run `workbench reconcile` and compare the order with the venue's record",
        client_order_id=event.client_order_id,
        from_state=str(state),
        to_state=str(event.state),
    )
