"""The command tree and its one boundary: every error leaves as a message, a next step and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from workbench.cli import data, desk, jobs, models, people, settings
from workbench.cli.console import fail
from workbench.errors import StorageFailed, WorkbenchError

EPILOG = "Exit codes: 0 done, 2 usage or config, 3 refused by a guard, 4 outcome unknown, 5 failed."


def build() -> typer.Typer:
    """The whole command tree."""
    app = typer.Typer(
        name="workbench",
        help="Analyse, supervise and trade systematic US-equity strategies under guards that fail closed.",
        epilog=EPILOG,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    for module in (desk, models):
        module.register(app)
    for name, module in (("config", settings), ("people", people), ("data", data), ("jobs", jobs)):
        app.add_typer(module.app, name=name)
    app.add_typer(desk.journal_app, name="journal")
    app.command("demo")(jobs.demo)
    return app


def run(arguments: Sequence[str] | None = None) -> None:
    """Run one command and leave with its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in given
    try:
        build()(args=given, standalone_mode=True)
    except WorkbenchError as error:
        fail(error, as_json)
    except KeyboardInterrupt:
        print("stopped; what was done is recorded, run the same command to go on", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        step = "free space or mend the permissions, then run the command again: nothing is half-done"
        fail(StorageFailed(f"{error.filename or 'the disk'}: {error.strerror}", next_step=step), as_json)
