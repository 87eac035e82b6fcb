"""`workbench dashboards`, reached without loading what other commands need: pages are soon there."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from workbench.bootstrap.logs import command_log
from workbench.cli.boundary import document
from workbench.cli.console import emit
from workbench.cli.options import DEFAULT_CONFIG, AsJson, Config
from workbench.config import load_settings


def register(app: typer.Typer) -> None:
    """Add the command to the command tree."""
    app.command("dashboards")(dashboards)


def build() -> Any:
    """A command tree with this command alone."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.callback()(lambda: None)  # a tree of one command would take the place of its command
    register(app)
    tree = typer.main.get_command(app)
    document(tree)
    return tree


def dashboards(
    host: Annotated[
        str, typer.Option("--host", help="A loopback address; another one needs dashboards.login and TLS.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="0 = any free one.")] = 5006,
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Serve the dashboards on this machine until Ctrl-C; they follow the journal live."""
    from workbench.bootstrap.dashboards import serve  # Panel takes a second or two to load

    def ready(address: str) -> None:
        emit(
            {"address": address}, as_json, lambda out: out.print(f"{address}\nCtrl-C stops it", markup=False)
        )
        sys.stdout.flush()

    settings = load_settings(str(config))
    with command_log(settings, "dashboards", host=host, port=port):
        serve(settings, host=host, port=port, ready=ready)
