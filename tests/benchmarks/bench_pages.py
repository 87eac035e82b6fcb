"""What the dashboards cost: start and first paint against a bare Panel page, latency, viewers, growth.

Every figure stands beside its yardstick from the same run. A run of its own, in which the machine should do
nothing else; `PAGES_FILLS` sets the size of the large journal (a tenth as many decisions), `PAGES_PARTS`
takes some of its parts, `PAGES_SOAK_S` the seconds for which a page stays open.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from drive import make_desk, trade
from kill_world import Loop, VenueApart, desk_at, posts_after
from opened_pages import ARGUMENTS, CHROMIUM, Server
from playwright.sync_api import sync_playwright

from workbench.bootstrap.desk import Desk, DeskPaths, open_journal
from workbench.config import DEFAULT_TOML, Settings, load_settings
from workbench.core.ports import Event

ROUNDS = int(os.environ.get("PAGES_ROUNDS", "3"))
FILLS = int(os.environ.get("PAGES_FILLS", "300000"))
VIEWERS, SESSIONS = 20, 250
EVERY_S = 0.6  #: between two changes of the journal while a page stays open
CHANGES = int(float(os.environ.get("PAGES_SOAK_S", "180")) / EVERY_S)
PARTS = os.environ.get("PAGES_PARTS", "paint halt viewers cycles").split()
#: First sessions of the cycles that are timed; the one before them warms the process up.
CYCLES = ("2013-02-04", "2013-02-05", "2013-02-06", "2013-02-07", "2013-02-08")
#: What has to be read on a page before it means something.
MEANINGS = {
    "desk": ".ACTIVE", "tca": "text=/Execution of the (newest|chosen) orders/",
    "drift": "text=Sessions measured", "overfitting": "text=with their walk-forward scores",
    "replay": "text=This moment",
}  # fmt: skip
SOON_MS = 180_000
BARE = """
import sys
import holoviews as hv, numpy as np, pandas as pd, panel as pn
pn.extension("tabulator"); hv.extension("bokeh")
def page():
    frame = pd.DataFrame({"a": range(20), "b": np.arange(20.0)})
    return pn.Column(pn.widgets.Tabulator(frame), pn.pane.HoloViews(hv.Curve(frame, "a", "b")))
server = pn.serve({"bare": page}, port=0, address="127.0.0.1", show=False, start=False, verbose=False)
print('{"address": "http://127.0.0.1:%d/bare"}' % server.port, flush=True)
server.run_until_shutdown()
"""


class Bare(Server):
    """A server of one page with one table and one plot."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", BARE], cwd=folder, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.root = json.loads(self.process.stdout.readline())["address"].rpartition("/")[0]


