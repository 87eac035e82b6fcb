"""Run the cells of notebooks in this process, one after the other: what a kernel does, without its start.

Run as a script it reads a JSON list of {"notebook": PATH, "parameters": {...}} from its
input and prints a JSON list of what stopped each, "" = it ran to its end.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any


def run_cells(path: Path, parameters: dict[str, Any]) -> str:
    """What stopped the notebook, type and message; "" when every cell ran, its claims among them."""
    names: dict[str, Any] = {}
    for number, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"]):
        if cell["cell_type"] != "code":
            continue
        source = compile("".join(cell["source"]), f"{path.name}[{number}]", "exec")
        try:
            exec(source, names)  # noqa: S102 - cells of the project's own notebooks
        except Exception as error:  # the caller judges it: an expected refusal, or a defect
            return f"cell {number}: {type(error).__name__}: {error}"
        if "parameters" in cell["metadata"].get("tags", []):
            names.update(parameters)  # as papermill does, in a cell of its own after the tagged one
    return ""


if __name__ == "__main__":
    wanted = json.load(sys.stdin)
    endings = []
    for one in wanted:
        notebook = Path(one["notebook"])
        os.chdir(notebook.parent)
        with contextlib.redirect_stdout(sys.stderr):
            endings.append(run_cells(notebook, one["parameters"]))
    print(json.dumps(endings))
