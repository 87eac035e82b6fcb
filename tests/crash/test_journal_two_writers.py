"""Two processes write for a while and are killed at random, over and over, on both databases."""

import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from forked_writers import Nursery, Writer
from places import Place

from workbench.adapters.journal import JournalDatabase
from workbench.adapters.journal.schema import PROJECTIONS

PATIENCE_S = 120.0


def open_journal(folder: Path, place: Place) -> JournalDatabase:
    return JournalDatabase(
        place.url, anchor_path=folder / "anchor", anchor_key=b"key", config_hash="c", wall_ns=time.time_ns
    )


def run(folder: Path, place: Place, seconds: float, seed: int) -> dict[str, int]:
    """Keep two writers alive for so long, killing one or both at random; then prove the journal.

    A busy machine gets more time, until enough was acknowledged for the proof to mean something.
    """
    draw = random.Random(seed)
    nursery = Nursery(folder, place.url)
    ends = time.monotonic() + seconds
    acknowledged: list[str] = []
    kills = born = 0
    alive: list[Writer] = []

    def more() -> bool:
        late_s = time.monotonic() - ends
        return late_s < 0 or (late_s < PATIENCE_S and (kills < 6 or len(acknowledged) <= 20))

    while more() or alive:
        while len(alive) < 2 and more():
            born += 1
            alive.append(nursery.new_writer(f"w{born}"))
        chosen = draw.choice(alive)
        if draw.random() < 0.9:  # else it is killed while it opens the journal
            wait_until(lambda chosen=chosen: chosen.is_open)
            threading.Event().wait(draw.uniform(0.0, 1.0))
        for writer in list(alive) if draw.random() < 0.3 else [chosen]:
            acknowledged += writer.kill()
            alive.remove(writer)
            kills += 1
    nursery.close()
    check(folder, place, acknowledged)
    return {"kills": kills, "acknowledged": len(acknowledged)}


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "a writer does not open its journal"
        threading.Event().wait(0.005)


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
    found = run(tmp_path, place, 6.0, seed=7)
    assert found["kills"] >= 6
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
