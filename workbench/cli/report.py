"""`workbench report`: what the desk says about itself, from its own records."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from workbench.bootstrap.report import KINDS, make_report
from workbench.cli.console import emit, rows_table
from workbench.cli.options import DEFAULT_CONFIG, AsJson, Config
from workbench.config import load_settings


def register(app: typer.Typer) -> None:
    """Add the command to the command tree."""
    app.command("report")(report)


def report(
    kind: Annotated[str, typer.Option("--kind", "-k", help=f"One of: {', '.join(KINDS)}.")],
    since: Annotated[
        str, typer.Option("--since", help="First day, YYYY-MM-DD; a year ago when left out.")
    ] = "",
    until: Annotated[str, typer.Option("--until", help="Last day, YYYY-MM-DD; today when left out.")] = "",
    to: Annotated[
        Path | None, typer.Option("--to", help="Also write the report as a Markdown file here.")
    ] = None,
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Write a report from the journal and the settings: inventory, assessment, incidents, access, records."""
    made = make_report(load_settings(str(config)), kind, first=since, last=until)
    if to is not None:
        to.write_text(made.to_markdown(), encoding="utf-8")

    def text(out: Console) -> None:
        out.print(made.title, style="bold", markup=False)
        for section in made.sections:
            out.print(f"\n{section.heading}", style="bold", markup=False)
            if section.text:
                out.print(section.text, markup=False)
            if section.columns:
                out.print(rows_table("", section.columns, section.rows) if section.rows else "none")

    payload: dict[str, Any] = {**dataclasses.asdict(made), "title": made.title, "file": str(to) if to else ""}
    emit(payload, as_json, text)
