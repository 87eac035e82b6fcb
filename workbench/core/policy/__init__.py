"""From forecasts to orders: what to hold, when the change is worth its cost, and why.

One scalar kernel decides one symbol; a row kernel scales the weights of a row and calls it for each
symbol. Whatever cannot be judged is left alone, with a reason that a supervisor can read.
"""

from workbench.core.policy.decide import decide, forecast_grid, intended_shares
from workbench.core.policy.kernels import (
    Choice,
    Standing,
    decide_row,
    decide_symbol,
    limit_price_micro,
    target_weight_micro,
)
from workbench.core.policy.params import PolicyParams, PolicyValues
from workbench.core.policy.reason import Reason
from workbench.core.policy.reducing import without_increases

__all__ = [
    "Choice",
    "PolicyParams",
    "PolicyValues",
    "Reason",
    "Standing",
    "decide",
    "decide_row",
    "decide_symbol",
    "forecast_grid",
    "intended_shares",
    "limit_price_micro",
    "target_weight_micro",
    "without_increases",
]
