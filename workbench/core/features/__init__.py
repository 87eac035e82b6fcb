"""Causal features with declared lookback, found by registration, and the statistics that size orders.

A feature sees exactly `lookback` rows that end with the row it describes, so it cannot see the future,
and a replayed row is computed by the same call on the same rows. Features use only operations that
IEEE 754 rounds exactly (no logarithm) and sum in row order, so a value does not depend on the machine.
Those that compare symbols depend on which symbols the panel holds, never on their order; all others
depend on their own symbol alone.
"""

from __future__ import annotations

from workbench.core.features import families
from workbench.core.features.computation import GRID, compute, compute_history, features_hash
from workbench.core.features.definition import (
    Feature,
    Window,
    feature,
    registered_features,
    select_features,
)
from workbench.core.features.market import (
    HALF_SPREAD_FLOOR_BPS,
    HALF_SPREAD_RANGE_FRACTION,
    STATISTICS_ROWS,
    MarketStatistics,
    market_statistics,
    statistics_history,
    statistics_rows,
)

__all__ = [
    "DEFAULT_FEATURES",
    "FEATURES",
    "GRID",
    "HALF_SPREAD_FLOOR_BPS",
    "HALF_SPREAD_RANGE_FRACTION",
    "STATISTICS_ROWS",
    "Feature",
    "MarketStatistics",
    "Window",
    "compute",
    "compute_history",
    "families",
    "feature",
    "features_hash",
    "market_statistics",
    "registered_features",
    "select_features",
    "statistics_history",
    "statistics_rows",
]

#: The features of a new desk, in the order of the model's columns.
DEFAULT_FEATURES = (
    "momentum_20",
    "reversal_5",
    "volatility_20",
    "volume_trend_20",
    "range_position_20",
)
FEATURES: tuple[Feature, ...] = select_features(DEFAULT_FEATURES)
