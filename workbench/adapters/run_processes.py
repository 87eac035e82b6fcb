"""Runs as child processes of a scheduler; they end with it, and each ends its kernel first.

Some processes may wait, libraries loaded and a kernel started, for the order of an analysis run. Each takes
one order and ends with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from workbench.core.jobs import RunPlan
from workbench.errors import Refused, StorageFailed

#: A runner needs so long to kill its kernel, to keep its notebook and to record the end.
GRACE_S: Final = 20.0
#: In place of an order: the process waits for a line with one on its standard input.
WAIT: Final = "-"
_PR_SET_PDEATHSIG: Final = 1


class RunProcesses:
    """Starts `COMMAND ORDER` for each run, ORDER being the JSON that `read_order` reads.

    Parameters
    ----------
    command : sequence of str
        Program and first arguments.
    logs : Path
        Folder for what the processes print, one file a job, appended.
    spares : int, default 0
        Processes that wait.
    takes_spare : callable (job) -> bool
        Whether runs of a job may use one.
    """

    def __init__(
        self,
        command: Sequence[str],
        logs: Path,
        *,
        spares: int = 0,
        takes_spare: Callable[[str], bool] = lambda job: False,
    ) -> None:
        self._command = list(command)
        self._logs = logs
        self._count = spares
        self._takes_spare = takes_spare
        self._spares: list[subprocess.Popen[bytes]] = []
        self._processes: dict[tuple[str, str, int], subprocess.Popen[bytes]] = {}

    def start(self, job: str, session: str, plan: RunPlan) -> None:
        """Begin a run in a process of its own."""
        log = self._logs / f"{job}.log"
        words = {"job": job, "session": session, "parent": os.getpid(), "plan": asdict(plan), "log": str(log)}
        order = json.dumps(words)
        try:
            self._logs.mkdir(parents=True, exist_ok=True)
            told = self._tell_spare(order) if self._takes_spare(job) else None
            self._processes[job, session, plan.due_ns] = told or self._popen(
                order, log, stdin=subprocess.DEVNULL
            )
        except OSError as error:
            raise StorageFailed(
                f"{job} cannot be started: {error.strerror}", next_step="check the disk and the process limit"
            ) from error

    def keep_spares(self) -> None:
        """Start the processes that are to wait and are not there; returns while they load."""
        self._logs.mkdir(parents=True, exist_ok=True)
        self._spares = [spare for spare in self._spares if spare.poll() is None]
        while len(self._spares) < self._count:
            self._spares.append(self._popen(WAIT, self._logs / "spare.log", stdin=subprocess.PIPE))

    def _popen(self, order: str, log: Path, *, stdin: int) -> subprocess.Popen[bytes]:
        with log.open("ab") as file:
            return subprocess.Popen(
                [*self._command, order], stdin=stdin, stdout=file, stderr=file,
                start_new_session=True,  # a Ctrl-C is for the scheduler, which passes it on in order
            )  # fmt: skip

    def _tell_spare(self, order: str) -> subprocess.Popen[bytes] | None:
        """The waiting process that got the order; None when none is alive."""
        while self._spares:
            spare = self._spares.pop(0)
            if spare.poll() is not None or spare.stdin is None:
                continue
            try:
                spare.stdin.write(order.encode() + b"\n")
                spare.stdin.close()
            except BrokenPipeError:  # it ended at this moment, without an order
                spare.wait()
                continue
            return spare
        return None

    def running(self) -> tuple[tuple[str, str, int], ...]:
        """Job, session and due time of every run that has not ended; ended ones are reaped."""
        for key, process in list(self._processes.items()):
            if process.poll() is not None:
                del self._processes[key]
        return tuple(self._processes)

    def stop(self) -> None:
        """End every run: a signal that lets it record its end, then, after a while, one that does not."""
        for spare in self._spares:  # it has nothing to record
            spare.kill()
            spare.wait()
            if spare.stdin is not None:
                spare.stdin.close()
        self._spares.clear()
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


def await_order() -> str:
    """The order for which this process waited; "" when its scheduler ended without one.

    From then on this process prints into the log of its job.
    """
    text = sys.stdin.readline()
    if not text:
        return ""
    log = os.open(json.loads(text)["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.close(log)
    os.close(nothing)
    return text


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
