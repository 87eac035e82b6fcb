"""Independent pieces of research on a Dask cluster: same results, and a lost worker costs only time.

Never the trading path. Pieces and what they share travel as pickles to workers of the same code, which are
trusted as this machine is: a cluster belongs in a closed network or behind TLS.
"""

from __future__ import annotations

import contextlib
import math
import pickle
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, Final

from workbench.errors import ConfigError, JobFailed, Refused
from workbench.kernel_cache import name_kernel_cache

# A worker loads this module before anything that is compiled: its kernels are kept by their code, as ours.
name_kernel_cache()

#: Tasks for each thread of the cluster: enough that a slow or lost worker holds up little.
_TASKS_PER_THREAD: Final = 8
#: Workers that may die over one and the same task before it is taken for the cause.
_DEATHS: Final = 3


class DaskWorkers:
    """Workers of a Dask cluster; satisfies `core.workers.Workers`.

    Parameters
    ----------
    address : str
        The scheduler's, such as tcp://10.0.0.5:8786.
    code : callable () -> str
        Hash of the code of the process that it is called in, a function of a module: a worker with other code
        is refused, because its results would not be ours.
    connect_s : float, default 10
        How long to wait for the scheduler, seconds.

    Raises
    ------
    ConfigError
        Dask is not installed.
    JobFailed
        No scheduler answers at the address, or it has no workers.
    """

    def __init__(self, address: str, *, code: Callable[[], str], connect_s: float = 10.0) -> None:
        self.address = address
        self._code = code
        self._client = _connected(address, connect_s)

    def __repr__(self) -> str:
        return f"<workers of the cluster at {self.address}>"

    def map(
        self, work: Callable[..., Any], pieces: Sequence[Any], *, shared: Sequence[Any] = ()
    ) -> Iterator[Any]:
        """Result of `work(*shared, piece)` for every piece, in order.

        Raises
        ------
        Refused
            A worker runs other code than this process.
        JobFailed
            A piece ended several workers, or the scheduler is gone.
        """
        if not pieces:
            return
        threads = sum(self._client.nthreads().values())
        size = max(1, math.ceil(len(pieces) / (_TASKS_PER_THREAD * max(threads, 1))))
        batches = [list(pieces[at : at + size]) for at in range(0, len(pieces), size)]
        expected = self._code()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sending large graph")  # once, and on purpose
            # Part of the graph, not scattered: a copy that is lost with its worker is made again.
            told = self._client.submit(_held, pickle.dumps(tuple(shared)), pure=False)
            futures = [
                self._client.submit(_batch, self._code, expected, work, told, batch, pure=False)
                for batch in batches
            ]
        try:
            for future in futures:
                yield from self._result(future)
        finally:
            for future in (told, *futures):
                with contextlib.suppress(Exception):  # a scheduler that is gone has nothing left to release
                    future.cancel() if not future.done() else future.release()

    def close(self) -> None:
        """Leave the cluster; it goes on."""
        self._client.close()

    def _result(self, future: Any) -> list[Any]:
        from concurrent.futures import CancelledError

        from distributed import KilledWorker
        from distributed.client import FutureCancelledError

        try:
            found: list[Any] = future.result()
        except KilledWorker as error:
            raise JobFailed(
                f"a piece ended {_DEATHS + 1} workers of {self.address}, one after the other",
                next_step='look at the memory of the workers, or work here: scale.cluster = ""',
            ) from error
        except (CancelledError, FutureCancelledError, OSError) as error:
            raise JobFailed(
                f"the cluster at {self.address} was lost",
                next_step="start it and run the same command; a sweep with `resume` goes on where it was",
            ) from error
        return found


def _connected(address: str, connect_s: float) -> Any:
    try:
        import dask
        import distributed
    except ImportError:
        raise ConfigError(
            f"scale.cluster names {address}, but Dask is not installed",
            next_step='pip install "workbench[dask]", or set scale.cluster = ""',
        ) from None
    make: Any = distributed.Client  # it carries no types
    try:
        with dask.config.set({"distributed.scheduler.allowed-failures": _DEATHS}):
            client: Any = make(address, timeout=connect_s, set_as_default=False, name="workbench")
    except (OSError, TimeoutError, ValueError) as error:
        raise JobFailed(
            f"no Dask scheduler answers at {address}: {error}",
            next_step='start it (`dask scheduler`), or set scale.cluster = ""',
        ) from error
    if not client.nthreads():
        client.close()
        raise JobFailed(
            f"the cluster at {address} has no workers", next_step=f"start some: `dask worker {address}`"
        )
    return client


def _held(pickled: bytes) -> tuple[Any, ...]:
    found: tuple[Any, ...] = pickle.loads(pickled)  # noqa: S301  # our own process wrote it
    return found


@cache
def _code_here(code: Callable[[], str]) -> str:
    return code()


def _batch(
    code: Callable[[], str],
    expected: str,
    work: Callable[..., Any],
    shared: tuple[Any, ...],
    batch: list[Any],
) -> list[Any]:
    if _code_here(code) != expected:
        raise Refused(
            "a worker of the cluster runs other code than this process",
            next_step="install the same version on every worker and start the workers again",
        )
    return [work(*shared, piece) for piece in batch]
