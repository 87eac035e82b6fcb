"""Two people press at once: one acts, the other is told who was first, and nothing happens twice."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from command_line import program
from opened_pages import CHROMIUM, Server, Visit
from waiting import make_wait

from workbench.bootstrap import dashboards
from workbench.bootstrap.desk import open_journal
from workbench.config import Settings, load_settings
from workbench.screens.commands import Said

PASSPHRASES = {"ada": "ada counts to a hundred", "grace": "grace finds the moth"}
SESSION = "2013-02-05"
pytestmark = pytest.mark.slow


@pytest.fixture
def folder(traded: Settings, tmp_path: Path) -> Path:
    """A desk with two approvers who sign with passphrases, and a log-in for its pages."""
    made = tmp_path / "desk"
    shutil.copytree(traded.desk_path.parents[1], made)
    for person, passphrase in PASSPHRASES.items():
        secret = tmp_path / f"{person}.txt"
        secret.write_text(passphrase)
        added = program(
            made, "people", "add", person, "--role", "approver", "--new-passphrase-file", str(secret)
        )
        assert added.code == 0, added.err
    toml = made / "workbench.toml"
    toml.write_text(toml.read_text().replace("\nlogin = false\n", "\nlogin = true\n"))
    return made


def at_once(*presses: Callable[[], Said]) -> list[Said]:
    """What each was told, in the order of the presses; all press at the same moment."""
    told: list[Any] = [None] * len(presses)
    gate = threading.Barrier(len(presses))

    def press(at: int) -> None:
        gate.wait()
        told[at] = presses[at]()

    threads = [threading.Thread(target=press, args=(at,)) for at in range(len(presses))]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return told


def halts_of(settings: Settings) -> tuple[list[dict[str, Any]], int]:
    """Halts that people gave, and alerts of a permission that ended."""
    with open_journal(settings, read_only=True) as journal:
        changes = [event.payload for event in journal.events(kinds=("state.changed",))]
        alerts = [row for row in journal.rows("outbox") if row["code"] == "DESK_HALTED"]
    return [one for one in changes if one["state"] == "HALTED" and one["cause"] == "person"], len(alerts)


def require_one_answer(settings: Settings, identity: str) -> str:
    """Who answered the request: one decision, one signature for it, and a record of who came second."""
    with open_journal(settings, read_only=True) as journal:
        decided = [event.payload for event in journal.events(kinds=("approval.decided",))]
        assert [one["approval_id"] for one in decided] == [identity]
        (row,) = journal.rows("approvals", approval_id=identity)
        assert (row["state"], row["person"]) == ("approved", decided[0]["person"])
        signed = [act for act in journal.rows("acts") if act["act"] == "approved order"]
        assert [act["person"] for act in signed] == [row["person"]]
        refused = [event.payload for event in journal.events(kinds=("act.refused",))]
        second = ({*PASSPHRASES} - {row["person"]}).pop()
        assert [one["person"] for one in refused] == [second]
        assert journal.rows("orders", client_order_id=identity)[0]["sent_at_ns"] in (0, None)
    return str(row["person"])


def test_of_two_who_press_at_once_one_acts_and_the_other_hears_who_it_was(folder: Path) -> None:
    settings = load_settings(str(folder / "workbench.toml"))
    identity = make_wait(folder, "twice", SESSION)
    screens = [dashboards._desk_screen(settings) for _ in PASSPHRASES]  # two servers, two handles
    for shown in screens:
        shown.poll()
    rows = [shown.frames["pending"].iloc[0].to_dict() for shown in screens]

    def approve(at: int, person: str) -> Callable[[], Said]:
        return lambda: screens[at].commands.answer(
            rows[at], "approved", person=person, reason=f"{person} looked", passphrase=PASSPHRASES[person]
        )

    told = at_once(*(approve(at, person) for at, person in enumerate(PASSPHRASES)))
    first = require_one_answer(settings, identity)
    by = dict(zip(PASSPHRASES, told, strict=True))
    assert by.pop(first).done
    (other,) = by.values()
    assert not other.done
    assert f"is approved already by {first}" in other.text

    told = at_once(
        *(
            lambda at=at, person=person: screens[at].commands.halt(person, f"{person} saw smoke")
            for at, person in enumerate(PASSPHRASES)
        )
    )
    halts, alerts = halts_of(settings)
    assert sorted(one["person"] for one in halts) == ["ada", "grace"]  # a halt is never refused
    assert alerts == 1  # one of them ended the permission
    by = dict(zip(PASSPHRASES, told, strict=True))
    first = halts[0]["person"]
    assert "Nothing is sent until somebody" in by.pop(first).text
    assert f"HALTED already by {first}: {first} saw smoke" in next(iter(by.values())).text
    assert not (settings.desk_path / "ARMED").exists()
    again = screens[0].commands.halt("grace", "to be sure")  # a page that has not been brought up to date
    assert f"HALTED already by {first}" in again.text


@pytest.fixture
def servers(folder: Path) -> Iterator[list[Server]]:
    """Two servers over one desk: two people press in two processes."""
    with ExitStack() as open_ones:
        made = []
        for _ in PASSPHRASES:
            made.append(Server(folder))
            open_ones.callback(made[-1].close)
        yield made


def fill(visit: Visit, label: str, text: str) -> None:
    found = visit.page.get_by_label(label).filter(visible=True).last
    found.fill(text)
    found.press("Tab")


@pytest.mark.prove
@pytest.mark.skipif(CHROMIUM is None, reason="no browser: install chromium, or name one in CHROMIUM")
def test_two_log_ins_press_the_same_buttons(browser: Any, folder: Path, servers: list[Server]) -> None:
    settings = load_settings(str(folder / "workbench.toml"))
    identity = make_wait(folder, "twice", SESSION)
    visits = {}
    for (person, passphrase), server in zip(PASSPHRASES.items(), servers, strict=True):
        visit = visits[person] = Visit(browser, f"{server.root}/desk")
        visit.page.locator("input[name=person]").fill(person)
        visit.page.locator("input[name=passphrase]").fill(passphrase)
        visit.page.get_by_role("button", name="Log in").click()
        visit.shows(f"Log out {person}")
        row = visit.page.locator(".tabulator-row").filter(has_text="TWICE").first
        visit.press_until(row.locator(".tabulator-cell[tabulator-field=symbol]"), "Expected cost, bps")
        fill(visit, "Reason", f"{person} looked")
        fill(visit, "Passphrase, to sign the answer", passphrase)
    for visit in visits.values():
        visit.page.get_by_role("button", name="Approve").click()
    for visit in visits.values():
        visit.page.get_by_text("approved already by").or_(
            visit.page.get_by_text("is approved by")
        ).first.wait_for()
    first = require_one_answer(settings, identity)
    second = ({*PASSPHRASES} - {first}).pop()
    assert visits[first].page.get_by_text(f"is approved by {first}").count() == 1
    visits[second].shows(f"is approved already by {first}")

    for person, visit in visits.items():
        reason = visit.page.get_by_label("Reason").filter(visible=True).first
        reason.fill(f"{person} saw smoke")
        reason.press("Tab")
        visit.page.locator("input[type=checkbox]").check()
    for visit in visits.values():
        visit.page.get_by_role("button", name="HALT").click()
    for visit in visits.values():
        visit.shows("nothing may be sent until a person resumes")
        visit.page.get_by_text("HALTED already by").or_(
            visit.page.get_by_text("Nothing is sent until")
        ).first.wait_for()
    halts, alerts = halts_of(settings)
    assert (sorted(one["person"] for one in halts), alerts) == (["ada", "grace"], 1)
    first = halts[0]["person"]
    second = ({*PASSPHRASES} - {first}).pop()
    visits[second].shows(f"HALTED already by {first}: {first} saw smoke")
    for visit in visits.values():
        assert visit.complaints == []
        visit.page.close()
