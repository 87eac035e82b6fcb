"""Pages that outlive a desk epoch: what they show and whom they let in is of the journal in force."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workbench.adapters.armed_file import ArmedFileOnDisk
from workbench.adapters.kernel_guard import process_holder
from workbench.bootstrap import dashboards, killing
from workbench.bootstrap.desk import Desk, open_journal
from workbench.bootstrap.page_access import is_passphrase, may_log_in, role_of
from workbench.bootstrap.page_sources import halted_before, notebook_page
from workbench.bootstrap.permission import desk_supervision
from workbench.config import Settings, load_settings
from workbench.core.ports import Event
from workbench.errors import UsageError
from workbench.services.epochs import closing_events, epoch_of
from workbench.services.people import People

NEXT = "the next account"


@pytest.fixture
def desk_of(traded: Settings, tmp_path: Path) -> Settings:
    """A copy of a desk with two closed sessions."""
    folder = tmp_path / "desk"
    shutil.copytree(traded.folder, folder)
    return load_settings(str(folder / "workbench.toml"))


def end_epoch(settings: Settings) -> None:
    """The first of the two steps into another epoch, which a crash may part from the second."""
    account = settings.account
    with open_journal(settings, read_only=False) as journal:
        lease = journal.acquire_lease(account, process_holder(), ttl_ns=60 * 10**9)
        ending = closing_events(
            journal, account=account, epoch=epoch_of(journal, account), successor=NEXT, archives=[],
            person="operator", reason="the paper account was reset",
        )  # fmt: skip
        ArmedFileOnDisk(Desk(settings).paths.armed).remove()
        journal.close_for_good(ending, lease=lease)


def begin_next(settings: Settings) -> None:
    """The second step: whoever opens the journal to write takes it."""
    open_journal(settings, read_only=False).close()


def go(settings: Settings) -> None:
    """A person resumes the desk."""
    with open_journal(settings, read_only=False) as journal:
        supervision = desk_supervision(settings, journal, People(journal))
        epoch = supervision.permission().epoch
        supervision.resume(person="operator", reason="looked", code_hash="h", after_epoch=epoch)


def looked(shown: Any) -> Any:
    """The screen after its next look, with what it adds up in the background."""
    for _ in range(2):
        shown._looked_s = -1e9
        shown.poll()
        for work in ("work", "ahead", "sums"):
            if hasattr(shown, work):
                getattr(shown, work).wait(60.0)
    shown._looked_s = -1e9
    shown.poll()
    return shown


def test_the_desk_page_shows_the_epoch_in_force(desk_of: Settings) -> None:
    shown = looked(dashboards._desk_screen(desk_of))
    assert len(shown.frames["positions"])
    former = shown.facts["journal_seq"]
    end_epoch(desk_of)
    begin_next(desk_of)
    go(desk_of)
    looked(shown)
    assert shown.problem == ""
    assert shown.facts["state"] == "ACTIVE"
    assert shown.facts["last_session"] == "none yet"
    assert shown.facts["journal_seq"] < former  # it counts from one again
    assert not len(shown.frames["positions"])
    assert not len(shown.frames["last_orders"])
    with open_journal(desk_of, read_only=False) as journal:
        journal.commit([Event("alert.raised", {
            "account": desk_of.account, "code": "STAGE_BUDGET", "text": "of the new epoch", "at_ns": 1}),
        ])  # fmt: skip
    assert "of the new epoch" in set(looked(shown).frames["alerts"]["text"])


def test_who_halts_after_a_new_epoch_is_told_that_he_did(desk_of: Settings) -> None:
    shown = looked(dashboards._desk_screen(desk_of))
    killing.halt(desk_of, killing.HaltOrder("ann", "a strange price"))
    looked(shown)
    assert shown.facts["state"] == "HALTED"
    end_epoch(desk_of)
    begin_next(desk_of)
    go(desk_of)
    seen = dict(shown.facts)  # of a moment before: the page has not looked since
    killing.halt(desk_of, killing.HaltOrder("bob", "a fat finger"))
    handle = shown.desk
    assert halted_before(handle, seen, "bob", "a fat finger") == ""
    assert halted_before(Desk(desk_of), seen, "cy", "late") == "bob: a fat finger"
    seen = dict(looked(shown).facts)
    assert shown.commands.halt("cy", "late").text.startswith("HALTED already by bob")
    assert halted_before(Desk(desk_of), seen, "cy", "late") == "bob: a fat finger"


def test_a_person_revoked_in_the_new_epoch_is_out(desk_of: Settings) -> None:
    with open_journal(desk_of, read_only=False) as journal:
        People(journal).add("gone", role="approver")
    access = Desk(desk_of)
    guarded = dataclasses.replace(desk_of, dashboards=dataclasses.replace(desk_of.dashboards, login=True))
    login = dashboards._desk_screen(guarded).commands
    door = dashboards._guards(guarded)["auth_provider"]
    assert door.is_known("gone")
    assert role_of(access, "gone") == "approver"
    assert login.may_command("gone")
    end_epoch(desk_of)
    assert role_of(access, "gone") == "approver"  # nobody can be revoked before the next epoch is made
    begin_next(desk_of)
    with open_journal(desk_of, read_only=False) as journal:
        journal.commit([Event("person.revoked", {"person": "gone", "by": "operator", "reason": "left"})])
    assert role_of(access, "gone") == ""
    assert not login.may_command("gone")
    assert not door.is_known("gone")
    assert not is_passphrase(access, "gone", "whatever it was")
    assert not may_log_in(access)
    assert role_of(access, "operator") == "operator"


def test_between_two_epochs_the_pages_say_what_to_do(desk_of: Settings) -> None:
    shown = looked(dashboards._desk_screen(desk_of))
    end_epoch(desk_of)
    looked(shown)
    assert "the next one is not made yet" in shown.problem
    assert "workbench adopt --new-account" in shown.next_step
    begin_next(desk_of)
    assert looked(shown).problem == ""
    assert shown.facts["state"] == "HALTED"


def test_pages_with_the_settings_of_the_former_account_say_so(desk_of: Settings) -> None:
    shown = looked(dashboards._desk_screen(desk_of))
    assert desk_of.file is not None
    text = desk_of.file.read_text()
    changed = text.replace('account_id = ""', 'account_id = "next"', 1)
    assert changed != text
    desk_of.file.write_text(changed)
    assert looked(shown).problem == ""  # within an epoch nothing of the page depends on it
    end_epoch(desk_of)
    begin_next(desk_of)
    for _ in range(2):  # and it stays so
        assert "not those that these pages started with" in looked(shown).problem
        assert "start it again" in shown.next_step
    desk_of.file.write_text(text)
    assert looked(shown).problem == ""


@pytest.mark.parametrize("name", ["tca", "drift", "overfitting", "replay"])
def test_every_page_forgets_the_former_epoch(desk_of: Settings, name: str) -> None:
    makers: dict[str, Callable[[Settings], Any]] = {
        "tca": dashboards._tca_screen, "drift": dashboards._drift_screen,
        "overfitting": dashboards._overfitting_screen, "replay": dashboards._replay_screen,
    }  # fmt: skip
    shown = looked(makers[name](desk_of))
    assert shown.problem == ""
    end_epoch(desk_of)
    begin_next(desk_of)
    looked(shown)
    fresh = looked(makers[name](desk_of))
    assert fresh.problem == ""
    if name == "replay":
        assert (shown.sessions, fresh.sessions) == ([], [])
        assert "none of its sessions is closed yet" in shown.problem  # an open tab shows a former one
        return
    assert shown.problem == ""
    for value in ("sessions", "symbols", "left_out", "last_session", "models", "newest"):
        assert getattr(shown, value, None) == getattr(fresh, value, None), value
    for value in ("taken", "alarms", "measures", "candidates", "gates", "floors"):
        ours, theirs = getattr(shown, value, None), getattr(fresh, value, None)
        assert (ours is None and theirs is None) or ours.equals(theirs), value


def test_a_notebook_is_looked_for_in_the_journal_in_force(desk_of: Settings) -> None:
    held, run = Desk(desk_of), "monitor/2013-02-05.1"
    with pytest.raises(UsageError, match="there is no run"):
        notebook_page(held, run)
    end_epoch(desk_of)
    begin_next(desk_of)
    started = {
        "run_id": run, "job": "monitor", "session": "2013-02-05", "attempt": 1, "parameters_hash": "p",
        "code_hash": "c",
    }  # fmt: skip
    with open_journal(desk_of, read_only=False) as journal:
        journal.commit([Event("run.started", started)])
    with pytest.raises(UsageError, match="left no notebook"):
        notebook_page(held, run)
