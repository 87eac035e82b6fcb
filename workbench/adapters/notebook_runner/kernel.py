"""One kernel process of this very interpreter, and the signals that end it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
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
# The sums of one session are small: a second thread would only wait for them, and busily.
_ONE_THREAD: Final = {"OPENBLAS_NUM_THREADS": "1"}
_STOPPING: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


class Kernel:
    """One kernel process of this very interpreter, reachable over sockets in a private folder."""

    def __init__(self, run_dir: Path, environment: Mapping[str, str], withheld: Sequence[str] = ()) -> None:
        self._run_dir = run_dir
        self._environment = environment
        self._withheld = ("PYTHONSTARTUP", *withheld)  # a person's start-up code is not part of the run
        self._folder: Path | None = None
        self._clients: list[Any] = []
        self._log: RedactedLog | None = None
        self.manager: Any = None

    def start(self) -> None:
        """Start the process; its own output goes, redacted, to `kernel.log` in the run's folder."""
        self._folder = _socket_folder()
        self.manager = _new_manager(self._folder, self._clients)
        environment = {**_ONE_THREAD, **os.environ, **self._environment}
        for name in self._withheld:
            environment.pop(name, None)
        environment["IPYTHONDIR"] = str(self._folder / "ipython")
        self._log = RedactedLog(self._run_dir / "kernel.log")
        try:
            _wait_for(
                self.manager.start_kernel(
                    extra_arguments=["--HistoryManager.hist_file=:memory:"],
                    env=environment,
                    cwd=str(self._run_dir),
                    stdout=self._log.descriptor,
                    stderr=self._log.descriptor,
                )
            )
        finally:
            self._log.hand_over()

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


def _new_manager(folder: Path, clients: list[Any]) -> Any:
    from jupyter_client.asynchronous.client import AsyncKernelClient
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager

    class ThisInterpreter(KernelSpecManager):
        # An installed kernelspec of that name, such as a user's own, must not decide what trades.
        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            argv = [sys.executable, "-c", _LAUNCH, "-f", "{connection_file}"]
            return KernelSpec(argv=argv, display_name="Python 3", language="python")

    class Client(AsyncKernelClient):
        async def wait_for_ready(self, timeout: float | None = None) -> None:
            await _until_ready(self, timeout or 60.0)

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


async def _until_ready(client: Any, timeout: float) -> None:
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
                return
        if not await client.is_alive():
            raise JobFailed(
                "the kernel died while it started", next_step="read kernel.log in the run's folder"
            )
    raise JobFailed(
        f"the kernel was not ready in {timeout:.0f} s", next_step="look at the load of the machine"
    )


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
