"""When and at what price the venue takes an order, in its own words; "" = nothing against it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.core.fills import tick_micro
from workbench.core.types import MICRO, NANO, OrderType

MINUTE_NS = 60 * NANO
#: Auction orders are refused from shortly before the auction until 19:00 New York, 9.5 h after an open.
OPG_CUTOFF_NS, CLS_CUTOFF_NS, AUCTION_RESUMES_NS = 2 * MINUTE_NS, 10 * MINUTE_NS, 570 * MINUTE_NS


def price_refusal(order_type: str, limit_micro: int) -> str:
    """What is wrong with the limit: its absence, its presence or its increment (17 CFR 242.612)."""
    if (order_type == OrderType.LIMIT.word) != (limit_micro > 0):
        return "limit orders require a limit price, other types refuse one"
    if limit_micro and limit_micro % tick_micro(limit_micro):
        price = f"{limit_micro // MICRO}.{limit_micro % MICRO:06d}".rstrip("0")
        return f"invalid limit_price {price}. sub-penny increment does not fulfill minimum pricing criteria"
    return ""


def hours_refusal(command: Mapping[str, Any], at_ns: int) -> str:
    """What is wrong with the time of a submit command (see `venue.Venue.apply`)."""
    open_ns, close_ns = command["open_ns"], command["close_ns"]
    if not (at_ns < close_ns and open_ns < close_ns):
        return f"the market session {command['session']} is over"
    early = at_ns < command["previous_open_ns"] + AUCTION_RESUMES_NS
    order_type = command["order_type"]
    if order_type == OrderType.MARKET_ON_OPEN.word and (early or at_ns >= open_ns - OPG_CUTOFF_NS):
        return "opg orders are only accepted from 19:00 until 2 minutes before the open"
    if order_type == OrderType.MARKET_ON_CLOSE.word and (early or at_ns >= close_ns - CLS_CUTOFF_NS):
        return "cls orders are only accepted from 19:00 until 10 minutes before the close"
    return ""
