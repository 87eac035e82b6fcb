"""Price controls: an order in the venue's terms, near prices that agree and did not run away."""

from __future__ import annotations

from workbench.core.fills import tick_micro
from workbench.core.kernel import kernel
from workbench.core.pretrade.codes import DenialCode
from workbench.core.pretrade.limits import LimitValues
from workbench.core.pretrade.values import (
    MAX_PRICE_MICRO,
    MarketValues,
    OrderValues,
    RecentValues,
    is_quoted,
    mid_micro,
)
from workbench.core.types import OrderType, TimeInForce

# kernels see plain integers
_ORDER_TYPE = int(DenialCode.ORDER_TYPE)
_PRICE_COLLAR = int(DenialCode.PRICE_COLLAR)
_PRICE_MISSING = int(DenialCode.PRICE_MISSING)
_PRICE_MOVE = int(DenialCode.PRICE_MOVE)
_PRICE_STALE = int(DenialCode.PRICE_STALE)
_MARKET = int(OrderType.MARKET)
_LIMIT = int(OrderType.LIMIT)
_ON_OPEN = int(OrderType.MARKET_ON_OPEN)
_ON_CLOSE = int(OrderType.MARKET_ON_CLOSE)
_STOP = int(OrderType.STOP)
_STOP_LIMIT = int(OrderType.STOP_LIMIT)
_DAY = int(TimeInForce.DAY)
_IOC = int(TimeInForce.IOC)
_FOK = int(TimeInForce.FOK)


@kernel
def check_order(order: OrderValues, market: MarketValues) -> int:
    """ORDER_TYPE: side, type, time in force, limit and stop make an order, prices lie on the tick grid."""
    if order.side != 1 and order.side != -1:
        return _ORDER_TYPE
    kind, tif = order.order_type, order.time_in_force
    if kind < _MARKET or kind > _STOP_LIMIT or tif < _DAY or tif > _FOK:
        return _ORDER_TYPE
    if tif != _DAY and (kind == _ON_OPEN or kind == _ON_CLOSE):
        return _ORDER_TYPE
    if (tif == _IOC or tif == _FOK) and kind != _MARKET and kind != _LIMIT:
        return _ORDER_TYPE
    wants_limit = kind == _LIMIT or kind == _STOP_LIMIT
    wants_stop = kind == _STOP or kind == _STOP_LIMIT
    return price_bits(order.limit_micro, wants_limit) | price_bits(order.stop_micro, wants_stop)


@kernel
def price_bits(price_micro: int, wanted: bool) -> int:
    """ORDER_TYPE unless the price is absent where not wanted, and else sane and on the tick grid."""
    if not wanted:
        return 0 if price_micro == 0 else _ORDER_TYPE
    if not 0 < price_micro <= MAX_PRICE_MICRO:
        return _ORDER_TYPE
    return 0 if price_micro % tick_micro(price_micro) == 0 else _ORDER_TYPE


@kernel
def check_price(order: OrderValues, market: MarketValues, limits: LimitValues) -> int:
    """PRICE_MISSING, PRICE_STALE, PRICE_COLLAR: last close, decision price, limit, stop and quote agree."""
    bits = 0
    price = market.price_micro
    have_price = 0 < price <= MAX_PRICE_MICRO and 0 < order.reference_micro <= MAX_PRICE_MICRO
    if not have_price:
        bits |= _PRICE_MISSING | _PRICE_COLLAR
    if market.bar_age_sessions < 0 or not market.bar_age_sessions <= limits.max_bar_age_sessions:
        bits |= _PRICE_STALE
    if have_price:
        away = abs(order.reference_micro - price) / price * 1e4
        if order.limit_micro > 0:
            away = max(away, abs(float(order.limit_micro) - price) / price * 1e4)
        if order.stop_micro > 0:
            away = max(away, abs(float(order.stop_micro) - price) / price * 1e4)
        if 0 < market.bid_micro <= market.ask_micro <= MAX_PRICE_MICRO:
            mid = 0.5 * (market.bid_micro + market.ask_micro)
            away = max(away, abs(price - mid) / mid * 1e4)
        else:
            bits |= _PRICE_COLLAR
        if not away <= limits.max_collar_bps:
            bits |= _PRICE_COLLAR
    return bits


@kernel
def check_price_move(market: MarketValues, recent: RecentValues, limits: LimitValues) -> int:
    """PRICE_MOVE: how far the quote is from the close before the window."""
    before = recent.window_price_micro
    if not (0 < before <= MAX_PRICE_MICRO and is_quoted(market)):
        return _PRICE_MOVE
    return 0 if abs(mid_micro(market) - before) / before * 1e4 <= limits.max_price_move_bps else _PRICE_MOVE
