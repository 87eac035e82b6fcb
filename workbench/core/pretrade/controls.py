"""The pre-trade controls, one small kernel each: 0 permits, otherwise the code's bit.

Comparisons are written so that NaN denies: `not (value <= ceiling)`. Products are float64, which is
exact up to 9e15 micros (nine thousand million dollars), far above any ceiling that can be set.
"""

from __future__ import annotations

from typing import NamedTuple

from workbench.core.fills import tick_micro
from workbench.core.kernel import kernel
from workbench.core.pretrade.codes import DenialCode
from workbench.core.pretrade.limits import LimitValues
from workbench.core.types import NANO, OrderType, TimeInForce

#: Worst case of an order without a limit: its price may move this far before it is filled.
UNLIMITED_CUSHION_BPS = 500.0
#: Order types are accepted from this long before the open.
EARLIEST_NS = 6 * 3_600 * NANO
#: Auction orders are accepted until this long before the open and before the close.
OPEN_CUTOFF_NS = 120 * NANO
CLOSE_CUTOFF_NS = 600 * NANO
_MAX_PRICE_MICRO = 1_000_000_000_000
_MAX_SHARES = 1_000_000_000
_MAX_MONEY_MICRO = 1_000_000_000_000_000_000

# kernels see plain integers
_QUANTITY = int(DenialCode.QUANTITY)
_NOTIONAL = int(DenialCode.NOTIONAL)
_POSITION = int(DenialCode.POSITION)
_POSITION_NOTIONAL = int(DenialCode.POSITION_NOTIONAL)
_GROSS = int(DenialCode.GROSS)
_PRICE_COLLAR = int(DenialCode.PRICE_COLLAR)
_PRICE_MISSING = int(DenialCode.PRICE_MISSING)
_PRICE_STALE = int(DenialCode.PRICE_STALE)
_QUOTE_MISSING = int(DenialCode.QUOTE_MISSING)
_QUOTE_STALE = int(DenialCode.QUOTE_STALE)
_SESSION_HOURS = int(DenialCode.SESSION_HOURS)
_DUPLICATE = int(DenialCode.DUPLICATE)
_RATE = int(DenialCode.RATE)
_SESSION_LOSS = int(DenialCode.SESSION_LOSS)
_RESTRICTED = int(DenialCode.RESTRICTED)
_QUOTED_SPREAD = int(DenialCode.QUOTED_SPREAD)
_EXPECTED_COST = int(DenialCode.EXPECTED_COST)
_PARTICIPATION = int(DenialCode.PARTICIPATION)
_SHORT = int(DenialCode.SHORT)
_FROZEN = int(DenialCode.FROZEN)
_NOT_TRADABLE = int(DenialCode.NOT_TRADABLE)
_COST_MISSING = int(DenialCode.COST_MISSING)
_BUYING_POWER = int(DenialCode.BUYING_POWER)
_ACCOUNT_MISSING = int(DenialCode.ACCOUNT_MISSING)
_ORDER_TYPE = int(DenialCode.ORDER_TYPE)
_MARKET = int(OrderType.MARKET)
_LIMIT = int(OrderType.LIMIT)
_ON_OPEN = int(OrderType.MARKET_ON_OPEN)
_ON_CLOSE = int(OrderType.MARKET_ON_CLOSE)
_STOP = int(OrderType.STOP)
_STOP_LIMIT = int(OrderType.STOP_LIMIT)
_DAY = int(TimeInForce.DAY)
_IOC = int(TimeInForce.IOC)
_FOK = int(TimeInForce.FOK)


class OrderValues(NamedTuple):
    """One order; `expected_cost_micro` <= 0 = not known; flags are 0 or 1."""

    side: int
    shares: int
    order_type: int
    limit_micro: int
    reference_micro: int
    expected_cost_micro: int
    duplicate: int
    restricted: int
    stop_micro: int = 0
    time_in_force: int = 0


class MarketValues(NamedTuple):
    """What is known of the order's symbol; prices 0, ages -1 and volume NaN = missing."""

    price_micro: int
    bar_age_sessions: int
    bid_micro: int
    ask_micro: int
    quote_age_ns: int
    tradable: int
    frozen: int
    position_shares: int
    open_buy_shares: int
    open_sell_shares: int
    adv_shares: float


