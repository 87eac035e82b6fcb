"""One session step for five symbols, journal on disk: decide, commit, control, send; at most 50 ms.

The bare loop of the same commits is timed beside it, so that the figure can be read on any machine.
"""

from __future__ import annotations

import sqlite3
import statistics
import time
from pathlib import Path

import drive

from workbench.bootstrap.desk import Desk

LIMIT_MS = 50.0
BARE_COMMITS = 50


def bare_commit_ms(folder: Path) -> float:
    """Median time of one durable SQLite commit of one row on this disk."""
    database = sqlite3.connect(folder / "bare.sqlite", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE rows (payload TEXT)")
    spent = []
    for _ in range(BARE_COMMITS):
        started = time.perf_counter()
        database.execute("BEGIN IMMEDIATE")
        database.execute("INSERT INTO rows VALUES (?)", ("x" * 500,))
        database.execute("COMMIT")
        spent.append((time.perf_counter() - started) * 1e3)
    database.close()
    return statistics.median(spent)


def test_one_session_step(tmp_path: Path) -> None:
    settings = drive.make_desk(tmp_path / "desk")
    spent: list[float] = []
    for session in drive.sessions_of(settings):
        job = drive.start(settings, session)
        job.trading.start()
        for scheduled_ns in job.trading.times.decision_ns:
            started = time.perf_counter()
            job.trading.decide(scheduled_ns)
            spent.append((time.perf_counter() - started) * 1e3)
        job.trading.watch()
        job.trading.close()
        job.finish()
        job.account.close()
    warm = sorted(spent[1:])  # the first call loads the compiled kernels
    orders = len(Desk(settings).journal.rows("orders"))
    median, worst, bare = statistics.median(warm), warm[-1], bare_commit_ms(tmp_path)
    print(
        f"\none session step, {len(settings.universe)} symbols, {orders} orders in {len(spent)} sessions: "
        f"median {median:.1f} ms, worst {worst:.1f} ms, first {spent[0]:.0f} ms (limit {LIMIT_MS:.0f} ms); "
        f"one bare durable commit {bare:.2f} ms, ratio {median / bare:.0f}"
    )
    assert median <= LIMIT_MS
