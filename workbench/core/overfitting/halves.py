"""The compiled heart of cross-validation by symmetric combinations: every half judged once.

Sums over a half are one addition: the blocks are cut in two groups, and the sums of every subset of a
group are tabled first. A half and its complement are done together, as what is in sample for one is out
of sample for the other.
"""

from __future__ import annotations

import math

import numpy as np

from workbench.core.kernel import kernel
from workbench.core.types import Floats, Integers

#: Rows of the kernel's output.
IN_SAMPLE, OUT_OF_SAMPLE, BELOW, EQUAL, MEAN_OUT_OF_SAMPLE, SELECTED = range(6)
OUTPUTS = 6


@kernel
def _measure(
    first: Floats,
    second: Floats,
    first_squares: Floats,
    second_squares: Floats,
    mean: Floats,
    rows: float,
    sharpe: bool,
    out: Floats,
) -> None:
    """Mean, or Sharpe ratio, of every trial over one half; sums are of what lies around `mean`."""
    share = 1.0 / rows
    if not sharpe:
        for j in range(out.shape[0]):
            out[j] = (first[j] + second[j]) * share
        return
    spread = 1.0 / (rows - 1.0)
    for j in range(out.shape[0]):
        total = first[j] + second[j]
        away = total * share
        variance = (first_squares[j] + second_squares[j] - total * away) * spread
        out[j] = (mean[j] + away) / math.sqrt(variance)


@kernel
def _best_and_mean(values: Floats) -> tuple[int, float]:
    """Position of the largest value, the first on ties, and the mean; in four lanes, in a fixed order."""
    n = values.shape[0]
    whole = n - n % 4
    top0 = top1 = top2 = top3 = -math.inf
    sum0 = sum1 = sum2 = sum3 = 0.0
    for j in range(0, whole, 4):
        sum0 += values[j]
        sum1 += values[j + 1]
        sum2 += values[j + 2]
        sum3 += values[j + 3]
        top0 = values[j] if values[j] > top0 else top0
        top1 = values[j + 1] if values[j + 1] > top1 else top1
        top2 = values[j + 2] if values[j + 2] > top2 else top2
        top3 = values[j + 3] if values[j + 3] > top3 else top3
    top = max(max(top0, top1), max(top2, top3))
    total = (sum0 + sum1) + (sum2 + sum3)
    for j in range(whole, n):
        total += values[j]
        top = max(top, values[j])
    at = 0
    while at < n - 1 and values[at] != top:
        at += 1
    return at, total / n


@kernel
def _below_and_equal(values: Floats, value: float) -> tuple[int, int]:
    below = 0
    equal = 0
    for j in range(values.shape[0]):
        below += values[j] < value
        equal += values[j] == value
    return below, equal


@kernel
def _record(inside: Floats, outside: Floats, at: int, mean_outside: float, column: int, out: Floats) -> None:
    below, equal = _below_and_equal(outside, outside[at])
    out[0, column] = inside[at]
    out[1, column] = outside[at]
    out[2, column] = below
    out[3, column] = equal
    out[4, column] = mean_outside
    out[5, column] = at


@kernel
def _judge_halves(
    sums: Floats,
    other_sums: Floats,
    squares: Floats,
    other_squares: Floats,
    mean: Floats,
    rows: float,
    sharpe: bool,
    pairs: Integers,
    one: Floats,
    two: Floats,
    out: Floats,
) -> None:
    """Judge every half of `pairs` and its complement, which stands at the mirrored column of `out`."""
    last, other_last = sums.shape[0] - 1, other_sums.shape[0] - 1
    columns = out.shape[1]
    for p in range(pairs.shape[0]):
        a, b = pairs[p, 0], pairs[p, 1]
        c, d = last - a, other_last - b
        _measure(sums[a], other_sums[b], squares[a], other_squares[b], mean, rows, sharpe, one)
        _measure(sums[c], other_sums[d], squares[c], other_squares[d], mean, rows, sharpe, two)
        best_one, mean_one = _best_and_mean(one)
        best_two, mean_two = _best_and_mean(two)
        _record(one, two, best_one, mean_two, p, out)
        _record(two, one, best_two, mean_one, columns - 1 - p, out)


def judge_halves(
    block_sums: Floats, block_squares: Floats, mean: Floats, rows: int, *, sharpe: bool
) -> Floats:
    """What the winner of every half did in the other half, float64 (6, halves).

    Parameters
    ----------
    block_sums, block_squares : float64 (blocks, trials)
        Sums over each block of the returns around `mean`, and of their squares.
    mean : float64 (trials,)
    rows : int
        Rows in one half.
    sharpe : bool
        Sharpe ratio with n - 1 in the variance, else mean.

    Returns
    -------
    float64 (6, halves)
        The winner's value in sample and out of sample, how many trials lie below it and at it out of
        sample, the mean over all trials out of sample, and the winner's column. Halves stand in
        lexicographic order of their in-sample blocks.
    """
    blocks, trials = block_sums.shape
    group = blocks // 2
    sums, other_sums = _subset_sums(block_sums[:group]), _subset_sums(block_sums[group:])
    squares, other_squares = _subset_sums(block_squares[:group]), _subset_sums(block_squares[group:])
    pairs = _halves_with_the_first_block(group, blocks - group)
    out = np.empty((OUTPUTS, 2 * len(pairs)))
    scratch = np.empty((2, trials))
    _judge_halves(
        sums,
        other_sums,
        squares,
        other_squares,
        mean,
        float(rows),
        sharpe,
        pairs,
        scratch[0],
        scratch[1],
        out,
    )
    return out


def _subset_sums(blocks: Floats) -> Floats:
    """Sums of every subset of the blocks; the first block is the highest bit of a subset's number."""
    table = np.zeros((1 << len(blocks), blocks.shape[1]))
    for bit, block in enumerate(blocks[::-1]):
        np.add(table[: 1 << bit], block, out=table[1 << bit : 2 << bit])
    return table


def _halves_with_the_first_block(bits: int, other_bits: int) -> Integers:
    """Halves that hold the first block as numbers of two subsets, in lexicographic order."""
    first, second = np.arange(1 << bits), np.arange(1 << other_bits)
    count = np.array([int(subset).bit_count() for subset in range(1 << max(bits, other_bits))])
    half = (bits + other_bits) // 2
    found, other = np.nonzero(count[first][::-1][:, None] + count[second][::-1][None, :] == half)
    chosen = np.stack([first[::-1][found], second[::-1][other]], axis=1)
    return np.ascontiguousarray(chosen[chosen[:, 0] >= 1 << (bits - 1)], dtype=np.int64)
