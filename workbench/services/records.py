"""Intents, orders and executions as the journal keeps them, and back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from workbench.core.ledger import Posting, posting_payload
from workbench.core.orders import TERMINAL, Fill, Order, OrderEvent, OrderIntent, OrderState, apply
from workbench.core.ports import Activity, Event
from workbench.core.types import NANO, OrderType, Side, TimeInForce


def intent_payload(intent: OrderIntent, decision_id: str) -> dict[str, Any]:
    """The fields of an intent as the journal keeps them.

    Time in force and stop are there only where they say something: a day order without a stop has the
    bytes that it had before there were others.
    """
    payload: dict[str, Any] = {
        "client_order_id": intent.client_order_id,
        "account": intent.account,
        "strategy": intent.strategy,
        "session": intent.session,
        "scheduled_ns": intent.scheduled_ns,
        "symbol": intent.symbol,
        "leg": intent.leg,
        "side": intent.side.word,
        "quantity_nano": intent.quantity_nano,
        "order_type": intent.order_type.word,
        "limit_micro": intent.limit_micro,
        "reference_micro": intent.reference_micro,
        "expected_cost_micro": intent.expected_cost_micro,
        "parent_id": intent.parent_id,
        "decision_id": decision_id,
    }
    if intent.time_in_force is not TimeInForce.DAY:
        payload["time_in_force"] = intent.time_in_force.word
    if intent.stop_micro:
        payload["stop_micro"] = intent.stop_micro
    return payload


def order_from_row(row: dict[str, Any]) -> Order:
    """The order that a row of the journal's `orders` projection describes."""
    intent = OrderIntent(
        client_order_id=row["client_order_id"],
        account=row["account"],
        strategy=row["strategy"],
        session=row["session"],
        scheduled_ns=row["scheduled_ns"],
        symbol=row["symbol"],
        leg=row["leg"],
        side=Side[str(row["side"]).upper()],
        quantity_nano=row["quantity_nano"],
        order_type=OrderType.parse(row["order_type"]),
        limit_micro=row["limit_micro"],
        reference_micro=row["reference_micro"],
        expected_cost_micro=row["expected_cost_micro"],
        parent_id=row["parent_id"],
        time_in_force=TimeInForce.parse(row["time_in_force"]),
        stop_micro=row["stop_micro"],
    )
    return Order(
        intent,
        OrderState(row["state"]),
        venue_order_id=row["venue_order_id"] or "",
        filled_nano=row["filled_nano"],
        sent_at_ns=row["sent_at_ns"] or 0,
        reason=row["reason"] or "",
    )


def order_change(
    order: Order,
    state: OrderState,
    *,
    at_ns: int,
    venue_order_id: str = "",
    filled_nano: int | None = None,
    reason: str = "",
) -> tuple[Order, Event]:
    """The order after a step that the table allows, and the event that records it."""
    identity = order.intent.client_order_id
    changed = apply(order, OrderEvent(identity, state, at_ns, venue_order_id, filled_nano, reason))
    payload = {
        "client_order_id": identity,
        "state": str(changed.state),
        "at_ns": at_ns,
        "venue_order_id": changed.venue_order_id,
        "filled_nano": changed.filled_nano,
        "reason": changed.reason,
    }
    return changed, Event("order.changed", payload)


def ledger_entry(account: str, entry_id: str, session: str, entry: tuple[Posting, ...], memo: str) -> Event:
    """The event that books an entry of the ledger."""
    payload = {
        "account": account,
        "session": session,
        "entry_id": entry_id,
        "postings": [posting_payload(posting) for posting in entry],
        "memo": memo,
    }
    return Event("ledger.posted", payload)


def order_adjusted(intent: OrderIntent, activity: Activity) -> Event:
    """The event that records the terms which a split gave a working order."""
    payload = {
        "client_order_id": intent.client_order_id,
        "at_ns": activity.at_ns,
        "quantity_nano": intent.quantity_nano,
        "limit_micro": intent.limit_micro,
        "stop_micro": intent.stop_micro,
        "activity_id": activity.activity_id,
    }
    return Event("order.adjusted", payload)


def fill_payload(account: str, order: Order, fill: Fill, postings: tuple[Posting, ...]) -> dict[str, Any]:
    """An execution with its entry, booked in the session in which it happened."""
    session = order.intent.session
    if order.intent.time_in_force is TimeInForce.GTC:  # it may outlive the session that sent it
        session = max(session, date_of(fill.filled_at_ns))
    return {
        "execution_id": fill.execution_id,
        "client_order_id": fill.client_order_id,
        "account": account,
        "session": session,
        "symbol": fill.symbol,
        "side": fill.side.word,
        "quantity_nano": fill.quantity_nano,
        "price_micro": fill.price_micro,
        "fee_micro": fill.fee_micro,
        "filled_at_ns": fill.filled_at_ns,
        "postings": [posting_payload(posting) for posting in postings],
    }


def fill_from_row(row: dict[str, Any]) -> Fill:
    """The execution that a row of the journal's `fills` projection describes."""
    return Fill(
        execution_id=row["execution_id"],
        client_order_id=row["client_order_id"],
        symbol=row["symbol"],
        side=Side[str(row["side"]).upper()],
        quantity_nano=row["quantity_nano"],
        price_micro=row["price_micro"],
        fee_micro=row["fee_micro"],
        filled_at_ns=row["filled_at_ns"],
    )


def fill_trouble(order: Order, fill: Fill) -> str:
    """Why this execution may not have happened, or "" when it is as it should be."""
    name = f"execution {fill.execution_id} of order {fill.client_order_id} ({fill.symbol})"
    if order.state in TERMINAL:
        return f"{name} came after {order.state}"
    if order.filled_nano + fill.quantity_nano > order.intent.quantity_nano:
        return f"{name} exceeds the order"
    limit_micro = order.intent.limit_micro
    if limit_micro and fill.side * (fill.price_micro - limit_micro) > 0:
        return f"{name} at {fill.price_micro} is beyond its limit {limit_micro}"
    return ""


def date_of(at_ns: int) -> str:
    """The exchange date of a moment in trading hours: US sessions lie within one UTC date."""
    return datetime.fromtimestamp(at_ns // NANO, UTC).date().isoformat()


def names_our_id(reason: str) -> bool:
    """Whether a refusal says that the id is taken: then an earlier request of ours landed."""
    return "client_order_id" in reason
