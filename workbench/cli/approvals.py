"""`workbench pending | approve | decline | override | accept-limits`: what waits for people's answers."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console

from workbench.bootstrap import approving
from workbench.cli.console import emit, rows_table
from workbench.cli.options import DEFAULT_CONFIG, Act, AsJson, Config, Typed, signed
from workbench.config import load_settings

Named = Annotated[str, typer.Argument(help="Id of the order, or enough of its beginning to name one.")]
SeenHash = Annotated[
    str, typer.Option("--hash", help="Beginning of the hash that `pending` showed; refused if it is another.")
]


def register(app: typer.Typer) -> None:
    """Add these commands to the command tree."""
    for command in (pending, approve, decline, override):
        app.command(command.__name__)(command)
    app.command("accept-limits")(accept_limits)


def pending(config: Config = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Everything that waits for a person, with all that is needed to decide."""
    found = approving.pending(load_settings(str(config)))
    emit(found, as_json, lambda out: _print_pending(out, found))


def _print_pending(out: Console, found: dict[str, list[dict[str, Any]]]) -> None:
    for row in found["orders"]:
        title = f"{row['side']} {row['shares']:,} {row['symbol']} ({row['order_type']})  {row['id']}"
        lines = [(name.replace("_", " "), _flat(value)) for name, value in row.items() if name != "id"]
        out.print(rows_table(title, ["", ""], lines))
    for name in ("agreements", "cost_models", "refused"):
        if rows := found[name]:
            columns = list(rows[0])
            listed = [[_flat(row[column]) for column in columns] for row in rows]
            out.print(rows_table(name.replace("_", " "), columns, listed))
    if not any(found[name] for name in ("orders", "agreements", "cost_models")):
        out.print("nothing waits for a person")


def _flat(value: Any) -> object:
    if isinstance(value, list):
        return "; ".join(str(item) for item in value)
    return ("yes" if value else "no") if isinstance(value, bool) else value


@signed
def approve(act: Act, order: Named, seen_hash: SeenHash = "") -> None:
    """Let a waiting order go; the running loop looks at everything once more before it sends."""
    identity = approving.answer(act.settings, order, verdict="approved", seen_hash=seen_hash, **act.said)
    _say(act, identity, "approved")


@signed
def decline(act: Act, order: Named) -> None:
    """Refuse a waiting order; it is never sent."""
    identity = approving.answer(act.settings, order, verdict="declined", **act.said)
    _say(act, identity, "declined")


def _say(act: Act, identity: str, verdict: str) -> None:
    payload = {"id": identity, "verdict": verdict, "person": act.person}
    act.emit(payload, f"{identity} is {verdict} by {act.person}")


@signed
def override(
    act: Act,
    order: Annotated[str, typer.Argument(help="Id of the denied order, in full.")],
    typed: Typed = "",
) -> None:
    """Let one denied order go once within 15 minutes: one person asks, a second one lifts the denial."""
    codes, agreement = approving.override(act.settings, order, typed=typed, **act.said)
    payload = {
        "id": order, "codes": list(codes), "in_force": agreement is not None,
        "weaker": bool(agreement and agreement.weaker),
    }  # fmt: skip
    words = "lifted for one order" if agreement else f"asked by {act.person}; a second person confirms it"
    act.emit(payload, f"{order}: {', '.join(codes)} {words}")


@signed
def accept_limits(act: Act, typed: Typed = "") -> None:
    """Agree to limits that permit more: one person asks, a second one puts them into force."""
    subject, changes, agreement = approving.accept_limits(act.settings, typed=typed, **act.said)
    lines = [str(change) for change in changes]
    payload = {
        "subject": subject, "changes": lines, "in_force": agreement is not None,
        "weaker": bool(agreement and agreement.weaker),
    }  # fmt: skip
    words = "in force from now on" if agreement else f"asked by {act.person}; a second person confirms it"
    act.emit(payload, "\n".join([f"{subject}: {words}", *lines]))
