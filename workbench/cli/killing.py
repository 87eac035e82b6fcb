"""Commands that stop and that let go again: halt at every level, resume by a person."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import typer
from rich.console import Console

from workbench.bootstrap import admin, killing
from workbench.bootstrap.lifting import lift
from workbench.cli.console import credentials, emit, rows_table
from workbench.cli.options import (
    DEFAULT_CONFIG,
    Act,
    AsJson,
    Config,
    Confirm,
    PassphraseFile,
    Reason,
    SshKey,
    signed,
)
from workbench.config import load_settings
from workbench.core.cancelling import CancelReport
from workbench.errors import OutcomeUnknown, Refused
from workbench.services.flattening import BY_HAND

LevelOf = Annotated[
    str, typer.Option("--level", help="order, symbol, model, strategy, account, broker or system.")
]
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
    flatten: Annotated[
        bool,
        typer.Option("--flatten", help="Cancel, then close every position; takes a registered person."),
    ] = False,
    passphrase_file: PassphraseFile = "",
    ssh_key: SshKey = None,
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Stop sending at once, with or without a running loop or a journal; latches until a person resumes."""
    settings = load_settings(str(config))
    order = killing.HaltOrder(person, reason, level, target, cancel, reducing, flatten)
    key = credentials(settings, passphrase_file, ssh_key) if flatten else None
    report = killing.halt(settings, order, credentials=key)
    emit(_payload(report), as_json, lambda out: _print(out, report))
    if report.not_flattened:
        raise typer.Exit(Refused.exit_code)
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
        "flatten": _flatten(report),
    }


def _flatten(report: killing.HaltReport) -> dict[str, Any] | None:
    if report.not_flattened:
        return {"flat": False, "refused": report.not_flattened, "procedure": BY_HAND}
    return None if report.flatten is None else dataclasses.asdict(report.flatten)


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
        out.print(f"other desks are HALTED too: {', '.join(report.elsewhere)}; cancel there", markup=False)
    if cancel is not None:
        _print_cancel(out, cancel)
    if report.not_flattened:
        out.print(f"NOT FLATTENED: {report.not_flattened}", style="bold red", markup=False)
        out.print(f"  by hand, at the venue: {BY_HAND}", markup=False)
    elif report.flatten is not None:
        flat = "flat, proven by reconciliation" if report.flatten.flat else "NOT FLAT"
        out.print(f"{flat}; {len(report.flatten.orders)} order(s) sent", markup=False)
        rows = [[one.symbol, one.shares, one.reason] for one in report.flatten.left]
        if rows:
            out.print(rows_table("still held", ["symbol", "held_shares", "reason"], rows))
        for found in report.flatten.breaks:
            out.print(f"break: {found}", markup=False)


def _print_cancel(out: Console, cancel: CancelReport) -> None:
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


@signed
def resume(act: Act, level: LevelOf = "account", target: Target = "", confirm: Confirm = "") -> None:
    """Take back a halt; of the account: look up what is unresolved, reconcile, and only then ACTIVE."""
    if level == "account":
        permission = admin.resume(act.settings, **act.said)
    else:
        permission = lift(act.settings, level, target, typed=confirm, **act.said)
    payload = {name: getattr(permission, name) for name in ("state", "epoch", "reason", "code_hash")}
    text = f"{permission.state}, epoch {permission.epoch}, code {permission.code_hash[:12]}, by {act.person}"
    act.emit(payload, text)