class AccountValues(NamedTuple):
    """What is known of the account, with what earlier orders of the call already use.

    `reserved_micro` is what working buys may still take from cash (the venue's buying power is already
    net of them), `used_micro` what earlier orders of the call take from both; NaN = not known.
    """

    cash_micro: int
    equity_micro: int
    session_start_equity_micro: int
    buying_power_micro: int
    reserved_micro: float
    used_micro: float
    gross_micro: float
    orders_last_minute: int
    now_ns: int
    session_open_ns: int
    session_close_ns: int


@kernel
def worst_price_micro(order: OrderValues, market: MarketValues) -> float:
    """Price per share at which the order could cost, or expose, most; -1 when it cannot be told."""
    if not 0 < market.price_micro <= _MAX_PRICE_MICRO:
        return -1.0
    if not 0 < order.reference_micro <= _MAX_PRICE_MICRO:
        return -1.0
    if order.order_type == _LIMIT or order.order_type == _STOP_LIMIT:
        if not 0 < order.limit_micro <= _MAX_PRICE_MICRO:
            return -1.0
        return float(order.limit_micro if order.side == 1 else max(order.limit_micro, market.price_micro))
    from_price = max(order.reference_micro, market.price_micro)
    if order.order_type == _STOP:  # a stop buys above the market, and from there on without a limit
        if not 0 < order.stop_micro <= _MAX_PRICE_MICRO:
            return -1.0
        from_price = max(from_price, order.stop_micro)
    return from_price * (1.0 + UNLIMITED_CUSHION_BPS / 1e4)


@kernel
def sane_position(market: MarketValues) -> bool:
    """Whether position and working quantities are numbers that a desk can have."""
    return (
        -_MAX_SHARES <= market.position_shares <= _MAX_SHARES
        and 0 <= market.open_buy_shares <= _MAX_SHARES
        and 0 <= market.open_sell_shares <= _MAX_SHARES
    )


@kernel
def is_reduction(order: OrderValues, market: MarketValues) -> bool:
    """Whether the order, and all working ones of its side, only bring the position nearer to zero."""
    if not sane_position(market) or not 0 < order.shares <= _MAX_SHARES:
        return False
    if order.side == -1:
        return order.shares + market.open_sell_shares <= market.position_shares
    if order.side == 1:
        return order.shares + market.open_buy_shares <= -market.position_shares
    return False


@kernel
def worst_position(market: MarketValues, buy_shares: int, sell_shares: int) -> int:
    """Largest absolute position if one side of the working orders, and the given shares, fills; un-netted."""
    longest = market.position_shares + market.open_buy_shares + buy_shares
    shortest = market.position_shares - market.open_sell_shares - sell_shares
    return max(abs(longest), abs(shortest))


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
    if not 0 < price_micro <= _MAX_PRICE_MICRO:
        return _ORDER_TYPE
    return 0 if price_micro % tick_micro(price_micro) == 0 else _ORDER_TYPE


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
def check_price(order: OrderValues, market: MarketValues, limits: LimitValues) -> int:
    """PRICE_MISSING, PRICE_STALE, PRICE_COLLAR: last close, decision price, limit, stop and quote agree."""
    bits = 0
    price = market.price_micro
    have_price = 0 < price <= _MAX_PRICE_MICRO and 0 < order.reference_micro <= _MAX_PRICE_MICRO
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
        if 0 < market.bid_micro <= market.ask_micro <= _MAX_PRICE_MICRO:
            mid = 0.5 * (market.bid_micro + market.ask_micro)
            away = max(away, abs(price - mid) / mid * 1e4)
        else:
            bits |= _PRICE_COLLAR
        if not away <= limits.max_collar_bps:
            bits |= _PRICE_COLLAR
    return bits


@kernel
def check_quote(market: MarketValues, limits: LimitValues) -> int:
    """QUOTE_MISSING, QUOTE_STALE, QUOTED_SPREAD: a fresh, uncrossed, narrow quote."""
    bits = 0
    if market.quote_age_ns < 0 or not market.quote_age_ns <= limits.max_quote_age_ns:
        bits |= _QUOTE_STALE
    if not 0 < market.bid_micro <= market.ask_micro <= _MAX_PRICE_MICRO:
        return bits | _QUOTE_MISSING | _QUOTED_SPREAD
    mid = 0.5 * (market.bid_micro + market.ask_micro)
    if not (market.ask_micro - market.bid_micro) / mid * 1e4 <= limits.max_spread_bps:
        bits |= _QUOTED_SPREAD
    return bits


