"""`import workbench` is light, lazy and tells its version."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import workbench

HEAVY = (
    "IPython alpaca asyncio bokeh duckdb exchange_calendars holoviews httpx hvplot joblib jupyter_client "
    "llvmlite logging matplotlib multiprocessing nbclient nbformat numba numpy panel pandas papermill param "
    "pyarrow pydantic pydantic_settings requests rich scipy sklearn skops sqlalchemy sqlite3 structlog typer "
    "websockets"
).split()


def modules_after(statement: str) -> set[str]:
    """Names of all modules that a fresh interpreter holds after one statement."""
    root = Path(__file__).resolve().parents[2]
    code = f"import sys\nsys.path.insert(0, {str(root)!r})\n{statement}\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_door_loads_nothing_heavy() -> None:
    loaded = modules_after("import workbench") - modules_after("pass")
    assert "workbench" in loaded
    assert {name for name in HEAVY if name in loaded} == set()
    assert {name for name in loaded if name.startswith("workbench.")} == set()


def test_the_heavy_list_sees_a_heavy_import() -> None:
    assert {"numpy", "logging"} <= set(HEAVY) & modules_after("import numpy, logging")


@pytest.mark.parametrize("name", workbench.__all__)
def test_every_public_name_opens(name: str) -> None:
    assert getattr(workbench, name) is not None


def test_every_public_name_is_declared_to_type_checkers(root: Path) -> None:
    tree = ast.parse((root / "workbench" / "__init__.py").read_text(encoding="utf-8"))
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    declared = {alias.name for node in guarded.body for alias in node.names}  # type: ignore[attr-defined]
    assert declared == set(workbench.__all__) - {"__version__"} == set(workbench._HOME_OF)


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(AttributeError, match=r"no public name 'trade'.*load_settings"):
        _ = workbench.trade  # type: ignore[attr-defined]


def test_a_public_name_stays_the_same_object() -> None:
    door = importlib.import_module("workbench")
    assert door.tca is door.tca is importlib.import_module("workbench.tca")


def test_the_version_is_the_package_version(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert workbench.__version__ == project["version"]
    changes = (root / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
    assert f"## [{workbench.__version__}]" in next(row for row in changes if row.startswith("## ["))
