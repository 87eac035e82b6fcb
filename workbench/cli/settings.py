"""`workbench config`: what is in force, where each value comes from, and its hash."""

from __future__ import annotations

import typer

from workbench.cli.console import emit, rows_table
from workbench.cli.options import DEFAULT_CONFIG, AsJson, Config
from workbench.config import load_settings

app = typer.Typer(no_args_is_help=True, help="Show, check and hash the effective configuration.")


@app.command("show")
def show(config: Config = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Every value in force with its source; secrets are masked."""
    settings = load_settings(str(config))
    payload = {"config_hash": settings.config_hash, "values": settings.table()}
    rows = [(row["key"], row["value"], row["source"]) for row in settings.table()]
    title = f"config hash {settings.config_hash}"
    emit(payload, as_json, lambda out: out.print(rows_table(title, ["key", "value", "source"], rows)))


@app.command("check")
def check(config: Config = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Load everything and report every error at once; exit code 2 when there is any."""
    settings = load_settings(str(config))
    payload = {"ok": True, "config_hash": settings.config_hash, "keys": len(settings.table())}
    emit(payload, as_json, lambda out: out.print(f"{config}: {payload['keys']} keys, no error"))


@app.command("hash")
def show_hash(config: Config = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """The hash that decisions, orders and models carry."""
    settings = load_settings(str(config))
    emit({"config_hash": settings.config_hash}, as_json, lambda out: out.print(settings.config_hash))
