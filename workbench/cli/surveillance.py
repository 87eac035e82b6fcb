"""`workbench surveil`: the next day's look at our own flow."""

from __future__ import annotations

from typing import Annotated

import typer

from workbench.bootstrap import surveillance
from workbench.cli.console import emit, rows_table
from workbench.cli.options import DEFAULT_CONFIG, AsJson, Config
from workbench.config import load_settings

Session = Annotated[str, typer.Option("--session", help="A session that has closed, YYYY-MM-DD.")]


def register(app: typer.Typer) -> None:
    """Add the command to the command tree."""
    app.command("surveil")(surveil)


def surveil(session: Session, config: Config = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Look for self-matches, layering and marking the close in our own flow; findings become alerts."""
    done = surveillance.surveil(load_settings(str(config)), session)
    payload = {
        **done.report.to_dict(), "alerts": done.alerts, "files": [str(done.json_file), str(done.html_file)],
    }  # fmt: skip
    rows = [(one.rule, one.symbol, one.text) for one in done.report.findings]
    rows += [(one.rule, one.symbol, f"not judged: {one.text}") for one in done.report.unjudged]
    title = f"own flow of {session}: {done.report.status} ({done.json_file})"
    emit(payload, as_json, lambda out: out.print(rows_table(title, ["rule", "symbol", "what"], rows)))
