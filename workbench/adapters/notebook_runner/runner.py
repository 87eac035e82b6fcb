"""Runs a production notebook in a fresh kernel and believes only the kernel's own proof.

papermill executes; this module refuses what papermill lets pass for a success: a notebook whose
parameters are not what was passed, cells that may raise, `sys.exit(0)`, a kernel that died, a time
limit, an exception that was swallowed. Run on the main thread: the parent-death signal of the kernel
follows the thread that started it.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from workbench.adapters.notebook_runner.engine import ENGINE, register_engine
from workbench.adapters.notebook_runner.kernel import (
    Kernel,
    kernel_environment,
    loop_is_running,
    stop_signals,
)
from workbench.adapters.notebook_runner.notebook_check import check_notebook
from workbench.adapters.notebook_runner.page import write_page
from workbench.adapters.notebook_runner.redacted_output import mask_written_notebooks
from workbench.adapters.notebook_runner.run_folder import (
    claim_folder,
    heartbeat,
    keep,
    make_folder,
    try_lock,
    write_durably,
)
from workbench.adapters.notebook_runner.warm import WarmKernels
from workbench.core.canonical import canonical_json
from workbench.core.jobs import RunRequest, RunResult
from workbench.errors import JobFailed, Refused, UsageError

HEARTBEAT: Final = "runner.heartbeat"
KERNEL_LOCK: Final = "kernel.lock"
OUTCOME: Final = "outcome.json"
_RUN_ID: Final = re.compile(r"(?P<job>[a-z][a-z0-9_]*)/(?P<name>\d{4}-\d{2}-\d{2}\.[1-9]\d*)")
_STATUS: Final = {0: "done", 2: "refused", 3: "refused", 4: "unknown", 5: "failed"}
_START_TIMEOUT_S: Final = 60
_IOPUB_TIMEOUT_S: Final = 30  # after a cell's reply; a loaded machine is not a failed run


class NotebookRunner:
    """Executes one notebook at a time, each in its own kernel; satisfies `core.ports.JobRunner`.

    Parameters
    ----------
    runs_root : Path
        Folder of all runs; a run writes only in `runs_root/JOB/DATE.N/`.
    warm : WarmKernels or None, default None
        Kernels kept ready for runs that ask for one; without them every run starts its own.
    """

    def __init__(self, runs_root: Path, *, warm: WarmKernels | None = None) -> None:
        self._root = runs_root.absolute()
        self._warm = warm
        self._held: set[str] = set()

    @contextlib.contextmanager
    def exclusive(self, job: str) -> Iterator[None]:
        """Be the only runner of `job` on this machine until the context ends.

        Raises
        ------
        Refused
            Another process is running that job.
        """
        if job in self._held:
            yield
            return
        folder = self._root / job
        make_folder(folder)
        descriptor = try_lock(folder / ".runner.lock")
        if descriptor is None:
            raise Refused(
                f"another process is running {job}",
                next_step="wait for it; `workbench jobs history` shows it",
            )
        self._held.add(job)
        try:
            yield
        finally:
            self._held.discard(job)
            os.close(descriptor)

    def is_over(self, run_id: str) -> bool:
        """True only when neither a runner of that job nor the run's kernel holds its lock."""
        job, name = _split(run_id)
        try:
            with self.exclusive(job):
                path = self._root / job / name / KERNEL_LOCK
                if not path.exists():  # the kernel never got as far as its guard, and now it cannot
                    return True
                descriptor = try_lock(path)
        except Refused:
            return False
        if descriptor is None:
            return False
        os.close(descriptor)
        return True

    def run(self, request: RunRequest) -> RunResult:
        """Execute the notebook in its own folder and say how it ended.

        The kernel's working directory is the run's folder. The executed notebook is written beside its
        final name and renamed at the end, however the run ends.

        Raises
        ------
        UsageError
            Not on the main thread, or a run id that is none.
        ConfigError
            The notebook is not fit for production; nothing was started.
        Refused
            Another runner has this job, or this attempt exists already.
        SystemExit, KeyboardInterrupt
            A stop signal came; the kernel was killed first. The code is 128 + signal number.
        """
        if threading.current_thread() is not threading.main_thread() or loop_is_running():
            raise UsageError(
                "a notebook must be run from the main thread, outside an event loop",
                next_step="start it with `workbench jobs run`",
            )
        job, name = _split(request.run_id)
        check_notebook(request.notebook)
        with self.exclusive(job):
            run_dir = self._root / job / name
            claim_folder(run_dir, request.run_id)
            write_durably(run_dir / "parameters.json", canonical_json(dict(request.parameters)).encode())
            taken = self._warm.take(request) if self._warm is not None else None
            if taken is not None:
                taken.enter(run_dir)
            return _execute(request, run_dir, taken)


