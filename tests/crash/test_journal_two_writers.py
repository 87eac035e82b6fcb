"""Two processes write for a while and are killed at random, over and over, on both databases."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from places import Place

from workbench.adapters.journal import JournalDatabase
from workbench.adapters.journal.schema import PROJECTIONS

WRITER = """
import sys, time
sys.path.insert(0, sys.argv[4])
from pathlib import Path
from journals import changed, fill, intended, alert
from workbench.adapters.journal import JournalDatabase

folder, url, name = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
journal = JournalDatabase(
    url, anchor_path=folder / "anchor", anchor_key=b"key", config_hash="c", wall_ns=time.time_ns
)
print("open", flush=True)
n = 0
while True:
    n += 1
    order = f"{name}-{n}"
    journal.commit([intended(order, symbol=order), changed("SENT", order)])
    recorded = journal.commit(
        [fill(order, f"x{order}", symbol=order), changed("PARTIALLY_FILLED", order, filled_nano=10**9)]
    )
    print(recorded[-1].seq, recorded[-1].hash, order, flush=True)
"""


def open_journal(folder: Path, place: Place) -> JournalDatabase:
    return JournalDatabase(
        place.url, anchor_path=folder / "anchor", anchor_key=b"key", config_hash="c", wall_ns=time.time_ns
    )


class Writer:
    """A process that writes, and what it was told is durable."""

    def __init__(self, folder: Path, place: Place, name: str) -> None:
        support = Path(__file__).parents[1] / "support"
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder), place.url, name, str(support)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            if line.endswith("\n"):  # an unfinished line was read by nobody
                self.lines.append(line.rstrip())

    def kill(self) -> list[str]:
        """Kill it; the lines of what it acknowledged."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self._reader.join()
        words = self.process.stderr.read()
        self.process.stdout.close()
        self.process.stderr.close()
        assert self.process.returncode == -signal.SIGKILL, words
        return self.lines[1:]


def run(folder: Path, place: Place, seconds: float, seed: int) -> dict[str, int]:
    """Keep two writers alive for so long, killing one or both at random; then prove the journal."""
    draw = random.Random(seed)
    ends = time.monotonic() + seconds
    acknowledged: list[str] = []
    kills = born = 0
    alive: list[Writer] = []
    while time.monotonic() < ends or alive:
        while len(alive) < 2 and time.monotonic() < ends:
            born += 1
            alive.append(Writer(folder, place, f"w{born}"))
        chosen = draw.choice(alive)
        while not chosen.lines and chosen.process.poll() is None:
            threading.Event().wait(0.01)  # it is opening the journal
        threading.Event().wait(draw.uniform(0.0, 1.5))
        for writer in list(alive) if draw.random() < 0.3 else [chosen]:
            acknowledged += writer.kill()
            alive.remove(writer)
            kills += 1
    check(folder, place, acknowledged)
    return {"kills": kills, "acknowledged": len(acknowledged)}


def check(folder: Path, place: Place, acknowledged: list[str]) -> None:
    with open_journal(folder, place) as journal:
        hashes = {event.seq: event.hash for event in journal.events()}
        orders = {row["client_order_id"]: row for row in journal.rows("orders")}
        for line in acknowledged:
            seq, digest, order = line.split()
            assert hashes[int(seq)] == digest
            assert orders[f"wb1-{order}"]["filled_nano"] == 10**9
        states = [row["state"] for row in orders.values()]
        assert set(states) <= {"SENT", "PARTIALLY_FILLED"}  # never half a commit
        assert len(journal.rows("fills")) == states.count("PARTIALLY_FILLED")
        report = journal.verify()
        assert report.ok, report.reason
        assert report.events == len(hashes) == 2 * len(states) + 2 * states.count("PARTIALLY_FILLED")
        live = {name: journal.rows(name) for name in PROJECTIONS}
        journal.rebuild_projections()
        assert {name: journal.rows(name) for name in PROJECTIONS} == live


def test_two_writers_killed_at_random_lose_nothing_they_acknowledged(tmp_path, place):
    found = run(tmp_path, place, 10.0, seed=7)
    assert found["kills"] >= 4
    assert found["acknowledged"] > 20


@pytest.mark.prove
def test_two_writers_killed_at_random_for_five_minutes(tmp_path, place, record_property):
    seed = int(os.environ.get("PROOF_SEED", "20130102"))
    found = run(tmp_path, place, 300.0, seed)
    for name, value in found.items():
        record_property(name, value)
    record_property("seed", seed)
    assert found["kills"] > 100
    assert found["acknowledged"] > 1_000
