"""Least squares with day-common shocks, day-clustered errors and a stated rule for gross outliers.

The mean is estimated, not a bounded score: costs are skewed, and Huber's estimator of a skewed law is
biased (mean 5, skew 3: -3.6). A record is excluded only when it lies further out than an exponential
tail through the sample's own quantiles could reach; it is then counted and named.

Sources: variance components and quasi-demeaning after Fuller and Battese (Journal of Econometrics 2, 1974);
errors clustered by day as the jackknife over clusters, CR3 of Cameron and Miller (Journal of Human
Resources 50, 2015, section VI).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from workbench.core.types import Booleans, Floats, Integers

#: Quantiles of |residual - median| that fix the tail; a twentieth of gross errors hardly moves them.
_BODY, _TAIL = 0.50, 0.80
#: How much longer a tail may be than its body suggests (a gamma or lognormal law of skew 3: 2.0 at most).
_LENGTH = 2.2
#: One record is gross beyond the expected maximum by this many tail lengths; a crowd is where at least so
#: many records lie and they are so many times more than the tail would put there.
_REACH, _CROWD, _RATIO = 4.0, 8, 50.0
_ROUNDS = 10


@dataclass(frozen=True, eq=False)
class Regression:
    """Coefficients with a covariance that knows about days.

    Attributes
    ----------
    coefficients : float64 (k,)
    covariance : float64 (k, k)
        Clustered by day.
    days : int
        Clusters.
    noise_variance, day_variance : float
        Of one record, and of what all records of a day share.
    residual : float64 (n,)
        Without the day's shared part.
    """

    coefficients: Floats
    covariance: Floats
    days: int
    noise_variance: float
    day_variance: float
    residual: Floats


def tail_bound(values: Floats) -> tuple[float, float]:
    """Median and the distance from it beyond which a value is a gross outlier of this sample."""
    middle = float(np.median(values))
    distance = np.sort(np.abs(values - middle))[::-1]
    body, tail = np.quantile(distance, [_BODY, _TAIL])
    length = float(tail - body) / math.log((1.0 - _BODY) / (1.0 - _TAIL)) * _LENGTH
    if length <= 0.0:  # more than half of the records are equal: nothing to measure a tail by
        return middle, math.inf
    bound = float(tail) + length * (math.log(max(len(values), 2)) + _REACH)
    beyond = np.arange(1, len(values) + 1)
    expected = len(values) * (1.0 - _TAIL) * np.exp(-np.maximum(distance - tail, 0.0) / length)
    crowd = np.flatnonzero((beyond >= _CROWD) & (beyond >= _RATIO * expected))
    if len(crowd):
        last = int(crowd[-1])  # the crowd's nearest member may be a straggler of the tail: cut at a gap
        near = np.arange((9 * last) // 10, min(last + 1, len(values) - 1))
        gap = near[np.argmax(distance[near] / np.maximum(distance[near + 1], 1e-300))] if len(near) else last
        bound = min(bound, math.nextafter(float(distance[gap]), 0.0))
    return middle, bound


def gross_outliers(design: Floats, target: Floats) -> Booleans:
    """Where a record's residual lies beyond the reach of the sample's own tail, shape (n,).

    Residuals start from the median, then come from least squares over the records kept so far, until
    nothing changes.
    """
    kept = np.ones(len(target), dtype=np.bool_)
    residual = target - np.median(target)
    for _ in range(_ROUNDS):
        middle, bound = tail_bound(residual)
        found = np.abs(residual - middle) <= bound
        if bool(np.all(found == kept)):
            break
        kept = found
        solution = np.linalg.lstsq(design[kept], target[kept], rcond=None)[0]
        residual = target - design @ solution
    return ~kept


def day_regression(design: Floats, target: Floats, day: Integers) -> Regression:
    """Generalised least squares with a shared shock a day.

    Parameters
    ----------
    design : float64 (n, k)
        Full column rank.
    target : float64 (n,)
    day : int64 (n,)
        Number of each record's day, 0 .. days - 1, each used.
    """
    count = np.bincount(day).astype(np.float64)
    days, width = len(count), design.shape[1]
    first = np.linalg.lstsq(design, target, rcond=None)[0]
    residual = target - design @ first
    noise, shared = _variances(residual, day, count, width)
    weight = 1.0 - np.sqrt(noise / (noise + count * shared)) if noise > 0.0 else np.zeros(days)
    moved_design = design - (weight / count)[day, None] * _day_sums(design, day, days)[day]
    moved_target = target - (weight / count)[day] * np.bincount(day, target, minlength=days)[day]
    gram = moved_design.T @ moved_design
    coefficients: Floats = np.linalg.solve(gram, moved_design.T @ moved_target).astype(np.float64)
    scores = _day_sums(moved_design * (moved_target - moved_design @ coefficients)[:, None], day, days)
    covariance = _at_least(
        _jackknife(gram, moved_design, scores, day), np.asarray(np.linalg.inv(gram) * noise, dtype=np.float64)
    )
    residual = target - design @ coefficients
    noise, shared = _variances(residual, day, count, width)
    mean = np.bincount(day, residual, minlength=days) / count
    pull = count * shared / (noise + count * shared) if noise > 0.0 else np.zeros(days)
    return Regression(coefficients, covariance, days, noise, shared, residual - (pull * mean)[day])


def _jackknife(gram: Floats, design: Floats, scores: Floats, day: Integers) -> Floats:
    """Covariance of the coefficients from leaving out one day after the other, shape (k, k)."""
    days, width = scores.shape
    own = np.empty((days, width, width))
    for row in range(width):
        own[:, row, :] = _day_sums(design * design[:, [row]], day, days)
    # a day may hold all that is known of a coefficient: without it the rest says nothing about that one
    change = (np.linalg.pinv(gram - own) @ scores[:, :, None])[:, :, 0]
    return np.asarray(change.T @ change * ((days - 1) / days))


def _at_least(clustered: Floats, modelled: Floats) -> Floats:
    """The clustered covariance, widened as a whole where the model's own volume is larger.

    Few days make the clustered one small by chance (Angrist and Pischke 2009, section 8.2).
    """
    sign, wanted = np.linalg.slogdet(modelled)
    own_sign, own = np.linalg.slogdet(clustered)
    if sign <= 0 or own_sign <= 0:
        return modelled
    return np.asarray(clustered * math.exp(max(wanted - own, 0.0) / len(clustered)))


def _variances(residual: Floats, day: Integers, count: Floats, width: int) -> tuple[float, float]:
    """Variance of one record and of its day's shared part, by moments; the latter at least 0."""
    total = float(residual @ residual) / max(len(residual) - width, 1)
    sums = np.bincount(day, residual, minlength=len(count))
    squares = np.bincount(day, residual**2, minlength=len(count))
    pairs = float(np.sum(count * (count - 1.0)))
    shared = float(np.sum(sums**2 - squares)) / pairs if pairs > 0.0 else 0.0
    shared = min(max(shared, 0.0), total)
    return total - shared, shared


def _day_sums(values: Floats, day: Integers, days: int) -> Floats:
    columns = [np.bincount(day, values[:, at], minlength=days) for at in range(values.shape[1])]
    return np.stack(columns, axis=1)
