"""The import rules hold, and each of them is able to fail."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import grimp
import pytest

ROOMS = (
    "adapters", "services", "views", "plots", "screens", "pages", "config", "tca", "costs", "overfitting",
    "validation",
)  # fmt: skip
#: Where a user comes in: the door, the program, the lab's launcher, what extensions are written with and
#: judged by.
ENTRIES = {
    "workbench", "workbench.cli", "workbench.bootstrap.lab", "workbench.extending", "workbench.testing",
}  # fmt: skip
CORE_MAY_IMPORT = {"numpy", "scipy", "pandas", "numba", "workbench"}
CORE_MAY_IMPORT_INSIDE_FUNCTIONS = {"sklearn", "river", "arch"}


def run_contracts(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command as run; run(['--no-cache', '--no-logo'])",
        ],
        cwd=folder,
        env={
            "PYTHONPATH": str(folder),
            "PATH": "/usr/bin:/bin",
            "COLUMNS": "200",
            "PYTHONIOENCODING": "utf-8",
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_contract_is_kept(root: Path) -> None:
    done = run_contracts(root)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def skeleton(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """A package of empty modules under the real contracts, which it keeps."""
    folder = tmp_path_factory.mktemp("contracts")
    shutil.copy(root / "pyproject.toml", folder)
    for package in ("", "core", "adapters", "services"):
        (folder / "workbench" / package).mkdir()
        (folder / "workbench" / package / "__init__.py").touch()
    modules = [
        "cli",
        "bootstrap",
        "errors",
        "kernel_cache",
        "redaction",
        "views",
        "plots",
        "config",
        "screens",
        "pages",
        "simulation",
        "overfitting",
        "validation",
        "drift",
        "tca",
        "costs",
        "extending",
        "testing",
        "core/types",
        "core/orders",
    ]
    for module in [*modules, "adapters/journal", "adapters/clock", "services/oms"]:
        (folder / "workbench" / f"{module}.py").touch()
    assert run_contracts(folder).returncode == 0
    return folder


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("errors", "import workbench.core.types", "cli -> bootstrap"),
        ("core/types", "import workbench.services.oms", "cli -> bootstrap"),
        ("core/types", "import workbench.config", "cli -> bootstrap"),
        ("adapters/journal", "import workbench.services.oms", "cli -> bootstrap"),
        ("services/oms", "import workbench.adapters.journal", "cli -> bootstrap"),
        ("services/oms", "import workbench.config", "cli -> bootstrap"),
        ("views", "import workbench.plots", "cli -> bootstrap"),
        ("tca", "import workbench.adapters.journal", "cli -> bootstrap"),
        ("config", "import workbench.bootstrap", "cli -> bootstrap"),
        ("bootstrap", "import workbench.cli", "cli -> bootstrap"),
        ("adapters/journal", "import workbench.adapters.clock", "each adapter"),
        ("core/types", "import pathlib", "core thinks"),
        ("core/types", "def load():\n    import sqlalchemy", "core thinks"),
        ("errors", "import logging", "core thinks"),
        ("services/oms", "import sqlalchemy", "services run"),
        ("services/oms", "from os import environ", "services run"),
        ("views", "import sqlite3", "views and plots"),
    ],
)
def test_a_contract_breaks_on_the_import_it_forbids(
    skeleton: Path, module: str, line: str, contract: str
) -> None:
    path = skeleton / "workbench" / f"{module}.py"
    path.write_text(f"{line}\n", encoding="utf-8")
    try:
        done = run_contracts(skeleton)
    finally:
        path.write_text("", encoding="utf-8")
    assert done.returncode == 1
    broken = [row for row in done.stdout.splitlines() if row.endswith("BROKEN")]
    assert any(row.startswith(contract) for row in broken), done.stdout


def test_every_room_of_the_design_is_a_layer(root: Path) -> None:
    tool = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    layers = " ".join(tool["importlinter"]["contracts"][0]["layers"])
    named = {word.strip("()").removeprefix("workbench.") for word in layers.split() if "workbench." in word}
    present = {path.stem for path in (root / "workbench").iterdir() if path.suffix == ".py" or path.is_dir()}
    assert set(ROOMS) <= named
    assert present - {"__init__", "__pycache__"} <= named


def third_party_imports(tree: ast.AST) -> set[str]:
    """Top-level names of all imports outside the standard library and outside `if TYPE_CHECKING`."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.partition(".")[0])
    return names - set(sys.stdlib_module_names)


def test_core_imports_only_what_thinking_needs(package_trees: dict[Path, ast.Module]) -> None:
    for path, tree in package_trees.items():
        if "core" not in path.parts:
            continue
        anywhere = third_party_imports(tree)
        at_import = third_party_imports(ast.Module(body=_import_time_statements(tree.body), type_ignores=[]))
        assert anywhere <= CORE_MAY_IMPORT | CORE_MAY_IMPORT_INSIDE_FUNCTIONS, path
        assert at_import <= CORE_MAY_IMPORT, path


def _import_time_statements(body: list[ast.stmt]) -> list[ast.stmt]:
    return [
        node for node in body if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
    ]


def test_third_party_imports_are_seen_wherever_they_stand() -> None:
    source = "import json\nimport a.b\nfrom c.d import e\ndef f():\n    import g\nfrom . import h\n"
    assert third_party_imports(ast.parse(source)) == {"a", "c", "g"}


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("workbench", cache_dir=None)


def test_nothing_inside_the_package_enters_by_the_door(graph: grimp.ImportGraph) -> None:
    assert graph.find_modules_that_directly_import("workbench") <= {"workbench"}


def modules_without_caller(graph: grimp.ImportGraph, *, entries: set[str]) -> set[str]:
    """Modules that no entry point reaches; a package counts as reached with any of its modules."""
    reached: set[str] = set()
    waiting = set(entries)
    while waiting:
        module = waiting.pop()
        reached.add(module)
        parent = module.rpartition(".")[0]
        following = graph.find_modules_directly_imported_by(module) | ({parent} if parent else set())
        waiting |= following - reached
    return graph.modules - reached


def test_no_module_is_without_a_caller_outside_the_tests(graph: grimp.ImportGraph) -> None:
    """F48: what no command, no public name and no contract that others run reaches is plumbing for show."""
    judged = {module for module in graph.modules if module.startswith("workbench.testing.")}
    judged = {name for name in judged if name.rpartition(".")[2].startswith(("test_", "conftest"))}
    assert modules_without_caller(graph, entries=ENTRIES | judged) == set()


def test_a_module_without_a_caller_is_found() -> None:
    graph = grimp.ImportGraph()
    for module in ("p", "p.cli", "p.used", "p.deep", "p.deep.used", "p.orphan", "p.orphans_friend"):
        graph.add_module(module)
    graph.add_import(importer="p.cli", imported="p.used")
    graph.add_import(importer="p.used", imported="p.deep.used")
    graph.add_import(importer="p.orphan", imported="p.orphans_friend")
    assert modules_without_caller(graph, entries={"p", "p.cli"}) == {"p.orphan", "p.orphans_friend"}
