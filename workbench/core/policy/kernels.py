"""The policy as kernels: one symbol, and a row of symbols with a common gross weight."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from workbench.core.fills import tick_micro
from workbench.core.kernel import kernel
from workbench.core.policy.params import PolicyValues
from workbench.core.policy.reason import Reason
from workbench.core.types import MISSING, Floats, Integers, OrderType

# kernels see plain integers
_ENTER = int(Reason.ENTER)
_INCREASE = int(Reason.INCREASE)
_REDUCE = int(Reason.REDUCE)
_EXIT = int(Reason.EXIT)
_AT_TARGET = int(Reason.AT_TARGET)
_WITHIN_BAND = int(Reason.WITHIN_BAND)
_EDGE_BELOW_COST = int(Reason.EDGE_BELOW_COST)
_BELOW_ONE_LOT = int(Reason.BELOW_ONE_LOT)
_SHORT_NOT_ALLOWED = int(Reason.SHORT_NOT_ALLOWED)
_FORECAST_MISSING = int(Reason.FORECAST_MISSING)
_PRICE_MISSING = int(Reason.PRICE_MISSING)
_VOLATILITY_MISSING = int(Reason.VOLATILITY_MISSING)
_EQUITY_MISSING = int(Reason.EQUITY_MISSING)
_COST_MISSING = int(Reason.COST_MISSING)
_POSITION_MISSING = int(Reason.POSITION_MISSING)
_NOT_TRADABLE = int(Reason.NOT_TRADABLE)
_FROZEN = int(Reason.FROZEN)
_ORDER_WORKING = int(Reason.ORDER_WORKING)
_LIMIT = int(OrderType.LIMIT)


class Standing(NamedTuple):
    """What the policy knows of one symbol."""

    forecast_micro: int
    price_micro: int
    volatility_bps: float
    cost_floor_bps: float
    position_shares: int
    open_shares: int
    tradable: int
    frozen: int


class Choice(NamedTuple):
    """What the policy wants of one symbol; the fields are those of `Decision`."""

    target_shares: int
    delta_shares: int
    order_type: int
    limit_micro: int
    reason: int
    edge_micro: int
    cost_floor_micro: int


@kernel
def target_weight_micro(forecast_micro: int, volatility_bps: float, values: PolicyValues) -> int:
    """Unscaled target weight x 1e6 of one symbol, clipped; `MISSING` when it cannot be judged.

    The weight is gain x forecast / (volatility x sqrt(horizon)). A daily volatility under 1 bps is
    taken as missing: it would turn any forecast into the largest weight.
    """
    if forecast_micro == MISSING or not 1.0 <= volatility_bps < 1e5:
        return MISSING
    lowest = -values.max_weight_micro if values.allow_short == 1 else 0
    reach, gained = volatility_bps * values.root_horizon, values.gain * forecast_micro
    if gained * 9_999.0 >= (values.max_weight_micro + 1) * reach:  # surely clipped, told without a division
        return values.max_weight_micro
    if gained * 9_999.0 <= (lowest - 1) * reach:
        return lowest
    risk = volatility_bps / 1e4 * values.root_horizon
    weight = float(np.rint(gained / risk))
    return int(min(max(weight, float(lowest)), float(values.max_weight_micro)))


@kernel
def held_weight_micro(shares: int, price_micro: int, equity_micro: int) -> int:
    """Absolute weight x 1e6 of a number of shares."""
    return int(np.rint(abs(float(shares)) * price_micro / (equity_micro / 1e6)))


@kernel
def limit_price_micro(side: int, price_micro: int, offset_micro: int) -> int:
    """Marketable limit: the price moved by the offset (x 1e-6) to the side's bad, then onto the tick grid.

    Rounding never worsens the limit: a buy rounds down, a sell rounds up (never below one tick).
    """
    scaled = price_micro * (1_000_000 + side * offset_micro)
    if side == 1:
        raw = scaled // 1_000_000
        tick = tick_micro(raw)
        return max(raw // tick * tick, tick)
    raw = -(-scaled // 1_000_000)
    tick = tick_micro(raw)
    return max(-(-raw // tick) * tick, tick)


@kernel
def obstacle(standing: Standing, equity_micro: int) -> int:
    """The reason why a symbol cannot be judged or touched; 0 when it can."""
    if standing.tradable != 1:
        return _NOT_TRADABLE
    if standing.frozen != 0:
        return _FROZEN
    if standing.open_shares != 0:
        return _ORDER_WORKING
    if not 0 < standing.price_micro <= 1_000_000_000_000:
        return _PRICE_MISSING
    if not 0 < equity_micro <= 1_000_000_000_000_000_000:
        return _EQUITY_MISSING
    if standing.forecast_micro == MISSING:
        return _FORECAST_MISSING
    if not 1.0 <= standing.volatility_bps < 1e5:
        return _VOLATILITY_MISSING
    if not -1_000_000_000 <= standing.position_shares <= 1_000_000_000:
        return _POSITION_MISSING
    if not 0.0 <= standing.cost_floor_bps < 1e5:
        return _COST_MISSING
    return 0


@kernel
def target_shares(weight_micro: int, price_micro: int, equity_micro: int, lot_shares: int) -> int:
    """Signed shares of a weight, truncated towards zero to whole lots."""
    shares = int(abs(weight_micro) * (equity_micro / 1e6) / price_micro)
    lots = shares // lot_shares * lot_shares
    return lots if weight_micro >= 0 else -lots


@kernel
def decide_symbol(weight_micro: int, standing: Standing, equity_micro: int, values: PolicyValues) -> Choice:
    """What to do about one symbol, given its scaled target weight.

    An order never crosses zero: a turned forecast first closes the position. The edge of an increase is
    the forecast itself; the edge of a reduction is the return that the surplus weight would need to be
    worth holding.
    """
    position = standing.position_shares
    why = obstacle(standing, equity_micro)
    if why != 0:
        return Choice(position, 0, 0, 0, why, MISSING, MISSING)
    floor_micro = int(np.rint(standing.cost_floor_bps * 100.0))
    forecast = standing.forecast_micro
    if (forecast > 0 and position < 0) or (forecast < 0 and position > 0):
        return ordered(0, -position, values.exit_type, _EXIT, abs(forecast), floor_micro, standing, values)
    target = target_shares(weight_micro, standing.price_micro, equity_micro, values.lot_shares)
    delta = target - position
    if delta == 0:
        why = _AT_TARGET
        if position == 0 and forecast < 0 and values.allow_short != 1:
            why = _SHORT_NOT_ALLOWED
        elif position == 0 and weight_micro != 0:
            why = _BELOW_ONE_LOT
        return Choice(target, 0, 0, 0, why, abs(forecast), floor_micro)
    change_micro = held_weight_micro(delta, standing.price_micro, equity_micro)
    increase = abs(target) > abs(position)
    edge_micro = abs(forecast)
    if not increase:
        risk = standing.volatility_bps / 1e4 * values.root_horizon
        edge_micro = int(np.rint(min(change_micro * risk / values.gain, 1e12)))
    if change_micro < values.min_trade_micro:
        return Choice(target, 0, 0, 0, _WITHIN_BAND, edge_micro, floor_micro)
    if not float(edge_micro) > values.edge_multiple * floor_micro:
        return Choice(target, 0, 0, 0, _EDGE_BELOW_COST, edge_micro, floor_micro)
    if increase:
        why = _ENTER if position == 0 else _INCREASE
        return ordered(target, delta, values.entry_type, why, edge_micro, floor_micro, standing, values)
    why = _EXIT if target == 0 else _REDUCE
    return ordered(target, delta, values.exit_type, why, edge_micro, floor_micro, standing, values)


@kernel
def ordered(
    target: int,
    delta: int,
    order_type: int,
    why: int,
    edge_micro: int,
    floor_micro: int,
    standing: Standing,
    values: PolicyValues,
) -> Choice:
    """A choice that sends an order, with its limit where the type has one."""
    limit_micro = 0
    if order_type == _LIMIT:
        side = 1 if delta > 0 else -1
        limit_micro = limit_price_micro(side, standing.price_micro, values.offset_micro)
    return Choice(target, delta, order_type, limit_micro, why, edge_micro, floor_micro)


@kernel
def surely_idle(
    weight_micro: int,
    price_micro: int,
    position_shares: int,
    equity_micro: int,
    known_micro: float,
    values: PolicyValues,
) -> bool:
    """Whether `decide_symbol` would surely order nothing, told without a division.

    A bound, not a decision: True only where the change, rounded to lots either way, stays inside the
    no-trade band and below the value up to which costs are known. False says nothing.

    Parameters
    ----------
    weight_micro : int
        Scaled target weight, not `MISSING`; the forecast must not point against the position.
    known_micro : float
        Notional up to which the cost of the change is known, micros.
    """
    if weight_micro == 0 and position_shares == 0:
        return True
    equity, price = float(equity_micro), price_micro * 1e6
    reach = abs(weight_micro * equity - position_shares * price) + values.lot_shares * price
    return reach < (values.min_trade_micro - 1) * equity and reach < known_micro * 1e6


@kernel
def forecast_micro(forecast: float) -> int:
    """A forecast x 1e6; `MISSING` for NaN and for anything beyond -100 % or +100 %."""
    return int(np.rint(forecast * 1e6)) if abs(forecast) <= 1.0 else MISSING


@kernel
def forecast_row(forecast: Floats, out: Integers) -> None:
    """Write `forecast_micro` of every element."""
    for i in range(forecast.shape[0]):
        out[i] = forecast_micro(forecast[i])


@kernel
def decide_row(
    forecast_micro: Integers,
    price_micro: Integers,
    volatility_bps: Floats,
    cost_floor_bps: Floats,
    position_shares: Integers,
    open_shares: Integers,
    tradable: Integers,
    frozen: Integers,
    equity_micro: int,
    values: PolicyValues,
    out: Integers,
) -> None:
    """Decide every symbol of a row; rows of `out` are the fields of `Choice` and the weight.

    Weights are scaled down together so that they, and the holdings of symbols that cannot be judged,
    stay within the gross weight. The sums are integers, so the order of symbols does not matter.
    """
    wanted = 0
    held = 0
    for i in range(forecast_micro.shape[0]):
        standing = Standing(
            forecast_micro[i], price_micro[i], volatility_bps[i], cost_floor_bps[i],
            position_shares[i], open_shares[i], tradable[i], frozen[i],
        )  # fmt: skip
        why = obstacle(standing, equity_micro)
        out[4, i] = why
        out[7, i] = MISSING
        if why == 0:
            out[7, i] = target_weight_micro(forecast_micro[i], volatility_bps[i], values)
            wanted += abs(out[7, i])
        elif price_micro[i] > 0 and equity_micro > 0:
            held += min(held_weight_micro(position_shares[i], price_micro[i], equity_micro), 1_000_000_000)
    budget = max(values.max_gross_micro - held, 0)
    for i in range(forecast_micro.shape[0]):
        standing = Standing(
            forecast_micro[i], price_micro[i], volatility_bps[i], cost_floor_bps[i],
            position_shares[i], open_shares[i], tradable[i], frozen[i],
        )  # fmt: skip
        weight = out[7, i]
        if out[4, i] == 0 and wanted > budget:
            size = abs(weight) * budget // wanted
            weight = size if weight >= 0 else -size
            out[7, i] = weight
        choice = decide_symbol(weight, standing, equity_micro, values)
        out[0, i] = choice.target_shares
        out[1, i] = choice.delta_shares
        out[2, i] = choice.order_type
        out[3, i] = choice.limit_micro
        out[4, i] = choice.reason
        out[5, i] = choice.edge_micro
        out[6, i] = choice.cost_floor_micro
