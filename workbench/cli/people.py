"""`workbench people`: who may look, operate and approve."""

from __future__ import annotations

from typing import Annotated

import typer

from workbench.bootstrap import admin, open_workbench
from workbench.cli.console import DEFAULT_CONFIG, AsJson, Config, emit, rows_table
from workbench.config import load_settings

app = typer.Typer(no_args_is_help=True, help="Register and list the people of a desk.")


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Name by which decisions are recorded.")],
    role: Annotated[str, typer.Option("--role", help="viewer, operator or approver.")],
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Register a person; operators and approvers may resume, adopt and promote."""
    admin.add_person(load_settings(str(config)), name, role=role)
    emit({"person": name, "role": role}, as_json, lambda out: out.print(f"{name} is registered as {role}"))


@app.command("list")
def show(config: Config = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Everybody who is registered, with the role."""
    frame = open_workbench(load_settings(str(config))).views.people()
    rows = frame[["person", "role"]].to_dict("records")
    listed = [(row["person"], row["role"]) for row in rows]
    emit({"people": rows}, as_json, lambda out: out.print(rows_table("people", ["person", "role"], listed)))
