"""A recorded intraday day of 390 decisions, replayed: time per cycle beside the day's own, start-up excluded.

The day is traded at a loopback venue over sockets, as a desk at Alpaca trades, with a clock that jumps to the
next minute, so that the original holds nothing but work: no waiting. The replay answers from the recorded
messages. A day by a real clock takes a minute a cycle, which is told beside it. Both sides are compared byte
for byte before their times are.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import drive
import pytest

from tests.support.loopback_venue import UNIVERSE, pointed_at, venue_in_thread
from workbench.bootstrap.desk import Desk
from workbench.bootstrap.replay import replay

SESSION, CYCLES = "2013-02-01", 390
TIMES = ["open", *(f"open+{minute}m" for minute in range(1, CYCLES))]


def intraday(toml: str) -> str:
    listed = ", ".join(f'"{moment}"' for moment in TIMES)
    toml = toml.replace('decision_times = ["open-15m"]', f"decision_times = [{listed}]")
    assert '"open+389m"' in toml
    return toml


def test_a_recorded_day_is_replayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with venue_in_thread(
        symbols=UNIVERSE, matching="daily", start="2013-01-31T21:00:00Z", cash_usd=1_000_000,
        state=tmp_path / "venue.jsonl",
    ) as hands:  # fmt: skip
        monkeypatch.setenv("WORKBENCH_SECRETS__VENUE_KEY", hands.key)
        monkeypatch.setenv("WORKBENCH_SECRETS__VENUE_SECRET", hands.secret)
        settings = drive.make_desk(tmp_path / "desk", intraday(pointed_at(hands)))
        job = drive.start(settings, SESSION)
        started, cpu = time.perf_counter(), time.process_time()
        job.trading.start()
        for scheduled_ns in job.trading.times.decision_ns:
            job.trading.decide(scheduled_ns)
        job.trading.watch()
        job.trading.close()
        original, original_cpu = time.perf_counter() - started, time.process_time() - cpu
        job.finish()
    run, journal = str(job.run_id), Desk(settings).journal
    begun = time.perf_counter()
    reports = [replay(run, config=settings) for _ in range(2)]
    whole = (time.perf_counter() - begun) / 2
    assert all(report.identical for report in reports), reports[0].first_divergence
    assert len(journal.rows("decisions", session=SESSION)) == CYCLES
    again = min(report.seconds for report in reports)
    orders = len(journal.rows("orders", session=SESSION))
    print(
        f"\n{CYCLES} cycles, {orders} orders, load {os.getloadavg()[0]:.1f}: recorded "
        f"{original / CYCLES * 1e3:.1f} ms a cycle ({original_cpu / CYCLES * 1e3:.1f} ms CPU), "
        f"replayed {again / CYCLES * 1e3:.2f} ms a cycle: {again / original:.1%} of the work of the day, "
        f"{again / CYCLES / 60.0:.4%} of a day by a real clock (bar 10 %); with start-up {whole:.1f} s"
    )
    print(Desk(settings).timings().to_string(index=False))
