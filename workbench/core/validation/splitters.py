"""Splitters for data in time, with the interface of scikit-learn's: purged, embargoed, without a default.

A training row is purged when its label is settled at or after the first time of a test block, or when it
stands at or before the time at which the last label of a test block before it is settled. The embargo
drops further times after that. What is left of the training rows knows nothing of the tested ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise
from typing import Any, TypeAlias

import numpy as np

from workbench.core.arguments import require_whole
from workbench.core.types import Integers
from workbench.core.validation.partition import Partition, Ranges, partition_of
from workbench.core.validation.timeline import Timeline, timeline

Split: TypeAlias = tuple[Integers, Integers]


class _Splitter:
    """What the splitters share: index arrays and hashes made from ranges of rows."""

    purge: Any
    embargo: int

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[Split]:
        """Training and test rows of each split, made one at a time.

        Parameters
        ----------
        X : array or DataFrame (rows, ...)
            In order of time.
        y : ignored
        groups : sequence (rows,) or None, default None
            Time or session of each row, never falling, where neither X nor purge has an index of dates.

        Yields
        ------
        train, test : int64 arrays

        Raises
        ------
        ValueError
            Rows out of order, too few rows, or a split whose training rows were all purged.
        """
        line = timeline(X, groups, self.purge)
        rows = np.arange(line.rows)
        for train, test in self._positions(line):
            yield _taken(rows, train), _taken(rows, test)

    def ranges(self, X: Any, groups: Any = None) -> Iterator[tuple[Ranges, Ranges]]:
        """Training and test rows of each split as ranges (start, stop), without making an array of rows."""
        line = timeline(X, groups, self.purge)
        return ((tuple(train), tuple(test)) for train, test in self._positions(line))

    def partition(self, X: Any, groups: Any = None) -> Partition:
        """All splits as one value with a hash for the manifest, and how many rows are never tested."""
        return partition_of(repr(self), len(X), self.ranges(X, groups))

    def _positions(self, line: Timeline) -> Iterator[tuple[list[tuple[int, int]], list[tuple[int, int]]]]:
        raise NotImplementedError

    def _describe(self, *sizes: int) -> str:
        purge = self.purge if isinstance(self.purge, int) else f"<{len(self.purge)} label ends>"
        given = ", ".join(str(size) for size in sizes)
        return f"{type(self).__name__}({given}, purge={purge}, embargo={self.embargo})"


class PurgedKFold(_Splitter):
    """K folds in order of time, each tested once by a model of the purged rest.

    Parameters
    ----------
    n_folds : int
        At least 2. Uneven lengths: the first folds are one time longer, as in scikit-learn.
    purge : int or sequence (rows,)
        When the label of each row is settled: a number of rows after it (of distinct times, where several
        rows share one), or its label end time. No default: 0 claims that labels end where they begin.
        End times are compared with the rows' times, see `split`; whole numbers below 1e15 are row positions.
    embargo : int
        Further times dropped from training after each test block, for what labels do not tell. No default.

    Notes
    -----
    Source: M. López de Prado, "Advances in Financial Machine Learning", 2018, section 7.4.

    Examples
    --------
    >>> import numpy as np
    >>> import workbench as wb
    >>> folds = wb.validation.PurgedKFold(5, purge=2, embargo=1)
    >>> train, test = list(folds.split(np.zeros((20, 1))))[1]
    >>> test.tolist(), train.tolist()
    ([4, 5, 6, 7], [0, 1, 11, 12, 13, 14, 15, 16, 17, 18, 19])
    """

    def __init__(self, n_folds: int, *, purge: int | Sequence[Any] | Any, embargo: int) -> None:
        self.n_folds = require_whole("n_folds", n_folds, 2)
        self.purge = _purge(purge)
        self.embargo = require_whole("embargo", embargo, 0)

    @property
    def n_splits(self) -> int:
        """Number of splits."""
        return self.n_folds

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Number of splits."""
        return self.n_splits

    def _positions(self, line: Timeline) -> Iterator[tuple[list[tuple[int, int]], list[tuple[int, int]]]]:
        for fold in _folds(line, self.n_folds):
            yield _train_ranges(line, [fold], self.embargo), _row_ranges(line, [fold])

    def __repr__(self) -> str:
        return self._describe(self.n_folds)


