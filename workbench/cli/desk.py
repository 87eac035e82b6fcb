"""Commands of the person who supervises: from init and status to reconcile."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from workbench.bootstrap import admin, adoption, epochs
from workbench.bootstrap.desk import epochs_of
from workbench.bootstrap.status import desk_status
from workbench.cli.console import emit, rows_table
from workbench.cli.options import DEFAULT_CONFIG, Act, AsJson, Config, signed
from workbench.config import load_settings
from workbench.errors import Refused

AsOf = Annotated[str, typer.Option("--as-of", help="The embedded account opens at this session's close.")]

NewAccount = Annotated[
    str, typer.Option("--new-account", help="End this desk epoch; the next one is for this account's id.")
]
Archives = Annotated[
    list[Path] | None,
    typer.Option("--archive", help="A file of `journal archive`, for --new-account; oldest first."),
]
Accept = Annotated[str, typer.Option("--accept", help="Mark of what a refusal has shown.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the command tree."""
    for command in (init, status, adopt, reduce, reconcile):
        app.command(command.__name__)(command)


def init(config: Config = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Write a commented settings file (an existing one is kept) and create the desk; it starts HALTED."""
    settings = admin.init(config)
    payload = {"config": str(config), "desk": str(settings.desk_path), "config_hash": settings.config_hash}
    emit(
        payload, as_json, lambda out: out.print(f"desk {settings.desk_path}, settings {config}", markup=False)
    )


def status(config: Config = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """State, sessions run, decisions, orders, fills, digests and breaks of the desk."""
    found = desk_status(load_settings(str(config)))
    emit(found, as_json, lambda out: _print_status(out, found))


def _print_status(out: Console, found: dict[str, Any]) -> None:
    head = f"{found['account']} ({found['mode']}): {found['state']}, {found['reason']}"
    out.print(head, style="bold", markup=False)
    rows = [(name.replace("_", " "), _flat(value)) for name, value in found.items() if name not in _HEAD]
    out.print(rows_table("", ["", ""], rows))


_HEAD = ("account", "mode", "state", "reason", "digests")


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items() if not isinstance(item, dict)) or "-"
    if isinstance(value, list) and value and isinstance(value[0], dict) and "level" in value[0]:
        return "; ".join(f"{one['level']} {one['target']} {one['state']}: {one['reason']}" for one in value)
    if isinstance(value, list):
        return ", ".join(str(item) for item in value) or "none"
    return f"{value:,.2f}" if isinstance(value, float) else str(value)


@signed
def adopt(
    act: Act,
    as_of: AsOf,
    accept: Accept = "",
    new_account: NewAccount = "",
    archive: Archives = None,
) -> None:
    """Open the ledger with what the venue's account holds: cash, and what a person accepts besides."""
    if new_account:
        epochs.begin_epoch(act.settings, new_account, archives=archive or [], **act.said)
    found = adoption.adopt(act.settings, as_of_session=as_of, accept=accept, **act.said)
    more = f", {_flat(found.positions)} and {len(found.orders)} open orders" if found.positions else ""
    payload = {**dataclasses.asdict(found), "person": act.person, "desk_epoch": epochs_of(act.settings)[-1]}
    act.emit(payload, f"the ledger opens with {found.cash_micro / 1e6:,.2f} USD{more}")


@signed
def reduce(act: Act) -> None:
    """Allow risk-reducing orders only."""
    admin.reduce(act.settings, **act.said)
    act.emit({"state": "REDUCING", "person": act.person}, f"REDUCING, by {act.person}")


def reconcile(config: Config = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Compare orders, fills, positions and cash with the venue; exit code 3 on any break, sends nothing."""
    breaks = admin.reconcile(load_settings(str(config)))
    listed = [dataclasses.asdict(found) for found in breaks]
    columns = ["kind", "symbol", "ours", "theirs", "evidence"]

    def text(out: Console) -> None:
        title = f"{len(listed)} break(s)" if listed else "clean: orders, fills, positions and cash agree"
        out.print(rows_table(title, columns, [[row[name] for name in columns] for row in listed]))

    emit({"clean": not breaks, "breaks": listed}, as_json, text)
    if breaks:
        raise typer.Exit(Refused.exit_code)
