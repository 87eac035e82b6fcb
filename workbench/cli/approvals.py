"""`workbench pending | approve | decline | override | accept-limits`: what waits for people's answers."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console

from workbench.bootstrap import approving
from workbench.cli.console import (
    DEFAULT_CONFIG,
    AsJson,
    Config,
    PassphraseFile,
    Person,
    Reason,
    SshKey,
    credentials,
    emit,
    rows_table,
)
from workbench.config import load_settings

Named = Annotated[str, typer.Argument(help="Id of the order, or enough of its beginning to name one.")]
SeenHash = Annotated[
    str, typer.Option("--hash", help="Beginning of the hash that `pending` showed; refused if it is another.")
]

Typed = Annotated[
    str, typer.Option("--typed", help="Alone on a desk: the subject, typed again, 15 minutes later.")
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


def approve(
    order: Named,
    person: Person,
    reason: Reason,
    seen_hash: SeenHash = "",
    passphrase_file: PassphraseFile = "",
    ssh_key: SshKey = None,
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Let a waiting order go; the running loop looks at everything once more before it sends."""
    settings = load_settings(str(config))
    identity = approving.answer(
        settings, order, verdict="approved", person=person, reason=reason, seen_hash=seen_hash,
        credentials=credentials(settings, passphrase_file, ssh_key),
    )  # fmt: skip
    _say(identity, "approved", person, as_json)


def decline(
    order: Named,
    person: Person,
    reason: Reason,
    passphrase_file: PassphraseFile = "",
    ssh_key: SshKey = None,
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Refuse a waiting order; it is never sent."""
    settings = load_settings(str(config))
    identity = approving.answer(
        settings, order, verdict="declined", person=person, reason=reason,
        credentials=credentials(settings, passphrase_file, ssh_key),
    )  # fmt: skip
    _say(identity, "declined", person, as_json)


def _say(identity: str, verdict: str, person: str, as_json: bool) -> None:
    payload = {"id": identity, "verdict": verdict, "person": person}
    emit(payload, as_json, lambda out: out.print(f"{identity} is {verdict} by {person}", markup=False))


def override(
    order: Annotated[str, typer.Argument(help="Id of the denied order, in full.")],
    person: Person,
    reason: Reason,
    typed: Typed = "",
    passphrase_file: PassphraseFile = "",
    ssh_key: SshKey = None,
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Let one denied order go once within 15 minutes: one person asks, a second one lifts the denial."""
    settings = load_settings(str(config))
    codes, agreement = approving.override(
        settings, order, person=person, reason=reason, typed=typed,
        credentials=credentials(settings, passphrase_file, ssh_key),
    )  # fmt: skip
    payload = {
        "id": order, "codes": list(codes), "in_force": agreement is not None,
        "weaker": bool(agreement and agreement.weaker),
    }  # fmt: skip
    words = "lifted for one order" if agreement else f"asked by {person}; a second person confirms it"
    emit(payload, as_json, lambda out: out.print(f"{order}: {', '.join(codes)} {words}", markup=False))


def accept_limits(
    person: Person,
    reason: Reason,
    typed: Typed = "",
    passphrase_file: PassphraseFile = "",
    ssh_key: SshKey = None,
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Agree to limits that permit more: one person asks, a second one puts them into force."""
    settings = load_settings(str(config))
    subject, changes, agreement = approving.accept_limits(
        settings, person=person, reason=reason, typed=typed,
        credentials=credentials(settings, passphrase_file, ssh_key),
    )  # fmt: skip
    payload = {
        "subject": subject, "changes": [str(change) for change in changes],
        "in_force": agreement is not None, "weaker": bool(agreement and agreement.weaker),
    }  # fmt: skip
    words = "in force from now on" if agreement else f"asked by {person}; a second person confirms it"
    lines = [f"{subject}: {words}", *payload["changes"]]  # type: ignore[misc]
    emit(payload, as_json, lambda out: out.print("\n".join(lines), markup=False))
