"""Runs are recorded before and after, once for each session, with a ticket that works once."""

from __future__ import annotations

import contextlib
import hashlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from notebooks import GUARD, PARAMETERS, ROOT, write_notebook
from workbench.adapters.calendar import ExchangeCalendar
from workbench.adapters.code_hash import code_hash
from workbench.adapters.journal import JournalDatabase
from workbench.adapters.notebook_runner import NotebookRunner
from workbench.core.canonical import sha256_of
from workbench.core.jobs import Job, RunRequest, RunResult
from workbench.errors import JournalConflict, OutcomeUnknown, Refused, StorageFailed, UsageError
from workbench.services.jobs import JobService
from workbench.services.tickets import TICKET_LIFE_NS, TICKET_VARIABLE, issue_ticket, redeem_ticket

CALENDAR = ExchangeCalendar(first="2012-12-01", last="2013-12-31")
SESSION = "2013-02-01"
CODE = "c" * 64
KEY = b"the anchor key of a desk under test"
START_NS = 1_700_000_000_000_000_000


class Wall:
    """Wall and trading clock that stand until they are moved."""

    def __init__(self) -> None:
        self.at_ns = START_NS

    def now_ns(self) -> int:
        return self.at_ns

    wall_ns = now_ns

    def sleep_until(self, at_ns: int) -> None:
        self.at_ns = max(self.at_ns, at_ns)


class Runner:
    """Ends every run as it is told, at once."""

    def __init__(self) -> None:
        self.requests: list[RunRequest] = []
        self.end: Callable[[RunRequest], RunResult] = lambda request: RunResult(request.run_id, "done", 0)
        self.alive: set[str] = set()
        self.entered: list[str] = []

    @contextlib.contextmanager
    def exclusive(self, job: str) -> Iterator[None]:
        self.entered.append(job)
        yield

    def is_over(self, run_id: str) -> bool:
        return run_id not in self.alive

    def run(self, request: RunRequest) -> RunResult:
        self.requests.append(request)
        return self.end(request)


@pytest.fixture
def clock() -> Wall:
    return Wall()


@pytest.fixture
def journal(tmp_path: Path, clock: Wall) -> Iterator[JournalDatabase]:
    database = open_journal(tmp_path, clock.wall_ns)
    yield database
    database.close()


def open_journal(folder: Path, wall_ns: Callable[[], int]) -> JournalDatabase:
    return JournalDatabase(
        f"sqlite:///{folder / 'journal.sqlite'}",
        anchor_path=folder / "journal.anchor",
        anchor_key=KEY,
        config_hash="f" * 64,
        wall_ns=wall_ns,
    )


@pytest.fixture
def runner() -> Runner:
    return Runner()


@pytest.fixture
def service(journal: JournalDatabase, clock: Wall, runner: Runner, tmp_path: Path) -> JobService:
    return make_service(journal, clock, runner, tmp_path / "trading_loop.ipynb", tmp_path)


def make_service(
    journal: Any, clock: Any, runner: Any, notebook: Path, desk: Path, code: Any = None
) -> JobService:
    jobs = {
        "trading_loop": Job(
            "trading_loop", notebook, "Trade.", needs_session=True, timeout_s=60.0, sends_orders=True
        ),
        "report": Job("report", notebook, "Report.", needs_session=False, timeout_s=60.0, sends_orders=False),
    }
    return JobService(
        journal,
        CALENDAR,
        clock,
        runner,
        jobs=jobs,
        code_hash=code or (lambda path: CODE),
        config_path="workbench.toml",
        desk_path=str(desk),
        account="probe",
    )


def rows_of(service: JobService) -> list[tuple[str, str, int | None, str]]:
    return [(row["run_id"], row["status"], row["exit_code"], row["reason"]) for row in service.history()]


def test_only_an_analysis_may_take_a_kernel_that_was_started_beforehand(
    service: JobService, runner: Runner
) -> None:
    for job in ("trading_loop", "report"):
        service.run(job, SESSION)
    assert [(request.run_id.partition("/")[0], request.warm) for request in runner.requests] == [
        ("trading_loop", False), ("report", True)
    ]  # fmt: skip