def rss_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) / 1024


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def opened(browser: Any, address: str) -> Any:
    """A page on which nothing is given up early."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(SOON_MS)
    page.goto(address, wait_until="commit")
    return page


def started(browser: Any, make: Callable[[], Server], page: str, meaning: str) -> tuple[float, ...]:
    """Seconds until the server listens, then until its page means something, and until it is live; CPU s."""
    began = time.perf_counter()
    server = make()
    try:
        listening = time.perf_counter()
        shown = opened(browser, f"{server.root}/{page}")
        shown.locator(meaning).first.wait_for(timeout=SOON_MS)
        painted, cpu = time.perf_counter(), cpu_s(server.process.pid)
        if page != "bare":
            shown.get_by_text("Up to date").first.wait_for(timeout=SOON_MS)
            shown.locator("#shell").wait_for(state="detached", timeout=SOON_MS)
        live = time.perf_counter()
        shown.close()
        return listening - began, painted - listening, live - listening, cpu
    finally:
        server.close()


def enlarge(settings: Settings) -> None:
    """Give the journal years of projections: rows as the desk makes them, without their events."""
    days = Desk(settings).calendar.sessions_between("2012-01-03", "2013-01-31")[-SESSIONS:]
    with closing(sqlite3.connect(DeskPaths(settings.desk_path).journal)) as database, database:
        database.execute("PRAGMA cache_size = -1000000")
        database.execute("CREATE TEMP TABLE days (n INTEGER PRIMARY KEY, day TEXT)")
        database.executemany("INSERT INTO days VALUES (?, ?)", enumerate(days))
        indexes = database.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        ).fetchall()
        for name, _ in indexes:
            database.execute(f"DROP INDEX {name}")

        def copies(table: str, count: int, like: str = "", **changed: str) -> None:
            """Rows like one that is there, with some columns as SQL of the row's number n."""
            database.execute(f"CREATE TEMP TABLE like_{table} AS SELECT * FROM {table} {like} LIMIT 1")  # noqa: S608 - own names
            names = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
            values = ", ".join(changed.get(name, f'"{name}"') for name in names)
            numbers = f"SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n + 1 < {count}"  # noqa: S608
            database.execute(
                f"WITH RECURSIVE number(n) AS ({numbers}) "  # noqa: S608 - own names
                f"INSERT INTO {table} SELECT {values} FROM number, like_{table}"
            )

        def day(n: str) -> str:
            at = f"MIN(({n}) / {FILLS // SESSIONS}, {SESSIONS - 1})"
            return f"(SELECT day FROM days WHERE days.n = {at})"  # noqa: S608 - own names

        known = {"seq": "1", "added_seq": "1"}
        order = {
            "client_order_id": "printf('o%08d', number.n)",
            "symbol": "'AAPL'",
            "session": day("number.n"),
        }
        copies("orders", FILLS, "WHERE symbol = 'FB' AND state = 'FILLED'", **order, **known)
        copies("fills", FILLS, execution_id="printf('x%08d', number.n)", **order, **known)
        copies(
            "postings", 2 * FILLS, entry_id="printf('e%08d', number.n / 2)", n="number.n % 2",
            session=day("number.n / 2"), quantity_nano="number.n % 2", amount_micro="2 * (number.n % 2) - 1",
            ledger_account="iif(number.n % 2, 'securities:AAPL', 'cash')", **known,
        )  # fmt: skip
        copies(
            "decisions", FILLS // 10, decision_id="printf('d%08d', number.n)", scheduled_ns="number.n",
            session=day("10 * number.n"), **known,
        )  # fmt: skip
        each = "(SELECT day FROM days WHERE days.n = number.n)"
        copies("sessions", SESSIONS, session=each)
        copies("reconciliations", SESSIONS, session=each, added_seq="-number.n - 1")
        for _, sql in indexes:
            database.execute(sql)


def alert(settings: Settings, text: str) -> None:
    journal = open_journal(settings, read_only=False)
    words = {"account": settings.account, "code": "STAGE_BUDGET", "text": text, "at_ns": time.time_ns()}
    journal.commit([Event("alert.raised", {**words, "subject": text})])
    journal.close()


def heap_mb(page: Any) -> float:
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    session.send("Performance.enable")
    found = {row["name"]: row["value"] for row in session.send("Performance.getMetrics")["metrics"]}
    session.detach()
    return float(found["JSHeapUsedSize"]) / 2**20


def told(lines: list[str], what: str, figure: str) -> None:
    lines.append(f"{what:<58} {figure}")
    print(lines[-1], flush=True)


