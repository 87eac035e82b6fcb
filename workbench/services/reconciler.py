"""Compare what the journal says with what the venue says; record every break and halt on any."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from workbench.core.ports import Broker, Clock, Event, Journal, Lease
from workbench.core.reconcile import Break, find_breaks
from workbench.errors import OutcomeUnknown, WorkbenchError
from workbench.services.hearing import Heard, ask
from workbench.services.oms import Oms


class Reconciler:
    """Runs at every start and after every session; invents nothing and mends nothing.

    Parameters
    ----------
    halt : callable (str) -> None
        Called with a summary when there is any break.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        broker: Broker,
        clock: Clock,
        account: str,
        oms: Oms,
        lease: Callable[[], Lease],
        halt: Callable[[str], None],
    ) -> None:
        self._journal = journal
        self._broker = broker
        self._clock = clock
        self._account = account
        self._oms = oms
        self._lease = lease
        self._halt = halt

    def reconcile(self, *, session: str, since_ns: int = 0) -> tuple[Break, ...]:
        """Poll, compare everything, journal the result; halts the account when there is a break.

        Parameters
        ----------
        since_ns : int
            Orders and executions from this time on are compared; positions and cash always whole.
        """
        breaks = self._compare(since_ns)
        if breaks:  # the venue may have moved between two of its answers: one more look, then it counts
            breaks = self._compare(since_ns)
        payload = {
            "account": self._account,
            "session": session,
            "at_ns": self._clock.now_ns(),
            "clean": not breaks,
            "breaks": [_break_payload(found) for found in breaks],
        }
        self._journal.commit([Event("reconciliation.done", payload)], lease=self._lease())
        if breaks:
            first = breaks[0]
            self._halt(
                f"recovery: {len(breaks)} reconciliation break(s), first {first.kind} {first.symbol}: "
                f"ours {first.ours}, theirs {first.theirs}"
            )
        return breaks

    def _compare(self, since_ns: int) -> tuple[Break, ...]:
        try:
            heard = self._ask(since_ns)
        except Exception as error:  # boundary: a venue that gives no answer is a break with a name
            return (_unreadable(error),)
        self._oms.hear(heard)
        try:  # asked again, after our own record has changed
            heard = self._ask(since_ns)
        except Exception as error:  # boundary: as above
            return (_unreadable(error),)
        try:
            theirs = self._broker.account()
        except OutcomeUnknown as error:
            return (Break("account_blocked", "", "an answer", error.message, "account"),)
        except Exception as error:  # boundary: as above
            return (_unreadable(error),)
        listed = {order.client_order_id for order in heard.orders}
        ours = self._oms.orders
        return find_breaks(
            orders=tuple(o for key, o in ours.items() if o.intent.scheduled_ns >= since_ns or key in listed),
            fills=self._oms.books.fills_since(since_ns),
            ledger=self._oms.ledger,
            venue_orders=heard.orders,
            venue_fills=heard.fills,
            venue_account=theirs,
            account=self._account,
            activities=self._oms.books.entries_since(since_ns, {a.activity_id for a in heard.activities}),
            venue_activities=heard.activities,
        )

    def _ask(self, since_ns: int) -> Heard:
        """The venue's lists, and what its list of orders left out although it has it: a list may lag."""
        heard = ask(self._broker, since_ns=since_ns)
        listed = {order.client_order_id for order in heard.orders}
        missing = [o for o in self._oms.working() if o.intent.client_order_id not in listed]
        answers = [self._broker.lookup(order.intent.client_order_id) for order in missing]
        found = [answer.order for answer in answers if answer.order is not None]
        return replace(heard, orders=(*heard.orders, *found))


def _unreadable(error: Exception) -> Break:
    words = error.message if isinstance(error, WorkbenchError) else type(error).__name__
    return Break("account_unreadable", "", "an answer", words, "account")


def _break_payload(found: Break) -> dict[str, str]:
    return {
        "kind": found.kind,
        "symbol": found.symbol,
        "ours": str(found.ours),
        "theirs": str(found.theirs),
        "evidence": str(found.evidence),
    }
