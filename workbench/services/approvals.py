"""Orders that wait for a person inside the trading loop: asked for, approved or declined, sent or not.

The request is in the transaction of the decision. The loop looks for the answer while it watches; an order
that was declined, or whose request expired, is never sent. Before an approved one leaves, everything that
the person agreed to is compared once more: the order's bytes, settings, signature, time and quote. The
journal itself refuses SENT of a waiting order without an approval, and an approval is used up by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from workbench.core import approvals
from workbench.core.approvals import ApprovalRules, QuoteSeen, bound_hash, quote_moved, why_it_waits
from workbench.core.orders import Order, OrderIntent, OrderState
from workbench.core.ports import Broker, Clock, Event, Journal, Lease
from workbench.core.signed_acts import subject_hash
from workbench.core.types import NANO
from workbench.services.oms import Oms
from workbench.services.people import APPROVER, People
from workbench.services.records import intent_payload, order_change

#: How often the loop looks for the answers of people while something waits for them.
ANSWER_EVERY_NS = 15 * NANO
#: The verdict under which an order can wait; a denied one does not.
ALLOWED = "allowed"


class Approvals:
    """The waiting orders of one account's session.

    Parameters
    ----------
    journal, broker, clock
        Ports.
    people : People
        Proves who approved.
    rules : ApprovalRules
    account, config_hash : str
    oms : callable () -> Oms
    lease : callable () -> Lease
    """

    def __init__(
        self,
        *,
        journal: Journal,
        broker: Broker,
        clock: Clock,
        people: People,
        rules: ApprovalRules,
        account: str,
        config_hash: str,
        oms: Callable[[], Oms],
        lease: Callable[[], Lease],
    ) -> None:
        self._journal, self._broker, self._clock = journal, broker, clock
        self._people, self._rules = people, rules
        self._account, self._config_hash = account, config_hash
        self._oms, self._lease = oms, lease

    # --- asking ----------------------------------------------------------------------------------

    def hold(self, intents: Iterable[OrderIntent]) -> tuple[dict[str, Order], list[Event]]:
        """The orders that wait, and the events that make them wait; for the intents' own transaction."""
        held: dict[str, Order] = {}
        events: list[Event] = []
        for intent in intents:
            reasons = self._reasons(intent)
            if not reasons:
                continue
            words = f"waits for approval: {'; '.join(reasons)}"
            order, change = order_change(
                Order(intent, OrderState.INTENDED), OrderState.AWAITING_APPROVAL,
                at_ns=self._clock.now_ns(), reason=words,
            )  # fmt: skip
            held[intent.client_order_id] = order
            events += [change, Event("approval.requested", self._request(intent, reasons))]
        if held:
            symbols = ", ".join(order.intent.symbol for order in held.values())
            events.append(self._alert(f"{len(held)} order(s) wait for approval: {symbols}"))
        return held, events

    def intend(self, intent: OrderIntent, decision_id: str, codes: tuple[str, ...]) -> Order:
        """Journal a further leg with its verdict; it waits where such an order has to."""
        oms = self._oms()
        held, events = self.hold(() if codes else (intent,))
        if not held:
            return oms.intend(intent, decision_id, codes)
        intended = Event("order.intended", {**intent_payload(intent, decision_id), "verdict": ALLOWED})
        self._journal.commit([intended, *events], lease=self._lease())
        oms.orders.update(held)
        return held[intent.client_order_id]

    def waiting(self) -> tuple[Order, ...]:
        """Orders that wait for a person."""
        unfinished = self._oms().orders.unfinished()
        return tuple(order for order in unfinished if order.state is OrderState.AWAITING_APPROVAL)

    def pace(self, poll_every_ns: int) -> int:
        """Nanoseconds until the next look: the usual ones, fewer while something waits."""
        return min(poll_every_ns, ANSWER_EVERY_NS) if self.waiting() else poll_every_ns

    # --- answers ---------------------------------------------------------------------------------

    def settle(self, *, at_end: bool = False) -> int:
        """End the waiting of orders that were declined or whose time is over; returns how many.

        Parameters
        ----------
        at_end : bool
            Nothing can be sent any more: all that still wait expire unsent.
        """
        ended = 0
        for order in self.waiting():
            row = self._row(order)
            state, reason = None, ""
            if row is not None and row["state"] == approvals.DECLINED:
                state, reason = OrderState.DECLINED, f"declined by {row['person']}: {row['reason']}"
            elif at_end:
                state, reason = OrderState.EXPIRED_UNSENT, "nobody approved it before its session ended"
            elif row is None or self._clock.wall_ns() >= row["expires_wall_ns"]:
                state, reason = OrderState.EXPIRED_UNSENT, f"{approvals.EXPIRED}: nobody approved it in time"
            if state is not None:
                self._end(order, state, reason)
                ended += 1
        return ended

    def send_approved(self) -> int:
        """Send what a person approved, each after a last look; returns how many were looked at.

        Raises
        ------
        TradingHalted, LeaseLost
            As from `Oms.send`; what was approved keeps waiting.
        """
        asked = 0
        for order in self.waiting():
            row = self._row(order)
            if row is not None and row["state"] == approvals.APPROVED:
                self._oms().send(order.intent.client_order_id)
                asked += 1
        return asked

    def codes(self, order: Order) -> tuple[str, ...]:
        """Why the order may not leave as far as people are concerned; () = it may.

        An order that needs no approval now and never waited passes.
        """
        row = self._row(order)
        if row is None:
            return (approvals.MISSING,) if self._reasons(order.intent) else ()
        if row["state"] not in (approvals.APPROVED, approvals.USED):
            return (approvals.MISSING,)
        seen = quote_of(row["detail"])
        bound = bound_hash(order.intent, quote=seen, verdict=ALLOWED, config_hash=self._config_hash)
        if row["account"] != self._account or bound != row["bound_hash"]:
            return (approvals.ANOTHER,)
        if not row["decided_wall_ns"] <= self._clock.wall_ns() < row["expires_wall_ns"]:
            return (approvals.EXPIRED,)
        if not self._proved(row):
            return (approvals.UNPROVED,)
        moved = quote_moved(seen, self._quote(order.intent.symbol), self._rules.max_quote_move_bps)
        return (approvals.QUOTE_MOVED,) if moved else ()

    # --- inside ----------------------------------------------------------------------------------

    def _reasons(self, intent: OrderIntent) -> tuple[str, ...]:
        traded = self._oms().orders.was_sent(intent.symbol)
        return why_it_waits(intent, self._rules, traded_before=traded)

    def _request(self, intent: OrderIntent, reasons: tuple[str, ...]) -> dict[str, Any]:
        quote = self._quote(intent.symbol)
        wall_ns = self._clock.wall_ns()
        held_nano = self._oms().ledger.positions_nano.get(intent.symbol, 0)
        detail = {
            "bid_micro": quote.bid_micro, "ask_micro": quote.ask_micro, "quote_at_ns": quote.at_ns,
            "asked_ns": self._clock.now_ns(), "position_nano": held_nano, "reasons": list(reasons),
        }  # fmt: skip
        return {
            "approval_id": intent.client_order_id, "account": self._account, "kind": "order",
            "bound_hash": bound_hash(
                intent, quote=quote, verdict=ALLOWED, config_hash=self._config_hash
            ),
            "under": self._config_hash, "asked_wall_ns": wall_ns,
            "expires_wall_ns": wall_ns + self._rules.life_s * NANO, "detail": detail,
        }  # fmt: skip

    def _quote(self, symbol: str) -> QuoteSeen:
        quotes = self._broker.quotes((symbol,))
        if quotes.symbols != (symbol,):
            return QuoteSeen(0, 0, -1)
        return QuoteSeen(int(quotes.bid_micro[0]), int(quotes.ask_micro[0]), int(quotes.at_ns[0]))

    def _row(self, order: Order) -> dict[str, Any] | None:
        rows = self._journal.rows("approvals", approval_id=order.intent.client_order_id)
        return rows[0] if rows else None

    def _proved(self, row: Mapping[str, Any]) -> bool:
        """Whether an approver who may still act said exactly this, with a signature where one is due."""
        person = str(row["person"])
        if person not in self._people.acting() or self._people.role(person) != APPROVER:
            return False
        acts = self._journal.rows("acts", nonce=row["nonce"]) if row["nonce"] else []
        if not acts or not acts[0]["signature"]:
            return not self._people.signatures_required
        said = subject_hash(decision_subject(row, approvals.APPROVED))
        return (
            acts[0]["subject_hash"] == said and acts[0]["person"] == person and self._people.proves(acts[0])
        )

    def _end(self, order: Order, state: OrderState, reason: str) -> None:
        changed, event = order_change(order, state, at_ns=self._clock.now_ns(), reason=reason)
        self._journal.commit([event], lease=self._lease())
        self._oms().orders[order.intent.client_order_id] = changed

    def _alert(self, text: str) -> Event:
        payload = {
            "account": self._account, "code": "APPROVAL_WAITING", "text": text,
            "at_ns": self._clock.now_ns(),
        }  # fmt: skip
        return Event("alert.raised", payload)


def quote_of(detail: Mapping[str, Any]) -> QuoteSeen:
    """The quote that a request shows."""
    return QuoteSeen(int(detail["bid_micro"]), int(detail["ask_micro"]), int(detail["quote_at_ns"]))


def decision_subject(row: Mapping[str, Any], verdict: str) -> dict[str, Any]:
    """What a person signs when deciding a request: its id, account, bytes, end, and the answer."""
    return {
        "approval_id": row["approval_id"], "account": row["account"], "bound_hash": row["bound_hash"],
        "expires_wall_ns": row["expires_wall_ns"], "verdict": verdict,
    }  # fmt: skip
