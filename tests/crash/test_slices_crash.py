"""kill -9 between the slices of one change: the same legs, the same bytes, nothing twice."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import drive
import pytest

from workbench.bootstrap.desk import Desk
from workbench.config import Settings, load_settings
from workbench.config.template import DEFAULT_TOML

SCRIPT = Path(drive.__file__).with_name("kill_and_resume.py")
SESSION = "2013-02-04"  # four changes of two slices or more
SLICED = DEFAULT_TOML.replace("max_slice_shares = 20_000", "max_slice_shares = 60")


@pytest.fixture(scope="module")
def sliced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a desk that trades in slices of 60 shares; never traded in itself."""
    assert SLICED != DEFAULT_TOML
    folder = tmp_path_factory.mktemp("sliced") / "desk"
    drive.make_desk(folder, SLICED)
    return folder


@pytest.fixture
def sliced_desk(sliced: Path, tmp_path: Path) -> Callable[[str], Settings]:
    def copy(name: str) -> Settings:
        shutil.copytree(sliced, tmp_path / name)
        return load_settings(str(tmp_path / name / "workbench.toml"))

    return copy


def trade(settings: Settings, *options: str) -> dict[str, Any]:
    command = [
        sys.executable,
        str(SCRIPT),
        str(settings.folder / "workbench.toml"),
        SESSION,
        SESSION,
        *options,
    ]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    result = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_kill_among_the_slices_of_a_session_changes_nothing(
    sliced_desk: Callable[[str], Settings],
) -> None:
    """F01, F03: this write is one of the second slices of the session."""
    whole = sliced_desk("undisturbed")
    undisturbed = trade(whole)
    legs = {row["leg"] for row in Desk(whole).journal.rows("orders")}
    assert {"slice 1", "slice 2"} <= legs
    assert trade(sliced_desk("killed"), "--at", "36") == {**undisturbed, "kills": 1}


@pytest.mark.prove
def test_a_kill_around_every_durable_write_of_a_sliced_session_changes_nothing(
    sliced_desk: Callable[[str], Settings],
) -> None:
    undisturbed = trade(sliced_desk("undisturbed"))
    at = 0
    while (killed := trade(sliced_desk(f"killed-{at}"), "--at", str(at)))["kills"]:
        assert killed == {**undisturbed, "kills": 1}, f"killed at moment {at}"
        at += 1
    assert at > 60, "the session has fewer durable writes than its slices must have"
