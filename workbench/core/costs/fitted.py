"""What own fills say about costs: parameters with their uncertainty, and the predictions they give."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from workbench.core.costs.prior import CostValues
from workbench.core.printing import html_table
from workbench.core.types import Floats

#: Share of the daily volume above which a fitted model does not know.
MAX_PARTICIPATION = 0.10
#: Intervals outside of these bounds altogether mean that the records or the model are wrong.
_PLAUSIBLE = {"spread_multiple": (-1.0, 10.0), "impact_coefficient": (0.0, 10.0), "exponent": (0.1, 1.2)}
#: How far the market's volatility may leave the range of the records before the regime is another one.
_REGIME_MARGIN = 2.0


@dataclass(frozen=True)
class Interval:
    """An estimate with the bounds of its 90 % interval."""

    estimate: float
    lower: float
    upper: float


@dataclass(frozen=True)
class SymbolCost:
    """What the records say about one symbol.

    Attributes
    ----------
    symbol : str
    fills : int
    level_bps, level_variance : float
        Deviation of the symbol's cost from the universe, shrunk towards 0 by how little is known.
    adv, volatility_bps, half_spread_bps, price : float
        Medians of the records: the market that `floor_bps(symbol, quantity)` assumes by default; a price
        of 0 = the records name none.
    """

    symbol: str
    fills: int
    level_bps: float
    level_variance: float
    adv: float
    volatility_bps: float
    half_spread_bps: float
    price: float


@dataclass(frozen=True)
class FittedCost:
    """Parameters of a cost model that was fitted to own fills; made by `fit_cost_model`.

    Expected cost in bps before fees = spread multiple x half spread + impact coefficient x daily
    volatility x (quantity / daily volume)^exponent + the symbol's level.

    Attributes
    ----------
    spread_multiple, impact_coefficient, exponent : Interval
        The exponent's interval is empty (both bounds its value) while it stands at its prior.
    identified : bool
        Whether the exponent was estimated; otherwise it is the stated prior.
    exponent_width : float or None
        Width of the 95 % interval that the records give the exponent; None when they say nothing.
    covariance : tuple of tuple of float
        Of spread multiple, impact coefficient and exponent (zeros while not identified).
    days, fills, symbol_count : int
        Counts behind the estimates, after exclusions.
    noise_bps, day_noise_bps, symbol_spread_bps : float
        Standard deviations: of one record, of what a day shares, between symbols.
    condition_number : float
        Of the three scaled columns; large = impact coefficient and exponent cannot be told apart.
    window_start_ns, window_end_ns : int
        First and last record, UTC nanoseconds.
    excluded : mapping of str to int
        Records that were left out, by reason.
    max_participation, observed_participation : float
        Above the first the model does not know; the second is the largest of the records.
    volatility_low_bps, volatility_high_bps : float
        Fifth and ninety-fifth percentile of the records.
    adds_fees : bool
        Whether fees were taken out of the records and are added by the schedule.
    enough : bool
        Whether there were `min_fills` records on at least ten days; otherwise the model is missing.
    min_fills : int
    records_hash : str
        Hex sha256 of the records used.
    symbols : tuple of SymbolCost
        Sorted by symbol.
    universe : SymbolCost
        Medians over all records, for a symbol without any.
    drift : str
        Why the model is known to have drifted, "" while it has not.
    """

    spread_multiple: Interval
    impact_coefficient: Interval
    exponent: Interval
    identified: bool
    exponent_width: float | None
    covariance: tuple[tuple[float, ...], ...]
    days: int
    fills: int
    symbol_count: int
    noise_bps: float
    day_noise_bps: float
    symbol_spread_bps: float
    condition_number: float | None
    window_start_ns: int
    window_end_ns: int
    excluded: Mapping[str, int]
    max_participation: float
    observed_participation: float
    volatility_low_bps: float
    volatility_high_bps: float
    adds_fees: bool
    enough: bool
    min_fills: int
    records_hash: str
    universe: SymbolCost
    symbols: tuple[SymbolCost, ...] = field(default=())
    drift: str = ""

    def _repr_html_(self) -> str:
        named = {
            "spread multiple": self.spread_multiple, "impact coefficient": self.impact_coefficient,
            "exponent": self.exponent,
        }  # fmt: skip
        facts = {name: f"{v.estimate:.4g} ({v.lower:.4g} to {v.upper:.4g})" for name, v in named.items()}
        counts = {"fills": self.fills, "days": self.days, "symbols": self.symbol_count, "enough": self.enough}
        return html_table("Fitted cost", {**facts, **counts}, {"intervals": "90 %", "costs": "bps, no fees"})

    @cached_property
    def _by_symbol(self) -> dict[str, SymbolCost]:
        return {entry.symbol: entry for entry in self.symbols}

    def about(self, symbol: str) -> SymbolCost:
        """What is known of a symbol; without records the universe, with the spread between symbols."""
        return self._by_symbol.get(symbol, self.universe)

    def mean_and_error(
        self,
        symbols: Sequence[str],
        shares: Floats,
        adv: Floats,
        volatility_bps: Floats,
        half_spread_bps: Floats,
    ) -> tuple[Floats, Floats]:
        """Expected cost before fees and its standard error in bps, each of shape (symbols,).

        All of shape (symbols,): shares of the order, `adv` in shares a day, volatility_bps a day and
        half_spread_bps. NaN where an input is missing or absurd, or the participation is beyond what the
        model knows.
        """
        entries = [self.about(symbol) for symbol in symbols]
        level = np.array([entry.level_bps for entry in entries])
        variance = np.array([entry.level_variance for entry in entries])
        with np.errstate(all="ignore"):
            share = shares / adv
            known = (shares > 0) & (adv > 0) & (share <= self.max_participation)
            known &= (volatility_bps >= 0) & (volatility_bps < 1e5)
            known &= (half_spread_bps >= 0) & (half_spread_bps < 1e5) & self.enough
            share = np.where(known, share, np.nan)
            slope = volatility_bps * share**self.exponent.estimate
            impact = self.impact_coefficient.estimate * slope
            mean = self.spread_multiple.estimate * half_spread_bps + impact + level
            gradient = np.stack([half_spread_bps, slope, impact * np.log(share)])
            spread = np.einsum("in,ij,jn->n", gradient, np.array(self.covariance), gradient)
        known &= ~np.isnan(mean)
        error = np.sqrt(np.maximum(spread, 0.0) + variance)
        return np.where(known, mean, np.nan), np.where(known, error, np.nan)

    def quantile(self, probability: float) -> float:
        """Quantile at a probability in (0, 1) of Student's law with a degree of freedom less than days."""
        from scipy.special import stdtrit

        return float(stdtrit(max(self.days - 1, 1), probability))

    def values(self) -> CostValues:
        """The universe's parameters in the order that the kernels take them, for simulations."""
        about = self.universe
        shares = np.array([max(about.adv * min(self.observed_participation, 1e-2), 1.0)])
        mean, error = self.mean_and_error(
            [""], shares, *(np.array([v]) for v in (about.adv, about.volatility_bps, about.half_spread_bps))
        )
        upper = 1.0 + self.quantile(0.8) * float(error[0]) / max(abs(float(mean[0])), 0.01)
        return (
            -1e9,
            self.impact_coefficient.estimate if self.enough else math.nan,
            self.spread_multiple.estimate,
            upper,
            1e15,
            self.exponent.estimate,
        )

    def plausible(self) -> bool:
        """Whether every parameter's interval reaches into where published estimates lie."""
        return all(
            low <= getattr(self, name).upper and getattr(self, name).lower <= high
            for name, (low, high) in _PLAUSIBLE.items()
        )

    def same_regime(self, volatility_bps: float) -> bool:
        """Whether a market of this volatility resembles that of the records; NaN does not."""
        low, high = self.volatility_low_bps / _REGIME_MARGIN, self.volatility_high_bps * _REGIME_MARGIN
        return low <= volatility_bps <= high

    def drifted(self, why: str) -> FittedCost:
        """The same parameters, marked as drifted with the evidence in words."""
        return replace(self, drift=why)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> FittedCost:
        """The parameters that a manifest holds; KeyError, TypeError or ValueError when it does not."""
        values = dict(plain)
        for name in _PLAUSIBLE:
            values[name] = Interval(**values[name])
        values["covariance"] = tuple(tuple(float(v) for v in row) for row in values["covariance"])
        values["symbols"] = tuple(SymbolCost(**entry) for entry in values["symbols"])
        values["universe"] = SymbolCost(**values["universe"])
        values["excluded"] = dict(values["excluded"])
        fitted = cls(**values)
        if np.array(fitted.covariance).shape != (3, 3):
            raise ValueError("the covariance is not 3 x 3")
        return fitted
