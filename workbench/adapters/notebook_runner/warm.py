"""Kernels that are started before anybody needs them, each for one analysis run and then thrown away.

A run that takes one finds the libraries loaded and nothing else: no cell has ever run in it, and when its run
has ended it is killed like any other. Nothing here is for a run that may send.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from workbench.adapters.notebook_runner.kernel import Kernel, kernel_environment
from workbench.core.jobs import RunRequest
from workbench.errors import UsageError


class WarmKernels:
    """Some kernels that wait; `NotebookRunner` takes from them, and nothing but `fill` starts any.

    A process that waits for one order fills them before it waits (`workbench jobs serve` keeps such
    processes). Fill them while this process runs nothing: a kernel that loads slows a run down. Start and
    use them on the main thread: the parent-death signal of a kernel follows the thread that started it.

    Parameters
    ----------
    count : int
        Kernels kept ready; each holds its libraries in memory.
    withheld : sequence of str
        Variables that these kernels never get, such as the venue's keys.
    stamp : callable () -> str
        What the code on disk is now: a kernel that loaded other code is thrown away unused.
    preload : str, default ""
        Source that each kernel runs while it waits, such as imports.
    """

    def __init__(
        self, count: int, *, withheld: Sequence[str] = (), stamp: Callable[[], str], preload: str = ""
    ) -> None:
        if count < 1:
            raise UsageError(f"{count} warm kernels are none", next_step="leave the pool out, or give 1")
        self._count = count
        self._withheld = tuple(withheld)
        self._stamp = stamp
        self._preload = preload
        self._ready: list[tuple[Kernel, str]] = []

    def take(self, request: RunRequest) -> Kernel | None:
        """A kernel in which nothing has run yet, or None: the run then starts its own.

        None for a run that may not have one, or whose kernel would have another environment.
        """
        if not request.warm:
            return None
        wanted, stamp = kernel_environment(request.environment, request.withheld), self._stamp()
        while self._ready:
            kernel, loaded = self._ready.pop(0)
            if kernel.is_alive() and loaded == stamp and kernel.environment == wanted:
                return kernel
            kernel.close()
        return None

    def fill(self) -> None:
        """Start as many as are missing; returns while they load."""
        while len(self._ready) < self._count:
            kernel = Kernel(None, kernel_environment({}, self._withheld), preload=self._preload)
            stamp = self._stamp()  # before it loads anything: code that changes meanwhile is other code
            kernel.start()
            self._ready.append((kernel, stamp))

    def wait(self) -> None:
        """Return when every kernel that was started answers."""
        for kernel, _ in self._ready:
            kernel.wait_until_ready()

    def close(self) -> None:
        """End the kernels that nobody took."""
        while self._ready:
            self._ready.pop()[0].close()
