"""What a package outside of this one is written with: its own strategies and features.

A package offers them by entry points of the groups `workbench.strategies` and `workbench.features`; a desk
loads those packages that its setting `model.extensions` names, and no other.

Examples
--------
>>> from workbench.extending import feature, select_features
>>> @feature("doc_gap", lookback=2, unit="fraction", meaning="open over the close before, less one")
... def gap(window):
...     return window.open[-1] / window.close[-2] - 1.0
>>> select_features(["doc_gap"])[0].lookback
2
"""

from workbench.core.features import (
    Feature,
    Window,
    compute,
    compute_history,
    feature,
    registered_features,
    select_features,
)
from workbench.core.features.arithmetic import changes, mean, rank, total, true_deviation
from workbench.core.strategies import Strategy, forecast_history, registered_strategies, strategy

__all__ = [
    "Feature",
    "Strategy",
    "Window",
    "changes",
    "compute",
    "compute_history",
    "feature",
    "forecast_history",
    "mean",
    "rank",
    "registered_features",
    "registered_strategies",
    "select_features",
    "strategy",
    "total",
    "true_deviation",
]
