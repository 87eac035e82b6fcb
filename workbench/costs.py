"""Cost models and calibrated fills: fees to the cent, costs that expire, schedules for large orders.

Examples
--------
>>> import workbench.costs
>>> model = workbench.costs.prior(
...     workbench.costs.PriorCost(), workbench.costs.FeeSchedule(), as_of_ns=1_767_225_600_000_000_000
... )
>>> facts = {"adv": 4e6, "volatility_bps": 150.0, "half_spread_bps": 1.5, "price": 200.0}
>>> model.expected_bps("AAPL", "sell", 100, **facts).upper
3.6
"""

from workbench.core.costs import (
    CostEstimate,
    CostModel,
    EquityImpact,
    FeeSchedule,
    FittedCost,
    PriorCost,
    Schedule,
    almgren_chriss,
    almgren_impact,
    cost_curve,
    fit_cost_model,
    predicted_and_realised,
    prior,
)
from workbench.core.fill_fit import fit_fill_model
from workbench.core.fill_model import FillModel
from workbench.core.fill_simulator import simulate_fills

__all__ = [
    "CostEstimate",
    "CostModel",
    "EquityImpact",
    "FeeSchedule",
    "FillModel",
    "FittedCost",
    "PriorCost",
    "Schedule",
    "almgren_chriss",
    "almgren_impact",
    "cost_curve",
    "fit_cost_model",
    "fit_fill_model",
    "predicted_and_realised",
    "prior",
    "simulate_fills",
]
