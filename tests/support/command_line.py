"""Type commands as a person would: through the program's own entry, here or in a process of its own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.cli import main

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(sys.executable).with_name("workbench")


@dataclass(frozen=True)
class Answer:
    """What came back: exit code, standard output and standard error."""

    code: int
    out: str
    err: str

    @property
    def payload(self) -> dict[str, Any]:
        """The one JSON object that was printed, and nothing beside it."""
        (line,) = self.out.splitlines()

        def refuse(constant: str) -> None:
            raise AssertionError(f"{constant} is not JSON")

        found = json.loads(line, parse_constant=refuse)
        assert isinstance(found, dict)
        return found


def typed(folder: Path, *arguments: str) -> Answer:
    """The answer to `workbench ARGUMENTS` for the desk in `folder`, in this process."""
    with contextlib.chdir(folder):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main(arguments)
                code = 0
            except SystemExit as end:
                code = int(end.code or 0)
    return Answer(code, out.getvalue(), err.getvalue())


def program(folder: Path, *arguments: str, largest_file: int | None = None) -> Answer:
    """The answer of the installed program; no file of it may grow beyond `largest_file` bytes."""

    def limit() -> None:
        if largest_file is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

    done = subprocess.run(
        [str(PROGRAM), *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests' / 'support'}"},
        preexec_fn=limit,
        capture_output=True,
        text=True,
        check=False,
    )
    return Answer(done.returncode, done.stdout, done.stderr)
