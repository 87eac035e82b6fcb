"""Runs as child processes of a scheduler; they end with it, and each ends its kernel first."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from workbench.core.jobs import RunPlan
from workbench.errors import Refused, StorageFailed

#: A runner needs so long to kill its kernel, to keep its notebook and to record the end.
GRACE_S: Final = 20.0
_PR_SET_PDEATHSIG: Final = 1


class RunProcesses:
    """Starts `COMMAND ORDER` for each run, ORDER being the JSON that `read_order` reads.

    Parameters
    ----------
    command : sequence of str
        Program and first arguments.
    logs : Path
        Folder for what the processes print, one file a job, appended.
    """

    def __init__(self, command: Sequence[str], logs: Path) -> None:
        self._command = list(command)
        self._logs = logs
        self._processes: dict[tuple[str, str, int], subprocess.Popen[bytes]] = {}

    def start(self, job: str, session: str, plan: RunPlan) -> None:
        """Begin a run in a process of its own."""
        order = json.dumps({"job": job, "session": session, "parent": os.getpid(), "plan": asdict(plan)})
        try:
            self._logs.mkdir(parents=True, exist_ok=True)
            with (self._logs / f"{job}.log").open("ab") as log:
                self._processes[job, session, plan.due_ns] = subprocess.Popen(
                    [*self._command, order], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    start_new_session=True,  # a Ctrl-C is for the scheduler, which passes it on in order
                )  # fmt: skip
        except OSError as error:
            raise StorageFailed(
                f"{job} cannot be started: {error.strerror}", next_step="check the disk and the process limit"
            ) from error

    def running(self) -> tuple[tuple[str, str, int], ...]:
        """Job, session and due time of every run that has not ended; ended ones are reaped."""
        for key, process in list(self._processes.items()):
            if process.poll() is not None:
                del self._processes[key]
        return tuple(self._processes)

    def stop(self) -> None:
        """End every run: a signal that lets it record its end, then, after a while, one that does not."""
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        deadline = time.monotonic() + GRACE_S
        for process in self._processes.values():
            try:
                process.wait(timeout=max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()


def read_order(text: str) -> tuple[str, str, RunPlan]:
    """Job, session and plan of a run that this process was started for, tied to its scheduler's life.

    Raises
    ------
    Refused
        The scheduler has ended already, or the system cannot tie the two together.
    """
    order = json.loads(text)
    if sys.platform != "linux" or ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0):
        raise Refused(
            "the parent-death signal cannot be set", next_step="run the scheduler on Linux and allow prctl"
        )
    if os.getppid() != order["parent"]:
        raise Refused(f"the scheduler that ordered {order['job']} is gone", next_step="workbench jobs serve")
    return str(order["job"]), str(order["session"]), RunPlan(**order["plan"])
