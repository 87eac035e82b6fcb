"""From an order id to the number of its parent, for millions of fills."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.kernel import kernel
from workbench.core.tca.streaming import frozen
from workbench.core.types import Integers, Numbers

if TYPE_CHECKING:
    import pandas as pd

_MIX = 0x9E3779B97F4A7C15 - (1 << 64)  # 2^64 / golden ratio as a signed number (Knuth, volume 3, 6.4)


@kernel
def fill_table(ids: Integers, table: Integers, shift: int) -> None:
    """Put each id's row into the table (slots, 2) of ids and rows; a free slot has row -1."""
    mask = table.shape[0] - 1
    for row in range(ids.shape[0]):
        slot = ((ids[row] * _MIX) >> shift) & mask
        while table[slot, 1] >= 0:
            slot = (slot + 1) & mask
        table[slot, 0] = ids[row]
        table[slot, 1] = row


@kernel
def look_up(ids: Integers, table: Integers, shift: int, rows: Numbers) -> None:
    """Write the row of each id, -1 where the table does not know it."""
    mask = table.shape[0] - 1
    for at in range(ids.shape[0]):
        slot = ((ids[at] * _MIX) >> shift) & mask
        while table[slot, 1] >= 0 and table[slot, 0] != ids[at]:
            slot = (slot + 1) & mask
        rows[at] = table[slot, 1]


class OrderNumbers:
    """Numbers of the parents by order id.

    Parameters
    ----------
    ids : Index
        Unique.
    """

    def __init__(self, ids: pd.Index[Any]) -> None:
        self._ids = ids
        self._table: Integers | None = None
        if ids.dtype.kind in "iu":
            slots = max(16, 1 << (2 * len(ids) - 1).bit_length())
            self._shift = 64 - slots.bit_length()
            self._table = np.full((slots, 2), -1, dtype=np.int64)
            fill_table(frozen(np.asarray(ids, dtype=np.int64)), self._table, self._shift)

    def of(self, ids: Any) -> Numbers:
        """Number of each id's parent, -1 where there is none."""
        import pandas as pd

        values = np.asarray(ids)
        if self._table is not None and values.dtype.kind in "iu":
            rows = np.empty(len(values), dtype=np.int32)
            look_up(frozen(values.astype(np.int64, copy=False)), self._table, self._shift, rows)
            return rows
        return np.asarray(self._ids.get_indexer(pd.Index(values)), dtype=np.int32)
