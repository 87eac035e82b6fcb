"""CPU seconds of fitting a cost model: 500 symbols x 250 days, one fill a symbol and day."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

import workbench as wb

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

SYMBOLS, DAYS = 500, 250
BAR_CPU_S = 5.0


def records() -> pd.DataFrame:
    from own_fills import draw

    table = draw(SYMBOLS * DAYS, 1).records
    days = np.repeat(pd.bdate_range("2025-01-02", periods=DAYS).strftime("%Y-%m-%d").to_numpy(), SYMBOLS)
    return table.assign(session=days, symbol=[f"S{n % SYMBOLS:04d}" for n in range(len(table))])


def test_fit_of_500_symbols_and_250_days() -> None:
    given = records()
    used = []
    for _ in range(3):
        start = time.process_time()
        model = wb.costs.fit_cost_model(given, as_of="2026-06-01", min_fills=500)
        used.append(time.process_time() - start)
    assert model.parameters.symbol_count == SYMBOLS
    print(f"fit of {len(given):,} records: {min(used):.2f} to {max(used):.2f} CPU-s (bar {BAR_CPU_S})")
