"""Drift: has the distribution changed? Batch and sequential, with measured error rates."""

from workbench.core.drift.binning import (
    StabilityIndex,
    jensen_shannon_distance,
    population_stability_index,
    psi_critical_value,
)
from workbench.core.drift.comparison import DriftReport, compare
from workbench.core.drift.joint import JointDrift, joint_drift
from workbench.core.drift.sequential import SequentialDetector
from workbench.core.drift.volatility import VolatilityFilter

__all__ = [
    "DriftReport",
    "JointDrift",
    "SequentialDetector",
    "StabilityIndex",
    "VolatilityFilter",
    "compare",
    "jensen_shannon_distance",
    "joint_drift",
    "population_stability_index",
    "psi_critical_value",
]
