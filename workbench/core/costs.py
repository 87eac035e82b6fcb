"""What trading costs: fees to the cent, and models of spread and impact that expire.

Costs are basis points of the traded value on a grid of 0.01, positive = cost. NaN means "not known",
and what is not known is denied by the pre-trade controls.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np

from workbench.core.canonical import sha256_of
from workbench.core.fees import FeeRates, FeeSchedule, fee_micro, require_between
from workbench.core.kernel import kernel
from workbench.core.types import DAY_NS, MICRO, Floats, Integers, Side
from workbench.errors import ManifestMismatch

__all__ = [
    "CostEstimate",
    "CostModel",
    "FeeSchedule",
    "PriorCost",
    "Status",
    "expected_cost_bps",
    "fee_micro",
    "prior",
    "round_trip_bps",
    "round_trip_floor_bps",
]

#: half spread floor bps, impact coefficient, spread multiple, upper multiple, notional cap
PriorValues: TypeAlias = tuple[float, float, float, float, float]
Status = Literal["ok", "missing", "stale", "out_of_bounds"]

MANIFEST_VERSION = 1


@kernel
def expected_cost_bps(
    side: int, shares: int, price_micro: int, adv: float, volatility_bps: float, half_spread_bps: float,
    parameters: PriorValues, rates: FeeRates,
) -> tuple[float, float, float]:  # fmt: skip
    """One-way cost of one order in bps as (mean, lower, upper); all NaN when an input is missing.

    Half spread, square-root impact (coefficient x volatility x sqrt(shares / adv)) and fees. NaN also
    above the model's notional cap: there the model does not know.

    Parameters
    ----------
    parameters : tuple of 5 float
        `PriorCost.values()`.
    """
    half_spread_floor, coefficient, spread_multiple, upper_multiple, max_notional = parameters
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
    impact = coefficient * volatility_bps * math.sqrt(shares / adv)
    fees = (fee / 1e6) / notional * 1e4
    mean = spread + impact + fees
    lower = (spread + impact) / upper_multiple + fees
    upper = (spread + impact) * upper_multiple + fees
    return (np.rint(mean * 100.0) / 100.0, np.rint(lower * 100.0) / 100.0, np.rint(upper * 100.0) / 100.0)


@kernel
def round_trip_floor_bps(
    shares: Integers, price_micro: Integers, adv: Floats, volatility_bps: Floats, half_spread_bps: Floats,
    parameters: PriorValues, rates: FeeRates, floor_bps: Floats,
) -> None:  # fmt: skip
    """Write the upper cost of buying and selling again, in bps, for every symbol of a row."""
    for i in range(shares.shape[0]):
        floor_bps[i] = round_trip_bps(
            shares[i], price_micro[i], adv[i], volatility_bps[i], half_spread_bps[i], parameters, rates
        )


@kernel
def round_trip_bps(
    shares: int, price_micro: int, adv: float, volatility_bps: float, half_spread_bps: float,
    parameters: PriorValues, rates: FeeRates,
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

    def values(self) -> PriorValues:
        """The parameters in the order that the kernels take them."""
        return (
            float(self.half_spread_floor_bps),
            float(self.impact_coefficient),
            float(self.spread_multiple),
            float(self.upper_multiple),
            float(self.max_notional_usd),
        )

    def plausible(self) -> bool:
        """Whether the parameters lie where published estimates lie."""
        return (
            0.1 <= self.half_spread_floor_bps <= 50.0
            and 0.1 <= self.impact_coefficient <= 10.0
            and 0.5 <= self.spread_multiple <= 5.0
            and self.upper_multiple <= 10.0
        )


@dataclass(frozen=True)
class CostEstimate:
    """Expected one-way cost of one order in bps of its value; all NaN when it is not known."""

    mean: float
    lower: float
    upper: float

    @property
    def known(self) -> bool:
        """Whether the model gave an answer."""
        return not math.isnan(self.mean)

    def _repr_html_(self) -> str:
        if not self.known:
            return "expected cost: <b>not known</b>"
        return f"expected cost: <b>{self.mean:.2f}</b> bps ({self.lower:.2f} to {self.upper:.2f})"


@dataclass(frozen=True)
class CostModel:
    """A cost model of stated provenance that expires; make one with `prior`.

    Attributes
    ----------
    source : str
        "prior" in this version; records calibrate only models of their own provenance.
    parameters : PriorCost
    fees : FeeSchedule
    as_of_ns, valid_until_ns : int
        UTC nanoseconds; the model answers from the first up to, not including, the second.
    """

    source: str
    parameters: PriorCost
    fees: FeeSchedule
    as_of_ns: int
    valid_until_ns: int
    model_id: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "model_id", sha256_of(self.to_manifest()))

    def expected_bps(
        self,
        symbol: str,
        side: Side | str,
        quantity: int,
        *,
        adv: float,
        volatility_bps: float,
        half_spread_bps: float,
        price: float = math.nan,
    ) -> CostEstimate:
        """Expected one-way cost of an order in bps: half spread + impact + fees.

        Parameters
        ----------
        symbol : str
            Not used by a prior, which is one for all symbols.
        side : Side or "buy" or "sell"
        quantity : int
            Whole shares, > 0.
        adv : float
            Mean daily volume, shares.
        volatility_bps : float
            Daily volatility, bps.
        half_spread_bps : float
            Half the quoted spread, bps of the mid.
        price : float
            Price per share in account currency. A prior is capped by notional, so without a price it
            does not know.

        Returns
        -------
        CostEstimate
            NaN in all parts when an input is missing, absurd or above the cap: callers deny.

        Examples
        --------
        >>> model = prior(PriorCost(), FeeSchedule(), as_of_ns=1_767_225_600_000_000_000)
        >>> facts = {"adv": 4e6, "volatility_bps": 150.0, "half_spread_bps": 1.5, "price": 200.0}
        >>> model.expected_bps("AAPL", "buy", 100, **facts)
        CostEstimate(mean=2.25, lower=1.5, upper=3.38)
        """
        sign = _side(side)
        if sign is None:
            return CostEstimate(math.nan, math.nan, math.nan)
        mean, lower, upper = expected_cost_bps(
            sign,
            _whole(quantity),
            _price_micro(price),
            float(adv),
            float(volatility_bps),
            float(half_spread_bps),
            self.parameters.values(),
            self.fees.rates(),
        )
        return CostEstimate(float(mean), float(lower), float(upper))

    def floor_bps(
        self,
        symbol: str,
        quantity: int,
        *,
        adv: float = math.nan,
        volatility_bps: float = math.nan,
        half_spread_bps: float = math.nan,
        price: float = math.nan,
    ) -> float:
        """Upper round-trip cost in bps at the intended size: the edge that a trade has to beat.

        NaN when an input is missing; parameters as in `expected_bps`.
        """
        floor = self.floor_row_bps(
            np.array([_whole(quantity)], dtype=np.int64),
            price_micro=np.array([_price_micro(price)], dtype=np.int64),
            adv_shares=np.array([adv], dtype=np.float64),
            volatility_bps=np.array([volatility_bps], dtype=np.float64),
            half_spread_bps=np.array([half_spread_bps], dtype=np.float64),
        )
        return float(floor[0])

    def floor_row_bps(
        self,
        shares: Integers,
        *,
        price_micro: Integers,
        adv_shares: Floats,
        volatility_bps: Floats,
        half_spread_bps: Floats,
    ) -> Floats:
        """`floor_bps` of a row of symbols, shape (symbols,), by the same scalar kernel."""
        floor_bps = np.empty(len(shares), dtype=np.float64)
        round_trip_floor_bps(
            shares, price_micro, adv_shares, volatility_bps, half_spread_bps,
            self.parameters.values(), self.fees.rates(), floor_bps,
        )  # fmt: skip
        return floor_bps

    def status(self, now_ns: int) -> Status:
        """Whether the model may be used: ok, missing, stale or out_of_bounds; only "ok" permits a trade.

        Parameters
        ----------
        now_ns : int
            Trading time, UTC nanoseconds. A time before the model's own date is out of bounds: a model
            cannot know the future, so a clock or a date is wrong.
        """
        if not self.source or self.as_of_ns <= 0 or self.valid_until_ns <= self.as_of_ns:
            return "missing"
        if now_ns >= self.valid_until_ns:
            return "stale"
        if now_ns < self.as_of_ns or not self.parameters.plausible():
            return "out_of_bounds"
        return "ok"

    @property
    def manifest(self) -> dict[str, Any]:
        """All that the model is, as plain values; its hash is `model_id`."""
        return self.to_manifest()

    def to_manifest(self) -> dict[str, Any]:
        """All that the model is, as plain values for a record."""
        return {
            "kind": "cost_model",
            "version": MANIFEST_VERSION,
            "source": self.source,
            "parameters": asdict(self.parameters),
            "fees": asdict(self.fees),
            "as_of_ns": self.as_of_ns,
            "valid_until_ns": self.valid_until_ns,
        }

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> CostModel:
        """The model that a manifest describes.

        Raises
        ------
        ManifestMismatch
            Not a cost model of this version, or a field is missing, unknown or absurd.
        """
        try:
            if (manifest["kind"], manifest["version"]) != ("cost_model", MANIFEST_VERSION):
                raise ValueError(f"kind {manifest['kind']!r}, version {manifest['version']!r}")
            if manifest["source"] != "prior":
                raise ValueError(f"source {manifest['source']!r}")
            model = cls(
                source=manifest["source"],
                parameters=PriorCost(**manifest["parameters"]),
                fees=FeeSchedule(**manifest["fees"]),
                as_of_ns=int(manifest["as_of_ns"]),
                valid_until_ns=int(manifest["valid_until_ns"]),
            )
            if model.to_manifest() != dict(manifest):
                raise ValueError("fields are missing or unknown")
        except (KeyError, TypeError, ValueError) as error:
            raise ManifestMismatch(
                f"the manifest does not describe a cost model: {error}",
                next_step="register the cost model again",
            ) from error
        return model


def prior(parameters: PriorCost, fees: FeeSchedule, *, as_of_ns: int) -> CostModel:
    """A prior cost model, valid for `parameters.valid_days` calendar days from `as_of_ns`.

    Parameters
    ----------
    parameters : PriorCost
    fees : FeeSchedule
    as_of_ns : int
        Date of the model, UTC nanoseconds, > 0.

    Examples
    --------
    >>> model = prior(PriorCost(valid_days=10), FeeSchedule(), as_of_ns=1_767_225_600_000_000_000)
    >>> model.status(1_767_225_600_000_000_000 + 11 * 86_400 * 10**9)
    'stale'
    """
    return CostModel("prior", parameters, fees, int(as_of_ns), int(as_of_ns) + parameters.valid_days * DAY_NS)


def _side(side: Side | str) -> int | None:
    words = {"buy": 1, "sell": -1}
    if isinstance(side, str):
        return words.get(side)
    return int(side) if side in (1, -1) else None


def _whole(quantity: float) -> int:
    # a fraction of a share or an absurd size becomes 0, which no kernel prices
    return int(quantity) if 0 < quantity < 1e12 and quantity == int(quantity) else 0


def _price_micro(price: float) -> int:
    return round(price * MICRO) if 0.0 < price < 1e9 else 0
