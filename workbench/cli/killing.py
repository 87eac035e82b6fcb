"""Commands that stop and that let go again: halt at every level, resume by a person."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console

from workbench.bootstrap import admin, killing
from workbench.cli.console import DEFAULT_CONFIG, AsJson, Config, Person, Reason, emit, rows_table
from workbench.config import load_settings
from workbench.errors import OutcomeUnknown

LevelOf = Annotated[str, typer.Option("--level", help="order, symbol, strategy, account, broker or system.")]
Target = Annotated[
    str, typer.Option("--target", help="Which one; the desk's own account or broker when not given.")
]


def register(app: typer.Typer) -> None:
    """Add these commands to the command tree."""
    for command in (halt, resume):
        app.command(command.__name__)(command)


def halt(
    person: Annotated[str, typer.Option("--person", "-p", help="Who stops; nobody is asked for permission.")],
    reason: Reason,
    level: LevelOf = "account",
    target: Target = "",
    cancel: Annotated[
        bool, typer.Option("--cancel", help="End open orders of ours, and read back that they ended.")
    ] = False,
    reducing: Annotated[
        bool, typer.Option("--reducing", help="Orders that reduce risk still pass; not for an account.")
    ] = False,
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Stop sending at once, with or without a running loop or a journal; latches until a person resumes."""
    order = killing.HaltOrder(person, reason, level, target, cancel, reducing)
    report = killing.halt(load_settings(str(config)), order)
    emit(_payload(report), as_json, lambda out: _print(out, report))
    if not report.proven:
        raise typer.Exit(OutcomeUnknown.exit_code)


def _payload(report: killing.HaltReport) -> dict[str, Any]:
    cancel = None
    if report.cancel is not None:
        cancel = {**report.cancel.payload(), "seconds": report.cancel.seconds}
    return {
        "state": report.state,
        "person": report.order.person,
        "level": report.order.level,
        "target": report.order.target,
        "accounts": report.accounts,
        "elsewhere": report.elsewhere,
        "journal": report.journal,
        "trouble": report.trouble,
        "cancel": cancel,
    }


def _print(out: Console, report: killing.HaltReport) -> None:
    order, cancel = report.order, report.cancel
    out.print(
        f"{report.state}: {order.level} {order.target}, by {order.person}: {order.reason}", markup=False
    )
    if report.journal != "written":
        out.print(
            f"the journal did not take it ({report.trouble}); the record is {report.journal}", markup=False
        )
    if report.elsewhere:
        out.print(f"not on this machine: {', '.join(report.elsewhere)}; cancel there", markup=False)
    if cancel is None:
        return
    words = (
        f"{len(cancel.confirmed)} order(s) shown to have ended ({cancel.way}), {len(cancel.filled)} filled"
    )
    out.print(f"{words}, in {cancel.seconds:.2f} s", markup=False)
    if cancel.foreign:
        out.print(f"left alone, not ours: {', '.join(cancel.foreign)}", markup=False)
    if cancel.trouble:
        out.print(f"the venue gave no whole list: {cancel.trouble}", markup=False)
    if cancel.residuals:
        columns = ["client_order_id", "symbol", "side", "leaves_shares", "exposure_usd", "state", "reason"]
        rows = [
            [one.client_order_id, one.symbol, one.side, one.leaves_shares, one.exposure_micro / 1e6,
             one.state, one.reason]
            for one in cancel.residuals
        ]  # fmt: skip
        out.print(rows_table("not shown to have ended: count them as open", columns, rows))


def resume(
    person: Person,
    reason: Reason,
    level: LevelOf = "account",
    target: Target = "",
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Take back a halt; of the account: look up what is unresolved, reconcile, and only then ACTIVE."""
    settings = load_settings(str(config))
    if level == "account":
        permission = admin.resume(settings, person=person, reason=reason)
    else:
        permission = killing.lift(settings, level, target, person=person, reason=reason)
    words = ("state", "epoch", "reason", "code_hash")
    payload = {name: getattr(permission, name) for name in words}
    text = f"{permission.state}, epoch {permission.epoch}, code {permission.code_hash[:12]}, by {person}"
    emit(payload, as_json, lambda out: out.print(text, markup=False))
