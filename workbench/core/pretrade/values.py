"""What the controls look at, and the arithmetic of exposure that several of them share."""

from __future__ import annotations

from typing import NamedTuple

from workbench.core.kernel import kernel
from workbench.core.types import OrderType

#: Worst case of an order without a limit: its price may move this far before it is filled.
UNLIMITED_CUSHION_BPS = 500.0
MAX_PRICE_MICRO = 1_000_000_000_000
MAX_SHARES = 1_000_000_000
MAX_MONEY_MICRO = 1_000_000_000_000_000_000
#: Price of an own order that would trade at any: the worst that self-match prevention can meet.
ANY_BUY_MICRO, ANY_SELL_MICRO = MAX_PRICE_MICRO, 1

# kernels see plain integers
_LIMIT = int(OrderType.LIMIT)
_STOP = int(OrderType.STOP)
_STOP_LIMIT = int(OrderType.STOP_LIMIT)


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


class RecentValues(NamedTuple):
    """What the order's symbol went through lately, and what our own orders did in it.

    Prices 0, counts -1, `session_shares` and `session_paid_micro` MISSING, volatility NaN = not known.
    An own price of 0 is none while nothing works on that side, and not known otherwise.
    """

    volatility_bps: float  #: usual move of a day
    window_price_micro: int  #: last close before the window of the movement control
    previous_mid_micro: int  #: middle of the quote at the look before this one
    disabled: int  #: 1 = stopped by the throttle until a person enables it
    own_buy_micro: int  #: dearest price at which own working orders buy
    own_sell_micro: int  #: cheapest price at which own working orders sell
    session_shares: int  #: bought less sold in this session
    session_paid_micro: int  #: cash that this went out for, with fees
    symbol_orders: int  #: of the symbol, sent in this session
    window_shares: int  #: shares ordered within the short window
    sector_micro: float  #: gross exposure of the symbol's sector; NaN = not known


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
    messages_last_minute: int
    now_ns: int
    session_open_ns: int
    session_close_ns: int


class FlowValues(NamedTuple):
    """What the account's own orders add up to; -1, for money MISSING or NaN = not known."""

    net_long_micro: float  #: net exposure if every working buy fills and no sale
    net_short_micro: float  #: net exposure if every working sale fills and no buy
    working_orders: int
    open_symbols: int  #: symbols with a position or a working order
    attempts_last_minute: int  #: orders sent or denied, and cancels
    window_notional_micro: int  #: value ordered within the short window
    session_symbols: int
    session_orders: int
    session_notional_micro: int  #: value ordered in this session
    closed_sessions: int  #: sessions of this mode that are behind the account
    shortfall_micro: int  #: cost of the session's fills against their decision prices, with fees


@kernel
def worst_price_micro(order: OrderValues, market: MarketValues) -> float:
    """Price per share at which the order could cost, or expose, most; -1 when it cannot be told."""
    if not 0 < market.price_micro <= MAX_PRICE_MICRO:
        return -1.0
    if not 0 < order.reference_micro <= MAX_PRICE_MICRO:
        return -1.0
    if order.order_type == _LIMIT or order.order_type == _STOP_LIMIT:
        if not 0 < order.limit_micro <= MAX_PRICE_MICRO:
            return -1.0
        return float(order.limit_micro if order.side == 1 else max(order.limit_micro, market.price_micro))
    from_price = max(order.reference_micro, market.price_micro)
    if order.order_type == _STOP:  # a stop buys above the market, and from there on without a limit
        if not 0 < order.stop_micro <= MAX_PRICE_MICRO:
            return -1.0
        from_price = max(from_price, order.stop_micro)
    return from_price * (1.0 + UNLIMITED_CUSHION_BPS / 1e4)


@kernel
def ordered_micro(order: OrderValues) -> int:
    """What the order is worth by itself, in whole micros: what windows and sessions count; -1 = not known.

    At its limit, or where it has none the cushion above its decision price or its stop.
    """
    price = max(order.reference_micro, order.stop_micro) * (1.0 + UNLIMITED_CUSHION_BPS / 1e4)
    if order.order_type == _LIMIT or order.order_type == _STOP_LIMIT:
        price = float(order.limit_micro)
    if not (0 < order.shares <= MAX_SHARES and 0.0 < price <= 2.0 * MAX_PRICE_MICRO):
        return -1
    value = order.shares * price
    return int(value) if value <= MAX_MONEY_MICRO else -1


@kernel
def sane_position(market: MarketValues) -> bool:
    """Whether position and working quantities are numbers that a desk can have."""
    return (
        -MAX_SHARES <= market.position_shares <= MAX_SHARES
        and 0 <= market.open_buy_shares <= MAX_SHARES
        and 0 <= market.open_sell_shares <= MAX_SHARES
    )


@kernel
def is_reduction(order: OrderValues, market: MarketValues) -> bool:
    """Whether the order, and all working ones of its side, only bring the position nearer to zero."""
    if not sane_position(market) or not 0 < order.shares <= MAX_SHARES:
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
def adds_risk(order: OrderValues, market: MarketValues) -> bool:
    """Whether the order may bring the position away from zero, or nobody can tell."""
    return not is_reduction(order, market)


@kernel
def added_shares(order: OrderValues, market: MarketValues) -> int:
    """How much larger the worse side becomes by an order; 0 when it stays the other side."""
    buy = order.shares if order.side == 1 else 0
    sell = order.shares if order.side != 1 else 0
    return worst_position(market, buy, sell) - worst_position(market, 0, 0)


@kernel
def is_open(market: MarketValues) -> bool:
    """Whether the symbol has a position or a working order."""
    return market.position_shares != 0 or market.open_buy_shares != 0 or market.open_sell_shares != 0


@kernel
def is_quoted(market: MarketValues) -> bool:
    """Whether there is a quote whose sides do not cross."""
    return 0 < market.bid_micro <= market.ask_micro <= MAX_PRICE_MICRO


@kernel
def mid_micro(market: MarketValues) -> float:
    """Middle of the quote."""
    return 0.5 * (market.bid_micro + market.ask_micro)
