"""Pictures of the tables of `workbench.views`, `workbench.tca` and `workbench.costs`.

Plotting libraries are loaded when the first picture is drawn, never on import.
"""

from workbench.plots.desk import (
    decision_weights,
    equity,
    equity_figure,
    equity_picture,
    notebook,
    price_path,
)
from workbench.plots.drift import distributions, levels_by_day, streams_by_day
from workbench.plots.execution import (
    cost_curve,
    intraday_profile,
    markout_fan,
    predicted_and_realised,
    shortfall_waterfall,
)
from workbench.plots.overfitting import (
    deflation,
    degradation,
    logit_histogram,
    path_fan,
    rank_curve,
    sensitivity_surface,
)

__all__ = [
    "cost_curve",
    "decision_weights",
    "deflation",
    "degradation",
    "distributions",
    "equity",
    "equity_figure",
    "equity_picture",
    "intraday_profile",
    "levels_by_day",
    "logit_histogram",
    "markout_fan",
    "notebook",
    "path_fan",
    "predicted_and_realised",
    "price_path",
    "rank_curve",
    "sensitivity_surface",
    "shortfall_waterfall",
    "streams_by_day",
]
