"""Permission to trade: positive, latching, and given only by a registered person with a reason."""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from workbench.adapters.armed_file import ArmedFileOnDisk
from workbench.adapters.journal import JournalDatabase
from workbench.core.ports import Event
from workbench.errors import JournalConflict, Refused, StorageFailed, TradingHalted, UsageError
from workbench.services.people import People
from workbench.services.supervision import ACTIVE, HALT_TRIES, HALTED, REDUCING, Supervision


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[JournalDatabase]:
    made = JournalDatabase(
        f"sqlite:///{tmp_path}/journal.sqlite",
        anchor_path=tmp_path / "journal.anchor",
        anchor_key=b"k" * 32,
        config_hash="c" * 64,
        wall_ns=time.time_ns,
    )
    yield made
    made.close()


@pytest.fixture
def armed(tmp_path: Path) -> Path:
    return tmp_path / "ARMED"


@pytest.fixture
def desk(journal: JournalDatabase, armed: Path) -> Supervision:
    made = Supervision(journal, ArmedFileOnDisk(armed), "demo")
    People(journal).add("ada", role="operator")
    People(journal).add("visitor", role="viewer")
    return made


def resume(desk: Supervision) -> Any:
    return desk.resume(person="ada", reason="checked", code_hash="h", after_epoch=desk.permission().epoch)


def test_a_new_desk_is_halted(desk: Supervision) -> None:
    assert desk.permission().state == HALTED
    with pytest.raises(TradingHalted, match="starts HALTED"):
        desk.require()


def test_a_person_with_a_reason_makes_it_active_and_the_code_is_part_of_the_word(desk: Supervision) -> None:
    permission = resume(desk)
    assert (permission.state, permission.epoch, permission.code_hash) == (ACTIVE, 1, "h")
    assert desk.require() == permission


@pytest.mark.parametrize(
    ("person", "reason", "error"),
    [("nobody", "checked", Refused), ("visitor", "checked", Refused), ("ada", "  ", UsageError)],
)
def test_nobody_else_and_nothing_unexplained_resumes(
    desk: Supervision, armed: Path, person: str, reason: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        desk.resume(person=person, reason=reason, code_hash="h", after_epoch=desk.permission().epoch)
    assert desk.permission().state == HALTED
    assert not armed.exists()


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "{",
        '{"account": "demo"}',
        '{"account": "demo", "epoch": "1"}',
        '{"account": "demo", "epoch": true}',
        '{"account": "demo", "epoch": 0}',
        '{"account": "demo", "epoch": 2}',
        '{"account": "other", "epoch": 1}',
        "[]",
    ],
)
def test_without_the_right_armed_file_an_active_row_is_halted(
    desk: Supervision, armed: Path, content: str | None
) -> None:
    resume(desk)
    armed.unlink()
    if content is not None:
        armed.write_text(content)
    assert desk.permission().state == HALTED


def test_the_armed_file_alone_permits_nothing(desk: Supervision, armed: Path) -> None:
    armed.write_text(json.dumps({"account": "demo", "epoch": 0}))
    assert desk.permission().state == HALTED


def test_a_halt_latches_until_a_person_resumes(desk: Supervision, armed: Path) -> None:
    resume(desk)
    desk.halt("daily loss", cause="machine")
    assert not armed.exists()
    assert desk.permission().state == HALTED
    assert desk.permission().reason == "daily loss"
    assert resume(desk).epoch > 2


