"""Kill scheduler, runner, kernel or database at each stage of each job: each is done once, nothing twice.

Schedulers, job service, journal and leases are the real ones, on a virtual clock; kernels are scripted. Real
processes are killed in test_scheduler_crash.py and test_notebook_runner_crash.py.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from fortnight import MINUTE, Host
from places import PostgresForTests
from stage_kills import KILLS, LAST, SESSION, STAGES, KillingWorld

from notebooks import ROOT
from workbench.bootstrap.declared import read_jobs

JOBS = read_jobs(ROOT / "papermill-jobs" / "jobs.toml")


def session_with_a_kill(
    folder: Path, job: str, victim: str, stage: str, server: PostgresForTests | None = None
) -> None:
    """One Friday of all jobs; what must hold at its end."""
    folder.mkdir()
    place = server.new_place() if server is not None else None
    world = KillingWorld(folder, JOBS, job=job, victim=victim, stage=stage, server=server, place=place)
    with contextlib.closing(world):
        world.hosts.append(Host("a", world))
        world.run_until(LAST)
        where = f"{victim} killed {stage}: {job}"
        assert world.struck, where
        assert world.overlaps == [], where
        runs = world.journal.rows("runs")
        due = {row["run_id"]: row["due_ns"] for row in world.journal.rows("run_plans")}
        done = Counter(row["job"] for row in runs if row["status"] == "done" and due[row["run_id"]])
        missed = {row["job"]: row["reason"] for row in world.journal.rows("missed_slots")}
        assert done.keys() | missed.keys() == set(JOBS), where
        assert not done.keys() & missed.keys(), where
        assert set(done.values()) == {1}, where
        if (job, stage) == ("trading_loop", STAGES[3]):  # after the close: not run again, but named
            assert missed["trading_loop"] == "it was not resumed in time", where
        else:
            assert missed == {}, where
        assert len({(row["job"], row["session"], row["attempt"]) for row in runs}) == len(runs), where
        assert [row["run_id"] for row in runs if row["status"] == "running"] == [], where
        assert [session for session, _ in world.submits] == [SESSION], where
        (_, at_ns), open_ns = world.submits[0], world.calendar.session_open_ns(SESSION)
        assert open_ns - 15 * MINUTE <= at_ns < world.calendar.session_close_ns(SESSION), where
        assert world.journal.verify().ok, where


@pytest.mark.parametrize(
    ("victim", "stage"), [("runner", stage) for stage in STAGES] + [("scheduler", STAGES[1]), KILLS[-1]]
)
def test_a_trading_run_that_is_killed_is_done_once(tmp_path: Path, victim: str, stage: str) -> None:
    session_with_a_kill(tmp_path / "world", "trading_loop", victim, stage)


@pytest.mark.prove
@pytest.mark.parametrize("job", JOBS)
def test_every_kill_at_every_stage_of_a_job(
    job: str, tmp_path: Path, postgres: PostgresForTests, record_property: Callable[[str, object], None]
) -> None:
    for number, (victim, stage) in enumerate(KILLS):
        server = postgres if victim == "database" else None
        session_with_a_kill(tmp_path / str(number), job, victim, stage, server)
    record_property("kills", len(KILLS))
