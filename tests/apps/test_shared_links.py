"""What an address brings and keeps, the drawer behind each number, and pages that explain what is missing."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests
from opened_pages import CHROMIUM, SOON_MS, Server, Visit

from workbench.bootstrap.desk import Desk, DeskPaths
from workbench.config import Settings, load_settings
from workbench.core.types import MICRO

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no browser: install chromium, or name one in CHROMIUM"),
]
RUN = "trading_loop/2013-02-04.7"


@pytest.fixture(scope="module")
def own(traded: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A copy of the traded desk with one more run, whose notebook is on disk."""
    from workbench.bootstrap.desk import open_journal
    from workbench.core.ports import Event

    folder = tmp_path_factory.mktemp("links") / "desk"
    shutil.copytree(traded.desk_path.parents[1], folder)
    settings = load_settings(str(folder / "workbench.toml"))
    path = settings.desk_path / "runs" / RUN / "trading_loop.ipynb"
    path.parent.mkdir(parents=True)
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": ["<b>not bold</b>"]},
        {"output_type": "display_data", "data": {"text/html": ["<p>a table</p><script>stolen = 1</script>"]}},
    ]
    cells = [
        {"cell_type": "markdown", "source": ["# A <i>heading</i>"], "metadata": {}},
        {"cell_type": "code", "source": ["1 < 2"], "outputs": outputs, "execution_count": 1, "metadata": {}},
    ]
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    started = {
        "run_id": RUN, "job": "trading_loop", "session": "2013-02-04", "attempt": 7, "parameters_hash": "p",
        "code_hash": "c",
    }  # fmt: skip
    ended = {"run_id": RUN, "status": "done", "exit_code": 0, "reason": "", "notebook": str(path)}
    with open_journal(settings, read_only=False) as journal:
        journal.commit([Event("run.started", started)])
        journal.commit([Event("run.finished", ended)])
    return settings


@pytest.fixture(scope="module")
def server(own: Settings) -> Iterator[Server]:
    running = Server(own.desk_path.parents[1])
    yield running
    running.close()


def chosen(visit: Visit, label: str) -> str:
    value: str = visit.page.get_by_label(label, exact=True).first.input_value()
    return value


def wait_for_address(visit: Visit, part: str) -> None:
    visit.page.wait_for_function("part => location.href.includes(part)", arg=part, timeout=SOON_MS)


@pytest.mark.prove
def test_an_address_brings_the_choices_and_follows_them(browser: Any, server: Server, own: Settings) -> None:
    order = Desk(own).execution.orders().iloc[-1]
    visit = Visit(browser, f"{server.root}/tca?symbol={order['symbol']}&theme=dark&order={order['order_id']}")
    visit.shows("The order, and the decision that wanted it")
    assert chosen(visit, "Symbol") == order["symbol"]
    visit.page.get_by_label("Side", exact=True).select_option(order["side"])
    wait_for_address(visit, f"side={order['side']}")
    wait_for_address(visit, "theme=dark")
    visit.page.get_by_label("Symbol", exact=True).select_option("all")
    visit.page.wait_for_function("!location.href.includes('symbol=')", timeout=SOON_MS)
    again = Visit(browser, visit.page.url)
    again.shows("The order, and the decision that wanted it")
    assert (chosen(again, "Symbol"), chosen(again, "Side")) == ("all", order["side"])
    light = again.page.locator("nav a", has_text="Light").get_attribute("href")
    assert light is not None
    assert f"side={order['side']}" in light  # the other theme keeps the choices
    assert "theme" not in light
    assert again.complaints == []
    visit.page.close()
    again.page.close()


def test_a_link_to_what_is_not_there_explains(browser: Any, server: Server) -> None:
    visit = Visit(browser, f"{server.root}/tca?symbol=<script>&side=long&order=nobody&from-session=x&whim=1")
    visit.shows("There is no order nobody")
    for sentence in (
        "symbol = '<script>': there is none; there are", "side = 'long'", "from-session = 'x'",
        "this page has no setting 'whim'",
    ):  # fmt: skip
        visit.shows(sentence)
    visit.shows("Execution of the chosen orders")
    visit.page.close()
    visit = Visit(browser, f"{server.root}/replay?session=1850-01-01&moment=99999")
    visit.shows("session = '1850-01-01': there is none; there are 2013-02-04, 2013-02-01")
    visit.shows("moment = '99999': it has to be 0 to")
    visit.page.close()


def test_a_moment_of_a_past_session_can_be_shared(browser: Any, server: Server) -> None:
    visit = Visit(browser, f"{server.root}/replay?session=2013-02-01&moment=0")
    visit.shows("2013-02-01 08:30:00 EST")
    assert chosen(visit, "Session") == "2013-02-01"
    visit.page.close()


