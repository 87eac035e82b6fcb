"""Every declared job runs in a kernel of its own, on one desk on real history, and none but one may send."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from notebooks import ROOT
from workbench.bootstrap import scheduling
from workbench.bootstrap.declared import declared_jobs
from workbench.bootstrap.desk import Desk
from workbench.bootstrap.jobs import job_service
from workbench.bootstrap.replay import replay
from workbench.config import Settings, load_settings
from workbench.services.scheduler import Tick

Row = dict[str, Any]

pytestmark = pytest.mark.slow
SESSION = "2013-02-01"
#: In the order of a day.
ORDER = (
    "ingest", "trading_loop", "reconcile", "tca_daily", "calibrate_costs", "drift_report", "train_candidate",
)  # fmt: skip
#: Prints what the kernel knows of the venue's keys and of tickets.
KEYS = """import os
print("KEYS", sorted(name for name in os.environ if "VENUE" in name or "TICKET" in name))
print("SETTINGS", job.desk.settings.secrets.venue_key, job.desk.settings.secrets.venue_secret)"""


@pytest.fixture(scope="module")
def ran(
    prepared: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Settings, dict[str, Row]]]:
    """A desk after one Friday of all jobs, started by its scheduler, and how each ended."""
    folder = tmp_path_factory.mktemp("jobs") / "desk"
    shutil.copytree(prepared, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        settings = load_settings(str(folder / "workbench.toml"))
        ticks: list[Tick] = []
        scheduling.simulate(settings, SESSION, SESSION, tell=ticks.append)
        rows = Desk(settings).journal.rows("runs")
        assert [row["job"] for row in rows] == list(ORDER)  # each once, in the order of the day
        yield settings, {str(row["job"]): row for row in rows}


def cells_of(settings: Settings, job: str, attempt: int = 1) -> dict[str, Any]:
    path = Desk(settings).paths.runs / job / f"{SESSION}.{attempt}" / f"{job}.ipynb"
    return {cell["id"]: cell for cell in json.loads(path.read_text())["cells"]}


def text_of(cell: dict[str, Any]) -> str:
    return json.dumps(cell["outputs"])


def test_every_declared_job_is_run_here(ran: tuple[Settings, dict[str, Row]]) -> None:
    assert set(declared_jobs(ran[0])) == set(ORDER)


@pytest.mark.parametrize("job", ORDER)
def test_a_job_ends_with_its_own_proof(job: str, ran: tuple[Settings, dict[str, Row]]) -> None:
    row = ran[1][job]
    assert (row["run_id"], row["status"], row["reason"]) == (f"{job}/{SESSION}.1", "done", "")


def test_the_scheduler_started_each_once_in_the_order_of_the_day(
    ran: tuple[Settings, dict[str, Row]],
) -> None:
    assert list(ran[1]) == list(ORDER)
    assert Desk(ran[0]).journal.rows("missed_slots") == []


def test_the_candidate_is_registered_and_nobody_has_accepted_it(
    ran: tuple[Settings, dict[str, Row]],
) -> None:
    rows = Desk(ran[0]).journal.rows("models")
    assert [row["stage"] for row in rows] == ["replay", "candidate"]
    assert json.loads(rows[-1]["manifest"])["train_last_session"] <= SESSION


def test_the_reconciliation_gave_its_lease_back_and_left_the_account_as_it_was(
    ran: tuple[Settings, dict[str, Row]],
) -> None:
    journal = Desk(ran[0]).journal
    assert journal.rows("leases", account=ran[0].account)[0]["released"]
    assert journal.rows("state", account=ran[0].account)[0]["state"] == "ACTIVE"
    assert journal.rows("reconciliations")[-1]["clean"]


def test_drift_says_when_it_cannot_judge(ran: tuple[Settings, dict[str, Row]]) -> None:
    cells = cells_of(ran[0], "drift_report")
    found = " ".join(text_of(cell) for cell in cells.values() if "job.drift" in "".join(cell["source"]))
    assert "insufficient" in found
    assert all(symbol in found for symbol in (*ran[0].universe, "costs"))


def test_costs_and_calibration_are_of_the_session(ran: tuple[Settings, dict[str, Row]]) -> None:
    (event,) = Desk(ran[0]).journal.events(kinds=("calibration.done",))
    assert event.payload["session"] == SESSION
    shown = json.dumps(list(cells_of(ran[0], "tca_daily").values()))
    assert "cost_bps" in shown
    assert "total_upper_bps</th>" in shown, "the table of the regimes"


def test_a_session_that_the_scheduler_started_is_replayed(ran: tuple[Settings, dict[str, Row]]) -> None:
    assert Desk(ran[0]).journal.events(kinds=("schedule.counted",)), "what a scheduler writes comes before"
    report = replay(f"trading_loop/{SESSION}.1", config=ran[0])
    assert report.identical, report.first_divergence


def test_only_the_trading_loop_got_a_ticket(ran: tuple[Settings, dict[str, Row]]) -> None:
    assert {row["run_id"] for row in Desk(ran[0]).journal.rows("tickets")} == {f"trading_loop/{SESSION}.1"}


@pytest.mark.parametrize(("job", "keys"), [("tca_daily", False), ("reconcile", True)])
def test_an_analysis_kernel_holds_no_venue_keys(
    job: str, keys: bool, ran: tuple[Settings, dict[str, Row]], monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("WORKBENCH_SECRETS__VENUE_KEY", "made-up-key")
    monkeypatch.setenv("WORKBENCH_SECRETS__VENUE_SECRET", "made-up-secret")
    home = ran[0].file.parent if ran[0].file else tmp_path
    notebook = json.loads((ROOT / "papermill-jobs" / f"{job}.ipynb").read_text())
    notebook["cells"][2]["source"] += "\n" + KEYS
    (home / f"{job}.ipynb").write_text(json.dumps(notebook))
    own = (ROOT / "papermill-jobs" / "jobs.toml").read_text().replace("repeats = false", "repeats = true")
    (home / "jobs.toml").write_text(own.replace("repeats = true", "repeats = false", 2))
    try:
        with job_service(ran[0]) as service:
            result = service.run(job, SESSION)
    finally:
        (home / "jobs.toml").unlink()
        (home / f"{job}.ipynb").unlink()
    assert result.status == "done", result
    printed = text_of(cells_of(ran[0], job, 2)[notebook["cells"][2]["id"]])
    assert ("VENUE_KEY" in printed) is keys
    assert ("None None" in printed) is not keys
    assert "made-up" not in printed
