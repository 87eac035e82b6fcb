"""When and at what price a bar fills an order: pessimistic, bounded by volume, never beyond the limit.

An order takes liquidity at an auction (open or close), worsened by half a spread and by impact, or it
rests and is filled at its limit when the bar trades *through* the limit by at least one tick. One order
gets at most one fill in one bar and at most a share of the bar's volume. Nothing here is random. That a
bar which began before the order was accepted never fills it is the caller's rule.

A stop is triggered by the open or by the range of a bar and then takes liquidity at the worse of stop and
open. A stop-limit whose limit does not reach that price rests from the open on when the open triggered it;
otherwise it has only the close, the one later price that is certain. Immediate orders see one event alone,
and fill-or-kill ones fill whole there or not at all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import numpy as np

from workbench.core.kernel import kernel

#: participation, impact coefficient, half spread floor bps, range fraction, through fraction
FillValues: TypeAlias = tuple[float, float, float, float, float]
NO_FILL = (0, 0)  #: shares and price of an order that the bar does not fill


@dataclass(frozen=True)
class FillParams:
    """How pessimistic simulated fills are.

    Attributes
    ----------
    participation : float, default 0.05
        Most that one order gets of one bar's volume.
    impact_coefficient : float, default 1.0
        Impact in bps = coefficient x daily volatility in bps x sqrt(shares / volume of the bar).
    half_spread_floor_bps : float, default 1.0
    half_spread_range_fraction : float, default 0.02
        Half spread as a fraction of the bar's high-low range.
    through_fraction : float, default 0.0
        Fraction of the limit price, beyond one tick, that a bar must trade through a resting limit.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    participation: float = 0.05
    impact_coefficient: float = 1.0
    half_spread_floor_bps: float = 1.0
    half_spread_range_fraction: float = 0.02
    through_fraction: float = 0.0

    def __post_init__(self) -> None:
        bounds = {
            "participation": (1e-6, 1.0),
            "impact_coefficient": (0.0, 1_000.0),
            "half_spread_floor_bps": (0.0, 1_000.0),
            "half_spread_range_fraction": (0.0, 1.0),
            "through_fraction": (0.0, 0.5),
        }
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not low <= value <= high:
                raise ValueError(f"fills.{name} = {value!r} must lie between {low:g} and {high:g}")

    def values(self) -> FillValues:
        """The parameters in the order that the kernels take them."""
        return (
            float(self.participation),
            float(self.impact_coefficient),
            float(self.half_spread_floor_bps),
            float(self.half_spread_range_fraction),
            float(self.through_fraction),
        )


@kernel
def tick_micro(price_micro: int) -> int:
    """Smallest price step in micros at this price: a cent from one dollar on, 1e-4 below it.

    17 CFR 242.612 (the sub-penny rule).
    """
    return 10_000 if price_micro >= 1_000_000 else 100


@kernel
def bar_half_spread_bps(high: float, low: float, params: FillValues) -> float:
    """Half spread in bps that a bar's range suggests, never below the floor; NaN without a range."""
    if not 0.0 < low <= high < 1e9:
        return math.nan
    range_bps = 1e4 * (high - low) / (0.5 * (high + low))
    return float(np.rint(max(params[2], params[3] * range_bps) * 100.0) / 100.0)


@kernel
def capacity_shares(volume: float, params: FillValues) -> int:
    """Whole shares that one order may get of a bar with this volume; 0 when the volume is missing."""
    if not 0.0 < volume < 1e15:
        return 0
    return math.floor(volume * params[0])


@kernel
def fill_auction(
    side: int,
    leaves_shares: int,
    limit_micro: int,
    price: float,
    volume: float,
    half_spread_bps: float,
    volatility_bps: float,
    params: FillValues,
) -> tuple[int, int]:
    """Shares and price in micros of an order that takes liquidity at `price`; (0, 0) = no fill.

    Parameters
    ----------
    side : int
        1 buy, -1 sell.
    leaves_shares : int
        Shares still to be filled, > 0.
    limit_micro : int
        Limit in micros; 0 for an order without a limit.
    price : float
        Auction (or last certain) price in currency, same share terms as the order.
    volume : float
        Shares traded in the whole bar.
    half_spread_bps, volatility_bps : float
        Cost of crossing, and daily volatility; a missing one fills nothing.
    params : tuple of 5 float
        `FillParams.values()`.

    Notes
    -----
    The limit bounds the worsened price: an order whose limit the auction price satisfies is filled at
    the worse of the two that the limit allows, never beyond it.
    """
    if (side != 1 and side != -1) or leaves_shares <= 0 or limit_micro < 0:
        return (0, 0)
    if not (0.0 < price < 1e9 and 0.0 <= half_spread_bps < 1e4 and 0.0 <= volatility_bps < 1e5):
        return (0, 0)
    base = int(np.rint(price * 1e6))
    if base <= 0 or (limit_micro > 0 and side * (base - limit_micro) > 0):
        return (0, 0)
    shares = min(leaves_shares, capacity_shares(volume, params))
    if shares <= 0:
        return (0, 0)
    worse_bps = half_spread_bps + params[1] * volatility_bps * math.sqrt(shares / volume)
    filled = base + side * math.ceil(base * (worse_bps / 1e4))
    if limit_micro > 0 and side * (filled - limit_micro) > 0:
        filled = limit_micro
    return (shares, max(filled, 1))


