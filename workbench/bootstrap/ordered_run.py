"""The process of one run that a scheduler ordered: at once, or after it waited for the order."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from workbench.adapters.code_hash import code_stamp
from workbench.adapters.notebook_runner import WarmKernels, import_papermill
from workbench.adapters.run_processes import WAIT, await_order, read_order
from workbench.bootstrap.jobs import job_service, warm_kernels
from workbench.config import load_settings
from workbench.errors import WorkbenchError


def run_ordered(config: Path, order: str) -> int:
    """The run that a scheduler ordered from this process, or will order; its exit code."""
    if order == WAIT:
        return _run_awaited(config)
    return _run(config, order, None)


def _run(config: Path, order: str, warm: WarmKernels | None) -> int:
    job, session, plan = read_order(order)
    settings = load_settings(str(config))
    with job_service(settings, warm=warm) as service:
        return service.run(job, session, plan=plan).exit_code


def _run_awaited(config: Path) -> int:
    """Load everything, start a kernel, wait for the order; code that changed meanwhile is loaded anew."""
    loaded = code_stamp()
    with warm_kernels(1) as warm:
        if warm is not None:
            warm.fill()
        import_papermill()
        order = await_order()
        if not order:
            return 0
        if code_stamp() == loaded:
            return _run(config, order, warm)
    command = [sys.executable, "-m", "workbench.bootstrap.ordered_run", str(config), order]
    os.execv(sys.executable, command)  # noqa: S606  # still this process: its parent and place stay


if __name__ == "__main__":
    try:
        code = run_ordered(Path(sys.argv[1]), sys.argv[2])
    except WorkbenchError as problem:
        print(f"{type(problem).__name__}: {problem}", file=sys.stderr)
        code = problem.exit_code
    sys.exit(code)
