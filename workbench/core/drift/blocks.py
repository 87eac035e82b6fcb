"""Blocks of rows exchanged between the samples: what the largest contrast does when nothing changed.

Both samples are cut into blocks of equal length, and blocks are dealt anew to either side, without
replacement and the same for all columns. Were the blocks independent, the test would be exact at every
size; what neighbouring blocks still share is put back by a factor from the fitted autoregression.

Sources: P. Westfall and S. Young, "Resampling-Based Multiple Testing", Wiley 1993 (largest statistic, step
down); H. Kuensch, "The Jackknife and the Bootstrap for General Stationary Observations", Annals of
Statistics 17(3), 1989 (blocks); E. Chung and J. Romano, "Exact and Asymptotically Robust Permutation
Tests", Annals of Statistics 41(2), 2013 (why a studentised exchange holds).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import special

from workbench.core.kernel import allocating_kernel
from workbench.core.types import Booleans, Floats, Integers

DEALS = 999
_CURRENT_BLOCKS = 64
_REFERENCE_BLOCKS = 320
_SEED = 20_260_801


class Blocks(NamedTuple):
    """Where blocks begin and end, in rows.

    Attributes
    ----------
    reference, current : int64 (blocks, 2)
        First row and one past the last; a long reference is represented by evenly spaced blocks.
    length : float
        Mean rows of a block.
    """

    reference: Integers
    current: Integers
    length: float


def cut_blocks(n_reference: int, n_current: int, length: int) -> Blocks:
    """Both samples in blocks of about one length, at most about 64 of the current sample.

    Longer blocks than the dependence asks for cost nothing while there are many of them.
    """
    length = max(length, n_current // _CURRENT_BLOCKS, 1)
    current = _cut(n_current, length)
    reference = _cut(n_reference, length)
    if len(reference) > _REFERENCE_BLOCKS:
        reference = reference[np.linspace(0, len(reference) - 1, _REFERENCE_BLOCKS).astype(np.int64)]
    rows = np.concatenate([reference, current])
    return Blocks(reference, current, float((rows[:, 1] - rows[:, 0]).mean()))


def _cut(rows: int, length: int) -> Integers:
    count = max(1, rows // length)
    bounds = np.linspace(0, rows, count + 1).astype(np.int64)
    return np.column_stack([bounds[:-1], bounds[1:]])


def block_counts(bins: Integers, blocks: Integers, n_bins: int) -> Floats:
    """How many rows of each block lie in each bin, float64 (blocks, bins)."""
    out = np.zeros((len(blocks), n_bins))
    _count(bins, blocks, out)
    return out


@allocating_kernel
def _count(bins: Integers, blocks: Integers, out: Floats) -> None:
    for block in range(len(blocks)):
        for row in range(blocks[block, 0], blocks[block, 1]):
            out[block, bins[row]] += 1.0


@lru_cache(maxsize=32)
def deals(n_reference: int, n_current: int) -> Floats:
    """Which blocks a deal gives to the current side: 0 or 1, float64 (999, blocks)."""
    total = n_reference + n_current
    generator = np.random.default_rng([_SEED, n_reference, n_current])
    order = generator.random((DEALS, total)).argpartition(n_current - 1, axis=1)[:, :n_current]
    chosen = np.zeros((DEALS, total))
    np.put_along_axis(chosen, order, 1.0, axis=1)
    chosen.flags.writeable = False
    return chosen


class Exchange(NamedTuple):
    """Contrasts as they are, and as they would be after every deal, in standard errors.

    Attributes
    ----------
    observed : float64 (contrasts,)
    dealt : float64 (999, contrasts)
    error : float64 (contrasts,)
        Standard error of the difference of means, dependence between blocks included.
    """

    observed: Floats
    dealt: Floats
    error: Floats


def exchange(
    sums: Floats, blocks: Blocks, difference: Floats, rows: tuple[int, int], inflation: Floats
) -> Exchange:
    """The contrasts of one feature after every deal of its blocks.

    Parameters
    ----------
    sums : float64 (blocks, contrasts)
        Block sums of centred scores: the reference's blocks, then the current ones.
    blocks : Blocks
    difference : float64 (contrasts,)
        Mean score of all current rows minus that of all reference rows.
    rows : (int, int)
        Rows of the reference and of the current sample.
    inflation : float64 (contrasts,)
        True variance of a difference over what independent blocks would give.
    """
    before, after = len(blocks.reference), len(blocks.current)
    centred = sums - sums.mean(axis=0)
    spread = np.sqrt((centred**2).sum(axis=0) / max(1, before + after - 1))
    alive = spread > 1e-12
    scale = np.where(alive, spread, 1.0)
    dealt = deals(before, after) @ (centred / scale)
    dealt *= np.where(alive, np.sqrt((before + after) / (before * after)), 0.0)
    error = scale / np.sqrt(blocks.length) * np.sqrt((1.0 / rows[0] + 1.0 / rows[1]) * inflation)
    return Exchange(np.where(alive, difference / error, 0.0), dealt, np.where(alive, error, 0.0))


def p_value(observed: float, dealt: Floats, degrees: int) -> float:
    """Share of deals that reach the observed value; beyond the largest ones, continued as Student's law.

    The continuation starts at the 98 % point of the deals. It serves to *name* features among many, where
    999 deals cannot resolve the small levels that this takes; a family decision does not depend on it.
    """
    reached = 1 + int((dealt >= observed * (1.0 - 1e-9) - 1e-12).sum())
    count = len(dealt) + 1
    if reached > 10:
        return reached / count
    start = float(np.partition(dealt, -20)[-20])
    if start <= 0.0 or observed <= start:
        return reached / count
    ratio = special.stdtr(degrees, -observed) / special.stdtr(degrees, -start)
    return float(min(reached / count, 21 / count * ratio))


def corrected_p_values(observed: Floats, dealt: Floats) -> Floats:
    """Westfall-Young p-values of several features, step down by the largest statistic.

    Parameters
    ----------
    observed : float64 (features,)
        Each in units of its own critical value, so that no feature outweighs another.
    dealt : float64 (deals, features)
        The same after every deal.

    Returns
    -------
    float64 (features,)
        The least of them decides for the family.
    """
    order = np.argsort(-observed, kind="stable")
    largest = np.maximum.accumulate(dealt[:, order[::-1]], axis=1)[:, ::-1]
    reached = 1 + (largest >= observed[order] * (1.0 - 1e-9) - 1e-12).sum(axis=0)
    values = np.empty(len(observed))
    values[order] = np.maximum.accumulate(reached / (len(dealt) + 1))
    return values


def named_by_yekutieli(p_values: Floats, alpha: float) -> Booleans:
    """Which features are named at a false discovery rate of alpha under any dependence.

    Source: Y. Benjamini and D. Yekutieli, "The Control of the False Discovery Rate in Multiple Testing under
    Dependency", Annals of Statistics 29(4), 2001.
    """
    count = len(p_values)
    harmonic = float((1.0 / np.arange(1, count + 1)).sum())
    order = np.argsort(p_values, kind="stable")
    below = p_values[order] <= alpha * np.arange(1, count + 1) / (count * harmonic)
    named = np.zeros(count, dtype=np.bool_)
    if below.any():
        named[order[: int(np.flatnonzero(below)[-1]) + 1]] = True
    return named