def bench_paint(browser: Any, lines: list[str], small: Path, folder: Path) -> None:
    large = folder / "large"
    shutil.copytree(small, large)
    enlarge(load_settings(str(large / "workbench.toml")))
    journal = DeskPaths(load_settings(str(large / "workbench.toml")).desk_path).journal
    told(lines, "large journal", f"{FILLS:,} fills, {FILLS // 10:,} decisions, "
         f"{journal.stat().st_size / 2**20:,.0f} MB; load average {os.getloadavg()[0]:.1f}")  # fmt: skip
    kinds: dict[str, tuple[Callable[[], Server], str, str]] = {
        "bare page, one table and one plot": (lambda: Bare(folder), "bare", ".tabulator-row"),
    }
    for page, meaning in MEANINGS.items():
        kinds[f"{page}, 2 sessions"] = (lambda: Server(small), page, meaning)
        kinds[f"{page}, {FILLS:,} fills"] = (lambda: Server(large), page, meaning)
    found: dict[str, list[tuple[float, ...]]] = {name: [] for name in kinds}
    for _ in range(ROUNDS):
        for name, (make, page, meaning) in kinds.items():
            found[name].append(started(browser, make, page, meaning))
            print(name, [f"{value:.1f}" for value in found[name][-1]], flush=True)
    first = [
        statistics.median(column) for column in zip(*found["bare page, one table and one plot"], strict=True)
    ]
    for name, rows in found.items():
        start, paint, live, cpu = (statistics.median(column) for column in zip(*rows, strict=True))
        times = (start + paint) / (first[0] + first[1])
        seconds = f"start {start:5.1f} s, paint {paint:5.1f} s, live {live:5.1f} s, CPU {cpu:5.1f} s"
        told(lines, name, f"{seconds}: {times:4.2f} x bare, CPU {cpu / first[3]:4.2f} x")


def bench_viewers(browser: Any, lines: list[str], small: Path) -> None:
    settings = load_settings(str(small / "workbench.toml"))
    server = Server(small)
    pid = server.process.pid
    page = opened(browser, f"{server.root}/desk")
    page.get_by_text("Up to date").first.wait_for(timeout=SOON_MS)
    page.locator("#shell").wait_for(state="detached", timeout=SOON_MS)  # live: start and paint are told apart
    waits = []
    for n in range(10):
        began = time.perf_counter()
        alert(settings, f"latency {n}")
        committed = time.perf_counter()
        page.get_by_text(f"latency {n}").first.wait_for(timeout=SOON_MS)
        waits.append((time.perf_counter() - committed, committed - began))
    told(lines, "journal to page", f"median {statistics.median(w for w, _ in waits):.2f} s, largest "
         f"{max(w for w, _ in waits):.2f} s")  # fmt: skip
    before, pages = rss_mb(pid), []
    for _ in range(VIEWERS - 1):
        pages.append(opened(browser, f"{server.root}/desk"))
        pages[-1].get_by_text("Up to date").first.wait_for(timeout=SOON_MS)
    told(lines, f"memory, {VIEWERS} viewers", f"server {before:.0f} MB with one, "
         f"{(rss_mb(pid) - before) / (VIEWERS - 1):.1f} MB for each further one")  # fmt: skip
    idle_s, began = cpu_s(pid), time.perf_counter()
    time.sleep(10.0)
    told(lines, f"server with {VIEWERS} idle viewers",
         f"{100 * (cpu_s(pid) - idle_s) / (time.perf_counter() - began):.0f} % of a core")  # fmt: skip
    for one in pages:
        one.close()
    time.sleep(2.0)
    warm = [(rss_mb(pid), heap_mb(page)), (0.0, 0.0)]
    for n in range(CHANGES):
        alert(settings, f"change {n % 7}")
        if n == CHANGES // 3:
            warm[0] = (rss_mb(pid), heap_mb(page))
        time.sleep(EVERY_S)
    page.get_by_text(f"change {(CHANGES - 1) % 7}").first.wait_for(timeout=SOON_MS)
    warm[1] = (rss_mb(pid), heap_mb(page))
    (server_mb, page_mb), (server_end, page_end) = warm
    grown = f"server {server_mb:.0f} to {server_end:.0f} MB, browser {page_mb:.1f} to {page_end:.1f} MB"
    share = (server_end + page_end) / (server_mb + page_mb) - 1.0
    slope = (server_end + page_end - server_mb - page_mb) / (CHANGES - CHANGES // 3) * 1_000
    told(lines, f"one page over {CHANGES} redraws, after the first third",
         f"{grown}: {100 * share:+.1f} %, {slope:+.1f} MB for 1,000 redraws")  # fmt: skip
    server.close()


def cycles(settings: Settings) -> list[tuple[float, float]]:
    """CPU and wall seconds of each session's work, in a process of its own."""
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[1]); from drive import trade, load_settings\n"
        "s = load_settings(sys.argv[2]); trade(s, '2013-02-01')\n"
        "for session in sys.argv[3:]:\n"
        "    w, c = time.perf_counter(), time.process_time(); trade(s, session)\n"
        "    print('cycle', time.process_time() - c, time.perf_counter() - w)"
    )
    support, toml = Path(__file__).parents[1] / "support", settings.desk_path.parents[1] / "workbench.toml"
    done = subprocess.run(
        [sys.executable, "-c", code, str(support), str(toml), *CYCLES],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    rows = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("cycle ")]
    return [(float(cpu), float(wall)) for cpu, wall in rows]


