"""Drift."""

from workbench.core.drift import DriftReport, VolatilityFilter, compare

__all__ = ["DriftReport", "VolatilityFilter", "compare"]
