"""Net returns of a trial session by session, as they are stored: whole numbers on a grid, never floats."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.canonical import canonical_json
from workbench.core.types import Floats
from workbench.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

SERIES = "trial_series"  #: kind of artifact
NANO = 1_000_000_000
#: A session's return beyond it is a mistake of unit, not a result.
MOST_RETURN = 10.0


@dataclass(frozen=True)
class ReturnSeries:
    """Net returns of a trial and of what would have been held otherwise, session by session.

    Attributes
    ----------
    sessions : tuple of str
        ISO dates, rising.
    net_nano, hold_nano : tuple of int
        Fractions on the grid of 1e-9.
    """

    sessions: tuple[str, ...]
    net_nano: tuple[int, ...]
    hold_nano: tuple[int, ...]

    @classmethod
    def of(cls, sessions: Sequence[str], net: Sequence[float], hold: Sequence[float]) -> ReturnSeries:
        """The series of fractions, rounded to the grid.

        Raises
        ------
        DataError
            Fewer than three sessions, not rising or of unequal lengths, or a return that is missing or
            impossible.
        """
        dates = tuple(str(session) for session in sessions)
        if len(dates) < 3 or not len(dates) == len(net) == len(hold):
            raise DataError(
                f"a trial needs as many returns as sessions, three at least: {len(dates)} sessions, "
                f"{len(net)} returns, {len(hold)} of the benchmark",
                next_step="give a series indexed by session",
            )
        if any(later <= earlier for earlier, later in pairwise(dates)):
            raise DataError("the sessions of a trial do not rise", next_step="sort them; each once")
        grids = []
        for name, values in (("return", net), ("return of the benchmark", hold)):
            for session, value in zip(dates, values, strict=True):
                if not (math.isfinite(value) and abs(value) <= MOST_RETURN and value > -1.0):
                    raise DataError(
                        f"{name} of {session} is {value}: not a fraction that a session can earn",
                        next_step="give fractions, not per cent, and leave no gap",
                        session=session,
                    )
            grids.append(tuple(round(float(value) * NANO) for value in values))
        return cls(dates, *grids)

    def to_bytes(self) -> bytes:
        """Canonical text of the series."""
        plain = {"sessions": self.sessions, "net_nano": self.net_nano, "hold_nano": self.hold_nano}
        return canonical_json(plain).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> ReturnSeries:
        """The series that `to_bytes` made."""
        plain = json.loads(content)
        return cls(*(tuple(plain[name]) for name in ("sessions", "net_nano", "hold_nano")))

    @property
    def net(self) -> Floats:
        """Net returns, fractions, float64 (sessions,)."""
        return np.array(self.net_nano, dtype=np.float64) / NANO

    @property
    def hold(self) -> Floats:
        """Returns of the benchmark, fractions, float64 (sessions,)."""
        return np.array(self.hold_nano, dtype=np.float64) / NANO


def series_from(returns: pd.Series, benchmark: pd.Series | None) -> ReturnSeries:
    """The series of a frame's column, indexed by session; without a benchmark cash is the alternative.

    Raises
    ------
    DataError
        A session of the returns that the benchmark lacks, or whatever `ReturnSeries.of` refuses.
    """
    import pandas as pd

    sessions = _dates(returns.index)
    hold = [0.0] * len(sessions)
    if benchmark is not None:
        held = pd.Series(benchmark.to_numpy(), index=_dates(benchmark.index))
        if not held.index.is_unique or not set(sessions) <= set(held.index):
            raise DataError(
                "the benchmark lacks a session of the trial, or has one twice",
                next_step="give both over the same sessions",
            )
        hold = held.loc[sessions].tolist()
    return ReturnSeries.of(sessions, returns.tolist(), hold)


def _dates(index: Any) -> list[str]:
    return [str(one)[:10] for one in index]
