"""Ending what is open at a venue: what such a command asks of it, in which order, and what it reports."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

from workbench.core.orders import ID_PREFIX
from workbench.core.ports import SubmitResult, VenueOrder
from workbench.core.types import NANO


@dataclass(frozen=True)
class OpenOrder:
    """An order that the venue lists, with what is needed to rank it and to find it again.

    Attributes
    ----------
    order : VenueOrder
    price_micro : int
        Its limit or stop price; 0 = it has none.
    submitted_ns : int
        When the venue took it, UTC nanoseconds.
    """

    order: VenueOrder
    price_micro: int
    submitted_ns: int

    @property
    def identity(self) -> str:
        """The client's id of the order."""
        return self.order.client_order_id

    @property
    def ours(self) -> bool:
        """Whether the id is one that only this program gives."""
        return self.identity.startswith(ID_PREFIX)

    @property
    def leaves_nano(self) -> int:
        """Quantity that may still be filled, 1e-9 shares."""
        return max(self.order.quantity_nano - self.order.filled_nano, 0)

    @property
    def exposure_micro(self) -> int:
        """What may still be filled, at its own price, micros; 0 when it has no price."""
        return self.leaves_nano * self.price_micro // NANO


def by_exposure(orders: Iterable[OpenOrder]) -> tuple[OpenOrder, ...]:
    """Largest exposure first; an order without a price may cost anything and comes before all others."""
    return tuple(
        sorted(
            orders,
            key=lambda one: (one.price_micro > 0, -one.exposure_micro, -one.leaves_nano, one.identity),
        )
    )


class OpenOrders(Protocol):
    """What is open at one account of a venue, and the ways to end it; needs no lease and sends no order."""

    def listed(self) -> tuple[OpenOrder, ...]:
        """Every open order of the account, whoever sent it; OutcomeUnknown without a whole list."""
        ...

    def cancel_all(self) -> SubmitResult:
        """Ask once for the end of everything that is open; only `read_back` proves it."""
        ...

    def cancel(self, order: OpenOrder) -> SubmitResult:
        """Ask for the end of one order; only `read_back` proves it."""
        ...

    def read_back(self, orders: Sequence[OpenOrder]) -> dict[str, VenueOrder]:
        """The orders as the venue shows them now, by client id; one that it does not show is left out."""
        ...


@dataclass(frozen=True)
class Residual:
    """An order of which nobody has shown that it ended; it counts as open.

    Attributes
    ----------
    shown : bool
        Whether the venue has shown it since the halt began; one that it has not may never have arrived.
    """

    client_order_id: str
    symbol: str
    side: str
    leaves_shares: int
    exposure_micro: int
    state: str
    reason: str
    shown: bool = False


def residual_of(order: OpenOrder, reason: str, *, shown: bool = False) -> Residual:
    """The order as a line of the report."""
    last = order.order
    return Residual(
        order.identity, last.symbol, last.side.word, order.leaves_nano // NANO, order.exposure_micro,
        str(last.state), reason, shown,
    )  # fmt: skip


@dataclass(frozen=True)
class CancelReport:
    """What a cancel of everything wanted came to.

    Attributes
    ----------
    way : str
        "none" (nothing was open), "all" (one request for everything) or "by id".
    asked : int
        Orders whose end was asked for.
    confirmed : tuple of str
        Ids that the venue shows as ended.
    filled : tuple of str
        Those of them that were filled before the cancel came.
    residuals : tuple of Residual
        Orders of which that is not shown, largest exposure first.
    foreign : tuple of str
        Client ids of open orders that this program has not sent; they are left alone.
    trouble : str
        Why the venue's list could not be had; "" = it could.
    seconds : float
        From the start to the last confirmation.
    """

    way: str = "none"
    asked: int = 0
    confirmed: tuple[str, ...] = ()
    filled: tuple[str, ...] = ()
    residuals: tuple[Residual, ...] = ()
    foreign: tuple[str, ...] = ()
    trouble: str = ""
    seconds: float = 0.0

    @property
    def proven(self) -> bool:
        """Whether every wanted order is shown to have ended."""
        return not self.residuals and not self.trouble

    def payload(self) -> dict[str, Any]:
        """As the journal keeps it: no floats."""
        found = asdict(replace(self, seconds=0.0))
        del found["seconds"]
        residuals = [asdict(one) for one in self.residuals]
        return {**found, "residuals": residuals, "milliseconds": round(self.seconds * 1_000)}
