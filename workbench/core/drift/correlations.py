"""Whether features move together as before: products of scores, summed over blocks."""

from __future__ import annotations

import numpy as np

from workbench.core.drift.blocks import Blocks
from workbench.core.drift.contrasts import Encoded
from workbench.core.types import Floats, Integers

CORRELATIONS = "(correlations)"
_MOST_PAIRED = 12


def correlation_sums(features: list[Encoded], blocks: Blocks) -> tuple[Floats, Floats]:
    """Block sums of centred products of location scores, and the change of their means.

    Up to 12 features give every pair; more give each feature against the mean of the others.

    Parameters
    ----------
    features : list of Encoded
        At least two numeric ones.
    blocks : Blocks

    Returns
    -------
    float64 (blocks, products), float64 (products,)
    """
    before = np.column_stack([one.scores[one.reference, 0] for one in features])
    after = np.column_stack([one.scores[one.current, 0] for one in features])
    first, second = (
        _moments(before, np.array([[0, len(before)]])),
        _moments(after, np.array([[0, len(after)]])),
    )
    middle = (first + second)[0] / (len(before) + len(after))
    sums = np.vstack([
        part - rows * middle
        for side, cut in ((before, blocks.reference), (after, blocks.current))
        for part, rows in ((_moments(side, cut), (cut[:, 1] - cut[:, 0])[:, None]),)
    ])  # fmt: skip
    return sums, second[0] / len(after) - first[0] / len(before)


def _moments(scores: Floats, blocks: Integers) -> Floats:
    """Sums of products over the rows of each block, float64 (blocks, products)."""
    width = scores.shape[1]
    if width > _MOST_PAIRED:
        others = (scores.sum(axis=1, keepdims=True) - scores) / (width - 1)
        running = np.vstack([np.zeros(width), np.cumsum(scores * others, axis=0)])
        return np.asarray(running[blocks[:, 1]] - running[blocks[:, 0]])
    pairs = np.triu_indices(width, 1)
    return np.stack([(part.T @ part)[pairs] for part in (scores[start:end] for start, end in blocks)])
