"""The command that lists the epochs of a desk."""

from __future__ import annotations

import dataclasses

import typer
from rich.console import Console

from workbench.bootstrap.epochs import desk_epochs
from workbench.cli.console import emit, rows_table
from workbench.cli.options import DEFAULT_CONFIG, AsJson, Config
from workbench.config import load_settings


def register(app: typer.Typer) -> None:
    """Add the command to the command tree."""
    app.command("epochs")(epochs)


def epochs(config: Config = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """List the desk's epochs: which account each belongs to, where its journal is, what it follows."""
    found = [dataclasses.asdict(one) for one in desk_epochs(load_settings(str(config)))]

    def text(out: Console) -> None:
        names = ["number", "venue_account", "events", "closed", "follows", "journal"]
        rows = [[str(one[name]) for name in names] for one in found]
        out.print(rows_table(f"{len(found)} desk epoch(s), the last one in force", names, rows))

    emit({"epochs": found}, as_json, text)
