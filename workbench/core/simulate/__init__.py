"""Simulation over history: the kernels of a trading session in one compiled loop."""

from workbench.core.simulate.history import (
    DividendEvent,
    MarketHistory,
    SessionHours,
    SplitEvent,
    prepare,
)
from workbench.core.simulate.result import SimulationResult
from workbench.core.simulate.run import Parameters, simulate

__all__ = [
    "DividendEvent",
    "MarketHistory",
    "Parameters",
    "SessionHours",
    "SimulationResult",
    "SplitEvent",
    "prepare",
    "simulate",
]
