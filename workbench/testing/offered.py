"""What installed packages offer by entry points, and what this one has itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from workbench.adapters.simulated_broker import SimulatedBroker
from workbench.config import load_extensions
from workbench.core.costs import FeeSchedule
from workbench.core.features import Feature, registered_features
from workbench.core.fills import FillParams
from workbench.core.ports import Broker
from workbench.core.strategies import Strategy, registered_strategies
from workbench.testing.broker_world import CALENDAR, CASH, SYMBOLS, HandClock, Market

GROUPS = ("workbench.features", "workbench.strategies")
BROKERS = "workbench.brokers"
BrokerMaker = Callable[[Path, HandClock], Broker]


def simulated(folder: Path, clock: HandClock, **changes: Any) -> SimulatedBroker:
    """The embedded venue in the world of the contract."""
    arguments: dict[str, Any] = {
        "account": "demo", "cash_micro": CASH, "clock": clock, "calendar": CALENDAR, "market": Market(clock),
        "symbols": SYMBOLS, "fills": FillParams(), "fees": FeeSchedule(),
    }  # fmt: skip
    return SimulatedBroker(folder / "venue.sqlite", **(arguments | changes))


def offering(group: str) -> tuple[str, ...]:
    """Names of the installed packages that offer something of the group."""
    return tuple(sorted({point.dist.name for point in entry_points(group=group) if point.dist is not None}))


@cache
def features_and_strategies() -> tuple[tuple[Feature, ...], tuple[Strategy, ...]]:
    """Features and strategies of all packages that offer any, and the features of this one."""
    load_extensions(sorted({name for group in GROUPS for name in offering(group)}))
    columns = {one.name for one in registered_strategies()}
    return tuple(one for one in registered_features() if one.name not in columns), registered_strategies()


def brokers() -> dict[str, BrokerMaker]:
    """Makers of brokers by name, the embedded venue's among them."""
    return {"simulated": simulated, **{point.name: point.load() for point in entry_points(group=BROKERS)}}
