"""Only the scheduler that owns the lease writes: the fence is in the journal, on both databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from places import Place

from workbench.adapters.journal import JournalDatabase
from workbench.core.ports import Event
from workbench.errors import JournalConflict, LeaseLost
from workbench.services.jobs import scheduler_lease

LEASE = scheduler_lease("demo")
TTL = 20_000_000_000


@pytest.fixture
def journal(place: Place, tmp_path: Path) -> Iterator[JournalDatabase]:
    anchor = tmp_path / "journal.anchor"
    database = JournalDatabase(
        place.url, anchor_path=anchor, anchor_key=b"key", config_hash="f" * 64, wall_ns=Wall()
    )
    yield database
    database.close()


class Wall:
    def __init__(self) -> None:
        self.at_ns = 1_000

    def __call__(self) -> int:
        self.at_ns += 1
        return self.at_ns


def missed(token: int, due_ns: int = 5) -> Event:
    payload = {
        "job": "trading_loop", "session": "2013-02-01", "due_ns": due_ns, "reason": "late", "at_ns": 9,
        "lease": LEASE, "owner_token": token,
    }  # fmt: skip
    return Event("schedule.missed", payload)


def counted(token: int, from_ns: int = 5) -> Event:
    payload = {
        "job": "ingest",
        "declared_hash": "h",
        "from_ns": from_ns,
        "lease": LEASE,
        "owner_token": token,
    }
    return Event("schedule.counted", payload)


def started(token: int, number: int = 1) -> Event:
    payload: dict[str, Any] = {
        "run_id": f"ingest/2013-02-01.{number}", "job": "ingest", "session": "2013-02-01", "attempt": number,
        "parameters_hash": "p", "code_hash": "c", "cause": "schedule", "due_ns": 5, "lease": LEASE,
        "owner_token": token, "holder": "a:b:1:2",
    }  # fmt: skip
    return Event("run.started", payload)


@pytest.mark.parametrize("event", [missed, counted, started])
def test_a_scheduler_that_was_replaced_writes_nothing(
    event: Callable[[int], Event], journal: JournalDatabase
) -> None:
    with pytest.raises(LeaseLost, match="nobody does"):
        journal.commit([event(1)])
    first = journal.acquire_lease(LEASE, "a", ttl_ns=TTL)
    journal.commit([event(first.token)])
    second = journal.acquire_lease(LEASE, "b", ttl_ns=TTL, proof_of_death="a")
    before = journal.head()
    with pytest.raises(LeaseLost, match="b does"):
        journal.commit([event(first.token)])
    assert journal.head() == before
    journal.release_lease(second)
    with pytest.raises(LeaseLost, match="nobody does"):
        journal.commit([event(second.token)])
    assert journal.verify().ok


def test_a_slot_is_named_as_missed_once(journal: JournalDatabase) -> None:
    token = journal.acquire_lease(LEASE, "a", ttl_ns=TTL).token
    journal.commit([missed(token)])
    with pytest.raises(JournalConflict):
        journal.commit([missed(token)])
    journal.commit([missed(token, due_ns=6)])
    assert [row["due_ns"] for row in journal.rows("missed_slots")] == [5, 6]


def test_a_run_id_is_used_once_and_keeps_its_plan(journal: JournalDatabase) -> None:
    token = journal.acquire_lease(LEASE, "a", ttl_ns=TTL).token
    journal.commit([started(token)])
    with pytest.raises(JournalConflict):
        journal.commit([started(token)])
    (plan,) = journal.rows("run_plans")
    assert (plan["cause"], plan["due_ns"], plan["owner_token"], plan["holder"]) == (
        "schedule", 5, token, "a:b:1:2",
    )  # fmt: skip
    assert "due_ns" not in journal.rows("runs")[0]


def test_only_a_registered_person_with_a_reason_pauses(journal: JournalDatabase) -> None:
    word = {"job": "ingest", "person": "ann", "reason": "feed is down"}
    with pytest.raises(JournalConflict, match="without a registered person"):
        journal.commit([Event("schedule.paused", word)])
    journal.commit([Event("person.added", {"person": "ann", "role": "operator", "passphrase_hash": ""})])
    with pytest.raises(JournalConflict, match="and a reason"):
        journal.commit([Event("schedule.paused", {**word, "reason": ""})])
    journal.commit([Event("schedule.paused", word)])
    assert journal.rows("pauses", paused=True)[0]["person"] == "ann"
    journal.commit([Event("schedule.resumed", word)])
    assert journal.rows("pauses", paused=True) == []
    assert journal.verify().ok
    assert journal.rebuild_projections() > 0
    assert len(journal.rows("pauses")) == 1
