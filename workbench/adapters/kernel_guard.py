"""The kernel's side of a production run: dies with its parent, holds the lock, leaves its own proof.

Call `guard_kernel` first in a production notebook. It needs Linux: the parent-death signal is
`prctl(PR_SET_PDEATHSIG)`, and process identity is read from `/proc`. The signal stops the kernel's
own process; a child it started would live on, so production notebooks start none.
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

from workbench.errors import JobFailed, Refused, StorageFailed, WorkbenchError
from workbench.redaction import redact

HEARTBEAT: Final = "runner.heartbeat"
KERNEL_LOCK: Final = "kernel.lock"
OUTCOME: Final = "outcome.json"
STATUS_OF_EXIT_CODE: Final = {0: "done", 2: "refused", 3: "refused", 4: "unknown", 5: "failed"}
_PR_SET_PDEATHSIG: Final = 1
_START: Final = "start the job with `workbench jobs run`"


def guard_kernel(
    run_dir: Path, *, lock_path: Path | None = None, heartbeat_limit_s: float = 2.0
) -> KernelGuard:
    """Tie this kernel to the runner that started it; call it before anything else.

    Parameters
    ----------
    run_dir : Path
        Folder of the run: the runner's heartbeat is read there and the outcome is written there.
    lock_path : Path or None
        Taken as by `KernelGuard.hold_lock`, when already known.
    heartbeat_limit_s : float, default 2.0
        Age of the heartbeat, in seconds, beyond which the runner counts as gone.

    Raises
    ------
    Refused
        Not Linux, not inside a kernel, not started by this run's runner, the runner is gone, the run
        has ended already, or a lock is held.
    """
    if (run_dir / OUTCOME).exists():
        raise Refused(
            f"the run in {run_dir} has ended already",
            next_step="start a new attempt with `workbench jobs run`",
        )
    guard = KernelGuard(run_dir, parent=_runner_of(run_dir), heartbeat_limit_s=heartbeat_limit_s)
    if not guard.parent_alive():
        raise Refused(f"the runner of {run_dir} shows no heartbeat", next_step=_START)
    guard.watch_cells()  # from here on, this kernel's exceptions are the outcome of the run
    _require_linux()
    _leave_no_core()
    _die_with_parent()
    if not guard.parent_alive():
        raise Refused(f"the runner of {run_dir} ended while its kernel started", next_step=_START)
    guard.hold_lock(run_dir / KERNEL_LOCK)
    if lock_path is not None:
        guard.hold_lock(lock_path)
    return guard


class KernelGuard:
    """What `guard_kernel` returns; keep it alive for the whole run, it owns the locks.

    Attributes
    ----------
    run_dir : Path
        Folder of the run.
    holder : str
        This process, unmistakably: "host:boot_id:pid:start_time".
    """

    def __init__(self, run_dir: Path, *, parent: int, heartbeat_limit_s: float) -> None:
        if not (math.isfinite(heartbeat_limit_s) and heartbeat_limit_s > 0):
            raise ValueError(f"heartbeat_limit_s must be positive and finite, not {heartbeat_limit_s}")
        self.run_dir = run_dir
        self.holder = process_holder()
        self._parent = parent
        self._limit_s = heartbeat_limit_s
        self._locks: list[int] = []
        self._thread_error: BaseException | None = None

    def parent_alive(self) -> bool:
        """True only when the runner is our parent and touched its heartbeat within the limit.

        A heartbeat from the future (the wall clock was set back) counts as old.
        """
        if os.getppid() != self._parent:
            return False
        try:
            age_s = time.time() - os.stat(self.run_dir / HEARTBEAT).st_mtime
        except OSError:
            return False
        return abs(age_s) <= self._limit_s

    def hold_lock(self, path: Path) -> None:
        """Hold an exclusive lock on `path` until `release` or the end of this process.

        Raises
        ------
        Refused
            Another process holds it; the message names it.
        """
        import fcntl  # not on every system, and only production notebooks need it

        while True:
            descriptor = _open_lock(path)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                owner = (
                    os.pread(descriptor, 500, 0).decode(errors="replace").strip()
                    or "a process without a name"
                )
                os.close(descriptor)
                raise Refused(
                    f"{path} is held by {owner}",
                    next_step="wait until that run has ended; `workbench jobs history` shows it",
                    lock=str(path),
                    holder=owner,
                ) from error
            if _same_file(descriptor, path):
                break
            os.close(descriptor)  # the file was replaced between open and lock: that lock guards nothing
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, self.holder.encode(), 0)
        self._locks.append(descriptor)

    def write_outcome(
        self, status: str, *, exit_code: int = 0, error: str = "", message: str = "", next_step: str = ""
    ) -> None:
        """Leave the proof of how the run ended; "done" belongs in the last cell.

        Raises
        ------
        JobFailed
            "done" is claimed although a background thread of this kernel has died of an exception.
        """
        if STATUS_OF_EXIT_CODE.get(exit_code) != status:
            raise ValueError(f"status {status!r} does not belong to exit code {exit_code}")
        if status == "done" and self._thread_error is not None:
            raise JobFailed(
                f"a background thread failed: {self._thread_error!r}",
                next_step="read kernel.log in the run's folder",
            ) from self._thread_error
        outcome = {
            "status": status,
            "exit_code": exit_code,
            "error": error,
            "message": redact(message),
            "next_step": redact(next_step),
        }
        _write_durably(self.run_dir / OUTCOME, json.dumps(outcome, indent=1).encode())

    def watch_cells(self) -> None:
        """Write the outcome of every cell, and every thread, that ends in an exception.

        IPython's end-of-cell event is used, not its custom exception handler: the latter never sees
        `SystemExit` and syntax errors.
        """
        from IPython import get_ipython

        shell = get_ipython()
        if shell is None:
            raise Refused(
                "a production notebook runs inside a kernel, this is none",
                next_step=_START,
            )
        shell.events.register("post_run_cell", self._after_cell)
        previous = threading.excepthook

        def on_thread_error(args: threading.ExceptHookArgs) -> None:
            previous(args)
            self._thread_error = args.exc_value or args.exc_type()
            self.write_failure(self._thread_error)

        threading.excepthook = on_thread_error

    def write_failure(self, error: BaseException) -> None:
        """Write the outcome that belongs to an exception; only our own errors choose their code."""
        if isinstance(error, WorkbenchError):
            code, message, next_step = error.exit_code, error.message, error.next_step
        else:
            code, message, next_step = 5, str(error) or type(error).__name__, "open the executed notebook"
        self.write_outcome(
            STATUS_OF_EXIT_CODE[code],
            exit_code=code,
            error=type(error).__name__,
            message=message,
            next_step=next_step,
        )

    def release(self) -> None:
        """Give up every lock; the kernel may no longer send."""
        while self._locks:
            os.close(self._locks.pop())

    def _after_cell(self, result: Any) -> None:
        error = result.error_before_exec or result.error_in_exec
        if error is not None:
            self.write_failure(error)


def process_holder(pid: int | None = None) -> str:
    """Name of a living process that no later process can have: "host:boot_id:pid:start_time"."""
    number = os.getpid() if pid is None else pid
    start_time, _ = _stat(number)
    return f"{socket.gethostname().replace(':', '_')}:{_boot_id()}:{number}:{start_time}"


def dead_holder(holder: str) -> bool:
    """True only when it is proven that this process is gone.

    Proof needs the same boot of the same machine: from elsewhere a process cannot be seen. Anything
    malformed proves nothing.
    """
    try:
        host, boot_id, pid_text, start_time = holder.split(":")
        pid = int(pid_text)
        if pid <= 0 or host != socket.gethostname().replace(":", "_") or boot_id != _boot_id():
            return False
    except (ValueError, OSError):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        pass
    try:
        now_start_time, gone = _stat(pid)
    except (OSError, ValueError, IndexError):
        return False
    return gone or now_start_time != start_time


def _stat(pid: int) -> tuple[str, bool]:
    # Fields after the command name, which may itself hold spaces and brackets. A zombie is gone unless
    # other threads of it still run.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    state, start_time = fields[0], fields[19]
    gone = state in ("Z", "X") and len(os.listdir(f"/proc/{pid}/task")) <= 1
    return start_time, gone


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _require_linux() -> None:
    if not sys.platform.startswith("linux"):
        raise Refused(
            f"production notebooks need Linux; {sys.platform} has no parent-death signal (prctl)",
            next_step="run the job on Linux or in a Linux container; analysis notebooks run anywhere",
            platform=sys.platform,
        )


def _runner_of(run_dir: Path) -> int:
    """Process id of the runner, when it is this kernel's parent by its own word and by the system's."""
    parent = os.getppid()
    try:
        runner = (run_dir / HEARTBEAT).read_text().strip()
    except OSError:
        runner = "nobody"
    if runner != str(parent) or os.environ.get("JPY_PARENT_PID") != runner:
        raise Refused(
            f"process {parent} started this kernel, the run in {run_dir} belongs to {runner}",
            next_step=_START,
        )
    return parent


def _leave_no_core() -> None:
    # A core file holds the memory of this process, and with it the venue's keys.
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _die_with_parent() -> None:
    # The caller checks the parent again afterwards: it may have ended just before this took effect.
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        raise Refused(
            f"the parent-death signal cannot be set: {os.strerror(ctypes.get_errno())}",
            next_step="allow prctl in the sandbox or container profile",
        )


def _open_lock(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StorageFailed(
            f"lock {path} cannot be opened: {error.strerror}",
            next_step="check the folder's owner and the disk",
        ) from error


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _write_durably(path: Path, content: bytes) -> None:
    partial = path.with_name(f"{path.name}.{threading.get_ident()}.tmp")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise StorageFailed(
            f"{path} cannot be written: {error.strerror}", next_step="free space on the disk"
        ) from error