class CombinatorialPurgedKFold(_Splitter):
    """Every choice of test folds among the folds, and the histories that their forecasts make up.

    Parameters
    ----------
    n_folds : int
        At least 2.
    n_test_folds : int
        Folds tested in each split, fewer than `n_folds`.
    purge : int or sequence (rows,)
        As in `PurgedKFold`. No default.
    embargo : int
        As in `PurgedKFold`, after each test fold. No default.

    Attributes
    ----------
    n_splits, n_paths : int
        C(n_folds, n_test_folds), and n_splits n_test_folds / n_folds whole histories out of sample.

    Notes
    -----
    Source: M. López de Prado, "Advances in Financial Machine Learning", 2018, chapter 12.

    Examples
    --------
    >>> import workbench as wb
    >>> folds = wb.validation.CombinatorialPurgedKFold(6, 2, purge=5, embargo=5)
    >>> folds.n_splits, folds.n_paths, folds.paths().shape
    (15, 5, (5, 6))
    """

    def __init__(
        self, n_folds: int, n_test_folds: int, *, purge: int | Sequence[Any] | Any, embargo: int
    ) -> None:
        self.n_folds = require_whole("n_folds", n_folds, 2)
        self.n_test_folds = require_whole("n_test_folds", n_test_folds, 1)
        if n_test_folds >= n_folds:
            raise ValueError(f"n_test_folds = {n_test_folds} of {n_folds} folds leave none to train on")
        self.purge = _purge(purge)
        self.embargo = require_whole("embargo", embargo, 0)

    @property
    def test_folds(self) -> tuple[tuple[int, ...], ...]:
        """Folds that each split tests, in the order of the splits."""
        return tuple(combinations(range(self.n_folds), self.n_test_folds))

    @property
    def n_splits(self) -> int:
        """Number of splits."""
        return len(self.test_folds)

    @property
    def n_paths(self) -> int:
        """Number of whole histories that the splits' forecasts make up."""
        return self.n_splits * self.n_test_folds // self.n_folds

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Number of splits."""
        return self.n_splits

    def paths(self) -> Integers:
        """Number of the split that forecasts each fold of each path, int64 (paths, folds).

        Every split serves each of its test folds to exactly one path, so that each path covers all folds
        once.
        """
        served: list[list[int]] = [[] for _ in range(self.n_folds)]
        for number, folds in enumerate(self.test_folds):
            for fold in folds:
                served[fold].append(number)
        return np.array(served, dtype=np.int64).T.copy()

    def reassemble(self, X: Any, forecasts: Sequence[Any], groups: Any = None) -> Any:
        """Forecasts of each path in order of the rows, float64 (paths, rows).

        Parameters
        ----------
        X : array or DataFrame (rows, ...)
            What `split` was given.
        forecasts : sequence of arrays
            For each split in order, the values of its test rows in order.

        Raises
        ------
        ValueError
            Not one array a split, or one whose length is not that of its test rows.
        """
        line = timeline(X, groups, self.purge)
        folds = _row_ranges(line, _folds(line, self.n_folds))
        if len(forecasts) != self.n_splits:
            raise ValueError(f"{len(forecasts)} forecasts for {self.n_splits} splits")
        out = np.full((self.n_paths, line.rows), np.nan)
        paths = self.paths()
        for number, tested in enumerate(self.test_folds):
            values = np.asarray(forecasts[number], dtype=np.float64)
            length = sum(folds[fold][1] - folds[fold][0] for fold in tested)
            if values.shape != (length,):
                raise ValueError(f"split {number} tests {length} rows, its forecasts have {values.shape}")
            begin = 0
            for fold in tested:
                start, stop = folds[fold]
                path = int(np.nonzero(paths[:, fold] == number)[0][0])
                out[path, start:stop] = values[begin : begin + stop - start]
                begin += stop - start
        return out

    def _positions(self, line: Timeline) -> Iterator[tuple[list[tuple[int, int]], list[tuple[int, int]]]]:
        folds = _folds(line, self.n_folds)
        for chosen in self.test_folds:
            blocks = [folds[fold] for fold in chosen]
            yield _train_ranges(line, blocks, self.embargo), _row_ranges(line, blocks)

    def __repr__(self) -> str:
        return self._describe(self.n_folds, self.n_test_folds)


class WalkForward(_Splitter):
    """Windows that roll forward in time: train on what was settled, test on what follows.

    Parameters
    ----------
    train, test : int
        Sessions (distinct times) in each training window and each test block, at least 1. The test blocks
        follow each other without overlap; sessions at the end that fill no whole block are not tested, and
        `partition` reports them.
    purge : int or sequence (rows,)
        As in `PurgedKFold`: the training window ends before the sessions whose labels are not settled when
        the test block begins. It keeps its length and begins earlier. No default.
    embargo : int
        Further sessions left out between the window and the test block. No default.

    Examples
    --------
    >>> import numpy as np
    >>> import workbench as wb
    >>> walk = wb.validation.WalkForward(4, 2, purge=1, embargo=0)
    >>> [(train.tolist(), test.tolist()) for train, test in walk.split(np.zeros(9))]
    [([0, 1, 2, 3], [5, 6]), ([2, 3, 4, 5], [7, 8])]
    """

    def __init__(self, train: int, test: int, *, purge: int | Sequence[Any] | Any, embargo: int) -> None:
        self.train = require_whole("train", train, 1)
        self.test = require_whole("test", test, 1)
        self.purge = _purge(purge)
        self.embargo = require_whole("embargo", embargo, 0)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Number of splits; it depends on the rows.

        Raises
        ------
        ValueError
            X is missing.
        """
        return len(self._windows(timeline(X, groups, self.purge)))

    def _positions(self, line: Timeline) -> Iterator[tuple[list[tuple[int, int]], list[tuple[int, int]]]]:
        for window, block in self._windows(line):
            train = _row_ranges(line, [window])
            if line.ends is not None:
                train = _settled(train, line.ends, block[0])
            yield train, _row_ranges(line, [block])

    def _windows(self, line: Timeline) -> list[tuple[tuple[int, int], tuple[int, int]]]:
        """Positions of each training window and test block."""
        usable = _usable_before(line) - self.embargo
        enough = np.nonzero(usable >= self.train)[0]
        begins = range(int(enough[0]), line.times - self.test + 1, self.test) if len(enough) else range(0)
        if not len(begins):
            raise ValueError(
                f"{line.times} sessions are too few for {self.train} to train on, {self.test} to test "
                "and what is purged between them"
            )
        return [
            ((int(usable[begin]) - self.train, int(usable[begin])), (begin, begin + self.test))
            for begin in begins
        ]

    def __repr__(self) -> str:
        return self._describe(self.train, self.test)


