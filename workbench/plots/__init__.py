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
from workbench.plots.execution import (
    cost_curve,
    intraday_profile,
    markout_fan,
    predicted_and_realised,
    shortfall_waterfall,
)

__all__ = [
    "cost_curve",
    "decision_weights",
    "equity",
    "equity_figure",
    "equity_picture",
    "intraday_profile",
    "markout_fan",
    "notebook",
    "predicted_and_realised",
    "price_path",
    "shortfall_waterfall",
]
