"""Compose the job service: the runner, the journal's record of runs and the declared notebooks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from workbench.adapters.clock import SystemClock
from workbench.adapters.code_hash import code_hash
from workbench.adapters.jobs_file import load_jobs
from workbench.adapters.notebook_runner import NotebookRunner
from workbench.bootstrap.desk import Desk, open_journal
from workbench.bootstrap.resources import jobs_folder
from workbench.config import Settings
from workbench.errors import ConfigError
from workbench.services.jobs import JobService


@contextmanager
def job_service(settings: Settings) -> Iterator[JobService]:
    """The job service of a desk, with the journal open while it is used."""
    if settings.file is None:
        raise ConfigError(
            "a production run needs a settings file: its kernel reads it anew",
            next_step="workbench init, then name the file with --config",
        )
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
            config_path=str(settings.file),
            desk_path=str(desk.paths.root),
        )
    finally:
        journal.close()
