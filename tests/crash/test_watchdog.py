"""A loop that is killed, stopped or cut off is seen from another process: halted, cancelled, told."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import drive
import pytest
from command_line import PROGRAM, ROOT, program

from tests.support.alert_sinks import Webhook, serving
from tests.support.alpaca_world import ServedVenue
from tests.support.kill_world import desk_at as paper_desk_at
from tests.support.kill_world import posts_after, venue_of_many
from tests.support.watch_world import Loop, WatchdogProcess, codes, desk_at, outbox, until
from workbench.bootstrap.desk import Desk, open_journal
from workbench.bootstrap.permission import desk_supervision
from workbench.config import Settings

pytestmark = pytest.mark.slow
OPEN = 5


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[ServedVenue]:
    served = venue_of_many(tmp_path)
    yield served
    served.close()


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with serving(Webhook()) as sink:
        yield sink


@pytest.fixture
def watchdog(webhook: Webhook) -> Iterator[Callable[..., WatchdogProcess]]:
    """Starts watchdogs that tell the webhook; none outlives its test."""
    started: list[WatchdogProcess] = []

    def start(settings: Settings, *more: str) -> WatchdogProcess:
        started.append(WatchdogProcess(settings, webhook, *more))
        return started[-1]

    yield start
    for dog in started:
        dog.end()


Start = Callable[..., WatchdogProcess]


def open_orders(venue: ServedVenue) -> int:
    return int(venue.hands.state()["open_orders"])


def state(settings: Settings) -> str:
    with open_journal(settings, read_only=True) as journal:
        return desk_supervision(settings, journal).permission().state


def armed(settings: Settings) -> bool:
    return Desk(settings).paths.armed.exists()


def test_a_killed_loop_is_halted_its_orders_cancelled_and_people_told(
    tmp_path: Path, venue: ServedVenue, webhook: Webhook, watchdog: Start
) -> None:
    settings = desk_at(tmp_path / "desk", venue)
    loop = Loop(settings, OPEN)
    dog = watchdog(settings)
    assert armed(settings)
    assert open_orders(venue) >= OPEN
    killed_ns = time.time_ns()
    loop.kill()
    assert webhook.wait_for("WATCHDOG_HALTED", 60)
    told_s = (webhook.arrived_ns[-1] - killed_ns) / 1e9
    until(lambda: open_orders(venue) == 0, "everything is cancelled")
    assert not armed(settings)
    assert state(settings) == "HALTED"
    until(lambda: "ORDERS_CANCELLED" in codes(settings), "the cancels are recorded")
    assert webhook.wait_for("LOOP_DEAD", 60)
    print(f"from SIGKILL to the webhook: {told_s:.2f} s")
    assert posts_after(venue, killed_ns, within_ms=1_000) == []
    code, said = dog.stop()
    assert code == 3, said  # what it saw still stands
    assert "[critical] demo: WATCHDOG_HALTED" in said  # the console is a channel too


def test_a_stopped_loop_counts_as_stuck(
    tmp_path: Path, venue: ServedVenue, webhook: Webhook, watchdog: Start
) -> None:
    settings = desk_at(tmp_path / "desk", venue)
    loop = Loop(settings, OPEN)
    dog = watchdog(settings)
    os.kill(loop.process.pid, signal.SIGSTOP)
    try:
        assert webhook.wait_for("LOOP_STUCK", 60)
        until(lambda: open_orders(venue) == 0, "everything is cancelled")
        assert state(settings) == "HALTED"
    finally:
        os.kill(loop.process.pid, signal.SIGCONT)
    woken_ns = time.time_ns()
    assert loop.stop() == "refused"
    assert posts_after(venue, woken_ns) == []  # it wakes up without the permission to send
    dog.stop()


@pytest.mark.prove
def test_a_journal_that_is_gone_halts_by_the_armed_file_and_is_told_then_journalled_once(
    tmp_path: Path, venue: ServedVenue, webhook: Webhook, watchdog: Start
) -> None:
    settings = desk_at(tmp_path / "desk", venue)
    loop = Loop(settings, OPEN)
    dog = watchdog(settings)
    journal = Desk(settings).paths.journal
    loop.kill()  # whoever has the file open could go on with it
    for name in (journal.name, f"{journal.name}-wal", f"{journal.name}-shm"):
        if journal.with_name(name).exists():
            journal.with_name(name).rename(journal.with_name(f"away-{name}"))
    assert webhook.wait_for("JOURNAL_UNREACHABLE", 60)
    until(lambda: not armed(settings), "the desk is disarmed")
    until(lambda: open_orders(venue) == 0, "everything is cancelled")
    spool = Desk(settings).paths.root / "alerts.spool"
    assert "JOURNAL_UNREACHABLE" in spool.read_text()
    for path in journal.parent.glob("away-*"):
        path.rename(journal.with_name(path.name.removeprefix("away-")))
    until(lambda: not spool.exists(), "the spool is journalled")
    until(lambda: state(settings) == "HALTED" and not outbox(settings, status="pending"), "all is told")
    assert codes(settings).count("JOURNAL_UNREACHABLE") == 1
    assert sum("JOURNAL_UNREACHABLE" in title for title in webhook.titles()) == 1
    dog.stop()


@pytest.mark.prove
def test_a_writer_that_hangs_in_its_transaction_delays_neither_cancels_nor_people(
    tmp_path: Path, venue: ServedVenue, webhook: Webhook, watchdog: Start
) -> None:
    settings = desk_at(tmp_path / "desk", venue)
    loop = Loop(settings, OPEN)
    watchdog(settings)
    with contextlib.closing(sqlite3.connect(Desk(settings).paths.journal, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        loop.kill()
        assert webhook.wait_for("WATCHDOG_HALTED", 60)
        until(lambda: open_orders(venue) == 0, "everything is cancelled")
        assert not armed(settings)
        assert codes(settings) == []  # nothing of it could be written yet
        other.execute("ROLLBACK")
    until(lambda: row_state(settings) == "HALTED", "the halt is recorded")


def row_state(settings: Settings) -> str:
    return str(Desk(settings).journal.rows("state", account=settings.account)[0]["state"])


def test_a_venue_that_is_gone_is_told_and_what_may_be_open_is_named(
    tmp_path: Path, webhook: Webhook, watchdog: Start
) -> None:
    venue = venue_of_many(tmp_path)
    settings = desk_at(tmp_path / "desk", venue)
    loop = Loop(settings, OPEN)
    dog = watchdog(settings)
    loop.kill()
    venue.close()
    assert webhook.wait_for("CANCEL_UNCONFIRMED", 60)
    until(lambda: "VENUE_UNREACHABLE" in codes(settings), "the venue is known to be gone")
    assert state(settings) == "HALTED"
    text = outbox(settings, code="CANCEL_UNCONFIRMED")[0]["text"]
    assert text.count("wb1-") >= OPEN
    dog.stop()


@pytest.mark.prove
def test_a_watchdog_that_is_killed_and_started_again_tells_nothing_twice(
    tmp_path: Path, venue: ServedVenue, webhook: Webhook, watchdog: Start
) -> None:
    settings = desk_at(tmp_path / "desk", venue)
    loop = Loop(settings, OPEN)
    dog = watchdog(settings)
    loop.kill()
    assert webhook.wait_for("WATCHDOG_HALTED", 60)
    until(lambda: "ORDERS_CANCELLED" in codes(settings), "the cancels are recorded")
    until(lambda: not outbox(settings, status="pending"), "all is told")
    dog.stop(signal.SIGKILL)
    before, head = webhook.titles(), codes(settings)
    again = watchdog(settings, "--seconds", "3")
    again.process.communicate(timeout=60)
    assert webhook.titles() == before
    assert codes(settings) == head


def test_clocks_that_differ_halt_a_desk_that_trades_in_real_time(
    tmp_path: Path, venue: ServedVenue, webhook: Webhook, watchdog: Start
) -> None:
    settings = paper_desk_at(tmp_path / "desk", venue)  # its venue lives in 2013
    watchdog(settings)
    assert webhook.wait_for("CLOCK_SKEW", 60)
    until(lambda: state(settings) == "HALTED", "the desk is halted")
    assert not armed(settings)


@pytest.mark.prove
def test_a_clean_end_does_not_halt_and_a_second_watchdog_is_refused(
    tmp_path: Path, venue: ServedVenue, webhook: Webhook, watchdog: Start
) -> None:
    settings = desk_at(tmp_path / "desk", venue)
    dog = watchdog(settings)
    loop = Loop(settings, 0)
    second = program(tmp_path / "desk", "watchdog", "--once")
    assert (second.code, "is held" in second.err) == (3, True)
    assert loop.stop() == "sent"
    venue.hands.ask("POST", "/_/quote", symbol="S000", bid=40.0, ask=40.1)  # its order fills: nothing is open
    until(lambda: open_orders(venue) == 0, "the order is filled")
    time.sleep(0.1)
    code, said = dog.stop()
    assert (code, webhook.titles(), codes(settings)) == (0, [], []), said
    assert state(settings) == "ACTIVE"


def test_a_production_run_whose_runner_is_killed_is_found_dead(
    new_desk: Callable[..., Settings], watchdog: Start, webhook: Webhook
) -> None:
    settings = new_desk()
    watchdog(settings)
    runner = subprocess.Popen(
        [str(PROGRAM), "jobs", "run", "trading_loop", "--session", drive.FIRST], cwd=settings.folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        until(lambda: lease_is_held(settings), "the kernel holds the lease")
    finally:
        runner.kill()
        runner.wait()
    assert webhook.wait_for("LOOP_DEAD", 60)
    until(lambda: state(settings) == "HALTED", "the desk is halted")
    assert not armed(settings)


def lease_is_held(settings: Settings) -> bool:
    rows = Desk(settings).journal.rows("leases", account=settings.account)
    return bool(rows) and not rows[0]["released"]


def test_a_whole_replay_session_raises_no_alarm(new_desk: Callable[..., Settings], watchdog: Start) -> None:
    settings = new_desk()
    dog = watchdog(settings)
    for session in drive.sessions_of(settings)[:2]:
        drive.trade(settings, session)
    code, said = dog.stop()
    assert (code, set(codes(settings)) - {"STAGE_BUDGET"}) == (0, set()), said  # a slow machine is no alarm
    assert state(settings) == "ACTIVE"