@kernel
def check_cost(order: OrderValues, limits: LimitValues) -> int:
    """COST_MISSING, EXPECTED_COST: the cost is known and bearable; a cost of zero is not known."""
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


@kernel
def check_rate(account: AccountValues, limits: LimitValues) -> int:
    """RATE: this order and those of the last minute."""
    sent = account.orders_last_minute
    return 0 if 0 <= sent and sent + 1 <= limits.max_orders_per_minute else _RATE


@kernel
def check_position(
    order: OrderValues, market: MarketValues, account: AccountValues, worst_price: float, limits: LimitValues
) -> int:
    """POSITION, POSITION_NOTIONAL, GROSS, SHORT: exposure if the worse side of all working orders fills.

    A reduction passes the first three, whatever the exposure is.
    """
    every = _POSITION | _POSITION_NOTIONAL | _GROSS
    if not sane_position(market) or not 0 < order.shares <= _MAX_SHARES:
        return every | _SHORT
    bits = 0
    if order.side != 1 and limits.allow_short != 1.0:
        bits |= 0 if order.shares + market.open_sell_shares <= market.position_shares else _SHORT
    if is_reduction(order, market):
        return bits
    buy = order.shares if order.side == 1 else 0
    sell = order.shares if order.side != 1 else 0
    before = worst_position(market, 0, 0)
    after = worst_position(market, buy, sell)
    if not after <= limits.max_position_shares:
        bits |= _POSITION
    if not (worst_price > 0.0 and after * worst_price <= limits.max_position_notional):
        bits |= _POSITION_NOTIONAL
    gross = account.gross_micro + (after - before) * worst_price
    if not (worst_price > 0.0 and 0.0 <= account.gross_micro and gross <= limits.max_gross_notional):
        bits |= _GROSS
    return bits


@kernel
def check_account(
    order: OrderValues, market: MarketValues, account: AccountValues, worst_price: float, limits: LimitValues
) -> int:
    """ACCOUNT_MISSING, BUYING_POWER, SESSION_LOSS: the account is known and can bear the order."""
    bits = 0
    equity, start, cash = account.equity_micro, account.session_start_equity_micro, account.cash_micro
    if not (
        0 < equity <= _MAX_MONEY_MICRO
        and 0 < start <= _MAX_MONEY_MICRO
        and -_MAX_MONEY_MICRO <= cash <= _MAX_MONEY_MICRO
    ):
        bits |= _ACCOUNT_MISSING
    reduction = is_reduction(order, market)
    if not reduction and (bits != 0 or not float(start) - float(equity) < limits.max_session_loss):
        bits |= _SESSION_LOSS
    if not 0 <= account.buying_power_micro <= _MAX_MONEY_MICRO:
        return bits | _BUYING_POWER
    if not reduction:
        cash_left = float(cash) - account.reserved_micro
        available = min(float(account.buying_power_micro), cash_left)
        need = order.shares * worst_price + account.used_micro
        if not (worst_price > 0.0 and cash_left > 0.0 and need <= available):
            bits |= _BUYING_POWER
    return bits


@kernel
def judge_order(order: OrderValues, market: MarketValues, account: AccountValues, limits: LimitValues) -> int:
    """All reasons to deny one order, as a bitmask; 0 = allowed."""
    worst_price = worst_price_micro(order, market)
    bits = check_order(order, market)
    bits |= check_size(order, worst_price, market.adv_shares, limits)
    bits |= check_symbol(order, market)
    bits |= check_price(order, market, limits)
    bits |= check_quote(market, limits)
    bits |= check_cost(order, limits)
    bits |= check_hours(order.order_type, account, order.time_in_force)
    bits |= check_rate(account, limits)
    bits |= check_position(order, market, account, worst_price, limits)
    bits |= check_account(order, market, account, worst_price, limits)
    return bits
