"""How much the rows of a sample repeat each other: integrated autocorrelation and block lengths.

An autoregression, its order chosen by the Bayesian information criterion, describes the dependence; the
bias that centring brings to short samples is mended to first order.

Sources: J. Durbin, "The Fitting of Time-Series Models", 1960 (recursion); M. Kendall, "Note on Bias in the
Estimation of Autocorrelation", Biometrika 41, 1954; D. Andrews and J. Monahan, "An Improved
Heteroskedasticity and Autocorrelation Consistent Covariance Matrix Estimator", Econometrica 60(4), 1992
(prewhitening, which the correction between blocks follows).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from workbench.core.types import Floats

_MOST_ROWS = 50_000  # dependence of short range is known well enough from so many
_LAGS = 2_000
_PERSISTENCE_LIMIT = 0.997


class Dependence(NamedTuple):
    """Autocorrelation of a stationary series, by the autoregression that was fitted.

    Attributes
    ----------
    correlation : float64 (lags,)
        Of lags 1, 2, ...; negligible after the last.
    """

    correlation: Floats

    def time(self, span: float = math.inf) -> float:
        """Variance of a mean over `span` rows, in multiples of what independent rows give."""
        lags = np.arange(1, len(self.correlation) + 1)
        weight = np.clip(1.0 - lags / span, 0.0, 1.0)
        return max(0.1, 1.0 + 2.0 * float(weight @ self.correlation))


INDEPENDENT = Dependence(np.zeros(0))


def dependence_of(reference: Floats, current: Floats) -> Dependence:
    """The dependence that two stretches of one series share, each around its own mean.

    Parameters
    ----------
    reference, current : float64 (n,), (m,)
        Rows in order of time, without missing values; of long ones the latest 50,000 rows are read.
    """
    weights = autoregression_of(reference, current)
    return Dependence(_implied_correlation(weights)) if len(weights) else INDEPENDENT


def autoregression_of(*stretches: Floats) -> Floats:
    """Coefficients of the autoregression that stretches of one series share; none when independent."""
    parts = [part[-_MOST_ROWS:] - part[-_MOST_ROWS:].mean() for part in stretches if len(part) > 2]
    rows = sum(len(part) for part in parts)
    variance = sum(float(part @ part) for part in parts)
    if rows < 20 or variance <= 0.0:
        return np.zeros(0)
    order = min(int(4.0 * (rows / 100.0) ** 0.25) + 2, rows // 10)
    acf = np.array([
        sum(float(part[lag:] @ part[:-lag]) for part in parts if len(part) > lag)
        for lag in range(1, order + 1)
    ])  # fmt: skip
    weights = _chosen_autoregression(acf / variance, rows)
    if len(weights):
        persistence = float(weights.sum())
        bias = len(parts) * max(0.0, 1.0 + 3.0 * persistence) / rows
        weights[0] += max(0.0, min(_PERSISTENCE_LIMIT, persistence + bias) - persistence)
    return weights


def _chosen_autoregression(acf: Floats, rows: int) -> Floats:
    """Coefficients of the autoregression with the least Bayesian criterion, by Durbin's recursion."""
    best, best_score = np.zeros(0), 0.0
    weights, variance = np.zeros(0), 1.0
    for order in range(1, len(acf) + 1):
        explained = float(weights @ acf[: order - 1][::-1])
        partial = min(0.999, max(-0.999, (float(acf[order - 1]) - explained) / variance))
        weights = np.append(weights - partial * weights[::-1], partial)
        variance *= 1.0 - partial * partial
        score = rows * math.log(variance) + order * math.log(rows)
        if score < best_score:
            best, best_score = weights.copy(), score
    return best


def _implied_correlation(weights: Floats) -> Floats:
    """Autocorrelations of an autoregression at lags 1, 2, ... until they are negligible."""
    order = len(weights)
    # Yule-Walker: rho_k = sum_i w_i rho_|k - i| for k = 1 .. order
    system, right = np.eye(order), weights.copy()
    for k in range(1, order + 1):
        for i in range(1, order + 1):
            if (lag := abs(k - i)) > 0:
                system[k - 1, lag - 1] -= weights[i - 1]
    start = np.linalg.solve(system, right)
    correlation = list(np.clip(start, -1.0, 1.0))
    backwards = weights[::-1]
    while len(correlation) < _LAGS:
        correlation.append(float(backwards @ np.array(correlation[-order:])))
        if max(abs(value) for value in correlation[-order:]) < 1e-4:
            break
    return np.array(correlation)
