"""What clients see of orders and activities, folded from the venue's commands in Alpaca's shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.adapters.venue_server.wire import (
    activity_stamp,
    identity,
    money,
    new_york_date,
    ratio,
    shares,
    when,
    when_micros,
)
from workbench.core.corporate import DIVIDEND, SPLIT
from workbench.core.orders import Fill, OrderState
from workbench.core.ports import Activity
from workbench.core.types import NANO, OrderType, Side, TimeInForce
from workbench.core.venue import BUST, CORRECT, FEE, RENAME
from workbench.core.venue.book import BookOrder

S = OrderState
STATUS = {
    S.ACCEPTED: "new", S.PARTIALLY_FILLED: "partially_filled", S.FILLED: "filled", S.CANCELED: "canceled",
    S.EXPIRED: "expired", S.REPLACED: "replaced", S.REJECTED: "rejected",
}  # fmt: skip
STAMP = {"filled": "filled_at", "canceled": "canceled_at", "expired": "expired_at", "rejected": "failed_at",
         "replaced": "replaced_at"}  # fmt: skip
TERMINAL = frozenset(STAMP)
#: Type and time in force on the wire for the types that this house calls otherwise.
AUCTION_WORDS = {OrderType.MARKET_ON_OPEN: "opg", OrderType.MARKET_ON_CLOSE: "cls"}
#: How Alpaca reports a busted or corrected trade among the activities is not known; MISC is chosen here.
ACTIVITY_TYPE = {SPLIT: "SPLIT", DIVIDEND: "DIV", FEE: "FEE", RENAME: "NC", BUST: "MISC", CORRECT: "MISC"}
FEE_NAMES = {"SEC": "REG", "TAF": "TAF", "COM": "commission"}


@dataclass(slots=True)
class OrderRecord:
    """One order as the wire shows it: every version it ever had, the last one being the present."""

    client_order_id: str
    order_id: str
    symbol: str
    side: str
    submitted_ns: int
    versions: list[dict[str, Any]]
    notional_micro: int = 0
    filled: int = 0

    @property
    def present(self) -> dict[str, Any]:
        """The order as it is."""
        return self.versions[-1]

    @property
    def status(self) -> str:
        """Alpaca's word for its state."""
        return str(self.versions[-1]["status"])

    def change(self, at_ns: int, **fields: Any) -> dict[str, Any]:
        """Add a version; its time is never before the last one's."""
        version = {**self.versions[-1], **fields, "updated_at": when(at_ns)}
        self.versions.append(version)
        return version


def new_record(
    order: BookOrder, command: Mapping[str, Any], account: str, *, asset_id: str, status: str
) -> OrderRecord:
    """The record of an order that the venue has just accepted."""
    order_type, at = OrderType(order.order_type), when(order.accepted_ns)
    auction = AUCTION_WORDS.get(order_type)
    order_id = identity("order", account, order.client_order_id)
    buy = order.side == Side.BUY
    word = "market" if auction else order_type.word
    first = {
        "id": order_id, "client_order_id": order.client_order_id,
        "created_at": at, "updated_at": at, "submitted_at": at, "filled_at": None, "expired_at": None,
        "expires_at": when(int(command["close_ns"])), "canceled_at": None, "failed_at": None,
        "replaced_at": None, "replaced_by": None, "replaces": command.get("replaces_id"),
        "asset_id": asset_id, "symbol": order.symbol, "asset_class": "us_equity",
        "notional": None, "qty": shares(order.shares), "filled_qty": "0", "filled_avg_price": None,
        "order_class": "", "order_type": word, "type": word, "side": "buy" if buy else "sell",
        "time_in_force": auction or TimeInForce(order.time_in_force).word,
        "limit_price": money(order.limit_micro) if order.limit_micro else None,
        "stop_price": money(order.stop_micro) if order.stop_micro else None,
        "status": status, "extended_hours": False, "legs": None, "trail_percent": None, "trail_price": None,
        "hwm": None, "position_intent": "buy_to_open" if buy else "sell_to_close", "subtag": None,
        "source": command.get("source"),
    }  # fmt: skip
    return OrderRecord(
        order.client_order_id, order_id, order.symbol, str(first["side"]), order.accepted_ns, [first]
    )


def fill_event(record: OrderRecord, fill: Fill, position: int, at_ns: int, last: bool) -> dict[str, Any]:
    """Book one execution on the record; the event that tells of it."""
    count = fill.quantity_nano // NANO
    record.filled += count
    record.notional_micro += count * fill.price_micro
    status = "filled" if last else "partially_filled"
    version = record.change(
        at_ns, status=status, filled_qty=shares(record.filled),
        filled_avg_price=ratio(record.notional_micro, record.filled * 1_000_000),
        **({"filled_at": when(at_ns)} if last else {}),
    )  # fmt: skip
    return {
        "event": "fill" if last else "partial_fill", "execution_id": identity("execution", fill.execution_id),
        "order": version, "position_qty": shares(position), "price": money(fill.price_micro),
        "qty": shares(count), "timestamp": when(at_ns), "at": when(at_ns),
    }  # fmt: skip


def fill_activity(record: OrderRecord, fill: Fill) -> dict[str, Any]:
    """The row of the drop copy for the execution that was booked last on this record."""
    at_ns, total = fill.filled_at_ns, int(record.present["qty"])
    leaves = total - record.filled
    return {
        "activity_type": "FILL", "id": f"{activity_stamp(at_ns)}::{identity('activity', fill.execution_id)}",
        "cum_qty": shares(record.filled), "leaves_qty": shares(leaves), "order_id": record.order_id,
        "order_status": record.status, "price": money(fill.price_micro),
        "qty": shares(fill.quantity_nano // NANO), "side": record.side, "symbol": fill.symbol,
        "transaction_time": when_micros(at_ns), "type": "partial_fill" if leaves else "fill",
        **({"commission": money(fill.fee_micro)} if fill.fee_micro else {}),
    }  # fmt: skip


def plain_event(record: OrderRecord, event: str, at_ns: int) -> dict[str, Any]:
    """An event without an execution."""
    return {
        "event": event, "execution_id": identity("event", record.order_id, event, len(record.versions)),
        "order": record.present, "timestamp": when(at_ns), "at": when(at_ns),
    }  # fmt: skip


def other_activity(activity: Activity, memo: str, per_share_micro: int = 0) -> dict[str, Any]:
    """The row of anything that changed the account without an order."""
    at_ns, kind = activity.at_ns, activity.kind
    row: dict[str, Any] = {
        "activity_type": ACTIVITY_TYPE.get(kind, kind), "created_at": when_micros(at_ns), "currency": "USD",
        "date": new_york_date(at_ns), "description": memo,
        "id": f"{activity_stamp(at_ns)}::{identity('activity', activity.activity_id)}",
        "net_amount": money(activity.amount_micro), "status": "executed",
    }  # fmt: skip
    if kind == FEE:
        row["description"] = memo or f"{FEE_NAMES[activity.symbol]} fee of {row['date']}"
        return row | {"activity_sub_type": FEE_NAMES[activity.symbol]}
    if activity.symbol:
        row["symbol"] = activity.symbol
    if kind == SPLIT:
        row["description"] = memo or f"split {activity.new_shares} for {activity.old_shares}"
    if activity.quantity_nano:
        row["qty"] = shares(activity.quantity_nano // NANO)
    if per_share_micro:
        held = activity.amount_micro // per_share_micro
        row |= {"per_share_amount": money(per_share_micro), "qty": shares(held)}
    return row
