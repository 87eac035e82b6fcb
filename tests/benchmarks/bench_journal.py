"""The journal against bare sqlite3 that writes the same rows, interleaved in one run; ratios and rates.

`BARS` are what was promised of a disk. The figures there are void when the disk itself flushes fewer than
3,000 times a second. The same is measured in memory, where a flush is free, in CPU time, which other work
on the machine does not stretch: the rates of a batch and of tasks are held to the same bars, the ratio of a
single commit is shown as it is.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from journals import intent

from workbench.adapters.journal import GroupCommit, JournalDatabase
from workbench.core.ports import Event

BARS = {"commit_of_bare": 0.75, "batch_per_s": 40_000, "tasks_per_s": 18_000}
FLUSHES_PER_S = 3_000
BATCH, TASKS = 64, 64
MEMORY = "/dev/shm"  # noqa: S108


def open_journal(folder: Path) -> JournalDatabase:
    return JournalDatabase(
        f"sqlite:///{folder / 'journal.sqlite'}", anchor_path=folder / "anchor", anchor_key=b"k" * 32,
        config_hash="c" * 64, wall_ns=time.time_ns,
    )  # fmt: skip


def intents(first: int, count: int) -> list[Event]:
    return [
        Event("order.intended", {**intent(n), "symbol": f"S{n}", "verdict": "allowed"})
        for n in range(first, first + count)
    ]


def sent(first: int, count: int) -> list[Event]:
    return [
        Event("order.changed", {"client_order_id": f"wb1-{n}", "state": "SENT", "at_ns": n})
        for n in range(first, first + count)
    ]


class Bare:
    """sqlite3 alone, with the same tables, indexes and durability; it writes rows made beforehand."""

    def __init__(self, folder: Path, events: list[Event]) -> None:
        with open_journal(folder / "model") as journal:
            journal.commit(events)
            source = sqlite3.connect(folder / "model" / "journal.sqlite")
        self.connection = sqlite3.connect(folder / "bare.sqlite", isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            self.connection.execute(f"PRAGMA {pragma}")
        for (sql,) in source.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"):
            self.connection.execute(sql)
        self.rows, self.insert = {}, {}
        for name in ("events", "orders"):
            self.rows[name] = source.execute(f"SELECT * FROM {name}").fetchall()  # noqa: S608
            marks = ",".join("?" * len(self.rows[name][0]))
            self.insert[name] = f"INSERT INTO {name} VALUES ({marks})"  # noqa: S608
        source.close()

    def commit(self, at: int, count: int) -> None:
        execute = self.connection.execute
        execute("BEGIN IMMEDIATE")
        for name, insert in self.insert.items():
            self.connection.executemany(insert, self.rows[name][at : at + count])
        execute("COMMIT")

    def commit_sent(self, at: int) -> None:
        """The event and the change of the order that SENT is."""
        execute = self.connection.execute
        execute("BEGIN IMMEDIATE")
        execute(self.insert["events"], (1_000_000 + at, *self.rows["events"][at][1:]))
        execute(
            "UPDATE orders SET filled_nano=?, reason=?, sent_at_ns=?, seq=?, state=?, venue_order_id=? "
            "WHERE client_order_id=?",
            (0, "", 1, 1_000_000 + at, "SENT", "", f"wb1-{at}"),
        )
        execute("COMMIT")


def flushes_per_s(folder: Path, count: int = 300) -> float:
    """How often the disk itself can make 200 bytes durable."""
    descriptor = os.open(folder / "flush", os.O_WRONLY | os.O_CREAT)
    started = time.perf_counter()
    for _ in range(count):
        os.write(descriptor, b"x" * 200)
        os.fdatasync(descriptor)
    os.close(descriptor)
    return count / (time.perf_counter() - started)


Clock = Callable[[], float]


def timed(call: Callable[[], object], clock: Clock) -> float:
    started = clock()
    call()
    return clock() - started


def rounds(folder: Path, count: int) -> Iterator[tuple[int, JournalDatabase, Bare]]:
    (folder / "ours").mkdir()
    bare = Bare(folder, intents(0, count * BATCH))
    with open_journal(folder / "ours") as journal:
        for n in range(count):
            yield n, journal, bare


def measure_single(folder: Path, clock: Clock, count: int = 600) -> tuple[float, float]:
    """Seconds of ours and of bare for one intent: INTENDED, then SENT, a commit each; medians."""
    ours, bare_s = [], []
    (folder / "ours").mkdir()
    bare = Bare(folder, intents(0, count))
    with open_journal(folder / "ours") as journal:
        for n in range(count):
            both = (intents(n, 1), sent(n, 1))
            ours.append(timed(lambda both=both: [journal.commit(events) for events in both], clock))
            bare_s.append(timed(lambda n=n: (bare.commit(n, 1), bare.commit_sent(n)), clock))
    bare.connection.close()
    return statistics.median(ours[50:]) / 2, statistics.median(bare_s[50:]) / 2


def measure_batch(folder: Path, clock: Clock, count: int = 60) -> tuple[float, float]:
    """Seconds of ours and of bare for a batch of intents in one commit; medians."""
    ours, bare_s = [], []
    for n, journal, bare in rounds(folder, count):
        batch = intents(n * BATCH, BATCH)
        ours.append(timed(lambda journal=journal, batch=batch: journal.commit(batch), clock))
        bare_s.append(timed(lambda bare=bare, n=n: bare.commit(n * BATCH, BATCH), clock))
    bare.connection.close()
    return statistics.median(ours[5:]), statistics.median(bare_s[5:])


def measure_both(folder: Path, clock: Clock, count: int = 40) -> float:
    """Seconds of the two commits that a batch of orders shares before its first request; the median."""
    with open_journal(folder) as journal:
        seconds = []
        for n in range(count):
            both = (intents(n * BATCH, BATCH), sent(n * BATCH, BATCH))
            seconds.append(timed(lambda both=both: [journal.commit(events) for events in both], clock))
        return statistics.median(seconds[5:])


def measure_tasks(folder: Path, clock: Clock, count: int = 40) -> float:
    """Seconds until each of many tasks has its own intent on disk, `count` times in turn; the median turn."""
    with open_journal(folder) as journal:

        async def run() -> list[float]:
            seconds = []
            async with GroupCommit(journal) as group:
                for turn in range(count):
                    batch = intents(turn * TASKS, TASKS)
                    started = clock()
                    await asyncio.gather(*(asyncio.create_task(group.commit([event])) for event in batch))
                    seconds.append(clock() - started)
            return seconds

        return statistics.median(asyncio.run(run())[5:])


def measure(place: str | None, clock: Clock) -> dict[str, float]:
    """All figures of one run in folders of this place, each of its own; None = where temporary files go."""
    with tempfile.TemporaryDirectory(dir=place) as name:
        base, found = Path(name), {}
        for part in ("flush", "single", "batch", "both", "tasks"):
            (base / part).mkdir()
        before = flushes_per_s(base / "flush")
        ours, bare = measure_single(base / "single", clock)
        found |= {"commits_per_s": 1 / ours, "bare_commits_per_s": 1 / bare, "commit_of_bare": bare / ours}
        ours, bare = measure_batch(base / "batch", clock)
        found |= {"batch_per_s": BATCH / ours, "bare_batch_per_s": BATCH / bare, "batch_of_bare": bare / ours}
        found["both_commits_per_s"] = BATCH / measure_both(base / "both", clock)
        found["tasks_per_s"] = TASKS / measure_tasks(base / "tasks", clock)
        after = flushes_per_s(base / "flush")
        slow, fast = sorted((before, after))
        return found | {"flushes_per_s": slow, "flushes_spread": fast / slow}


def report(where: str, found: dict[str, float], bars: dict[str, float]) -> None:
    print(f"\n{where}; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for name, value in found.items():
        bar = f"  (bar {bars[name]:,})" if name in bars else ""
        print(f"{name:>20} {value:>12,.2f}{bar}")
    if found["flushes_per_s"] < FLUSHES_PER_S:
        print("void: the disk flushes too slowly for the rates to mean anything")
    else:
        missed = [name for name, bar in bars.items() if found[name] < bar]
        if found["bare_batch_per_s"] < BARS["batch_per_s"]:
            print("the bare database itself is slower here than the bar of a batch: read the ratios")
        print(f"missed: {', '.join(missed)}" if missed else "every bar is met")


def test_the_journal_is_near_the_bare_database() -> None:
    report("on disk", measure(None, time.perf_counter), BARS)


@pytest.mark.skipif(not os.path.isdir(MEMORY), reason="no folder in memory here")
def test_the_journal_is_fast_where_a_flush_is_free() -> None:
    report(
        f"in {MEMORY}, CPU time",
        measure(MEMORY, time.process_time),
        {name: BARS[name] for name in ("batch_per_s", "tasks_per_s")},
    )
