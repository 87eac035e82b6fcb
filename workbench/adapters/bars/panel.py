"""Panels cut from decoded rows: what was known when, in whose share terms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.adapters.bars.files import Manifest
from workbench.adapters.bars.rows import Rows, Split
from workbench.core.types import MICRO, Bars, Booleans, Floats, Integers


@dataclass(frozen=True, eq=False)
class Content:
    """Everything the manifest lists, decoded once.

    `grid_ns` holds the close of every exchange session from the first bar to the last, and
    `place` the position of each row in it, so that a day without a bar stays visible as a gap.
    """

    digest: str
    manifest: Manifest
    rows: Rows
    blocks: dict[str, slice]
    splits: dict[str, tuple[Split, ...]]
    grid_ns: Integers
    place: Integers

    def visible(self, symbol: str, as_of_ns: int) -> Integers:
        """Row numbers of a symbol by session: of each the latest version known at `as_of_ns`."""
        block = self.blocks[symbol]
        rows = block.start + np.flatnonzero(self.rows.known_at_ns[block] <= as_of_ns)
        place = self.place[rows]
        latest = np.ones(len(rows), dtype=bool)
        latest[:-1] = place[1:] != place[:-1]
        newest: Integers = rows[latest]
        return newest


def panel(
    content: Content, names: tuple[str, ...], shown: list[Integers], first: int, stop: int,
    adjusted_as_of_ns: int | None,
) -> Bars:  # fmt: skip
    """Bars of the grid positions `first` to `stop`; splits known at that time applied unless None."""
    grid: Floats = np.full((5, stop - first, len(names)), np.nan)
    for column, (name, rows) in enumerate(zip(names, shown, strict=True)):
        place = content.place[rows]
        rows = rows[(place >= first) & (place < stop)]
        at = content.place[rows] - first
        new, old = np.ones(len(rows)), np.ones(len(rows))
        for split in content.splits.get(name, ()) if adjusted_as_of_ns is not None else ():
            if adjusted_as_of_ns is not None and split.ex_open_ns <= adjusted_as_of_ns:
                before = content.rows.ts_ns[rows] < split.ex_open_ns
                new[before] *= split.new_shares
                old[before] *= split.old_shares
        for layer, field in enumerate(("open_micro", "high_micro", "low_micro", "close_micro")):
            # One division of exact integers: the nearest float to the exact price.
            grid[layer, at, column] = getattr(content.rows, field)[rows] * old / (new * MICRO)
        grid[4, at, column] = content.rows.volume[rows] * new / old
    # A session without a single trade has prices nobody could have traded at.
    tradable: Booleans = np.nan_to_num(grid[4]) > 0
    prices = (grid[0], grid[1], grid[2], grid[3])
    return Bars(content.grid_ns[first:stop].copy(), names, *prices, grid[4], tradable)
