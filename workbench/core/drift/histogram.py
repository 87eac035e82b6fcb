"""Exact distances and compact references by histograms on the bits of numbers; memory flat in rows.

The bits of a 32-bit float, read as an integer, keep the order of the numbers. Their leading bits are bins
whose width follows the size of the number, so heavy tails and spikes need no care. Counts bound the
Kolmogorov-Smirnov distance inside every bin; only the values of bins that could hold the maximum, or a
quantile of the reference, are looked at again and sorted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from workbench.core.drift.binning import EmptyBins, psi_of_counts
from workbench.core.kernel import allocating_kernel
from workbench.core.types import Booleans, Floats, Integers
from workbench.errors import DataError

Chunks: TypeAlias = Callable[[], Iterable[Floats]]  #: makes the pieces of a column, each time from the start
EXACT_SHIFT, SKETCH_SHIFT = 13, 11  # 2 ** 19 and 2 ** 21 bins
_GROUP_SHARE = 5e-5  # of the reference: the distance inside a group is off by no more
_PAGE = 10  # bins are marked as touched in such powers of two
_BLOCK = 1 << 13  # values that are narrowed at once: they stay in the processor's nearest memory


class Measured(NamedTuple):
    """Distances of one column.

    Attributes
    ----------
    psi, ks : float
    ks_error : float
        The true distance is no further above than this; 0 where it is exact.
    n_reference, n_current : int
        Finite values.
    """

    psi: float
    ks: float
    ks_error: float
    n_reference: int
    n_current: int


@dataclass(frozen=True, slots=True)
class ColumnSketch:
    """One reference column without its rows: counts of groups of bins, and exact quantiles.

    Attributes
    ----------
    bins : int64 (groups,)
        Number of the first bin of each group, upwards; a group reaches to the next one, the last to the end.
    counts : int64 (groups,)
        Reference values in each: at most one in 20,000, or those of a single bin.
    edges : float64 (at most quantile bins - 1,)
        Distinct quantiles, exact.
    edge_counts : int64 (edges + 1,)
        Reference values in each quantile bin, exact.
    """

    bins: Integers
    counts: Integers
    edges: Floats
    edge_counts: Integers

    @property
    def rows(self) -> int:
        """Finite values that were counted."""
        return int(self.counts.sum())


def measure_exactly(reference: Chunks, current: Chunks, *, bins: int, empty: EmptyBins) -> Measured:
    """Exact index and Kolmogorov-Smirnov distance of two columns that come in pieces, twice.

    Raises
    ------
    DataError
        A side without a finite value.
    """
    counts = _counted(reference, EXACT_SHIFT), _counted(current, EXACT_SHIFT)
    occupied = np.flatnonzero((counts[0] | counts[1]) != 0)
    first, second = (_Histogram.of(occupied, side[occupied]) for side in counts)
    _check_rows(first.rows, second.rows)
    boundary = float(np.abs(first.through / first.rows - second.through / second.rows).max())
    marked = (first.counts > 0) & (second.counts > 0) & (_bounds(first, second) > boundary)
    marked |= first.holding_quantiles(bins)
    wanted = np.zeros(len(counts[0]), dtype=np.bool_)
    wanted[occupied[marked]] = True
    some = _gathered(reference, wanted, EXACT_SHIFT), _gathered(current, wanted, EXACT_SHIFT)
    looked = (first.counts[marked], second.counts[marked], first.through[marked], second.through[marked])
    ks = max(boundary, float(_walk_bins(*some, *looked, first.rows, second.rows)))
    edges = first.quantiles(some[0], marked, bins)
    per_edge = [one.edge_counts(values, edges, marked, EXACT_SHIFT)
                for one, values in zip((first, second), some, strict=True)]  # fmt: skip
    index = psi_of_counts(per_edge[0], per_edge[1], empty=empty)
    return Measured(float(index), ks, 0.0, first.rows, second.rows)


def sketch_column(reference: Chunks, *, bins: int) -> ColumnSketch:
    """The compact form of a column, to measure later windows against in one pass each."""
    counts = _counted(reference, SKETCH_SHIFT)
    occupied = np.flatnonzero(counts != 0)
    whole = _Histogram.of(occupied, counts[occupied])
    _check_rows(whole.rows, 1)
    marked = whole.holding_quantiles(bins)
    wanted = np.zeros(len(counts), dtype=np.bool_)
    wanted[occupied[marked]] = True
    some = _gathered(reference, wanted, SKETCH_SHIFT)
    edges = whole.quantiles(some, marked, bins)
    edge_counts = whole.edge_counts(some, edges, marked, SKETCH_SHIFT)
    return ColumnSketch(*_grouped(occupied, whole.counts, int(_GROUP_SHARE * whole.rows)), edges, edge_counts)


class Tally(NamedTuple):
    """Counts of all bins for one column after the other; a column leaves it empty again.

    Attributes
    ----------
    counts : int32 (bins,)
    touched : bool (pages of bins,)
    wanted : bool (bins,)
        Bins whose values are looked at one by one.
    """

    counts: NDArray[np.int32]
    touched: Booleans
    wanted: Booleans

    @classmethod
    def empty(cls) -> Tally:
        """Eleven megabytes, made once: to clear what a column touched is cheaper than to ask for zeros."""
        bins = 1 << (32 - SKETCH_SHIFT)
        counts, touched = np.zeros(bins, dtype=np.int32), np.zeros(bins >> _PAGE, dtype=np.bool_)
        return cls(counts, touched, np.zeros(bins, dtype=np.bool_))


def measure_sketched(sketch: ColumnSketch, current: Chunks, *, empty: EmptyBins, tally: Tally) -> Measured:
    """Exact index, and the distance up to a stated error, of a column that comes in pieces, once."""
    looked_at = np.unique(_bins_of_values(sketch.edges, SKETCH_SHIFT))
    tally.wanted[looked_at] = True
    kept = [_count_and_gather(chunk, SKETCH_SHIFT, *tally) for chunk in current()]
    tally.wanted[looked_at] = False
    some = np.concatenate(kept) if kept else np.zeros(0)
    groups, below = _by_group(tally.counts, tally.touched, sketch.bins, looked_at)
    # what lies before the first group of the reference is a group without any of its values
    own = np.concatenate([[0], sketch.counts])
    first, second = (_Histogram.of(np.arange(-1, len(own) - 1), side) for side in (own, groups))
    _check_rows(first.rows, second.rows)
    ks = float(np.abs(first.through / first.rows - second.through / second.rows).max())
    error = max(0.0, float(_bounds(first, second).max()) - ks)
    through = _at_most(sketch.edges, some, looked_at, below)
    counted = np.diff(through, prepend=0, append=second.rows)
    index = psi_of_counts(sketch.edge_counts, counted, empty=empty)
    return Measured(float(index), ks, error, first.rows, second.rows)


def _at_most(edges: Floats, some: Floats, looked_at: Integers, below: Integers) -> Integers:
    """How many values are at most each edge: those of lower bins, and of its own bin one by one."""
    own_bins = _bins_of_values(some, SKETCH_SHIFT)
    edge_bins = _bins_of_values(edges, SKETCH_SHIFT)
    inside = [
        int((some[own_bins == place] <= edge).sum()) for edge, place in zip(edges, edge_bins, strict=True)
    ]
    return np.asarray(below[np.searchsorted(looked_at, edge_bins)] + np.array(inside, dtype=np.int64))


class _Histogram(NamedTuple):
    """Counts of occupied bins: their numbers, counts, and counts up to and including each."""

    bins: Integers
    counts: Integers
    through: Integers
    rows: int

    @classmethod
    def of(cls, bins: Integers, counts: Integers | NDArray[np.int32]) -> _Histogram:
        wide = counts.astype(np.int64)
        through = np.cumsum(wide)
        return cls(bins, wide, through, int(through[-1]) if len(through) else 0)

    def _places(self, bins: int) -> tuple[Integers, Integers, Floats]:
        """Order statistics around each quantile, and the weight of the upper one."""
        at = np.arange(1, bins) / bins * (self.rows - 1)
        low = np.floor(at).astype(np.int64)
        return low, np.minimum(low + 1, self.rows - 1), at - low

    def holding_quantiles(self, bins: int) -> Booleans:
        """Bins from that of the order statistic below a quantile to that of the one above."""
        marked = np.zeros(len(self.bins), dtype=np.bool_)
        low, high, _ = self._places(bins)
        starts, ends = (np.searchsorted(self.through, place, side="right") for place in (low, high))
        for start, end in zip(starts, ends, strict=True):
            marked[start : end + 1] = True
        return marked

    def quantiles(self, some: Floats, marked: Booleans, bins: int) -> Floats:
        """Distinct quantiles from the sorted values of the marked bins."""
        gathered = np.cumsum(self.counts * marked) - self.counts * marked
        low, high, weight = self._places(bins)
        ends = []
        for place in (low, high):
            at = np.searchsorted(self.through, place, side="right")
            ends.append(some[gathered[at] + place - (self.through[at] - self.counts[at])])
        return np.unique(ends[0] + weight * (ends[1] - ends[0]))

    def edge_counts(self, some: Floats, edges: Floats, marked: Booleans, shift: int) -> Integers:
        """How many values lie in each quantile bin, which holds its upper edge; edges lie in marked bins."""
        at = np.searchsorted(self.bins, _bins_of_values(edges, shift))
        gathered = np.concatenate([[0], np.cumsum(self.counts * marked)])
        through = np.concatenate([[0], self.through])
        below = through[at] + np.searchsorted(some, edges, side="right") - gathered[at]
        return np.asarray(np.diff(below, prepend=0, append=self.rows), dtype=np.int64)


def _check_rows(n: int, m: int) -> None:
    if n == 0 or m == 0:
        side = "reference" if n == 0 else "current"
        raise DataError(f"the {side} column holds no finite value", next_step="leave the column out")


def _bounds(first: _Histogram, second: _Histogram) -> Floats:
    """The most that the distance can reach inside each bin."""
    own, other = first.counts / first.rows, second.counts / second.rows
    left = first.through / first.rows - own - (second.through / second.rows - other)
    return np.asarray(np.maximum(left + own, other - left))


def _counted(chunks: Chunks, shift: int) -> NDArray[np.int32]:
    counts = np.zeros(1 << (32 - shift), dtype=np.int32)
    for chunk in chunks():
        _count_bits(chunk, shift, counts)
    return counts


def _gathered(chunks: Chunks, wanted: Booleans, shift: int) -> Floats:
    """All values in wanted bins, sorted upwards."""
    parts = [_gather_bits(chunk, shift, wanted) for chunk in chunks()]
    return np.sort(np.concatenate(parts)) if parts else np.zeros(0)


def _bits(values: Floats) -> NDArray[np.uint32]:
    """The bits of each value as 32-bit float; adding zero makes the two zeros one."""
    with np.errstate(over="ignore", invalid="ignore"):
        narrow = values.astype(np.float32)
    narrow += np.float32(0.0)
    return narrow.view(np.uint32)


def _bins_of_values(values: Floats, shift: int) -> Integers:
    bits = _bits(np.ascontiguousarray(values)).astype(np.int64)
    ordered = np.where(bits >> 31 == 1, (1 << 32) - 1 - bits, bits | 1 << 31)
    return np.asarray(ordered >> shift)


@allocating_kernel
def _bin(bits: np.uint32, shift: int) -> np.uint32:
    # the sign bit, spread over all bits, turns negative numbers around; positive ones get their top bit set
    turned = np.uint32(0) - (bits >> np.uint32(31))
    return np.uint32(bits ^ (turned | np.uint32(0x80000000))) >> np.uint32(shift)


@allocating_kernel
def _is_number(value: float, bits: np.uint32) -> bool:
    """Finite; the bits alone say so unless the 32-bit float overflowed."""
    return (bits & np.uint32(0x7F800000)) != np.uint32(0x7F800000) or math.isfinite(value)


@allocating_kernel
def _narrowed(values: Floats, start: int, narrow: NDArray[np.float32]) -> int:
    """Make one block of a column 32-bit floats, in place; how many there were."""
    count = min(len(narrow), len(values) - start)
    for at in range(count):
        narrow[at] = np.float32(values[start + at]) + np.float32(0.0)  # the two zeros are one
    return count


@allocating_kernel
def _count_bits(values: Floats, shift: int, counts: NDArray[np.int32]) -> None:
    narrow = np.empty(_BLOCK, np.float32)
    bits = narrow.view(np.uint32)
    for start in range(0, len(values), _BLOCK):
        for at in range(_narrowed(values, start, narrow)):
            if _is_number(values[start + at], bits[at]):
                counts[_bin(bits[at], shift)] += 1


@allocating_kernel
def _count_and_gather(
    values: Floats, shift: int, counts: NDArray[np.int32], touched: Booleans, wanted: Booleans
) -> Floats:
    """Count each value's bin and mark its page; the values in wanted bins."""
    narrow = np.empty(_BLOCK, np.float32)
    bits = narrow.view(np.uint32)
    out, kept = np.empty(len(values) + 1), 0
    for start in range(0, len(values), _BLOCK):
        for at in range(_narrowed(values, start, narrow)):
            if _is_number(values[start + at], bits[at]):
                place = _bin(bits[at], shift)
                counts[place] += 1
                touched[place >> np.uint32(_PAGE)] = True
                out[kept] = values[start + at]  # always written, kept when wanted: no branch to mispredict
                kept += wanted[place]
    return out[:kept].copy()


