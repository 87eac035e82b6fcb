"""From orders that are over to a fill model: cleaned, scaled, and too few of them said so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtri

from workbench.core.costs.fit import fit_cost_model
from workbench.core.costs.model import CostModel, instant_ns
from workbench.core.fees import FeeSchedule
from workbench.core.fill_model import FACTS, FillModel, Outcomes, mean_bps, numbers, on_grid, scale_design
from workbench.core.types import DAY_NS, Booleans, Floats

if TYPE_CHECKING:
    import pandas as pd

#: How many points of each recorded distribution are kept, and the least behind an order type's own rate.
POINTS, LEAST_OUTCOMES = 200, 30
_NEEDED = ("session", "symbol", "order_type", "quantity", "filled", *FACTS, "cost_bps", "delay_s")
_DAYS = 10
#: How far the scale may follow one fact of an order, as an exponent.
_STEEPEST = 1.5


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
    dealt = ended[numbers(ended, "filled") > 0].assign(quantity=lambda frame: frame["filled"])
    model = costs or fit_cost_model(
        dealt, as_of=as_of_ns, min_fills=min_orders, fees=fees, source=source, valid_days=valid_days
    )
    named = {str(value) for value in records["source"]} if "source" in records.columns else set[str]()
    named |= {source} if source else set()
    if named - {model.source}:
        raise ValueError(f"records of {', '.join(sorted(named))} never calibrate beside {model.source} costs")
    residual = numbers(dealt, "cost_bps") - mean_bps(model, dealt, numbers(dealt, "filled"))
    residual -= numbers(dealt, "fee_bps") if "fee_bps" in dealt.columns else 0.0
    known = np.isfinite(residual)
    dealt, residual = dealt[known], residual[known]
    sessions = int(dealt["session"].nunique())
    parts: dict[str, Any] = {"scale": (), "deviations": (), "day_share": 0.0, "delays_s": (), "outcomes": ()}
    share = numbers(dealt, "filled") / numbers(dealt, "adv")
    if len(dealt) >= min_orders and sessions >= _DAYS:
        parts = _parts(dealt, residual) | {"outcomes": _outcomes(ended)}
    return FillModel(
        source=model.source, costs=model, orders=len(ended), sessions=sessions, min_orders=int(min_orders),
        participation=on_grid(np.quantile(share, 0.95)) if len(share) else 0.0, excluded=excluded,
        as_of_ns=as_of_ns, valid_until_ns=as_of_ns + valid_days * DAY_NS, **parts,
    )  # fmt: skip


def _usable(records: pd.DataFrame, as_of_ns: int) -> tuple[pd.DataFrame, dict[str, int]]:
    """Orders that say how they ended, and the counts of the others by the first reason."""
    import pandas as pd

    day = pd.to_datetime(records["session"], errors="coerce", utc=True).dt.as_unit("ns")
    ordered, filled = numbers(records, "quantity"), numbers(records, "filled")
    rules: dict[str, Booleans] = {
        "no_day": day.isna().to_numpy(),
        "after_as_of": np.asarray(day.astype("int64").to_numpy() >= as_of_ns),
        "quantity_not_positive": ~(ordered > 0),
        "overfilled": ~((filled >= 0) & (filled <= ordered)),
        "missing_value": ~np.all([np.isfinite(numbers(records, name)) for name in FACTS], axis=0),
        "fill_without_cost": (filled > 0) & ~np.isfinite(numbers(records, "cost_bps")),
        "negative_delay": (filled > 0) & ~(numbers(records, "delay_s") >= 0),
    }
    kept, excluded = np.ones(len(records), dtype=np.bool_), dict[str, int]()
    for reason, found in rules.items():
        if count := int(np.sum(kept & found)):
            excluded[reason] = count
        kept &= ~found
    return records[kept], excluded


def _parts(dealt: pd.DataFrame, residual: Floats) -> dict[str, Any]:
    """Scale, shape and day share of the deviations, and the delays."""
    design = scale_design({n: numbers(dealt, n) for n in ("quantity", *FACTS)})
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
        "scale": tuple(on_grid(value) for value in scale),
        "deviations": tuple(on_grid(value) for value in np.quantile(scaled, even)),
        "day_share": on_grid(_shared(scaled, dealt["session"].to_numpy())),
        "delays_s": tuple(on_grid(value) for value in np.quantile(numbers(dealt, "delay_s"), even)),
    }


def _shared(scaled: Floats, session: Any) -> float:
    """Part of the variance of normal scores that a day's orders share, by one-way analysis of variance."""
    rank = np.argsort(np.argsort(scaled, kind="stable"), kind="stable")
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
        share = numbers(part, "filled") / numbers(part, "quantity")
        partial = np.sort(share[share < 1.0])
        even = (np.arange(min(len(partial), POINTS)) + 0.5) / max(min(len(partial), POINTS), 1)
        fractions = tuple(on_grid(value) for value in np.quantile(partial, even)) if len(partial) else ()
        rate = on_grid((len(partial) + 0.5) / (len(part) + 1.0)) if len(partial) else 0.0
        found.append(Outcomes(word, len(part), rate, fractions))
    return tuple(found)
