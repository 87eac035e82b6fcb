"""Realised minus predicted cost, watched by a two-sided CUSUM whose false-alarm rate is declared.

A day is one observation: its fills share a shock, so the day's mean error is divided by what the model
says such a mean may vary. A standardised day is cut at three standard deviations: one absurd fill is one
bad day, not an alarm.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.core.costs.fitted import FittedCost
from workbench.core.costs.model import CostModel

if TYPE_CHECKING:
    import pandas as pd

#: Half the shift, in standard deviations of a day, that is found quickest.
SLACK = 0.5
#: Where a standardised day is cut.
LARGEST_SCORE = 3.0
_STATES = 160


@dataclass(frozen=True)
class DayEvidence:
    """What one session's fills cost against what was predicted for them before they were sent.

    Attributes
    ----------
    session : str
    fills : int
        Fills with a prediction and a cost.
    predicted_bps, realised_bps : float
        Means over these fills; NaN without any.
    score : float
        Realised minus predicted in standard deviations of such a day; NaN where the model states no
        noise: a prior has no records to drift from.
    """

    session: str
    fills: int
    predicted_bps: float
    realised_bps: float
    score: float


def day_evidence(records: pd.DataFrame, session: str, model: CostModel) -> DayEvidence:
    """What the records of one session say about the model that predicted them.

    Parameters
    ----------
    records : DataFrame
        As `fit_cost_model` takes them, with expected_bps, the prediction made at the decision.
    session : str
        ISO date.
    """
    day = records[records["session"] == session].dropna(subset=["cost_bps", "expected_bps"])
    if not len(day):
        return DayEvidence(session, 0, math.nan, math.nan, math.nan)
    predicted, realised = float(day["expected_bps"].mean()), float(day["cost_bps"].mean())
    score = math.nan
    if isinstance(model.parameters, FittedCost) and model.parameters.enough:
        fitted = model.parameters
        shares, adv, volatility, spread = (
            day[name].to_numpy(np.float64)
            for name in ("quantity", "adv", "volatility_bps", "half_spread_bps")
        )
        symbols = [str(symbol) for symbol in day["symbol"]]
        errors = fitted.mean_and_error(symbols, shares, adv, volatility, spread)[1]
        doubt = float(np.mean(errors))
        variance = fitted.noise_bps**2 / len(day) + fitted.day_noise_bps**2 + doubt**2
        if variance > 0.0:  # NaN fails too: what is not known is no evidence
            score = (realised - predicted) / math.sqrt(variance)
    return DayEvidence(session, len(day), predicted, realised, score)


def cusum(scores: Sequence[float]) -> float:
    """The larger of the two one-sided sums after the last score, 0 before any; NaN scores are skipped.

    Source: E. S. Page, "Continuous inspection schemes", Biometrika 41 (1954).

    Examples
    --------
    >>> cusum([2.0, 2.0, float("nan")]), cusum([-1.0, 0.0])
    (3.0, 0.0)
    """
    above = below = 0.0
    for score in scores:
        if score == score:
            held = min(max(score, -LARGEST_SCORE), LARGEST_SCORE)
            above, below = max(0.0, above + held - SLACK), max(0.0, below - held - SLACK)
    return max(above, below)


@functools.lru_cache(maxsize=8)
def cusum_threshold(*, alpha: float, horizon: int) -> float:
    """The sum that an unchanged model exceeds within `horizon` days with probability `alpha` at most.

    Parameters
    ----------
    alpha : float
        In (0, 0.5).
    horizon : int
        Days, at least 1.

    Notes
    -----
    The one-sided sum as a Markov chain on a grid; the two sides together alarm at most twice as often.
    Assumes days that are independent and near normal. Source: D. Brook and D. A. Evans, "An approach to
    the probability distribution of cusum run length", Biometrika 59 (1972).

    Examples
    --------
    >>> round(cusum_threshold(alpha=0.05, horizon=250), 1)
    7.3
    """
    if not 0.0 < alpha < 0.5 or horizon < 1:
        raise ValueError(f"alpha = {alpha!r} must lie in (0, 0.5) and horizon = {horizon!r} be at least 1")
    low, high = 0.1, 40.0
    for _ in range(20):
        middle = (low + high) / 2.0
        low, high = (middle, high) if 2.0 * _exceeds(middle, horizon) > alpha else (low, middle)
    return round(high, 4)


def _exceeds(threshold: float, horizon: int) -> float:
    """Probability that the one-sided sum of standard normals passes the threshold within the horizon."""
    from scipy.special import ndtr

    width = 2.0 * threshold / (2 * _STATES - 1)
    middle = np.arange(_STATES) * width
    reach = middle[None, :] - middle[:, None] + SLACK
    step = ndtr(reach + width / 2.0) - ndtr(reach - width / 2.0)
    step[:, 0] = ndtr(reach[:, 0] + width / 2.0)
    inside = np.zeros(_STATES)
    inside[0] = 1.0
    for _ in range(horizon):
        inside = inside @ step
    return float(1.0 - inside.sum())
