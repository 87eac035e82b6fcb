"""What the architecture tests look at: the project's own files, read once."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOT_OURS = {".venv", ".git", ".hypothesis", ".benchmarks", "__pycache__", "build", "dist", "runs"}


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def tracked_files() -> list[Path]:
    """Every file that is, or on the next commit would be, in the repository."""
    if (ROOT / ".git").exists():
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            check=True,
            capture_output=True,
        ).stdout
        files = [ROOT / name for name in listed.decode().split("\0") if name]
    else:  # an unpacked archive
        files = [
            path
            for path in ROOT.rglob("*")
            if not NOT_OURS & set(path.relative_to(ROOT).parts)
            and not any(part.endswith("_cache") for part in path.relative_to(ROOT).parts)
            and (ROOT / "data" / "desk") not in path.parents
        ]
    found = sorted(path for path in files if path.is_file())
    assert ROOT / "pyproject.toml" in found
    return found


@pytest.fixture(scope="session")
def package_trees() -> dict[Path, ast.Module]:
    """Syntax tree of every module in the package, by path relative to the root."""
    trees = {
        path.relative_to(ROOT): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted((ROOT / "workbench").rglob("*.py"))
    }
    assert Path("workbench/errors.py") in trees
    return trees
