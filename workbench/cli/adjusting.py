"""The command that books what the venue did and the books do not know how to take."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import typer
from rich.console import Console

from workbench.bootstrap.adjusting import Adjustment
from workbench.bootstrap.adjusting import adjust as adjust_books
from workbench.cli.console import credentials, emit, rows_table
from workbench.cli.options import DEFAULT_CONFIG, AsJson, Config, PassphraseFile, SshKey
from workbench.config import load_settings
from workbench.core.adjusting import proposal_payload
from workbench.errors import Refused, UsageError

_COLUMNS = ["activity", "the venue says", "symbol", "how it would be booked", "entry"]


def register(app: typer.Typer) -> None:
    """Add this command to the command tree."""
    app.command("adjust")(adjust)


def adjust(
    accept: Annotated[str, typer.Option("--accept", help="Mark of the entries that you looked at.")] = "",
    person: Annotated[str, typer.Option("--person", "-p", help="Registered person who decides.")] = "",
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why it is right; kept for ever.")] = "",
    passphrase_file: PassphraseFile = "",
    ssh_key: SshKey = None,
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Entries for busts, corrections, mergers and new names that the venue tells; books those you accept."""
    if accept and not person:
        raise UsageError(
            "who accepts?", next_step='add --person NAME --reason "what the venue confirmed, and how"'
        )
    settings = load_settings(str(config))
    key = credentials(settings, passphrase_file, ssh_key) if accept else None
    found = adjust_books(settings, accept=accept, person=person, reason=reason, credentials=key)
    emit(_payload(found), as_json, lambda out: _print(out, found))
    if found.breaks:
        raise typer.Exit(Refused.exit_code)


def _payload(found: Adjustment) -> dict[str, Any]:
    return {
        "accepted": found.accepted,
        "mark": found.proposed.mark if found.proposed.proposals else "",
        "proposals": [proposal_payload(one) for one in found.proposed.proposals],
        "unexplained": list(found.proposed.unexplained),
        "breaks": [dataclasses.asdict(one) for one in found.breaks],
    }


def _print(out: Console, found: Adjustment) -> None:
    proposed = found.proposed
    rows = [[one.activity_id, one.kind, one.symbol, one.how, one.words] for one in proposed.proposals]
    title = "booked" if found.accepted else "could be booked" if rows else "nothing to adjust"
    out.print(rows_table(title, _COLUMNS, rows))
    for difference in proposed.unexplained:
        out.print(f"not explained by any activity: {difference}", style="bold red", markup=False)
    if rows and not found.accepted and not proposed.unexplained:
        out.print(
            f"next: compare with the venue, then workbench adjust --accept {proposed.mark} --person NAME "
            '--reason "..."',
            markup=False,
        )
    for one in found.breaks:
        out.print(f"still a break: {one.kind} {one.symbol} ours {one.ours} theirs {one.theirs}", markup=False)
    if found.accepted and not found.breaks:
        out.print("reconciled clean; a halted account is resumed by `workbench resume`", markup=False)
