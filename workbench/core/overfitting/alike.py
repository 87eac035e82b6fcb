"""Whether trials can be told apart at all: the Friedman test over blocks of their common history."""

from __future__ import annotations

import numpy as np

from workbench.core.types import Floats


def alike_pvalue(returns: Floats, n_blocks: int) -> float:
    """How often trials of one and the same Sharpe ratio look at least as unlike as these.

    In each block the trials are ranked by their mean in units of their own standard deviation; a trial with
    more skill than the others ranks high in most blocks. What moves all trials of a block alike does not
    change their ranks there.

    Parameters
    ----------
    returns : float64 (rows, trials)
        At least two trials, none constant. Surplus rows at the start are left out.
    n_blocks : int
        Blocks of equal length, each long enough that one block says nothing of the next.

    Returns
    -------
    float
        p-value of Iman and Davenport's F, with the correction for ties; 0 when every block ranks the trials
        alike.

    Notes
    -----
    Source: M. Friedman, "The use of ranks to avoid the assumption of normality implicit in the analysis of
    variance", JASA 32 (1937); R. Iman and J. Davenport, "Approximations of the critical region of the
    Friedman statistic", Communications in Statistics A 9 (1980).

    Examples
    --------
    >>> import numpy as np
    >>> draw = np.random.default_rng(1).normal(0.0, 0.01, (400, 6))
    >>> round(alike_pvalue(draw, 8), 2)
    0.12
    >>> alike_pvalue(draw + [0.01, 0, 0, 0, 0, 0], 8) < 0.01
    True
    """
    from scipy.special import fdtrc

    rows, trials = returns.shape
    length = rows // n_blocks
    used = returns[rows - n_blocks * length :]
    means = used.reshape(n_blocks, length, trials).mean(axis=1) / used.std(axis=0)
    ranks = np.stack([_ranks(block) for block in means])
    middle = (trials + 1) / 2
    between = float(np.square(ranks.sum(axis=0) - n_blocks * middle).sum())
    within = float(np.square(ranks - middle).sum())
    if within == 0.0:
        return 1.0  # nothing but ties
    statistic = (trials - 1) * between / within
    rest = n_blocks * (trials - 1) - statistic
    if rest <= 0.0:
        return 0.0
    return float(fdtrc(trials - 1, (trials - 1) * (n_blocks - 1), (n_blocks - 1) * statistic / rest))


def _ranks(values: Floats) -> Floats:
    """Ranks from 1, equal values sharing the middle one."""
    ordered = np.sort(values)
    below, upto = ordered.searchsorted(values), ordered.searchsorted(values, side="right")
    return (below + upto + 1) / 2.0
