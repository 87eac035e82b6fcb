"""Made-up panels of bars that the checks change in known ways; the same in every process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from workbench.core.types import Bars

ROWS, SYMBOLS = 140, 5
PARTS = ("open", "high", "low", "close", "volume")


def panel(seed: int, rows: int = ROWS, symbols: int = SYMBOLS) -> Bars:
    """Random walks with plausible bars, without a gap."""
    draw = np.random.default_rng(seed)
    close = np.round(50.0 * np.exp(np.cumsum(draw.normal(0.0, 0.02, (rows, symbols)), axis=0)), 2)
    above, below = (np.round(draw.uniform(0.05, 1.0, (rows, symbols)), 2) for _ in range(2))
    opening = np.round(close - below + (above + below) * draw.uniform(0, 1, (rows, symbols)), 2)
    volume = draw.integers(10_000, 5_000_000, (rows, symbols)).astype(np.float64)
    return Bars(
        np.arange(1, rows + 1), tuple(f"S{i}" for i in range(symbols)), opening, close + above,
        close - below, close, volume, np.ones((rows, symbols), dtype=np.bool_),
    )  # fmt: skip


def changed(bars: Bars, rows: Any, columns: Any, **values: Any) -> Bars:
    """The bars with other values at the rows and columns, by name of the part."""
    parts = {name: getattr(bars, name).copy() for name in (*PARTS, "tradable")}
    for name, value in values.items():
        parts[name][rows, columns] = value
    return replace(bars, **parts)


def columns(bars: Bars, order: Sequence[int], symbols: tuple[str, ...] | None = None) -> Bars:
    """The bars with their columns in another order, or only some of them."""
    parts = {name: getattr(bars, name)[:, list(order)] for name in (*PARTS, "tradable")}
    return replace(bars, symbols=symbols or bars.symbols, **parts)
