"""kill -9 between the slices of one change: the same legs, the same bytes, nothing twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import drive
import pytest

from workbench.bootstrap.desk import Desk
from workbench.config import load_settings
from workbench.config.template import DEFAULT_TOML

SCRIPT = Path(drive.__file__).with_name("kill_and_resume.py")
SESSION = "2013-02-04"  # four changes of two slices or more
SLICED = DEFAULT_TOML.replace("max_slice_shares = 20_000", "max_slice_shares = 60")
MOMENTS = (35, 36, 37, 38)


@pytest.fixture(scope="module")
def sliced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a desk that trades in slices of 60 shares; never traded in itself."""
    assert SLICED != DEFAULT_TOML
    folder = tmp_path_factory.mktemp("sliced") / "desk"
    drive.make_desk(folder, SLICED)
    return folder


def trade(prepared: Path, work: Path, *options: str) -> list[dict[str, Any]]:
    """What became of the desk that was left alone, then of each that was killed."""
    command = [sys.executable, str(SCRIPT), str(prepared), str(work), SESSION, SESSION, *options]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    result = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_kill_among_the_slices_of_a_session_changes_nothing(sliced: Path, tmp_path: Path) -> None:
    """F01, F03: these writes are among the second slices of the session."""
    undisturbed, *killed = trade(sliced, tmp_path, "--at", *map(str, MOMENTS))
    whole = load_settings(str(tmp_path / "undisturbed" / "workbench.toml"))
    legs = {row["leg"] for row in Desk(whole).journal.rows("orders")}
    assert {"slice 1", "slice 2"} <= legs
    assert killed == [{**undisturbed, "kills": 1}] * len(MOMENTS)


@pytest.mark.prove
def test_a_kill_around_every_durable_write_of_a_sliced_session_changes_nothing(
    sliced: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    undisturbed, *killed = trade(sliced, tmp_path, "--everywhere")
    record_property("kills", len(killed))
    for at, found in enumerate(killed):
        assert found == {**undisturbed, "kills": 1}, f"killed at moment {at}"
    assert len(killed) >= 50, "the session has fewer durable writes than its slices must have"