@allocating_kernel
def _by_group(
    counts: NDArray[np.int32], touched: Booleans, starts: Integers, looked_at: Integers
) -> tuple[Integers, Integers]:
    """Values before the first group and in each, and those below each bin looked at; clears the counts."""
    groups, below = np.zeros(len(starts) + 1, dtype=np.int64), np.zeros(len(looked_at), dtype=np.int64)
    group = look = total = 0
    for page in range(len(touched)):
        if not touched[page]:
            continue
        for place in range(page << _PAGE, (page + 1) << _PAGE):
            if counts[place] == 0:
                continue
            while look < len(looked_at) and looked_at[look] <= place:
                below[look], look = total, look + 1
            while group < len(starts) and starts[group] <= place:
                group += 1
            groups[group] += counts[place]
            total += counts[place]
            counts[place] = 0
        touched[page] = False
    below[look:] = total
    return groups, below


@allocating_kernel
def _grouped(bins: Integers, counts: Integers, most: int) -> tuple[Integers, Integers]:
    """Neighbouring bins joined from below while they hold no more than `most` values together."""
    starts, held = np.empty_like(bins), np.empty_like(counts)
    last = -1
    for at in range(len(bins)):
        if last >= 0 and held[last] + counts[at] <= most:
            held[last] += counts[at]
        else:
            last += 1
            starts[last], held[last] = bins[at], counts[at]
    return starts[: last + 1].copy(), held[: last + 1].copy()


