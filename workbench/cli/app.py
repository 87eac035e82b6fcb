"""The tree of all commands."""

from __future__ import annotations

from functools import cache
from typing import Any

import typer

from workbench.cli import (
    adjusting,
    alerts,
    approvals,
    data,
    desk,
    epochs,
    job_schedule,
    jobs,
    journal,
    killing,
    limits,
    models,
    monitoring,
    new,
    pages,
    people,
    preflight,
    release,
    replay,
    report,
    settings,
    storage,
    surveillance,
    venue,
)
from workbench.cli.boundary import commands, document

__all__ = ["EPILOG", "build", "commands"]
EPILOG = "Exit codes: 0 done, 2 usage or config, 3 refused by a guard, 4 outcome unknown, 5 failed."


@cache
def build() -> Any:
    """The whole command tree, a group of typer's vendored click; made once a process."""
    app = typer.Typer(
        name="workbench",
        help="Analyse, supervise and trade systematic US-equity strategies under guards that fail closed.",
        epilog=EPILOG,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    for module in (
        desk, killing, models, release, replay, approvals, alerts, limits, report, preflight, surveillance,
        monitoring, adjusting, new, pages, epochs,
    ):  # fmt: skip
        module.register(app)
    job_schedule.register(jobs.app)
    groups = {
        "config": settings,
        "people": people,
        "data": data,
        "jobs": jobs,
        "journal": journal,
        "venue": venue,
        "alerts": alerts,
        "storage": storage,
    }
    for name, module in groups.items():
        app.add_typer(module.app, name=name)
    app.command("demo")(jobs.demo)
    tree = typer.main.get_command(app)
    document(tree)
    return tree
