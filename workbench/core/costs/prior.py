"""Published, conservative costs that stand until own fills can say more, and the kernels that price a row."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import numpy as np

from workbench.core.fees import FeeRates, fee_micro, require_between
from workbench.core.kernel import kernel
from workbench.core.types import Floats, Integers

#: half spread floor bps, impact coefficient, spread multiple, upper multiple, notional cap, exponent
CostValues: TypeAlias = tuple[float, float, float, float, float, float]


@kernel
def expected_cost_bps(
    side: int,
    shares: int,
    price_micro: int,
    adv: float,
    volatility_bps: float,
    half_spread_bps: float,
    parameters: CostValues,
    rates: FeeRates,
) -> tuple[float, float, float]:
    """One-way cost of one order in bps as (mean, lower, upper); all NaN when an input is missing.

    Half spread, impact (coefficient x volatility x (shares / adv)^exponent) and fees. NaN also
    above the model's notional cap: there the model does not know.

    Parameters
    ----------
    parameters : tuple of 6 float
        `PriorCost.values()` or `FittedCost.values()`.
    """
    half_spread_floor, coefficient, spread_multiple, upper_multiple, max_notional, exponent = parameters
    unknown = (math.nan, math.nan, math.nan)
    fee = fee_micro(side, shares, price_micro, rates)
    if fee < 0:
        return unknown
    notional = float(shares) * (price_micro / 1e6)
    if not notional <= max_notional:
        return unknown
    if not (0.0 < adv < math.inf and 0.0 <= volatility_bps < 1e5 and 0.0 <= half_spread_bps < 1e5):
        return unknown
    spread = max(half_spread_bps * spread_multiple, half_spread_floor)
    share = shares / adv
    impact = coefficient * volatility_bps * (math.sqrt(share) if exponent == 0.5 else share**exponent)
    fees = (fee / 1e6) / notional * 1e4
    mean = spread + impact + fees
    lower = (spread + impact) / upper_multiple + fees
    upper = (spread + impact) * upper_multiple + fees
    return (np.rint(mean * 100.0) / 100.0, np.rint(lower * 100.0) / 100.0, np.rint(upper * 100.0) / 100.0)


@kernel
def round_trip_floor_bps(
    shares: Integers,
    price_micro: Integers,
    adv: Floats,
    volatility_bps: Floats,
    half_spread_bps: Floats,
    parameters: CostValues,
    rates: FeeRates,
    floor_bps: Floats,
) -> None:
    """Write the upper cost of buying and selling again, in bps, for every symbol of a row."""
    for i in range(shares.shape[0]):
        floor_bps[i] = round_trip_bps(
            shares[i], price_micro[i], adv[i], volatility_bps[i], half_spread_bps[i], parameters, rates
        )


@kernel
def round_trip_bps(
    shares: int, price_micro: int, adv: float, volatility_bps: float, half_spread_bps: float,
    parameters: CostValues, rates: FeeRates,
) -> float:  # fmt: skip
    """Upper cost of buying and selling again one number of shares, in bps; NaN when not known."""
    bought = expected_cost_bps(
        1, shares, price_micro, adv, volatility_bps, half_spread_bps, parameters, rates
    )
    sold = expected_cost_bps(-1, shares, price_micro, adv, volatility_bps, half_spread_bps, parameters, rates)
    return float(np.rint((bought[2] + sold[2]) * 100.0) / 100.0)


@dataclass(frozen=True)
class PriorCost:
    """Published, conservative parameters that stand until own fills can say more.

    Square-root impact with a coefficient near one is the common finding of Torre (1997), Almgren et
    al. (2005) and Toth et al. (2011) for orders of up to a few percent of the daily volume.

    Attributes
    ----------
    half_spread_floor_bps : float, default 1.0
        Half spread is never taken as less.
    impact_coefficient : float, default 1.0
        Impact in bps = coefficient x daily volatility in bps x sqrt(shares / daily volume).
    spread_multiple : float, default 1.0
        Multiple of the half spread that a marketable order pays.
    upper_multiple : float, default 1.5
        Upper estimate = this multiple of spread and impact (fees are known); lower = one over it.
    max_notional_usd : int, default 200_000
        Above it the prior does not know.
    valid_days : int, default 120
        Calendar days from its date until it is stale.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    half_spread_floor_bps: float = 1.0
    impact_coefficient: float = 1.0
    spread_multiple: float = 1.0
    upper_multiple: float = 1.5
    max_notional_usd: int = 200_000
    valid_days: int = 120

    def __post_init__(self) -> None:
        require_between("costs.half_spread_floor_bps", self.half_spread_floor_bps, 0.01, 1_000.0)
        require_between("costs.impact_coefficient", self.impact_coefficient, 1e-6, 1_000.0)
        require_between("costs.spread_multiple", self.spread_multiple, 1e-6, 1_000.0)
        require_between("costs.upper_multiple", self.upper_multiple, 1.0, 1_000.0)
        require_between("costs.max_notional_usd", self.max_notional_usd, 1, 1_000_000_000)
        require_between("costs.valid_days", self.valid_days, 1, 3_660)

    def values(self) -> CostValues:
        """The parameters in the order that the kernels take them."""
        return (
            float(self.half_spread_floor_bps),
            float(self.impact_coefficient),
            float(self.spread_multiple),
            float(self.upper_multiple),
            float(self.max_notional_usd),
            0.5,
        )

    def plausible(self) -> bool:
        """Whether the parameters lie where published estimates lie."""
        return (
            0.1 <= self.half_spread_floor_bps <= 50.0
            and 0.1 <= self.impact_coefficient <= 10.0
            and 0.5 <= self.spread_multiple <= 5.0
            and self.upper_multiple <= 10.0
        )