# --- the record ----------------------------------------------------------------------------------------


def test_a_run_is_recorded_before_it_starts(
    service: JobService, runner: Runner, journal: JournalDatabase
) -> None:
    seen: list[Any] = []

    def end(request: RunRequest) -> RunResult:
        seen.extend(journal.rows("runs"))
        return RunResult(request.run_id, "done", 0, notebook="executed.ipynb")

    runner.end = end
    result = service.run("trading_loop", SESSION, overrides={"mode": "replay"})
    assert (result.status, result.exit_code) == ("done", 0)
    (row,) = seen
    (request,) = runner.requests
    assert (row["run_id"], row["status"]) == (f"trading_loop/{SESSION}.1", "running")
    assert row["parameters_hash"] == sha256_of(dict(request.parameters))
    assert request.parameters == {
        "run_id": f"trading_loop/{SESSION}.1", "job": "trading_loop", "session": SESSION, "attempt": 1,
        "config_path": "workbench.toml", "desk_path": request.parameters["desk_path"],
        "overrides": {"mode": "replay"}, "parameters": {}, "code_hash": CODE,
    }  # fmt: skip
    (after,) = service.history(job="trading_loop")
    assert (after["status"], after["exit_code"], after["notebook"]) == ("done", 0, "executed.ipynb")
    assert service.history(job="report") == []


def test_a_job_that_sends_no_orders_gets_no_ticket(
    service: JobService, runner: Runner, journal: JournalDatabase
) -> None:
    service.run("report", SESSION)
    (request,) = runner.requests
    assert request.environment == {}
    assert journal.rows("tickets") == []
    service.run("trading_loop", SESSION)
    assert len(journal.rows("tickets")) == 1


def test_a_session_that_is_done_runs_no_more(service: JobService, runner: Runner) -> None:
    service.run("trading_loop", SESSION)
    again = service.run("trading_loop", SESSION)
    assert (again.status, again.exit_code) == ("done", 0)
    assert again.message == "already done: nothing sent"
    assert again.run_id == f"trading_loop/{SESSION}.1"
    assert len(runner.requests) == 1
    service.run("trading_loop", "2013-02-04")
    assert len(runner.requests) == 2


@pytest.mark.parametrize(("status", "exit_code"), [("refused", 3), ("unknown", 4), ("failed", 5)])
def test_a_run_that_is_not_done_is_a_new_attempt(
    status: str, exit_code: int, service: JobService, runner: Runner
) -> None:
    runner.end = lambda request: RunResult(request.run_id, status, exit_code, message="why")
    assert service.run("trading_loop", SESSION).exit_code == exit_code
    runner.end = lambda request: RunResult(request.run_id, "done", 0)
    service.run("trading_loop", SESSION)
    assert rows_of(service) == [
        (f"trading_loop/{SESSION}.1", status, exit_code, "why"),
        (f"trading_loop/{SESSION}.2", "done", 0, ""),
    ]


@pytest.mark.parametrize(
    ("error", "status", "exit_code", "reason"),
    [
        (SystemExit(143), "failed", 5, "stopped by a signal (exit 143)"),
        (KeyboardInterrupt(), "failed", 5, "stopped from the keyboard"),
        (Refused("no"), "refused", 3, "no"),
        (UsageError("how"), "refused", 2, "how"),
        (OutcomeUnknown("who knows"), "unknown", 4, "who knows"),
        (StorageFailed("full"), "failed", 5, "full"),
    ],
)
def test_whatever_stops_a_run_is_recorded_and_goes_on(
    error: BaseException, status: str, exit_code: int, reason: str, service: JobService, runner: Runner
) -> None:
    def end(request: RunRequest) -> RunResult:
        raise error

    runner.end = end
    with pytest.raises(type(error)):
        service.run("trading_loop", SESSION)
    assert rows_of(service) == [(f"trading_loop/{SESSION}.1", status, exit_code, reason)]


