"""What trading costs: fees to the cent, and models of spread and impact that expire."""

from workbench.core.costs.compare import cost_curve, predicted_and_realised
from workbench.core.costs.fit import fit_cost_model
from workbench.core.costs.fitted import FittedCost, Interval, SymbolCost
from workbench.core.costs.impact import EquityImpact, almgren_impact
from workbench.core.costs.model import CostEstimate, CostModel, Status, prior
from workbench.core.costs.monitor import DayEvidence, cusum, cusum_threshold, day_evidence
from workbench.core.costs.prior import (
    CostValues,
    PriorCost,
    expected_cost_bps,
    round_trip_bps,
    round_trip_floor_bps,
)
from workbench.core.costs.schedule import Schedule, almgren_chriss
from workbench.core.costs.step import CalibrationRule, FloorStep, floor_step, rolling_window
from workbench.core.fees import FeeSchedule, fee_micro

__all__ = [
    "CalibrationRule",
    "CostEstimate",
    "CostModel",
    "CostValues",
    "DayEvidence",
    "EquityImpact",
    "FeeSchedule",
    "FittedCost",
    "FloorStep",
    "Interval",
    "PriorCost",
    "Schedule",
    "Status",
    "SymbolCost",
    "almgren_chriss",
    "almgren_impact",
    "cost_curve",
    "cusum",
    "cusum_threshold",
    "day_evidence",
    "expected_cost_bps",
    "fee_micro",
    "fit_cost_model",
    "floor_step",
    "predicted_and_realised",
    "prior",
    "rolling_window",
    "round_trip_bps",
    "round_trip_floor_bps",
]
