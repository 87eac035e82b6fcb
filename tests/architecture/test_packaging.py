"""An installed workbench is whole; a fresh copy makes its environment from the lock alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

TRAVELS = ("apps", "papermill-jobs", "data/sample")


def copy_of(tracked_files: list[Path], root: Path, target: Path) -> Path:
    for path in tracked_files:
        copied = target / path.relative_to(root)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copied)
    return target


def test_the_wheel_carries_apps_jobs_and_sample(
    tracked_files: list[Path], root: Path, tmp_path: Path
) -> None:
    source = copy_of(tracked_files, root, tmp_path / "a copy")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=source, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    assert {"workbench/py.typed", "workbench/cli/app.py", "workbench/core/types.py"} <= inside
    for folder in TRAVELS:
        names = [path.relative_to(root / folder) for path in tracked_files if (root / folder) in path.parents]
        assert {f"workbench/share/{folder}/{name.as_posix()}" for name in names} <= inside, (
            f"{folder} is not in the wheel"
        )
    assert not [name for name in inside if name.startswith(("tests/", "docs/", "data/"))]


@pytest.mark.prove
@pytest.mark.parametrize("without_uv", [False, True], ids=["uv", "pip"])
def test_a_fresh_copy_makes_its_environment(
    tracked_files: list[Path], root: Path, tmp_path: Path, without_uv: bool
) -> None:
    """In a folder whose name has a space; the second time nothing is done."""
    source = copy_of(tracked_files, root, tmp_path / "a copy")
    if without_uv:  # as where the package index does not offer it
        lock = source / "requirements-uv.lock"
        lock.write_text("uv==0.0.0 --hash=sha256:" + "0" * 64 + "\n", encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    subprocess.run(["make", "env"], cwd=source, check=True, env=environment)
    python = source / ".venv" / "bin" / "python"
    where = [str(python), "-c", "import workbench; print(workbench.__file__)"]
    done = subprocess.run(where, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == str(source / "workbench" / "__init__.py")
    subprocess.run([str(python), "-m", "pip", "check"], check=True)
    again = subprocess.run(["make", "env"], cwd=source, check=True, capture_output=True, text=True)
    assert again.stdout == ""
