"""What the venue says at one moment, and in which order it is believed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.core.orders import TERMINAL, Fill, Order, OrderState
from workbench.core.ports import Activity, Broker, VenueOrder

#: States of ours in which the venue's word that it has the order is news.
NOT_YET_THERE = frozenset({OrderState.SENT, OrderState.UNKNOWN, OrderState.NOT_ACCEPTED})


@dataclass(frozen=True)
class Heard:
    """The venue's lists of one period, asked one after the other.

    Attributes
    ----------
    fills, activities, orders : sequences of Fill, Activity and VenueOrder
    """

    fills: Sequence[Fill]
    activities: Sequence[Activity]
    orders: Sequence[VenueOrder]


def ask(broker: Broker, *, since_ns: int) -> Heard:
    """Everything the venue tells of the time from `since_ns` on; raises whatever the adapter raises."""
    fills = broker.fills(since_ns=since_ns)
    activities = broker.activities(since_ns=since_ns)
    return Heard(fills, activities, broker.orders(since_ns=since_ns))


def order_of_events(heard: Fill | Activity) -> tuple[int, int, str, str]:
    """Sort key of what the venue tells: by time, corporate events before executions."""
    if isinstance(heard, Fill):
        return (heard.filled_at_ns, 1, heard.symbol, heard.execution_id)
    return (heard.at_ns, 0, heard.symbol, heard.activity_id)  # a split comes before the open it precedes


def says_more(order: Order, theirs: VenueOrder) -> bool:
    """Whether the venue's state says more than the executions have said, so that it is taken over."""
    if order.state in TERMINAL or theirs.state is order.state:
        return False
    if theirs.filled_nano != order.filled_nano:
        return False  # executions are still under way: the next poll, or a break, will tell
    if theirs.state in (OrderState.PARTIALLY_FILLED, OrderState.FILLED):
        return False  # what has been filled enters through the executions, never through a status
    return theirs.state is not OrderState.ACCEPTED or order.state in NOT_YET_THERE
