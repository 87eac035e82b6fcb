"""kill -9 at any moment: what was acknowledged is there, the chain is whole, projections follow from it."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from workbench.adapters.journal import JournalDatabase

WRITER = """
import sys, time
from pathlib import Path
from workbench.adapters.journal import JournalDatabase
from workbench.core.ports import Event

folder = Path(sys.argv[1])
name = sys.argv[2]
journal = JournalDatabase(
    f"sqlite:///{folder / 'journal.sqlite'}", anchor_path=folder / "anchor", anchor_key=b"key",
    config_hash="c", wall_ns=time.time_ns,
)
print("open", flush=True)
n = 0
while True:
    identity = f"wb1-{name}-{n}"
    intent = {
        "client_order_id": identity, "account": "demo", "strategy": "s", "session": "2013-02-01",
        "scheduled_ns": n, "symbol": identity, "leg": "entry", "side": "buy", "quantity_nano": 10**9,
        "order_type": "market", "limit_micro": 0, "reference_micro": 1, "expected_cost_micro": 0,
        "parent_id": "", "decision_id": "", "verdict": "allowed",
    }
    sent = {"client_order_id": identity, "state": "SENT", "at_ns": n}
    recorded = journal.commit([Event("order.intended", intent), Event("order.changed", sent)])
    print(recorded[-1].seq, identity, flush=True)
    n += 1
"""


def open_journal(folder: Path) -> JournalDatabase:
    return JournalDatabase(
        f"sqlite:///{folder / 'journal.sqlite'}", anchor_path=folder / "anchor", anchor_key=b"key",
        config_hash="c", wall_ns=time.time_ns,
    )  # fmt: skip


def start(folder: Path, name: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), name],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )


def kill_after(writers: list[subprocess.Popen], lines: int) -> list[list[str]]:
    """Let the first writer acknowledge that many lines, kill all, and give what each acknowledged."""
    read = [[writer.stdout.readline().rstrip()] for writer in writers]
    for writer, seen in list(zip(writers, read, strict=True))[1:]:
        seen.append(writer.stdout.readline().rstrip())  # the others have written at least once
    for _ in range(lines):
        read[0].append(writers[0].stdout.readline().rstrip())
    for writer in writers:
        writer.send_signal(signal.SIGKILL)
    for writer, seen in zip(writers, read, strict=True):
        rest, _ = writer.communicate()
        assert writer.returncode == -signal.SIGKILL
        # an unfinished last line was not read by anybody: not acknowledged
        seen += rest[: rest.rfind("\n") + 1].splitlines()
        assert seen.pop(0) == "open"
    return read


def check(folder: Path, acknowledged: list[str]) -> None:
    with open_journal(folder) as journal:
        events = {event.seq: event for event in journal.events()}
        orders = {row["client_order_id"]: row["state"] for row in journal.rows("orders")}
        for line in acknowledged:
            seq, identity = line.split()
            assert events[int(seq)].payload["client_order_id"] == identity
            assert orders[identity] == "SENT"
        assert set(orders.values()) == {"SENT"}  # never half a commit
        assert len(events) == 2 * len(orders)
        report = journal.verify()
        assert report.ok, report.reason
        live = journal.rows("orders")
        journal.rebuild_projections()
        assert journal.rows("orders") == live


@pytest.mark.parametrize("seed", range(2))
def test_a_killed_writer_loses_nothing_that_it_acknowledged(tmp_path, seed):
    draw = random.Random(seed)
    acknowledged = []
    for turn in range(2):
        acknowledged += kill_after([start(tmp_path, f"w{turn}")], draw.randrange(0, 60))[0]
        check(tmp_path, acknowledged)


def test_two_killed_writers_share_one_chain_and_lose_nothing(tmp_path):
    both = kill_after([start(tmp_path, "a"), start(tmp_path, "b")], 40)
    check(tmp_path, both[0] + both[1])
    assert all(both)


def test_a_kill_during_the_making_of_a_journal_is_recovered(tmp_path):
    draw = random.Random(11)
    for turn in range(3):
        folder = tmp_path / str(turn)
        folder.mkdir()
        writer = start(folder, "x")
        while not any(folder.iterdir()) and writer.poll() is None:
            time.sleep(0.001)
        time.sleep(draw.random() * 0.03)
        writer.kill()
        out, _ = writer.communicate()
        with open_journal(folder) as journal:
            assert journal.verify().ok
            complete = out[: out.rfind("\n") + 1].splitlines()
            assert journal.head()[0] >= max([int(line.split()[0]) for line in complete[1:]], default=0)
