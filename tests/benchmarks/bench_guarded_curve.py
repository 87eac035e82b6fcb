"""How the guarded session's cost grows: with sessions, cycles, symbols and orders; and what memory does.

Twice the work should be twice the cost: the last column is the cost of one piece of work against that of
the first line. Memory is what the process holds at the end of each quarter of a long run, journal and
market on disk as a desk has them.
"""

from __future__ import annotations

import gc
import tempfile
from pathlib import Path

import parity
from guarded import session_s, world

from workbench.services.session import TradingSession


def table(what: str, cells: list[tuple[int, float]]) -> list[str]:
    first = cells[0][1] / cells[0][0]
    return [f"{what} {n:>6,}: {spent:8.3f} CPU-s, {spent / n / first:.2f}" for n, spent in cells]


def test_the_cost_grows_with_the_work() -> None:
    session_s(world(trading=True, sessions=3))
    lines = ["one piece of work against that of the first line:"]
    quiet, busy = [], []
    for sessions in (8, 16, 32, 64):
        quiet.append((sessions, session_s(world(trading=False, sessions=sessions))[0]))
        spent, found, _ = session_s(world(trading=True, sessions=sessions))
        busy.append((len(found["orders"]), spent))
    lines += table("sessions of 100 symbols, nothing trades", quiet) + table(
        "orders, everything trades", busy
    )
    cycles = [(n, session_s(world(trading=False, sessions=4), cycles=n)[0] / 4) for n in (10, 20, 40, 80)]
    lines += table("cycles in a session", cycles)
    wide = [(n, session_s(world(trading=True, symbols=n, sessions=8))[0]) for n in (25, 50, 100, 200)]
    lines += table("symbols, everything trades", wide)
    print("\n" + "\n".join(lines))


def resident_mb() -> float:
    """Memory that the process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def test_memory_is_flat_in_the_number_of_cycles() -> None:
    sessions, cycles = 64, 8
    seen: list[float] = []
    close = TradingSession.close

    def closing(self: TradingSession) -> object:
        report = close(self)
        gc.collect()
        seen.append(resident_mb())
        return report

    with tempfile.TemporaryDirectory() as folder:
        TradingSession.close = closing  # type: ignore[assignment,method-assign]
        try:
            parity.journalled(world(trading=True, sessions=sessions), Path(folder), cycles=cycles).close()
        finally:
            TradingSession.close = close  # type: ignore[method-assign]
    quarters = [round(seen[n * sessions // 4 - 1], 1) for n in (1, 2, 3, 4)]
    print(f"\nresident MB after each quarter of {sessions * cycles} cycles that trade: {quarters}")
