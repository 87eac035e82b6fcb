"""What own orders teach about fills: slippage around the expected cost, delays, partial fills, participation.

The expected cost is that of one cost model, the very object that policy and analysis use. Around it stands
the recorded deviation: scaled by what an order is like, and by how much of it all orders of a day share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.canonical import canonical_json, sha256_of
from workbench.core.costs.fitted import FittedCost
from workbench.core.costs.model import CostModel, Status, instant_ns
from workbench.core.fills import FillParams
from workbench.core.types import Floats
from workbench.errors import ManifestMismatch

if TYPE_CHECKING:
    import pandas as pd

FILL_MODEL_VERSION = 1
FACTS = ("adv", "volatility_bps", "half_spread_bps")


@dataclass(frozen=True)
class Outcomes:
    """How orders of one type ended.

    Attributes
    ----------
    order_type : str
        "" = all of them.
    orders : int
    partial_rate : float
        Share that was not filled whole, drawn towards a half by one order: nothing is certain.
    fractions : tuple of float
        Filled share of those that were not filled whole, evenly spaced quantiles; empty without any.
    """

    order_type: str
    orders: int
    partial_rate: float
    fractions: tuple[float, ...]


@dataclass(frozen=True)
class FillModel:
    """A calibrated fill simulator's parameters; made by `fit_fill_model`, drawn from by `simulate_fills`.

    Attributes
    ----------
    source : str
        Provenance of the records: "simulated", "paper" or "live".
    costs : CostModel
        Expected cost of each order.
    scale : tuple of float
        Logarithm of the deviation in bps, and its exponents of volatility, half spread and participation.
    deviations : tuple of float
        Evenly spaced quantiles of the scaled deviation from the expected cost.
    day_share : float
        Part of the deviation's variance that all orders of one day share.
    delays_s : tuple of float
        Evenly spaced quantiles of the recorded seconds from sending to the first fill.
    outcomes : tuple of Outcomes
        Of all orders, then of each type with enough of them.
    participation : float
        Largest share of the volume that one order may get: the 95th percentile of the records.
    orders, sessions, min_orders : int
    excluded : mapping of str to int
        Records that were left out, by reason.
    as_of_ns, valid_until_ns : int
        UTC nanoseconds.
    """

    source: str
    costs: CostModel
    scale: tuple[float, ...]
    deviations: tuple[float, ...]
    day_share: float
    delays_s: tuple[float, ...]
    outcomes: tuple[Outcomes, ...]
    participation: float
    orders: int
    sessions: int
    min_orders: int
    excluded: Mapping[str, int]
    as_of_ns: int
    valid_until_ns: int
    model_id: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "model_id", sha256_of(self.to_manifest()))

    @property
    def enough(self) -> bool:
        """Whether there were enough orders and days to learn from."""
        return bool(self.deviations)

    @property
    def realism(self) -> str:
        """What may be said of the likeness to the market."""
        if self.source == "live":
            return "calibrated from own live fills; see the coverage of their bands"
        return f"unproven against the market: calibrated from {self.source} fills, not from own live ones"

    def status(self, now: object) -> Status:
        """Whether draws may be relied on: ok, missing, stale or out_of_bounds."""
        if not self.enough:
            return "missing"
        now_ns = instant_ns(now)
        if now_ns >= self.valid_until_ns:
            return "stale"
        return "ok" if now_ns >= self.as_of_ns and self.costs.parameters.plausible() else "out_of_bounds"

    def expected_bps(self, orders: pd.DataFrame) -> tuple[Floats, Floats]:
        """Expected trading cost before fees and the scale of its deviation, bps, each (orders,).

        Parameters
        ----------
        orders : DataFrame
            symbol, quantity (shares), adv, volatility_bps, half_spread_bps. NaN where the model does not
            know.
        """
        columns = {name: numbers(orders, name) for name in ("quantity", *FACTS)}
        mean = mean_bps(self.costs, orders, columns["quantity"])
        scale = (
            np.exp(scale_design(columns) @ np.array(self.scale))
            if self.enough
            else np.full(len(mean), np.nan)
        )
        return mean, np.where(np.isnan(mean), np.nan, scale)

    def quantiles_bps(self, orders: pd.DataFrame, probabilities: Sequence[float] | Floats) -> Floats:
        """Quantiles of the trading cost before fees of each order, bps, float64 (orders, probabilities).

        Examples
        --------
        The band of 90 % is `quantiles_bps(orders, [0.05, 0.95])`.
        """
        mean, scale = self.expected_bps(orders)
        return np.asarray(
            mean[:, None] + scale[:, None] * quantile_of(self.deviations, np.asarray(probabilities))
        )

    def outcome_of(self, order_type: str) -> Outcomes:
        """How orders of a type end; all orders where there were too few of the type."""
        return next((one for one in self.outcomes if one.order_type == order_type), self.outcomes[0])

    def params(self) -> FillParams:
        """The calibrated mean as the parameters of bar fills, for `wb.simulate(..., fills=...)`.

        Half spread and impact at the medians of the records; what the records cannot tell keeps its
        default.

        Raises
        ------
        ValueError
            There were too few records.
        """
        fitted = self.costs.parameters
        if not self.enough or not isinstance(fitted, FittedCost):
            raise ValueError("a fill model without enough records has no parameters")
        multiple = max(fitted.spread_multiple.estimate, 0.0)
        at = max(fitted.observed_participation / 2.0, 1e-9)
        impact = max(fitted.impact_coefficient.estimate, 0.0) * at ** (fitted.exponent.estimate - 0.5)
        usual = FillParams()
        return FillParams(
            participation=min(max(self.participation, 1e-6), 1.0),
            impact_coefficient=min(impact, 1_000.0),
            half_spread_floor_bps=min(usual.half_spread_floor_bps * multiple, 1_000.0),
            half_spread_range_fraction=min(usual.half_spread_range_fraction * multiple, 1.0),
        )

    def to_manifest(self) -> dict[str, Any]:
        """All that the model is, as plain values; its hash is `model_id`."""
        plain = {
            name: getattr(self, name)
            for name in (
                "source", "scale", "deviations", "day_share", "delays_s", "participation", "orders",
                "sessions", "min_orders", "as_of_ns", "valid_until_ns",
            )
        }  # fmt: skip
        return {
            "kind": "fill_model", "version": FILL_MODEL_VERSION, **plain,
            "excluded": dict(sorted(self.excluded.items())),
            "outcomes": [asdict(one) for one in self.outcomes],
            "costs": self.costs.to_manifest(), "realism": self.realism,
        }  # fmt: skip

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> FillModel:
        """The model that a manifest describes.

        Raises
        ------
        ManifestMismatch
            Not a fill model of this version, or a field is missing, unknown or absurd.
        """
        try:
            if (manifest["kind"], manifest["version"]) != ("fill_model", FILL_MODEL_VERSION):
                raise ValueError(f"kind {manifest['kind']!r}, version {manifest['version']!r}")
            plain = {k: v for k, v in manifest.items() if k not in ("kind", "version", "realism")}
            plain["costs"] = CostModel.from_manifest(manifest["costs"])
            plain["outcomes"] = tuple(
                Outcomes(**{**one, "fractions": tuple(one["fractions"])}) for one in manifest["outcomes"]
            )
            for name in ("scale", "deviations", "delays_s"):
                plain[name] = tuple(float(value) for value in manifest[name])
            model = cls(**plain)
            if canonical_json(model.to_manifest()) != canonical_json(manifest):
                raise ValueError("fields are missing or unknown")
        except (KeyError, TypeError, ValueError) as error:
            raise ManifestMismatch(
                f"the manifest does not describe a fill model: {error}",
                next_step="calibrate again: `workbench calibrate --session DATE`",
            ) from error
        return model

    def _repr_html_(self) -> str:
        if not self.enough:
            return f"fill model: <b>missing</b>, {self.orders} orders on {self.sessions} sessions"
        return (
            f"fill model <b>{self.model_id[:12]}</b> of {self.orders:,} {self.source} orders on "
            f"{self.sessions} sessions; {self.realism}"
        )


def quantile_of(points: tuple[float, ...], probabilities: Floats) -> Floats:
    """Quantiles of a distribution that is kept as evenly spaced ones; its ends are the records' ends."""
    held = (np.arange(len(points)) + 0.5) / max(len(points), 1)
    if not len(points):
        return np.full(np.shape(probabilities), np.nan)
    return np.asarray(np.interp(probabilities, held, np.array(points)), dtype=np.float64)