@allocating_kernel
def _gather_bits(values: Floats, shift: int, wanted: Booleans) -> Floats:
    narrow = np.empty(_BLOCK, np.float32)
    bits = narrow.view(np.uint32)
    out, kept = np.empty(len(values) + 1), 0
    for start in range(0, len(values), _BLOCK):
        for at in range(_narrowed(values, start, narrow)):
            out[kept] = values[start + at]
            kept += wanted[_bin(bits[at], shift)] and _is_number(values[start + at], bits[at])
    return out[:kept].copy()


@allocating_kernel
def _walk_bins(
    first: Floats, second: Floats, first_counts: Integers, second_counts: Integers, before: Integers,
    after: Integers, n: int, m: int,
) -> float:  # fmt: skip
    largest = 0.0
    i = j = 0
    for k in range(len(first_counts)):
        end_i, end_j = i + first_counts[k], j + second_counts[k]
        seen_i, seen_j = before[k] - first_counts[k], after[k] - second_counts[k]
        while i < end_i or j < end_j:
            value = second[j] if i >= end_i or (j < end_j and second[j] < first[i]) else first[i]
            while i < end_i and first[i] == value:
                i, seen_i = i + 1, seen_i + 1
            while j < end_j and second[j] == value:
                j, seen_j = j + 1, seen_j + 1
            largest = max(largest, abs(seen_i / n - seen_j / m))
    return largest
