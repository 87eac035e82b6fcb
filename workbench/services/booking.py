"""What the venue tells becomes entries and steps of orders, for one transaction: executions and events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from workbench.core.corporate import (
    ENTRY_PREFIX,
    adjusted_intent,
    adjusted_quantities,
    postings_of_activity,
)
from workbench.core.ledger import Ledger, Posting, postings_of_fill
from workbench.core.orders import Fill, Order, OrderState
from workbench.core.ports import Activity, Event, VenueOrder
from workbench.errors import IllegalTransition
from workbench.services.records import (
    date_of,
    fill_payload,
    fill_trouble,
    ledger_entry,
    order_adjusted,
    order_change,
)

#: So many executions are booked in one transaction.
MOST_AT_ONCE = 256


@dataclass
class Booking:
    """What some executions make of the books, once their events are durable.

    Attributes
    ----------
    events : list of Event
        Executions with their entries first, then the steps of the orders.
    orders : dict of str to Order
        Orders as they are afterwards.
    postings : list of Posting
    strangers : dict of str to str
        Execution id -> why it is none of its order; it stays unbooked and halts the account.
    troubles : list of str
        Why the account has to be halted: executions that should not have happened and are booked, because
        they did.
    """

    events: list[Event] = field(default_factory=list)
    orders: dict[str, Order] = field(default_factory=dict)
    postings: list[Posting] = field(default_factory=list)
    strangers: dict[str, str] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)


def book(account: str, fills: Sequence[Fill], orders: Mapping[str, Order], ledger: Ledger) -> Booking:
    """The booking of executions, in the order in which they happened.

    Parameters
    ----------
    orders : mapping of str to Order
        Own orders by id, with that of every execution.
    ledger : Ledger
        Books before the first of them.
    """
    found = Booking()
    steps: list[Event] = []
    balances = dict(ledger.balances)
    before = Ledger(balances)  # as each execution finds the books
    for fill in fills:
        order = found.orders.get(fill.client_order_id) or orders[fill.client_order_id]
        if (fill.symbol, fill.side) != (order.intent.symbol, order.intent.side):
            # Not an execution of this order whatever its id says: it stays unbooked, a break with evidence.
            found.strangers[fill.execution_id] = (
                f"execution {fill.execution_id} is {fill.side.word} {fill.symbol}, its order is not"
            )
            continue
        trouble = fill_trouble(order, fill)
        postings = postings_of_fill(before, fill)
        found.events.append(Event("fill.booked", fill_payload(account, order, fill, postings)))
        filled_nano = order.filled_nano + fill.quantity_nano
        if not trouble:
            done = filled_nano == order.intent.quantity_nano
            state = OrderState.FILLED if done else OrderState.PARTIALLY_FILLED
            try:
                order, step = order_change(order, state, at_ns=fill.filled_at_ns, filled_nano=filled_nano)
                steps.append(step)
                found.orders[fill.client_order_id] = order
            except IllegalTransition as error:
                trouble = error.message
        for posting in postings:
            amount, quantity = balances.get(posting.ledger_account, (0, 0))
            balances[posting.ledger_account] = (
                amount + posting.amount_micro,
                quantity + posting.quantity_nano,
            )
        found.postings += postings
        if trouble:  # it happened, so it is booked; that it could happen stops everything
            found.troubles.append(trouble)
    found.events += steps
    return found


def entry_of(activity: Activity) -> tuple[str, str]:
    """Id of the entry of a corporate event, and the date it is booked under."""
    return ENTRY_PREFIX + activity.activity_id, date_of(activity.at_ns)


def book_event(
    account: str,
    activity: Activity,
    ledger: Ledger,
    working: Sequence[Order],
    news: Sequence[Fill | Activity],
    listed: Mapping[str, VenueOrder],
) -> Booking:
    """The booking of a corporate event: its entry, and new terms of working orders.

    New terms are computed here and taken only where the venue shows a quantity that follows from this event
    and from those heard with it: an order that ended before, or never arrived, keeps its own.

    Parameters
    ----------
    working : sequence of Order
    news : sequence of Fill and Activity
        This event and those heard after it.
    listed : mapping of str to VenueOrder
        Orders as the venue shows them, by client order id.
    """
    postings = postings_of_activity(ledger, activity)
    entry_id, session = entry_of(activity)
    memo = f"{activity.kind} of {activity.symbol}"
    found = Booking([ledger_entry(account, entry_id, session, postings, memo)], postings=list(postings))
    for order in working:
        identity = order.intent.client_order_id
        intent, theirs = adjusted_intent(order, activity), listed.get(identity)
        if intent is None or theirs is None:
            continue
        if theirs.quantity_nano in adjusted_quantities(order, news):
            found.orders[identity] = replace(order, intent=intent)
            found.events.append(order_adjusted(intent, activity))
    return found
