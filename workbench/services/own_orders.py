"""Orders of one account by id, with what a last look asks of them kept beside: every change passes here.

A look before each request must not walk over all orders of the account's life. What it needs (what is
unfinished, what was sent lately, what belongs to one decision) is kept up to date by the one door through
which an order changes, so it cannot differ from a fold over all of them.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import ItemsView, Iterable, Iterator, Mapping, MutableMapping, ValuesView
from dataclasses import dataclass, field
from typing import Any

from workbench.core.orders import TERMINAL, WITH_LIMIT, WORKING, Order, OrderState
from workbench.core.pretrade import content_fingerprint
from workbench.core.pretrade.values import ANY_BUY_MICRO, ANY_SELL_MICRO, OrderValues, ordered_micro
from workbench.core.types import NANO, Side

#: States that an order passes on its way to the venue; no cancel, denial or fill comes with them.
_ON_THE_WAY = frozenset({OrderState.INTENDED, OrderState.SENT, OrderState.ACCEPTED})
_LAST = "\U0010ffff"  # sorts after every id


@dataclass(frozen=True)
class Sent:
    """What an order that was sent counts for in windows."""

    at_ns: int
    symbol: str
    shares: int
    value_micro: int


@dataclass
class SentInSession:
    """Orders of one session that were sent: how many of each symbol, and their value together."""

    orders: dict[str, int] = field(default_factory=dict)
    value_micro: int = 0


class OwnOrders(MutableMapping[str, Order]):
    """Orders by `client_order_id`, oldest first.

    Parameters
    ----------
    orders : mapping of str to Order
    """

    def __init__(self, orders: Mapping[str, Order] | None = None) -> None:
        self._orders: dict[str, Order] = {}
        self._unfinished: dict[str, dict[str, Order]] = {}  # symbol -> id -> order
        self._working: dict[str, tuple[int, int]] = {}  # symbol -> shares to buy, to sell
        self._decided: dict[tuple[int, str], dict[str, None]] = {}  # ids, in the order of their making
        self._decisions: dict[int, dict[str, None]] = {}
        self._sent: list[tuple[int, str]] = []  # moments and ids, ascending
        self._counts: dict[str, Sent] = {}  # by id, of those that were sent
        self._sessions: dict[str, SentInSession] = {}
        self.changes = 0  # that events of the journal beside it may tell more about
        self._sent_of: dict[str, dict[str, Order]] = {}  # symbol -> id -> order
        self._touched: list[str] = []  # symbols in the order in which their orders changed
        self._window: tuple[int, int] = (-1, 0)  # a moment, and the value of what was sent after it
        self.update(orders or {})

    # --- the mapping -----------------------------------------------------------------------------

    def __getitem__(self, identity: str) -> Order:
        return self._orders[identity]

    def __setitem__(self, identity: str, order: Order) -> None:
        before = self._orders.get(identity)
        symbol = order.intent.symbol
        if before is not None and before.intent.symbol != symbol:
            raise ValueError(f"order {identity} of {before.intent.symbol} cannot become one of {symbol}")
        self._orders[identity] = order
        self._touched.append(symbol)
        self.changes += order.state not in _ON_THE_WAY
        if before is None:
            scheduled_ns = order.intent.scheduled_ns
            self._decided.setdefault((scheduled_ns, symbol), {})[identity] = None
            self._decisions.setdefault(scheduled_ns, {})[identity] = None
        if order.state in TERMINAL:
            self._drop(self._unfinished, symbol, identity)
        else:
            self._unfinished.setdefault(symbol, {})[identity] = order
        self._count_working(symbol)
        self._count_sent(before, order)
        if order.sent_at_ns:
            self._sent_of.setdefault(symbol, {})[identity] = order
        else:
            self._drop(self._sent_of, symbol, identity)

    def __delitem__(self, identity: str) -> None:
        raise TypeError(f"order {identity}: what was ordered stays")

    def __iter__(self) -> Iterator[str]:
        return iter(self._orders)

    def __len__(self) -> int:
        return len(self._orders)

    def __contains__(self, identity: object) -> bool:
        return identity in self._orders

    def items(self) -> ItemsView[str, Order]:
        """Ids and orders, oldest first."""
        return self._orders.items()

    def values(self) -> ValuesView[Order]:
        """All orders, oldest first."""
        return self._orders.values()

    # --- what is asked of them -------------------------------------------------------------------

    def of_decision(self, scheduled_ns: int, symbol: str = "") -> tuple[Order, ...]:
        """Orders of one decision, of one symbol or of all, in the order of their making."""
        found: Iterable[str] = (
            self._decided.get((scheduled_ns, symbol), ()) if symbol else self._decisions.get(scheduled_ns, ())
        )
        return tuple(self._orders[identity] for identity in found)

    def unfinished(self, symbol: str = "") -> tuple[Order, ...]:
        """Orders that have not ended, of one symbol or of all."""
        if symbol:
            return tuple(self._unfinished.get(symbol, {}).values())
        return tuple(order for orders in self._unfinished.values() for order in orders.values())

    def unfinished_symbols(self) -> frozenset[str]:
        """Symbols with an order that has not ended; each is frozen."""
        return frozenset(self._unfinished)

    def working_shares(self) -> dict[str, tuple[int, int]]:
        """Whole shares still to be bought and to be sold by symbol, where something works."""
        return dict(self._working)

    def working_of(self, symbol: str) -> tuple[int, int]:
        """Whole shares of a symbol still to be bought and to be sold."""
        return self._working.get(symbol, (0, 0))

    def touched_after(self, number: int) -> tuple[int, Iterable[str]]:
        """Symbols whose orders have changed after so many changes, and how many there are by now."""
        return len(self._touched), dict.fromkeys(self._touched[max(0, number) :])

    def window_of(self, symbol: str, at_ns: int, *, without: str = "") -> tuple[int, int]:
        """As `ordered_after`, with the shares of one symbol only."""
        if self._window[0] != at_ns:
            self._window = (at_ns, self.ordered_after(at_ns)[1])
        value_micro, left_out = self._window[1], self._counts.get(without)
        if left_out is not None and left_out.at_ns > at_ns:
            value_micro -= left_out.value_micro
        shares = sum(
            self._counts[identity].shares
            for identity in self._sent_of.get(symbol, ())
            if identity != without and self._counts[identity].at_ns > at_ns
        )
        return shares, value_micro

    def session_of(self, symbol: str, session: str, *, without: str = "") -> tuple[int, int]:
        """As `sent_in`, with the number of one symbol only."""
        tally = self._sessions.get(session)
        if tally is None:
            return 0, 0
        number, left_out = tally.orders.get(symbol, 0), self._counts.get(without)
        if left_out is None or self._orders[without].intent.session != session:
            return number, tally.value_micro
        return number - (left_out.symbol == symbol), tally.value_micro - left_out.value_micro

    def sent_after(self, at_ns: int, *, without: str = "") -> int:
        """How many orders were sent after a moment, one left out by its id."""
        count = len(self._sent) - bisect_right(self._sent, (at_ns, _LAST))
        skipped = self._orders.get(without)
        return count - (skipped is not None and skipped.sent_at_ns > at_ns and bool(skipped.sent_at_ns))

    def ordered_after(self, at_ns: int, *, without: str = "") -> tuple[dict[str, int], int]:
        """Shares by symbol, and value in micros, of orders sent after a moment, one left out by its id."""
        shares: dict[str, int] = {}
        value_micro = 0
        for _, identity in self._sent[bisect_right(self._sent, (at_ns, _LAST)) :]:
            if identity != without:
                sent = self._counts[identity]
                shares[sent.symbol] = shares.get(sent.symbol, 0) + sent.shares
                value_micro += sent.value_micro
        return shares, value_micro

    def sent_in(self, session: str, *, without: str = "") -> tuple[dict[str, int], int]:
        """Number by symbol, and value in micros, of a session's sent orders, one left out by its id."""
        tally = self._sessions.get(session, SentInSession())
        left_out = self._counts.get(without)
        if left_out is None or self._orders[without].intent.session != session:
            return dict(tally.orders), tally.value_micro
        orders = {**tally.orders, left_out.symbol: tally.orders[left_out.symbol] - 1}
        return orders, tally.value_micro - left_out.value_micro

    def was_sent(self, symbol: str) -> bool:
        """Whether any order of a symbol ever left."""
        return symbol in self._sent_of

    def filled_in(self, session: str) -> list[tuple[int, str]]:
        """Decision times and symbols with a filled order of a session, each once."""
        found: dict[tuple[int, str], None] = {}
        for (scheduled_ns, symbol), identities in self._decided.items():
            for identity in identities:
                order = self._orders[identity]
                if order.state is OrderState.FILLED and order.intent.session == session:
                    found[scheduled_ns, symbol] = None
        return list(found)

    def own_prices(self, symbol: str, *, without: str = "") -> tuple[int, int]:
        """Dearest price at which working orders buy, cheapest at which they sell; 0 = none does."""
        buys, sells = [0], []
        for order in self.unfinished(symbol):
            intent = order.intent
            if order.state not in WORKING or intent.client_order_id == without:
                continue
            limited = intent.order_type in WITH_LIMIT
            if intent.side is Side.BUY:
                buys.append(intent.limit_micro if limited else ANY_BUY_MICRO)
            else:
                sells.append(intent.limit_micro if limited else ANY_SELL_MICRO)
        return max(buys), min(sells, default=0)

    def contents_after(self, at_ns: int, *, symbol: str = "", without: str = "") -> set[str]:
        """Content fingerprints of the orders sent after a moment, of one symbol or of all."""
        groups = [self._sent_of.get(symbol, {})] if symbol else list(self._sent_of.values())
        return {
            content_fingerprint(order.intent)
            for group in groups
            for identity, order in group.items()
            if order.sent_at_ns > at_ns and identity != without
        }

    def _count_sent(self, before: Order | None, order: Order) -> None:
        """Keep the log of what was sent."""
        identity, at_ns = order.intent.client_order_id, order.sent_at_ns
        if before is not None and before.sent_at_ns == at_ns and before.intent == order.intent:
            return
        if before is not None and before.sent_at_ns:
            self._uncount(before)
        if at_ns:
            insort(self._sent, (at_ns, identity))
            sent = self._counts[identity] = counted(order)
            if at_ns > self._window[0]:
                self._window = (self._window[0], self._window[1] + sent.value_micro)
            tally = self._sessions.setdefault(order.intent.session, SentInSession())
            tally.orders[sent.symbol] = tally.orders.get(sent.symbol, 0) + 1
            tally.value_micro += sent.value_micro

    def _uncount(self, order: Order) -> None:
        """Take an order out of the log of what was sent."""
        identity = order.intent.client_order_id
        self._sent.pop(bisect_right(self._sent, (order.sent_at_ns, identity)) - 1)
        gone, session = self._counts.pop(identity), order.intent.session
        if gone.at_ns > self._window[0]:
            self._window = (self._window[0], self._window[1] - gone.value_micro)
        tally = self._sessions[session]
        tally.value_micro -= gone.value_micro
        tally.orders[gone.symbol] -= 1
        if not any(tally.orders.values()):
            del self._sessions[session]

    def _count_working(self, symbol: str) -> None:
        shares = {Side.BUY: 0, Side.SELL: 0}
        for order in self._unfinished.get(symbol, {}).values():
            if order.state in WORKING:
                shares[order.intent.side] += order.leaves_nano // NANO
        if any(shares.values()):
            self._working[symbol] = (shares[Side.BUY], shares[Side.SELL])
        else:
            self._working.pop(symbol, None)

    @staticmethod
    def _drop(groups: dict[Any, dict[str, Any]], key: Any, identity: str) -> None:
        group = groups.get(key)
        if group is not None:
            group.pop(identity, None)
            if not group:
                del groups[key]


def counted(order: Order) -> Sent:
    """What an order counts for in windows, by the kernel that counts it within a cycle."""
    intent = order.intent
    values = OrderValues(
        int(intent.side), intent.shares, int(intent.order_type), intent.limit_micro, intent.reference_micro,
        0, 0, 0, intent.stop_micro, int(intent.time_in_force),
    )  # fmt: skip
    return Sent(order.sent_at_ns, intent.symbol, intent.shares, int(ordered_micro(values)))
