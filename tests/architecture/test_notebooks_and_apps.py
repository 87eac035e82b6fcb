"""Notebooks and apps are the thin outside: they import the door, hold no functions and carry no output."""

from __future__ import annotations

import ast
import importlib
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from workbench.bootstrap.lab import launcher_entry
from workbench.cli.app import build, commands

MAY_IMPORT = {"workbench", "pandas", "panel"}
FOLDERS = ("notebooks", "papermill-jobs")


def source_of(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def findings(notebook: dict[str, Any]) -> list[str]:
    """Everything in a notebook that has to stay out of it."""
    found: list[str] = []
    for number, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] != "code":
            continue
        if cell["outputs"] or cell["execution_count"] is not None:
            found.append(f"cell {number}: committed with output")
        try:
            tree = ast.parse(source_of(cell))
        except SyntaxError:
            found.append(f"cell {number}: not plain Python")
            continue
        found += [f"cell {number}: imports {name}" for name in foreign_imports(tree)]
        if any(
            isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) for node in ast.walk(tree)
        ):
            found.append(f"cell {number}: defines something; it belongs into the package")
    if notebook["cells"][0]["cell_type"] != "markdown":
        found.append("cell 0: must say purpose, inputs and minutes")
    return found + parameter_findings(notebook)


def parameter_findings(notebook: dict[str, Any]) -> list[str]:
    """Exactly one tagged cell, holding literals only."""
    tagged = [cell for cell in notebook["cells"] if "parameters" in cell["metadata"].get("tags", [])]
    if len(tagged) != 1:
        return [f"{len(tagged)} cells are tagged parameters"]
    for statement in ast.parse(source_of(tagged[0])).body:
        value = statement.value if isinstance(statement, (ast.Assign, ast.AnnAssign)) else None
        try:
            ast.literal_eval(value)  # type: ignore[arg-type]
        except (ValueError, TypeError):
            return ["the parameters cell holds more than literals"]
    return []


def foreign_imports(tree: ast.AST) -> list[str]:
    """Imports other than the door and the two layout libraries; a module behind the door is foreign too."""
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append("." * node.level + (node.module or ""))
    return [name for name in names if name not in MAY_IMPORT and not name.startswith(("pandas.", "panel."))]


def notebooks_of(root: Path, folder: str) -> list[Path]:
    return [
        path for path in sorted((root / folder).rglob("*.ipynb")) if ".ipynb_checkpoints" not in path.parts
    ]


@pytest.mark.parametrize("folder", FOLDERS)
def test_committed_notebooks_are_thin(root: Path, folder: str) -> None:
    paths = notebooks_of(root, folder)
    assert paths, f"{folder} holds no notebook"
    found = {path.name: findings(json.loads(path.read_text(encoding="utf-8"))) for path in paths}
    assert {name: what for name, what in found.items() if what} == {}


def test_interactive_notebooks_are_numbered_and_end_with_their_claim(root: Path) -> None:
    for path in notebooks_of(root, "notebooks"):
        assert re.match(r"\d\d_[a-z0-9_]+$", path.stem), path.name
        code = [
            cell
            for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
            if cell["cell_type"] == "code"
        ]
        assert any(isinstance(node, ast.Assert) for node in ast.parse(source_of(code[-1])).body), path.name


def test_apps_enter_by_the_door(root: Path) -> None:
    trees = {path.name: ast.parse(path.read_text(encoding="utf-8")) for path in (root / "apps").rglob("*.py")}
    assert {name: found for name, tree in trees.items() if (found := foreign_imports(tree))} == {}


def cell(source: str, **metadata: Any) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "source": [source],
        "outputs": [],
        "execution_count": None,
        "metadata": metadata,
    }


GOOD = [
    {"cell_type": "markdown", "source": ["# Purpose"], "metadata": {}},
    cell("settings = 'workbench.toml'\nrows: int = -3", tags=["parameters"]),
    cell("import workbench as wb\nimport pandas as pd"),
]


def test_a_thin_notebook_passes() -> None:
    assert findings({"cells": GOOD}) == []


@pytest.mark.parametrize(
    ("cells", "word"),
    [
        ([*GOOD, cell("import numpy as np")], "imports numpy"),
        ([*GOOD, cell("from workbench.core import tca")], "imports workbench.core"),
        ([*GOOD, cell("import workbench.adapters.journal")], "imports workbench.adapters"),
        ([*GOOD, cell("def f():\n    return 1")], "defines something"),
        ([*GOOD, cell("%matplotlib inline")], "not plain Python"),
        ([*GOOD, {**cell("1"), "outputs": [{"text": "1"}]}], "committed with output"),
        ([*GOOD, {**cell("1"), "execution_count": 4}], "committed with output"),
        (GOOD[1:], "must say purpose"),
        ([GOOD[0], GOOD[2]], "0 cells are tagged"),
        ([*GOOD, GOOD[1]], "2 cells are tagged"),
        ([GOOD[0], cell("when = today()", tags=["parameters"])], "more than literals"),
        ([GOOD[0], cell("import os", tags=["parameters"])], "more than literals"),
    ],
)
def test_what_has_to_stay_out_is_found(cells: list[dict[str, Any]], word: str) -> None:
    assert any(word in found for found in findings({"cells": cells}))


# --- the lab's launcher ----------------------------------------------------------------------------------


def test_the_dashboards_are_in_the_launcher_of_the_lab(root: Path) -> None:
    """The entry point that jupyter-server-proxy looks for leads to a command that exists."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    ((name, place),) = project["entry-points"]["jupyter_serverproxy_servers"].items()
    module, _, function = place.partition(":")
    entry = getattr(importlib.import_module(module), function)()
    _, command, *options = entry["command"]
    known = dict(commands(build()))
    assert options == ["--port", "{port}"]
    assert "--port" in {word for one in known[command].params for word in one.opts}
    assert entry["launcher_entry"]["path_info"] == f"{name}/desk"
    assert (root / "apps" / "desk.py").exists()


def test_what_the_launcher_declares_is_what_the_proxy_knows() -> None:
    from jupyter_server_proxy.config import ServerProcess

    assert set(launcher_entry()) <= set(ServerProcess.class_trait_names())
