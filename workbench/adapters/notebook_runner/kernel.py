"""One kernel process of this very interpreter, and the signals that end it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import select
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Final

from workbench.adapters.notebook_runner.redacted_output import RedactedLog
from workbench.errors import JobFailed

# As ipykernel_launcher, without the debugger: no production kernel is debugged, and loading it takes
# nearly as long as all the rest. Half a second of garbage collection while libraries are loaded finds
# nothing: they stay.
_LAUNCH: Final = """
import gc, sys
gc.set_threshold(50_000, 20, 50)
sys.path[:] = filter(None, sys.path)
sys.modules["debugpy"] = None
from ipykernel import kernelapp
kernelapp.launch_new_instance()
"""
# The same, with libraries loaded before anybody needs the kernel. Until a run takes it,
# nothing but its parent's life keeps it: it dies with the runner at once, guarded or not.
_LAUNCH_WARM: Final = """
import ctypes, gc, os, signal, sys
gc.set_threshold(50_000, 20, 50)
sys.path[:] = filter(None, sys.path)
sys.modules["debugpy"] = None
ctypes.CDLL(None).prctl(1, int(signal.SIGKILL), 0, 0, 0)
if os.getppid() != int(os.environ["JPY_PARENT_PID"]):
    sys.exit(1)
PRELOAD
from ipykernel import kernelapp
kernelapp.launch_new_instance()
"""
# The sums of one session are small: a second thread would only wait for them, and busily.
_ONE_THREAD: Final = {"OPENBLAS_NUM_THREADS": "1"}
_READY_S: Final = 60.0
_STOPPING: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def _await_end(pid: int) -> None:
    """Return at the moment at which a killed process is gone; `Popen.wait` would look only now and then."""
    with contextlib.suppress(OSError, AttributeError):  # a system without pidfd: the caller's wait will do
        descriptor = os.pidfd_open(pid)
        try:
            select.select([descriptor], [], [], 10.0)
        finally:
            os.close(descriptor)


def kernel_environment(added: Mapping[str, str], withheld: Sequence[str]) -> dict[str, str]:
    """Variables of a kernel: this process's and the added ones, without those that it must not have."""
    environment = {**_ONE_THREAD, **os.environ, **added}
    for name in ("PYTHONSTARTUP", *withheld):  # a person's start-up code is not part of the run
        environment.pop(name, None)
    return environment


class Kernel:
    """One kernel process of this very interpreter, reachable over sockets in a private folder.

    Parameters
    ----------
    run_dir : Path or None
        None = a kernel that is started before its run is known; `enter` then names the run.
    environment : mapping of str to str
        As `kernel_environment` makes it.
    preload : str, default ""
        Source that such a kernel runs before it takes orders, such as imports; no name of it is left.
    """

    def __init__(self, run_dir: Path | None, environment: Mapping[str, str], *, preload: str = "") -> None:
        self._run_dir = run_dir
        self._preload = preload
        self.environment = dict(environment)
        self._enter: list[str] = []
        self._folder: Path | None = None
        self._clients: list[Any] = []
        self._log: RedactedLog | None = None
        self.manager: Any = None

    def start(self) -> None:
        """Start the process; its own output goes, redacted, to `kernel.log` in the run's folder."""
        self._folder = _socket_folder()
        launch = _LAUNCH if self._run_dir is not None else _LAUNCH_WARM.replace("PRELOAD", self._preload)
        self.manager = _new_manager(self._folder, self._clients, launch, self._enter)
        self._log = RedactedLog(None if self._run_dir is None else self._run_dir / "kernel.log")
        try:
            _wait_for(
                self.manager.start_kernel(
                    extra_arguments=["--HistoryManager.hist_file=:memory:"],
                    env={**self.environment, "IPYTHONDIR": str(self._folder / "ipython")},
                    cwd=str(self._run_dir or self._folder),
                    stdout=self._log.descriptor,
                    stderr=self._log.descriptor,
                )
            )
        finally:
            self._log.hand_over()

    def enter(self, run_dir: Path) -> None:
        """Give a kernel that was started beforehand to a run: its folder, and its log."""
        if self._run_dir is not None or self._log is None:
            raise RuntimeError("a kernel belongs to one run")
        self._run_dir = run_dir
        self._log.write_to(run_dir / "kernel.log")
        self._enter.append(f"__import__('os').chdir({str(run_dir)!r})")

    def is_alive(self) -> bool:
        """Whether the process has been started and has not ended."""
        process = getattr(getattr(self.manager, "provisioner", None), "process", None)
        return process is not None and process.poll() is None

    def wait_until_ready(self) -> None:
        """Return when the kernel answers; JobFailed when it died or takes a minute."""
        client = self.manager.client()
        client.start_channels()
        try:
            _wait_for(_until_ready(client, _READY_S, []))
        finally:
            client.stop_channels()
            self._clients.remove(client)

    def kill(self) -> None:
        """SIGKILL the kernel and the processes of its group; safe inside a signal handler."""
        process = getattr(getattr(self.manager, "provisioner", None), "process", None)
        if process is not None and process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Kill, reap and remove every trace outside the run's folder."""
        self.kill()
        try:
            process = getattr(getattr(self.manager, "provisioner", None), "process", None)
            if process is not None:
                _await_end(process.pid)
                process.wait(timeout=10)
            if self._log is not None:
                self._log.finish()
            _cancel_tasks()
            for client in self._clients:
                client.stop_channels()
            if self.manager is not None:
                _wait_for(self.manager.cleanup_resources())
        finally:
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)


