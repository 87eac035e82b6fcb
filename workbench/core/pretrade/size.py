"""Size controls: what one order may be, and what orders of a short window may add up to."""

from __future__ import annotations

from workbench.core.kernel import kernel
from workbench.core.pretrade.codes import DenialCode
from workbench.core.pretrade.limits import LimitValues
from workbench.core.pretrade.values import (
    MAX_MONEY_MICRO,
    MAX_SHARES,
    FlowValues,
    OrderValues,
    RecentValues,
)

# kernels see plain integers
_NOTIONAL = int(DenialCode.NOTIONAL)
_PARTICIPATION = int(DenialCode.PARTICIPATION)
_QUANTITY = int(DenialCode.QUANTITY)
_WINDOW_NOTIONAL = int(DenialCode.WINDOW_NOTIONAL)
_WINDOW_SHARES = int(DenialCode.WINDOW_SHARES)


@kernel
def check_size(order: OrderValues, worst_price: float, adv_shares: float, limits: LimitValues) -> int:
    """QUANTITY, NOTIONAL, PARTICIPATION: the order alone."""
    bits = 0
    if order.shares <= 0 or not order.shares <= limits.max_order_shares:
        bits |= _QUANTITY
    notional = float(order.shares) * worst_price
    if not 0.0 < notional <= limits.max_order_notional:
        bits |= _NOTIONAL
    known = order.shares > 0 and 0.0 < adv_shares < 1e15
    if not (known and order.shares / adv_shares <= limits.max_participation):
        bits |= _PARTICIPATION
    return bits


@kernel
def check_window_shares(order: OrderValues, recent: RecentValues, limits: LimitValues) -> int:
    """WINDOW_SHARES: this order and those of its symbol in the short window."""
    if not (0 < order.shares <= MAX_SHARES and 0 <= recent.window_shares <= MAX_SHARES):
        return _WINDOW_SHARES
    return 0 if recent.window_shares + order.shares <= limits.max_window_shares else _WINDOW_SHARES


@kernel
def check_window_notional(
    order: OrderValues, flow: FlowValues, worst_price: float, limits: LimitValues
) -> int:
    """WINDOW_NOTIONAL: value of this order and of all in the short window."""
    if not (worst_price > 0.0 and 0 <= flow.window_notional_micro <= MAX_MONEY_MICRO):
        return _WINDOW_NOTIONAL
    notional = float(flow.window_notional_micro) + order.shares * worst_price
    return 0 if 0 < order.shares and notional <= limits.max_window_notional else _WINDOW_NOTIONAL
