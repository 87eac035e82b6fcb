"""Many small files of one period become one; what they say does not change."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from workbench.adapters.bars.files import ROW_KINDS, Part
from workbench.adapters.bars.intake import period_of
from workbench.adapters.bars.library import Library, Shelf
from workbench.adapters.bars.rows import Rows, bucket_of, concatenated
from workbench.adapters.bars.writing import write_rows

LEAVE_ALONE = 2  #: parts of one source and period that are not worth a merge


def compacted(library: Library, shelf: Shelf, *, now_ns: int) -> tuple[Part, ...]:
    """The parts after merging, written but not yet listed.

    Parts of one source whose days share a period are read together, cut by period and bucket of
    symbols as a large delivery is, and written once.
    """
    kind = library.kind
    kept = [part for part in shelf.manifest.parts if part.kind not in ROW_KINDS]
    piles: dict[tuple[str, int], list[Part]] = defaultdict(list)
    for part in shelf.parts:
        days = np.array([part.first_day, part.last_day])
        first, last = period_of(days, kind.period).tolist()
        if not part.last_day or first != last:
            kept.append(part)  # spans periods: a delivery of its own
        else:
            piles[part.source, first].append(part)
    for (source, _), parts in sorted(piles.items()):
        if len(parts) <= LEAVE_ALONE or _tidy(library, parts):
            kept += parts
            continue
        stamp = {"source": source, "ingested_at_ns": now_ns}
        for bucket in range(kind.buckets):
            names = {
                name for part in parts for name in library.index_of(part) if bucket_of(name, kind) == bucket
            }
            if names:
                rows: Rows = concatenated([library.rows(parts, names=sorted(names))], kind)
                kept += write_rows(library.root, kind, rows, stamp)
    return tuple(kept)


def _tidy(library: Library, parts: list[Part]) -> bool:
    """Whether no symbol is in two of the parts."""
    held = [name for part in parts for name in library.index_of(part)]
    return len(held) == len(set(held))
