"""What own orders teach about fills: slippage around the expected cost, delays, partial fills, participation.

The expected cost is that of one cost model, the very object that policy and analysis use. Around it stands
the recorded deviation: scaled by what an order is like, and by how much of it all orders of a day share.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtr

from workbench.core.canonical import canonical_json, sha256_of
from workbench.core.costs.fit import fit_cost_model
from workbench.core.costs.fitted import FittedCost
from workbench.core.costs.model import CostModel, Status, instant_ns
from workbench.core.fees import FeeSchedule
from workbench.core.fills import FillParams
from workbench.core.types import DAY_NS, Booleans, Floats
from workbench.errors import ManifestMismatch

if TYPE_CHECKING:
    import pandas as pd

FILL_MODEL_VERSION = 1
#: How many points of each recorded distribution are kept, and the least behind an order type's own rate.
POINTS, LEAST_OUTCOMES = 200, 30
_FACTS = ("adv", "volatility_bps", "half_spread_bps")
_NEEDED = ("session", "symbol", "order_type", "quantity", "filled", *_FACTS, "cost_bps", "delay_s")
_DAYS = 10
#: How far the scale may follow one fact of an order, as an exponent.
_STEEPEST = 1.5


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
        columns = {name: _numbers(orders, name) for name in ("quantity", *_FACTS)}
        mean = _mean(self.costs, orders, columns["quantity"])
        scale = np.exp(_design(columns) @ np.array(self.scale)) if self.enough else np.full(len(mean), np.nan)
        return mean, np.where(np.isnan(mean), np.nan, scale)

    def quantiles_bps(self, orders: pd.DataFrame, probabilities: Floats) -> Floats:
        """Quantiles of the trading cost before fees of each order, bps, float64 (orders, probabilities).

        Examples
        --------
        The band of 90 % is `quantiles_bps(orders, np.array([0.05, 0.95]))`.
        """
        mean, scale = self.expected_bps(orders)
        return np.asarray(mean[:, None] + scale[:, None] * quantile_of(self.deviations, probabilities))

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


def fit_fill_model(
    records: pd.DataFrame,
    *,
    as_of: object,
    min_orders: int,
    costs: CostModel | None = None,
    fees: FeeSchedule | None = None,
    source: str | None = None,
    valid_days: int = 10,
) -> FillModel:
    """The fill simulator that own orders support; too few give one whose status is "missing".

    Parameters
    ----------
    records : DataFrame
        One row an order that is over: session (ISO date), symbol, order_type, quantity (shares ordered),
        filled (shares), adv, volatility_bps, half_spread_bps, as known at the decision; cost_bps (trading
        + fees of what was filled against the arrival mid; NaN where nothing was), optional fee_bps and
        source; delay_s, seconds from sending to the first fill.
    as_of : int or datetime
        Date of the model; later records are excluded.
    min_orders : int
        Fewer usable orders with a fill, or fewer than 10 days of them, and the status is "missing".
    costs : CostModel, optional
        The expected cost; fitted to the same records when not given.
    fees : FeeSchedule, optional
        As `fit_cost_model`.
    source : {"simulated", "paper", "live"}, optional
        Provenance of the records when they have no column of that name.
    valid_days : int, default 10
        Calendar days until the model is stale.

    Raises
    ------
    ValueError
        A column is missing, provenances are mixed, or `costs` is of another provenance than the records.

    Notes
    -----
    The deviation's scale is a power of volatility, half spread and participation, by least squares of its
    logarithm; its shape is the recorded one, not a law. Realism against the market is not claimed: what
    is tested is that bands hold as often as stated on records of another generator.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> days = np.repeat(pd.bdate_range("2026-01-05", periods=20).strftime("%Y-%m-%d"), 10)
    >>> records = pd.DataFrame({"session": days, "symbol": "KO", "order_type": "market", "quantity": 100,
    ...     "filled": 100, "adv": 1e6, "volatility_bps": 150.0, "half_spread_bps": 2.0,
    ...     "cost_bps": np.tile(np.arange(10.0), 20), "delay_s": 0.2})
    >>> model = fit_fill_model(records, as_of="2026-02-02", min_orders=100)
    >>> model.status("2026-02-02"), model.quantiles_bps(records[:1], np.array([0.5])).round(1).item()
    ('ok', 4.5)
    """
    missing = [name for name in _NEEDED if name not in records.columns]
    if missing:
        raise ValueError(f"records have no column {', '.join(missing)}")
    as_of_ns = instant_ns(as_of)
    ended, excluded = _usable(records, as_of_ns)
    dealt = ended[_numbers(ended, "filled") > 0].assign(quantity=lambda frame: frame["filled"])
    model = costs or fit_cost_model(
        dealt, as_of=as_of_ns, min_fills=min_orders, fees=fees, source=source, valid_days=valid_days
    )
    named = {str(value) for value in records["source"]} if "source" in records.columns else set[str]()
    named |= {source} if source else set()
    if named - {model.source}:
        raise ValueError(f"records of {', '.join(sorted(named))} never calibrate beside {model.source} costs")
    residual = _numbers(dealt, "cost_bps") - _mean(model, dealt, _numbers(dealt, "filled"))
    residual -= _numbers(dealt, "fee_bps") if "fee_bps" in dealt.columns else 0.0
    known = np.isfinite(residual)
    dealt, residual = dealt[known], residual[known]
    sessions = int(dealt["session"].nunique())
    parts: dict[str, Any] = {"scale": (), "deviations": (), "day_share": 0.0, "delays_s": (), "outcomes": ()}
    share = _numbers(dealt, "filled") / _numbers(dealt, "adv")
    if len(dealt) >= min_orders and sessions >= _DAYS:
        parts = _parts(dealt, residual) | {"outcomes": _outcomes(ended)}
    return FillModel(
        source=model.source, costs=model, participation=_grid(np.quantile(share, 0.95)) if len(share) else 0.0,
        orders=len(ended), sessions=sessions, min_orders=int(min_orders), excluded=excluded, as_of_ns=as_of_ns,
        valid_until_ns=as_of_ns + valid_days * DAY_NS, **parts,
    )  # fmt: skip


def quantile_of(points: tuple[float, ...], probabilities: Floats) -> Floats:
    """Quantiles of a distribution that is kept as evenly spaced ones; its ends are the ends of the records."""
    held = (np.arange(len(points)) + 0.5) / max(len(points), 1)
    if not len(points):
        return np.full(np.shape(probabilities), np.nan)
    return np.interp(probabilities, held, np.array(points))


def _usable(records: pd.DataFrame, as_of_ns: int) -> tuple[pd.DataFrame, dict[str, int]]:
    """Orders that say how they ended, and the counts of the others by the first reason."""
    import pandas as pd

    day = pd.to_datetime(records["session"], errors="coerce", utc=True).dt.as_unit("ns")
    ordered, filled = _numbers(records, "quantity"), _numbers(records, "filled")
    rules: dict[str, Booleans] = {
        "no_day": day.isna().to_numpy(),
        "after_as_of": np.asarray(day.astype("int64").to_numpy() >= as_of_ns),
        "quantity_not_positive": ~(ordered > 0),
        "overfilled": ~((filled >= 0) & (filled <= ordered)),
        "missing_value": ~np.all([np.isfinite(_numbers(records, name)) for name in _FACTS], axis=0),
        "fill_without_cost": (filled > 0) & ~np.isfinite(_numbers(records, "cost_bps")),
        "negative_delay": (filled > 0) & ~(_numbers(records, "delay_s") >= 0),
    }
    kept, excluded = np.ones(len(records), dtype=np.bool_), dict[str, int]()
    for reason, found in rules.items():
        if count := int(np.sum(kept & found)):
            excluded[reason] = count
        kept &= ~found
    return records[kept], excluded


def _parts(dealt: pd.DataFrame, residual: Floats) -> dict[str, Any]:
    """Scale, shape and day share of the deviations, and the delays."""
    design = _design({n: _numbers(dealt, n) for n in ("quantity", *_FACTS)})
    size = np.log(np.maximum(np.abs(residual), 0.01))
    # a column that never varies is left at 0: its effect is in the constant
    varies = np.concatenate([[True], np.ptp(design[:, 1:], axis=0) > 1e-9])
    scale = np.zeros(design.shape[1])
    scale[varies] = np.linalg.lstsq(design[:, varies], size, rcond=None)[0]
    scale[1:] = np.clip(scale[1:], -_STEEPEST, _STEEPEST)
    scale[0] = float(np.mean(size - design[:, 1:] @ scale[1:]))
    scaled = residual / np.exp(design @ scale)
    even = (np.arange(POINTS) + 0.5) / POINTS
    return {
        "scale": tuple(_grid(value) for value in scale),
        "deviations": tuple(_grid(value) for value in np.quantile(scaled, even)),
        "day_share": _grid(_shared(scaled, dealt["session"].to_numpy())),
        "delays_s": tuple(_grid(value) for value in np.quantile(_numbers(dealt, "delay_s"), even)),
    }


def _shared(scaled: Floats, session: Any) -> float:
    """Part of the variance of normal scores that a day's orders share, by one-way analysis of variance."""
    rank = np.argsort(np.argsort(scaled, kind="stable"), kind="stable")
    from scipy.special import ndtri

    score = ndtri((rank + 0.5) / len(rank))
    _, day = np.unique(session.astype(str), return_inverse=True)
    count = np.bincount(day).astype(np.float64)
    mean = np.bincount(day, score) / count
    within = float(np.sum((score - mean[day]) ** 2)) / max(len(score) - len(count), 1)
    usual = (len(score) - float(np.sum(count**2)) / len(score)) / max(len(count) - 1, 1)
    between = float(np.sum(count * mean**2)) / max(len(count) - 1, 1)
    shared = max((between - within) / max(usual, 1e-12), 0.0)
    return min(shared / (shared + within), 0.99) if shared + within > 0 else 0.0