def test_a_run_whose_processes_are_dead_has_crashed(
    service: JobService, runner: Runner, journal: JournalDatabase, clock: Wall, tmp_path: Path
) -> None:
    class Power(BaseException):
        """Nothing after this line is executed."""

    class Cut(Runner):
        def run(self, request: RunRequest) -> RunResult:
            raise Power

    cut = make_service(journal, clock, Cut(), tmp_path / "x.ipynb", tmp_path)
    cut._finish = lambda *_, **__: None  # type: ignore[method-assign]
    with pytest.raises(Power):
        cut.run("trading_loop", SESSION)
    first = f"trading_loop/{SESSION}.1"
    assert rows_of(service) == [(first, "running", None, "")]

    runner.alive.add(first)
    with pytest.raises(Refused, match="may still be alive"):
        service.run("trading_loop", SESSION)
    with pytest.raises(Refused, match="may still be alive"):
        service.run("trading_loop", "2013-02-04")
    assert rows_of(service) == [(first, "running", None, "")]

    runner.alive.clear()
    service.run("trading_loop", SESSION)
    assert rows_of(service) == [(first, "failed", 5, "crashed"), (f"trading_loop/{SESSION}.2", "done", 0, "")]
    assert runner.entered[-1] == "trading_loop"


# --- bad input ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("day", "before", "after"), [
    ("2013-02-02", "2013-02-01", "2013-02-04"),
    ("2013-02-18", "2013-02-15", "2013-02-19"),
])  # fmt: skip
def test_a_closed_day_is_refused_and_its_neighbours_named(
    day: str, before: str, after: str, service: JobService, runner: Runner
) -> None:
    with pytest.raises(UsageError, match=f"closed on {day}") as caught:
        service.run("trading_loop", day)
    assert before in caught.value.next_step
    assert after in caught.value.next_step
    assert runner.requests == []
    assert service.history() == []
    assert service.run("report", day).status == "done"


@pytest.mark.parametrize(
    "text", ["2013-2-1", "20130201", "2013-02-30", "yesterday", "", "2013-02-01T00:00", "../x"]
)
def test_a_date_that_is_none_is_refused(text: str, service: JobService, runner: Runner) -> None:
    for job in ("trading_loop", "report"):
        with pytest.raises(UsageError, match="is not a date"):
            service.run(job, text)
    assert runner.requests == []


def test_an_unknown_job_names_the_nearest(service: JobService) -> None:
    with pytest.raises(UsageError, match="trading_lop") as caught:
        service.run("trading_lop", SESSION)
    assert caught.value.next_step == "workbench jobs run trading_loop"


# --- tickets --------------------------------------------------------------------------------------------


def test_a_ticket_works_once_and_only_its_hash_is_recorded(
    service: JobService, runner: Runner, journal: JournalDatabase, clock: Wall
) -> None:
    service.run("trading_loop", SESSION)
    (request,) = runner.requests
    ticket = request.environment[TICKET_VARIABLE]
    assert ticket not in str(journal.events())
    assert ticket not in str(request.parameters)
    assert len(journal.rows("tickets", ticket_hash=hashlib.sha256(ticket.encode()).hexdigest())) == 1

    environ = {**request.environment, "OTHER": "kept"}
    redeem_ticket(journal, environ, run_id=request.run_id, code_hash=CODE, wall_ns=clock.wall_ns())
    assert environ == {"OTHER": "kept"}
    with pytest.raises(Refused, match="no ticket"):
        redeem_ticket(journal, environ, run_id=request.run_id, code_hash=CODE, wall_ns=clock.wall_ns())
    with pytest.raises(Refused, match="used before"):
        redeem_ticket(
            journal, dict(request.environment), run_id=request.run_id, code_hash=CODE, wall_ns=clock.wall_ns()
        )


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"run_id": "trading_loop/2013-02-01.2"}, "is for run"),
        ({"code_hash": "d" * 64}, "changed after"),
        ({"wall_ns": START_NS + TICKET_LIFE_NS}, "expired"),
        ({"ticket": "0" * 64}, "never issued"),
        ({"ticket": ""}, "no ticket"),
    ],
)
def test_a_ticket_opens_only_its_own_door(
    changes: dict[str, Any], named: str, journal: JournalDatabase, clock: Wall
) -> None:
    run_id = "trading_loop/2013-02-01.1"
    ticket = issue_ticket(journal, run_id=run_id, code_hash=CODE, wall_ns=clock.wall_ns())
    asked = {"run_id": run_id, "code_hash": CODE, "wall_ns": START_NS + TICKET_LIFE_NS - 1} | changes
    environ = {TICKET_VARIABLE: asked.pop("ticket", ticket)}
    with pytest.raises(Refused, match=named):
        redeem_ticket(journal, environ, **asked)
    assert environ == {}  # taken away even when it is refused
    good = {"run_id": run_id, "code_hash": CODE, "wall_ns": START_NS + TICKET_LIFE_NS - 1}
    redeem_ticket(journal, {TICKET_VARIABLE: ticket}, **good)


