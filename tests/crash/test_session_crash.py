"""kill -9 at any moment of the main job, a person resumes, it runs again: the same bytes, nothing twice."""

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

SCRIPT = Path(drive.__file__).with_name("kill_and_resume.py")
BUSY_SESSION = "2013-02-04"  # the second; two denials, two orders, two fills
MOMENTS = (3, 8, 11, 12, 13, 14, 15, 16, 17, 22)


def trade(prepared: Path, work: Path, first: str, last: str, *options: str) -> list[dict[str, Any]]:
    """What became of the desk that was left alone, then of each that was killed."""
    command = [sys.executable, str(SCRIPT), str(prepared), str(work), first, last, *options]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    result = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_ten_random_kills_during_twenty_sessions_change_nothing(prepared: Path, tmp_path: Path) -> None:
    options = ("--kills", "10", "--longest", "0.5")
    undisturbed, disturbed = trade(prepared, tmp_path, drive.FIRST, drive.LAST, *options)
    assert undisturbed["kills"] == 0
    assert len(undisturbed["digests"]) == 20
    assert disturbed == {**undisturbed, "kills": 10}
    assert disturbed["duplicates"] == disturbed["unknown_to_us"] == 0
    assert disturbed["unsettled"] == []


@pytest.fixture(scope="module")
def killed_once(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int | None, dict[str, Any]]:
    """What became of a desk killed at each moment; None = of the one left alone."""
    work = tmp_path_factory.mktemp("killed-once")
    found = trade(prepared, work, BUSY_SESSION, BUSY_SESSION, "--at", *map(str, MOMENTS))
    return dict(zip((None, *MOMENTS), found, strict=True))


@pytest.mark.parametrize("at", MOMENTS)
def test_a_kill_around_a_durable_write_changes_nothing(
    killed_once: dict[int | None, dict[str, Any]], at: int
) -> None:
    undisturbed = killed_once[None]
    assert len(undisturbed["digests"]) == 2
    assert killed_once[at] == {**undisturbed, "kills": 1}


@pytest.mark.prove
def test_a_kill_around_every_durable_write_of_a_session_changes_nothing(
    prepared: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    undisturbed, *killed = trade(prepared, tmp_path, BUSY_SESSION, BUSY_SESSION, "--everywhere")
    record_property("kills", len(killed))
    for at, found in enumerate(killed):
        assert found == {**undisturbed, "kills": 1}, f"killed at moment {at}"
    assert len(killed) >= 28, "the session has fewer durable writes than it must have"
