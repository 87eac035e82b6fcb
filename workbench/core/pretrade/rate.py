"""Rate controls: how often the desk speaks, and that it never trades with itself."""

from __future__ import annotations

from workbench.core.kernel import kernel
from workbench.core.pretrade.codes import DenialCode
from workbench.core.pretrade.limits import LimitValues
from workbench.core.pretrade.values import (
    MAX_PRICE_MICRO,
    AccountValues,
    FlowValues,
    MarketValues,
    OrderValues,
    RecentValues,
)
from workbench.core.types import OrderType

# kernels see plain integers
_RATE = int(DenialCode.RATE)
_RATE_STOP = int(DenialCode.RATE_STOP)
_SELF_MATCH = int(DenialCode.SELF_MATCH)
_SYMBOL_DISABLED = int(DenialCode.SYMBOL_DISABLED)
_WORKING_ORDERS = int(DenialCode.WORKING_ORDERS)
_LIMIT = int(OrderType.LIMIT)
_STOP_LIMIT = int(OrderType.STOP_LIMIT)


@kernel
def check_rate(account: AccountValues, limits: LimitValues) -> int:
    """RATE: this order and those of the last minute."""
    sent = account.messages_last_minute
    return 0 if 0 <= sent and sent + 1 <= limits.max_orders_per_minute else _RATE


@kernel
def check_rate_stop(flow: FlowValues, limits: LimitValues) -> int:
    """RATE_STOP: beyond this many attempts within a minute the session stops."""
    tried = flow.attempts_last_minute
    return 0 if 0 <= tried and tried + 1 <= limits.stop_messages_per_minute else _RATE_STOP


@kernel
def check_disabled(recent: RecentValues) -> int:
    """SYMBOL_DISABLED: repeated executions have stopped the symbol, until a person enables it."""
    return 0 if recent.disabled == 0 else _SYMBOL_DISABLED


@kernel
def check_working_orders(flow: FlowValues, limits: LimitValues) -> int:
    """WORKING_ORDERS: this order and those that work."""
    working = flow.working_orders
    return 0 if 0 <= working and working + 1 <= limits.max_working_orders else _WORKING_ORDERS


@kernel
def check_self_match(order: OrderValues, market: MarketValues, recent: RecentValues) -> int:
    """SELF_MATCH: the order cannot meet an own working one on the other side."""
    if not (0 <= recent.own_buy_micro <= MAX_PRICE_MICRO and 0 <= recent.own_sell_micro <= MAX_PRICE_MICRO):
        return _SELF_MATCH
    limited = order.order_type == _LIMIT or order.order_type == _STOP_LIMIT
    if order.side == 1:
        other, working = recent.own_sell_micro, market.open_sell_shares
        meets = not limited or order.limit_micro >= other
    elif order.side == -1:
        other, working = recent.own_buy_micro, market.open_buy_shares
        meets = not limited or order.limit_micro <= other
    else:
        return _SELF_MATCH
    if other == 0:  # none, which only holds while nothing works there
        return 0 if working == 0 else _SELF_MATCH
    return _SELF_MATCH if meets else 0
