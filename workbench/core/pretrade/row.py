"""The controls over the orders of one cycle: what is allowed early leaves less for what comes later."""

from __future__ import annotations

import math
from typing import NamedTuple

from workbench.core.kernel import kernel
from workbench.core.pretrade.controls import judge_order
from workbench.core.pretrade.limits import LimitValues
from workbench.core.pretrade.values import (
    ANY_BUY_MICRO,
    ANY_SELL_MICRO,
    MAX_PRICE_MICRO,
    UNLIMITED_CUSHION_BPS,
    AccountValues,
    FlowValues,
    MarketValues,
    OrderValues,
    RecentValues,
    added_shares,
    is_open,
    is_reduction,
    ordered_micro,
    sane_position,
    worst_position,
    worst_price_micro,
)
from workbench.core.types import Floats, Integers, OrderType

_LIMIT = int(OrderType.LIMIT)
_STOP_LIMIT = int(OrderType.STOP_LIMIT)


class OrderArrays(NamedTuple):
    """Orders in sending order, shape (orders,); `symbol` is a position in `MarketArrays` or -1."""

    symbol: Integers
    side: Integers
    shares: Integers
    order_type: Integers
    limit_micro: Integers
    reference_micro: Integers
    expected_cost_micro: Integers
    duplicate: Integers
    restricted: Integers
    stop_micro: Integers
    time_in_force: Integers


class MarketArrays(NamedTuple):
    """Fields of `MarketValues`, shape (symbols,)."""

    price_micro: Integers
    bar_age_sessions: Integers
    bid_micro: Integers
    ask_micro: Integers
    quote_age_ns: Integers
    tradable: Integers
    frozen: Integers
    position_shares: Integers
    open_buy_shares: Integers
    open_sell_shares: Integers
    adv_shares: Floats


class RecentArrays(NamedTuple):
    """Fields of `RecentValues`, shape (symbols,).

    `sector` is the position of the sector's sum in `sector_micro`, which is room and computed anew.
    """

    volatility_bps: Floats
    window_price_micro: Integers
    previous_mid_micro: Integers
    disabled: Integers
    own_buy_micro: Integers
    own_sell_micro: Integers
    session_shares: Integers
    session_paid_micro: Integers
    symbol_orders: Integers
    window_shares: Integers
    sector: Integers
    sector_micro: Floats


@kernel
def market_at(market: MarketArrays, i: int) -> MarketValues:
    """What is known of the symbol at position i; everything is missing when there is none."""
    if not 0 <= i < market.price_micro.shape[0]:
        return MarketValues(0, -1, 0, 0, -1, 0, 1, 0, -1, -1, math.nan)
    return MarketValues(
        market.price_micro[i],
        market.bar_age_sessions[i],
        market.bid_micro[i],
        market.ask_micro[i],
        market.quote_age_ns[i],
        market.tradable[i],
        market.frozen[i],
        market.position_shares[i],
        market.open_buy_shares[i],
        market.open_sell_shares[i],
        market.adv_shares[i],
    )


@kernel
def recent_at(recent: RecentArrays, i: int) -> RecentValues:
    """What happened lately in the symbol at position i; everything is missing when there is none."""
    if not 0 <= i < recent.volatility_bps.shape[0]:
        return RecentValues(math.nan, 0, 0, 1, -1, -1, 0, 0, -1, -1, math.nan)
    return RecentValues(
        recent.volatility_bps[i],
        recent.window_price_micro[i],
        recent.previous_mid_micro[i],
        recent.disabled[i],
        recent.own_buy_micro[i],
        recent.own_sell_micro[i],
        recent.session_shares[i],
        recent.session_paid_micro[i],
        recent.symbol_orders[i],
        recent.window_shares[i],
        recent.sector_micro[recent.sector[i]],
    )


@kernel
def exposure(market: MarketArrays) -> tuple[float, float]:
    """Gross exposure on the worse side, and cash that working buys may take, in micros; NaN = not known.

    A symbol that is held or worked without a price makes both unknown.
    """
    gross = 0.0
    working = 0.0
    for i in range(market.price_micro.shape[0]):
        held, bought = symbol_exposure(market_at(market, i))
        gross += held
        working += bought
    return (gross, reserved_micro(working))