def test_a_click_and_a_key_show_the_rows_behind_a_number(browser: Any, server: Server, own: Settings) -> None:
    visit = Visit(browser, f"{server.root}/desk")
    visit.shows("orders may be sent")
    (row,) = Desk(own).journal.rows("sessions", account=own.account, session="2013-02-04")
    equity = visit.page.get_by_role("link", name=f"{row['equity_micro'] / MICRO:,.2f}", exact=True)
    equity.focus()
    visit.page.keyboard.press("Enter")
    visit.shows("SELECT * FROM sessions WHERE account = 'demo' AND session = '2013-02-04'")
    visit.shows(f"{row['equity_micro']:,}")
    visit.shows("session.closed")
    wait_for_address(visit, "#why-money")
    visit.page.get_by_text("Close", exact=True).click()
    visit.page.get_by_text("SELECT * FROM sessions").wait_for(state="detached", timeout=SOON_MS)
    held = sorted(row["positions"])[0]
    cells = visit.page.locator(".tabulator-row").filter(has_text=held)
    cell = cells.first.locator(".tabulator-cell[tabulator-field=symbol]")
    visit.press_until(cell, f"ledger_account = 'securities:{held}'")
    visit.page.get_by_text("Close", exact=True).click()
    visit.page.get_by_text("SELECT * FROM").wait_for(state="detached", timeout=SOON_MS)
    visit.press_until(cell, f"ledger_account = 'securities:{held}'")  # the chosen row can be asked again
    linked = Visit(browser, f"{server.root}/desk#why-nonsense")
    linked.shows("This page shows nothing called 'nonsense'")
    assert visit.complaints + linked.complaints == []
    visit.page.close()
    linked.page.close()


def test_every_panel_tells_its_age_and_times_tell_utc(browser: Any, server: Server) -> None:
    visit = Visit(browser, f"{server.root}/desk")
    visit.shows("Kill switch")
    age = "getComputedStyle(document.documentElement).getPropertyValue('--age').includes('s old')"
    visit.page.wait_for_function(age, timeout=SOON_MS)
    assert "--age" in visit.page.get_by_role("heading", name="Kill switch").evaluate(
        "h => [...h.getRootNode().adoptedStyleSheets, ...h.getRootNode().styleSheets]"
        ".flatMap(s => [...s.cssRules]).map(r => r.cssText).join()"
    )
    moment = visit.page.locator("time").filter(has_text="EST").first
    title = moment.get_attribute("title")
    assert title is not None
    assert title.endswith("UTC")
    visit.page.close()


def test_the_switch_can_be_reached_by_keys_alone(browser: Any, server: Server) -> None:
    visit = Visit(browser, f"{server.root}/desk")
    visit.shows("Kill switch")
    deep = "(() => { let e = document.activeElement; while (e && e.shadowRoot && e.shadowRoot.activeElement)"
    deep += " e = e.shadowRoot.activeElement; return e ? e.textContent : ''; })()"
    for _ in range(40):
        visit.page.keyboard.press("Tab")
        if visit.page.evaluate(deep).strip() == "HALT":
            break
    assert visit.page.evaluate(deep).strip() == "HALT"
    visit.page.keyboard.press("Enter")
    visit.shows("tick the box")
    visit.page.close()


@pytest.mark.prove
def test_a_server_that_falls_silent_turns_the_page_grey(browser: Any, own: Settings) -> None:
    running = Server(own.desk_path.parents[1])
    try:
        visit = Visit(browser, f"{running.root}/desk")
        visit.shows("Up to date")
        visit.page.wait_for_function("window.deskBeat", timeout=SOON_MS)
        running.process.send_signal(signal.SIGSTOP)
        visit.page.wait_for_function(
            "getComputedStyle(document.querySelector('#main')).filter.includes('grayscale')", timeout=SOON_MS
        )
        running.process.send_signal(signal.SIGCONT)
        visit.page.wait_for_function(
            "getComputedStyle(document.querySelector('#main')).filter == 'none'", timeout=SOON_MS
        )
        visit.page.close()
    finally:
        running.process.send_signal(signal.SIGCONT)
        running.close()


def test_an_executed_notebook_is_shown_without_running_anything(
    browser: Any, server: Server, own: Settings
) -> None:
    visit = Visit(browser, f"{server.root}/desk")
    visit.shows("Kill switch")
    row = visit.page.locator(".tabulator-row").filter(has_text=RUN).first
    shown = visit.opens(row.get_by_text("notebook", exact=True))
    shown.get_by_text("a table").wait_for(timeout=SOON_MS)
    assert shown.get_by_text("<b>not bold</b>").count() == 1
    assert shown.get_by_text("A <i>heading</i>").count() == 1
    assert shown.evaluate("typeof stolen") == "undefined"
    shown.close()
    visit.page.close()
    notebook = own.desk_path / "runs" / RUN / "trading_loop.ipynb"
    text = notebook.read_text()
    shutil.rmtree(notebook.parent)
    gone = requests.get(f"{server.root}/runs/{RUN}", timeout=30)
    assert gone.status_code == 404
    assert "is gone" in gone.text
    assert "restore" in gone.text
    unknown = requests.get(f"{server.root}/runs/<script>alert(1)</script>", timeout=30)
    assert unknown.status_code == 404
    assert "<script>" not in unknown.text
    notebook.parent.mkdir(parents=True)
    notebook.write_text(text)


@pytest.mark.prove
def test_a_journal_of_a_newer_version_is_said_on_every_page(
    browser: Any, own: Settings, tmp_path: Path
) -> None:
    folder = tmp_path / "desk"
    shutil.copytree(own.desk_path.parents[1], folder)
    settings = load_settings(str(folder / "workbench.toml"))
    with closing(sqlite3.connect(DeskPaths(settings.desk_path).journal, isolation_level=None)) as database:
        database.execute("UPDATE meta SET value = '999' WHERE name = 'schema_version'")
    running = Server(folder)
    try:
        for name in ("desk", "tca", "replay"):
            visit = Visit(browser, f"{running.root}/{name}")
            visit.shows("has schema version 999")
            visit.shows("use the release of workbench that wrote it, or a newer one")
            assert visit.page.locator(".ACTIVE").count() == 0
            visit.page.close()
    finally:
        running.close()
