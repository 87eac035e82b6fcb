"""Reading from a venue that may be silent for a moment: asked again within a stated bound, reads only.

One 502 of a gateway must not end a session. A read changes nothing at the venue, so asking again is
harmless; a submit or a cancel is never repeated here, because only the order path knows what that means.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from workbench.core.hours import SessionHours
from workbench.core.orders import Fill, OrderIntent
from workbench.core.ports import Activity, Broker, LookupResult, SubmitResult, VenueAccount, VenueOrder
from workbench.core.types import Quotes
from workbench.errors import OutcomeUnknown

Found = TypeVar("Found")

#: Waits before a read is repeated, seconds: a read is asked at most once more than there are waits.
READ_WAITS_S = (0.25, 1.0, 2.0)


def read_again(
    read: Callable[[], Found], *, wait: Callable[[float], None], waits_s: Sequence[float] = READ_WAITS_S
) -> Found:
    """What the read finds, asked again after each wait while the venue gives no answer.

    Parameters
    ----------
    read : callable
        Changes nothing at the venue.
    wait : callable (seconds) -> None
        Lets wall-clock time pass.

    Raises
    ------
    OutcomeUnknown
        From the last attempt.
    """
    for wait_s in waits_s:
        try:
            return read()
        except OutcomeUnknown:
            wait(wait_s)
    return read()


class PersistentReads:
    """A broker whose reads are asked again when there was no trustworthy answer; satisfies `Broker`.

    Parameters
    ----------
    broker : Broker
    wait, waits_s
        As in `read_again`.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        wait: Callable[[float], None],
        waits_s: Sequence[float] = READ_WAITS_S,
    ) -> None:
        self._broker = broker
        self._wait, self._waits_s = wait, tuple(waits_s)

    def submit(self, intent: OrderIntent) -> SubmitResult:
        """Send an order; one request, whatever comes back."""
        return self._broker.submit(intent)

    def cancel(self, client_order_id: str) -> SubmitResult:
        """Ask for a cancel; one request, whatever comes back."""
        return self._broker.cancel(client_order_id)

    def lookup(self, client_order_id: str) -> LookupResult:
        """What the venue says of that id now; the order path itself asks again, and counts."""
        return self._broker.lookup(client_order_id)

    def orders(self, *, since_ns: int) -> tuple[VenueOrder, ...]:
        """As the broker's, asked again while there is no whole list."""
        return self._again(lambda: self._broker.orders(since_ns=since_ns))

    def fills(self, *, since_ns: int) -> tuple[Fill, ...]:
        """As the broker's, asked again while there is no whole list."""
        return self._again(lambda: self._broker.fills(since_ns=since_ns))

    def activities(self, *, since_ns: int) -> tuple[Activity, ...]:
        """As the broker's, asked again while there is no whole list."""
        return self._again(lambda: self._broker.activities(since_ns=since_ns))

    def account(self) -> VenueAccount:
        """As the broker's, asked again while there is no answer."""
        return self._again(self._broker.account)

    def quotes(self, symbols: Sequence[str]) -> Quotes:
        """As the broker's, asked again while there is no answer; an answer without a quote is one."""
        return self._again(lambda: self._broker.quotes(symbols))

    def now_ns(self) -> int:
        """As the broker's, asked again while there is no answer."""
        return self._again(self._broker.now_ns)

    def hours(self, session: str) -> SessionHours:
        """As the broker's, asked again while there is no answer."""
        return self._again(lambda: self._broker.hours(session))

    def _again(self, read: Callable[[], Found]) -> Found:
        return read_again(read, wait=self._wait, waits_s=self._waits_s)
