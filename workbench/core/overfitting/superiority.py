"""Whether the best of many models beats the benchmark by more than luck, and whether a chosen one does."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.kernel import kernel
from workbench.core.overfitting.returns_matrix import returns_matrix, trial_names
from workbench.core.printing import html_table
from workbench.core.types import Floats, Integers

if TYPE_CHECKING:
    import pandas as pd

_CHUNK = 250  #: resamples whose counts are held at once


@dataclass(frozen=True, eq=False)
class SuperiorPredictiveAbility:
    """Tests of "no model is better than the benchmark", and of each model.

    Attributes
    ----------
    pvalues : mapping
        "lower", "consistent" and "upper" p-value of the studentised SPA: how models that look poor are
        recentred. "consistent" is the one to report.
    reality_check_pvalue : float
        White's: not studentised, every model recentred.
    selected_pvalue : float
        Romano-Wolf p-value of the selected model itself: the SPA only says that *some* model is better.
    selected : int
        Column of the selected model.
    statistic : float
        Largest studentised mean gain over the benchmark, at least 0.
    model_pvalues : float64 (models,)
        Romano-Wolf step-down p-values.
    gains : float64 (models,)
        Mean loss of the benchmark minus that of the model.
    t_statistics : float64 (models,)
        sqrt(T) gain / deviation.
    n_obs, n_bootstrap : int
    bootstrap : str
        How the resamples were made.
    models : tuple of str
    """

    pvalues: Mapping[str, float]
    reality_check_pvalue: float
    selected_pvalue: float
    selected: int
    statistic: float
    model_pvalues: Floats
    gains: Floats
    t_statistics: Floats
    n_obs: int
    n_bootstrap: int
    bootstrap: str
    models: tuple[str, ...]

    @property
    def frame(self) -> pd.DataFrame:
        """One row a model: mean gain, t-statistic and its own Romano-Wolf p-value."""
        import pandas as pd

        return pd.DataFrame(
            {"gain": self.gains, "t_statistic": self.t_statistics, "p_value": self.model_pvalues},
            index=pd.Index(self.models, name="model"),
        )

    def _repr_html_(self) -> str:
        facts = {
            **{f"SPA p-value, {name}": value for name, value in self.pvalues.items()},
            "Reality Check p-value": self.reality_check_pvalue,
            f"Romano-Wolf p-value of {self.models[self.selected]}": self.selected_pvalue,
            "statistic": self.statistic,
            "models": len(self.models),
            "rows": self.n_obs,
        }
        conventions = {
            "resamples": f"{self.n_bootstrap}, {self.bootstrap}",
            "deviation": "of the resampled means around the sample mean",
            "p-value": "share of resamples at or above the statistic",
            "poor models": "consistent: t < -sqrt(2 log log T) are left where they are",
        }
        return html_table("Superior predictive ability", facts, conventions)


def superior_predictive_ability(
    benchmark_losses: Any,
    model_losses: Any,
    *,
    bootstrap_index: Any = None,
    mean_block: float | None = None,
    seed: int | None = None,
    n_bootstrap: int = 1_000,
    selected: int | None = None,
) -> SuperiorPredictiveAbility:
    """Hansen's studentised SPA, White's Reality Check, and the selected model's own p-value.

    Parameters
    ----------
    benchmark_losses : array (T,)
        Losses of the benchmark; for strategies, minus its net return.
    model_losses : array or DataFrame (T, K)
        Losses of *all* models that were tried, same rows.
    bootstrap_index : int array (B, T) or None, default None
        Row numbers of every resample. With it the p-values are exact functions of the input.
    mean_block : float or None, default None
        Without an index: mean length of the blocks of the stationary bootstrap, in rows, >= 1. No value is
        safe for all data: at least the horizon over which losses overlap.
    seed : int or None, default None
        Without an index: seed of the resamples.
    n_bootstrap : int, default 1000
        Without an index: number of resamples.
    selected : int or None, default None
        Column of the model that was selected; None = the one with the largest t-statistic.

    Returns
    -------
    SuperiorPredictiveAbility

    Raises
    ------
    ValueError
        A missing value, lengths that differ, a model that differs from the benchmark by a constant, an
        index outside of the rows, or neither an index nor both `mean_block` and `seed`.

    Notes
    -----
    The deviation of each mean is taken from the resamples. Sources: P. Hansen, "A Test for Superior
    Predictive Ability", Journal of Business & Economic Statistics 23(4), 2005; H. White, "A Reality Check for
    Data Snooping", Econometrica 68(5), 2000; J. Romano and M. Wolf, "Stepwise Multiple Testing as Formalized
    Data Snooping", Econometrica 73(4), 2005; D. Politis and J. Romano, "The Stationary Bootstrap", JASA 89,
    1994.

    Examples
    --------
    >>> import numpy as np
    >>> import workbench as wb
    >>> draw = np.random.default_rng(1)
    >>> found = wb.overfitting.superior_predictive_ability(
    ...     draw.normal(size=400), draw.normal(size=(400, 3)) - [0.0, 0.0, 0.5], mean_block=5, seed=2)
    >>> found.selected, found.pvalues["consistent"] < 0.05
    (2, True)
    """
    models = np.asarray(model_losses, dtype=np.float64)
    named = model_losses if models.ndim == 2 else models[:, None]
    models = returns_matrix(named, what="model_losses", least_trials=1)
    base = returns_matrix(np.asarray(benchmark_losses, dtype=np.float64).reshape(-1, 1),
                          what="benchmark_losses", least_trials=1)[:, 0]  # fmt: skip
    if len(base) != len(models):
        raise ValueError(f"{len(base)} losses of the benchmark and {len(models)} of the models")
    if len(base) < 3:
        raise ValueError(f"{len(base)} rows are too few: log log T needs at least 3")
    gain = base[:, None] - models
    names = tuple(trial_names(named))
    index, how = _resamples(len(base), bootstrap_index, mean_block, seed, n_bootstrap)
    mean = gain.mean(axis=0)
    away = math.sqrt(len(base)) * (_resampled_means(gain, index) - mean)
    deviation = np.sqrt(np.mean(away * away, axis=0))
    for at in np.nonzero(~(deviation > 1e-12 * (np.abs(gain).max(axis=0) + 1e-300)))[0]:
        raise ValueError(
            f"model {names[at]!r} differs from the benchmark by a constant: it cannot be studentised"
        )
    return _judge(mean, away, deviation, names, len(base), selected, how)


def _judge(
    mean: Floats,
    away: Floats,
    deviation: Floats,
    names: tuple[str, ...],
    rows: int,
    selected: int | None,
    how: str,
) -> SuperiorPredictiveAbility:
    scaled = math.sqrt(rows) * mean
    t = scaled / deviation
    chosen = int(np.argmax(t)) if selected is None else int(selected)
    if not 0 <= chosen < len(t):
        raise ValueError(f"there is no model in column {chosen}")
    statistic = max(0.0, float(t.max()))
    poor = t < -math.sqrt(2.0 * math.log(math.log(rows)))
    # what is added to a resampled mean that was recentred fully: 0 for models that count as no worse
    left = {"lower": np.minimum(t, 0.0), "consistent": np.where(poor, t, 0.0), "upper": np.zeros_like(t)}
    studentised = away / deviation
    pvalues = {
        name: float(np.mean(np.maximum((studentised + shift).max(axis=1), 0.0) >= statistic))
        for name, shift in left.items()
    }
    own = _step_down(t, studentised)
    return SuperiorPredictiveAbility(
        pvalues=pvalues,
        reality_check_pvalue=float(np.mean(away.max(axis=1) >= scaled.max())),
        selected_pvalue=float(own[chosen]),
        selected=chosen,
        statistic=statistic,
        model_pvalues=own,
        gains=mean,
        t_statistics=t,
        n_obs=rows,
        n_bootstrap=len(away),
        bootstrap=how,
        models=names,
    )


def _step_down(t: Floats, studentised: Floats) -> Floats:
    """Romano-Wolf p-values: each model against the largest of those that are not better than it."""
    order = np.argsort(-t, kind="stable")
    # largest of the worst, the two worst, ... in every resample
    largest = np.maximum.accumulate(studentised[:, order[::-1]], axis=1)[:, ::-1]
    own = np.empty(len(t))
    own[order] = np.maximum.accumulate(np.mean(largest >= t[order], axis=0))
    return own


def stationary_bootstrap_index(n_rows: int, *, n_bootstrap: int, mean_block: float, seed: int) -> Integers:
    """Row numbers of resamples made of blocks of random length, int64 (n_bootstrap, n_rows).

    Parameters
    ----------
    n_rows, n_bootstrap : int
        At least 1.
    mean_block : float
        Mean block length in rows, from 1 to n_rows; the rows are taken as a ring.
    seed : int

    Raises
    ------
    ValueError
        A number outside of its range.

    Notes
    -----
    Source: D. Politis and J. Romano, "The Stationary Bootstrap", JASA 89, 1994.

    Examples
    --------
    >>> import workbench as wb
    >>> wb.overfitting.stationary_bootstrap_index(100, n_bootstrap=3, mean_block=5.0, seed=1).shape
    (3, 100)
    """
    if n_rows < 1 or n_bootstrap < 1 or not 1.0 <= mean_block <= n_rows:
        raise ValueError(
            f"n_rows {n_rows}, n_bootstrap {n_bootstrap} and mean_block {mean_block} must be at least 1, "
            "and a block no longer than the rows"
        )
    draw = np.random.default_rng(seed)
    starts = draw.integers(0, n_rows, (n_bootstrap, n_rows))
    new = draw.random((n_bootstrap, n_rows)) < 1.0 / mean_block
    new[:, 0] = True
    place = np.arange(n_rows)
    began = np.maximum.accumulate(np.where(new, place, 0), axis=1)
    index: Integers = (np.take_along_axis(starts, began, axis=1) + place - began) % n_rows
    return index


def _resamples(
    rows: int, given: Any, mean_block: float | None, seed: int | None, n_bootstrap: int
) -> tuple[Integers, str]:
    if given is None:
        if mean_block is None or seed is None:
            raise ValueError("give bootstrap_index, or both mean_block and seed: neither has a safe default")
        index = stationary_bootstrap_index(rows, n_bootstrap=n_bootstrap, mean_block=mean_block, seed=seed)
        return index, f"stationary bootstrap, mean block {mean_block:g}, seed {seed}"
    index = np.asarray(given)
    if index.ndim != 2 or index.shape[1] != rows or not len(index):
        raise ValueError(f"bootstrap_index must have shape (B, {rows}), not {index.shape}")
    if index.dtype.kind not in "iu" or index.min() < 0 or index.max() >= rows:
        raise ValueError(f"bootstrap_index must hold row numbers from 0 to {rows - 1}")
    return np.ascontiguousarray(index, dtype=np.int64), "row numbers given by the caller"


def _resampled_means(gain: Floats, index: Integers) -> Floats:
    """Mean of every model over every resample, float64 (resamples, models)."""
    rows = len(gain)
    means = np.empty((len(index), gain.shape[1]))
    for start in range(0, len(index), _CHUNK):
        part = index[start : start + _CHUNK]
        counts = np.zeros((len(part), rows))
        _count_rows(part, counts)
        means[start : start + len(part)] = counts @ gain / rows
    return means


@kernel
def _count_rows(index: Integers, counts: Floats) -> None:
    """How often each resample holds each row."""
    for resample in range(index.shape[0]):
        for place in range(index.shape[1]):
            counts[resample, index[resample, place]] += 1.0
