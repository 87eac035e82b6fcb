"""A feature as bins, and the contrasts that the deciding test looks at: location, spread, quantiles.

Every contrast is a sum over rows of a bounded score, so that blocks of rows can be exchanged by adding
block sums, and one absurd value cannot move a result by more than one row's worth.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from scipy import special

from workbench.core.kernel import allocating_kernel
from workbench.core.types import Booleans, Floats, Integers

BINS = 256
QUANTILES = 16  # thresholds at 1/16 .. 15/16 of both samples together
_MOST_CATEGORIES = 40
_SAMPLED = 1 << 15


class Encoded(NamedTuple):
    """One feature of both samples as bins, with a score of each contrast for each bin.

    Attributes
    ----------
    reference, current : int64 (n,), (m,)
        Bin of every row; the last bin holds the missing values.
    scores : float64 (bins + 1, contrasts)
        Centred over both samples together; location first, spread second where the feature is numeric.
    names : tuple of str
    shares : float64 (contrasts, 2)
        How much of a contrast's variance comes from the location score and its square: dependence of the
        rest dies out faster (its Hermite rank is higher).
    quadratic : bool
        True: the test sums squares over categories; False: it takes the largest contrast.
    """

    reference: Integers
    current: Integers
    scores: Floats
    names: tuple[str, ...]
    shares: Floats
    quadratic: bool


def encode_numbers(reference: Floats, current: Floats) -> Encoded:
    """The contrasts of a numeric feature; missing and infinite values get a contrast of their own.

    Parameters
    ----------
    reference, current : float64 (n,), (m,)
        At least one finite value among them.
    """
    sample = np.concatenate([_thinned(reference), _thinned(current)])
    ordered = np.sort(sample[np.isfinite(sample)])
    edges = np.unique(ordered[np.linspace(0, len(ordered) - 1, BINS).astype(np.int64)])
    before, after = _bins_of(reference, edges), _bins_of(current, edges)
    missing = len(edges) + 1
    counts = np.bincount(before, minlength=missing + 1) + np.bincount(after, minlength=missing + 1)
    return Encoded(before, after, *_numeric_scores(counts), quadratic=False)


def encode_categories(reference: list[Any], current: list[Any]) -> Encoded:
    """The contrasts of a category feature: one indicator a category, rare ones beyond 40 together.

    Categories never seen in the reference are categories like any other.
    """
    spelled = [["(missing)" if value is None or value != value else str(value) for value in side]
               for side in (reference, current)]  # fmt: skip
    names, codes = np.unique(np.array(spelled[0] + spelled[1], dtype=object), return_inverse=True)
    counts = np.bincount(codes, minlength=len(names))
    if len(names) > _MOST_CATEGORIES:
        order = np.argsort(-counts, kind="stable")
        rank = np.empty(len(names), dtype=np.int64)
        rank[order] = np.arange(len(names))
        codes = np.minimum(rank, _MOST_CATEGORIES - 1)[codes]
        names = np.array([*names[order][: _MOST_CATEGORIES - 1], "(all others)"], dtype=object)
        counts = np.bincount(codes)
    share = counts / counts.sum()
    scores = (np.eye(len(names)) - share) / np.sqrt(share)
    codes = codes.astype(np.int64)
    return Encoded(
        codes[: len(reference)], codes[len(reference) :], np.vstack([scores, np.zeros(len(names))]),
        tuple(map(str, names)), np.tile([1.0, 0.0], (len(names), 1)), quadratic=True,
    )  # fmt: skip


def _numeric_scores(counts: Integers) -> tuple[Floats, tuple[str, ...], Floats]:
    """Scores of the bins, names of the contrasts, and their shares of rank one and two."""
    present, n_missing = counts[:-1], int(counts[-1])
    total = float(present.sum())
    cumulative = np.cumsum(present) / total
    location = special.ndtri(np.clip(cumulative - present / (2.0 * total), 1e-9, 1.0 - 1e-9))
    location = _standardised(location, present)
    columns, names, shares = [location], ["location"], [(1.0, 0.0)]
    columns.append(location**2 - 1.0)
    names.append("spread")
    shares.append((0.0, 1.0))
    wanted = np.arange(1, QUANTILES) / QUANTILES
    for place in np.unique(np.searchsorted(cumulative, wanted - 0.5 / QUANTILES)):
        p = float(cumulative[place])
        if not 0.0 < p < 1.0:
            continue
        at = float(special.ndtri(p))
        density = math.exp(-at * at / 2.0) / math.sqrt(2.0 * math.pi)
        first = density**2 / (p * (1.0 - p))
        columns.append((np.arange(len(present)) <= place) - p)
        names.append(f"quantile {p:.2f}")
        shares.append((first, at * at * first / 2.0))
    scores = np.vstack([np.column_stack(columns), np.zeros(len(columns))])
    if n_missing:
        share = n_missing / (total + n_missing)
        indicator = np.full(len(counts), -share)
        indicator[-1] = 1.0 - share
        scores = np.column_stack([scores, indicator])
        names.append("missing")
        shares.append((0.0, 0.0))
    return scores, tuple(names), np.array(shares)


def _standardised(score: Floats, counts: Integers) -> Floats:
    mean = float(score @ counts) / counts.sum()
    variance = float((score - mean) ** 2 @ counts) / counts.sum()
    return (score - mean) / math.sqrt(variance) if variance > 0.0 else np.zeros_like(score)


def _thinned(values: Floats) -> Floats:
    """Evenly spaced rows of a long sample: enough to place the bins."""
    return values[:: max(1, len(values) // _SAMPLED)]


def _bins_of(values: Floats, edges: Floats) -> Integers:
    out = np.empty(len(values), dtype=np.int64)
    _fill_bins(values, edges, out)
    return out


@allocating_kernel
def _fill_bins(values: Floats, edges: Floats, out: Integers) -> None:
    """Number of edges below each value; one more than the number of edges for what is not finite."""
    count = len(edges)
    for row in range(len(values)):
        value = values[row]
        if not math.isfinite(value):
            out[row] = count + 1
            continue
        low, high = 0, count
        while low < high:
            middle = (low + high) >> 1
            if edges[middle] < value:
                low = middle + 1
            else:
                high = middle
        out[row] = low


def missing_rows(encoded: Encoded) -> tuple[Booleans, Booleans]:
    """Which rows of either side hold no value."""
    last = len(encoded.scores) - 1
    return encoded.reference == last, encoded.current == last
