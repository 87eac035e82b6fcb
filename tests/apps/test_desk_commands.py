"""Commands from the desk page in a real browser: approve, decline, acknowledge, and what is refused."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import program
from opened_pages import CHROMIUM, Server, Visit
from waiting import make_wait

from workbench.bootstrap.desk import open_journal
from workbench.config import Settings, load_settings
from workbench.core.ports import Event

PASSPHRASE = "several words that nobody guesses"
SESSION = "2013-02-05"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no browser: install chromium, or name one in CHROMIUM"),
]


@pytest.fixture(scope="module")
def folder(traded: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A desk with an approver who signs, and an alert."""
    made = tmp_path_factory.mktemp("commands") / "desk"
    shutil.copytree(traded.desk_path.parents[1], made)
    secret = made.parent / "secret.txt"
    secret.write_text(PASSPHRASE)
    added = program(
        made, "people", "add", "grace", "--role", "approver", "--new-passphrase-file", str(secret)
    )
    assert added.code == 0, added.err
    settings = load_settings(str(made / "workbench.toml"))
    with_alert = open_journal(settings, read_only=False)
    words = {
        "account": settings.account,
        "code": "STAGE_BUDGET",
        "text": "<i>slow</i>",
        "at_ns": time.time_ns(),
    }
    with_alert.commit([Event("alert.raised", words)])
    with_alert.close()
    return made


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    running = Server(folder)
    yield running
    running.close()


def journal_of(folder: Path) -> Any:
    return open_journal(load_settings(str(folder / "workbench.toml")), read_only=True)


def fill(visit: Visit, label: str, text: str) -> None:
    """Type into the visible field of that label and leave it."""
    found = visit.page.get_by_label(label).filter(visible=True).last
    found.fill(text)
    found.press("Tab")


@pytest.mark.parametrize(("button", "verdict"), [("Approve", "approved"), ("Decline", "declined")])
def test_a_waiting_order_is_shown_in_full_and_answered_with_a_signature(
    browser: Any, server: Server, folder: Path, button: str, verdict: str
) -> None:
    visit = Visit(browser, f"{server.root}/desk")
    visit.shows("Nothing waits for a person")
    identity = make_wait(folder, verdict, SESSION)
    visit.shows("every order waits")  # without a reload
    row = visit.page.locator(".tabulator-row").filter(has_text=verdict.upper()).first
    visit.press_until(row.locator(".tabulator-cell[tabulator-field=symbol]"), "Expected cost, bps")
    fill(visit, "Your name", "grace")
    fill(visit, "Reason", "seen on the page")
    fill(visit, "Passphrase, to sign the answer", "a passphrase of somebody else")
    visit.page.get_by_role("button", name=button).click()
    visit.shows(f"Not {verdict}")
    with journal_of(folder) as journal:
        assert journal.rows("approvals", approval_id=identity)[0]["person"] == ""
    fill(visit, "Passphrase, to sign the answer", PASSPHRASE)
    visit.page.get_by_role("button", name=button).click()
    visit.shows("Nothing waits for a person")
    with journal_of(folder) as journal:
        (row,) = journal.rows("approvals", approval_id=identity)
        assert (row["state"], row["person"], row["reason"]) == (verdict, "grace", "seen on the page")
        assert any(act["nonce"] == row["nonce"] and act["signature"] for act in journal.rows("acts"))
        assert PASSPHRASE not in str(journal.events())
    assert program(folder, "people", "verify").code == 0
    assert visit.complaints == []
    visit.page.close()


def test_an_alert_is_acknowledged_with_a_name_and_a_reason(
    browser: Any, server: Server, folder: Path
) -> None:
    visit = Visit(browser, f"{server.root}/desk")
    visit.shows("<i>slow</i>")  # as text
    assert visit.page.locator("i", has_text="slow").count() == 0
    row = visit.page.locator(".tabulator-row").filter(has_text="<i>slow</i>").first
    visit.press_until(row.locator(".tabulator-cell[tabulator-field=code]"), "What to do: docs/runbooks/")
    press = visit.page.get_by_role("button", name="Acknowledge")
    visit.press_until(press, "give a name and a reason")
    fill(visit, "Your name", "grace")
    fill(visit, "Reason", "a slow disk, being replaced")
    press.click()
    visit.shows("is acknowledged by grace")
    with journal_of(folder) as journal:
        acknowledged = {row["text"]: row["acknowledged_by"] for row in journal.rows("outbox")}
        assert acknowledged["<i>slow</i>"] == "grace"
    visit.page.close()
