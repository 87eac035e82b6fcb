"""How many different things were tried: trials grouped by how alike their returns are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.core.overfitting.returns_matrix import returns_matrix
from workbench.core.printing import html_table
from workbench.core.types import Floats, Integers

CORRELATION = 0.5  #: groups whose mean correlation lies below it are different things


@dataclass(frozen=True, eq=False)
class TrialClusters:
    """Trials in groups of likes.

    Attributes
    ----------
    labels : int64 (trials,)
        Group of each trial, numbered by first appearance.
    representatives : int64 (groups,)
        Column of each group's trial with the highest mean correlation within it, the first on ties.
    n_clusters, n_trials : int
        The effective number of trials, and the raw one.
    correlation : float
        Where the tree of groups was cut.
    """

    labels: Integers
    representatives: Integers
    n_clusters: int
    n_trials: int
    correlation: float

    @property
    def basis(self) -> str:
        """How the effective number was found, in words."""
        return f"average linkage of 1 - correlation, cut at a correlation of {self.correlation:g}"

    def _repr_html_(self) -> str:
        facts = {"effective number of trials": self.n_clusters, "trials": self.n_trials}
        return html_table("Clusters of trials", facts, {"basis": self.basis})


def cluster_trials(returns: Any, *, correlation: float = CORRELATION) -> TrialClusters:
    """Groups of trials whose returns move together.

    Parameters
    ----------
    returns : array or DataFrame (rows, trials)
        Of all trials.
    correlation : float, default 0.5
        From 0 to 1, exclusive.

    Raises
    ------
    ValueError
        A missing value, a constant trial, fewer than three rows, or a correlation outside of its range.

    Notes
    -----
    After M. López de Prado and M. Lewis, "Detection of False Investment Strategies Using Unsupervised
    Learning Methods", Quantitative Finance 19(9), 2019, with a tree of average linkage in place of k-means,
    so that the answer does not depend on chance.

    Examples
    --------
    >>> import numpy as np
    >>> import workbench as wb
    >>> draw = np.random.default_rng(1)
    >>> base = draw.normal(size=(500, 3))
    >>> near = np.hstack([base, base + 0.1 * draw.normal(size=(500, 3))])
    >>> wb.overfitting.cluster_trials(near).n_clusters
    3
    """
    if not 0.0 < correlation < 1.0:
        raise ValueError(f"correlation = {correlation} must lie between 0 and 1")
    matrix = returns_matrix(returns, least_trials=1)
    if len(matrix) < 3:
        raise ValueError(f"{len(matrix)} rows are too few to correlate")
    alike = correlations(matrix)
    labels = _groups(alike, correlation)
    order = np.argsort(labels, kind="stable")
    members = np.split(order, np.nonzero(np.diff(labels[order]))[0] + 1)
    representatives = [_middle(alike, group) for group in members]
    return TrialClusters(
        labels, np.array(representatives, dtype=np.int64), len(representatives), len(labels), correlation
    )


def correlations(matrix: Floats) -> Floats:
    """Correlation of every two trials, float64 (trials, trials).

    Raises
    ------
    ValueError
        A constant trial.
    """
    away = matrix - matrix.mean(axis=0)
    size = np.sqrt((away * away).sum(axis=0))
    dead = np.nonzero(~(size > 0.0))[0]
    if len(dead):
        raise ValueError(f"trial in column {int(dead[0])} never varies: it has no correlation")
    unit = away / size
    alike: Floats = np.clip(unit.T @ unit, -1.0, 1.0)
    return alike


def _groups(alike: Floats, correlation: float) -> Integers:
    from scipy.cluster.hierarchy import fcluster, linkage

    trials = len(alike)
    if trials == 1:
        return np.zeros(1, dtype=np.int64)
    apart = alike - 2.0 * np.eye(trials)  # nobody is near to himself
    if np.round(1.0 - apart.max(), 9) > 1.0 - correlation:
        return np.arange(trials, dtype=np.int64)  # no pair is near enough for a first group
    above = np.triu_indices(trials, 1)
    tree = linkage(np.round(1.0 - alike[above], 9), method="average")
    found = fcluster(tree, t=1.0 - correlation, criterion="distance")
    _, first = np.unique(found, return_index=True)
    number = {found[at]: place for place, at in enumerate(sorted(first))}
    return np.array([number[one] for one in found], dtype=np.int64)


def _middle(alike: Floats, members: Integers) -> int:
    if len(members) == 1:
        return int(members[0])
    within = np.round(alike[np.ix_(members, members)].sum(axis=1), 9)
    return int(members[int(np.argmax(within))])