def _split(run_id: str) -> tuple[str, str]:
    match = _RUN_ID.fullmatch(run_id)
    if match is None:
        raise UsageError(f"{run_id!r} is not a run", next_step="write it as JOB/DATE.N")
    return match["job"], match["name"]


def _execute(request: RunRequest, run_dir: Path, taken: Kernel | None) -> RunResult:
    started = time.monotonic()
    output = run_dir / f"{request.notebook.stem}.ipynb"
    partial = output.with_name(f"{output.name}.tmp")
    kernel = taken or Kernel(run_dir, kernel_environment(request.environment, request.withheld))
    failure: Exception | None = None
    try:
        with stop_signals(kernel.kill), heartbeat(run_dir / HEARTBEAT), contextlib.ExitStack() as cleanup:
            cleanup.callback(kernel.close)
            try:
                if taken is None:
                    kernel.start()
                _papermill(request, run_dir, partial, kernel.manager, started + request.timeout_s)
            except Exception as error:  # the boundary: whatever ended the run is judged, never swallowed
                failure = error
            kernel.kill()  # nothing of the notebook may run after the verdict
    finally:
        keep(partial, output)
    result = _judge(request.run_id, run_dir, failure)
    with contextlib.suppress(OSError):  # for people; the executed notebook is the record
        write_page(output)
    return RunResult(
        run_id=request.run_id,
        notebook=str(output) if output.exists() else "",
        seconds=time.monotonic() - started,
        **result,
    )


def _papermill(request: RunRequest, run_dir: Path, output: Path, manager: Any, deadline: float) -> None:
    papermill = import_papermill()
    notebook = papermill.iorw.load_notebook_node(str(request.notebook))
    total = len(notebook.cells) + 1  # papermill adds the injected parameters

    def report(cell: Any, cell_index: int) -> None:
        if request.progress is not None:
            request.progress(cell_index, total)

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not end in one of.*", category=UserWarning)
        executed = papermill.execute_notebook(
            notebook,
            str(output),
            parameters={"params_file": str(run_dir / "parameters.json")},
            engine_name=ENGINE,
            kernel_name="python3",
            language="python",
            progress_bar=False,
            start_timeout=_START_TIMEOUT_S,
            km=manager,
            timeout_func=lambda cell: max(1, round(deadline - time.monotonic())),
            iopub_timeout=_IOPUB_TIMEOUT_S,
            force_raise_errors=True,
            on_cell_start=report,
        )
    _require_every_cell(executed)
    if request.progress is not None:
        request.progress(total, total)


def _require_every_cell(executed: Any) -> None:
    # papermill returns normally after `sys.exit(0)`; the cells after it never ran.
    for number, cell in enumerate((c for c in executed.cells if c.cell_type == "code"), start=1):
        errors = [output for output in cell.outputs if output.output_type == "error"]
        if errors:
            raise JobFailed(f"code cell {number} ended with {errors[0].ename}")
        if cell.source.strip() and cell.execution_count is None:
            raise JobFailed(f"code cell {number} never ran")


def _judge(run_id: str, run_dir: Path, failure: Exception | None) -> dict[str, Any]:
    outcome = _read_outcome(run_dir / OUTCOME)
    cause = "" if failure is None else f"{type(failure).__name__}: {_short(failure)}"
    if outcome is None:
        message = "the kernel ended without its own proof of success"
        message += f" ({cause})" if cause else ""
    elif outcome["status"] == "done" and failure is not None:
        message = f"the notebook failed after it had reported success ({cause})"
    else:
        return outcome
    job = run_id.partition("/")[0]
    return {
        "status": "failed",
        "exit_code": 5,
        "error": "JobFailed",
        "message": message,
        "next_step": f"read the executed notebook and kernel.log in {run_dir}, then run {job} again",
    }


def _read_outcome(path: Path) -> dict[str, Any] | None:
    try:
        values = json.loads(path.read_bytes())
        texts = {key: values[key] for key in ("error", "message", "next_step")}
        status, exit_code = values["status"], values["exit_code"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if type(exit_code) is not int or _STATUS.get(exit_code) != status:
        return None
    if not all(isinstance(text, str) for text in texts.values()):
        return None
    return {"status": status, "exit_code": exit_code, **texts}


def _short(failure: Exception) -> str:
    name, value = getattr(failure, "ename", ""), getattr(failure, "evalue", "")
    text = f"{name}: {value}" if name else str(failure)
    return " ".join(text.split())[:300]


@functools.cache
def import_papermill() -> Any:
    """The library with our engine, which writes redacted notebooks; who waits for a run loads it first."""
    # rfc3987_syntax builds a grammar for two seconds when imported. jsonschema does without it, and no
    # notebook schema asks for the one format that it checks.
    name = "rfc3987_syntax"
    hidden = name not in sys.modules
    if hidden:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        import papermill
    finally:
        if hidden:
            del sys.modules[name]
    mask_written_notebooks(papermill.iorw)
    register_engine(papermill.engines)
    return papermill