def _outcomes(ended: pd.DataFrame) -> tuple[Outcomes, ...]:
    types = sorted({str(word) for word in ended["order_type"]})
    parts = [("", ended), *((word, ended[ended["order_type"] == word]) for word in types)]
    found = []
    for word, part in parts:
        if word and len(part) < LEAST_OUTCOMES:
            continue
        share = _numbers(part, "filled") / _numbers(part, "quantity")
        partial = np.sort(share[share < 1.0])
        even = (np.arange(min(len(partial), POINTS)) + 0.5) / max(min(len(partial), POINTS), 1)
        fractions = tuple(_grid(value) for value in np.quantile(partial, even)) if len(partial) else ()
        rate = _grid((len(partial) + 0.5) / (len(part) + 1.0)) if len(partial) else 0.0
        found.append(Outcomes(word, len(part), rate, fractions))
    return tuple(found)


def _mean(model: CostModel, orders: pd.DataFrame, shares: Floats) -> Floats:
    """Expected cost before fees of each order; NaN where the model does not know."""
    facts = [_numbers(orders, name) for name in _FACTS]
    fitted = model.parameters
    if isinstance(fitted, FittedCost):
        return fitted.mean_and_error([str(s) for s in orders["symbol"]], shares, *facts)[0]
    adv, volatility, spread = facts
    with np.errstate(all="ignore"):
        impact = fitted.impact_coefficient * volatility * np.sqrt(shares / adv)
    return np.maximum(spread * fitted.spread_multiple, fitted.half_spread_floor_bps) + impact


def _design(columns: Mapping[str, Floats]) -> Floats:
    """A constant and the logarithms that the scale follows, (orders, 4)."""
    with np.errstate(all="ignore"):
        share = columns["quantity"] / columns["adv"]
        logs = [np.log(np.clip(v, low, None)) for v, low in (
            (columns["volatility_bps"], 1.0), (columns["half_spread_bps"], 0.1), (share, 1e-7),
        )]  # fmt: skip
    return np.stack([np.ones(len(share)), *logs], axis=1)


def normal_score(probability: float) -> float:
    """Probability of a standard normal score, kept away from 0 and 1."""
    return min(max(float(ndtr(probability)), 1e-12), 1.0 - 1e-12)


def _numbers(frame: pd.DataFrame, name: str) -> Floats:
    import pandas as pd

    return np.asarray(pd.to_numeric(frame[name], errors="coerce").to_numpy(np.float64))


def _grid(value: Any) -> float:
    """On the grid of a millionth, so that equal records give equal bytes."""
    return round(float(value), 6) + 0.0
