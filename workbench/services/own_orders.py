"""Orders of one account by id, with what a last look asks of them kept beside: every change passes here.

A look before each request must not walk over all orders of the account's life. What it needs (what is
unfinished, what was sent lately, what belongs to one decision) is kept up to date by the one door through
which an order changes, so it cannot differ from a fold over all of them.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, ValuesView
from typing import Any

from workbench.core.orders import TERMINAL, WORKING, Order
from workbench.core.pretrade import content_fingerprint
from workbench.core.types import NANO, Side


class OwnOrders(MutableMapping[str, Order]):
    """Orders by `client_order_id`, oldest first; no order is ever removed.

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
        self._sent: list[int] = []  # moments, ascending
        self._sent_of: dict[str, dict[str, Order]] = {}  # symbol -> id -> order
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
        if before is None:
            scheduled_ns = order.intent.scheduled_ns
            self._decided.setdefault((scheduled_ns, symbol), {})[identity] = None
            self._decisions.setdefault(scheduled_ns, {})[identity] = None
        if order.state in TERMINAL:
            self._drop(self._unfinished, symbol, identity)
        else:
            self._unfinished.setdefault(symbol, {})[identity] = order
        self._count_working(symbol)
        if before is not None and before.sent_at_ns and before.sent_at_ns != order.sent_at_ns:
            self._sent.pop(bisect_right(self._sent, before.sent_at_ns) - 1)
        if order.sent_at_ns:
            if before is None or before.sent_at_ns != order.sent_at_ns:
                insort(self._sent, order.sent_at_ns)
            self._sent_of.setdefault(symbol, {})[identity] = order
        else:
            self._drop(self._sent_of, symbol, identity)

    def __delitem__(self, identity: str) -> None:
        raise TypeError(f"order {identity}: what was ordered stays")

    def __iter__(self) -> Iterator[str]:
        return iter(self._orders)

    def __len__(self) -> int:
        return len(self._orders)

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

    def sent_after(self, at_ns: int, *, without: str = "") -> int:
        """How many orders were sent after a moment, one left out by its id."""
        count = len(self._sent) - bisect_right(self._sent, at_ns)
        skipped = self._orders.get(without)
        return count - (skipped is not None and skipped.sent_at_ns > at_ns and bool(skipped.sent_at_ns))

    def contents_after(self, at_ns: int, *, symbol: str = "", without: str = "") -> set[str]:
        """Content fingerprints of the orders sent after a moment, of one symbol or of all."""
        groups = [self._sent_of.get(symbol, {})] if symbol else list(self._sent_of.values())
        return {
            content_fingerprint(order.intent)
            for group in groups
            for identity, order in group.items()
            if order.sent_at_ns > at_ns and identity != without
        }

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
    def _drop(groups: dict[str, dict[str, Any]], symbol: str, identity: str) -> None:
        group = groups.get(symbol)
        if group is not None:
            group.pop(identity, None)
            if not group:
                del groups[symbol]
