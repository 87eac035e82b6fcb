"""Ending what is open at the embedded venue."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.adapters.simulated_broker.broker import SimulatedBroker
from workbench.core.cancelling import OpenOrder
from workbench.core.orders import WORKING
from workbench.core.ports import SubmitOutcome, SubmitResult, VenueOrder


class SimulatedOpenOrders:
    """Open orders of the embedded venue's account; satisfies `core.cancelling.OpenOrders`.

    Parameters
    ----------
    broker : SimulatedBroker
    """

    def __init__(self, broker: SimulatedBroker) -> None:
        self._broker = broker

    def listed(self) -> tuple[OpenOrder, ...]:
        """Every open order, oldest first."""
        if not self._broker.last_ns:
            return ()  # nothing ever happened there
        found = [order for order in self._broker.orders(since_ns=0) if order.state in WORKING]
        prices = self._broker.open_prices()
        return tuple(OpenOrder(order, prices.get(order.client_order_id, 0), 0) for order in found)

    def cancel_all(self) -> SubmitResult:
        """Each in turn: this venue has no request for all."""
        for order in self.listed():
            self.cancel(order)
        return SubmitResult(SubmitOutcome.ACCEPTED)

    def cancel(self, order: OpenOrder) -> SubmitResult:
        """Ask for the end of one order; this venue acts at once."""
        return self._broker.cancel(order.identity)

    def read_back(self, orders: Sequence[OpenOrder]) -> dict[str, VenueOrder]:
        """The orders as the venue shows them now."""
        answers = {order.identity: self._broker.lookup(order.identity).order for order in orders}
        return {identity: order for identity, order in answers.items() if order is not None}
