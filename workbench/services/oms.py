"""The order path: write ahead, send once, believe only the venue, recover by the same id.

Every step that could matter after a crash is in the journal before it happens: SENT is committed before
the request leaves, and an answer that proves nothing leaves the order UNKNOWN until the venue says more.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence

from workbench.core.corporate import ACTIVITY_KINDS
from workbench.core.ledger import Ledger, Posting
from workbench.core.orders import UNRESOLVED, WORKING, Fill, Order, OrderIntent, OrderState
from workbench.core.ports import (
    Activity,
    Broker,
    Clock,
    Event,
    Journal,
    Lease,
    LookupResult,
    SubmitOutcome,
    SubmitResult,
    VenueOrder,
)
from workbench.errors import IllegalTransition, JournalConflict
from workbench.services.booking import MOST_AT_ONCE, Booking, book, book_event, entry_of
from workbench.services.books import Books
from workbench.services.hearing import Heard, ask, order_of_events, says_more
from workbench.services.listening import Listening
from workbench.services.own_orders import OwnOrders
from workbench.services.records import (
    intent_payload,
    ledger_entry,
    names_our_id,
    order_change,
)
from workbench.services.sending import send_batch, submit

#: How often an order may be looked up directly after an unclear answer before it stays UNKNOWN.
LOOKUP_TRIES = 3
#: States of an order that no venue can hold.
NEVER_LEFT = frozenset({OrderState.INTENDED, OrderState.AWAITING_APPROVAL, OrderState.NOT_ACCEPTED})


class Oms:
    """Orders of one account: their states, their fills and the ledger that follows from them.

    Parameters
    ----------
    journal, broker, clock
        Ports; the journal is the sole restart path.
    account : str
    lease : callable () -> Lease
        The lease in force; the journal refuses every write of this object under any other token.
    gate : callable (Order) -> tuple of str
        Last look before a request leaves. Raises TradingHalted when there is no permission; returns
        denial codes when the pre-trade controls now say no (they can only deny).
    halt : callable (str) -> None
        Halts the account, with the reason.
    listening : Listening or None
        Says whether the stream may have missed something, and hears of each request; None = no stream.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        broker: Broker,
        clock: Clock,
        account: str,
        lease: Callable[[], Lease],
        gate: Callable[[Order], tuple[str, ...]],
        halt: Callable[[str], None],
        listening: Listening | None = None,
    ) -> None:
        self._journal = journal
        self._broker = broker
        self._clock = clock
        self._account = account
        self._lease = lease
        self._gate = gate
        self._halt = halt
        self._listening = listening
        self.books = Books.of(journal, account)

    # --- what the journal knows ------------------------------------------------------------------

    @property
    def orders(self) -> OwnOrders:
        """Every order that still counts, by id."""
        return self.books.orders

    @property
    def ledger(self) -> Ledger:
        """Cash and positions after every booked entry."""
        return self.books.ledger

    def working(self) -> tuple[Order, ...]:
        """Orders that the venue may hold or may yet receive, by symbol."""
        found = [order for order in self.orders.unfinished() if order.state in WORKING]
        return tuple(sorted(found, key=lambda order: (order.intent.symbol, order.intent.client_order_id)))

    def unresolved(self) -> tuple[Order, ...]:
        """Orders about which only the venue can say what happened; their symbols are frozen."""
        return tuple(order for order in self.working() if order.state in UNRESOLVED)

    def of_decision(self, scheduled_ns: int) -> tuple[Order, ...]:
        """Orders of one decision in sending order: sells first, then by symbol."""
        found = self.orders.of_decision(scheduled_ns)
        return tuple(
            sorted(found, key=lambda order: (order.intent.side, order.intent.symbol, order.intent.leg))
        )

    def record_opening(
        self, entry_id: str, session: str, entry: tuple[Posting, ...], memo: str, more: Sequence[Event] = ()
    ) -> None:
        """Book the opening entry, approved by a person beforehand, and what goes with it."""
        event = ledger_entry(self._account, entry_id, session, entry, memo)
        self._journal.commit([event, *more], lease=self._lease())
        self.books.book(entry_id, session, entry)

    def adopt_intents(self, intents: Iterable[OrderIntent], denied: dict[str, tuple[str, ...]]) -> None:
        """Take over intents that the caller has just journalled in the decision's transaction."""
        for intent in intents:
            codes = denied.get(intent.client_order_id, ())
            state = OrderState.DENIED if codes else OrderState.INTENDED
            self.orders[intent.client_order_id] = Order(intent, state, reason=",".join(codes))

    def intend(self, intent: OrderIntent, decision_id: str, codes: tuple[str, ...]) -> Order:
        """Journal a leg with its verdict, which allocates its id; nothing is sent."""
        payload = intent_payload(intent, decision_id)
        event = Event("order.intended", {**payload, "verdict": "allowed"})
        if codes:
            event = Event("order.denied", {**payload, "codes": list(codes)})
        self._journal.commit([event], lease=self._lease())
        self.adopt_intents([intent], {intent.client_order_id: codes})
        return self.orders[intent.client_order_id]

    # --- sending ---------------------------------------------------------------------------------

    def send(self, client_order_id: str) -> Order:
        """Send one intended (or resolved as not received) order; raises as `send_many`."""
        return self.send_many((client_order_id,))[0]

    def send_many(self, client_order_ids: Sequence[str]) -> tuple[Order, ...]:
        """Send orders in turn: one commit for all SENT, a last look at each; what they have become.

        Raises
        ------
        TradingHalted, LeaseLost
            Permission is absent, or another process took the account; no further request leaves.
        """
        return send_batch(
            self.orders, client_order_ids, gate=self._gate, now_ns=self._clock.now_ns, request=self._request,
            commit=lambda events: self._journal.commit(events, lease=self._lease()),
            missed=self._listening.missed if self._listening else str,
        )  # fmt: skip

    def _request(self, order: Order, first_request: bool) -> Order:
        result = submit(self._broker, order.intent, self._listening)
        return self._settle(order, result, first_request=first_request)

    def _settle(self, order: Order, result: SubmitResult, *, first_request: bool) -> Order:
        if result.outcome is SubmitOutcome.ACCEPTED and result.order is not None:
            return self._adopt(order, result.order)
        # An answer to a repeated request says nothing about the first one, which may be working there.
        if first_request and result.outcome is SubmitOutcome.NOT_ACCEPTED:
            return self._record(order, OrderState.NOT_ACCEPTED, reason=result.reason)
        if first_request and result.outcome is SubmitOutcome.REFUSED and not names_our_id(result.reason):
            return self._record(order, OrderState.REJECTED, reason=result.reason)
        order = self._record(order, OrderState.UNKNOWN, reason=result.reason or "no proof of the outcome")
        return self._resolve(order)

    def is_denied(self, client_order_id: str) -> bool:
        """Ask the venue about an order of unknown fate once; True when it says that it has no such id."""
        answer = self._look_up(client_order_id)
        if answer.found and answer.order is not None:
            self._adopt(self.orders[client_order_id], answer.order)
        return answer.answered and not answer.found

    def recover(self) -> tuple[Order, ...]:
        """Ask the venue about every order whose fate is not known; returns those still unresolved.

        A corporate event since then comes first: the venue's order has other terms after a split. Where
        the venue does not tell of such events nothing can be compared, and the orders stay UNKNOWN.
        """
        open_ = [order for order in self.unresolved() if order.state is not OrderState.QUARANTINED]
        since_ns = min((order.sent_at_ns for order in self.unresolved()), default=0)
        if since_ns:
            try:
                heard = ask(self._broker, since_ns=since_ns)
            except Exception as error:  # boundary: a venue that cannot be asked proves nothing
                reason = f"{type(error).__name__} while asking what happened"
                for order in open_:
                    self._record(order, OrderState.UNKNOWN, reason=reason)
                return self.unresolved()
            if self._new_activities(heard):
                self.hear(heard)
        for order in self.unresolved():
            if order.state is not OrderState.QUARANTINED:  # only a person ends a quarantine
                self._resolve(order)
        return self.unresolved()

    def _resolve(self, order: Order) -> Order:
        reason = "no answer"
        for _ in range(LOOKUP_TRIES):
            answer = self._look_up(order.intent.client_order_id)
            if answer.found and answer.order is not None:
                return self._adopt(order, answer.order)
            if answer.answered:
                reason = "the venue has no such id, which is no proof of absence"
                break
            reason = answer.reason or reason
        return self._record(order, OrderState.UNKNOWN, reason=reason)

    def _look_up(self, client_order_id: str) -> LookupResult:
        try:
            return self._broker.lookup(client_order_id)
        except Exception as error:  # boundary: a look-up that fails says nothing
            return LookupResult(
                found=False, answered=False, reason=f"{type(error).__name__} while looking up"
            )

    def _adopt(self, order: Order, theirs: VenueOrder) -> Order:
        ours = order.intent
        mine = (ours.symbol, ours.side, ours.quantity_nano)
        if mine != (theirs.symbol, theirs.side, theirs.quantity_nano):
            self._halt(f"order {ours.client_order_id} at the venue is {theirs}, ours is {mine}")
            return self._record(
                order, OrderState.QUARANTINED, reason="the venue holds another order by this id"
            )
        if theirs.state in (OrderState.QUARANTINED, OrderState.REJECTED):
            found = {"venue_order_id": theirs.venue_order_id, "reason": theirs.reason}
            return self._record(order, theirs.state, **found)
        # What has been filled enters through the executions, never through a status.
        return self._record(order, OrderState.ACCEPTED, venue_order_id=theirs.venue_order_id)

    def cancel(self, client_order_id: str, *, reason: str) -> Order:
        """Ask the venue to cancel; only a later poll shows whether it did."""
        order = self._record(self.orders[client_order_id], OrderState.PENDING_CANCEL, reason=reason)
        self._broker.cancel(client_order_id)
        return order

    # --- hearing ---------------------------------------------------------------------------------

    def poll(self, *, since_ns: int) -> int:
        """Ask the venue, take over what it says; returns the number of changes."""
        return self.hear(ask(self._broker, since_ns=since_ns))

    def hear(self, heard: Heard) -> int:
        """Book new executions and corporate events, then take over the venue's order states.

        Executions and events in the order in which they happened, because a split changes the terms of
        what follows. Returns the number of changes. What is foreign or of an unknown kind is left to
        reconciliation, which names it.
        """
        fills: dict[str, Fill] = {}
        own, booked = self.orders, self.books.fills
        for fill in heard.fills:
            if fill.execution_id not in booked and fill.client_order_id in own:
                fills.setdefault(fill.execution_id, fill)  # told twice in one answer, it is one
        listed = {theirs.client_order_id: theirs for theirs in heard.orders}
        events: dict[str, Activity] = {}
        for activity in self._new_activities(heard):
            events.setdefault(activity.activity_id, activity)
        news: list[Fill | Activity] = sorted([*events.values(), *fills.values()], key=order_of_events)
        for at, told in enumerate(news):
            if not isinstance(told, Fill):
                self._book_activity(told, news[at:], listed)
            elif at == 0 or not isinstance(news[at - 1], Fill):  # all up to the next event at once
                rest = itertools.takewhile(lambda one: isinstance(one, Fill), news[at:])
                self._book([one for one in rest if isinstance(one, Fill)])
        changes = len(news)
        for theirs in listed.values():
            if theirs.client_order_id not in own:
                continue
            ours = own[theirs.client_order_id]
            if ours.state is not theirs.state and says_more(ours, theirs):
                self._follow(ours, theirs)
                changes += 1
        return changes

    def _book(self, fills: Sequence[Fill]) -> None:
        """Book executions that follow one another, many in one transaction."""
        for at in range(0, len(fills), MOST_AT_ONCE):
            part = fills[at : at + MOST_AT_ONCE]
            booking = book(self._account, part, self.orders, self.ledger)
            ledger = self.ledger.apply(booking.postings)  # refused before anything is durable
            try:
                if booking.events:
                    self._journal.commit(booking.events, lease=self._lease())
            except JournalConflict:
                if len(part) == 1:
                    raise
                for fill in part:  # one of them contradicts the record: the others are booked all the same
                    self._book([fill])
                continue
            self._take(part, booking, ledger)

    def _take(self, fills: Sequence[Fill], booking: Booking, ledger: Ledger) -> None:
        """Take over what is durable, and halt where it should not have happened."""
        self.orders.update(booking.orders)
        self.books.ledger = ledger
        for fill in fills:  # one that is not booked must stay a break: the venue reports it, the books do not
            stranger = fill.execution_id in booking.strangers
            self.books.fills[fill.execution_id] = None if stranger else fill
        for trouble in (*booking.strangers.values(), *booking.troubles):
            self._halt(trouble)

    def _new_activities(self, heard: Heard) -> list[Activity]:
        return [
            activity
            for activity in heard.activities
            if activity.activity_id not in self.books.activities and activity.kind in ACTIVITY_KINDS
        ]

    def _book_activity(
        self, activity: Activity, news: Sequence[Fill | Activity], listed: Mapping[str, VenueOrder]
    ) -> None:
        """Take over a corporate event in one transaction: its entry, and new terms of working orders."""
        booking = book_event(self._account, activity, self.ledger, self.working(), news, listed)
        self._journal.commit(booking.events, lease=self._lease())
        self.orders.update(booking.orders)
        self.books.book(*entry_of(activity), tuple(booking.postings))

    def _follow(self, order: Order, theirs: VenueOrder) -> None:
        try:
            self._record(order, theirs.state, venue_order_id=theirs.venue_order_id, reason=theirs.reason)
        except IllegalTransition as error:
            self._halt(str(error))
            self._record(order, OrderState.QUARANTINED, reason=error.message)

    # --- the end of a session --------------------------------------------------------------------

    def sweep(
        self, *, close_ns: Callable[[str], int], next_open_ns: Callable[[str], int]
    ) -> tuple[Order, ...]:
        """End what can no longer be sent; returns the orders that expired unsent.

        An order that never left expires when its session has closed. One that may have left expires only
        after the open of the session that follows its own, when the venue still denies that it has it.

        Parameters
        ----------
        close_ns, next_open_ns : callable (session) -> int
            The session's close, and the open of the session after it, UTC nanoseconds.
        """
        now_ns = self._clock.now_ns()
        ended = []
        for order in self.orders.unfinished():
            unsent = order.state in NEVER_LEFT and now_ns >= close_ns(order.intent.session)
            if order.state is OrderState.UNKNOWN and now_ns >= next_open_ns(order.intent.session):
                order = self._resolve(order)
                unsent = order.state is OrderState.UNKNOWN and self.is_denied(order.intent.client_order_id)
            if unsent:
                reason = "its session ended before it was sent"
                ended.append(self._record(order, OrderState.EXPIRED_UNSENT, reason=reason))
        return tuple(ended)

    # --- one place where an order changes --------------------------------------------------------

    def _record(
        self, order: Order, state: OrderState, *, venue_order_id: str = "", reason: str = ""
    ) -> Order:
        changed, event = order_change(
            order, state, at_ns=self._clock.now_ns(), venue_order_id=venue_order_id, reason=reason
        )
        if changed != order:
            self._journal.commit([event], lease=self._lease())
            self.orders[changed.intent.client_order_id] = changed
        return changed
