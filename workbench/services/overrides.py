"""One denied order let go once: by two people, for minutes, and never beyond a hard limit.

Only denials about the quality of a trade can be lifted. The order goes out as a leg of its own with the
terms that were denied; every other control, the permission and the approvals judge it as any other order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from workbench.core.approvals import OVERRIDABLE
from workbench.core.orders import Order, OrderIntent, OrderState, client_order_id
from workbench.core.ports import Clock, Event, Journal
from workbench.core.types import NANO
from workbench.errors import Refused
from workbench.services.oms import Oms
from workbench.services.two_people import Agreement, TwoPeople

#: Name of the leg that an override lets go.
OVERRIDE: Final = "override"
#: How long an override can be used.
OVERRIDE_LIFE_S: Final = 15 * 60


class Overriding:
    """The people's side: two of them lift the denial of one order.

    Parameters
    ----------
    journal : Journal
    two : TwoPeople
    account, config_hash : str
    wall_ns : callable () -> int
        Wall-clock time, UTC nanoseconds.
    """

    def __init__(
        self,
        journal: Journal,
        two: TwoPeople,
        *,
        account: str,
        config_hash: str,
        wall_ns: Callable[[], int],
    ) -> None:
        self._journal, self._two = journal, two
        self._account, self._config_hash, self._wall_ns = account, config_hash, wall_ns

    def agree(
        self, order_id: str, *, person: str, reason: str, typed: str = ""
    ) -> tuple[tuple[str, ...], Agreement | None]:
        """The denials that are lifted, and the agreement; None after the first person's word.

        Raises
        ------
        Refused
            The order was not denied, for a reason that nobody may lift, or its session is over.
        ApprovalRequired
            It takes another person, or more time.
        """
        codes = self._liftable(order_id)
        subject = f"override {order_id}"
        asked = [one for one in self._two.waiting() if one["subject"] == subject]
        if not asked:
            self._two.ask(subject, person=person, reason=reason)
            return codes, None
        first, now_ns = str(asked[0]["first"]), self._wall_ns()
        granted = {
            "client_order_id": order_id, "account": self._account, "codes": list(codes),
            "request_id": asked[0]["request_id"], "first": first, "second": person,
            "weaker": first == person, "reason": reason, "under": self._config_hash,
            "granted_wall_ns": now_ns, "expires_wall_ns": now_ns + OVERRIDE_LIFE_S * NANO,
        }  # fmt: skip
        also = [Event("override.granted", granted)]
        return codes, self._two.confirm(subject, person=person, reason=reason, typed=typed, also=also)

    def _liftable(self, order_id: str) -> tuple[str, ...]:
        rows = self._journal.rows("orders", client_order_id=order_id, account=self._account)
        if not rows or rows[0]["state"] != OrderState.DENIED.value:
            what = f"is {rows[0]['state']}, not denied" if rows else f"is no order of {self._account}"
            raise Refused(f"{order_id} {what}", next_step="name a denied order in full: `workbench status`")
        codes = tuple(str(rows[0]["reason"]).split(","))
        if hard := [code for code in codes if code not in OVERRIDABLE]:
            raise Refused(
                f"{order_id} was denied for {', '.join(hard)}: nobody may lift that",
                next_step=f"only {', '.join(sorted(OVERRIDABLE))} can be lifted",
                codes=codes,
            )
        if self._journal.rows("sessions", account=self._account, session=rows[0]["session"]):
            raise Refused(f"the session of {order_id} is closed", next_step="let the next decision decide")
        if self._journal.rows("overrides", client_order_id=order_id):
            raise Refused(f"{order_id} was let go once already", next_step="let the next decision decide")
        return codes


class Overrides:
    """The loop's side: sends what two people let go, once and in time.

    Parameters
    ----------
    journal, clock
        Ports.
    oms : Oms
    account, session, config_hash : str
    intend : callable (OrderIntent, decision id, codes) -> Order
        Journals a leg with its verdict.
    controls : callable (Order) -> tuple of str
        Denial codes of the pre-trade controls.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        clock: Clock,
        oms: Oms,
        account: str,
        session: str,
        config_hash: str,
        intend: Callable[[OrderIntent, str, tuple[str, ...]], Order],
        controls: Callable[[Order], tuple[str, ...]],
    ) -> None:
        self._journal, self._clock, self._oms = journal, clock, oms
        self._account, self._session, self._config_hash = account, session, config_hash
        self._intend, self._controls = intend, controls

    def judge(self, order: Order) -> tuple[str, ...]:
        """Denial codes of the controls, less those that two people lifted for this very order."""
        codes = self._controls(order)
        if not codes or order.intent.leg != OVERRIDE:
            return codes
        lifted = self._lifted(order.intent)
        return tuple(code for code in codes if code not in lifted)

    def proceed(self) -> int:
        """Journal and send each leg that two people let go; returns how many were made.

        Raises
        ------
        TradingHalted, LeaseLost
            As from `Oms.send`.
        """
        made = 0
        for row in self._journal.rows("overrides", account=self._account):
            denied = self._oms.orders.get(str(row["client_order_id"]))
            if denied is None or denied.intent.session != self._session:
                continue
            intent = _leg(denied.intent)
            known = self._oms.orders.get(intent.client_order_id)
            if known is None and self._holds(row) and not self._oms.orders.unfinished(intent.symbol):
                (parent,) = self._journal.rows("orders", client_order_id=denied.intent.client_order_id)
                codes = self.judge(Order(intent, OrderState.INTENDED))
                known = self._intend(intent, str(parent["decision_id"]), codes)
                made += 1
            if known is not None and known.state is OrderState.INTENDED:
                self._oms.send(intent.client_order_id)
        return made

    def _lifted(self, intent: OrderIntent) -> frozenset[str]:
        denied = self._oms.orders.get(intent.parent_id)
        rows = self._journal.rows("overrides", client_order_id=intent.parent_id)
        if denied is None or not rows or _leg(denied.intent) != intent or not self._holds(rows[0]):
            return frozenset()
        return OVERRIDABLE & frozenset(rows[0]["codes"])

    def _holds(self, row: dict[str, Any]) -> bool:
        in_time = row["granted_wall_ns"] <= self._clock.wall_ns() < row["expires_wall_ns"]
        return in_time and (row["account"], row["under"]) == (self._account, self._config_hash)


def _leg(denied: OrderIntent) -> OrderIntent:
    """The denied order once more, as a leg that continues it."""
    identity = client_order_id(denied.account, denied.strategy, denied.scheduled_ns, denied.symbol, OVERRIDE)
    return replace(denied, client_order_id=identity, leg=OVERRIDE, parent_id=denied.client_order_id)
