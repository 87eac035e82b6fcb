"""What the venue knows: cash, shares, orders, executions, prices; and the invariants of money."""

from __future__ import annotations

import hashlib
import itertools
import math
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field, fields

from workbench.core.canonical import sha256_of
from workbench.core.costs import FeeSchedule
from workbench.core.fills import FillParams, bar_half_spread_bps
from workbench.core.orders import WITH_STOP, Fill, OrderState
from workbench.core.ports import Activity, VenueAccount, VenueOrder
from workbench.core.types import NANO, Side, TimeInForce

S = OrderState
WORKING_HERE = (S.ACCEPTED, S.PARTIALLY_FILLED)
MAX_ID_LENGTH = 48


@dataclass(slots=True)
class BookOrder:
    """One accepted order; `triggered_ns` is 0 for a stop that still waits, `filled_today` of this session."""

    client_order_id: str
    venue_order_id: str
    symbol: str
    side: int
    shares: int
    order_type: int
    limit_micro: int
    session: str
    accepted_ns: int
    hold_price_micro: int
    time_in_force: int = 0
    stop_micro: int = 0
    triggered_ns: int = 0
    filled: int = 0
    filled_today: int = 0
    executions: int = 0
    held_micro: int = 0
    state: OrderState = S.ACCEPTED
    reason: str = ""
    shown: VenueOrder | None = field(default=None, repr=False, compare=False)  #: as it was reported last

    @property
    def leaves(self) -> int:
        """Shares that may still be filled."""
        return self.shares - self.filled if self.state in WORKING_HERE else 0

    @property
    def working(self) -> bool:
        """Whether the order is open."""
        return self.state in WORKING_HERE

    @property
    def waits_for_stop(self) -> bool:
        """Whether the order has a stop that nothing has triggered yet."""
        return self.order_type in WITH_STOP and not self.triggered_ns

    @property
    def immediate(self) -> bool:
        """Whether the order lives for one market event only."""
        return self.time_in_force in (TimeInForce.IOC, TimeInForce.FOK)

    def view(self) -> VenueOrder:
        """The order as a broker reports it."""
        shown, quantity_nano, filled_nano = self.shown, self.shares * NANO, self.filled * NANO
        if (
            shown is None
            or shown.state is not self.state
            or shown.filled_nano != filled_nano
            or shown.quantity_nano != quantity_nano
            or shown.reason != self.reason
        ):
            shown = self.shown = VenueOrder(
                self.client_order_id, self.venue_order_id, self.symbol, Side(self.side),
                quantity_nano, filled_nano, self.state, self.reason,
            )  # fmt: skip
        return shown


_KEPT = tuple(item.name for item in fields(BookOrder) if item.name != "shown")


