"""Returns of 20 large companies, 1990-2022, whole and with all blocks of sessions in another order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

import workbench as wb

CLOSES = Path(__file__).resolve().parents[2] / "data" / "sample" / "closes" / "large_caps.parquet"
REFERENCE, STREAM = 756, 756  # sessions: three years each


def returns() -> pd.DataFrame:
    """Daily log returns by session."""
    closes = pd.read_parquet(CLOSES).set_index("session")
    closes.index = pd.to_datetime(closes.index)
    return np.log(closes).diff().iloc[1:]


def filtered(table: pd.DataFrame, fit_on: slice) -> pd.DataFrame:
    """The whole history divided by causal volatilities, their decays fitted on the named sessions."""
    fitted = wb.drift.VolatilityFilter.fit(table.loc[fit_on])
    start = tuple(float(table[name].iloc[:250].var()) for name in fitted.names)
    return type(fitted)(fitted.names, fitted.mean, fitted.decay, start).filtered(table).iloc[250:]


def dealt(rows: int, rng: np.random.Generator, mean_block: int = 250) -> np.ndarray:
    """Row numbers after stationary blocks of mean length were put in another order, nothing repeated."""
    ends = np.flatnonzero(rng.random(rows) < 1.0 / mean_block) + 1
    blocks = np.split(np.arange(rows), ends[ends < rows])
    return np.concatenate([blocks[at] for at in rng.permutation(len(blocks))])
