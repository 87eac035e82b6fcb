"""`workbench limits` and `workbench enable`: how much of each limit is used, and who lets a symbol go on."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from workbench.bootstrap.limits import enable_symbol, limit_utilisation
from workbench.cli.console import emit, rows_table
from workbench.cli.options import DEFAULT_CONFIG, Act, AsJson, Config, signed
from workbench.config import load_settings


def register(app: typer.Typer) -> None:
    """Add these commands to the command tree."""
    app.command("limits")(limits)
    app.command("enable")(enable)


def limits(config: Config = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Every limit with its value, what is used of it, what is left, and the code that it denies with."""
    found = limit_utilisation(load_settings(str(config)))
    rows = [{**dataclasses.asdict(use), "headroom": use.headroom} for use in found]
    listed = [
        (use.code, use.limit or "-", use.value, use.used, use.headroom, use.unit, use.about) for use in found
    ]
    columns = ["code", "limit", "value", "used", "headroom", "unit", "of"]
    emit({"limits": rows}, as_json, lambda out: out.print(rows_table("limits", columns, listed)))


@signed
def enable(
    act: Act, symbol: Annotated[str, typer.Argument(help="Symbol that repeated executions had disabled.")]
) -> None:
    """Let a symbol trade again that the throttle of repeated executions had disabled."""
    enable_symbol(act.settings, symbol, **act.said)
    act.emit({"symbol": symbol, "person": act.person}, f"{symbol} is enabled, by {act.person}")
