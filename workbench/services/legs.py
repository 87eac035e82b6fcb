"""Legs that follow a leg: slices and flips by themselves, remainders when asked for.

Each leg is journalled with its verdict before it is sent, under the id that its name gives it. A process
that dies in between finds either the former leg alone, and makes the same next one, or the next one as
intended, and sends it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from workbench.core.corporate import activity_of
from workbench.core.ledger import SECURITIES, Ledger
from workbench.core.legs import in_sequence, next_leg, remainder_name
from workbench.core.orders import Order, OrderIntent, OrderState, client_order_id
from workbench.core.ports import Journal
from workbench.core.types import NANO, OrderType, Side, TimeInForce
from workbench.errors import Refused, TradingHalted
from workbench.services.oms import Oms


class Legs:
    """Makes, journals and sends the next legs of an account's decisions.

    Parameters
    ----------
    journal : Journal
    oms : Oms
    account, strategy, session : str
        Of the decisions that are continued.
    judge : callable (Order) -> tuple of str
        Denial codes of a leg, now; () = allowed.
    intend : callable (OrderIntent, decision id, codes) -> Order
        Journals a leg with its verdict; it may have to wait for a person.
    max_slice_shares : int
        Most shares of one order.
    allow_short : bool
    now_ns : callable () -> int
        Trading time: a slice of a schedule is not made before it falls due.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        oms: Oms,
        account: str,
        strategy: str,
        session: str,
        judge: Callable[[Order], tuple[str, ...]],
        intend: Callable[[OrderIntent, str, tuple[str, ...]], Order],
        max_slice_shares: int,
        allow_short: bool,
        now_ns: Callable[[], int],
    ) -> None:
        self._journal = journal
        self._oms = oms
        self._account, self._strategy, self._session = account, strategy, session
        self._judge, self._intend = judge, intend
        self._max_slice_shares = max_slice_shares
        self._allow_short, self._now_ns = allow_short, now_ns
        self._looked: tuple[int, Ledger | None] = (-1, None)
        self._waits = False

    def proceed(self) -> int:
        """Send every leg that is due; returns how many were journalled.

        A halt stops the sending and is no error here: what is journalled waits for a person.
        """
        orders = self._oms.orders
        at = (orders.changes, self._oms.ledger)
        if at[0] == self._looked[0] and at[1] is self._looked[1]:
            return 0  # only a filled leg has a successor, from where the ledger says; no slice waits
        made, self._waits = 0, False
        due: dict[int, set[str]] = {}
        for scheduled_ns, symbol in orders.filled_in(self._session):
            due.setdefault(scheduled_ns, set()).add(symbol)
        for scheduled_ns, symbols in sorted(due.items()):
            for decision in self._journal.rows(
                "decisions", account=self._account, strategy=self._strategy, session=self._session,
                scheduled_ns=scheduled_ns,
            ):  # fmt: skip
                for row in sorted(decision["rows"], key=lambda row: str(row["symbol"])):
                    if row["delta_shares"] and row["symbol"] in symbols:
                        made += self._proceed(decision, row)
        self._looked = (-1, None) if self._waits else at
        return made

    def _proceed(self, decision: dict[str, Any], row: dict[str, Any]) -> int:
        symbol, target = str(row["symbol"]), int(str(row["target_shares"]))
        start = target - int(str(row["delta_shares"]))
        legs = self._of(decision["scheduled_ns"], symbol)
        if not legs:
            return 0
        planned = row.get("slices", ())
        if len(legs) < len(planned) and self._now_ns() < planned[len(legs)][1]:
            self._waits = True  # time alone makes it due
            return 0
        leg = next_leg(
            start, target, legs, max_slice_shares=self._max_slice_shares, allow_short=self._allow_short,
            planned=[shares for shares, _ in planned],
        )  # fmt: skip
        filled = sum(int(order.intent.side) * order.filled_nano for order in legs)
        held = self._oms.ledger.positions_nano.get(symbol, 0)
        if (
            leg is None or held != start * NANO + filled
        ):  # another hand moved the position: the change is over
            return 0
        if self._split_since(
            symbol, decision["added_seq"]
        ):  # the target counts in old shares: so is this one
            return 0
        intent = _following(legs[-1].intent, leg.name, side=leg.side, quantity_nano=leg.shares * NANO)
        if planned and intent.order_type is OrderType.MARKET_ON_OPEN:
            intent = replace(intent, order_type=OrderType.MARKET)  # the auction has been
        self._send(self._allocate(replace(intent, session=self._session), decision["decision_id"]))
        return 1

    def remainder(
        self,
        client_order_id: str,
        *,
        order_type: OrderType,
        limit_micro: int,
        stop_micro: int,
        time_in_force: TimeInForce,
    ) -> Order:
        """Send what a cancelled or expired order left, as a new leg; asked twice, it is one leg.

        Raises
        ------
        Refused
            The order still works, was never accepted, left nothing, a split came after it was decided, or
            another order of its symbol is open.
        """
        parent = self._oms.orders.get(client_order_id)
        if parent is None:
            raise Refused(
                f"no order {client_order_id} counts here any more",
                next_step="name one of this session, or decide anew",
            )
        for order in self._oms.orders.values():
            if order.intent.parent_id == client_order_id:
                if order.state is OrderState.INTENDED:
                    self._send(order)
                return self._oms.orders[order.intent.client_order_id]
        left_nano = parent.intent.quantity_nano - parent.filled_nano
        if parent.state not in (OrderState.CANCELED, OrderState.EXPIRED) or not left_nano:
            raise Refused(
                f"order {client_order_id} is {parent.state} with {left_nano // NANO} shares left: "
                "it has no remainder",
                next_step="cancel it and wait until the venue says that it is cancelled",
            )
        symbol = parent.intent.symbol
        (row,) = self._journal.rows("orders", client_order_id=client_order_id)
        if self._split_since(symbol, row["added_seq"]):
            raise Refused(
                f"a split of {symbol} was booked after order {client_order_id} was decided: its size or its "
                "reference price counts in old shares",
                next_step="let the next decision decide anew; what is left of this one is over",
            )
        if self._oms.orders.unfinished(symbol):
            raise Refused(
                f"another order of {symbol} is not finished",
                next_step="wait for it, or cancel it; one order of a symbol at a time",
            )
        legs = self._of(parent.intent.scheduled_ns, symbol)
        intent = _following(
            parent.intent, remainder_name(legs), side=parent.intent.side, quantity_nano=left_nano
        )
        intent = replace(
            intent, session=self._session, order_type=order_type, limit_micro=limit_micro,
            stop_micro=stop_micro, time_in_force=time_in_force,
        )  # fmt: skip
        return self._send(self._allocate(intent, str(row["decision_id"])))

    def _split_since(self, symbol: str, seq: int) -> bool:
        """Whether a split of the symbol was booked after an event of the journal.

        By the journal's order, not by time: a split heard late has found a decision in old terms too. Of
        the activities only a split has a line of securities, one without quantity where nothing was held.
        """
        lines = self._journal.rows("postings", account=self._account, ledger_account=SECURITIES + symbol)
        return any(line["added_seq"] > seq and activity_of(line["entry_id"]) for line in lines)

    def _of(self, scheduled_ns: int, symbol: str) -> tuple[Order, ...]:
        return in_sequence(self._oms.orders.of_decision(scheduled_ns, symbol))

    def _allocate(self, intent: OrderIntent, decision_id: str) -> Order:
        codes = self._judge(Order(intent, OrderState.INTENDED))
        return self._intend(intent, decision_id, codes)

    def _send(self, order: Order) -> Order:
        if order.state is not OrderState.INTENDED:
            return order
        try:
            return self._oms.send(order.intent.client_order_id)
        except TradingHalted:
            return order


def _following(former: OrderIntent, name: str, *, side: Side, quantity_nano: int) -> OrderIntent:
    identity = client_order_id(former.account, former.strategy, former.scheduled_ns, former.symbol, name)
    return replace(
        former, client_order_id=identity, leg=name, side=side, quantity_nano=quantity_nano,
        parent_id=former.client_order_id,
    )  # fmt: skip
