"""Market controls: symbol, hours and quote are fit to trade on."""

from __future__ import annotations

from workbench.core.kernel import kernel
from workbench.core.pretrade.codes import DenialCode
from workbench.core.pretrade.limits import LimitValues
from workbench.core.pretrade.values import (
    MAX_PRICE_MICRO,
    AccountValues,
    MarketValues,
    OrderValues,
    RecentValues,
    adds_risk,
    is_quoted,
    mid_micro,
)
from workbench.core.types import NANO, OrderType, TimeInForce

#: Order types are accepted from this long before the open.
EARLIEST_NS = 6 * 3_600 * NANO
#: Auction orders are accepted until this long before the open and before the close.
OPEN_CUTOFF_NS = 120 * NANO
CLOSE_CUTOFF_NS = 600 * NANO

# kernels see plain integers
_COST_MISSING = int(DenialCode.COST_MISSING)
_DUPLICATE = int(DenialCode.DUPLICATE)
_EXPECTED_COST = int(DenialCode.EXPECTED_COST)
_FROZEN = int(DenialCode.FROZEN)
_NOT_TRADABLE = int(DenialCode.NOT_TRADABLE)
_QUOTED_SPREAD = int(DenialCode.QUOTED_SPREAD)
_QUOTE_CROSSED = int(DenialCode.QUOTE_CROSSED)
_QUOTE_JUMP = int(DenialCode.QUOTE_JUMP)
_QUOTE_MISSING = int(DenialCode.QUOTE_MISSING)
_QUOTE_STALE = int(DenialCode.QUOTE_STALE)
_RESTRICTED = int(DenialCode.RESTRICTED)
_SESSION_HOURS = int(DenialCode.SESSION_HOURS)
_VOLATILITY = int(DenialCode.VOLATILITY)
_MARKET = int(OrderType.MARKET)
_LIMIT = int(OrderType.LIMIT)
_ON_OPEN = int(OrderType.MARKET_ON_OPEN)
_ON_CLOSE = int(OrderType.MARKET_ON_CLOSE)
_STOP = int(OrderType.STOP)
_STOP_LIMIT = int(OrderType.STOP_LIMIT)
_IOC = int(TimeInForce.IOC)
_FOK = int(TimeInForce.FOK)


@kernel
def check_symbol(order: OrderValues, market: MarketValues) -> int:
    """NOT_TRADABLE, FROZEN, RESTRICTED, DUPLICATE: flags that must say no in so many words."""
    bits = 0
    if market.tradable != 1:
        bits |= _NOT_TRADABLE
    if market.frozen != 0:
        bits |= _FROZEN
    if order.restricted != 0:
        bits |= _RESTRICTED
    if order.duplicate != 0:
        bits |= _DUPLICATE
    return bits


@kernel
def check_quote(market: MarketValues, limits: LimitValues) -> int:
    """QUOTE_MISSING, QUOTE_STALE, QUOTED_SPREAD: a fresh, uncrossed, narrow quote."""
    bits = 0
    if market.quote_age_ns < 0 or not market.quote_age_ns <= limits.max_quote_age_ns:
        bits |= _QUOTE_STALE
    if not 0 < market.bid_micro <= market.ask_micro <= MAX_PRICE_MICRO:
        return bits | _QUOTE_MISSING | _QUOTED_SPREAD
    mid = 0.5 * (market.bid_micro + market.ask_micro)
    if not (market.ask_micro - market.bid_micro) / mid * 1e4 <= limits.max_spread_bps:
        bits |= _QUOTED_SPREAD
    return bits


@kernel
def check_crossed(market: MarketValues) -> int:
    """QUOTE_CROSSED: nobody sells below what somebody bids."""
    return 0 if is_quoted(market) else _QUOTE_CROSSED


@kernel
def check_jump(market: MarketValues, recent: RecentValues, limits: LimitValues) -> int:
    """QUOTE_JUMP: how far the quote went since the look before."""
    before = recent.previous_mid_micro
    if not (0 < before <= MAX_PRICE_MICRO and is_quoted(market)):
        return _QUOTE_JUMP
    return 0 if abs(mid_micro(market) - before) / before * 1e4 <= limits.max_quote_jump_bps else _QUOTE_JUMP


@kernel
def check_volatility(
    order: OrderValues, market: MarketValues, recent: RecentValues, limits: LimitValues
) -> int:
    """VOLATILITY: no new risk while the quote is further from the last close than k usual days."""
    if not adds_risk(order, market):
        return 0
    usual, price = recent.volatility_bps, market.price_micro
    if not (0.0 < usual < 1e5 and 0 < price <= MAX_PRICE_MICRO and is_quoted(market)):
        return _VOLATILITY
    moved = abs(mid_micro(market) - price) / price * 1e4
    return 0 if moved <= limits.max_volatility_multiple * usual else _VOLATILITY


@kernel
def check_cost(order: OrderValues, market: MarketValues, limits: LimitValues) -> int:
    """COST_MISSING, EXPECTED_COST: no new risk unless its cost is known and bearable; zero is not known."""
    if not adds_risk(order, market):
        return 0
    if order.expected_cost_micro <= 0:
        return _COST_MISSING | _EXPECTED_COST
    return 0 if order.expected_cost_micro / 100.0 <= limits.max_cost_bps else _EXPECTED_COST


@kernel
def check_hours(order_type: int, account: AccountValues, time_in_force: int = 0) -> int:
    """SESSION_HOURS: the venue accepts this order type now; times come from the exchange calendar.

    Immediate orders, like market orders, only while the market trades; on a half day the closing auction
    and its cut-off are as much earlier as the close.
    """
    now, opens, closes = account.now_ns, account.session_open_ns, account.session_close_ns
    if not 0 < opens < closes or closes - opens > 24 * 3_600 * NANO:
        return _SESSION_HOURS
    if now < opens - EARLIEST_NS or now >= closes:
        return _SESSION_HOURS
    if order_type == _MARKET or time_in_force == _IOC or time_in_force == _FOK:
        return 0 if now >= opens else _SESSION_HOURS
    if order_type == _LIMIT or order_type == _STOP or order_type == _STOP_LIMIT:
        return 0
    if order_type == _ON_OPEN:
        return 0 if now < opens - OPEN_CUTOFF_NS else _SESSION_HOURS
    if order_type == _ON_CLOSE:
        return 0 if now < closes - CLOSE_CUTOFF_NS else _SESSION_HOURS
    return _SESSION_HOURS
