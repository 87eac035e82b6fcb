"""Folders of old runs go when a person says so, never a row of the journal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from workbench.bootstrap import retention
from workbench.bootstrap.declared import declared_jobs
from workbench.bootstrap.desk import Desk, open_journal
from workbench.config import Settings
from workbench.core.ports import Event
from workbench.core.types import DAY_NS
from workbench.errors import JournalConflict, StorageFailed

TCA = [f"tca_daily/2013-02-0{day}.1" for day in (1, 4, 5)]
TRADING = "trading_loop/2013-02-01.1"


@pytest.fixture
def desk(new_desk: Callable[[str], Settings]) -> Settings:
    """Three runs of an analysis of which the last is under way, one of trading, and two strange folders."""
    settings = new_desk("desk")
    journal = open_journal(settings, read_only=False)
    for run_id in (*TCA, TRADING, "gone/2013-02-01.1"):
        job, _, rest = run_id.partition("/")
        began = {
            "run_id": run_id, "job": job, "session": rest[:10], "attempt": 1, "parameters_hash": "p",
            "code_hash": "c", "cause": "person", "due_ns": 0, "lease": "none", "owner_token": 0,
            "holder": "h",
        }  # fmt: skip
        done = {"run_id": run_id, "status": "done", "exit_code": 0, "reason": "", "notebook": "n"}
        folder = Desk(settings).paths.runs / run_id
        folder.mkdir(parents=True)
        (folder / "executed.ipynb").write_text("x" * 10)
        journal.commit([Event("run.started", began)])
        if run_id != TCA[2]:
            journal.commit([Event("run.finished", done)])
    journal.close()
    (Desk(settings).paths.runs / "tca_daily" / "2012-01-03.1").mkdir()  # no record names it
    return settings


def ended_ns(settings: Settings) -> int:
    rows = Desk(settings).journal.rows("runs", run_id=TCA[0])
    return int(rows[0]["finished_at_ns"])


def folders(settings: Settings) -> set[str]:
    root = Desk(settings).paths.runs
    return {path.relative_to(root).as_posix() for path in root.glob("*/*-*")}


def test_only_what_is_older_than_declared_is_named_and_nothing_is_deleted_without_a_word(
    desk: Settings,
) -> None:
    keep = declared_jobs(desk)["tca_daily"].keep_days
    before = folders(desk)
    assert retention.prune(desk, delete=False, now_ns=ended_ns(desk) + keep * DAY_NS) == ()
    later = ended_ns(desk) + (keep + 1) * DAY_NS
    (old,) = retention.prune(desk, delete=False, now_ns=later)
    assert (old.run_id, old.days, old.keep_days, old.bytes) == (TCA[0], keep + 1, keep, 10)
    assert folders(desk) == before
    assert retention.prune(desk, delete=True, now_ns=later) == (old,)
    assert folders(desk) == before - {TCA[0]}
    assert retention.prune(desk, delete=True, now_ns=later) == ()


def test_no_row_goes_and_each_deletion_is_on_record(desk: Settings) -> None:
    rows = Desk(desk).journal.rows("runs")
    later = ended_ns(desk) + 400 * DAY_NS
    retention.prune(desk, delete=True, now_ns=later)
    journal = Desk(desk).journal
    assert journal.rows("runs") == rows
    assert [event.payload["run_id"] for event in journal.events(kinds=("run.pruned",))] == [TCA[0]]
    assert journal.verify().ok


def test_runs_under_way_the_newest_done_and_what_is_not_declared_stay(desk: Settings) -> None:
    much_later = ended_ns(desk) + 40_000 * DAY_NS
    assert [one.run_id for one in retention.old_runs(desk, now_ns=much_later)] == [TCA[0]]


def test_the_journal_refuses_that_the_folder_of_a_run_under_way_goes(desk: Settings) -> None:
    journal = open_journal(desk, read_only=False)
    try:
        for run_id in (TCA[2], "tca_daily/2012-01-03.1"):
            facts = {"run_id": run_id, "days": 9, "keep_days": 1, "at_ns": 1}
            with pytest.raises(JournalConflict, match="no run that has ended"):
                journal.commit([Event("run.pruned", facts)])
    finally:
        journal.close()


def test_a_link_is_no_folder_of_a_run_and_a_folder_that_stays_is_named(
    desk: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = ended_ns(desk) + 400 * DAY_NS
    root = Desk(desk).paths.runs

    def refuse(path: Path) -> None:
        raise PermissionError(1, "not permitted")

    with monkeypatch.context() as patch:
        patch.setattr("workbench.bootstrap.retention.shutil.rmtree", refuse)
        with pytest.raises(StorageFailed, match=r"tca_daily/2013-02-01\.1 cannot be deleted"):
            retention.prune(desk, delete=True, now_ns=later)
    elsewhere = tmp_path / "elsewhere"
    (root / TCA[0]).rename(elsewhere)
    (root / TCA[0]).symlink_to(elsewhere)
    assert retention.prune(desk, delete=True, now_ns=later) == ()
    assert (elsewhere / "executed.ipynb").exists()
