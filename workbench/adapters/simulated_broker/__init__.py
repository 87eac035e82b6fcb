"""The simulated venue as a broker in this process, playing recorded market days."""

from workbench.adapters.simulated_broker.broker import SimulatedBroker
from workbench.adapters.simulated_broker.open_orders import SimulatedOpenOrders

__all__ = ["SimulatedBroker", "SimulatedOpenOrders"]