def _usable_before(line: Timeline) -> Integers:
    """Positions that a model may have seen when a test block begins at each position."""
    begin = np.arange(line.times)
    if line.ends is None:
        return np.maximum(begin - line.horizon, 0)
    firsts = np.arange(line.times) if line.first_row is None else line.first_row[:-1]
    earliest = np.minimum.reduceat(line.ends, firsts)
    usable = np.zeros(line.times + 1, dtype=np.int64)
    np.maximum.at(usable, np.minimum(earliest + 1, line.times), begin + 1)
    return np.maximum.accumulate(usable)[:-1]


def _folds(line: Timeline, n_folds: int) -> list[tuple[int, int]]:
    if line.times < n_folds:
        raise ValueError(f"{line.times} rows of different time are too few for {n_folds} folds")
    length, longer = divmod(line.times, n_folds)
    bounds = [fold * length + min(fold, longer) for fold in range(n_folds + 1)]
    return list(pairwise(bounds))


def _row_ranges(line: Timeline, blocks: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    return [(line.row(start), line.row(stop)) for start, stop in blocks]


def _train_ranges(line: Timeline, blocks: Sequence[tuple[int, int]], embargo: int) -> list[tuple[int, int]]:
    """Rows outside of the blocks whose labels do not touch them, nor those of the blocks them."""
    ranges, begin = [], 0
    for start, stop in blocks:
        before = line.settled_before(start) if line.sorted_ends else line.row(start)
        if before > begin:
            ranges.append((begin, before))
        begin = max(begin, line.row(max(stop, line.last_end(start, stop) + 1 + embargo)))
    if begin < line.rows:
        ranges.append((begin, line.rows))
    if line.ends is not None and not line.sorted_ends:
        for start, _ in blocks:
            ranges = _settled(ranges, line.ends, start, up_to=line.row(start))
    if not ranges:
        raise ValueError("no training rows are left: the purge or the embargo is too long for these folds")
    return ranges


def _settled(
    ranges: list[tuple[int, int]], ends: Integers, position: int, up_to: int | None = None
) -> list[tuple[int, int]]:
    """The ranges without rows before `up_to` whose labels end at or after the position."""
    kept: list[tuple[int, int]] = []
    for start, stop in ranges:
        judged = stop if up_to is None else min(stop, up_to)
        if judged <= start:
            kept.append((start, stop))
            continue
        inside = np.concatenate(
            [[False], ends[start:judged] < position, np.ones(stop - judged, bool), [False]]
        )
        edges = (np.nonzero(inside[1:] != inside[:-1])[0] + start).tolist()
        kept += zip(edges[::2], edges[1::2], strict=True)
    return kept


def _taken(rows: Integers, ranges: Sequence[tuple[int, int]]) -> Integers:
    if len(ranges) == 1:
        return rows[slice(*ranges[0])].copy()
    return np.concatenate([rows[start:stop] for start, stop in ranges])


def _purge(purge: Any) -> Any:
    """A number of rows, or label ends, which are checked when the rows are known."""
    if isinstance(purge, (int, float, np.integer, np.floating, bool)) or purge is None:
        return require_whole("purge", purge, 0)
    if np.ndim(purge) != 1:
        raise ValueError("purge must be a number of rows, or one label end time for each row")
    return purge
