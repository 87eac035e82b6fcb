"""What choosing the best trial would have earned on every path of combinatorial cross-validation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from workbench.core.overfitting.gate import deflate_with
from workbench.core.overfitting.returns_matrix import returns_matrix
from workbench.core.overfitting.sharpe import sharpe_moments
from workbench.core.types import Floats, Integers
from workbench.core.validation.splitters import CombinatorialPurgedKFold
from workbench.core.workers import HERE, Workers


def selection_paths(
    returns: pd.DataFrame, splitter: CombinatorialPurgedKFold, *, workers: Workers = HERE
) -> pd.DataFrame:
    """Returns of the trial that was best in training, out of sample, one column a path.

    Parameters
    ----------
    returns : DataFrame (rows, trials)
        Net returns in order of time.
    splitter : CombinatorialPurgedKFold
    workers : Workers, default here
        Where splits are worked on, such as `desk.workers`; the result is the same.

    Returns
    -------
    DataFrame (rows, paths)

    Raises
    ------
    ValueError
        A missing return, or a trial that never varies in some training set.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> import workbench as wb
    >>> trials = pd.DataFrame(np.random.default_rng(1).normal(size=(60, 3)))
    >>> folds = wb.validation.CombinatorialPurgedKFold(6, 2, purge=0, embargo=0)
    >>> wb.overfitting.selection_paths(trials, folds).shape
    (60, 5)
    """
    matrix = returns_matrix(returns)
    chosen = list(workers.map(_of_the_best, list(splitter.split(matrix)), shared=(matrix,)))
    paths = splitter.reassemble(matrix, chosen)
    columns = pd.RangeIndex(1, len(paths) + 1, name="path")
    return pd.DataFrame(paths.T, index=returns.index, columns=columns)


def _of_the_best(matrix: Floats, split: tuple[Integers, Integers]) -> Floats:
    """Returns in the test rows of the trial that was best in the training rows."""
    train, test = split
    part = matrix[train]
    deviation = part.std(axis=0, ddof=1)
    if not np.all(deviation > 0.0):
        raise ValueError(f"trial in column {int(np.argmin(deviation))} never varies in a training set")
    best: Floats = matrix[test, int(np.argmax(part.mean(axis=0) / deviation))]
    return best


def deflation_curve(returns: Any, *, n_trials: Sequence[int], trial_sharpe_variance: float) -> pd.DataFrame:
    """Deflated Sharpe ratio of one series for several numbers of trials.

    Parameters
    ----------
    returns : array or Series (rows,)
    n_trials : sequence of int
    trial_sharpe_variance : float
        Per period; never taken as less than 1 / (rows - 1).

    Returns
    -------
    DataFrame
        Columns n_trials, deflated, threshold (Sharpe per period).

    Examples
    --------
    >>> import numpy as np
    >>> import workbench as wb
    >>> returns = np.random.default_rng(1).normal(0.001, 0.01, 500)
    >>> len(wb.overfitting.deflation_curve(returns, n_trials=[1, 10, 100], trial_sharpe_variance=0.002))
    3
    """
    moments = sharpe_moments(returns)
    found = [deflate_with(moments, count, trial_sharpe_variance) for count in n_trials]
    return pd.DataFrame(
        {
            "n_trials": list(n_trials),
            "deflated": [float(one) for one in found],
            "threshold": [one.threshold for one in found],
        }
    )
