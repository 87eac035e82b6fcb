"""Where a desk's jobs are declared, read and judged before anything runs."""

from __future__ import annotations

from pathlib import Path

from workbench.adapters.jobs_file import JobsText, load_jobs
from workbench.adapters.notebook_runner import check_notebook
from workbench.bootstrap.resources import jobs_folder
from workbench.config import Settings
from workbench.config.secret import secret_in
from workbench.core.declared import findings
from workbench.core.jobs import Job
from workbench.errors import ConfigError
from workbench.redaction import is_secret_name


def jobs_file(settings: Settings) -> Path:
    """The desk's own `jobs.toml` beside its settings, else the one of the package."""
    own = settings.file.parent / "jobs.toml" if settings.file is not None else None
    return own if own is not None and own.is_file() else jobs_folder() / "jobs.toml"


def declared_jobs(settings: Settings) -> dict[str, Job]:
    """The jobs of a desk by name.

    Raises
    ------
    ConfigError
        The first thing that is wrong with their declaration, with its line.
    """
    return read_jobs(jobs_file(settings))


def read_jobs(path: Path) -> dict[str, Job]:
    """The jobs of one file, each with a notebook that is fit for production.

    Raises
    ------
    ConfigError
        The first thing that is wrong, with its line.
    """
    jobs = load_jobs(path, notebooks=(jobs_folder(),), secret_like=_secret_like)
    place = JobsText(path, path.read_text(encoding="utf-8"))
    for finding in findings(jobs):
        place.refuse((finding.job, finding.key), finding.message, finding.next_step)
    for job in jobs.values():
        try:
            check_notebook(job.notebook)
        except ConfigError as error:
            place.refuse((job.name, "notebook"), error.message, error.next_step)
    return jobs


def _secret_like(name: str, value: object) -> str:
    if is_secret_name(name):
        return "by its name"
    return secret_in(value) if isinstance(value, str) else ""
