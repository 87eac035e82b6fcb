"""The whole guarded session in replay: journal in memory where there is such a folder, venue in process.

One figure where nothing trades (bars a CPU second, of cycles within a session and of whole sessions) and one
where everything does (orders a CPU second), beside the compiled loop on the same market and beside the bare
commits of the same rows in the same run. What is promised stands in the last column. Then how the cost
grows with sessions, cycles and symbols, and what memory does over many cycles.
"""

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


def bare_s(sizes: list[int]) -> float:
    """CPU seconds in which sqlite3 alone takes rows of these sizes, 64 to a commit."""
    texts = ["x" * size for size in sizes]
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        database = sqlite3.connect(Path(folder) / "bare.sqlite", isolation_level=None)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("CREATE TABLE rows (seq INTEGER PRIMARY KEY, payload TEXT)")

        def write() -> None:
            for at in range(0, len(texts), 64):
                database.execute("BEGIN IMMEDIATE")
                database.executemany(
                    "INSERT INTO rows (payload) VALUES (?)", [(t,) for t in texts[at : at + 64]]
                )
                database.execute("COMMIT")

        spent, _ = cpu_s(write)
        database.close()
    return spent


def test_the_guarded_loop() -> None:
    lines = []
    for trading in (False, True):
        one = world(trading=trading)
        parity.simulated(one)
        session_s(world(trading=trading, sessions=3))  # kernels are compiled or loaded here
        loop, result = cpu_s(lambda w=one: parity.simulated(w))  # type: ignore[misc]
        spent, found, sizes = session_s(one)
        assert len(found["orders"]) == len(result.order_record)
        assert (
            found["fills"] == parity.records_of_simulation(result, parity.decision_times(one), FIRST)["fills"]
        )
        bare = bare_s(sizes)
        apart = f"loop {loop * 1e3:.1f} ms, {spent / bare:.0f} bare writes of the same {len(sizes):,} events"
        each = f"{spent / SESSIONS * 1e3:.1f} ms a session; {apart}"
        if trading:
            orders = len(found["orders"])
            lines.append(
                f"everything trades: {orders / spent:,.0f} orders/CPU-s of {orders:,} (bar 12,000), {each}"
            )
            continue
        lines.append(f"nothing trades: {SYMBOLS * SESSIONS / spent:,.0f} bars/CPU-s, {each}")
        few, many = (session_s(one, cycles=n)[0] for n in (1, CYCLES))
        cycle = (many - few) / (SESSIONS * (CYCLES - 1))
        rate = SYMBOLS / cycle
        lines.append(
            f"a further cycle of a session, nothing trades: {rate:,.0f} bars/CPU-s (bar 1,000,000), "
            f"{cycle * 1e3:.2f} ms a cycle"
        )
    print("\n" + "\n".join(lines))
