"""What is said of a feature beside its deciding test: the customary distances, with honest limits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from workbench.core.drift.binning import (
    category_counts,
    jensen_shannon_distance,
    psi_critical_value,
    psi_of_counts,
    quantile_edges,
    sorted_counts,
)
from workbench.core.drift.distances import distances, finite_sorted
from workbench.core.drift.intake import Feature
from workbench.core.types import Integers

EMPTY_SHARE = 1e-4  #: the policy for empty bins in reports
_BINS = 10
DESCRIPTION = (
    "psi", "psi_critical", "ks", "wasserstein", "jensen_shannon", "chi_squared", "missing_reference",
    "missing_current",
)  # fmt: skip


def describe(feature: Feature, alpha: float, effective_n: float) -> dict[str, Any]:
    """Distances of one feature: psi, ks, wasserstein, jensen_shannon, chi_squared and missing shares.

    Numbers that one side cannot give are left out.
    """
    if not feature.numeric:
        return _of_categories(feature, alpha, effective_n)
    before, after = finite_sorted(feature.reference), finite_sorted(feature.current)
    found = {
        "missing_reference": 1.0 - len(before) / max(1, len(feature.reference)),
        "missing_current": 1.0 - len(after) / max(1, len(feature.current)),
    }
    if not len(before) or not len(after):
        return found
    gap = distances(before, after)
    scale = float(before.std())
    edges = quantile_edges(before, _BINS)
    counts = sorted_counts(before, edges), sorted_counts(after, edges)
    found |= {"ks": gap.ks, "wasserstein": gap.wasserstein / scale if scale > 0.0 else math.nan}
    return found | _of_counts(*counts, alpha, effective_n / len(feature.current))


def _of_categories(feature: Feature, alpha: float, effective_n: float) -> dict[str, Any]:
    names, before, after = category_counts(list(feature.reference), list(feature.current))
    if not before.sum() or not after.sum():
        return {}
    at = names.index("(missing)") if "(missing)" in names else None
    missing = {
        f"missing_{side}": float(counts[at] / counts.sum()) if at is not None else 0.0
        for side, counts in (("reference", before), ("current", after))
    }
    return missing | _of_counts(before, after, alpha, effective_n / len(feature.current)) | {
        "chi_squared": _chi_squared(before, after)
    }  # fmt: skip


def _of_counts(before: Integers, after: Integers, alpha: float, independence: float) -> dict[str, Any]:
    """Measures of two histograms; `independence` is the share of rows that count as independent."""
    index = psi_of_counts(before, after, empty=EMPTY_SHARE)
    sizes = (index.n_reference * independence, index.n_current * independence)
    limit = psi_critical_value(*sizes, bins=index.bins, alpha=alpha) if independence > 0.0 else math.nan
    return {
        "psi": float(index), "psi_critical": limit,
        "jensen_shannon": jensen_shannon_distance(before.astype(float), after.astype(float), base=2),
    }  # fmt: skip


def _chi_squared(before: Integers, after: Integers) -> float:
    """Pearson's statistic of the two rows of counts."""
    table = np.vstack([before, after]).astype(float)
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    return float(((table - expected) ** 2 / expected).sum())
