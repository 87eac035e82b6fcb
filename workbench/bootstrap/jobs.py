"""Compose the job service: the runner, the journal's record of runs and the declared notebooks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from functools import partial

from workbench.adapters.clock import SystemClock
from workbench.adapters.code_hash import code_hash, code_stamp
from workbench.adapters.journal import JournalDatabase
from workbench.adapters.kernel_guard import process_holder
from workbench.adapters.notebook_runner import NotebookRunner, WarmKernels
from workbench.bootstrap.declared import declared_jobs
from workbench.bootstrap.desk import Desk, open_journal
from workbench.config import Settings, load_extensions
from workbench.core.ports import Clock
from workbench.errors import ConfigError
from workbench.services.jobs import JobService

#: What a kernel does not get unless its job is declared with `venue_keys`.
VENUE_KEYS = ("WORKBENCH_SECRETS__VENUE_KEY", "WORKBENCH_SECRETS__VENUE_SECRET")
#: What every production notebook loads with its first word.
_LIBRARIES = "import workbench; workbench.start_job"


@contextmanager
def job_service(
    settings: Settings, *, clock: Clock | None = None, warm: WarmKernels | None = None
) -> Iterator[JobService]:
    """The job service of a desk, with the journal open while it is used; None = the machine's clock."""
    journal = open_journal(settings, read_only=False)
    try:
        yield make_service(settings, journal, clock or SystemClock(), warm=warm)
    finally:
        journal.close()


def warm_kernels(count: int) -> AbstractContextManager[WarmKernels | None]:
    """Kernels that wait for analysis runs, none of them with the venue's keys; ended with the context."""
    if not count:
        return nullcontext()
    warm = WarmKernels(count, withheld=VENUE_KEYS, stamp=code_stamp, preload=_LIBRARIES)
    return closing(warm)


def make_service(
    settings: Settings, journal: JournalDatabase, clock: Clock, *, warm: WarmKernels | None = None
) -> JobService:
    """The job service of a desk over a journal that is open; `warm` = kernels that analysis runs may take.

    Raises
    ------
    ConfigError
        No settings file, or a job that is declared wrongly.
    """
    if settings.file is None:
        raise ConfigError(
            "a production run needs a settings file: its kernel reads it anew",
            next_step="workbench init, then name the file with --config",
        )
    desk = Desk(settings)
    return JobService(
        journal,
        desk.calendar,
        clock,
        NotebookRunner(desk.paths.runs, warm=warm),
        jobs=declared_jobs(settings),
        code_hash=partial(code_hash, extensions=load_extensions(settings.model.extensions)),
        config_path=str(settings.file),
        desk_path=str(desk.paths.root),
        account=settings.account,
        holder=process_holder(),
        venue_keys=VENUE_KEYS,
    )