class Book:
    """State of one account at the venue and the few ways in which it changes.

    Attributes
    ----------
    account : str
        "" until the command open_account.
    cash_micro : int
    last_ns : int
        Time of the latest command, UTC nanoseconds; 0 = none yet.
    session, phase : str
        Latest session of the market and where it is: "", "open" or "closed".
    session_open_ns : int
    """

    def __init__(self) -> None:
        self.account = ""
        self.cash_micro = 0
        self.last_ns = 0
        self.session, self.phase = "", ""
        self.session_open_ns = 0
        self.symbols: tuple[str, ...] = ()
        self.fill_params, self.fee_schedule = FillParams(), FeeSchedule()
        self.halted: set[str] = set()
        self._orders: dict[str, BookOrder] = {}
        self._open: dict[str, BookOrder] = {}
        self._sides: dict[tuple[str, int], dict[str, BookOrder]] = {}  # the open ones by symbol and side
        self._held_micro = 0  # what all of them hold, so that no command walks over all of them
        self._fills: list[Fill] = []
        self._activities: list[Activity] = []
        self._shares: dict[str, int] = {}
        self._price_micro: dict[str, int] = {}
        self._bar: dict[str, tuple[float, float, float]] = {}  # high, low, volume of the latest bar
        self.quotes: dict[str, tuple[int, int]] = {}  # standing bid and ask in micros, where any was set
        self.busted: set[str] = set()  # executions that the venue took back
        self.fees_accrue = False
        self.accrued_micro = 0  # fees charged and not yet posted; only where fees accrue
        self.max_id_length = MAX_ID_LENGTH
        self.standing: dict[str, tuple[int, int]] = {}  # bid and ask by symbol, until the same
        self._viewed: VenueAccount | None = None  # until a command moves shares, cash or prices
        self.touched: dict[str, BookOrder] = {}  # orders that the latest command changed, by client id

    # --- changes -----------------------------------------------------------------------------------

    def execute(self, order: BookOrder, shares: int, price_micro: int, at_ns: int) -> None:
        """Book one execution; what no venue may do fails here, before anything has changed."""
        assert 0 < shares <= order.leaves
        assert not order.limit_micro or order.side * (price_micro - order.limit_micro) <= 0
        assert order.accepted_ns < at_ns
        assert not order.waits_for_stop
        assert order.symbol not in self.halted
        assert not (order.immediate and order.executions), "an immediate order sees one event"
        assert order.time_in_force != TimeInForce.FOK or shares == order.shares
        fee = self.fee_micro(order, shares, price_micro)
        room = self.buying_power_micro + order.held_micro
        self.cash_micro -= order.side * shares * price_micro
        if self.fees_accrue:
            self.accrued_micro += fee
        else:
            self.cash_micro -= fee
        self._shares[order.symbol] = self._shares.get(order.symbol, 0) + order.side * shares
        order.filled += shares
        order.filled_today += shares
        order.executions += 1
        self.touched[order.client_order_id] = order
        if order.filled == order.shares:
            self.finish(order, S.FILLED, "")
        else:
            order.state = S.PARTIALLY_FILLED
            if order.side == Side.BUY:  # a fill dearer than the hold leaves less for the rest
                wanted = self.cost_micro(order.leaves, order.hold_price_micro)
                self.hold(order, min(wanted, room - shares * price_micro - fee))
        identity = f"{order.venue_order_id}\x1f{order.executions}".encode()
        self._fills.append(
            Fill(
                "x-" + hashlib.sha256(identity).hexdigest()[:24], order.client_order_id, order.symbol,
                Side(order.side), shares * NANO, price_micro, 0 if self.fees_accrue else fee, at_ns,
            )
        )  # fmt: skip

    def finish(self, order: BookOrder, state: OrderState, reason: str) -> None:
        """End an order and release what it holds."""
        key = order.client_order_id
        del self._open[key]  # KeyError = finished twice: a hold is released once
        del self._sides[order.symbol, order.side][key]
        self.hold(order, 0)
        order.state, order.reason = state, reason
        self.touched[key] = order

    def rest(self, order: BookOrder) -> None:
        """Take an order among the open ones, with what it holds."""
        key = order.client_order_id
        self._open[key] = self._sides.setdefault((order.symbol, order.side), {})[key] = order
        self._held_micro += order.held_micro
        self.touched[key] = order

    def hold(self, order: BookOrder, held_micro: int) -> None:
        """Change what an open order holds."""
        self._held_micro += held_micro - order.held_micro
        order.held_micro = held_micro

    def check(self, *, whole: bool) -> None:
        """Fail when cash, holds or shares are as they can never be; `whole`: not only of what changed."""
        assert self.cash_micro >= 0, f"cash {self.cash_micro}"
        assert self.buying_power_micro >= 0, f"buying power {self.buying_power_micro}"
        orders = self._open if whole else self.touched
        for order in orders.values():
            assert order.held_micro >= 0
            assert order.leaves > 0 or not order.working
        symbols = self._shares if whole else {order.symbol for order in orders.values()}
        assert all(self.available(symbol) >= 0 for symbol in symbols)
        if not whole:
            return
        assert self._held_micro == sum(order.held_micro for order in self._open.values())
        if self.phase == "closed":  # the day roll leaves what is meant for later, and what was meant to stay
            assert all(
                order.session > self.session or order.time_in_force == TimeInForce.GTC
                for order in self._open.values()
            )

    # --- money -------------------------------------------------------------------------------------

    @property
    def buying_power_micro(self) -> int:
        """Cash that no open order and no accrued fee holds, micros."""
        return self.cash_micro - self._held_micro - self.accrued_micro

    def available(self, symbol: str) -> int:
        """Shares held that no open order offers."""
        offered = sum(order.leaves for order in self.resting(symbol, Side.SELL))
        return self._shares.get(symbol, 0) - offered

    def resting(self, symbol: str, side: int) -> Iterable[BookOrder]:
        """Open orders of one side of a symbol."""
        return self._sides.get((symbol, int(side)), {}).values()

    def fee_micro(self, order: BookOrder, shares: int, price_micro: int) -> int:
        """Fee of one execution, micros."""
        return self.fee_schedule.fee_micro(Side(order.side), shares, price_micro)

    def cost_micro(self, shares: int, price_micro: int) -> int:
        """What buying costs with its fee, micros."""
        return shares * price_micro + self.fee_schedule.fee_micro(Side.BUY, shares, price_micro)

    # --- views -------------------------------------------------------------------------------------

    def open_orders(self, symbol: str = "") -> tuple[BookOrder, ...]:
        """Open orders, oldest first; of one symbol unless ""."""
        return tuple(order for order in self._open.values() if symbol in ("", order.symbol))

    def open_order(self, client_order_id: str) -> BookOrder | None:
        """The open order with that id."""
        return self._open.get(client_order_id)

    def order(self, client_order_id: str) -> VenueOrder | None:
        """The order with that id, if it was ever accepted."""
        order = self._orders.get(client_order_id)
        return None if order is None else order.view()

    def orders(self, *, since_ns: int) -> tuple[VenueOrder, ...]:
        """Orders accepted at or after `since_ns`, oldest first."""
        found = itertools.takewhile(
            lambda order: order.accepted_ns >= since_ns, reversed(self._orders.values())
        )  # accepted in this order, so the rest is older
        return tuple(order.view() for order in found)[::-1]

    def fills(self, *, since_ns: int) -> tuple[Fill, ...]:
        """Executions at or after `since_ns`, oldest first."""
        first = bisect_left(self._fills, since_ns, key=lambda fill: fill.filled_at_ns)  # in time's order
        return tuple(self._fills[first:])

    def fills_after(self, count: int) -> tuple[Fill, ...]:
        """Executions after the first `count`."""
        return tuple(self._fills[count:])

    def held(self, symbol: str) -> int:
        """Shares held."""
        return self._shares.get(symbol, 0)

    def activities(self, *, since_ns: int) -> tuple[Activity, ...]:
        """Splits and dividends at or after `since_ns`, oldest first."""
        first = bisect_left(self._activities, since_ns, key=lambda activity: activity.at_ns)
        return tuple(self._activities[first:])

    def price_micro(self, symbol: str) -> int:
        """Last known price, micros; 0 = none."""
        return self._price_micro.get(symbol, 0)

    def half_spread_bps(self, symbol: str) -> float:
        """Half spread that the latest bar suggests, bps; NaN without a bar."""
        high, low, _ = self._bar.get(symbol, (math.nan, math.nan, math.nan))
        return float(bar_half_spread_bps(high, low, self.fill_params.values()))

    def account_view(self) -> VenueAccount:
        """Cash, buying power, equity at the last known prices and positions that are not flat."""
        if self._viewed is None or self._viewed.buying_power_micro != self.buying_power_micro:
            self._viewed = self._view()
        return self._viewed

    def forget_views(self) -> None:
        """Make the account and the standing quotes anew when they are asked for."""
        self._viewed = None
        self.standing.clear()

    def _view(self) -> VenueAccount:
        held = {symbol: shares for symbol, shares in sorted(self._shares.items()) if shares}
        equity = self.cash_micro + sum(n * self._price_micro[symbol] for symbol, n in held.items())
        positions = {symbol: shares * NANO for symbol, shares in held.items()}
        return VenueAccount(self.account, self.cash_micro, self.buying_power_micro, equity, False, positions)

    def digest(self) -> str:
        """Hex sha256 of everything that the venue knows."""
        quoted = [self.quotes, self.fees_accrue, self.accrued_micro] if self.quotes else []
        return sha256_of(
            {
                **({"quoted": quoted} if quoted else {}),
                "account": self.account_view(),
                "orders": [{name: getattr(o, name) for name in _KEPT} for o in self._orders.values()],
                "fills": self._fills,
                "activities": self._activities,
                "market": [self.last_ns, self.session, self.phase, self._price_micro, self._bar, self.halted],
                "rules": [self.symbols, self.fill_params, self.fee_schedule],
            }
        )