def _new_manager(folder: Path, clients: list[Any], launch: str, enter: list[str]) -> Any:
    from jupyter_client.asynchronous.client import AsyncKernelClient
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager

    class ThisInterpreter(KernelSpecManager):
        # An installed kernelspec of that name, such as a user's own, must not decide what trades.
        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            argv = [sys.executable, "-c", launch, "-f", "{connection_file}"]
            return KernelSpec(argv=argv, display_name="Python 3", language="python")

    class Client(AsyncKernelClient):
        async def wait_for_ready(self, timeout: float | None = None) -> None:
            await _until_ready(self, timeout or _READY_S, enter)

    class Manager(AsyncKernelManager):
        def client(self, **options: Any) -> Any:
            client = super().client(**options)
            clients.append(client)  # papermill drops it without closing its sockets
            return client

    return Manager(
        kernel_name="python3",
        kernel_spec_manager=ThisInterpreter(),
        client_factory=Client,
        transport="ipc",
        connection_file=str(folder / "k.json"),
    )


async def _until_ready(client: Any, timeout: float, enter: list[str]) -> None:
    """Wait for the first answer, then let the kernel do what must stand before the first cell."""
    # jupyter_client looks once a second and then listens for silence: half a second lost on each kernel.
    deadline = time.monotonic() + timeout
    request = ""
    while time.monotonic() < deadline:
        request = request or client.kernel_info()
        with contextlib.suppress(queue.Empty):
            reply = await client.shell_channel.get_msg(timeout=0.1)
            if reply["parent_header"].get("msg_id") == request:
                request = ""  # ask again, unless the broadcast channel is connected as well
                await client.iopub_channel.get_msg(timeout=0.1)
                for code in enter:
                    await _done(client, code, deadline)
                return
        if not await client.is_alive():
            raise JobFailed(
                "the kernel died while it started", next_step="read kernel.log in the run's folder"
            )
    raise JobFailed(
        f"the kernel was not ready in {timeout:.0f} s", next_step="look at the load of the machine"
    )


async def _done(client: Any, code: str, deadline: float) -> None:
    request = client.execute(code, silent=True, store_history=False)
    while time.monotonic() < deadline:
        with contextlib.suppress(queue.Empty):
            reply = await client.shell_channel.get_msg(timeout=0.1)
            if reply["parent_header"].get("msg_id") == request and reply["content"]["status"] == "ok":
                return
            if reply["parent_header"].get("msg_id") == request:
                break
    raise JobFailed("the kernel could not enter the run's folder", next_step="read kernel.log there")


def _socket_folder() -> Path:
    # A socket's path may have 107 characters, so a long TMPDIR will not do.
    folder = Path(tempfile.mkdtemp(prefix="workbench-"))
    if len(str(folder)) > 80:
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix="workbench-", dir="/tmp"))
    return folder


@contextlib.contextmanager
def stop_signals(kill: Callable[[], None]) -> Iterator[None]:
    """Turn the first SIGTERM, SIGHUP or Ctrl-C into an exception, after the kernel was killed."""
    stopped = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopped
        kill()
        if not stopped:  # a second one must not cut the cleaning up short
            stopped = True
            raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    previous = {number: signal.signal(number, stop) for number in _STOPPING}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def loop_is_running() -> bool:
    """True inside an event loop, where a kernel would be started from another thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _wait_for(awaitable: Any) -> Any:
    from jupyter_core.utils import ensure_event_loop

    return ensure_event_loop().run_until_complete(awaitable)


def _cancel_tasks() -> None:
    # What an aborted run left waiting for messages would otherwise wake up in the next one.
    from jupyter_core.utils import ensure_event_loop

    loop = ensure_event_loop()
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
