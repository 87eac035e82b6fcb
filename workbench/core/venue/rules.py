"""When and at what price the venue takes an order, in its own words; "" = nothing against it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.core.fills import tick_micro
from workbench.core.orders import TIMES_IN_FORCE, WITH_LIMIT, WITH_STOP
from workbench.core.types import MICRO, NANO, OrderType, TimeInForce

MINUTE_NS = 60 * NANO
#: Auction orders are refused from shortly before the auction until 19:00 New York, 9.5 h after an open.
OPG_CUTOFF_NS, CLS_CUTOFF_NS, AUCTION_RESUMES_NS = 2 * MINUTE_NS, 10 * MINUTE_NS, 570 * MINUTE_NS


def type_refusal(command: Mapping[str, Any]) -> str:
    """What is wrong with type, time in force, limit and stop of a submit command taken together."""
    try:
        order_type = OrderType.parse(command["order_type"])
        time_in_force = TimeInForce.parse(command.get("time_in_force", "day"))
    except ValueError as error:
        return f"invalid order: {error}"
    if time_in_force not in TIMES_IN_FORCE[order_type]:
        return f'invalid time_in_force "{time_in_force.word}" for {order_type.word} orders'
    limit_micro, stop_micro = command["limit_micro"], command.get("stop_micro", 0)
    if (order_type in WITH_LIMIT) != (limit_micro > 0):
        return "limit orders require a limit price, other types refuse one"
    if (order_type in WITH_STOP) != (stop_micro > 0):
        return "stop orders require a stop price, other types refuse one"
    return increment_refusal("limit_price", limit_micro) or increment_refusal("stop_price", stop_micro)


def increment_refusal(name: str, price_micro: int) -> str:
    """What is wrong with the increment of a price (17 CFR 242.612); nothing with 0."""
    if not price_micro or price_micro % tick_micro(price_micro) == 0:
        return ""
    price = f"{price_micro // MICRO}.{price_micro % MICRO:06d}".rstrip("0")
    return f"invalid {name} {price}. sub-penny increment does not fulfill minimum pricing criteria"


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
