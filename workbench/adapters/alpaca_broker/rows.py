"""Alpaca's rows as strict values: what is not exactly as documented is no answer, never a guess.

Numbers arrive as decimal strings (observed) or JSON numbers (the SDK's samples); both are read as exact
decimals, never as floats. Unknown extra fields are ignored, unknown words of a status quarantine the order.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

from workbench.core.corporate import CASH_IN_LIEU, DIVIDEND, FEE, INTEREST_PAID, SPLIT, TRANSFER
from workbench.core.orders import OrderState
from workbench.core.ports import Activity, VenueOrder
from workbench.core.types import MICRO, NANO, Side

NEW_YORK = ZoneInfo("America/New_York")
BOUND = 2**63  #: what a signed 64-bit column of the journal can hold
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:\d\d)")

S = OrderState
#: Alpaca's order status -> ours. Working words become PARTIALLY_FILLED once something is filled. Words that
#: are not here quarantine the order: it exists, and nobody knows what it is doing.
STATUSES: Mapping[str, OrderState] = {
    "new": S.ACCEPTED, "accepted": S.ACCEPTED, "pending_new": S.ACCEPTED, "held": S.ACCEPTED,
    "pending_review": S.ACCEPTED, "accepted_for_bidding": S.ACCEPTED, "partially_filled": S.PARTIALLY_FILLED,
    "done_for_day": S.ACCEPTED, "stopped": S.ACCEPTED, "suspended": S.ACCEPTED, "calculated": S.ACCEPTED,
    "pending_replace": S.ACCEPTED, "pending_cancel": S.PENDING_CANCEL, "filled": S.FILLED,
    "canceled": S.CANCELED, "expired": S.EXPIRED, "rejected": S.REJECTED, "replaced": S.REPLACED,
}  # fmt: skip

#: Activity types that move cash only, by what the books call them. Any other type is a break.
CASH_KINDS: Mapping[str, str] = {
    **dict.fromkeys(
        ("DIV", "DIVCGL", "DIVCGS", "DIVFEE", "DIVFT", "DIVNRA", "DIVROC", "DIVTW", "DIVTXEX", "CGD"),
        DIVIDEND,
    ),
    "CIL": CASH_IN_LIEU,
    **dict.fromkeys(("FEE", "PTC", "PTR"), FEE),
    **dict.fromkeys(("INT", "INTNRA", "INTTW"), INTEREST_PAID),
    **dict.fromkeys(("CSD", "CSW", "JNLC", "ACATC"), TRANSFER),
}  # fmt: skip


class BadRow(ValueError):
    """A row is not as documented; the message names the field and never shows the row."""


# --- one field ---------------------------------------------------------------------------------------


def read_json(body: bytes) -> Any:
    """The JSON value of a body with exact decimals; BadRow when it is no JSON of finite numbers."""
    try:
        return json.loads(body, parse_float=Decimal, parse_constant=_no_constant)
    except (ValueError, RecursionError):  # ValueError: bad JSON, bad UTF-8, an integer of thousands of digits
        raise BadRow("the body is no JSON") from None


def _no_constant(word: str) -> NoReturn:
    raise ValueError(word)


def mapping(value: Any) -> Mapping[str, Any]:
    """The value, which must be a JSON object."""
    if not isinstance(value, dict):
        raise BadRow(f"an object was expected, not {type(value).__name__}")
    return value


def text(row: Mapping[str, Any], name: str) -> str:
    """A field that must be a text that is not empty."""
    value = row.get(name)
    if not isinstance(value, str) or not value:
        raise BadRow(f"{name} is no text")
    return value


def decimal(row: Mapping[str, Any], name: str) -> Decimal:
    """A field that must be a finite decimal number, as text or as JSON number."""
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise BadRow(f"{name} is no number")
    try:
        number = Decimal(value)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or abs(number) >= BOUND:
        raise BadRow(f"{name} is no finite number")
    return number


def scaled(row: Mapping[str, Any], name: str, unit: int, *, exact: bool = True) -> int:
    """A number in integer units; `exact` refuses what the unit cannot hold, else it is rounded half even."""
    number = decimal(row, name) * unit
    whole = int(number.to_integral_value())
    if (exact and whole != number) or abs(whole) >= BOUND:
        raise BadRow(f"{name} does not fit its unit")
    return whole


def time_ns(row: Mapping[str, Any], name: str) -> int:
    """A time stamp with up to nine decimals and a zone, UTC nanoseconds."""
    match = _TIME.fullmatch(text(row, name))
    if match is None:
        raise BadRow(f"{name} is no time")
    day, clock, fraction, zone = match.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}{'+00:00' if zone == 'Z' else zone}")
    except ValueError:
        raise BadRow(f"{name} is no time") from None
    return int(moment.timestamp()) * NANO + int((fraction or "0").ljust(9, "0"))


def side(row: Mapping[str, Any]) -> Side:
    """The side of an order or a fill."""
    word = row.get("side")
    if word not in ("buy", "sell"):
        raise BadRow("side is neither buy nor sell")
    return Side.BUY if word == "buy" else Side.SELL


# --- orders and fills --------------------------------------------------------------------------------


@dataclass(frozen=True)
class OrderRow:
    """An order as listed, with what paging and later questions need; price 0 = neither limit nor stop."""

    order: VenueOrder
    submitted_ns: int
    price_micro: int = 0


def order_row(value: Any) -> OrderRow:
    """One order; a status that nobody knows gives the state QUARANTINED, a broken row BadRow."""
    row = mapping(value)
    filled = scaled(row, "filled_qty", NANO)
    # A notional order has no quantity; none of ours is one, so it can only be foreign.
    quantity = scaled(row, "qty", NANO) if row.get("qty") is not None else 0
    if filled < 0 or quantity < 0 or (quantity and filled > quantity):
        raise BadRow("filled_qty does not lie between 0 and qty")
    word = row.get("status")
    state = STATUSES.get(word, S.QUARANTINED) if isinstance(word, str) else S.QUARANTINED
    if state is S.ACCEPTED and filled:
        state = S.PARTIALLY_FILLED
    reason = f"unknown status {str(word)[:40]!r}" if state is S.QUARANTINED else _reject_reason(row, state)
    if state is S.FILLED and quantity and filled != quantity:
        raise BadRow("status filled with another filled_qty")
    submitted = "submitted_at" if row.get("submitted_at") is not None else "created_at"
    return OrderRow(
        VenueOrder(
            text(row, "client_order_id"), text(row, "id"), text(row, "symbol"), side(row), quantity, filled,
            state, reason,
        ),
        time_ns(row, submitted), _price_micro(row),
    )  # fmt: skip


def _price_micro(row: Mapping[str, Any]) -> int:
    for name in ("limit_price", "stop_price"):
        if row.get(name) is not None:
            return scaled(row, name, MICRO, exact=False)
    return 0


def _reject_reason(row: Mapping[str, Any], state: OrderState) -> str:
    told = row.get("reject_reason") if state is S.REJECTED else None
    return told[:200] if isinstance(told, str) and told else ("rejected" if state is S.REJECTED else "")


@dataclass(frozen=True)
class FillRow:
    """A row of the FILL activities; `order_id` is the venue's."""

    activity_id: str
    order_id: str
    symbol: str
    side: Side
    quantity_nano: int
    cumulative_nano: int
    price_micro: int
    fee_micro: int
    at_ns: int


