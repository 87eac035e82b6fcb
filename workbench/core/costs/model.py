"""One cost model for policy, simulated fills and analysis; of stated provenance, and it expires.

Costs are basis points of the traded value on a grid of 0.01, positive = cost. NaN means "not known",
and what is not known is denied by the pre-trade controls.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np

from workbench.core.canonical import canonical_json, sha256_of
from workbench.core.costs.fitted import FittedCost
from workbench.core.costs.prior import PriorCost, expected_cost_bps, round_trip_floor_bps
from workbench.core.fees import FeeSchedule, fee_micro
from workbench.core.printing import html_table
from workbench.core.types import DAY_NS, MICRO, Floats, Integers, Side
from workbench.errors import ManifestMismatch

Status = Literal["ok", "stale", "missing", "out_of_bounds", "wrong_regime", "drifted"]
PRIOR = "prior"
#: Provenance of fills; records of one never calibrate a model of another.
SOURCES = ("simulated", "paper", "live")
MANIFEST_VERSION = 1
#: Expected cost is given with its 90 % interval; a floor is the upper 80 % bound of the round trip.
_INTERVAL, _FLOOR = 0.95, 0.80


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
    """A cost model of stated provenance that expires; make one with `prior` or `fit_cost_model`.

    Attributes
    ----------
    source : str
        "prior", or the provenance of the fills behind it: "simulated", "paper" or "live".
    parameters : PriorCost or FittedCost
    fees : FeeSchedule
    as_of_ns, valid_until_ns : int
        UTC nanoseconds; the model answers from the first up to, not including, the second.
    """

    source: str
    parameters: PriorCost | FittedCost
    fees: FeeSchedule
    as_of_ns: int
    valid_until_ns: int
    model_id: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "model_id", sha256_of(self.to_manifest()))

    def _repr_html_(self) -> str:
        days = (self.valid_until_ns - self.as_of_ns) / (86_400 * 10**9)
        facts = {"source": self.source, "id": self.model_id[:12], "valid for days": days}
        known = self.parameters._repr_html_() if isinstance(self.parameters, FittedCost) else ""
        return html_table("Cost model", facts, {"costs": "bps of the notional, fees added"}) + known

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
            Not used by a prior, which is one for all symbols; a symbol without records has the
            universe's cost, with the spread between symbols in its interval.
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
            does not know; a fitted model takes the median price of its records for the fees.

        Returns
        -------
        CostEstimate
            Mean and, of a fitted model, the 90 % interval of the mean; price improvement is negative.
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
        if isinstance(self.parameters, FittedCost):
            row = (np.array([float(value)]) for value in (adv, volatility_bps, half_spread_bps))
            return self._fitted_estimate(self.parameters, symbol, sign, _whole(quantity), price, *row)
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

        The quantity in shares, `adv` in shares a day, volatility and half spread in bps, price in currency.
        For a prior NaN when an input is missing. A fitted model takes
        the medians of its own records for what is not given, so `floor_bps(symbol, quantity)` answers.
        """
        facts = {"adv": adv, "volatility_bps": volatility_bps, "half_spread_bps": half_spread_bps}
        if isinstance(self.parameters, FittedCost):
            about = self.parameters.about(symbol)
            facts = {name: getattr(about, name) if value != value else value for name, value in facts.items()}
        floor = self.floor_row_bps(
            np.array([_whole(quantity)], dtype=np.int64),
            price_micro=np.array([_price_micro(price)], dtype=np.int64),
            adv_shares=np.array([facts["adv"]], dtype=np.float64),
            volatility_bps=np.array([facts["volatility_bps"]], dtype=np.float64),
            half_spread_bps=np.array([facts["half_spread_bps"]], dtype=np.float64),
            symbols=(symbol,),
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
        symbols: Sequence[str] = (),
    ) -> Floats:
        """`floor_bps` of a row of symbols; shares and the rest are of shape (symbols,).

        Without names all are the universe.
        """
        if isinstance(self.parameters, FittedCost):
            names = symbols or ("",) * len(shares)
            mean, error = self.parameters.mean_and_error(
                names, shares.astype(np.float64), adv_shares, volatility_bps, half_spread_bps
            )
            fees = np.array(
                [
                    sum(self._fee_bps(self.parameters, name, side, int(q), int(p)) for side in (1, -1))
                    for name, q, p in zip(names, shares, price_micro, strict=True)
                ]
            )
            # the same parameters price both ways: their errors add; a gain by trading is never assumed
            upper = 2.0 * (mean + self.parameters.quantile(_FLOOR) * error) + fees
            return np.asarray(np.rint(np.maximum(upper, 0.0) * 100.0) / 100.0)
        floor_bps = np.empty(len(shares), dtype=np.float64)
        round_trip_floor_bps(
            shares, price_micro, adv_shares, volatility_bps, half_spread_bps,
            self.parameters.values(), self.fees.rates(), floor_bps,
        )  # fmt: skip
        return floor_bps

    def status(self, now: object, *, volatility_bps: float | None = None) -> Status:
        """Whether the model may be used: only "ok" permits a trade.

        Parameters
        ----------
        now : int or datetime
            Trading time: UTC nanoseconds, or a time with a zone. A time before the model's own date is
            out of bounds: a model cannot know the future, so a clock or a date is wrong.
        volatility_bps : float, optional
            The market's present daily volatility; far from that of the records the regime is wrong.

        Returns
        -------
        str
            ok, missing (too few records), stale, out_of_bounds, wrong_regime or drifted.
        """
        now_ns = instant_ns(now)
        parameters = self.parameters
        if not self.source or self.as_of_ns <= 0 or self.valid_until_ns <= self.as_of_ns:
            return "missing"
        if isinstance(parameters, FittedCost) and not parameters.enough:
            return "missing"
        if now_ns >= self.valid_until_ns:
            return "stale"
        if now_ns < self.as_of_ns or not parameters.plausible():
            return "out_of_bounds"
        if isinstance(parameters, FittedCost):
            if parameters.drift:
                return "drifted"
            if volatility_bps is not None and not parameters.same_regime(volatility_bps):
                return "wrong_regime"
        return "ok"

    def drifted(self, why: str) -> CostModel:
        """The same model, marked as drifted with the evidence; a prior has no records to drift from.

        Raises
        ------
        ValueError
            The model is a prior, or `why` is empty.
        """
        if not isinstance(self.parameters, FittedCost) or not why:
            raise ValueError("only a fitted model drifts, and only with evidence in words")
        return replace(self, parameters=self.parameters.drifted(why))

    def _fitted_estimate(
        self, fitted: FittedCost, symbol: str, side: int, shares: int, price: float, *facts: Floats
    ) -> CostEstimate:
        means, errors = fitted.mean_and_error((symbol,), np.array([float(shares)]), *facts)
        mean = float(means[0]) + self._fee_bps(fitted, symbol, side, shares, _price_micro(price))
        reach = fitted.quantile(_INTERVAL) * float(errors[0])
        if mean != mean or reach != reach:
            return CostEstimate(math.nan, math.nan, math.nan)
        return CostEstimate(round(mean, 2), round(mean - reach, 2), round(mean + reach, 2))

    def _fee_bps(self, fitted: FittedCost, symbol: str, side: int, shares: int, price_micro: int) -> float:
        """Fees of the schedule at this price, else at the median of the records; 0 when they hold fees."""
        if not fitted.adds_fees:
            return 0.0
        price_micro = price_micro or round(fitted.about(symbol).price * MICRO)
        fee = fee_micro(side, shares, price_micro, self.fees.rates())
        return math.nan if fee < 0 else fee / (shares * price_micro) * 1e4

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
            source = manifest["source"]
            if source != PRIOR and source not in SOURCES:
                raise ValueError(f"source {source!r}")
            plain = manifest["parameters"]
            model = cls(
                source=source,
                parameters=PriorCost(**plain) if source == PRIOR else FittedCost.from_plain(plain),
                fees=FeeSchedule(**manifest["fees"]),
                as_of_ns=int(manifest["as_of_ns"]),
                valid_until_ns=int(manifest["valid_until_ns"]),
            )
            if canonical_json(model.to_manifest()) != canonical_json(manifest):
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
    return CostModel(PRIOR, parameters, fees, int(as_of_ns), int(as_of_ns) + parameters.valid_days * DAY_NS)


def instant_ns(when: object) -> int:
    """UTC nanoseconds of a whole number of them, a datetime or a timestamp with a zone.

    Raises
    ------
    ValueError
        Not a time, or a time without a zone.
    """
    if isinstance(when, (int, np.integer)) and not isinstance(when, bool):
        return int(when)
    import pandas as pd

    try:
        stamp = pd.Timestamp(when)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{when!r} is not a time: {error}") from None
    if pd.isna(stamp):
        raise ValueError(f"{when!r} is not a time")
    if stamp.tzinfo is None:
        if not isinstance(when, str) or stamp != stamp.normalize():
            raise ValueError(f"{when!r} has no time zone")
        stamp = stamp.tz_localize("UTC")  # an ISO date is its UTC midnight
    return int(stamp.as_unit("ns").value)


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
