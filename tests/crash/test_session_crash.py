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

from workbench.config import Settings

SCRIPT = Path(drive.__file__).with_name("kill_and_resume.py")
BUSY_SESSION = "2013-02-04"  # two denials, two orders, two fills


def trade(settings: Settings, first: str, last: str, *options: str) -> dict[str, Any]:
    command = [sys.executable, str(SCRIPT), str(settings.folder / "workbench.toml"), first, last, *options]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    result = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_ten_random_kills_during_twenty_sessions_change_nothing(new_desk: Callable[[str], Settings]) -> None:
    undisturbed = trade(new_desk("undisturbed"), drive.FIRST, drive.LAST)
    disturbed = trade(new_desk("killed"), drive.FIRST, drive.LAST, "--kills", "10", "--longest", "0.8")
    assert undisturbed["kills"] == 0
    assert len(undisturbed["digests"]) == 20
    assert disturbed == {**undisturbed, "kills": 10}
    assert disturbed["duplicates"] == disturbed["unknown_to_us"] == 0
    assert disturbed["unsettled"] == []


def trade_once(settings: Settings, at: int) -> dict[str, Any]:
    return trade(settings, BUSY_SESSION, BUSY_SESSION, "--at", str(at))


@pytest.mark.parametrize("at", [3, 8, 11, 12, 13, 14, 15, 16, 17, 22])
def test_a_kill_around_a_durable_write_changes_nothing(new_desk: Callable[[str], Settings], at: int) -> None:
    undisturbed = trade(new_desk("undisturbed"), BUSY_SESSION, BUSY_SESSION)
    killed = trade_once(new_desk("killed"), at)
    assert killed == {**undisturbed, "kills": 1}


@pytest.mark.prove
def test_a_kill_around_every_durable_write_of_a_session_changes_nothing(
    new_desk: Callable[[str], Settings],
) -> None:
    undisturbed = trade(new_desk("undisturbed"), BUSY_SESSION, BUSY_SESSION)
    at = 0
    while (killed := trade_once(new_desk(f"killed-{at}"), at))["kills"]:
        assert killed == {**undisturbed, "kills": 1}, f"killed at moment {at}"
        at += 1
    assert at > 30, "the session has fewer durable writes than it must have"