def test_two_kernels_cannot_use_one_ticket(journal: JournalDatabase, clock: Wall) -> None:
    run_id = "trading_loop/2013-02-01.1"
    ticket = issue_ticket(journal, run_id=run_id, code_hash=CODE, wall_ns=clock.wall_ns())

    class Stale:
        """Sees the ticket as it was before the other kernel used it."""

        def rows(self, projection: str, **equals: Any) -> list[dict[str, Any]]:
            return [{**row, "used": False} for row in journal.rows(projection, **equals)]

        def commit(self, events: Any) -> Any:
            return journal.commit(events)

    good = {"run_id": run_id, "code_hash": CODE, "wall_ns": clock.wall_ns()}
    redeem_ticket(journal, {TICKET_VARIABLE: ticket}, **good)
    with pytest.raises(JournalConflict):
        redeem_ticket(Stale(), {TICKET_VARIABLE: ticket}, **good)  # type: ignore[arg-type]


# --- with a real kernel ------------------------------------------------------------------------------------


def test_a_real_kernel_redeems_its_ticket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    redeem = f"""
import os, time
from workbench.adapters.code_hash import code_hash
from workbench.adapters.journal import JournalDatabase
from workbench.adapters.run_parameters import read_parameters
from workbench.services.tickets import redeem_ticket
desk = Path({str(tmp_path)!r})
journal = JournalDatabase(f"sqlite:///{{desk / 'journal.sqlite'}}", anchor_path=desk / "journal.anchor",
    anchor_key={KEY!r}, config_hash="f" * 64, wall_ns=time.time_ns)
def recorded(parameters):
    return journal.rows("runs", run_id=parameters.run_id)[0]["parameters_hash"]
parameters = read_parameters(Path(params_file), expected_hash=recorded)
redeem_ticket(journal, os.environ, run_id=parameters.run_id, code_hash=code_hash(desk / "trading_loop.ipynb"),
    wall_ns=time.time_ns())
assert "WORKBENCH_TICKET" not in os.environ
journal.close()
guard.write_outcome("done")
"""
    notebook = write_notebook(tmp_path / "trading_loop.ipynb", PARAMETERS, GUARD, redeem)

    class Now(Wall):
        def wall_ns(self) -> int:  # type: ignore[override]
            return time.time_ns()

    journal = open_journal(tmp_path, Now().wall_ns)
    try:
        service = make_service(
            journal, Now(), NotebookRunner(tmp_path / "runs"), notebook, tmp_path, code_hash
        )
        result = service.run("trading_loop", SESSION)
        assert (result.status, result.message) == ("done", "")
        assert [row["used"] for row in journal.rows("tickets")] == [True]
        assert service.run("trading_loop", SESSION).message == "already done: nothing sent"
        assert journal.verify().ok
    finally:
        journal.close()
