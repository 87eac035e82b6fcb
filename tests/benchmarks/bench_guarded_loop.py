"""The whole guarded session in replay: 100 symbols, journal on disk as a desk has it, venue in process.

One figure where nothing trades (bars a CPU second) and one where everything does (orders a CPU second),
beside the compiled loop on the same market in the same run. What is promised stands in the last column;
the session is not there yet, and the table says so.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import parity
from parity import FIRST, World

from workbench.core.costs import PriorCost
from workbench.core.fills import FillParams
from workbench.core.policy import PolicyParams
from workbench.core.pretrade import Limits
from workbench.core.types import Bars

SYMBOLS, SESSIONS = 100, 6
LIMITS = Limits(
    max_order_shares=10**6, max_order_notional_usd=10**6, max_position_shares=10**6,
    max_position_notional_usd=10**6, max_gross_notional_usd=10**8, max_participation=0.5,
    max_quoted_spread_bps=500.0, max_expected_cost_bps=500.0, max_orders_per_minute=10_000,
)  # fmt: skip


def world(*, trading: bool) -> World:
    rng = np.random.default_rng(1)
    rows = FIRST + SESSIONS
    shape = (rows, SYMBOLS)
    close = np.round(100.0 * np.exp(np.cumsum(rng.normal(0, 0.01, shape), axis=0)), 2)
    opened = np.round(np.vstack([close[:1], close[:-1]]), 2)
    ends = np.array([parity.CALENDAR.session_close_ns(session) for session in parity.SESSIONS[:rows]])
    bars = Bars(
        ends, tuple(f"S{i:03d}" for i in range(SYMBOLS)), opened, np.maximum(opened, close) + 0.05,
        np.minimum(opened, close) - 0.05, close, np.full(shape, 1e6), np.ones(shape, dtype=np.bool_),
    )  # fmt: skip
    turns = np.where(np.arange(rows) % 2, 0.05, -0.05)[:, None] * np.ones(shape)
    policy = PolicyParams(
        max_weight=0.009, min_trade_weight=0.001, entry_order_type="market_on_open", gain=100.0
    )
    prior = PriorCost(max_notional_usd=10**6, valid_days=1_000)
    return World(bars, turns if trading else np.zeros(shape), policy, LIMITS, FillParams(), prior, 10_000_000)


def cpu_s(call):  # type: ignore[no-untyped-def]
    started = time.process_time()
    result = call()
    return time.process_time() - started, result


def test_the_guarded_loop() -> None:
    lines = []
    for trading in (False, True):
        one = world(trading=trading)
        parity.simulated(one)
        with tempfile.TemporaryDirectory() as folder:  # kernels are compiled here, outside what is measured
            cold, journal = cpu_s(lambda w=one, f=folder: parity.journalled(w, Path(f)))
            journal.close()
        loop, result = cpu_s(lambda w=one: parity.simulated(w))
        with tempfile.TemporaryDirectory() as folder:
            spent, journal = cpu_s(lambda w=one, f=folder: parity.journalled(w, Path(f)))
            found = parity.records_of_journal(journal)
            journal.close()
        assert len(found["orders"]) == len(result.order_record)
        assert (
            found["fills"] == parity.records_of_simulation(result, parity.decision_times(one), FIRST)["fills"]
        )
        bars, orders = SYMBOLS * SESSIONS, len(found["orders"])
        rate = f"{orders / spent:,.0f} orders/CPU-s (bar 12,000)" if trading else (
            f"{bars / spent:,.0f} bars/CPU-s (bar 1,000,000)"
        )  # fmt: skip
        word = "everything trades" if trading else "nothing trades"
        apart = f"loop {loop * 1e3:.1f} ms, first run with compilation {cold:.1f} s"
        lines.append(f"{word}: {rate}, {spent / SESSIONS * 1e3:.0f} ms a session, {apart}")
    print("\n" + "\n".join(lines))
