"""The statistical gate: whether a candidate that was chosen among many trials may be believed.

One rule for every family of trials; each part can fail alone and says why. What cannot be judged fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.core.overfitting.alike import alike_pvalue
from workbench.core.overfitting.clusters import TrialClusters, cluster_trials
from workbench.core.overfitting.cscv import BacktestOverfitting, probability_of_backtest_overfitting
from workbench.core.overfitting.estimate import Estimate
from workbench.core.overfitting.returns_matrix import returns_matrix, trial_names
from workbench.core.overfitting.sharpe import SharpeMoments, deflated_sharpe_ratio, sharpe_moments
from workbench.core.overfitting.superiority import SuperiorPredictiveAbility, superior_predictive_ability
from workbench.core.printing import html_table
from workbench.core.types import Floats


@dataclass(frozen=True, kw_only=True)
class GateRule:
    """The limits of the gate.

    Attributes
    ----------
    least_deflated : float
        Deflated Sharpe ratio.
    most_spa_pvalue : float
        Consistent p-value of the SPA.
    most_pbo : float
        Probability of backtest overfitting over one representative a cluster.
    least_clusters : int
        With fewer the PBO is not identified, and the probability of loss counts instead.
    least_alike : float
        p-value from which on the clusters count as alike: the PBO is near one half then, whatever their
        skill, and a PBO that is too high leaves the judgement to the probability of loss.
    most_loss : float
        Probability of loss of the winner out of sample, where the PBO is not identified or cannot judge.
    least_rows : int
        Rows out of sample.
    """

    least_deflated: float = 0.95
    most_spa_pvalue: float = 0.05
    most_pbo: float = 0.20
    least_clusters: int = 5
    least_alike: float = 0.01
    most_loss: float = 0.05
    least_rows: int = 2_520


@dataclass(frozen=True, eq=False)
class FamilyVerdict:
    """What the gate says of a candidate among its family of trials.

    Attributes
    ----------
    passed : bool
    reasons : tuple of str
        Why not; empty when it passed.
    candidate : str
    n_trials, n_obs : int
    clusters : TrialClusters
    deflated : Estimate
        Deflated Sharpe ratio of the candidate.
    superiority : SuperiorPredictiveAbility
        Of all trials against the benchmark, the candidate selected.
    overfitting : BacktestOverfitting or None
        Over one representative a cluster; None with a single trial.
    pbo_identified : bool
    alike : float
        p-value of the clusters being alike in their Sharpe ratios; NaN where the PBO is not identified.
    rule : GateRule
    """

    passed: bool
    reasons: tuple[str, ...]
    candidate: str
    n_trials: int
    n_obs: int
    clusters: TrialClusters
    deflated: Estimate
    superiority: SuperiorPredictiveAbility
    overfitting: BacktestOverfitting | None
    pbo_identified: bool
    alike: float
    rule: GateRule

    def _repr_html_(self) -> str:
        found = self.overfitting
        pbo = "not identified" if not self.pbo_identified or found is None else f"{found.pbo:.4f}"
        facts = {
            "verdict": "passed" if self.passed else "refused: " + "; ".join(self.reasons),
            "deflated Sharpe ratio": float(self.deflated),
            "SPA p-value, consistent": self.superiority.pvalues["consistent"],
            "Romano-Wolf p-value of the candidate": self.superiority.selected_pvalue,
            "probability of backtest overfitting": pbo,
            "p-value of the clusters being alike": "not known" if found is None else f"{self.alike:.4f}",
            "probability of loss": "not known" if found is None else f"{found.probability_of_loss:.4f}",
            "trials": self.n_trials,
            "effective trials": self.clusters.n_clusters,
            "rows": self.n_obs,
        }
        limits = {
            "least deflated Sharpe ratio": self.rule.least_deflated,
            "most SPA p-value": self.rule.most_spa_pvalue,
            "most PBO": f"{self.rule.most_pbo} from {self.rule.least_clusters} clusters on",
            "most probability of loss": f"{self.rule.most_loss} with fewer clusters, or with clusters alike",
            "clusters are alike": f"from a p-value of {self.rule.least_alike} on",
            "least rows": self.rule.least_rows,
            "effective trials": self.clusters.basis,
            "resamples": self.superiority.bootstrap,
        }
        return html_table(f"Gate: {self.candidate}", facts, limits)


def judge_family(
    returns: Any,
    benchmark: Any,
    *,
    candidate: Any,
    mean_block: float | None = None,
    seed: int | None = None,
    bootstrap_index: Any = None,
    n_blocks: int = 16,
    n_bootstrap: int = 1_000,
    rule: GateRule | None = None,
    unplaced: int = 0,
) -> FamilyVerdict:
    """Whether the candidate passes the statistical gate, given everything that was tried beside it.

    Everything is judged in excess of the benchmark: holding what rises is no skill. It passes when all of
    this holds:

    * deflated Sharpe ratio >= .95, with the number of clusters as the number of trials and the variance
      max(1 / (n_obs - 1), variance of the Sharpe ratios of the *other* clusters' representatives): the
      candidate must not raise its own bar, and near-copies of a dull trial must not lower it;
    * SPA consistent p-value <= .05 over *all* trials against the benchmark;
    * probability of backtest overfitting <= .20 over one representative a cluster, the candidate being that
      of its own; with fewer than 5 clusters it is not identified, and the probability of loss must be <= .05.
      So it must where the PBO is higher but the clusters cannot be told apart (Friedman test, p >= .01): the
      best half of equals is any of them, which makes the PBO one half and says nothing of their skill;
    * at least 2,520 rows out of sample.

    Parameters
    ----------
    returns : array or DataFrame (rows, trials)
        Net returns out of sample of every trial of the family, the failed ones too.
    benchmark : array or Series (rows,)
        Net returns of what would be held otherwise; zeros for what is held against cash.
    candidate : column name, or number where `returns` has no names
    mean_block, seed, bootstrap_index, n_bootstrap
        Resamples, as in `superior_predictive_ability`: both of the first two, or the third. Blocks should be
        at least as long as the horizon.
    n_blocks : int, default 16
    rule : GateRule or None, default None
        None = the limits above.
    unplaced : int, default 0
        Trials whose returns cannot be laid beside the others; each counts as one more thing that was tried.

    Returns
    -------
    FamilyVerdict

    Raises
    ------
    ValueError
        Something that cannot be judged: a missing value, a constant trial, too few rows for the blocks, or a
        candidate that is not among the trials.

    Examples
    --------
    >>> import numpy as np
    >>> import workbench as wb
    >>> returns = np.random.default_rng(1).normal(0.0, 0.01, (400, 5))
    >>> found = wb.overfitting.judge_family(returns, np.zeros(400), candidate=0, mean_block=5.0,
    ...     seed=1, n_bootstrap=100)
    >>> found.passed
    False
    """
    if unplaced < 0:
        raise ValueError(f"unplaced = {unplaced} cannot be negative")
    limits = rule or GateRule()
    names = trial_names(returns)
    matrix = returns_matrix(returns, least_trials=1) - _column(benchmark, len(returns))
    if str(candidate) not in names:
        raise ValueError(f"candidate {candidate!r} is not among the {len(names)} trials")
    at = names.index(str(candidate))
    clusters = cluster_trials(matrix)
    own = int(clusters.labels[at])
    shown = clusters.representatives.copy()
    shown[own] = at
    picked = matrix if clusters.n_clusters == len(names) else np.take(matrix, shown, axis=1)
    deflated = deflate(matrix[:, at], np.delete(picked, own, axis=1), clusters.n_clusters + unplaced)
    superiority = superior_predictive_ability(
        np.zeros(len(matrix)), -matrix,
        mean_block=mean_block, seed=seed, bootstrap_index=bootstrap_index, n_bootstrap=n_bootstrap,
        selected=at,
    )  # fmt: skip
    identified = clusters.n_clusters >= limits.least_clusters
    judged = picked if identified else matrix
    overfitting = (
        probability_of_backtest_overfitting(judged, n_blocks=n_blocks) if judged.shape[1] > 1 else None
    )
    loss = (
        overfitting.probability_of_loss if overfitting else _share_of_losing_halves(matrix[:, at], n_blocks)
    )
    alike = alike_pvalue(picked, n_blocks) if identified else float("nan")
    choice = _choice_reasons(limits, overfitting, identified, alike, loss)
    reasons = _reasons(limits, len(matrix), deflated, superiority) + choice
    return FamilyVerdict(
        passed=not reasons,
        reasons=reasons,
        candidate=str(candidate),
        n_trials=len(names) + unplaced,
        n_obs=len(matrix),
        clusters=clusters,
        deflated=deflated,
        superiority=superiority,
        overfitting=overfitting,
        pbo_identified=identified,
        alike=alike,
        rule=limits,
    )


def _column(benchmark: Any, rows: int) -> Floats:
    held = np.asarray(benchmark, dtype=np.float64)
    if held.shape != (rows,):
        raise ValueError(f"the benchmark has shape {held.shape}, the trials have {rows} rows")
    return returns_matrix(held[:, None], what="benchmark", least_trials=1)


def deflate(candidate: Floats, others: Floats, n_clusters: int) -> Estimate:
    """Deflated Sharpe ratio of a candidate by the gate's rule for the variance.

    Parameters
    ----------
    candidate : float64 (rows,)
        Its returns.
    others : float64 (rows, clusters - 1)
        Returns of the other clusters' representatives.
    n_clusters : int
        Effective number of trials.

    Examples
    --------
    >>> import numpy as np
    >>> import workbench as wb
    >>> draw = np.random.default_rng(1)
    >>> others = draw.normal(0.0, 0.01, (500, 20))
    >>> type(wb.overfitting.deflate(draw.normal(0.0, 0.01, 500), others, 20)).__name__
    'Estimate'
    """
    between = 0.0
    if others.shape[1] > 1:
        ratios = others.mean(axis=0) / others.std(axis=0, ddof=1)
        between = float(ratios.var(ddof=1))
    return deflate_with(sharpe_moments(candidate), n_clusters, between)


def deflate_with(moments: SharpeMoments, n_trials: int, variance: float) -> Estimate:
    """Deflated Sharpe ratio with a variance that is never less than that of one useless trial's ratio."""
    return deflated_sharpe_ratio(
        sharpe=moments.sharpe,
        n_obs=moments.n_obs,
        skew=moments.skew,
        kurtosis=moments.kurtosis,
        n_trials=n_trials,
        trial_sharpe_variance=max(1.0 / (moments.n_obs - 1), variance),
    )


def _share_of_losing_halves(returns: Floats, n_blocks: int) -> float:
    """Probability of loss of a single trial: it wins every half, and loses where its mean is below 0."""
    copies = np.stack([returns, returns - 1.0], axis=1)  # the second never wins
    return probability_of_backtest_overfitting(
        copies, n_blocks=n_blocks, statistic="mean"
    ).probability_of_loss


def _reasons(
    limits: GateRule, rows: int, deflated: Estimate, superiority: SuperiorPredictiveAbility
) -> tuple[str, ...]:
    reasons = []
    if not rows >= limits.least_rows:
        reasons.append(f"{rows} rows out of sample are fewer than {limits.least_rows}")
    if not deflated >= limits.least_deflated:
        reasons.append(f"deflated Sharpe ratio {deflated:.4f} is below {limits.least_deflated}")
    spa = superiority.pvalues["consistent"]
    if not spa <= limits.most_spa_pvalue:
        reasons.append(f"SPA p-value {spa:.4f} is above {limits.most_spa_pvalue}")
    return tuple(reasons)


def _choice_reasons(
    limits: GateRule, overfitting: BacktestOverfitting | None, identified: bool, alike: float, loss: float
) -> tuple[str, ...]:
    """What is wrong with the choice of the winner: it is unstable where that matters, or it loses."""
    lost = f"probability of loss {loss:.4f} is above {limits.most_loss}"
    if not identified:
        return () if loss <= limits.most_loss else (f"PBO not identified, and {lost}",)
    pbo = overfitting.pbo if overfitting else float("nan")
    if pbo <= limits.most_pbo:
        return ()
    high = f"probability of backtest overfitting {pbo:.4f} is above {limits.most_pbo}"
    if not (pbo > limits.most_pbo and alike >= limits.least_alike):  # what is not known refuses
        return (high,)
    return () if loss <= limits.most_loss else (f"{high}, and {lost}",)
