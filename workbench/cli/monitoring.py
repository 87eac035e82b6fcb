"""`workbench monitor`: what was measured of a closed session, and what it stopped."""

from __future__ import annotations

import math
from typing import Annotated

import typer
from rich.console import Console

from workbench.bootstrap import monitoring
from workbench.cli.console import emit, rows_table
from workbench.cli.options import DEFAULT_CONFIG, AsJson, Config
from workbench.config import load_settings
from workbench.core.monitoring import Level, rule_of

Session = Annotated[str, typer.Option("--session", help="A closed session, YYYY-MM-DD; else the last one.")]


def register(app: typer.Typer) -> None:
    """Add the command to the command tree."""
    app.command("monitor")(monitor)


def monitor(session: Session = "", config: Config = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Measure a closed session once, with alerts and halts that follow; later calls show the record."""
    settings = load_settings(str(config))
    found = monitoring.monitor(settings, session)
    halts = monitoring.halts_by_monitoring(settings)
    payload = {
        "session": found.session,
        "model_id": found.model_id,
        "level": found.level.value,
        "recorded": found.recorded,
        "measures": [
            {
                "name": one.name,
                "value": one.value if math.isfinite(one.value) else None,
                "level": one.level.value,
                "unit": rule_of(one.name).unit,
                "meaning": rule_of(one.name).meaning,
                "detail": one.detail,
            }
            for one in found.measures
        ],
        "halts": [{"level": one.level, "target": one.target, "reason": one.reason} for one in halts],
    }

    def text(out: Console) -> None:
        rows = [
            (one.name, f"{one.value:.4g}", rule_of(one.name).unit, one.level.value, one.detail)
            for one in sorted(found.measures, key=lambda one: -one.level.rank)
        ]
        title = f"session {found.session}: {found.level}"
        out.print(rows_table(title, ["measure", "value", "unit", "level", "evidence"], rows))
        for halt in halts:
            out.print(
                f"no new risk of {halt.level} {halt.target}: {halt.reason}", style="bold red", markup=False
            )
        if found.level is Level.BLOCK:
            out.print("  next: docs/runbooks/monitoring-blocked.md", markup=False)

    emit(payload, as_json, text)
