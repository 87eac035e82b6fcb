"""A market for the guarded session, and the CPU time of trading it: shared by its benchmarks."""

from __future__ import annotations

import gc
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import parity
from parity import FIRST, World

from workbench.core.costs import PriorCost
from workbench.core.fills import FillParams
from workbench.core.policy import PolicyParams
from workbench.core.pretrade import Limits
from workbench.core.types import Bars

SYMBOLS, SESSIONS, CYCLES = 100, 12, 78
_SHARED = Path("/dev") / "shm"  # files in memory: a flush there costs nothing
MEMORY = _SHARED if _SHARED.is_dir() else None
LIMITS = Limits(
    max_order_shares=10**6, max_order_notional_usd=10**6, max_position_shares=10**6,
    max_position_notional_usd=10**6, max_gross_notional_usd=10**8, max_participation=0.5,
    max_quoted_spread_bps=500.0, max_expected_cost_bps=500.0, max_orders_per_minute=10_000,
    max_open_symbols=1_000, max_working_orders=1_000, first_max_symbols=1_000, first_max_orders=10_000,
    first_max_notional_usd=10**8, max_window_turnover=10.0, max_repeated_executions=10_000,
)  # fmt: skip
Result = TypeVar("Result")


def world(*, trading: bool, symbols: int = SYMBOLS, sessions: int = SESSIONS) -> World:
    rng = np.random.default_rng(1)
    rows = FIRST + sessions
    shape = (rows, symbols)
    close = np.round(100.0 * np.exp(np.cumsum(rng.normal(0, 0.01, shape), axis=0)), 2)
    opened = np.round(np.vstack([close[:1], close[:-1]]), 2)
    ends = np.array([parity.CALENDAR.session_close_ns(session) for session in parity.SESSIONS[:rows]])
    bars = Bars(
        ends, tuple(f"S{i:03d}" for i in range(symbols)), opened, np.maximum(opened, close) + 0.05,
        np.minimum(opened, close) - 0.05, close, np.full(shape, 1e6), np.ones(shape, dtype=np.bool_),
    )  # fmt: skip
    turns = np.where(np.arange(rows) % 2, 0.05, -0.05)[:, None] * np.ones(shape)
    policy = PolicyParams(
        max_weight=min(0.009, 0.9 / symbols), min_trade_weight=0.0005, entry_order_type="market_on_open",
        gain=100.0,
    )  # fmt: skip
    prior = PriorCost(max_notional_usd=10**6, valid_days=1_000)
    return World(bars, turns if trading else np.zeros(shape), policy, LIMITS, FillParams(), prior, 10_000_000)


def cpu_s(call: Callable[[], Result]) -> tuple[float, Result]:
    gc.collect()
    started = time.process_time()
    result = call()
    return time.process_time() - started, result


def session_s(one: World, *, cycles: int = 1) -> tuple[float, dict[str, Any], list[int]]:
    """CPU seconds of all sessions, records found, and bytes written to the journal by event."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        spent, journal = cpu_s(lambda: parity.journalled(one, Path(folder), cycles=cycles))
        found = parity.records_of_journal(journal)
        database = sqlite3.connect(Path(folder) / "journal.sqlite")
        sizes = [size for (size,) in database.execute("SELECT length(payload) FROM events ORDER BY seq")]
        database.close()
        journal.close()
    return spent, found, sizes
