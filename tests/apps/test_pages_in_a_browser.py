"""The dashboards in a real browser: every page, both themes, the kill switch, and what goes wrong."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import panel as pn
import pytest
import requests
from command_line import program
from opened_pages import CHROMIUM, SOON_MS, Server, Visit

from workbench.bootstrap.admin import permission
from workbench.config import DEFAULT_TOML, Settings
from workbench.pages import card
from workbench.pages.shell import LIVE, shell
from workbench.pages.style import BEAT, LATE_S, STALE_S

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no browser: install chromium, or name one in CHROMIUM"),
]
PAGES = sorted(path.stem for path in (Path(__file__).parents[2] / "apps").glob("*.py"))


@pytest.fixture(scope="module")
def server(traded: Settings) -> Iterator[Server]:
    running = Server(traded.desk_path.parents[1])
    yield running
    running.close()


@pytest.fixture(scope="module")
def spoilt(traded: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """A server over a copy of the traded desk that tests may spoil; who halts it comes last."""
    folder = tmp_path_factory.mktemp("spoilt") / "desk"
    shutil.copytree(traded.desk_path.parents[1], folder)
    running = Server(folder)
    yield running, folder
    running.close()


FIRST_WORDS = {
    "desk": "Kill switch",
    "tca": "Execution of the chosen orders",
    "drift": "Freshness of the data",
    "overfitting": "with their walk-forward scores",
    "replay": "This moment",
}


@pytest.mark.parametrize("theme", ["default", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_every_page_renders_without_complaint_or_outside_help(
    browser: Any, server: Server, name: str, theme: str
) -> None:
    visit = Visit(browser, f"{server.root}/{name}?theme={theme}")
    visit.shows(FIRST_WORDS[name])
    visit.shows("Up to date")
    assert visit.complaints == []
    assert visit.foreign(server.root) == set()
    links = visit.page.locator("nav a")
    assert links.count() >= len(PAGES)
    assert visit.page.locator("nav a[aria-current=page]").count() == 1
    visit.page.set_viewport_size({"width": 390, "height": 900})  # a phone
    visit.page.wait_for_function("document.documentElement.scrollWidth <= 390", timeout=SOON_MS)
    visit.page.close()


def test_what_goes_away_shows_at_once_and_again_when_it_is_back(
    browser: Any, spoilt: tuple[Server, Path]
) -> None:
    running, folder = spoilt
    visit = Visit(browser, f"{running.root}/desk")
    visit.shows("orders may be sent")
    journal = next(folder.rglob("journal.sqlite"))
    journal.rename(journal.with_name("elsewhere"))
    visit.shows("there is no desk at")
    grey = "() => [...document.querySelectorAll('*')].some(e => getComputedStyle(e).filter != 'none')"
    visit.page.wait_for_function(grey, timeout=SOON_MS)
    journal.with_name("elsewhere").rename(journal)
    visit.shows("Up to date")
    armed = next(folder.rglob("ARMED"))
    armed.rename(armed.with_name("elsewhere"))
    visit.shows("the ARMED file is absent or unreadable")  # without any event of the journal
    armed.with_name("elsewhere").rename(armed)
    visit.shows("orders may be sent")
    visit.page.close()


def test_the_desk_page_halts_after_a_name_a_reason_and_a_second_thought(
    browser: Any, spoilt: tuple[Server, Path]
) -> None:
    from workbench.config import load_settings

    running, folder = spoilt
    settings = load_settings(str(folder / "workbench.toml"))
    visit = Visit(browser, f"{running.root}/desk")
    visit.shows("orders may be sent")
    press = visit.page.get_by_role("button", name="HALT")
    visit.press_until(press, "tick the box")
    visit.page.locator("input[type=checkbox]").check()
    visit.press_until(press, "give a name and a reason")
    assert permission(settings).state == "ACTIVE"
    names = visit.page.locator("input[type=text]")
    names.nth(0).fill("operator")
    names.nth(1).fill("<b>odd</b> prices & a doubt")
    names.nth(1).press("Tab")
    visit.page.locator("input[type=checkbox]").check()
    press.click()
    visit.shows("nothing may be sent until a person resumes")
    assert permission(settings).state == "HALTED"
    assert not (settings.desk_path / "ARMED").exists()
    visit.shows("<b>odd</b> prices & a doubt")  # as text: a reason cannot become part of the page
    assert visit.complaints == []
    visit.page.close()


def test_before_there_is_a_desk_the_page_says_what_to_do(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "workbench.toml").write_text(DEFAULT_TOML)
    running = Server(tmp_path)
    try:
        for name in ("desk", "tca"):  # that the others are built too is seen without a browser
            visit = Visit(browser, f"{running.root}/{name}")
            visit.shows("workbench demo for one with history")
            visit.page.close()
    finally:
        running.close()


def test_the_replay_page_goes_back_in_time(browser: Any, server: Server) -> None:
    visit = Visit(browser, f"{server.root}/replay")
    visit.shows("This moment")
    visit.page.locator("select").first.select_option("2013-02-01")
    visit.shows("2013-02-01 16:05:00 EST")
    handle = visit.page.locator(".noUi-handle").first
    handle.focus()
    for _ in range(60):
        handle.press("ArrowLeft")
    visit.shows("2013-02-01 08:30:00 EST")
    visit.page.close()


def test_an_order_in_the_table_leads_to_its_story(browser: Any, server: Server) -> None:
    visit = Visit(browser, f"{server.root}/tca")
    visit.shows("the dearest first")
    row = visit.page.locator(".tabulator-row").filter(has_text="2013-02-04").first
    cell = row.locator(".tabulator-cell[tabulator-field=symbol]")
    visit.press_until(cell, "The order, and the decision that wanted it")
    visit.shows("order.intended")
    with visit.page.expect_download(timeout=SOON_MS) as saved:
        visit.page.get_by_text("Save orders.csv").click()
    table = Path(saved.value.path()).read_text().splitlines()
    assert table[0].startswith("session,symbol,side")
    assert len(table) > 1
    visit.page.locator("select").nth(1).select_option("sell")
    visit.shows("None of the orders fits")
    assert visit.complaints == []
    visit.page.close()


def test_a_comparison_that_cannot_judge_is_not_green(browser: Any, server: Server) -> None:
    visit = Visit(browser, f"{server.root}/drift")
    visit.shows("press Compare")
    visit.press_until(visit.page.get_by_role("button", name="Compare"), "INSUFFICIENT")
    colours = visit.page.eval_on_selector_all(
        "b", "found => found.filter(b => b.textContent == 'INSUFFICIENT').map(b => b.style.color)"
    )
    assert "var(--good)" not in colours
    visit.shows("then and now")
    assert visit.complaints == []
    visit.page.close()


#: A page without a server: its clock moves when the test says so, and `look` is the page's own look at it.
CLOCK = """beat => {
  let now = 1e6, look = null;
  Date.now = () => now;
  window.setInterval = f => { look = f; return 1; };
  const hear = age => new Function('cb_obj', beat)({value: '1 ' + age});
  const state = () => document.documentElement.className;
  window.after = seconds => { now += 1000 * seconds; look(); return state(); };
  window.hear = () => { hear('0.0'); look(); return state(); };
  hear('0.0');
}"""


def test_a_page_is_late_then_grey_and_a_busy_browser_is_neither(browser: Any) -> None:
    page = browser.new_page()
    page.evaluate(CLOCK, BEAT)

    def after(seconds: float) -> str:
        """What the page says when it looks every half second for so long."""
        steps = round(2 * seconds)
        return str(
            page.evaluate(f"() => {{ let s; for (let n = 0; n < {steps}; n++) s = after(.5); return s }}")
        )

    assert after(LATE_S) == ""
    assert after(1.0) == "late"  # never without a word
    assert after(STALE_S - LATE_S - 1.0) == "late"
    assert after(0.5) == "silent"
    assert page.evaluate("hear()") == ""
    assert page.evaluate("after(30)") == ""  # the browser slept: what was sent meanwhile is still to be read
    assert page.evaluate("hear()") == ""
    assert page.evaluate("after(30)") == ""
    assert page.evaluate("after(.5)") == "silent"  # and nothing was
    assert page.evaluate("after(30)") == "silent"
    assert page.evaluate("after(30)") == "silent"  # a browser that is always slow does not keep it green
    page.close()


#: The page's own look at the time, which moves when the test says so; set before the page is there.
STILL = """(() => {
  let now = 1e6, look = null;
  Date.now = () => now;
  window.setInterval = f => { look = f; return 1; };
  window.after = seconds => { now += 1000 * seconds; look(); return document.documentElement.className; };
})()"""


def test_a_page_that_never_becomes_live_turns_grey(browser: Any) -> None:
    class Read:
        def age_s(self) -> float:
            return 0.4

    page = browser.new_page()
    page.add_init_script(STILL)
    page.goto("about:blank")
    body = pn.Column(card("<b>ACTIVE</b>"), card("<i>not shown</i>", visible=False))
    page.set_content(f'<div id="main"></div>{shell(Read(), "", body)}')
    assert page.get_by_text("ACTIVE").is_visible()
    assert page.get_by_text("the live page is being drawn").is_visible()
    assert page.get_by_text("not shown").count() == 0
    assert [page.evaluate("after(.5)") for _ in range(2 * int(STALE_S) + 1)][-1] == "silent"
    page.evaluate(
        f"document.querySelector('#main').insertAdjacentHTML('beforeend', '<p class={LIVE}>live</p>')"
    )
    page.locator("#shell").wait_for(state="detached")
    page.close()
    page = browser.new_page()  # a shadow root in a text is read once in a page
    page.set_content(f'<div id="main"></div>{shell(Read(), "<b>there is no desk</b>", body)}')
    assert page.get_by_text("there is no desk").is_visible()
    assert page.get_by_text("ACTIVE").count() == 0  # what could not be read shows nothing green
    page.close()


def test_the_first_answer_of_the_server_can_be_read_above_its_scripts(server: Server) -> None:
    words = {"desk": "orders may be sent", "tca": "Execution of the ", "replay": "This moment"}
    for name, said in words.items():
        text = requests.get(f"{server.root}/{name}", timeout=60).text
        assert said in text, name
        assert text.index(said) < text.index('<script type="text/javascript" src=')


def test_only_a_loopback_address_is_served(tmp_path: Path) -> None:
    (tmp_path / "workbench.toml").write_text(DEFAULT_TOML)
    answer = program(tmp_path, "dashboards", "--host", "0.0.0.0", "--port", "0")  # noqa: S104 - to be refused
    assert answer.code == 3
    assert "other machines" in answer.err
