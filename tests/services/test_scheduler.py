"""Every job runs exactly once a session or is named as missed, whatever happens to the machines."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
from fortnight import MINUTE, Fortnight, Host, World, at

from notebooks import ROOT
from workbench.adapters.run_processes import RunProcesses
from workbench.bootstrap import admin, scheduling
from workbench.bootstrap.declared import read_jobs
from workbench.bootstrap.desk import Desk, open_journal
from workbench.config import Settings
from workbench.core.jobs import RunPlan
from workbench.errors import Refused, UsageError
from workbench.services.jobs import scheduler_lease

CALENDAR = Fortnight()
SESSIONS = CALENDAR.sessions_between(CALENDAR.FIRST, CALENDAR.LAST)
JOBS = read_jobs(ROOT / "papermill-jobs" / "jobs.toml")
DAILY = tuple(name for name in JOBS if name != "train_candidate")
#: What is due in the fortnight, written out.
DUE = {*((name, session) for name in DAILY for session in SESSIONS)} | {
    ("train_candidate", "2026-03-05"),  # its Friday is a holiday
    ("train_candidate", "2026-03-13"),
}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, JOBS, start="2026-03-01 12:00")
    yield world
    world.close()


def done(world: World) -> Counter[tuple[str, str]]:
    """Runs that ended well, by job and session; reconciliations that recovery asked for do not count."""
    due = {row["run_id"]: row["due_ns"] for row in world.journal.rows("run_plans")}
    rows = [row for row in world.journal.rows("runs") if row["status"] == "done" and due[row["run_id"]]]
    return Counter((row["job"], row["session"]) for row in rows)


def missed(world: World) -> dict[tuple[str, str], str]:
    return {(row["job"], row["session"]): row["reason"] for row in world.journal.rows("missed_slots")}


def held(world: World) -> None:
    """What must hold after anything."""
    ended_well, named = done(world), missed(world)
    assert world.overlaps == []
    assert set(ended_well) | set(named) == DUE
    assert not set(ended_well) & set(named)
    assert set(ended_well.values()) == {1}
    for session, at_ns in world.submits:
        assert world.calendar.session_open_ns(session) - 15 * MINUTE <= at_ns
        assert at_ns < world.calendar.session_close_ns(session)
    assert max(Counter(session for session, _ in world.submits).values()) == 1
    assert world.journal.rows("runs", status="running") == []
    assert world.journal.verify().ok
    alerted = " ".join(row["text"] for row in world.journal.rows("alerts"))
    assert all(f"{name} of {session} was missed" in alerted for name, session in named)


def test_a_quiet_fortnight(world: World) -> None:
    world.hosts.append(Host("a", world))
    world.run_until("2026-03-14 12:00")
    held(world)
    assert missed(world) == {}
    assert [session for session, _ in world.submits] == list(SESSIONS)
    assert world.journal.rows("alerts") == []


def test_a_fortnight_in_which_everything_happens(world: World) -> None:
    first, second = Host("a", world), Host("b", world)
    world.hosts += [first, second]
    crashes = {
        "ingest": "2026-03-02", "trading_loop": "2026-03-03", "reconcile": "2026-03-04",
        "tca_daily": "2026-03-05", "calibrate_costs": "2026-03-09", "drift_report": "2026-03-11",
        "train_candidate": "2026-03-13",
    }  # fmt: skip
    assert set(crashes) == set(JOBS)
    world.endings = {(name, session): ["crash"] for name, session in crashes.items()}

    def resume() -> None:
        world.halted = ""

    def down(up: bool) -> None:
        for host in world.hosts:
            host.restart() if up else world.lose(host)

    world.run_until("2026-03-14 12:00", events={
        at("2026-03-03 10:50"): resume,  # a person, after the crash of 10:30 was looked into
        at("2026-03-10 08:50"): lambda: down(up=False),  # nobody is there at 9:00, the start of the session
        at("2026-03-10 09:30"): lambda: down(up=True),
        at("2026-03-12 11:00"): lambda: world.lose(first),  # the owner's machine, in the middle of trading
        at("2026-03-12 11:20"): resume,
    })  # fmt: skip
    held(world)
    assert missed(world) == {
        ("trading_loop", "2026-03-10"): "its time to start has passed",
        ("tca_daily", "2026-03-10"): "it needs trading_loop, which was missed",
        ("calibrate_costs", "2026-03-10"): "it needs tca_daily, which was missed",
        ("drift_report", "2026-03-10"): "it needs trading_loop, which was missed",
    }
    runs = world.journal.rows("runs")
    crashed = {(row["job"], row["session"]) for row in runs if row["reason"] == "crashed"}
    assert crashed == {*crashes.items(), ("trading_loop", "2026-03-12")}
    for session in ("2026-03-03", "2026-03-12"):  # looked before it went on
        plans = {row["run_id"]: row["cause"] for row in world.journal.rows("run_plans")}
        second_run = next(row for row in runs if row["run_id"] == f"trading_loop/{session}.2")
        (look,) = (row for row in runs if plans[row["run_id"]] == f"recovery of trading_loop/{session}.1")
        assert look["status"] == "done"
        assert look["seq"] < second_run["added_seq"]
    codes = [row["code"] for row in world.journal.rows("alerts")]
    assert codes.count("scheduler_replaced") >= 2
    assert (codes.count("session_missed"), codes.count("job_missed")) == (1, 3)
    assert codes.count("job_failed") >= len(crashes)


# --- real kernels ----------------------------------------------------------------------------------------


def once_each(settings: Settings, first: str, last: str) -> None:
    """Every job of every session is done once, in order, and the account is as the venue says."""
    desk = Desk(settings)
    sessions = desk.calendar.sessions_between(first, last)
    runs = Counter((row["job"], row["session"]) for row in desk.journal.rows("runs"))
    weekly = {key for key in runs if key[0] == "train_candidate"}
    assert {key: count for key, count in runs.items() if key not in weekly} == {
        (name, session): 1 for name in DAILY for session in sessions
    }
    assert {row["status"] for row in desk.journal.rows("runs")} == {"done"}
    assert desk.journal.rows("missed_slots") == []
    assert all(row["clean"] for row in desk.journal.rows("reconciliations"))
    assert all(row["stage"] == "candidate" for row in desk.journal.rows("models")[1:])
    for order in desk.journal.rows("orders", account=settings.account):
        if order["sent_at_ns"]:
            open_ns = desk.calendar.session_open_ns(order["session"])
            assert open_ns - 60 * MINUTE <= order["sent_at_ns"]
            assert order["sent_at_ns"] <= desk.calendar.session_close_ns(order["session"])


@pytest.mark.slow
def test_an_ordered_run_is_a_process_of_its_own_and_an_order_of_nobody_is_refused(
    new_desk: Callable[[str], Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    settings = new_desk("desk")
    command = [sys.executable, "-m", "workbench.bootstrap.ordered_run", str(settings.file)]
    processes = RunProcesses(command, settings.desk_path / "logs")
    processes.start("ingest", "2013-02-01", RunPlan())
    assert processes.running() == (("ingest", "2013-02-01", 0),)
    while processes.running():
        time.sleep(0.05)
    log = settings.desk_path / "logs" / "ingest.log"
    rows = Desk(settings).journal.rows("runs")
    assert [(row["run_id"], row["status"]) for row in rows] == [("ingest/2013-02-01.1", "done")], (
        log.read_text()
    )
    order = {"job": "ingest", "session": "2013-02-01", "parent": 1, "plan": asdict(RunPlan())}
    done = subprocess.run([*command, json.dumps(order)], capture_output=True, text=True, check=False)
    assert (done.returncode, "is gone" in done.stderr) == (3, True)


@pytest.mark.slow
def test_a_process_that_waits_has_its_kernel_before_the_order_and_runs_in_it(
    new_desk: Callable[[str], Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    settings = new_desk("desk")
    command = [sys.executable, "-m", "workbench.bootstrap.ordered_run", str(settings.file)]
    processes = RunProcesses(command, settings.desk_path / "logs", spares=1, takes_spare=lambda job: True)
    processes.keep_spares()
    (spare,) = (one.pid for one in processes._spares)

    def kernels() -> set[str]:
        try:
            return set(Path(f"/proc/{spare}/task/{spare}/children").read_text().split())
        except OSError:  # the run has ended
            return set()

    deadline = time.monotonic() + 60
    while not (waiting := kernels()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    processes.start("tca_daily", "2013-02-01", RunPlan())
    seen: set[str] = set()
    while processes.running():
        seen |= kernels()
        time.sleep(0.005)
    processes.stop()
    assert seen == waiting
    assert len(waiting) == 1
    assert [row["job"] for row in Desk(settings).journal.rows("runs")] == ["tca_daily"]


def test_a_replay_desk_has_no_present_and_a_desk_has_one_scheduler(
    new_desk: Callable[[str], Settings],
) -> None:
    settings = new_desk("desk")
    with pytest.raises(UsageError, match="no present"):
        scheduling.serve(settings, seconds=0.1, tell=lambda tick: None)
    journal = open_journal(settings, read_only=False)
    journal.acquire_lease(scheduler_lease(settings.account), "somebody else", ttl_ns=60 * 10**9)
    journal.close()
    with pytest.raises(Refused, match="another scheduler"):
        scheduling.simulate(settings, "2013-02-01", "2013-02-01", tell=lambda tick: None)


@pytest.mark.prove
def test_a_fortnight_of_real_history_with_real_kernels(
    new_desk: Callable[[str], Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    settings = new_desk("desk")
    admin.skip_sessions(settings, session="2013-02-08", person="operator", reason="a holiday is in it")
    began = time.monotonic()
    scheduling.simulate(settings, "2013-02-08", "2013-02-22", tell=lambda tick: None)
    print(f"10 sessions with the holiday of 2013-02-18 in {time.monotonic() - began:.0f} s")
    once_each(settings, "2013-02-08", "2013-02-22")
    trained = [row["session"] for row in Desk(settings).journal.rows("runs", job="train_candidate")]
    assert trained == ["2013-02-08", "2013-02-15", "2013-02-22"]
