"""Which runs' folders have been kept as long as their job says; the journal's rows are kept for good."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from workbench.adapters.clock import SystemClock
from workbench.bootstrap.declared import declared_jobs
from workbench.bootstrap.desk import Desk, open_journal
from workbench.config import Settings
from workbench.core.ports import Event
from workbench.core.types import DAY_NS
from workbench.errors import StorageFailed


@dataclass(frozen=True)
class OldRun:
    """The folder of a run that may go.

    Attributes
    ----------
    run_id : str
    days : int
        Whole days since it ended.
    keep_days : int
        What its job declares.
    bytes : int
        Size of its files.
    """

    run_id: str
    days: int
    keep_days: int
    bytes: int


def old_runs(settings: Settings, *, now_ns: int) -> tuple[OldRun, ...]:
    """Folders of recorded runs that ended more than their job's `keep_days` ago, oldest first.

    A run that has not ended, a job that is not declared any more and a folder that no record names are left
    alone; so is the newest run of each job that is done.
    """
    desk, jobs = Desk(settings), declared_jobs(settings)
    rows = desk.journal.rows("runs")
    newest = {str(row["job"]): str(row["run_id"]) for row in rows if row["status"] == "done"}
    found = []
    for row in rows:
        job, run_id = jobs.get(str(row["job"])), str(row["run_id"])
        folder = desk.paths.runs / run_id
        if job is None or not row["finished_at_ns"] or run_id == newest.get(job.name):
            continue
        days = (now_ns - int(row["finished_at_ns"])) // DAY_NS
        if days > job.keep_days and folder.is_dir() and not folder.is_symlink():
            found.append(OldRun(run_id, int(days), job.keep_days, _size(folder)))
    return tuple(sorted(found, key=lambda one: (-one.days, one.run_id)))


def prune(settings: Settings, *, delete: bool, now_ns: int | None = None) -> tuple[OldRun, ...]:
    """The folders that may go; with `delete` they are gone afterwards, each recorded before.

    Raises
    ------
    StorageFailed
        A folder could not be deleted; run it again.
    """
    at_ns = SystemClock().now_ns() if now_ns is None else now_ns
    found = old_runs(settings, now_ns=at_ns)
    if delete and found:
        _delete(settings, found, at_ns)
    return found


def _delete(settings: Settings, found: Sequence[OldRun], at_ns: int) -> None:
    root = Desk(settings).paths.runs
    journal = open_journal(settings, read_only=False)
    try:
        for one in found:
            journal.commit([Event("run.pruned", _facts(one, at_ns))])
            try:
                shutil.rmtree(root / one.run_id)
            except OSError as error:
                raise StorageFailed(
                    f"{root / one.run_id} cannot be deleted: {error.strerror}",
                    next_step="mend its permissions and run the command again",
                ) from error
    finally:
        journal.close()


def _facts(one: OldRun, at_ns: int) -> Mapping[str, object]:
    return {"run_id": one.run_id, "days": one.days, "keep_days": one.keep_days, "at_ns": at_ns}


def _size(folder: Path) -> int:
    return sum(os.lstat(Path(place) / name).st_size for place, _, names in os.walk(folder) for name in names)
