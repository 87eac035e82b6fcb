"""Tasks share a flush: none is answered before it, none answers for another's mistake."""

import asyncio

import pytest
from journals import Desk, alert, changed, intended, texts

from workbench.adapters.journal import GroupCommit
from workbench.errors import JournalConflict, LeaseLost, StorageFailed, UsageError


@pytest.fixture
def desk(tmp_path, place):
    desk = Desk(tmp_path, place)
    yield desk
    desk.close()


class Counted:
    """A journal that counts its flushes and what each held."""

    def __init__(self, journal):
        self.journal = journal
        self.flushes = []

    def commit(self, events, *, lease=None):
        recorded = self.journal.commit(events, lease=lease)
        self.flushes.append(len(recorded))
        return recorded


def test_64_tasks_share_few_flushes_and_each_gets_its_own_events(desk):
    journal = Counted(desk.open())

    async def run():
        async with GroupCommit(journal) as group:
            return await asyncio.gather(
                *(group.commit([alert(f"{n} a"), alert(f"{n} b")]) for n in range(64))
            )

    answers = asyncio.run(run())
    for n, recorded in enumerate(answers):
        assert [event.payload["text"] for event in recorded] == [f"{n} a", f"{n} b"]
        assert recorded[1].seq == recorded[0].seq + 1
    assert sum(journal.flushes) == 128
    assert len(journal.flushes) <= 3
    assert journal.journal.verify().ok


def test_nobody_is_answered_before_the_flush_that_holds_its_events(desk):
    journal = desk.open()
    reader = desk.open(read_only=True, key=None)
    early = []

    async def task(group, name):
        recorded = await group.commit([alert(name)])
        if name not in texts(reader):
            early.append(name)
        return recorded[0].seq

    async def run():
        async with GroupCommit(journal, most_events=8) as group:
            return await asyncio.gather(*(task(group, f"t{n}") for n in range(32)))

    assert sorted(asyncio.run(run())) == list(range(1, 33))
    assert early == []


def test_one_tasks_conflict_is_its_own(desk):
    journal = desk.open()
    journal.commit([intended(1)])

    async def run():
        async with GroupCommit(journal) as group:
            return await asyncio.gather(
                group.commit([intended(2, symbol="IBM")]),
                group.commit([intended(1)]),
                group.commit([alert("kept")]),
                group.commit([changed("FILLED", 9)]),
                group.commit([]),
                return_exceptions=True,
            )

    good, conflict, kept, unknown, empty = asyncio.run(run())
    assert (len(good), len(kept), empty) == (1, 1, ())
    assert isinstance(conflict, JournalConflict)
    assert isinstance(unknown, JournalConflict)
    assert texts(journal) == ["kept"]
    assert journal.verify().ok


def test_a_storage_failure_is_answered_to_all_and_nothing_is_kept(desk):
    tried = []

    class Full:
        def commit(self, events, *, lease=None):
            tried.append(len(events))
            raise StorageFailed("full", next_step="free space")

    async def run():
        async with GroupCommit(Full()) as group:
            return await asyncio.gather(
                *(group.commit([alert(str(n))]) for n in range(5)), return_exceptions=True
            )

    assert [type(answer) for answer in asyncio.run(run())] == [StorageFailed] * 5
    assert tried == [5]  # a database that keeps nothing is not asked for each of them again


def test_a_flush_takes_whole_tasks_up_to_its_number_of_events(desk):
    journal = Counted(desk.open())

    async def run():
        async with GroupCommit(journal, most_events=5) as group:
            await asyncio.gather(*(group.commit([alert(f"{n} {part}") for part in "ab"]) for n in range(6)))
            await group.commit([alert(str(n)) for n in range(9)])  # one that is larger goes alone

    asyncio.run(run())
    assert journal.flushes == [4, 4, 4, 9]


def test_closing_waits_for_what_was_handed_in(desk):
    journal = desk.open()

    async def run():
        group = GroupCommit(journal)
        waiting = [asyncio.create_task(group.commit([alert(str(n))])) for n in range(4)]
        await asyncio.sleep(0)
        await group.close()
        kept = texts(journal)
        await asyncio.gather(*waiting)
        return kept

    assert asyncio.run(run()) == ["0", "1", "2", "3"]


def test_an_error_that_nobody_expected_is_answered_too(desk):
    class Broken:
        def commit(self, events, *, lease=None):
            raise RuntimeError("a defect")

    async def run():
        async with GroupCommit(Broken()) as group:
            return await asyncio.wait_for(
                asyncio.gather(*(group.commit([alert()]) for _ in range(3)), return_exceptions=True), 30
            )

    assert [type(answer) for answer in asyncio.run(run())] == [RuntimeError] * 3


def test_a_lost_lease_and_a_closed_group_are_refused(desk):
    journal = desk.open()
    old = journal.acquire_lease("demo", "a", ttl_ns=10**9)
    journal.acquire_lease("demo", "b", ttl_ns=10**9, proof_of_death="a")

    async def run():
        group = GroupCommit(journal, lease=old)
        with pytest.raises(LeaseLost):
            await group.commit([alert()])
        await group.close()
        with pytest.raises(UsageError, match="closed"):
            await group.commit([alert()])

    asyncio.run(run())
    assert texts(journal) == []
