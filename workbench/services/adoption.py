"""Day one on an account that has a life already: what is taken over, and what lay before it.

A person sees what the venue holds and approves exactly that. Positions enter the books at their last known
price, open orders of somebody else become working orders of our record, so they count as exposure and freeze
their symbols; nobody here cancels them. Whatever was over before is not asked for again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from workbench.core.canonical import sha256_of
from workbench.core.hours import SessionHours
from workbench.core.ledger import Posting, money_micro, opening_postings
from workbench.core.orders import TERMINAL, Fill, Order, OrderIntent, OrderState
from workbench.core.ports import (
    Activity,
    Broker,
    Event,
    Journal,
    LookupResult,
    SubmitResult,
    VenueAccount,
    VenueOrder,
)
from workbench.core.types import DAY_NS, NANO, OrderType, Quotes
from workbench.errors import Refused
from workbench.services.epochs import epoch_of
from workbench.services.records import date_of, intent_payload, order_change

#: Strategy of orders that this desk did not decide.
EXTERNAL = "external"
#: How far back the venue's lists are read: an activity bears a date only, and may be posted a day late.
LOOK_BACK_NS = 2 * DAY_NS
#: States of an order of somebody else that can be taken over.
TAKEN_OVER = frozenset({OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED})


@dataclass(frozen=True)
class Holding:
    """What an account at the venue holds at one moment.

    Attributes
    ----------
    at_ns : int
        The venue's time, UTC nanoseconds.
    positions_nano : mapping of str to int
        Signed, 1e-9 shares.
    orders : tuple of VenueOrder
        Those that are still open; none of them is ours.
    seen : tuple of str
        Ids of orders that are over, of executions and of activities that lie before.
    """

    at_ns: int
    cash_micro: int
    positions_nano: Mapping[str, int]
    orders: tuple[VenueOrder, ...]
    seen: tuple[str, ...]

    @property
    def mark(self) -> str:
        """Twelve characters that stand for cash, positions and open orders: what a person approves."""
        orders = [(o.client_order_id, o.symbol, o.quantity_nano, o.filled_nano) for o in self.orders]
        positions = sorted(self.positions_nano.items())
        return sha256_of([self.cash_micro, [list(p) for p in positions], [list(o) for o in orders]])[:12]

    @property
    def words(self) -> str:
        """Cash, positions and open orders in one line."""
        held = [f"{quantity / NANO:g} {symbol}" for symbol, quantity in sorted(self.positions_nano.items())]
        open_ = [
            f"{order.side.word} {(order.quantity_nano - order.filled_nano) / NANO:g} {order.symbol} "
            f"({order.client_order_id})"
            for order in self.orders
        ]
        return "; ".join(
            [
                f"{self.cash_micro / 1e6:,.2f} USD",
                *([f"positions {', '.join(held)}"] if held else []),
                *([f"open orders of somebody else {', '.join(open_)}"] if open_ else []),
            ]
        )


def survey(broker: Broker) -> Holding:
    """What the account holds now.

    Raises
    ------
    Refused
        It moved while it was looked at, or holds an order that cannot be taken over.
    OutcomeUnknown
        The venue does not answer.
    """
    at_ns = broker.now_ns()
    since_ns = max(at_ns - LOOK_BACK_NS, 0)
    orders, theirs = broker.orders(since_ns=0), broker.account()
    fills, activities = broker.fills(since_ns=since_ns), broker.activities(since_ns=since_ns)
    again = broker.account()
    moved = (again.cash_micro, dict(again.positions_nano)) != (theirs.cash_micro, dict(theirs.positions_nano))
    if moved or broker.orders(since_ns=0) != orders:
        raise Refused("the account moved while it was looked at", next_step="run `workbench adopt` again")
    open_ = tuple(order for order in orders if order.state not in TERMINAL)
    symbols = [order.symbol for order in open_]
    for order in open_:
        if order.state not in TAKEN_OVER or symbols.count(order.symbol) > 1 or order.quantity_nano % NANO:
            raise Refused(
                f"order {order.client_order_id} of {order.symbol} ({order.state}) cannot be taken over: one "
                "open order of whole shares a symbol, in a state that is known",
                next_step="cancel it at the venue, or wait until it is over, then adopt",
            )
    lately = broker.orders(since_ns=since_ns)
    over = [order.client_order_id for order in lately if order.state in TERMINAL]
    seen = [*over, *(fill.execution_id for fill in fills), *(one.activity_id for one in activities)]
    return Holding(at_ns, theirs.cash_micro, dict(theirs.positions_nano), open_, tuple(sorted(seen)))


def opening_entry(found: Holding, prices_micro: Mapping[str, int]) -> tuple[Posting, ...]:
    """The entry that opens the books: cash, and positions at their last known price.

    Parameters
    ----------
    prices_micro : mapping of str to int
        Last known price of every symbol that is held or has an open order.

    Raises
    ------
    Refused
        A price is missing.
    """
    symbols = {*found.positions_nano, *(order.symbol for order in found.orders)}
    if unpriced := sorted(symbol for symbol in symbols if prices_micro.get(symbol, 0) <= 0):
        raise Refused(
            f"no price is known for {', '.join(unpriced)}",
            next_step="put the symbols into the universe and run `workbench data ingest`, then adopt",
        )
    held = {
        symbol: (quantity, money_micro(quantity, prices_micro[symbol]))
        for symbol, quantity in found.positions_nano.items()
    }
    return opening_postings(found.cash_micro, held)


def adoption_events(
    found: Holding,
    *,
    account: str,
    venue_account: str,
    prices_micro: Mapping[str, int],
    person: str,
    reason: str,
) -> list[Event]:
    """What is written in the transaction of the opening entry: the facts, and the orders that are taken over.

    Parameters
    ----------
    venue_account : str
        The venue's id of the account; the desk belongs to it from now on.
    """
    facts = {
        "account": account, "venue_account": venue_account, "at_ns": found.at_ns, "person": person,
        "reason": reason, "positions": dict(sorted(found.positions_nano.items())),
        "orders": [order.client_order_id for order in found.orders], "seen": list(found.seen),
    }  # fmt: skip
    events = [Event("account.adopted", facts)]
    for theirs in found.orders:
        events += _taken_over(theirs, account=account, at_ns=found.at_ns, price=prices_micro[theirs.symbol])
    return events


def _taken_over(theirs: VenueOrder, *, account: str, at_ns: int, price: int) -> list[Event]:
    """An order of somebody else as a working order of our record; its price limit is not known to us."""
    intent = OrderIntent(
        theirs.client_order_id, account, EXTERNAL, date_of(at_ns), at_ns, theirs.symbol, EXTERNAL,
        theirs.side, theirs.quantity_nano, OrderType.MARKET, 0, price,
    )  # fmt: skip
    order = Order(intent, OrderState.INTENDED)
    events = [Event("order.intended", {**intent_payload(intent, ""), "verdict": "allowed"})]
    for state in (OrderState.SENT, OrderState.ACCEPTED, theirs.state):
        if state is order.state:
            continue
        filled_nano = theirs.filled_nano if state is OrderState.PARTIALLY_FILLED else None
        order, event = order_change(
            order, state, at_ns=at_ns, venue_order_id=theirs.venue_order_id, filled_nano=filled_nano,
            reason="of somebody else; taken over as exposure",
        )  # fmt: skip
        events.append(event)
    return events


class SinceAdoption:
    """A broker whose lists begin with the adoption of its account; satisfies `Broker`.

    Parameters
    ----------
    broker : Broker
    at_ns : int
        Time of the adoption, UTC nanoseconds.
    seen : iterable of str
        Ids that lay before it.
    taken_over : sequence of str
        Orders that were open then: they may be older than the lists are read back.
    """

    def __init__(
        self, broker: Broker, *, at_ns: int, seen: Iterable[str], taken_over: Sequence[str] = ()
    ) -> None:
        self._broker, self._at_ns = broker, at_ns
        self._seen, self._taken_over = frozenset(seen), tuple(taken_over)

    def submit(self, intent: OrderIntent) -> SubmitResult:
        """As the broker's."""
        return self._broker.submit(intent)

    def cancel(self, client_order_id: str) -> SubmitResult:
        """As the broker's."""
        return self._broker.cancel(client_order_id)

    def lookup(self, client_order_id: str) -> LookupResult:
        """As the broker's."""
        return self._broker.lookup(client_order_id)

    def orders(self, *, since_ns: int) -> tuple[VenueOrder, ...]:
        """As the broker's, without those that were over, with those that were taken over."""
        found = [o for o in self._broker.orders(since_ns=self._from(since_ns)) if self._is_new(o)]
        listed = {order.client_order_id for order in found}
        missing = [key for key in self._taken_over if key not in listed and since_ns <= self._at_ns]
        answers = [self._broker.lookup(key) for key in missing]
        return (*(answer.order for answer in answers if answer.order is not None), *found)

    def fills(self, *, since_ns: int) -> tuple[Fill, ...]:
        """As the broker's, without those that were booked by the opening entry."""
        rows = self._broker.fills(since_ns=self._from(since_ns))
        return tuple(fill for fill in rows if fill.execution_id not in self._seen)

    def activities(self, *, since_ns: int) -> tuple[Activity, ...]:
        """As the broker's, without those that were booked by the opening entry."""
        rows = self._broker.activities(since_ns=self._from(since_ns))
        return tuple(activity for activity in rows if activity.activity_id not in self._seen)

    def account(self) -> VenueAccount:
        """As the broker's."""
        return self._broker.account()

    def quotes(self, symbols: Sequence[str]) -> Quotes:
        """As the broker's."""
        return self._broker.quotes(symbols)

    def now_ns(self) -> int:
        """As the broker's."""
        return self._broker.now_ns()

    def hours(self, session: str) -> SessionHours:
        """As the broker's."""
        return self._broker.hours(session)

    def _from(self, since_ns: int) -> int:
        return max(since_ns, self._at_ns - LOOK_BACK_NS, 0)

    def _is_new(self, order: VenueOrder) -> bool:
        return order.client_order_id not in self._seen


def since_adoption(broker: Broker, journal: Journal, *, account: str, venue_account: str) -> Broker:
    """The broker as this desk may see it: from its adoption on, and only while the account is the same.

    Raises
    ------
    Refused
        The venue has another account behind the same keys or address: it was reset, or it is not paper.
    """
    belongs_to = epoch_of(journal, account).venue_account
    if belongs_to and belongs_to != venue_account:
        raise Refused(
            f"this desk belongs to account {belongs_to} of the venue, and the keys open {venue_account}",
            next_step="if the account was reset, or is another one on purpose: workbench adopt --new-account "
            f"{venue_account}, which ends this desk epoch and begins the next; else mend the keys",
            adopted=belongs_to,
            found=venue_account,
        )
    told = journal.events(kinds=("account.adopted",))
    adopted = [event.payload for event in told if event.payload["account"] == account]
    if not adopted:
        return broker
    facts = adopted[-1]
    return SinceAdoption(broker, at_ns=int(facts["at_ns"]), seen=facts["seen"], taken_over=facts["orders"])
