"""Values as normal scores of a reference: bounded, free of units, the same for any distribution."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from workbench.core.kernel import allocating_kernel
from workbench.core.types import MICRO, Floats, Integers

EDGES = 255


@dataclass(frozen=True, slots=True)
class NormalScores:
    """Maps a value to the normal score of its rank in the reference, in micros.

    One absurd value counts as one value beyond the reference's largest, no more.

    Attributes
    ----------
    edges : float64 (at most 255,)
        Distinct quantiles of the reference, upwards.
    micro : int64 (edges + 1,)
        Score of a value above that many edges, on a grid of 1e-6.
    """

    edges: Floats
    micro: Integers

    @classmethod
    def of(cls, reference: Floats) -> NormalScores:
        """The scores of a reference of finite values, in any order."""
        ordered = np.sort(reference)
        edges = edges_of(ordered)
        return cls(edges, np.round(bin_scores(ordered, edges) * MICRO).astype(np.int64))

    def micro_of(self, value: float) -> int:
        """Score of one finite value."""
        return int(self.micro[int(np.searchsorted(self.edges, value, side="left"))])

    def of_many(self, values: Floats) -> Floats:
        """Scores of finite values, float64, on the same grid."""
        return np.asarray(self.micro[np.searchsorted(self.edges, values, side="left")] / MICRO)


def edges_of(ordered: Floats) -> Floats:
    """At most 255 distinct values, evenly spaced in rank."""
    count = min(EDGES, len(ordered))
    return np.unique(ordered[np.arange(count) * (len(ordered) - 1) // max(1, count - 1)])


def bin_scores(ordered: Floats, edges: Floats) -> Floats:
    """Normal score of the middle rank of each bin; a bin holds its upper edge."""
    counts = np.diff(np.searchsorted(ordered, edges, side="right"), prepend=0, append=len(ordered))
    middle = (np.cumsum(counts) - counts / 2.0 + 0.5) / (len(ordered) + 1)
    return np.asarray(special.ndtri(middle))


@allocating_kernel
def rescore(values: Floats, edges: Floats, scores: Floats, out: Floats) -> None:
    """Scores of many values by binary search."""
    for row in range(len(values)):
        low, high = 0, len(edges)
        while low < high:
            middle = (low + high) >> 1
            if edges[middle] < values[row]:
                low = middle + 1
            else:
                high = middle
        out[row] = scores[low]
