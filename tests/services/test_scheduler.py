"""Every job runs exactly once a session or is named as missed, whatever happens to the machines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from fortnight import MINUTE, Fortnight, Host, World, at

from notebooks import ROOT
from workbench.bootstrap.declared import read_jobs

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
    assert [row["code"] for row in world.journal.rows("alerts")].count("scheduler_replaced") >= 2
