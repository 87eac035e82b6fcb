"""A disk that fills in a commit, for real: nothing is half done, nothing that was acknowledged is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "support" / "small_disk.py"


@pytest.mark.parametrize("size_kb", [1_500, 2_000, 6_000])  # in the log; in the log; after it was copied back
def test_a_disk_that_fills_keeps_what_was_acknowledged_and_no_half_of_a_commit(
    tmp_path: Path, size_kb: int
) -> None:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SCRIPT.parent), *filter(None, sys.path)])}
    command = [sys.executable, str(SCRIPT), str(tmp_path), str(size_kb)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    if "PermissionError" in done.stderr:
        pytest.skip("this system lets nobody mount a disk of his own")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert "has no space left" in found["refusal"]
    assert "free disk space" in found["refusal"]
    assert len(found["acknowledged"]) > 20
    small = [] if found["again"] else ["while it is full"]  # a smaller one may still have fitted
    assert found["kept"] == [*found["acknowledged"], *small, "room again"]
    assert found["last"] == len(found["kept"])
    assert (found["ok"], found["reason"]) == (True, "")
    assert found["unwritten"] == ["archive: StorageFailed", "export: StorageFailed"]
    assert found["left"] == []
    assert list(tmp_path.iterdir()) == []
