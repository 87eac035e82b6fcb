"""What is left of p-values and Sharpe ratios when many were looked at."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from workbench.core.arguments import require_choice, require_finite, require_whole
from workbench.core.overfitting.estimate import Estimate
from workbench.core.types import Floats

METHODS = ("bonferroni", "holm", "bhy")


def adjust_p_values(pvalues: Any, *, method: str) -> Floats:
    """The p-values adjusted for their number, in their own order, float64 (tests,).

    Parameters
    ----------
    pvalues : sequence of float
        Of all tests, each from 0 to 1; not only of those that look well.
    method : {"bonferroni", "holm", "bhy"}
        "bonferroni" and "holm" hold the chance of any false discovery under any dependence;
        "bhy" (Benjamini, Hochberg and Yekutieli) holds the expected share of false discoveries under any
        dependence.

    Raises
    ------
    ValueError
        No p-value, one that is missing or outside of 0 to 1, or an unknown method.

    Notes
    -----
    Sources: S. Holm, Scandinavian Journal of Statistics 6(2), 1979; Y. Benjamini and D. Yekutieli, Annals of
    Statistics 29(4), 2001, theorem 1.3.

    Examples
    --------
    >>> import workbench as wb
    >>> found = [0.005, 0.009, 0.0128, 0.0135, 0.045, 0.06]
    >>> int((wb.overfitting.adjust_p_values(found, method="holm") <= 0.05).sum())
    2
    """
    values = np.asarray(pvalues, dtype=np.float64)
    require_choice("method", method, METHODS)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"p-values must be one sequence of at least one, not shape {values.shape}")
    if not np.all((values >= 0.0) & (values <= 1.0)):
        at = int(np.nonzero(~((values >= 0.0) & (values <= 1.0)))[0][0])
        raise ValueError(f"p-value {at} is {values[at]}, not a number from 0 to 1")
    n = len(values)
    order = np.argsort(values, kind="stable")
    place = np.arange(1, n + 1)
    if method == "bonferroni":
        ordered = values[order] * n
    elif method == "holm":
        ordered = np.maximum.accumulate(values[order] * (n - place + 1))
    else:
        ordered = np.minimum.accumulate((values[order] * n * _harmonic(n) / place)[::-1])[::-1]
    adjusted = np.empty(n)
    adjusted[order] = np.minimum(ordered, 1.0)
    return adjusted


def haircut_sharpe(
    *,
    sharpe: float,
    n_obs: int,
    n_trials: int,
    method: str,
    periods_per_year: float,
    other_p_values: Any = None,
    distribution: str = "t",
) -> Estimate:
    """The annual Sharpe ratio that would have been as significant had it been the only trial.

    Parameters
    ----------
    sharpe : float
        Annualised with sqrt(periods_per_year); give periods_per_year = 1 for one per period.
    n_obs : int
        Returns that it was measured on, at least 2.
    n_trials : int
        All trials, this one included, at least 1.
    method : {"bonferroni", "holm", "bhy"}
    periods_per_year : float
        Returns in a year.
    other_p_values : sequence of float or None, default None
        p-values of the other trials. Holm and BHY act on the whole vector. Without it this trial counts
        as the best of `n_trials` and the others as worthless (p = 1), which is never milder.
    distribution : {"t", "normal"}
        Of the ratio times sqrt(n_obs) when there is no skill; "t" has n_obs - 1 degrees of freedom.

    Returns
    -------
    Estimate
        Annualised, 0 when nothing is left; parts `haircut` (share lost), `p_value`, `adjusted_p_value`.

    Raises
    ------
    ValueError
        A number that is not finite or too small, an unknown method, or other p-values that are not
        n_trials - 1 in number.

    Notes
    -----
    Two-sided p. Source: C. Harvey and Y. Liu, "Backtesting", Journal of Portfolio Management 42(1), 2015;
    the vector of other p-values is given, not simulated from a model of the literature.

    Examples
    --------
    >>> import workbench as wb
    >>> left = wb.overfitting.haircut_sharpe(sharpe=0.75, n_obs=240, n_trials=200, method="bonferroni",
    ...     periods_per_year=12)
    >>> round(left, 2), round(left.haircut, 2)
    (0.3, 0.6)
    """
    from scipy.special import ndtr, ndtri, stdtr, stdtrit

    require_choice("method", method, METHODS)
    require_choice("distribution", distribution, ("t", "normal"))
    require_whole("n_obs", n_obs, 2)
    require_whole("n_trials", n_trials, 1)
    require_finite(sharpe=sharpe, periods_per_year=periods_per_year)
    if not periods_per_year > 0.0:
        raise ValueError(f"periods_per_year = {periods_per_year} must be greater than 0")
    scale = math.sqrt(n_obs / periods_per_year)
    student = distribution == "t"
    score = -abs(sharpe) * scale
    p_value = 2.0 * float(stdtr(n_obs - 1, score) if student else ndtr(score))
    others = np.ones(n_trials - 1) if other_p_values is None else np.asarray(other_p_values, dtype=np.float64)
    if others.shape != (n_trials - 1,):
        raise ValueError(f"{n_trials} trials have {n_trials - 1} other p-values, not shape {others.shape}")
    adjusted = float(adjust_p_values(np.concatenate([[p_value], others]), method=method)[0])
    # the lower tail, not 1 - p: a small p would be lost in the rounding of one
    kept = adjusted / 2.0
    left = 0.0 if adjusted >= 1.0 else -float(stdtrit(n_obs - 1, kept) if student else ndtri(kept)) / scale
    left = math.copysign(min(left, abs(sharpe)), sharpe)
    return Estimate(
        left,
        name="Haircut Sharpe ratio, annualised",
        conventions={
            "method": method,
            "trials": n_trials,
            "periods a year": periods_per_year,
            "p-value": "two-sided, " + ("Student's t with n - 1 degrees of freedom" if student else "normal"),
            "other trials": "taken as p = 1" if other_p_values is None else "their p-values were given",
        },
        parts={
            "haircut": 1.0 - left / sharpe if sharpe else 0.0,
            "p_value": p_value,
            "adjusted_p_value": adjusted,
        },
    )


def _harmonic(n: int) -> float:
    return math.fsum(1.0 / at for at in range(1, n + 1))