def bench_cycles(browser: Any, lines: list[str], folder: Path) -> None:
    """The same sessions on two desks that are alike: one that nobody looks at, one with 20 viewers."""
    from places import PostgresForTests

    database = PostgresForTests()
    try:
        for kind in ("sqlite", "postgresql"):
            found = {}
            for name in ("alone", "watched"):
                url = database.new_place().url if kind == "postgresql" else ""
                before, _, journal = DEFAULT_TOML.partition("[journal]")
                toml = before + "[journal]" + journal.replace('url = ""', f'url = "{url}"', 1)
                settings = make_desk(folder / kind / name, toml)
                pages = []
                server = Server(folder / kind / name) if name == "watched" else None
                if server is not None:
                    pages = [opened(browser, f"{server.root}/desk") for _ in range(VIEWERS)]
                    for page in pages:
                        page.get_by_text("orders may be sent").first.wait_for(timeout=SOON_MS)
                        page.locator("#shell").wait_for(state="detached", timeout=SOON_MS)
                    time.sleep(5.0)  # what they computed once is over
                found[name] = cycles(settings)
                if server is not None:
                    pages[0].get_by_text(CYCLES[-1]).first.wait_for(timeout=SOON_MS)  # they did follow
                    for page in pages:
                        page.close()
                    server.close()
            cpu, wall = (
                statistics.median(row[at] for row in found["watched"])
                / statistics.median(row[at] for row in found["alone"])
                for at in (0, 1)
            )
            seconds = statistics.median(wall for _, wall in found["alone"])
            told(lines, f"a cycle with {VIEWERS} viewers, {kind}",
                 f"CPU {cpu:.2f} x, wall {wall:.2f} x of {seconds:.2f} s without")  # fmt: skip
    finally:
        database.close()


def bench_halt(browser: Any, lines: list[str], folder: Path) -> None:
    venue = VenueApart(folder)
    settings = desk_at(folder / "desk", venue)
    server = Server(folder / "desk")
    page = opened(browser, f"{server.root}/desk")
    page.get_by_text("orders may be sent").first.wait_for(timeout=SOON_MS)
    loop = Loop(settings, 5)
    names = page.locator("input[type=text]:visible")
    names.nth(0).fill("ada")
    names.nth(1).fill("a strange price")
    names.nth(1).press("Tab")
    page.locator("input[type=checkbox]").check()
    pressed_ns = time.time_ns()
    page.get_by_role("button", name="HALT").click()
    page.get_by_text("nothing may be sent until a person resumes").first.wait_for(timeout=SOON_MS)
    time.sleep(1.0)
    loop.stop()
    later = posts_after(venue, pressed_ns, within_ms=0.0)
    told(lines, "HALT pressed to the last order at the venue", f"{max(later, default=0.0):.0f} ms")
    server.close()
    venue.close()


def test_pages() -> None:
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        settings = make_desk(folder / "small")
        for session in ("2013-02-01", "2013-02-04"):
            trade(settings, session)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        if "paint" in PARTS:
            bench_paint(browser, lines, folder / "small", folder)
        if "halt" in PARTS:
            bench_halt(browser, lines, folder / "halt")
        if "viewers" in PARTS:
            bench_viewers(browser, lines, folder / "small")
        if "cycles" in PARTS:
            bench_cycles(browser, lines, folder / "cycles")
        browser.close()
    assert Desk(settings).paths.root  # the figures above are the result
    print("\n".join(lines))
