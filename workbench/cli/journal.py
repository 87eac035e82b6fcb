"""Commands that look after the journal: verify, migrate, export, archive."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from workbench.bootstrap import journal_care
from workbench.cli.console import emit, rows_table
from workbench.cli.options import DEFAULT_CONFIG, Act, AsJson, Config, signed
from workbench.config import load_settings

app = typer.Typer(no_args_is_help=True, help="Look after the journal.")
Epoch = Annotated[int, typer.Option("--epoch", help="Number of a desk epoch; 0 = the one in force.", min=0)]
Files = Annotated[
    list[Path] | None,
    typer.Option("--archive", help="A file of `journal archive`, to prove it too; oldest first."),
]


@app.command("verify")
def verify(
    archive: Files = None, epoch: Epoch = 0, config: Config = DEFAULT_CONFIG, as_json: AsJson = False
) -> None:
    """Prove the whole hash chain, its anchor and the projections; names the first altered row."""
    settings = load_settings(str(config))
    report = journal_care.verify_journal(settings, archives=archive or [], epoch=epoch)
    text = f"{report.events:,} events: chain, anchor and projections agree"
    if report.archived:
        proof = "proved from their files" if report.archives_proved else "not looked at: name their files"
        text += f"; {report.archived:,} archived before them, {proof}"
    emit(dataclasses.asdict(report), as_json, lambda out: out.print(text))


@app.command("migrate")
def migrate(epoch: Epoch = 0, config: Config = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Bring an older journal to this version: backup, then projections folded anew from the events."""
    found = journal_care.migrate_journal(load_settings(str(config)), epoch=epoch)
    text = f"backup in {found.backup}" if found.backup else "the journal has this version already"
    emit(dataclasses.asdict(found), as_json, lambda out: out.print(text, markup=False))


@app.command("export")
def export(
    to: Annotated[Path, typer.Option("--to", help="A new or empty folder.")],
    epoch: Epoch = 0,
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Write events and projections as Parquet, for DuckDB or pandas; nested values are JSON text."""
    rows = journal_care.export_journal(load_settings(str(config)), to, epoch=epoch)
    payload = {"folder": str(to), "rows": rows}
    emit(payload, as_json, lambda out: out.print(rows_table(str(to), ["file", "rows"], list(rows.items()))))


@app.command("archive")
@signed
def archive(
    act: Act,
    before: Annotated[str, typer.Option("--before", help="The first session that stays, ISO date.")],
    to: Annotated[Path, typer.Option("--to", help="A new file, Parquet.")],
) -> None:
    """Move the events before a session to a file; the chain goes on and every projection stays."""
    done = journal_care.archive_journal(act.settings, before, to, **act.said)
    text = f"events {done.first_seq:,} to {done.last_seq:,} are in {to}; keep it: only it proves them"
    act.emit({**dataclasses.asdict(done), "file": str(to)}, text)
