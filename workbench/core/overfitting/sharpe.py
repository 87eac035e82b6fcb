"""How sure one can be of a Sharpe ratio: of one record, of the best of many, and over longer periods.

Sharpe ratios here are per period (one return), never annualised, unless a name says otherwise. Kurtosis
is not excess: 3 for a normal distribution.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np

from workbench.core.arguments import require_finite, require_whole
from workbench.core.overfitting.estimate import Estimate
from workbench.core.printing import html_table
from workbench.core.types import Floats

EULER_MASCHERONI = 0.577215664901532860606512090082
_NORMAL = NormalDist()
_RATIO = "per period, n - 1 in the variance"
_KURTOSIS = "not excess (normal = 3)"


class SharpeMoments(NamedTuple):
    """What the estimates below need of a series of returns.

    Attributes
    ----------
    sharpe : float
        Mean over sample deviation (n - 1), per period.
    n_obs : int
    skew, kurtosis : float
        Third and fourth standardised moment with n in the variance; kurtosis not excess.
    """

    sharpe: float
    n_obs: int
    skew: float
    kurtosis: float

    def _repr_html_(self) -> str:
        conventions = {"Sharpe ratio": "per period", "deviation": "n - 1", "kurtosis": "not excess"}
        return html_table("Moments of returns", self._asdict(), conventions)


def sharpe_moments(returns: Any) -> SharpeMoments:
    """Sharpe ratio per period and the moments that its uncertainty depends on.

    Parameters
    ----------
    returns : array or Series (rows,)
        Returns net of whatever they are to be judged net of, as fractions.

    Raises
    ------
    ValueError
        Fewer than four returns, a missing one, or returns that never vary.

    Examples
    --------
    >>> import workbench as wb
    >>> wb.overfitting.sharpe_moments([0.01, -0.01, 0.02, 0.0]).n_obs
    4
    """
    values = np.asarray(returns, dtype=np.float64)
    if values.ndim != 1 or len(values) < 4:
        raise ValueError(f"at least four returns of one series are needed, not shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"row {int(np.nonzero(~np.isfinite(values))[0][0])} of the returns is missing")
    if values.min() == values.max():
        raise ValueError("returns that never vary have no Sharpe ratio")
    away = values - values.mean()
    variance = float(np.mean(away * away))
    n = len(values)
    return SharpeMoments(
        float(values.mean()) / math.sqrt(variance * n / (n - 1)),
        n,
        float(np.mean(away**3)) / variance**1.5,
        float(np.mean(away**4)) / variance**2,
    )


def probabilistic_sharpe_ratio(
    *, sharpe: float, n_obs: int, skew: float, kurtosis: float, benchmark: float = 0.0
) -> Estimate:
    """Probability that the true Sharpe ratio exceeds the benchmark, given the one that was measured.

    Parameters
    ----------
    sharpe, benchmark : float
        Per period, not annualised.
    n_obs : int
        Returns that the ratio was measured on, at least 2.
    skew, kurtosis : float
        Of the returns; kurtosis not excess, at least 1.

    Raises
    ------
    ValueError
        Something is not finite, too few observations, or moments that no distribution has.

    Notes
    -----
    Assumes independent returns. Source: D. Bailey and M. López de Prado, "The Sharpe Ratio Efficient
    Frontier", Journal of Risk 15(2), 2012, equation 8.

    Examples
    --------
    >>> import workbench as wb
    >>> round(wb.overfitting.probabilistic_sharpe_ratio(sharpe=0.458, n_obs=24, skew=0.0, kurtosis=3.0), 4)
    0.9817
    """
    spread = _spread(sharpe, skew, kurtosis)
    require_finite(benchmark=benchmark)
    require_whole("n_obs", n_obs, 2)
    score = (sharpe - benchmark) * math.sqrt(n_obs - 1) / spread
    return Estimate(
        _NORMAL.cdf(score),
        name="Probabilistic Sharpe ratio",
        conventions={"Sharpe": _RATIO, "kurtosis": _KURTOSIS, "root": "n - 1", "benchmark": benchmark},
        parts={"score": score},
    )


def expected_maximum(n_trials: float) -> float:
    """Expected largest of independent standard normal draws, in deviations; 0 for one, never less.

    Source: D. Bailey and M. López de Prado, "The Deflated Sharpe Ratio", Journal of Portfolio Management
    40(5), 2014, equation 1; an approximation for many draws.

    Parameters
    ----------
    n_trials : float
        Number of draws, 1 or more; a number of independent trials that was estimated need not be whole.

    Raises
    ------
    ValueError
        Fewer than one trial.

    Examples
    --------
    >>> import workbench as wb
    >>> [round(wb.overfitting.expected_maximum(n), 2) for n in (10, 100, 1000)]
    [1.57, 2.53, 3.26]
    """
    require_finite(n_trials=n_trials)
    if n_trials < 1:
        raise ValueError(f"n_trials = {n_trials}: what was measured is a trial, so there is at least one")
    if n_trials == 1:
        return 0.0
    high = _NORMAL.inv_cdf(1.0 - 1.0 / n_trials)
    higher = _NORMAL.inv_cdf(1.0 - 1.0 / (n_trials * math.e))
    return max(0.0, (1.0 - EULER_MASCHERONI) * high + EULER_MASCHERONI * higher)


def deflated_sharpe_ratio(
    *,
    sharpe: float,
    n_obs: int,
    skew: float,
    kurtosis: float,
    n_trials: float,
    trial_sharpe_variance: float,
) -> Estimate:
    """Probability that the true Sharpe ratio exceeds what the best of so many useless trials would show.

    Parameters
    ----------
    sharpe, n_obs, skew, kurtosis
        Of the chosen trial, as in `probabilistic_sharpe_ratio`.
    n_trials : float
        Independent trials, at least 1. From the trial ledger, never from memory.
    trial_sharpe_variance : float
        Variance over the trials of their Sharpe ratios *per period*: an annual variance divided by the
        periods a year.

    Raises
    ------
    ValueError
        As in `probabilistic_sharpe_ratio`; fewer than one trial; a negative variance.

    Notes
    -----
    Source: Bailey and López de Prado (2014), "The Deflated Sharpe Ratio", Journal of Portfolio Management
    40(5), equations 1 and 2. With one trial the threshold is 0.

    Examples
    --------
    >>> import workbench as wb
    >>> round(wb.overfitting.deflated_sharpe_ratio(sharpe=2.5 / 250**0.5, n_obs=1250, skew=-3.0,
    ...     kurtosis=10.0, n_trials=100, trial_sharpe_variance=0.5 / 250), 4)
    0.9004
    """
    require_finite(trial_sharpe_variance=trial_sharpe_variance)
    if trial_sharpe_variance < 0.0:
        raise ValueError(f"trial_sharpe_variance = {trial_sharpe_variance} is negative")
    threshold = math.sqrt(trial_sharpe_variance) * expected_maximum(n_trials)
    found = probabilistic_sharpe_ratio(
        sharpe=sharpe, n_obs=n_obs, skew=skew, kurtosis=kurtosis, benchmark=threshold
    )
    return Estimate(
        float(found),
        name="Deflated Sharpe ratio",
        conventions={
            "Sharpe": _RATIO,
            "kurtosis": _KURTOSIS,
            "root": "n - 1",
            "trials": n_trials,
            "variance of the trials' Sharpe": f"{trial_sharpe_variance:.6g} per period",
            "threshold with one trial": "0",
        },
        parts={"threshold": threshold, "score": found.score},
    )


def minimum_track_record_length(
    *, sharpe: float, benchmark: float, skew: float, kurtosis: float, confidence: float
) -> Estimate:
    """Observations needed before the true Sharpe ratio exceeds the benchmark with the given confidence.

    Parameters
    ----------
    sharpe, benchmark : float
        Per period, not annualised.
    skew, kurtosis : float
        Kurtosis not excess.
    confidence : float
        Between .5 and 1, such as .95.

    Returns
    -------
    Estimate
        In observations; infinite when the ratio does not exceed the benchmark.

    Raises
    ------
    ValueError
        Something is not finite, a confidence outside of (.5, 1), or impossible moments.

    Notes
    -----
    Source: Bailey and López de Prado (2012), "The Sharpe Ratio Efficient Frontier", equation 11.

    Examples
    --------
    >>> import workbench as wb
    >>> days = wb.overfitting.minimum_track_record_length(sharpe=2 / 250**0.5, benchmark=1 / 250**0.5,
    ...     skew=0.0, kurtosis=3.0, confidence=0.95)
    >>> round(days / 250, 3)
    2.731
    """
    spread = _spread(sharpe, skew, kurtosis)
    require_finite(benchmark=benchmark, confidence=confidence)
    if not 0.5 < confidence < 1.0:
        raise ValueError(f"confidence = {confidence} must lie between .5 and 1")
    edge = sharpe - benchmark
    length = 1.0 + (spread * _NORMAL.inv_cdf(confidence) / edge) ** 2 if edge > 0.0 else math.inf
    return Estimate(
        length,
        name="Minimum track record length, observations",
        conventions={
            "Sharpe": _RATIO,
            "kurtosis": _KURTOSIS,
            "benchmark": benchmark,
            "confidence": f"{confidence} one-sided",
        },
    )


def minimum_backtest_length(*, n_trials: float, expected_max_sharpe: float = 1.0) -> Estimate:
    """Years below which the best of so many useless trials is expected to show the given annual Sharpe.

    Parameters
    ----------
    n_trials : float
        Independent trials, at least 1.
    expected_max_sharpe : float, default 1.0
        Annualised, > 0.

    Raises
    ------
    ValueError
        Fewer than one trial, or a ratio that is not positive.

    Notes
    -----
    Source: D. Bailey, J. Borwein, M. López de Prado, Q. Zhu, "Pseudo-Mathematics and Financial
    Charlatanism", Notices of the AMS 61(5), 2014, theorem 2 (the estimate, not its upper bound).

    Examples
    --------
    >>> import workbench as wb
    >>> round(wb.overfitting.minimum_backtest_length(n_trials=45), 3)
    4.998
    """
    require_finite(expected_max_sharpe=expected_max_sharpe)
    if not expected_max_sharpe > 0.0:
        raise ValueError(f"expected_max_sharpe = {expected_max_sharpe} must be greater than 0")
    return Estimate(
        (expected_maximum(n_trials) / expected_max_sharpe) ** 2,
        name="Minimum backtest length, years",
        conventions={"trials": n_trials, "expected largest Sharpe": f"{expected_max_sharpe} a year"},
    )


def autocorrelations(returns: Any, *, lags: int) -> Floats:
    """Autocorrelation of the returns at lags 1 to `lags`, float64 (lags,); one variance for all lags.

    Raises
    ------
    ValueError
        A missing return, returns that never vary, or as many lags as returns.

    Examples
    --------
    >>> import workbench as wb
    >>> wb.overfitting.autocorrelations([1.0, -1.0] * 50, lags=2).round(2).tolist()
    [-0.99, 0.98]
    """
    moments, values = sharpe_moments(returns), np.asarray(returns, dtype=np.float64)
    require_whole("lags", lags, 1)
    if lags >= moments.n_obs:
        raise ValueError(f"{moments.n_obs} returns have no autocorrelation at lag {lags}")
    away = values - values.mean()
    variance = float(np.sum(away * away))
    return np.array([float(np.sum(away[lag:] * away[:-lag])) / variance for lag in range(1, lags + 1)])


def annualised_sharpe(
    *, sharpe: float, periods_per_year: int, autocorrelations: Sequence[float] | Floats
) -> Estimate:
    """Annual Sharpe ratio of autocorrelated returns; independent ones would give sqrt(periods) times it.

    Parameters
    ----------
    sharpe : float
        Per period.
    periods_per_year : int
        Returns in a year, such as 252.
    autocorrelations : sequence of float
        At lags 1, 2, ...; those not given count as 0. Empty = independent returns. No default: the usual
        square root is an assumption, and momentum breaks it upwards.

    Raises
    ------
    ValueError
        Something is not finite, a correlation beyond 1, or correlations under which a year has no
        positive variance.

    Notes
    -----
    Source: A. Lo, "The Statistics of Sharpe Ratios", Financial Analysts Journal 58(4), 2002, equation 20:
    eta(q) = q / sqrt(q + 2 sum_{k<q} (q - k) rho_k).

    Examples
    --------
    >>> import workbench as wb
    >>> round(wb.overfitting.annualised_sharpe(sharpe=0.1, periods_per_year=4, autocorrelations=[0.5]), 4)
    0.1512
    """
    rho = np.asarray(autocorrelations, dtype=np.float64)
    require_finite(sharpe=sharpe)
    require_whole("periods_per_year", periods_per_year, 1)
    if rho.ndim != 1 or not np.all(np.abs(rho) <= 1.0):
        raise ValueError("autocorrelations must be numbers from -1 to 1, one for each lag")
    rho = rho[: periods_per_year - 1]
    lag = np.arange(1, len(rho) + 1)
    variance = periods_per_year + 2.0 * math.fsum((periods_per_year - lag) * rho)
    if not variance > 0.0:
        raise ValueError("under these autocorrelations a year's return has no positive variance")
    factor = periods_per_year / math.sqrt(variance)
    return Estimate(
        factor * sharpe,
        name="Annualised Sharpe ratio",
        conventions={
            "periods a year": periods_per_year,
            "autocorrelation": f"{len(rho)} lags (Lo 2002)" if len(rho) else "independent returns",
        },
        parts={"factor": factor},
    )


def _spread(sharpe: float, skew: float, kurtosis: float) -> float:
    """Deviation of the Sharpe estimate times sqrt(n - 1)."""
    require_finite(sharpe=sharpe, skew=skew, kurtosis=kurtosis)
    variance = 1.0 - skew * sharpe + 0.25 * (kurtosis - 1.0) * sharpe * sharpe
    if kurtosis < 1.0 or not variance > 0.0:
        raise ValueError(
            f"kurtosis {kurtosis} with skew {skew} belongs to no distribution (kurtosis is not excess here: "
            "that of a normal distribution is 3)"
        )
    return math.sqrt(variance)