@kernel
def fill_range(
    side: int,
    leaves_shares: int,
    limit_micro: int,
    high: float,
    low: float,
    volume: float,
    params: FillValues,
) -> tuple[int, int]:
    """Shares and price in micros of a resting limit order that the bar trades through; (0, 0) = no fill.

    To touch the limit is not enough: the queue ahead is unknown. The price is the limit.
    """
    if (side != 1 and side != -1) or leaves_shares <= 0 or limit_micro <= 0:
        return (0, 0)
    if not 0.0 < low <= high < 1e9:
        return (0, 0)
    need = tick_micro(limit_micro) + math.ceil(limit_micro * params[4])
    reached = int(np.rint(low * 1e6)) if side == 1 else int(np.rint(high * 1e6))
    if side * (limit_micro - reached) < need:
        return (0, 0)
    shares = min(leaves_shares, capacity_shares(volume, params))
    return (shares, limit_micro) if shares > 0 else (0, 0)


@kernel
def stop_price_micro(side: int, stop_micro: int, open_price: float, high: float, low: float) -> int:
    """Price in micros at which a bar triggers a stop, the worse of stop and open; 0 = not triggered.

    Parameters
    ----------
    side : int
        1 = a buy stop, triggered from below; -1 = a sell stop, triggered from above.
    stop_micro : int
    open_price, high, low : float
        The bar, in currency. To touch the stop is enough: what may hurt is believed.
    """
    if (side != 1 and side != -1) or stop_micro <= 0 or not 0.0 < low <= open_price <= high < 1e9:
        return 0
    opened = int(np.rint(open_price * 1e6))
    reached = int(np.rint(high * 1e6)) if side == 1 else int(np.rint(low * 1e6))
    if side * (reached - stop_micro) < 0:
        return 0
    return max(stop_micro, opened) if side == 1 else min(stop_micro, opened)


@kernel
def fill_stop(
    side: int,
    leaves_shares: int,
    limit_micro: int,
    stop_micro: int,
    open_price: float,
    high: float,
    low: float,
    close: float,
    volume: float,
    half_spread_bps: float,
    volatility_bps: float,
    params: FillValues,
) -> tuple[int, int]:
    """Shares and price in micros of a stop (`limit_micro` 0) or stop-limit order; (0, 0) = no fill."""
    trigger = stop_price_micro(side, stop_micro, open_price, high, low)
    if trigger == 0:
        return (0, 0)
    at_stop = fill_auction(
        side, leaves_shares, limit_micro, trigger / 1e6, volume, half_spread_bps, volatility_bps, params
    )
    if at_stop[0] > 0 or limit_micro == 0:
        return at_stop
    if side * (int(np.rint(open_price * 1e6)) - stop_micro) >= 0:  # a limit order from the open on
        return fill_range(side, leaves_shares, limit_micro, high, low, volume, params)
    return fill_auction(
        side, leaves_shares, limit_micro, close, volume, half_spread_bps, volatility_bps, params
    )


@kernel
def all_or_none(ordered_shares: int, fill: tuple[int, int]) -> tuple[int, int]:
    """The fill when it is whole, otherwise (0, 0): the rule of fill-or-kill."""
    return fill if fill[0] == ordered_shares else (0, 0)


@kernel
def fill_bar(
    order_type: int,
    side: int,
    leaves_shares: int,
    limit_micro: int,
    open_price: float,
    high: float,
    low: float,
    close: float,
    volume: float,
    half_spread_bps: float,
    volatility_bps: float,
    params: FillValues,
    stop_micro: int = 0,
    time_in_force: int = 0,
) -> tuple[int, int]:
    """Shares and price in micros that a whole bar gives to an order accepted before the bar began.

    Market and market-on-open orders take the open, market-on-close the close; a limit order takes the
    open when it is marketable there and otherwise rests through the bar; stops as `fill_stop`. IOC and
    FOK orders see the open alone. (0, 0) = no fill, also for an unknown type or time in force, a missing
    input, or a bar whose prices contradict each other.
    """
    if not (0.0 < low <= open_price <= high < 1e9 and low <= close <= high):
        return (0, 0)
    if not (0.0 <= half_spread_bps < 1e4 and 0.0 <= volatility_bps < 1e5):
        return (0, 0)
    immediate = time_in_force == 2 or time_in_force == 3  # IOC, FOK
    if not 0 <= time_in_force <= 3 or (immediate and order_type > 1):
        return (0, 0)
    if order_type == 4 or order_type == 5:  # STOP, STOP_LIMIT
        if (limit_micro > 0) != (order_type == 5):
            return (0, 0)
        return fill_stop(
            side, leaves_shares, limit_micro, stop_micro, open_price, high, low, close, volume,
            half_spread_bps, volatility_bps, params,
        )  # fmt: skip
    if order_type == 0 or order_type == 2:  # MARKET, MARKET_ON_OPEN
        at_open = fill_auction(
            side, leaves_shares, 0, open_price, volume, half_spread_bps, volatility_bps, params
        )
        return all_or_none(leaves_shares, at_open) if time_in_force == 3 else at_open
    if order_type == 3:  # MARKET_ON_CLOSE
        return fill_auction(side, leaves_shares, 0, close, volume, half_spread_bps, volatility_bps, params)
    if order_type != 1 or limit_micro <= 0:
        return (0, 0)
    at_open = fill_auction(
        side, leaves_shares, limit_micro, open_price, volume, half_spread_bps, volatility_bps, params
    )
    if time_in_force == 3:
        return all_or_none(leaves_shares, at_open)
    if at_open[0] > 0 or immediate:
        return at_open
    return fill_range(side, leaves_shares, limit_micro, high, low, volume, params)
