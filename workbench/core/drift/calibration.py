"""The threshold at which a detector alarms with probability alpha within a horizon of unchanged updates."""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from workbench.core.drift.dependence import autoregression_of, dependence_of
from workbench.core.drift.paths import METHODS, Unsigned, statistic_path
from workbench.core.drift.standardise import EDGES, rescore
from workbench.core.kernel import allocating_kernel
from workbench.core.types import Floats, Integers

PATHS = 999
_BURN_IN = 100


def largest_statistics(
    method: str, scores: Floats, *, horizon: int, block_length: int | None, seed: int
) -> Floats:
    """The largest statistic within the horizon on each of 999 unchanged streams, upwards.

    Each stream comes with a reference of its own, both drawn from the given reference: its autoregression
    is driven by its residuals, which are drawn in blocks. So the threshold knows that the reference is a
    sample too: a chart whose reference of 100 rows is taken for the truth alarms in 18 of 100 horizons
    where 5 are meant.

    Parameters
    ----------
    method : {"adwin", "page_hinkley", "kswin", "cusum"}
    scores : float64 (n,)
        Normal scores of the reference, in order of time.
    horizon : int
        Updates.
    block_length : int or None
        Rows a block; None = two integrated autocorrelation times of the squared residuals.
    seed : int
    """
    weights = autoregression_of(scores)
    residuals = _residuals(scores, weights)
    if block_length is None:
        squares = dependence_of(residuals**2, np.zeros(0))
        block_length = max(1, math.ceil(2.0 * squares.time())) if squares.time() > 1.02 else 1
    burn_in = _BURN_IN if len(weights) else 0
    blocks = -(-(burn_in + len(scores) + horizon) // block_length)
    starts = np.random.default_rng(seed).integers(0, len(residuals), (PATHS, blocks))
    found = np.empty(PATHS)
    ranks = special.ndtri(np.arange(1, 2 * len(scores) + 2) / (2 * len(scores) + 2))
    state = np.array([seed], dtype=np.uint64)
    drawn = (residuals, weights, starts, block_length, burn_in)
    _simulate(METHODS.index(method), *drawn, len(scores), horizon, ranks, state, found)
    return np.sort(found)


def threshold_of(largest: Floats, alpha: float) -> float:
    """What no more than alpha of the sorted values exceed, with the value itself counted among them."""
    return float(largest[min(len(largest), math.ceil((1.0 - alpha) * (len(largest) + 1))) - 1])


def _residuals(scores: Floats, weights: Floats) -> Floats:
    if not len(weights):
        return scores
    order = len(weights)
    fitted = sum(weight * scores[order - lag : len(scores) - lag] for lag, weight in enumerate(weights, 1))
    residuals = scores[order:] - fitted
    return np.asarray(residuals - residuals.mean())


@allocating_kernel
def _drive(residuals: Floats, weights: Floats, starts: Integers, block_length: int, path: Floats) -> None:
    """The autoregression driven by blocks of residuals, which wrap around."""
    for row in range(len(path)):
        place = (starts[row // block_length] + row % block_length) % len(residuals)
        value = residuals[place]
        for lag in range(len(weights)):
            if row > lag:
                value += weights[lag] * path[row - lag - 1]
        path[row] = value


@allocating_kernel
def _simulate(
    method: int, residuals: Floats, weights: Floats, starts: Integers, block_length: int, burn_in: int,
    rows: int, horizon: int, ranks: Floats, state: Unsigned, found: Floats,
) -> None:  # fmt: skip
    """The largest statistic of each path: a reference is drawn, then a stream, scored by that reference."""
    path = np.empty(burn_in + rows + horizon)
    stream, out = np.empty(horizon), np.empty(horizon)
    for number in range(len(found)):
        _drive(residuals, weights, starts[number], block_length, path)
        edges, scores = _scores_of(np.sort(path[burn_in : burn_in + rows]), ranks)
        rescore(path[burn_in + rows :], edges, scores, stream)
        statistic_path(method, stream, state, out)
        found[number] = out.max()


@allocating_kernel
def _scores_of(ordered: Floats, ranks: Floats) -> tuple[Floats, Floats]:
    """Edges and scores of a sorted reference, as `NormalScores.of` finds them; ranks in half steps."""
    rows = len(ordered)
    count = min(EDGES, rows)
    edges, scores = np.empty(count), np.empty(count + 1)
    kept = below = 0
    for k in range(count):
        place = (k * (rows - 1)) // max(1, count - 1)
        if kept and ordered[place] == edges[kept - 1]:
            continue
        edges[kept] = ordered[place]
        through = np.searchsorted(ordered, edges[kept], side="right")
        scores[kept] = ranks[through + below]
        below = through
        kept += 1
    scores[kept] = ranks[rows + below]
    return edges[:kept], scores[: kept + 1]
