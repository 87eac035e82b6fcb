"""What a run left behind: its record, its proof, its cells, what its kernel printed, and a page to read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from workbench.adapters.notebook_runner import cells_of
from workbench.bootstrap.desk import Desk
from workbench.config import Settings
from workbench.errors import UsageError

_LAST_LINES: Final = 40


def run_log(settings: Settings, run_id: str) -> dict[str, Any]:
    """Record, proof, cells and printed text of a run.

    Raises
    ------
    UsageError
        The journal knows no such run.
    """
    desk = Desk(settings)
    rows = desk.journal.rows("runs", run_id=run_id)
    if not rows:
        raise UsageError(f"there is no run {run_id!r}", next_step="workbench jobs history")
    row = rows[0]
    folder = desk.paths.runs / run_id
    notebook = folder / f"{row['job']}.ipynb"
    page = notebook.with_suffix(".html")
    return {
        "run_id": run_id,
        "status": row["status"],
        "reason": row["reason"],
        "outcome": _json(folder / "outcome.json"),
        "cells": cells_of(notebook),
        "kernel": _tail(folder / "kernel.log"),
        "html": str(page) if page.exists() else "",
    }


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def _tail(path: Path) -> str:
    try:
        return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-_LAST_LINES:])
    except OSError:
        return ""
