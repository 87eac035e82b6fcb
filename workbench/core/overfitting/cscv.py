"""The probability that the best backtest of many is below the median out of sample."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.arguments import require_choice, require_whole
from workbench.core.overfitting.halves import (
    BELOW,
    EQUAL,
    IN_SAMPLE,
    MEAN_OUT_OF_SAMPLE,
    OUT_OF_SAMPLE,
    SELECTED,
    judge_halves,
)
from workbench.core.overfitting.returns_matrix import require_distinct, returns_matrix, trial_names
from workbench.core.printing import html_table
from workbench.core.types import Floats, Integers

if TYPE_CHECKING:
    import pandas as pd

STATISTICS = ("sharpe", "mean")
TIES = ("average", "min", "max")
BOUNDARIES = ("le", "lt")
MOST_BLOCKS = 20  #: 184,756 halves; more would take minutes and decide nothing


@dataclass(frozen=True, eq=False)
class BacktestOverfitting:
    """How the winner of every half of the history did in the other half.

    Attributes
    ----------
    pbo : float
        Share of halves whose winner lies at or below the median out of sample (see `boundary`).
    logits : float64 (halves,)
        log(omega / (1 - omega)) with omega = rank / (trials + 1); halves in lexicographic order of their
        in-sample blocks.
    slope, intercept, r_squared : float
        Least squares of the winner's value out of sample on its value in sample; NaN where every winner
        has the same value in sample.
    probability_of_loss : float
        Share of halves whose winner lies strictly below 0 out of sample.
    first_order_dominance, second_order_dominance : bool
        Whether the winner's distribution out of sample dominates that of the mean over all trials:
        nowhere a larger distribution function; nowhere a larger running integral of it.
    n_combinations : int
    n_dropped : int
        Surplus rows left out at the start, so that all blocks are equally long.
    n_rows, n_trials, n_blocks : int
        Rows used, columns, blocks.
    statistic, ties, boundary : str
        The conventions.
    in_sample, out_of_sample, mean_out_of_sample : float64 (halves,)
        The winner's value in its half and in the other; the mean over all trials in the other.
    selected : int64 (halves,)
        Column of the winner.
    trials : tuple of str
    """

    pbo: float
    logits: Floats
    slope: float
    intercept: float
    r_squared: float
    probability_of_loss: float
    first_order_dominance: bool
    second_order_dominance: bool
    n_combinations: int
    n_dropped: int
    n_rows: int
    n_trials: int
    n_blocks: int
    statistic: str
    ties: str
    boundary: str
    in_sample: Floats
    out_of_sample: Floats
    mean_out_of_sample: Floats
    selected: Integers
    trials: tuple[str, ...]

    @property
    def combinations(self) -> pd.DataFrame:
        """One row a half: the winner's name, its value in and out of sample, the mean of all, the logit."""
        import pandas as pd

        return pd.DataFrame(
            {
                "selected": np.array(self.trials, dtype=object)[self.selected],
                "in_sample": self.in_sample,
                "out_of_sample": self.out_of_sample,
                "mean_out_of_sample": self.mean_out_of_sample,
                "logit": self.logits,
            }
        )

    @property
    def rank_curve(self) -> pd.DataFrame:
        """Share of halves whose winner comes no higher than each place out of sample (0 worst, 1 best)."""
        import pandas as pd

        omega = np.sort(1.0 / (1.0 + np.exp(-self.logits)))
        return pd.DataFrame(
            {"place": omega, "share": np.arange(1, len(omega) + 1, dtype=np.float64) / len(omega)}
        ).drop_duplicates("place", keep="last", ignore_index=True)

    def _repr_html_(self) -> str:
        facts = {
            "probability of backtest overfitting": self.pbo,
            "probability of loss out of sample": self.probability_of_loss,
            "slope of the degradation": self.slope,
            "intercept": self.intercept,
            "r squared": self.r_squared,
            "first-order dominance over the mean of all": self.first_order_dominance,
            "second-order dominance over the mean of all": self.second_order_dominance,
            "halves": self.n_combinations,
            "trials": self.n_trials,
            "rows used": self.n_rows,
            "rows dropped at the start": self.n_dropped,
        }
        median = "at or below" if self.boundary == "le" else "strictly below"
        conventions = {
            "blocks": self.n_blocks,
            "statistic": self.statistic + (" (per period, n - 1)" if self.statistic == "sharpe" else ""),
            "ties of the rank": self.ties,
            "boundary": f"{self.boundary}: a winner {median} the median is overfitted",
            "winner": "first on ties",
        }
        return html_table("Backtest overfitting (CSCV)", facts, conventions)


