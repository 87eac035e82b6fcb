"""A run of another host is over only when proved: by its time limit, or by a successor and a free lease."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from workbench.adapters.calendar import ExchangeCalendar
from workbench.adapters.journal import JournalDatabase
from workbench.core.jobs import Job, RunPlan, RunRequest, RunResult
from workbench.errors import LeaseLost, Refused
from workbench.services.jobs import JobService, scheduler_lease

SESSION, RUN = "2013-02-01", "trading_loop/2013-02-01.1"
SECOND = 10**9
CALENDAR = ExchangeCalendar(first="2012-12-01", last="2013-12-31")


class Lost(BaseException):
    """The machine is gone in the middle of a run."""


class Wall:
    at_ns = 1_000 * SECOND

    def wall_ns(self) -> int:
        return self.at_ns

    now_ns = wall_ns

    def sleep_until(self, at_ns: int) -> None:
        self.at_ns = at_ns


class Runner:
    """Another machine's locks cannot be asked: whoever does is told that all is over."""

    def __init__(self, *, lost: bool) -> None:
        self.lost = lost

    def exclusive(self, job: str) -> Any:
        return contextlib.nullcontext()

    def is_over(self, run_id: str) -> bool:
        return True

    def run(self, request: RunRequest) -> RunResult:
        if self.lost:
            raise Lost
        return RunResult(request.run_id, "done", 0)


class Desk:
    """A journal of two hosts, on the first of which a trading run was lost."""

    def __init__(self, folder: Path) -> None:
        self.clock = Wall()
        self.journal = JournalDatabase(
            f"sqlite:///{folder / 'journal.sqlite'}", anchor_path=folder / "anchor", anchor_key=b"key",
            config_hash="f" * 64, wall_ns=self.clock.wall_ns,
        )  # fmt: skip

    def service(self, host: str, *, lost: bool = False) -> JobService:
        job = Job(
            "trading_loop", Path("x.ipynb"), "Trade.", needs_session=True, timeout_s=3600.0,
            sends_orders=True, holds_account=True,
        )  # fmt: skip
        return JobService(
            self.journal, CALENDAR, self.clock, Runner(lost=lost), jobs={"trading_loop": job},
            code_hash=lambda path: "c" * 64, config_path="", desk_path="", account="probe",
            holder=f"{host}:boot:1:1",
        )  # fmt: skip

    def lose(self, plan: RunPlan) -> None:
        service = self.service("alpha", lost=True)
        service._finish = lambda *_, **__: None  # type: ignore[method-assign]
        with pytest.raises(Lost):
            service.run("trading_loop", SESSION, plan=plan)

    def token(self, host: str) -> int:
        return self.journal.acquire_lease(scheduler_lease("probe"), host, ttl_ns=20 * SECOND).token


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.journal.close()


def test_a_successor_waits_until_the_lost_kernel_cannot_send(desk: Desk) -> None:
    desk.lose(RunPlan("schedule", 5, desk.token("alpha")))
    desk.journal.acquire_lease("probe", "alpha's kernel", ttl_ns=30 * SECOND)
    other = desk.service("beta")
    with pytest.raises(Refused, match="may still be alive"):  # nobody has replaced its scheduler
        other.bury_the_dead("trading_loop")
    desk.clock.at_ns += 21 * SECOND
    token = desk.token("beta")
    with pytest.raises(Refused, match="may still be alive"):  # its kernel may still hold the right to send
        other.run("trading_loop", SESSION, plan=RunPlan("schedule", 5, token))
    assert len(desk.journal.rows("runs")) == 1
    desk.clock.at_ns += 10 * SECOND
    assert other.run("trading_loop", SESSION, plan=RunPlan("schedule", 5, token)).status == "done"
    assert [row["reason"] for row in desk.journal.rows("runs")] == ["crashed", ""]


def test_a_run_that_a_person_started_elsewhere_is_over_after_its_time_limit(desk: Desk) -> None:
    desk.lose(RunPlan())
    desk.token("beta")
    other = desk.service("beta")
    desk.clock.at_ns += 3599 * SECOND
    with pytest.raises(Refused, match="may still be alive"):
        other.bury_the_dead("trading_loop")
    desk.clock.at_ns += 2 * SECOND
    other.bury_the_dead("trading_loop")
    assert [row["status"] for row in desk.journal.rows("runs")] == ["failed"]


def test_on_the_same_host_the_locks_are_the_proof(desk: Desk) -> None:
    desk.lose(RunPlan())
    desk.service("alpha").bury_the_dead("trading_loop")
    assert [row["reason"] for row in desk.journal.rows("runs")] == ["crashed"]


def test_a_scheduler_that_was_replaced_starts_no_run(desk: Desk) -> None:
    old = desk.token("alpha")
    desk.clock.at_ns += 21 * SECOND
    desk.token("beta")
    with pytest.raises(LeaseLost, match="no longer owns"):
        desk.service("alpha").run("trading_loop", SESSION, plan=RunPlan("schedule", 5, old))
    assert desk.journal.rows("runs") == []
    assert desk.journal.rows("tickets") == []
