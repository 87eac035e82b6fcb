"""The simulated venue as a broker in this process, playing recorded market days."""

from workbench.adapters.simulated_broker.broker import SimulatedBroker

__all__ = ["SimulatedBroker"]
