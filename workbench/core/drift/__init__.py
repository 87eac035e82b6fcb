"""Drift: has the distribution changed? Batch comparison and sequential detectors with measured error rates."""
from workbench.core.drift.comparison import DriftReport, compare
from workbench.core.drift.volatility import VolatilityFilter
