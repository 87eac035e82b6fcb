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
    close_markouts,
    cost_by_group,
    cost_curve,
    cost_distribution,
    cost_floors,
    execution_picture,
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
    "close_markouts",
    "cost_by_group",
    "cost_curve",
    "cost_distribution",
    "cost_floors",
    "decision_weights",
    "deflation",
    "degradation",
    "distributions",
    "equity",
    "equity_figure",
    "equity_picture",
    "execution_picture",
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
