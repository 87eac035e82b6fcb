"""Write the declared jobs for another scheduler."""

from __future__ import annotations

import sys
from pathlib import Path

from workbench.bootstrap.declared import declared_jobs
from workbench.bootstrap.desk import Desk
from workbench.config import Settings
from workbench.core.job_export import TARGETS
from workbench.core.job_export import export as files_of
from workbench.errors import UsageError


def export(settings: Settings, target: str, folder: Path) -> tuple[Path, ...]:
    """The files that were written, in order.

    Raises
    ------
    UsageError
        An unknown target, no settings file, or a path that the target's syntax cannot hold.
    """
    if settings.file is None:
        raise UsageError("an export names a settings file", next_step="name it with --config")
    config = settings.file.absolute()
    program = Path(sys.executable).with_name("workbench")
    try:
        files = files_of(
            declared_jobs(settings), target, program=str(program), config=str(config),
            folder=str(config.parent), zone=str(Desk(settings).calendar.zone),
        )  # fmt: skip
    except ValueError as error:
        raise UsageError(str(error), next_step=f"use one of {', '.join(TARGETS)}, and plain paths") from None
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return tuple(folder / name for name in files)
