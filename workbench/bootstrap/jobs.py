"""Compose the job service: the runner, the journal's record of runs and the declared notebooks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from workbench.adapters.clock import SystemClock
from workbench.adapters.code_hash import code_hash
from workbench.adapters.jobs_file import load_jobs
from workbench.adapters.notebook_runner import NotebookRunner
from workbench.bootstrap.desk import Desk, open_journal
from workbench.bootstrap.resources import jobs_folder
from workbench.config import Settings
from workbench.core.jobs import RunResult
from workbench.services.jobs import JobService


@contextmanager
def job_service(settings: Settings) -> Iterator[JobService]:
    """The job service of a desk, with the journal open while it is used."""
    desk = Desk(settings)
    journal = open_journal(settings, read_only=False)
    try:
        yield JobService(
            journal,
            desk.calendar,
            SystemClock(),
            NotebookRunner(desk.paths.runs),
            jobs=load_jobs(jobs_folder() / "jobs.toml"),
            code_hash=code_hash,
            config_path=str(settings.folder / "workbench.toml"),
            desk_path=str(desk.paths.root),
        )
    finally:
        journal.close()


def run_session(
    settings: Settings, job: str, session: str, *, progress: Callable[[int, int], None] | None = None
) -> RunResult:
    """Run one job for one session and wait for its end.

    Parameters
    ----------
    progress : callable (cells finished, cells in all) or None

    Raises
    ------
    UsageError
        No such job, no such date, or the exchange was closed.
    Refused
        Another run of the job is alive.
    """
    with job_service(settings) as service:
        return service.run(job, session, progress=progress)
