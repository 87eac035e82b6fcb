"""The controls over the orders of one cycle: what is allowed early leaves less for what comes later."""

from __future__ import annotations

import math
from typing import NamedTuple

from workbench.core.kernel import kernel
from workbench.core.pretrade.controls import (
    UNLIMITED_CUSHION_BPS,
    AccountValues,
    MarketValues,
    OrderValues,
    is_reduction,
    judge_order,
    sane_position,
    worst_position,
    worst_price_micro,
)
from workbench.core.pretrade.limits import LimitValues
from workbench.core.types import Floats, Integers


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
    if not 0 < one.price_micro <= 1_000_000_000_000:
        return (math.nan, math.nan)
    return (float(worst) * one.price_micro, float(one.open_buy_shares) * one.price_micro)


@kernel
def reserved_micro(working_micro: float) -> float:
    """Cash that working buys of that value may take at worst, in micros."""
    return working_micro * (1.0 + UNLIMITED_CUSHION_BPS / 1e4)


@kernel
def account_with(order: OrderValues, market: MarketValues, account: AccountValues) -> AccountValues:
    """What the account has left for later orders of a cycle once this one is allowed."""
    used, gross = account.used_micro, account.gross_micro
    if not is_reduction(order, market):
        buy = order.shares if order.side == 1 else 0
        sell = order.shares if order.side != 1 else 0
        worst_price = worst_price_micro(order, market)
        used += order.shares * worst_price
        gross += (worst_position(market, buy, sell) - worst_position(market, 0, 0)) * worst_price
    return AccountValues(
        account.cash_micro,
        account.equity_micro,
        account.session_start_equity_micro,
        account.buying_power_micro,
        account.reserved_micro,
        used,
        gross,
        account.orders_last_minute + 1,
        account.now_ns,
        account.session_open_ns,
        account.session_close_ns,
    )


@kernel
def judge_orders(
    orders: OrderArrays, market: MarketArrays, account: AccountValues, limits: LimitValues, verdicts: Integers
) -> None:
    """Write a bitmask of denial codes for every order, in order; 0 = allowed.

    Parameters
    ----------
    orders : OrderArrays
    market : MarketArrays
        `open_buy_shares` and `open_sell_shares` are *changed*: allowed orders are added to them.
    account : AccountValues
        `reserved_micro`, `used_micro` and `gross_micro` are computed here and ignored on entry.
    limits : LimitValues
    verdicts : int64 (orders,)
        Output.
    """
    gross, reserved = exposure(market)
    now = AccountValues(
        account.cash_micro,
        account.equity_micro,
        account.session_start_equity_micro,
        account.buying_power_micro,
        reserved,
        0.0,
        gross,
        account.orders_last_minute,
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
        verdicts[k] = judge_order(order, one, now, limits)
        if verdicts[k] != 0:
            continue
        now = account_with(order, one, now)
        market.open_buy_shares[i] += order.shares if order.side == 1 else 0
        market.open_sell_shares[i] += order.shares if order.side != 1 else 0