def probability_of_backtest_overfitting(
    returns: Any,
    *,
    n_blocks: int = 16,
    statistic: str = "sharpe",
    ties: str = "average",
    boundary: str = "le",
) -> BacktestOverfitting:
    """How often the best trial of one half of the history is below the median in the other half.

    Combinatorially symmetric cross-validation: the rows are cut into `n_blocks` blocks of equal length,
    and each of the C(n_blocks, n_blocks / 2) ways to take half of them is in sample once, the rest being
    out of sample. Small values do not prove skill: they say that the choice among these trials survives
    the change of the sample. All trials that were ever tried have to be among them.

    Parameters
    ----------
    returns : array or DataFrame (rows, trials)
        Returns of each trial as fractions, rows in order of time, equally spaced. Nothing may be missing.
    n_blocks : int, default 16
        Even, 2 to 20. Surplus rows are dropped at the start and reported.
    statistic : {"sharpe", "mean"}
        What trials are ranked by; Sharpe per period with n - 1 in the variance.
    ties : {"average", "min", "max"}
        Rank that equal trials share out of sample. In sample the first wins.
    boundary : {"le", "lt"}
        Whether a winner exactly at the median counts as overfitted. With an odd number of trials or with
        ties this choice can double the answer.

    Returns
    -------
    BacktestOverfitting

    Raises
    ------
    ValueError
        A missing value, a constant or repeated trial, fewer than two trials, too few rows for the
        blocks, or a trial whose Sharpe ratio does not exist in one of the halves.

    Notes
    -----
    Source: D. Bailey, J. Borwein, M. López de Prado, Q. Zhu, "The Probability of Backtest Overfitting",
    Journal of Computational Finance 20(4), 2017, sections 2 and 3.

    Examples
    --------
    >>> import workbench as wb
    >>> rows = [[1.0, 0.0], [1.0, 0.0], [0.0, 2.0], [0.0, 2.0]]
    >>> found = wb.overfitting.probability_of_backtest_overfitting(rows, n_blocks=4, statistic="mean")
    >>> round(found.pbo, 4), round(found.slope, 4), found.n_combinations
    (0.3333, -0.8, 6)
    """
    require_choice("statistic", statistic, STATISTICS)
    require_choice("ties", ties, TIES)
    require_choice("boundary", boundary, BOUNDARIES)
    matrix, names = returns_matrix(returns), trial_names(returns)
    length = _block_length(len(matrix), n_blocks, statistic)
    dropped = len(matrix) - n_blocks * length
    used = matrix[dropped:]
    sharpe = statistic == "sharpe"
    mean = used.mean(axis=0) if sharpe else np.zeros(used.shape[1])
    around = (used - mean if sharpe else used).reshape(n_blocks, length, -1)
    sums = around.sum(axis=1)
    squares = np.einsum("brt,brt->bt", around, around) if sharpe else np.zeros_like(sums)
    blocks = used.reshape(n_blocks, length, -1)
    low, high = blocks.min(axis=1), blocks.max(axis=1)
    require_distinct(used, names, sums + mean * length, constant=low.min(axis=0) == high.max(axis=0))
    if sharpe:
        _require_variation(low, high, names)
    judged = judge_halves(sums, squares, mean, n_blocks // 2 * length, sharpe=sharpe)
    return _result(judged, names, n_blocks, len(used), dropped, (statistic, ties, boundary))


def _result(
    judged: Floats, names: list[str], n_blocks: int, rows: int, dropped: int, chosen: tuple[str, str, str]
) -> BacktestOverfitting:
    statistic, ties, boundary = chosen
    trials, below, equal = len(names), judged[BELOW], judged[EQUAL]
    rank = below + {"average": 0.5 * (equal + 1.0), "min": np.ones_like(equal), "max": equal}[ties]
    twice = 2.0 * rank  # whole numbers: the comparison with the median is exact
    overfitted = twice <= trials + 1 if boundary == "le" else twice < trials + 1
    winner, average = judged[OUT_OF_SAMPLE].copy(), judged[MEAN_OUT_OF_SAMPLE].copy()
    slope, intercept, r_squared = _least_squares(judged[IN_SAMPLE], winner)
    first, second = _dominance(winner, average)
    return BacktestOverfitting(
        pbo=float(np.mean(overfitted)),
        logits=np.log(rank / (trials + 1 - rank)),
        slope=slope,
        intercept=intercept,
        r_squared=r_squared,
        probability_of_loss=float(np.mean(winner < 0.0)),
        first_order_dominance=first,
        second_order_dominance=second,
        n_combinations=judged.shape[1],
        n_dropped=dropped,
        n_rows=rows,
        n_trials=trials,
        n_blocks=n_blocks,
        statistic=statistic,
        ties=ties,
        boundary=boundary,
        in_sample=judged[IN_SAMPLE].copy(),
        out_of_sample=winner,
        mean_out_of_sample=average,
        selected=judged[SELECTED].astype(np.int64),
        trials=tuple(names),
    )


def _least_squares(x: Floats, y: Floats) -> tuple[float, float, float]:
    """Slope, intercept and share of variance explained; sums without BLAS, in a fixed order."""
    away_x, away_y = x - x.mean(), y - y.mean()
    xx, xy, yy = (float(np.sum(part)) for part in (away_x * away_x, away_x * away_y, away_y * away_y))
    if not xx > 1e-24 * float(np.sum(x * x)):
        return math.nan, math.nan, math.nan
    slope = xy / xx
    r_squared = xy * xy / (xx * yy) if yy > 0.0 else math.nan
    return slope, float(y.mean() - slope * x.mean()), r_squared


def _dominance(winner: Floats, average: Floats) -> tuple[bool, bool]:
    """First- and second-order dominance of the winner; equally many values, so quantiles decide both."""
    above = np.sort(winner) - np.sort(average)
    slack = 1e-12 * max(float(np.abs(winner).max()), float(np.abs(average).max()))
    # the running integral of the distribution functions' difference, at each of its corners
    integral = np.cumsum(above) / len(above)
    return tuple(bool(np.all(gap >= -slack) and np.any(gap > slack)) for gap in (above, integral))  # type: ignore[return-value]


def _block_length(rows: int, n_blocks: int, statistic: str) -> int:
    require_whole("n_blocks", n_blocks, 2)
    if n_blocks % 2 or not 2 <= n_blocks <= MOST_BLOCKS:
        raise ValueError(f"n_blocks = {n_blocks} must be even and from 2 to {MOST_BLOCKS}")
    length = rows // n_blocks
    least = 2 * n_blocks if statistic == "sharpe" and n_blocks == 2 else n_blocks
    if rows < least:
        raise ValueError(f"{rows} rows are too few for {n_blocks} blocks: at least {least} are needed")
    return length


def _require_variation(low: Floats, high: Floats, names: list[str]) -> None:
    """Refuse a trial that has one and the same value in half of the blocks, given each block's extremes."""
    half = len(low) // 2
    flat = low == high
    for at in np.nonzero(flat.sum(axis=0) >= half)[0]:
        _, counts = np.unique(low[flat[:, at], at], return_counts=True)
        if counts.max() >= half:
            raise ValueError(
                f"trial {names[at]!r} never varies in {int(counts.max())} of {len(low)} blocks: its "
                "Sharpe ratio does not exist in every half. Start later, or rank by the mean"
            )
