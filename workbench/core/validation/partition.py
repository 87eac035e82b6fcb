"""A partition of rows into training and test sets as one value with a hash."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from workbench.core.canonical import sha256_of
from workbench.core.printing import html_table
from workbench.core.types import Booleans

if TYPE_CHECKING:
    import pandas as pd

Ranges: TypeAlias = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Partition:
    """Training and test rows of every split: a pure function of the splitter and the rows' times.

    Attributes
    ----------
    splitter : str
        What made it, as it prints itself.
    n_rows : int
    splits : tuple of (train ranges, test ranges)
        Each range (start, stop) of rows.
    n_untested : int
        Rows that no split tests.
    sha256 : str
        Of rows and splits; equal partitions have equal hashes on every machine.
    """

    splitter: str
    n_rows: int
    splits: tuple[tuple[Ranges, Ranges], ...]
    n_untested: int
    sha256: str

    @property
    def frame(self) -> pd.DataFrame:
        """One row a split: how many rows train and test it, how many were left out, where the test lies."""
        import pandas as pd

        rows = []
        for train, test in self.splits:
            trained, tested = _length(train), _length(test)
            rows.append(
                {
                    "train_rows": trained,
                    "test_rows": tested,
                    "left_out_rows": self.n_rows - trained - tested,
                    "first_test_row": test[0][0],
                    "last_test_row": test[-1][1] - 1,
                }
            )
        return pd.DataFrame(rows, index=pd.RangeIndex(len(rows), name="split"))

    def _repr_html_(self) -> str:
        facts = {
            "splits": len(self.splits), "rows": self.n_rows, "rows never tested": self.n_untested,
            "hash": self.sha256[:12],
        }  # fmt: skip
        return html_table("Partition", facts, {"splitter": self.splitter})


def partition_of(splitter: str, n_rows: int, splits: Iterable[tuple[Ranges, Ranges]]) -> Partition:
    """The partition of `n_rows` rows that consists of these splits."""
    kept = tuple(splits)
    tested = np.zeros(n_rows, dtype=np.bool_)
    for _, test in kept:
        for start, stop in test:
            tested[start:stop] = True
    plain = [[[list(one) for one in train], [list(one) for one in test]] for train, test in kept]
    return Partition(splitter, n_rows, kept, int((~tested).sum()), sha256_of([n_rows, plain]))


def row_ranges(chosen: Booleans) -> Ranges:
    """The rows that are chosen as ranges (start, stop), in order."""
    edges = np.nonzero(np.diff(np.concatenate([[False], chosen, [False]]).astype(np.int8)))[0].tolist()
    return tuple(zip(edges[::2], edges[1::2], strict=True))


def _length(ranges: Ranges) -> int:
    return sum(stop - start for start, stop in ranges)
