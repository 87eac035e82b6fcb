"""Ending what is open at Alpaca, without a lease: lists and DELETEs only, never a POST."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from workbench.adapters.alpaca_broker.broker import AlpacaBroker
from workbench.adapters.alpaca_broker.outcomes import cancel_outcome
from workbench.adapters.alpaca_broker.paging import list_orders
from workbench.adapters.alpaca_broker.transport import Answer
from workbench.core.cancelling import OpenOrder
from workbench.core.ports import SubmitOutcome, SubmitResult, VenueOrder

#: So many orders are read back one by one; more are read back by one list.
FEW = 3


class AlpacaOpenOrders:
    """Open orders of one account at Alpaca; satisfies `core.cancelling.OpenOrders`.

    Parameters
    ----------
    broker : AlpacaBroker
        Its rate budget is used up to the reserve.
    """

    def __init__(self, broker: AlpacaBroker) -> None:
        self._broker = broker

    def listed(self) -> tuple[OpenOrder, ...]:
        """Every open order, oldest first; OutcomeUnknown without a whole list."""
        rows = list_orders(self._get, since_ns=0, status="open")
        return tuple(OpenOrder(row.order, row.price_micro, row.submitted_ns) for row in rows)

    def cancel_all(self) -> SubmitResult:
        """One request for everything; 207 with a row each says that it was asked for, no more."""
        answer = self._broker.urgently("DELETE", "/orders")
        if answer.status == 207 and isinstance(answer.json, list):
            return SubmitResult(SubmitOutcome.ACCEPTED)
        outcome, reason = cancel_outcome(answer)
        return SubmitResult(outcome, reason=reason)

    def cancel(self, order: OpenOrder) -> SubmitResult:
        """One request by the venue's own id; its answer proves nothing about the order."""
        path = f"/orders/{quote(order.order.venue_order_id, safe='')}"
        outcome, reason = cancel_outcome(self._broker.urgently("DELETE", path))
        return SubmitResult(outcome, reason=reason)

    def read_back(self, orders: Sequence[OpenOrder]) -> dict[str, VenueOrder]:
        """The orders as the venue shows them now; a few by look-ups, many by one list.

        Raises
        ------
        OutcomeUnknown
            The venue gives no whole list.
        """
        if not orders:
            return {}
        wanted = {order.identity for order in orders}
        found: dict[str, VenueOrder] = {}
        if len(orders) > FEW:
            rows = list_orders(self._get, since_ns=min(order.submitted_ns for order in orders))
            found = {row.order.client_order_id: row.order for row in rows}
        for identity in sorted(wanted - found.keys())[:FEW]:  # the others are asked for in the next round
            answer = self._broker.lookup(identity)
            if answer.order is not None:
                found[identity] = answer.order
        return {identity: order for identity, order in found.items() if identity in wanted}

    def _get(self, path: str, fields: Mapping[str, Any]) -> Answer:
        return self._broker.urgently("GET", path, fields)