@kernel
def symbol_exposure(one: MarketValues) -> tuple[float, float]:
    """Value of the worse side of one symbol, and of its working buys, in micros; NaN = not known.

    Both are whole numbers, so sums of them are exact, in any order, up to 9e15 micros.
    """
    if not sane_position(one):
        return (math.nan, math.nan)
    worst = worst_position(one, 0, 0)
    if worst == 0:
        return (0.0, 0.0)
    if not 0 < one.price_micro <= MAX_PRICE_MICRO:
        return (math.nan, math.nan)
    return (float(worst) * one.price_micro, float(one.open_buy_shares) * one.price_micro)


@kernel
def symbol_net(one: MarketValues) -> tuple[float, float]:
    """Value of one symbol if its working buys fill, and if its working sales do, micros; NaN = not known."""
    if not is_open(one):
        return (0.0, 0.0)
    if not (sane_position(one) and 0 < one.price_micro <= MAX_PRICE_MICRO):
        return (math.nan, math.nan)
    longest = float(one.position_shares + one.open_buy_shares)
    return (longest * one.price_micro, float(one.position_shares - one.open_sell_shares) * one.price_micro)


@kernel
def reserved_micro(working_micro: float) -> float:
    """Cash that working buys of that value may take at worst, in micros."""
    return working_micro * (1.0 + UNLIMITED_CUSHION_BPS / 1e4)


@kernel
def sum_sectors(market: MarketArrays, recent: RecentArrays) -> None:
    """Write the gross exposure of every sector."""
    for i in range(market.price_micro.shape[0]):
        recent.sector_micro[i] = 0.0
    for i in range(market.price_micro.shape[0]):
        recent.sector_micro[recent.sector[i]] += symbol_exposure(market_at(market, i))[0]


@kernel
def total_flow(market: MarketArrays, recent: RecentArrays, flow: FlowValues) -> FlowValues:
    """The account's flow with what follows from its symbols: net exposure, working orders, open symbols.

    One order that is not finished per symbol, so a symbol with working quantities is one working order.
    """
    net_long, net_short = 0.0, 0.0
    working, opened, traded, orders = 0, 0, 0, 0
    known = True
    for i in range(market.price_micro.shape[0]):
        one = market_at(market, i)
        longest, shortest = symbol_net(one)
        net_long += longest
        net_short += shortest
        opened += 1 if is_open(one) else 0
        working += 1 if one.open_buy_shares != 0 or one.open_sell_shares != 0 else 0
        sent = recent.symbol_orders[i]
        known = known and 0 <= sent <= 1_000_000_000
        traded += 1 if sent > 0 else 0
        orders += sent
    return FlowValues(
        net_long,
        net_short,
        working,
        opened,
        flow.attempts_last_minute,
        flow.window_notional_micro,
        traded if known else -1,
        orders if known else -1,
        flow.session_notional_micro,
        flow.closed_sessions,
        flow.shortfall_micro,
    )


@kernel
def account_with(order: OrderValues, market: MarketValues, account: AccountValues) -> AccountValues:
    """What the account has left for later orders of a cycle once this one is allowed."""
    used, gross = account.used_micro, account.gross_micro
    if not is_reduction(order, market):
        worst_price = worst_price_micro(order, market)
        used += order.shares * worst_price
        gross += added_shares(order, market) * worst_price
    return AccountValues(
        account.cash_micro,
        account.equity_micro,
        account.session_start_equity_micro,
        account.buying_power_micro,
        account.reserved_micro,
        used,
        gross,
        account.messages_last_minute + 1,
        account.now_ns,
        account.session_open_ns,
        account.session_close_ns,
    )


