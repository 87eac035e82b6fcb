"""Small real notebooks for tests of the runner."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat

from workbench.core.jobs import RunRequest

ROOT = Path(__file__).resolve().parents[2]
#: The package under test is the one of this tree, also inside a kernel whose folder is the run's.
ENVIRONMENT = {"PYTHONPATH": str(ROOT)}
PARAMETERS = 'params_file = ""'
GUARD = """
from pathlib import Path
from workbench.adapters.kernel_guard import guard_kernel
guard = guard_kernel(Path(params_file).parent)
"""
DONE = 'guard.write_outcome("done")'


def write_notebook(path: Path, *sources: str, tags: Mapping[int, list[str]] | None = None) -> Path:
    """A notebook of these code cells; the first is tagged `parameters` unless `tags` says otherwise."""
    wanted = {0: ["parameters"]} if tags is None else tags
    cells = []
    for number, source in enumerate(sources):
        cell = nbformat.v4.new_code_cell(source)
        cell.metadata["tags"] = wanted.get(number, [])
        cells.append(cell)
    notebook = nbformat.v4.new_notebook(cells=cells)
    path.write_text(nbformat.writes(notebook))
    return path


def request(notebook: Path, run_id: str = "probe/2013-02-01.1", **changes: Any) -> RunRequest:
    """A run of that notebook with small limits."""
    values: dict[str, Any] = {
        "run_id": run_id,
        "notebook": notebook,
        "parameters": {"answer": 42},
        "environment": ENVIRONMENT,
        "timeout_s": 30.0,
    }
    return RunRequest(**{**values, **changes})
