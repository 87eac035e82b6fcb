"""Intents, orders and executions as the journal keeps them, and back."""

from __future__ import annotations

from typing import Any

from workbench.core.orders import Fill, Order, OrderIntent, OrderState
from workbench.core.types import OrderType, Side


def intent_payload(intent: OrderIntent, decision_id: str) -> dict[str, Any]:
    """The fields of an intent as the journal keeps them."""
    return {
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
    )
    return Order(
        intent,
        OrderState(row["state"]),
        venue_order_id=row["venue_order_id"] or "",
        filled_nano=row["filled_nano"],
        sent_at_ns=row["sent_at_ns"] or 0,
        reason=row["reason"] or "",
    )


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
