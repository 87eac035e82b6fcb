"""Close every position by our own orders, and prove by reconciled positions that the account is flat.

Only a registered person's word starts it, the lease is held, every order passes the last look and all
pre-trade controls, and only orders that reduce a position can leave. Symbols of unresolved orders, and those
whose position here and at the venue differ, are named and left alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from workbench.core.costs import CostModel
from workbench.core.orders import Order, OrderIntent, OrderState, client_order_id
from workbench.core.ports import Clock
from workbench.core.pretrade import DenialCode, Limits
from workbench.core.pretrade.market import OPEN_CUTOFF_NS
from workbench.core.pretrade.values import UNLIMITED_CUSHION_BPS
from workbench.core.types import MICRO, NANO, OrderType, Side, Snapshot, from_micro, to_micro
from workbench.errors import Refused, TradingHalted, WorkbenchError
from workbench.services.oms import Oms
from workbench.services.reconciler import Reconciler
from workbench.services.supervision import Supervision

LEG = "flatten"
#: The decision that flatten orders belong to.
DECISION = "flatten"
BY_HAND = "docs/runbooks/flatten-by-hand.md"


@dataclass(frozen=True)
class Left:
    """A position that was not closed, and why."""

    symbol: str
    shares: float
    reason: str


@dataclass(frozen=True)
class FlattenReport:
    """What a flatten came to.

    Attributes
    ----------
    flat : bool
        True only when a clean reconciliation shows no position at all.
    orders : tuple of str
        Ids of the orders that were sent.
    left : tuple of Left
        What is still held.
    breaks : tuple of str
        What the last reconciliation found.
    """

    flat: bool
    orders: tuple[str, ...] = ()
    left: tuple[Left, ...] = ()
    breaks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Hours:
    """The session in which it is done, UTC nanoseconds; nothing is waited for beyond `until_ns`."""

    session: str
    open_ns: int
    close_ns: int
    until_ns: int
    nap_ns: int


class Flatten:
    """One flatten of one account.

    Parameters
    ----------
    clock, oms, reconciler, supervision
        Of a process that holds the lease.
    account, strategy : str
    hours : Hours
    limits : Limits
    cost_model : CostModel
        For the expected cost that the controls want to know; it decides nothing here.
    snapshot : callable (session, now_ns) -> Snapshot
        What is known now.
    judge : callable (Order) -> tuple of str
        Denial codes of all pre-trade controls, now.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        oms: Oms,
        reconciler: Reconciler,
        supervision: Supervision,
        account: str,
        strategy: str,
        hours: Hours,
        limits: Limits,
        cost_model: CostModel,
        snapshot: Callable[[str, int], Snapshot],
        judge: Callable[[Order], tuple[str, ...]],
    ) -> None:
        self._clock = clock
        self._oms, self._reconciler, self._supervision = oms, reconciler, supervision
        self._account, self._strategy = account, strategy
        self._hours, self._limits, self._cost_model = hours, limits, cost_model
        self._snapshot, self._judge = snapshot, judge
        self._why: dict[str, str] = {}
        self._sent: list[str] = []

    def run(self, *, person: str, reason: str, code_hash: str) -> FlattenReport:
        """Send what closes each position, wait for it, reconcile; the account is HALTED afterwards.

        Raises
        ------
        Refused
            The person may not act, or cash or account differ, so that nothing can be believed.
        TradingHalted
            A wider halt lets no reduction pass.
        """
        self._oms.recover()
        breaks = self._reconciler.reconcile(session=self._hours.session)
        if whole := [found for found in breaks if not found.symbol]:
            raise Refused(
                f"the account is not reconciled ({whole[0].kind}): no position can be believed",
                next_step=f"workbench reconcile; or by hand at the venue: {BY_HAND}",
            )
        self._why |= {found.symbol: f"not reconciled: {found.kind}" for found in breaks}
        self._why |= {
            order.intent.symbol: f"{order.state}: never flattened" for order in self._oms.unresolved()
        }
        epoch = self._supervision.permission().epoch
        self._supervision.permit_flatten(person=person, reason=reason, code_hash=code_hash, after_epoch=epoch)
        try:
            self._close_all()
        except TradingHalted as error:  # somebody halted again: what was sent is waited for no longer
            self._why |= dict.fromkeys(self._held(), error.message)
        finally:
            self._supervision.halt(f"flatten ended: {reason}", cause="person", person=person)
        return self._proven()

    # --- sending ---------------------------------------------------------------------------------

    def _held(self) -> dict[str, int]:
        """Positions in 1e-9 shares, signed."""
        return {symbol: nano for symbol, nano in self._oms.ledger.positions_nano.items() if nano}

    def _close_all(self) -> None:
        began_ns, hours = self._clock.now_ns(), self._hours
        while True:
            now_ns = self._clock.now_ns()
            if self._may_send(now_ns) and (due := self._due()):
                snapshot = self._snapshot(hours.session, now_ns)
                legs = [self._intend(symbol, snapshot, began_ns, now_ns) for symbol in due]
                self._send([identity for identity in legs if identity])
            if now_ns >= hours.until_ns or not (self._due() or self._waiting()):
                return
            self._clock.sleep_until(min(now_ns + hours.nap_ns, hours.until_ns))
            self._oms.poll(since_ns=began_ns - NANO)

    def _may_send(self, now_ns: int) -> bool:
        """Whether there is an order type for this moment; just before the open there is none."""
        return not self._hours.open_ns - OPEN_CUTOFF_NS <= now_ns < self._hours.open_ns

    def _due(self) -> list[str]:
        """Symbols that are held, whole, resolved and without an order under way."""
        free = {symbol for symbol in self._held() if not self._oms.orders.unfinished(symbol)}
        return sorted(symbol for symbol in free - self._why.keys())

    def _waiting(self) -> bool:
        return any(self._oms.orders.unfinished(symbol) for symbol in self._held().keys() - self._why.keys())

    def _intend(self, symbol: str, snapshot: Snapshot, began_ns: int, now_ns: int) -> str:
        """Journal the next leg with its verdict; its id, "" when it may not be sent."""
        intent = self._intent(symbol, snapshot, began_ns, now_ns)
        if intent is None:
            return ""
        codes = self._judge(Order(intent, OrderState.INTENDED))
        if codes == (DenialCode.RATE.name,):
            return ""  # a minute has room for so many; the next round asks again
        self._oms.intend(intent, DECISION, codes)
        if codes:
            self._why[symbol] = ", ".join(codes)
            return ""
        return intent.client_order_id

    def _intent(self, symbol: str, snapshot: Snapshot, began_ns: int, now_ns: int) -> OrderIntent | None:
        held_nano = self._held()[symbol]
        if symbol not in snapshot.symbols:
            self._why[symbol] = "not in the universe, so nothing is known of it"
            return None
        at = snapshot.symbols.index(symbol)
        shares = self._slice(abs(held_nano) // NANO, snapshot, at)
        if not shares:
            self._why[symbol] = "less than a share, or no size that the limits allow"
            return None
        former = self._oms.orders.of_decision(began_ns, symbol)  # of a replay's former flatten, too
        leg = f"{LEG} {len(former) + 1}" if former else LEG
        side = Side.SELL if held_nano > 0 else Side.BUY
        expected = self._cost_model.expected_bps(
            symbol, side.word, shares, adv=float(snapshot.adv_shares[at]),
            volatility_bps=float(snapshot.volatility_bps[at]),
            half_spread_bps=float(snapshot.half_spread_bps[at]),
            price=from_micro(int(snapshot.price_micro[at])),
        ).mean  # fmt: skip
        before_open = now_ns < self._hours.open_ns
        return OrderIntent(
            client_order_id(self._account, self._strategy, began_ns, symbol, leg), self._account,
            self._strategy, self._hours.session, began_ns, symbol, leg, side, shares * NANO,
            OrderType.MARKET_ON_OPEN if before_open else OrderType.MARKET, 0, int(snapshot.price_micro[at]),
            expected_cost_micro=to_micro(expected / 1e4) if math.isfinite(expected) else 0,
            parent_id=former[-1].intent.client_order_id if former else "",
        )  # fmt: skip

    def _slice(self, shares: int, snapshot: Snapshot, at: int) -> int:
        """The most shares that one order may have; 0 when price or volume is not known."""
        price, volume = int(snapshot.price_micro[at]), float(snapshot.adv_shares[at])
        if price <= 0 or not np.isfinite(volume):
            return 0
        worst = price * (1.0 + UNLIMITED_CUSHION_BPS / 1e4) * 1.01
        by_value = int(self._limits.max_order_notional_usd * MICRO / worst)
        by_volume = int(self._limits.max_participation * volume)
        return max(min(shares, self._limits.max_order_shares, by_value, by_volume), 0)

    def _send(self, identities: list[str]) -> None:
        """Send the legs just journalled; one that never left is not sent again here."""
        for order in self._oms.send_many(identities):
            self._sent.append(order.intent.client_order_id)
            if order.state in (
                OrderState.DENIED,
                OrderState.REJECTED,
                OrderState.NOT_ACCEPTED,
                OrderState.UNKNOWN,
            ):
                self._why[order.intent.symbol] = f"{order.state}: {order.reason}"

    # --- proof -----------------------------------------------------------------------------------

    def _proven(self) -> FlattenReport:
        try:
            breaks = self._reconciler.reconcile(session=self._hours.session)
            words = tuple(f"{found.kind} {found.symbol}".strip() for found in breaks)
        except WorkbenchError as error:
            words = (error.message,)
        left = tuple(
            Left(symbol, nano / NANO, self._why.get(symbol, "its order has not filled in time"))
            for symbol, nano in sorted(self._held().items())
        )
        frozen = tuple(
            Left(order.intent.symbol, 0.0, f"{order.state}: may still fill")
            for order in self._oms.working()
            if order.intent.symbol not in self._held()
        )
        flat = not (left or frozen or words)
        return FlattenReport(flat, tuple(self._sent), (*left, *frozen), words)
