"""`workbench preflight`: ready for the next session, or what is missing."""

from __future__ import annotations

from typing import Any

import typer

from workbench.bootstrap.preflight import readiness
from workbench.cli.console import emit, rows_table
from workbench.cli.options import DEFAULT_CONFIG, AsJson, Config
from workbench.config import load_settings
from workbench.errors import Refused


def register(app: typer.Typer) -> None:
    """Add the command to the command tree."""
    app.command("preflight")(preflight)


def preflight(config: Config = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Ask everything that the next session needs; changes nothing, and leaves with 3 when not ready."""
    found = readiness(load_settings(str(config)))
    checks = [
        {"name": one.name, "ok": one.ok, "found": one.found, "next_step": one.next_step}
        for one in found.checks
    ]
    payload = {"ready": found.ready, "session": found.session, "checks": checks}

    def text(out: Any) -> None:
        rows = [("ok" if one.ok else "NO", one.name, one.found, one.next_step) for one in found.checks]
        title = f"session {found.session or 'unknown'}: {'ready' if found.ready else 'NOT ready'}"
        out.print(rows_table(title, ["", "question", "found", "next"], rows))

    emit(payload, as_json, text)
    if not found.ready:
        raise typer.Exit(Refused.exit_code)
