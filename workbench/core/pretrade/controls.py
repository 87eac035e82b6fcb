"""All pre-trade controls over one order: 0 permits, otherwise one bit for each reason.

Comparisons are written so that NaN denies: `not (value <= ceiling)`. Products are float64, which is
exact up to 9e15 micros (nine thousand million dollars), far above any ceiling that can be set.
"""

from __future__ import annotations

from workbench.core.kernel import kernel
from workbench.core.pretrade.account import (
    check_account,
    check_first_notional,
    check_first_orders,
    check_first_symbols,
    check_shortfall,
    check_symbol_loss,
)
from workbench.core.pretrade.exposure import check_net, check_open_symbols, check_position, check_sector
from workbench.core.pretrade.limits import LimitValues
from workbench.core.pretrade.market import (
    check_cost,
    check_crossed,
    check_hours,
    check_jump,
    check_quote,
    check_symbol,
    check_volatility,
)
from workbench.core.pretrade.price import check_order, check_price, check_price_move
from workbench.core.pretrade.rate import (
    check_disabled,
    check_rate,
    check_rate_stop,
    check_self_match,
    check_working_orders,
)
from workbench.core.pretrade.size import check_size, check_window_notional, check_window_shares
from workbench.core.pretrade.values import (
    AccountValues,
    FlowValues,
    MarketValues,
    OrderValues,
    RecentValues,
    worst_price_micro,
)


@kernel
def judge_order(
    order: OrderValues,
    market: MarketValues,
    recent: RecentValues,
    account: AccountValues,
    flow: FlowValues,
    limits: LimitValues,
) -> int:
    """All reasons to deny one order, as a bitmask; 0 = allowed."""
    worst_price = worst_price_micro(order, market)
    # the order alone
    bits = check_order(order, market)
    bits |= check_size(order, worst_price, market.adv_shares, limits)
    bits |= check_window_shares(order, recent, limits)
    bits |= check_window_notional(order, flow, worst_price, limits)
    # price and market
    bits |= check_symbol(order, market)
    bits |= check_price(order, market, limits)
    bits |= check_price_move(market, recent, limits)
    bits |= check_quote(market, limits)
    bits |= check_crossed(market)
    bits |= check_jump(market, recent, limits)
    bits |= check_volatility(order, market, recent, limits)
    bits |= check_cost(order, market, limits)
    bits |= check_hours(order.order_type, account, order.time_in_force)
    # rate
    bits |= check_rate(account, limits)
    bits |= check_rate_stop(flow, limits)
    bits |= check_disabled(recent)
    bits |= check_working_orders(flow, limits)
    bits |= check_self_match(order, market, recent)
    # exposure
    bits |= check_position(order, market, account, worst_price, limits)
    bits |= check_net(order, market, flow, worst_price, limits)
    bits |= check_sector(order, market, recent, worst_price, limits)
    bits |= check_open_symbols(market, flow, limits)
    # account
    bits |= check_account(order, market, account, worst_price, limits)
    bits |= check_symbol_loss(order, market, recent, limits)
    bits |= check_shortfall(order, market, flow, limits)
    bits |= check_first_symbols(order, market, recent, flow, limits)
    bits |= check_first_orders(order, market, flow, limits)
    bits |= check_first_notional(order, market, flow, worst_price, limits)
    return bits
