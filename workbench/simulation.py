"""Simulation for users: one run, a prepared market, and sweeps over many parameter sets."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from workbench.core.canonical import canonical_json, sha256_of
from workbench.core.simulate import (
    DividendEvent,
    MarketHistory,
    Parameters,
    SessionHours,
    SimulationResult,
    SplitEvent,
    prepare,
    simulate,
)
from workbench.core.types import MICRO, Bars, Floats, Integers
from workbench.core.workers import Workers
from workbench.errors import DataError, UsageError

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "DividendEvent",
    "MarketHistory",
    "Parameters",
    "SessionHours",
    "SimulationResult",
    "SplitEvent",
    "prepare",
    "simulate",
    "sweep",
]


class Research(Protocol):
    """Where a sweep records its runs: `desk.research`."""

    def recording(self) -> AbstractContextManager[Any]:
        """A recorder for many trials."""
        ...


def sweep(
    bars: Bars | MarketHistory,
    forecast: Floats,
    *,
    parameters: Sequence[Parameters],
    workers: int | Workers = 1,
    resume: Path | str | None = None,
    progress: Callable[[int, int], None] | None = None,
    research: Research | None = None,
    family: str = "",
) -> pd.DataFrame:
    """One row for each parameter set: money, counts and the digest of its simulation, in the order given.

    All runs read the same prepared market and forecast; nothing is copied for a worker, because the loop
    runs in threads without the interpreter's lock. Any number of workers gives the same rows.

    Parameters
    ----------
    bars, forecast
        As `simulate`.
    parameters : sequence of Parameters
    workers : int or Workers, default 1
        Threads, or where else the runs are worked on, such as `desk.workers`.
    resume : path or None, default None
        File of JSON lines that each finished run is added to. A sweep that was stopped goes on from it;
        runs of another market, forecast or parameter set in it are left alone.
    progress : callable (runs done, runs in all) or None
        Called in this thread after each run; an exception that it raises stops the sweep.
    research : `desk.research` or None, default None
        Trial ledger that every run is recorded in when it is done, with its returns session by session.
        Then there is no resume file: a run that it held would not be recorded.
    family : str, default ""
        What the runs are recorded as; needed with `research`.

    Returns
    -------
    DataFrame
        `final_equity`, `total_return`, `max_drawdown`, `fees` (currency, fractions), `orders`, `denied`,
        `fills`, `digest`, and `key`, the hash of market, forecast and parameters.

    Raises
    ------
    DataError
        The resume file holds a line that is not one of a sweep.
    UsageError
        `research` with `resume` or without `family`.

    Examples
    --------
    >>> import numpy as np
    >>> import workbench as wb
    >>> from workbench.core.fills import FillParams
    >>> from workbench.core.policy import PolicyParams
    >>> from workbench.core.pretrade import Limits
    >>> from workbench.core.validation.guard import reference_bars
    >>> bars = reference_bars(())
    >>> forecast = np.full(bars.close.shape, 0.01)
    >>> prior = wb.costs.prior(wb.costs.PriorCost(), wb.costs.FeeSchedule(), as_of_ns=0)
    >>> tried = [wb.simulation.Parameters(PolicyParams(), Limits(), prior, FillParams(),
    ...     seed) for seed in (1, 2)]
    >>> len(wb.simulation.sweep(bars, forecast, parameters=tried))
    2
    """
    import pandas as pd

    if research is not None and (resume is not None or not family):
        raise UsageError(
            "a recorded sweep takes a family and no resume file",
            next_step="give family=..., and leave out resume: the ledger holds what was done",
        )
    market = bars if isinstance(bars, MarketHistory) else prepare(bars)
    values: Floats = np.ascontiguousarray(forecast, dtype=np.float64)
    base = _fingerprint(market, values)
    keys = [sha256_of([base, one]) for one in parameters]
    path = None if resume is None else Path(resume)
    known = {} if path is None else dict(_finished(path))
    missing = [at for at, key in enumerate(keys) if key not in known]
    done = len(keys) - len(missing)
    if progress is not None and done:
        progress(done, len(keys))
    runs = _spread(workers, [(parameters[at], keys[at]) for at in missing], (market, values))
    with nullcontext() if research is None else research.recording() as recorder:
        for at, (row, equity) in zip(missing, runs, strict=True):
            known[row["key"]] = row
            if path is not None:
                _append(path, row)
            if recorder is not None:
                _record(recorder, family, market.bars, parameters[at], equity)
            done += 1
            if progress is not None:
                progress(done, len(keys))
    return pd.DataFrame([known[key] for key in keys])


def _record(recorder: Any, family: str, bars: Bars, one: Parameters, equity: Integers) -> None:
    """Enter a run in the trial ledger: returns of its equity, against cash."""
    import pandas as pd

    sessions = bars.ts_ns[1:].astype("datetime64[ns]").astype("datetime64[D]").astype(str)
    returns = pd.Series(equity[1:] / equity[:-1] - 1.0, index=sessions)
    recorder.record(
        family=family, parameters=json.loads(canonical_json(one)), returns=returns, source="sweep"
    )


def _spread(
    workers: int | Workers, pieces: Sequence[tuple[Parameters, str]], shared: tuple[MarketHistory, Floats]
) -> Iterator[tuple[dict[str, Any], Integers]]:
    """Every run, in order; a number means threads of this process, which share the market as it is."""
    if not isinstance(workers, int):
        return workers.map(_run, pieces, shared=shared)
    from joblib import Parallel, delayed

    runs: Iterator[tuple[dict[str, Any], Integers]] = Parallel(
        n_jobs=workers, prefer="threads", return_as="generator"
    )(delayed(_run)(*shared, piece) for piece in pieces)
    return runs


def _run(
    market: MarketHistory, forecast: Floats, piece: tuple[Parameters, str]
) -> tuple[dict[str, Any], Integers]:
    one, key = piece
    result = simulate(
        market, forecast, policy=one.policy, limits=one.limits, costs=one.costs, fills=one.fills,
        seed=one.seed, cash_usd=one.cash_usd,
    )  # fmt: skip
    equity = result.equity_micro
    peak = np.maximum.accumulate(equity)
    row = {
        "final_equity": int(equity[-1]) / MICRO,
        "total_return": round(int(equity[-1]) / int(equity[0]) - 1.0, 6),
        "max_drawdown": round(float(np.max((peak - equity) / peak)), 6),
        "fees": result.fees_micro / MICRO,
        "orders": len(result.order_record),
        "denied": result.denied,
        "fills": len(result.fill_record),
        "digest": result.digest,
        "key": key,
    }
    return row, equity


def _fingerprint(market: MarketHistory, forecast: Floats) -> str:
    sha = hashlib.sha256(json.dumps(market.bars.symbols).encode())
    for values in (*market.arrays, forecast):
        sha.update(str((values.dtype.str, values.shape)).encode())
        sha.update(np.ascontiguousarray(values).data)
    return sha.hexdigest()


def _finished(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows of the resume file; a last line that was cut short by a crash is not one yet."""
    if not path.exists():
        return
    *whole, rest = path.read_text().split("\n")
    if rest:
        with path.open("r+b") as file:
            file.truncate(len("\n".join([*whole, ""]).encode()))
    for number, line in enumerate(whole, start=1):
        try:
            row = json.loads(line)
            yield str(row["key"]), row
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(
                f"line {number} of {path.name} is not a run of a sweep",
                next_step="name another file, or delete this one to begin anew",
            ) from error


def _append(path: Path, row: dict[str, Any]) -> None:
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")
        file.flush()
        os.fsync(file.fileno())