def mean_bps(model: CostModel, orders: pd.DataFrame, shares: Floats) -> Floats:
    """Expected cost before fees of each order; NaN where the model does not know."""
    facts = [numbers(orders, name) for name in FACTS]
    fitted = model.parameters
    if isinstance(fitted, FittedCost):
        return fitted.mean_and_error([str(s) for s in orders["symbol"]], shares, *facts)[0]
    adv, volatility, spread = facts
    with np.errstate(all="ignore"):
        impact = fitted.impact_coefficient * volatility * np.sqrt(shares / adv)
    return np.maximum(spread * fitted.spread_multiple, fitted.half_spread_floor_bps) + impact


def scale_design(columns: Mapping[str, Floats]) -> Floats:
    """A constant and the logarithms that the scale follows, (orders, 4)."""
    with np.errstate(all="ignore"):
        share = columns["quantity"] / columns["adv"]
        logs = [np.log(np.clip(v, low, None)) for v, low in (
            (columns["volatility_bps"], 1.0), (columns["half_spread_bps"], 0.1), (share, 1e-7),
        )]  # fmt: skip
    return np.stack([np.ones(len(share)), *logs], axis=1)


def normal_probability(score: float) -> float:
    """Probability of a standard normal score, kept away from 0 and 1."""
    from scipy.special import ndtr

    return min(max(float(ndtr(score)), 1e-12), 1.0 - 1e-12)


def numbers(frame: pd.DataFrame, name: str) -> Floats:
    """A column as float64, NaN where it is no number."""
    import pandas as pd

    return np.asarray(pd.to_numeric(frame[name], errors="coerce").to_numpy(np.float64))


def on_grid(value: Any) -> float:
    """On the grid of a millionth, so that equal records give equal bytes."""
    return round(float(value), 6) + 0.0
