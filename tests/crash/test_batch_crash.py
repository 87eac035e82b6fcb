"""kill -9 between the commit of a batch and each of its requests: the same bytes, nothing twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import drive

SCRIPT = Path(drive.__file__).with_name("kill_and_resume.py")
SESSION = "2013-02-25"  # three orders in one batch
REQUESTS = (0, 1, 2)


def test_a_kill_before_each_request_of_a_batch_changes_nothing(prepared: Path, tmp_path: Path) -> None:
    """F03, F47: all three are SENT in the journal when the first request leaves."""
    command = [sys.executable, str(SCRIPT), str(prepared), str(tmp_path), SESSION, SESSION]
    command += ["--before-request", *map(str, REQUESTS)]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    result = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    undisturbed, *killed = (json.loads(line) for line in result.stdout.splitlines())
    assert killed == [{**undisturbed, "kills": 1}] * len(REQUESTS)
    assert undisturbed["duplicates"] == undisturbed["unknown_to_us"] == 0
    assert undisturbed["unsettled"] == []
