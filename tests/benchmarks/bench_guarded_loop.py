"""The whole guarded session in replay: journal in memory where there is such a folder, venue in process.

One figure where nothing trades (bars a CPU second, of cycles within a session and of whole sessions) and one
where everything does (orders a CPU second), beside the compiled loop on the same market and beside the bare
commits of the same rows in the same run. What is promised stands beside it.
"""

from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path

import parity
from guarded import CYCLES, MEMORY, SESSIONS, SYMBOLS, cpu_s, session_s, world
from parity import FIRST


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
