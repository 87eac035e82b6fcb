"""`workbench new`: a strategy, a feature or a job of one's own, from the worked example of its kind."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from workbench.bootstrap.new_project import KINDS, new_project
from workbench.cli.console import emit
from workbench.cli.options import DEFAULT_CONFIG, AsJson, Config

_PACKAGE = (
    "pip install --no-build-isolation --no-deps --editable {folder}, then `pytest --pyargs workbench.testing`"
)
_NEXT = {"strategy": _PACKAGE, "feature": _PACKAGE, "job": "workbench jobs check"}


def register(app: typer.Typer) -> None:
    """Add the command to the command tree."""
    app.command("new")(new)


def new(
    kind: Annotated[str, typer.Argument(help=f"What to start: {', '.join(KINDS)}.")],
    name: Annotated[str, typer.Argument(help="Its name: lower-case words joined by underscores.")],
    into: Annotated[
        Path | None, typer.Option("--into", help="Folder to write it in; that of the settings if left out.")
    ] = None,
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Write the worked example of a kind under a name of your own, with its tests."""
    folder = config.parent if into is None else into
    written = [str(path) for path in new_project(kind, name, folder=folder)]
    step = _NEXT[kind].format(folder=folder / name.replace("_", "-"))
    payload = {"kind": kind, "name": name, "files": written, "next_step": step}

    def text(out: Any) -> None:
        for path in written:
            out.print(path, markup=False)
        out.print(f"  next: {step}", markup=False)

    emit(payload, as_json, text)
