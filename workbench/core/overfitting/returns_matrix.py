"""Returns of many trials as one matrix in which nothing is missing, constant or there twice."""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.core.types import Booleans, Floats

_SHOWN = 5


def trial_names(returns: Any) -> list[str]:
    """Names of the columns, their numbers where the input has none."""
    columns = getattr(returns, "columns", None)
    if columns is None:
        return [str(at) for at in range(np.shape(returns)[1])] if np.ndim(returns) == 2 else []
    return [str(name) for name in columns]


def returns_matrix(returns: Any, *, what: str = "returns", least_trials: int = 2) -> Floats:
    """The returns as float64 (rows, trials), once they were found to be complete.

    Parameters
    ----------
    returns : array or DataFrame (rows, trials)
        In order of time.
    what : str
        Name of the argument, for the message.
    least_trials : int, default 2

    Raises
    ------
    ValueError
        Not a matrix, too few trials, or something that is not finite, named by row and trial.
    """
    matrix = np.asarray(returns, dtype=np.float64)
    if matrix.ndim != 2:
        raise ValueError(f"{what} must have rows and trials, not {matrix.ndim} dimension(s)")
    if matrix.shape[1] < least_trials:
        raise ValueError(f"{what} holds {matrix.shape[1]} trial(s), at least {least_trials} are needed")
    finite = np.isfinite(matrix)
    if not finite.all():
        row, column = (int(at[0]) for at in np.nonzero(~finite))
        count = int((~finite).sum())
        raise ValueError(
            f"{what} has {count} missing or infinite value(s), the first in row {row} of trial "
            f"{trial_names(returns)[column]!r}: nothing is dropped or filled silently"
        )
    return matrix


def require_distinct(matrix: Floats, names: list[str], signature: Floats, *, constant: Booleans) -> None:
    """Refuse a constant trial, or one that is there twice.

    Parameters
    ----------
    matrix : float64 (rows, trials)
    names : list of str
    signature : float64 (numbers, trials)
        Numbers that equal trials share, such as sums over blocks: only trials whose signatures agree
        are compared row by row.
    constant : bool (trials,)
        Trials that never vary.

    Raises
    ------
    ValueError
        The trials are named.
    """
    still = [names[at] for at in np.nonzero(constant)[0]]
    if still:
        raise ValueError(f"constant trial(s) {_listed(still)}: a trial that never varies has no Sharpe")
    seen: dict[bytes, list[int]] = {}
    columns = np.ascontiguousarray(signature.T)
    for at in range(matrix.shape[1]):
        same = seen.setdefault(columns[at].tobytes(), [])
        for other in same:
            if np.array_equal(matrix[:, other], matrix[:, at]):
                raise ValueError(
                    f"trial {names[at]!r} repeats trial {names[other]!r} in every row: count it once, "
                    "copies bend every rank"
                )
        same.append(at)


def _listed(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
