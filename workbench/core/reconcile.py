"""Compare our books with the venue's and name every break; mend nothing.

Absence from a list is never read as "cancelled" or "flat": our working order that the venue does not list
is a break of its own kind. What is not ours is a break too, never adopted here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from workbench.core.corporate import ACTIVITY_KINDS
from workbench.core.ledger import Ledger
from workbench.core.orders import WORKING, Fill, Order, OrderIntent, OrderState
from workbench.core.ports import Activity, VenueAccount, VenueOrder

S = OrderState

#: Kind -> what it means, in the order in which `find_breaks` looks for them.
BREAK_KINDS = MappingProxyType(
    {
        "account_unreadable": "the venue gave no trustworthy answer about the account",
        "account_blocked": "the venue does not say that trading is open to us",
        "account_other": "the venue answered for another account",
        "cash": "cash differs, to the micro",
        "position": "a position differs, to 1e-9 shares",
        "order_foreign": "the venue holds an order that we never sent",
        "order_duplicated": "the venue holds two orders with one client order id",
        "order_differs": "symbol, side or quantity of an order differ",
        "order_state": "the state of an order differs",
        "order_filled": "the cumulative filled quantity of an order differs",
        "order_not_listed": "our working order is not in the venue's list: no proof of anything",
        "fill_foreign": "the venue reports a fill of an order that is not ours",
        "fill_missing_here": "the venue reports a fill that is not in our books",
        "fill_missing_there": "our books hold a fill that the venue does not report",
        "fill_differs": "one execution id, two contents",
        "overfill": "the fills of an order exceed its quantity",
        "activity_unknown": "the venue did something to the account of a kind that the books do not know",
        "activity_missing_here": "a split or dividend of the venue is not in our books",
        "activity_missing_there": "our books hold a split or dividend that the venue does not report",
        "activity_differs": "one split or dividend, two contents",
    }
)

#: Working states that claim that the venue holds the order. UNKNOWN and NOT_ACCEPTED claim no such thing:
#: they freeze the symbol and count as exposure already, and only a look-up by id can say more.
_MUST_BE_LISTED = WORKING - {S.UNKNOWN, S.NOT_ACCEPTED}

#: Working states of the venue that fit our PENDING_CANCEL: it has not yet acted on our request.
_BEFORE_CANCEL = frozenset({S.ACCEPTED, S.PARTIALLY_FILLED, S.PENDING_CANCEL})


@dataclass(frozen=True, order=True)
class Break:
    """One difference between our books and the venue's.

    Attributes
    ----------
    kind : str
        A key of `BREAK_KINDS`.
    symbol : str
        The symbol that must be frozen; "" = the whole account.
    ours, theirs : str
        Both values as text; "" where a side has nothing.
    evidence : str
        What identifies the matter: a client order id, an execution id or "account".
    """

    kind: str
    symbol: str
    ours: str
    theirs: str
    evidence: str

    def __post_init__(self) -> None:
        if self.kind not in BREAK_KINDS:
            raise ValueError(f"unknown kind of break {self.kind!r}")


def find_breaks(
    *,
    orders: Sequence[Order],
    fills: Sequence[Fill],
    ledger: Ledger,
    venue_orders: Sequence[VenueOrder],
    venue_fills: Sequence[Fill],
    venue_account: VenueAccount,
    account: str = "",
    activities: Mapping[str, tuple[int, int]] = MappingProxyType({}),
    venue_activities: Sequence[Activity] = (),
) -> tuple[Break, ...]:
    """Every break between our record and the venue's, in a stable order; empty = clean.

    Parameters
    ----------
    orders, fills : sequences of Order and of Fill
        Our record of the period that the venue was asked about.
    ledger : Ledger
        Our books since the account was opened.
    venue_orders, venue_fills, venue_account : as `ports.Broker` returns them
        The venue's answers, asked *after* our record was read and while nothing is being sent.
    account : str, default ""
        The account that we mean to trade; "" = the name is not compared.
    activities : mapping of str to (int, int)
        Activity id -> cash in micros and quantity in 1e-9 shares that we booked for it in the period.
    venue_activities : sequence of Activity
    """
    found = [
        *_account_breaks(ledger, venue_account, account),
        *_order_breaks(orders, venue_orders),
        *_fill_breaks(orders, fills, venue_fills),
        *_activity_breaks(activities, venue_activities),
    ]
    rank = {kind: n for n, kind in enumerate(BREAK_KINDS)}
    return tuple(sorted(set(found), key=lambda b: (rank[b.kind], b)))


def _account_breaks(ledger: Ledger, theirs: VenueAccount, account: str) -> Iterator[Break]:
    if theirs.blocked is not False:  # None or any other word is not a no
        yield Break("account_blocked", "", "open", f"blocked={theirs.blocked}", "account")
    if account and theirs.account != account:
        yield Break("account_other", "", account, theirs.account, "account")
    if ledger.cash_micro != theirs.cash_micro:
        yield Break("cash", "", str(ledger.cash_micro), str(theirs.cash_micro), "account")
    ours = ledger.positions_nano
    for symbol in sorted({*ours, *theirs.positions_nano}):
        here, there = ours.get(symbol, 0), theirs.positions_nano.get(symbol, 0)
        if here != there:
            yield Break("position", symbol, str(here), str(there), "account")


def _order_breaks(orders: Sequence[Order], venue_orders: Sequence[VenueOrder]) -> Iterator[Break]:
    ours = {order.intent.client_order_id: order for order in orders}
    theirs: dict[str, VenueOrder] = {}
    for listed in venue_orders:
        first = theirs.setdefault(listed.client_order_id, listed)
        if first.venue_order_id != listed.venue_order_id:
            ids = f"{first.venue_order_id} {listed.venue_order_id}"
            yield Break("order_duplicated", listed.symbol, "", ids, listed.client_order_id)
    for key, listed in theirs.items():
        if key not in ours:
            what = f"{listed.side.word} {listed.quantity_nano} {listed.symbol} {listed.state}"
            yield Break("order_foreign", listed.symbol, "", what, key or listed.venue_order_id)
        else:
            yield from _compare(ours[key], listed)
    for key, order in ours.items():
        if key not in theirs and order.state in _MUST_BE_LISTED:
            yield Break("order_not_listed", order.intent.symbol, str(order.state), "", key)


def _compare(order: Order, listed: VenueOrder) -> Iterator[Break]:
    intent, key = order.intent, order.intent.client_order_id
    ours = f"{intent.side.word} {intent.quantity_nano} {intent.symbol}"
    theirs = f"{listed.side.word} {listed.quantity_nano} {listed.symbol}"
    if ours != theirs:
        yield Break("order_differs", intent.symbol, ours, theirs, key)
    waiting = order.state is S.PENDING_CANCEL and listed.state in _BEFORE_CANCEL
    if order.state is not listed.state and not waiting:
        yield Break("order_state", intent.symbol, str(order.state), str(listed.state), key)
    if order.filled_nano != listed.filled_nano:
        yield Break("order_filled", intent.symbol, str(order.filled_nano), str(listed.filled_nano), key)


def _fill_breaks(
    orders: Sequence[Order], fills: Sequence[Fill], venue_fills: Sequence[Fill]
) -> Iterator[Break]:
    ours: dict[str, Fill] = {}
    theirs: dict[str, Fill] = {}
    for book, rows in ((ours, fills), (theirs, venue_fills)):
        for fill in rows:  # the same execution listed twice with one content is a repeat, not two fills
            first = book.setdefault(fill.execution_id, fill)
            if first != fill:
                yield Break("fill_differs", fill.symbol, _words(first), _words(fill), fill.execution_id)
    known = {order.intent.client_order_id: order.intent for order in orders}
    booked = {fill.client_order_id for fill in ours.values()}  # of orders older than the period, perhaps
    for key, fill in theirs.items():
        if fill.client_order_id not in known and fill.client_order_id not in booked:
            yield Break("fill_foreign", fill.symbol, "", _words(fill), key)
        elif key not in ours:
            yield Break("fill_missing_here", fill.symbol, "", _words(fill), key)
        elif ours[key] != fill:
            yield Break("fill_differs", fill.symbol, _words(ours[key]), _words(fill), key)
    for key, fill in ours.items():
        if key not in theirs:
            yield Break("fill_missing_there", fill.symbol, _words(fill), "", key)
    yield from _overfills(known, {**ours, **theirs}.values())


def _activity_breaks(
    ours: Mapping[str, tuple[int, int]], venue_activities: Sequence[Activity]
) -> Iterator[Break]:
    theirs: dict[str, Activity] = {}
    for activity in venue_activities:
        first = theirs.setdefault(activity.activity_id, activity)
        if first != activity:
            yield Break("activity_differs", activity.symbol, str(first), str(activity), activity.activity_id)
    for key, activity in theirs.items():
        told = (activity.amount_micro, activity.quantity_nano)
        if key not in ours:  # one of an unknown kind is booked only when a person has accepted its entry
            kind = "activity_missing_here" if activity.kind in ACTIVITY_KINDS else "activity_unknown"
            yield Break(kind, activity.symbol, "", f"{activity.kind} {told}", key)
        elif ours[key] != told:
            yield Break("activity_differs", activity.symbol, str(ours[key]), str(told), key)
    for key, booked in ours.items():
        if key not in theirs:
            yield Break("activity_missing_there", "", str(booked), "", key)


def _overfills(known: Mapping[str, OrderIntent], fills: Iterable[Fill]) -> Iterator[Break]:
    filled: dict[str, int] = {}
    for fill in fills:
        filled[fill.client_order_id] = filled.get(fill.client_order_id, 0) + fill.quantity_nano
    for order_id, quantity in filled.items():
        intent = known.get(order_id)
        if intent is not None and quantity > intent.quantity_nano:
            yield Break("overfill", intent.symbol, str(intent.quantity_nano), str(quantity), order_id)


def _words(fill: Fill) -> str:
    return (
        f"{fill.side.word} {fill.quantity_nano} {fill.symbol} at {fill.price_micro} fee {fill.fee_micro}"
        f" at_ns {fill.filled_at_ns} of {fill.client_order_id}"
    )