@kernel
def flow_with(order: OrderValues, market: MarketValues, recent: RecentValues, flow: FlowValues) -> FlowValues:
    """The account's flow for later orders of a cycle once this one is allowed."""
    value = order.shares * worst_price_micro(order, market)
    whole = ordered_micro(order)
    working = market.open_buy_shares != 0 or market.open_sell_shares != 0
    return FlowValues(
        flow.net_long_micro + (value if order.side == 1 else 0.0),
        flow.net_short_micro - (value if order.side != 1 else 0.0),
        flow.working_orders + (0 if working else 1),
        flow.open_symbols + (0 if is_open(market) else 1),
        flow.attempts_last_minute + 1,
        flow.window_notional_micro + whole,
        flow.session_symbols + (1 if recent.symbol_orders == 0 else 0),
        flow.session_orders + 1,
        flow.session_notional_micro + whole,
        flow.closed_sessions,
        flow.shortfall_micro,
    )


@kernel
def flow_tried(flow: FlowValues) -> FlowValues:
    """The account's flow for later orders of a cycle once this one is denied: it was an attempt."""
    return FlowValues(
        flow.net_long_micro,
        flow.net_short_micro,
        flow.working_orders,
        flow.open_symbols,
        flow.attempts_last_minute + 1,
        flow.window_notional_micro,
        flow.session_symbols,
        flow.session_orders,
        flow.session_notional_micro,
        flow.closed_sessions,
        flow.shortfall_micro,
    )


@kernel
def put_to_work(
    i: int, order: OrderValues, one: MarketValues, market: MarketArrays, recent: RecentArrays
) -> None:
    """Add an allowed order to what works and was ordered in its symbol."""
    if not is_reduction(order, one):
        recent.sector_micro[recent.sector[i]] += added_shares(order, one) * worst_price_micro(order, one)
    recent.symbol_orders[i] += 1
    recent.window_shares[i] += order.shares
    limited = order.order_type == _LIMIT or order.order_type == _STOP_LIMIT
    if order.side == 1:
        market.open_buy_shares[i] += order.shares
        price = order.limit_micro if limited else ANY_BUY_MICRO
        recent.own_buy_micro[i] = max(recent.own_buy_micro[i], price)
    else:
        market.open_sell_shares[i] += order.shares
        price = order.limit_micro if limited else ANY_SELL_MICRO
        before = recent.own_sell_micro[i]
        recent.own_sell_micro[i] = min(before, price) if before > 0 else price


@kernel
def judge_orders(
    orders: OrderArrays,
    market: MarketArrays,
    recent: RecentArrays,
    account: AccountValues,
    flow: FlowValues,
    limits: LimitValues,
    verdicts: Integers,
) -> None:
    """Write a bitmask of denial codes for every order, in order; 0 = allowed.

    Parameters
    ----------
    orders : OrderArrays
    market, recent : MarketArrays, RecentArrays
        Working quantities, own prices and tallies are *changed*: allowed orders are added to them.
    account : AccountValues
        `reserved_micro`, `used_micro` and `gross_micro` are computed here and ignored on entry.
    flow : FlowValues
        Net exposure and all counts but `attempts_last_minute` are computed here and ignored on entry.
    limits : LimitValues
    verdicts : int64 (orders,)
        Output.
    """
    gross, reserved = exposure(market)
    sum_sectors(market, recent)
    tally = total_flow(market, recent, flow)
    now = AccountValues(
        account.cash_micro,
        account.equity_micro,
        account.session_start_equity_micro,
        account.buying_power_micro,
        reserved,
        0.0,
        gross,
        account.messages_last_minute,
        account.now_ns,
        account.session_open_ns,
        account.session_close_ns,
    )
    for k in range(orders.symbol.shape[0]):
        i = orders.symbol[k]
        order = OrderValues(
            orders.side[k],
            orders.shares[k],
            orders.order_type[k],
            orders.limit_micro[k],
            orders.reference_micro[k],
            orders.expected_cost_micro[k],
            orders.duplicate[k],
            orders.restricted[k],
            orders.stop_micro[k],
            orders.time_in_force[k],
        )
        one = market_at(market, i)
        lately = recent_at(recent, i)
        verdicts[k] = judge_order(order, one, lately, now, tally, limits)
        if verdicts[k] != 0:
            tally = flow_tried(tally)
            continue
        now = account_with(order, one, now)
        tally = flow_with(order, one, lately, tally)
        put_to_work(i, order, one, market, recent)