def test_a_halt_holds_when_the_journal_cannot_be_written(
    desk: Supervision, journal: JournalDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    resume(desk)

    def full(*_: Any, **__: Any) -> Any:
        raise StorageFailed("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(journal, "commit", full)
        with pytest.raises(StorageFailed):
            desk.halt("kill", cause="person", person="ada")
    assert desk.permission().state == HALTED


def test_a_crash_between_row_and_file_leaves_the_desk_halted(
    desk: Supervision, monkeypatch: pytest.MonkeyPatch
) -> None:
    resume(desk)

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(ArmedFileOnDisk, "write", die)
        with pytest.raises(KeyboardInterrupt):
            resume(desk)
    assert desk.permission().state == HALTED


def test_reducing_lets_only_risk_reducing_orders_through(desk: Supervision) -> None:
    with pytest.raises(TradingHalted):
        desk.reduce(person="ada", reason="before the news")
    resume(desk)
    desk.reduce(person="ada", reason="before the news")
    assert desk.require(risk_reducing=True).state == REDUCING
    with pytest.raises(TradingHalted):
        desk.require()


def test_a_break_blocks_the_resume_until_a_reconciliation_is_clean(
    desk: Supervision, journal: JournalDatabase
) -> None:
    def reconciliation(*breaks: dict[str, str]) -> None:
        payload = {"account": "demo", "session": "", "at_ns": 1, "clean": not breaks, "breaks": list(breaks)}
        journal.commit([Event("reconciliation.done", payload)])

    found = {"kind": "cash", "symbol": "", "ours": "1", "theirs": "2", "evidence": "account"}
    reconciliation(found)
    with pytest.raises(Refused, match="1 break"):
        resume(desk)
    reconciliation()
    assert resume(desk).state == ACTIVE


def test_people_need_a_name_and_a_known_role(journal: JournalDatabase) -> None:
    with pytest.raises(UsageError):
        People(journal).add(" ", role="operator")
    with pytest.raises(UsageError, match="root"):
        People(journal).add("eve", role="root")


def other(journal: JournalDatabase, armed: Path) -> Supervision:
    """The same desk as another process sees it."""
    return Supervision(journal, ArmedFileOnDisk(armed), "demo")


def test_a_halt_that_arrives_during_a_reduce_stands(
    desk: Supervision, journal: JournalDatabase, armed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resume(desk)
    look = desk.require

    def look_then_halted(**options: Any) -> Any:
        found = look(**options)
        other(journal, armed).halt("stop everything", cause="person", person="bob")
        return found

    monkeypatch.setattr(desk, "require", look_then_halted)
    with pytest.raises(TradingHalted):
        desk.reduce(person="ada", reason="before the news")
    assert desk.permission().state == HALTED


@pytest.mark.parametrize("moment", ["before the check", "between check and record"])
def test_a_halt_that_arrives_during_a_resume_stands_even_for_the_same_reason(
    desk: Supervision,
    journal: JournalDatabase,
    armed: Path,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
) -> None:
    resume(desk)
    desk.halt("stop", cause="person", person="bob")
    fired: list[str] = []

    def halted_once(step: Any) -> Any:
        def stepped(*args: Any) -> Any:
            done = step(*args)
            if not fired:
                fired.append(moment)
                other(journal, armed).halt("stop", cause="person", person="bob")
            return done

        return stepped

    if moment == "before the check":
        monkeypatch.setattr(desk, "_require_clean", halted_once(desk._require_clean))
    else:
        monkeypatch.setattr(ArmedFileOnDisk, "remove", halted_once(ArmedFileOnDisk.remove))
    with pytest.raises(TradingHalted):
        resume(desk)
    assert fired
    assert desk.permission().state == HALTED
    assert not armed.exists()


def test_a_halt_writes_the_row_even_when_the_file_cannot_be_removed(
    desk: Supervision, monkeypatch: pytest.MonkeyPatch
) -> None:
    resume(desk)

    def stuck(_: Any) -> None:
        raise StorageFailed("cannot remove")

    monkeypatch.setattr(ArmedFileOnDisk, "remove", stuck)
    with pytest.raises(StorageFailed):
        desk.halt("kill", cause="person", person="ada")
    assert desk.permission().state == HALTED


def test_arming_and_disarming_reach_the_disk_with_their_folder(
    armed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rename or removal that only the folder's cache knows could come undone in a power cut."""
    synced: list[tuple[bool, bool]] = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        synced.append((is_folder, armed.exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    file = ArmedFileOnDisk(armed)
    file.write("demo", 1)
    assert synced == [(False, False), (True, True)], "the content first, then the name"
    synced.clear()
    file.remove()
    assert synced == [(True, False)]


def test_a_resume_that_looked_at_an_older_state_takes_nothing_away(desk: Supervision, armed: Path) -> None:
    """Two people resume: the second one's word comes too late, and the desk stays as the first made it."""
    looked_at = desk.permission().epoch
    resume(desk)
    with pytest.raises(TradingHalted, match="changed while this was decided"):
        desk.resume(person="ada", reason="checked", code_hash="h", after_epoch=looked_at)
    assert desk.permission().state == ACTIVE
    assert armed.exists()


def test_a_halt_that_can_never_be_recorded_says_so_and_still_disarms(
    desk: Supervision, journal: JournalDatabase, armed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resume(desk)
    tries = []

    def conflict(events: Any, *, lease: Any = None) -> Any:
        tries.append(events)
        raise JournalConflict("somebody else changed the state")

    monkeypatch.setattr(journal, "commit", conflict)
    with pytest.raises(JournalConflict):
        desk.halt("stop", cause="machine")
    assert len(tries) == HALT_TRIES
    assert not armed.exists()