def fill_row(value: Any) -> FillRow:
    """One execution. Its id is opaque: the prefix is New York local time, never parsed."""
    row = mapping(value)
    quantity = scaled(row, "qty", NANO)
    price = scaled(row, "price", MICRO, exact=False)
    fee = scaled(row, "commission", MICRO) if row.get("commission") is not None else 0
    if quantity <= 0 or price <= 0 or fee < 0:
        raise BadRow("qty and price of a fill must be positive, its commission not negative")
    return FillRow(
        text(row, "id"), text(row, "order_id"), text(row, "symbol"), side(row), quantity,
        scaled(row, "cum_qty", NANO), price, fee, time_ns(row, "transaction_time"),
    )  # fmt: skip


# --- the account -------------------------------------------------------------------------------------


def position_nano(value: Any) -> tuple[str, int]:
    """Symbol and signed quantity of a position; sign and side must agree."""
    row = mapping(value)
    quantity = scaled(row, "qty", NANO)
    if row.get("side") not in ("long", "short") or (quantity < 0) != (row["side"] == "short"):
        raise BadRow("side and qty of a position disagree")
    return text(row, "symbol"), quantity


def activity_row(value: Any) -> Activity:
    """What the venue did to the account; a type or status that the books do not know keeps its own word."""
    row = mapping(value)
    word = text(row, "activity_type")
    symbol = row.get("symbol") or ""
    if not isinstance(symbol, str):
        raise BadRow("symbol is no text")
    amount = scaled(row, "net_amount", MICRO) if row.get("net_amount") is not None else 0
    # Only a split says by qty how many shares came or went; on dividends it is the shares that were paid for.
    quantity = scaled(row, "qty", NANO) if row.get("qty") is not None and word not in CASH_KINDS else 0
    new, old = _ratio(row)
    kind = CASH_KINDS.get(word, word)
    if kind in (DIVIDEND, CASH_IN_LIEU) and not symbol:
        kind = word
    if word == "SPLIT" and symbol and (new, old) != (1, 1):
        kind = SPLIT
    status = row.get("status", "executed")
    if status != "executed":  # a correction or cancellation is for a person
        kind = f"{word}:{str(status)[:20]}"
    return Activity(text(row, "id"), kind, symbol, _activity_ns(row), quantity, amount, new, old)


def _ratio(row: Mapping[str, Any]) -> tuple[int, int]:
    """New and old shares of a split when the row says so in whole numbers, else 1 for 1."""
    told = re.search(r"\b([1-9]\d{0,5}) for ([1-9]\d{0,5})\b", str(row.get("description")))
    if row.get("new_rate") is None or row.get("old_rate") is None:
        return (int(told[1]), int(told[2])) if told and row.get("activity_type") == "SPLIT" else (1, 1)
    new, old = scaled(row, "new_rate", MICRO), scaled(row, "old_rate", MICRO)
    if new <= 0 or old <= 0:
        raise BadRow("the ratio of a split must be positive")
    while new % 10 == 0 and old % 10 == 0:
        new, old = new // 10, old // 10
    return new, old


def _activity_ns(row: Mapping[str, Any]) -> int:
    """When it took effect: a time where there is one, else the start of its New York day."""
    if row.get("transaction_time") is not None:
        return time_ns(row, "transaction_time")
    day = text(row, "date")
    if "T" in day:
        return time_ns(row, "date")
    try:
        midnight = datetime.fromisoformat(day).replace(tzinfo=NEW_YORK)
    except ValueError:
        raise BadRow("date is no date") from None
    return int(midnight.timestamp()) * NANO
