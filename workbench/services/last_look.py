"""The last look before a request leaves: permission, lease, ticket, runner, halts, controls."""

from __future__ import annotations

from collections.abc import Callable

from workbench.core.ledger import Ledger
from workbench.core.orders import Order
from workbench.errors import TradingHalted
from workbench.services.authority import Authority
from workbench.services.supervision import REDUCING, Supervision


class LastLook:
    """Says of one order about to leave whether it may; it can only deny what was allowed before.

    Parameters
    ----------
    supervision, authority
        State of the account, and the right of this process to send.
    session : str
        The only session whose orders may leave.
    ledger : callable () -> Ledger
    controls : callable (Order) -> tuple of str
        Denial codes of the pre-trade controls at this moment; () permits.
    model_id : str
        The model that decides; "" = not known, so that a halt of any model denies.
    """

    def __init__(
        self,
        *,
        supervision: Supervision,
        authority: Authority,
        session: str,
        ledger: Callable[[], Ledger],
        controls: Callable[[Order], tuple[str, ...]],
        model_id: str = "",
    ) -> None:
        self._supervision = supervision
        self._authority = authority
        self._session = session
        self._ledger = ledger
        self._controls, self._model_id = controls, model_id

    def __call__(self, order: Order) -> tuple[str, ...]:
        """Denial codes, () = the request may leave.

        Raises
        ------
        TradingHalted, LeaseLost, Refused
            Nothing may leave.
        """
        permission = self._supervision.require(risk_reducing=True)
        self._authority.require(permission)
        held_nano = self._ledger().positions_nano.get(order.intent.symbol, 0)
        after_nano = held_nano + order.intent.side * order.intent.quantity_nano
        reduces = held_nano * after_nano >= 0 and abs(after_nano) < abs(held_nano)
        if permission.state == REDUCING and not reduces:
            return (REDUCING,)
        stopped = (
            halt.denies(order.intent, reduces=reduces, model_id=self._model_id) for halt in permission.halts
        )
        if words := tuple(word for word in stopped if word):
            return words
        if order.intent.session != self._session:
            raise TradingHalted(f"order {order.intent.client_order_id} belongs to {order.intent.session}")
        return self._controls(order)
