"""Sending again what the venue denies to have, under the same id and only while the intent lives."""

from __future__ import annotations

from collections.abc import Callable

from workbench.core.orders import Order, OrderState
from workbench.core.ports import Clock
from workbench.services.oms import Oms

#: How often one process sends an order again after its first request.
RESENDS = 3
#: States in which an order is not at the venue, or may not be.
AGAIN = frozenset({OrderState.INTENDED, OrderState.NOT_ACCEPTED, OrderState.UNKNOWN})


class Resender:
    """Bounded repeats of orders that never arrived.

    An order that was not accepted, or that never left because a last look had no answer, goes out as it is;
    one of unknown fate only after the venue has answered that it knows no such id. The same id makes a second
    arrival harmless: the venue refuses it, and the first one is adopted.

    Parameters
    ----------
    oms : Oms
    clock : Clock
    session : str
        Only orders of this session are sent again.
    until_ns : int
        End of the life of its intents, UTC nanoseconds.
    """

    def __init__(self, *, oms: Oms, clock: Clock, session: str, until_ns: int) -> None:
        self._oms, self._clock = oms, clock
        self._session, self._until_ns = session, until_ns
        self._sent: dict[str, int] = {}

    def proceed(self, before_sending: Callable[[], None] = lambda: None) -> int:
        """Send again what may be sent again; returns how many were sent.

        Parameters
        ----------
        before_sending : callable
            Called before each order.

        Raises
        ------
        TradingHalted, LeaseLost
            As from `Oms.send`; nothing left.
        """
        sent = 0
        for order in sorted(self._oms.orders.unfinished(), key=_sells_first):
            identity = order.intent.client_order_id
            again = order.state in AGAIN
            alive = order.intent.session == self._session and self._clock.now_ns() < self._until_ns
            if not again or not alive or self._sent.get(identity, 0) >= RESENDS:
                continue
            if order.state is OrderState.UNKNOWN and not self._oms.is_denied(identity):
                continue
            before_sending()
            if self._oms.orders[identity].state is not order.state:
                continue  # the venue has shown it meanwhile
            self._sent[identity] = self._sent.get(identity, 0) + 1
            self._oms.send(identity)
            sent += 1
        return sent


def _sells_first(order: Order) -> tuple[int, str, str]:
    return (int(order.intent.side), order.intent.symbol, order.intent.client_order_id)
