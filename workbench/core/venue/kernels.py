"""The venue's arithmetic as kernels: what an order meets, what it holds of cash, what it can pay.

The venue calls them for one order of one command, the simulation for every order of a history.
"""

from __future__ import annotations

import math

import numpy as np

from workbench.core.fees import FeeRates, fee_micro
from workbench.core.fills import (
    FillValues,
    bar_half_spread_bps,
    capacity_shares,
    fill_auction,
    fill_range,
    tick_micro,
)
from workbench.core.kernel import kernel
from workbench.core.types import OrderType

_LIMIT = int(OrderType.LIMIT)
_ON_CLOSE = int(OrderType.MARKET_ON_CLOSE)
_STOP = int(OrderType.STOP)
_STOP_LIMIT = int(OrderType.STOP_LIMIT)


@kernel
def meets_open(order_type: int) -> bool:
    """Whether an order of this type, accepted before, takes part in the opening auction."""
    return order_type != _ON_CLOSE


@kernel
def rests_in_range(order_type: int) -> bool:
    """Whether an order of this type, accepted before the open, rests in the range at its limit."""
    return order_type == _LIMIT or order_type == _STOP_LIMIT


@kernel
def take(
    side: int,
    leaves_shares: int,
    limit_micro: int,
    price_micro: int,
    high: float,
    low: float,
    volume: float,
    filled_today: int,
    params: FillValues,
) -> tuple[int, int]:
    """Shares and price in micros that the latest bar allows; (0, 0) or less than a share = no fill.

    Parameters
    ----------
    price_micro : int
        Price of an auction, or of a triggered stop; 0 = the order rests at its limit.
    high, low, volume : float
        The symbol's latest known bar, in currency and shares.
    filled_today : int
        What the order already got of this session's volume.
    """
    leaves = min(leaves_shares, capacity_shares(volume, params) - filled_today)
    if price_micro == 0:
        return fill_range(side, leaves, limit_micro, high, low, volume, params)
    return fill_auction(
        side, leaves, limit_micro, price_micro / 1_000_000, volume,
        bar_half_spread_bps(high, low, params), range_volatility_bps(high, low), params,
    )  # fmt: skip


@kernel
def range_volatility_bps(high: float, low: float) -> float:
    """Daily volatility from one bar's range, bps on a grid of 0.01 (Parkinson, J. of Business 53, 1980)."""
    volatility_bps = 1e4 * math.log(high / low) / (2.0 * math.sqrt(math.log(2.0)))
    return float(np.rint(volatility_bps * 100.0) / 100.0)


@kernel
def hold_price_micro(order_type: int, limit_micro: int, stop_micro: int, last_micro: int) -> int:
    """Cash held for one share of a buy: its limit, or the last price or stop and 3 %, rounded up.

    Alpaca, "Orders at Alpaca", buying power.
    """
    if limit_micro != 0:
        return limit_micro
    worst = max(last_micro, stop_micro) if order_type == _STOP else last_micro
    return -(-worst * 103 // 100)


@kernel
def affordable_shares(side: int, shares: int, price_micro: int, budget_micro: int, rates: FeeRates) -> int:
    """The part of a fill that leaves neither cash nor buying power negative.

    Parameters
    ----------
    budget_micro : int
        Buying power with what the order itself holds.
    """
    if shares <= 0:
        return 0
    fee = fee_micro(side, shares, price_micro, rates)
    if fee < 0:
        return 0
    if side == -1:  # a fee can exceed the proceeds of a tiny sale
        return shares if budget_micro + shares * price_micro - fee >= 0 else 0
    if shares * price_micro + fee <= budget_micro:
        return shares
    shares = min(shares, budget_micro // price_micro)
    if shares <= 0:
        return 0
    # Fees grow with size, so what is affordable with the larger fee is so with the smaller.
    return max(0, (budget_micro - fee_micro(side, shares, price_micro, rates)) // price_micro)


@kernel
def quote_micro(price_micro: int, half_spread_bps: float) -> tuple[int, int]:
    """Bid and ask on the tick grid around a price, at least a tick apart; (0, 0) = no quote."""
    if price_micro <= 0 or not 0.0 <= half_spread_bps < 1e4:
        return (0, 0)
    tick = tick_micro(price_micro)
    half = math.ceil(price_micro * half_spread_bps / 10_000)
    below = (price_micro - half) // tick * tick
    above = max(-(-(price_micro + half) // tick) * tick, below + tick)
    return (below, above) if below > 0 else (0, 0)
