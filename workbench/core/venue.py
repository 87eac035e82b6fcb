"""A broker account and its matching, as a pure state machine: commands in, replies out, nothing else.

A venue is the fold of its commands, which are plain values of JSON, so whoever stores the commands has
stored the venue. Equal commands give equal replies and equal bytes.

Rules: a cash account (no margin, no short sale), whole shares, day orders. A client order id is used once,
for ever. Open orders hold cash or shares. An order is filled only by market events that began after its
acceptance: accepted before the open it sees the opening auction, the range of the day and the close;
accepted later it sees the close, the only later price known with certainty. At the opening auction the
volume of the day is not known, so size and cost follow from the symbol's bar before. Whatever is left
expires at the close.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from workbench.core.canonical import sha256_of
from workbench.core.costs import FeeSchedule
from workbench.core.fills import (
    FillParams,
    bar_half_spread_bps,
    capacity_shares,
    fill_auction,
    fill_range,
)
from workbench.core.orders import Fill, OrderState
from workbench.core.ports import VenueAccount, VenueOrder
from workbench.core.types import MICRO, NANO, OrderType, Side
from workbench.core.venue_rules import hours_refusal, price_refusal

#: Market orders hold cash at the last price and 3 % (Alpaca, "Orders at Alpaca", buying power).
HOLD_NUMERATOR, HOLD_DENOMINATOR = 103, 100
MAX_ID_LENGTH, MAX_CASH_MICRO = 48, 10**18
S = OrderState
_WORKING = (S.ACCEPTED, S.PARTIALLY_FILLED)


@dataclass(slots=True)
class _Order:
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
    filled: int = 0
    executions: int = 0
    held_micro: int = 0
    state: OrderState = S.ACCEPTED
    reason: str = ""

    @property
    def leaves(self) -> int:
        return self.shares - self.filled if self.state in _WORKING else 0

    def view(self) -> VenueOrder:
        return VenueOrder(
            self.client_order_id, self.venue_order_id, self.symbol, Side(self.side),
            self.shares * NANO, self.filled * NANO, self.state, self.reason,
        )  # fmt: skip


class Venue:
    """One account at a simulated venue; `apply` is the only way to change it.

    Attributes
    ----------
    account : str
        "" until the command open_account.
    cash_micro : int
    last_ns : int
        Time of the latest command, UTC nanoseconds; 0 = none yet.
    session, phase : str
        Latest session of the market and where it is: "", "open" or "closed".
    """

    def __init__(self) -> None:
        self.account = ""
        self.cash_micro = 0
        self.last_ns = 0
        self.session, self.phase = "", ""
        self.symbols: tuple[str, ...] = ()
        self.fill_params, self.fee_schedule = FillParams(), FeeSchedule()
        self._session_open_ns = 0
        self._orders: dict[str, _Order] = {}
        self._open: dict[str, _Order] = {}
        self._fills: list[Fill] = []
        self._shares: dict[str, int] = {}
        self._price_micro: dict[str, int] = {}
        self._bar: dict[str, tuple[float, float, float]] = {}  # high, low, volume of the latest bar

    # --- commands ----------------------------------------------------------------------------------

    def apply(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Apply one command and return its reply.

        Parameters
        ----------
        command : mapping
            `kind`, `at_ns` and, by kind:

            * open_account: account, cash_micro, symbols, fills, fees (mappings of their parameters)
            * configure: symbols, fills, fees
            * submit: account, client_order_id, symbol, side (1 or -1), quantity_nano, order_type (word),
              limit_micro, and the session that the order is for: session, open_ns, close_ns, and
              previous_open_ns (the open of the session before)
            * cancel: client_order_id
            * open: session, prices (symbol -> opening price, micros)
            * close: session, bars (symbol -> [open, high, low, close in micros, volume in shares])

        Returns
        -------
        dict
            `ok`, `reason` (the venue's words when not ok), `execution_ids` of this command, and
            `cash_micro` and `buying_power_micro` after it.

        Raises
        ------
        ValueError
            No venue could be sent this: time runs backwards, an unknown kind, a market event out of turn.
        """
        kind, at_ns = command["kind"], int(command["at_ns"])
        handlers = {
            "open_account": self._open_account, "configure": self._configure, "submit": self._submit,
            "cancel": self._cancel, "open": self._market_open, "close": self._market_close,
        }  # fmt: skip
        if kind not in handlers:
            raise ValueError(f"unknown venue command {kind!r}")
        if at_ns < self.last_ns:
            raise ValueError(f"venue command {kind} at {at_ns} is before {self.last_ns}")
        if (kind == "open_account") == bool(self.account):
            raise ValueError(f"venue command {kind}: account {self.account!r}")
        before = len(self._fills)
        reason = handlers[kind](command, at_ns)
        self.last_ns = at_ns
        self._check()
        executions = [fill.execution_id for fill in self._fills[before:]]
        return {
            "ok": not reason, "reason": reason, "execution_ids": executions,
            "cash_micro": self.cash_micro, "buying_power_micro": self.buying_power_micro,
        }  # fmt: skip

    def _open_account(self, command: Mapping[str, Any], at_ns: int) -> str:
        if not command["account"] or not 0 <= command["cash_micro"] <= MAX_CASH_MICRO:
            raise ValueError(f"account {command['account']!r} with {command['cash_micro']} micros")
        self.account, self.cash_micro = command["account"], int(command["cash_micro"])
        return self._configure(command, at_ns)

    def _configure(self, command: Mapping[str, Any], at_ns: int) -> str:
        self.fill_params, self.fee_schedule = FillParams(**command["fills"]), FeeSchedule(**command["fees"])
        self.symbols = tuple(sorted({*self.symbols, *command["symbols"]}))
        return ""

    def _submit(self, command: Mapping[str, Any], at_ns: int) -> str:
        key, symbol = command["client_order_id"], command["symbol"]
        refusal = self._refusal(command, at_ns)
        if refusal:
            return refusal
        order_type = OrderType.parse(command["order_type"])
        order = _Order(
            client_order_id=key,
            venue_order_id="v-" + hashlib.sha256(f"{self.account}\x1f{key}".encode()).hexdigest()[:24],
            symbol=symbol, side=int(command["side"]), shares=command["quantity_nano"] // NANO,
            order_type=int(order_type), limit_micro=int(command["limit_micro"]),
            session=command["session"], accepted_ns=at_ns, hold_price_micro=0,
        )  # fmt: skip
        if order.side == Side.BUY:
            worst = -(-self._price_micro.get(symbol, 0) * HOLD_NUMERATOR // HOLD_DENOMINATOR)
            order.hold_price_micro = order.limit_micro or worst
            if order.shares * order.hold_price_micro > self.buying_power_micro:
                return "insufficient buying power"  # before fees, which absurd sizes do not have
            order.held_micro = self._cost_micro(order.shares, order.hold_price_micro)
            if order.held_micro > self.buying_power_micro:
                return "insufficient buying power"
        self._orders[key] = self._open[key] = order
        return ""

    def _refusal(self, command: Mapping[str, Any], at_ns: int) -> str:
        """The first rule that a new order breaks, in the venue's words; "" = none so far."""
        key, symbol, quantity = command["client_order_id"], command["symbol"], command["quantity_nano"]
        if key in self._orders:  # before any other check: the id of a landed order always says so
            return "client_order_id must be unique"
        if not 0 < len(key) <= MAX_ID_LENGTH:
            return f"client_order_id must be no more than {MAX_ID_LENGTH} characters"
        if command["account"] != self.account:
            return f'account "{command["account"]}" not found'
        if symbol not in self.symbols:
            return f'could not find asset "{symbol}"'
        if quantity <= 0 or quantity % NANO:
            return "qty must be integer"
        return (
            price_refusal(command["order_type"], command["limit_micro"])
            or hours_refusal(command, at_ns)
            or self._position_refusal(command, quantity // NANO)
        )

    def _position_refusal(self, command: Mapping[str, Any], shares: int) -> str:
        symbol, side, limit = command["symbol"], command["side"], command["limit_micro"]
        if side not in (1, -1):
            return "side must be buy or sell"
        if symbol not in self._price_micro:
            return f'no market price for asset "{symbol}"'
        for other in self._open.values():
            crosses = not (limit and other.limit_micro) or side * (limit - other.limit_micro) >= 0
            if other.symbol == symbol and other.side == -side and crosses:
                return "potential wash trade detected. use complex orders"
        available = self._available(symbol)
        if side == Side.SELL and shares > available:
            return f"insufficient qty available for order (requested: {shares}, available: {available})"
        return ""

    def _cancel(self, command: Mapping[str, Any], at_ns: int) -> str:
        order = self._orders.get(command["client_order_id"])
        if order is None:
            return f"order not found for {command['client_order_id']}"
        if order.state not in _WORKING:
            return f'order is already in "{order.state.lower()}" state'
        self._finish(order, S.CANCELED, "canceled on request")
        return ""

    # --- the market --------------------------------------------------------------------------------

    def _market_open(self, command: Mapping[str, Any], at_ns: int) -> str:
        if self.phase == "open" or command["session"] <= self.session:
            raise ValueError(f"open of {command['session']} after {self.session} {self.phase}")
        self.session, self.phase, self._session_open_ns = command["session"], "open", at_ns
        for symbol, price in command["prices"].items():
            self._price_micro[symbol] = int(price)
        for order in tuple(self._open.values()):
            if order.session > self.session or order.accepted_ns >= at_ns:
                continue
            price = command["prices"].get(order.symbol, 0)
            if price and order.symbol in self._bar and order.order_type != OrderType.MARKET_ON_CLOSE:
                self._take(order, price, at_ns)
            if order.order_type == OrderType.MARKET_ON_OPEN and order.state in _WORKING:
                self._finish(order, S.EXPIRED, "not filled in the opening auction")
        return ""

    def _market_close(self, command: Mapping[str, Any], at_ns: int) -> str:
        # A new venue starts with the close of the latest session, which only tells it the prices.
        if self.session and (self.phase != "open" or command["session"] != self.session):
            raise ValueError(f"close of {command['session']} after {self.session} {self.phase}")
        for symbol, (opened, high, low, close, volume) in command["bars"].items():
            if not 0 < low <= min(opened, close) <= max(opened, close) <= high or volume < 0:
                raise ValueError(f"impossible bar of {symbol} in {command['session']}")
        for symbol, (_, high, low, close, volume) in command["bars"].items():
            self._price_micro[symbol] = int(close)
            self._bar[symbol] = (high / MICRO, low / MICRO, float(volume))
        for order in tuple(self._open.values()):
            if order.session > command["session"]:
                continue
            if order.symbol in command["bars"]:
                rests = order.order_type == OrderType.LIMIT and order.accepted_ns < self._session_open_ns
                self._take(order, 0 if rests else self._price_micro[order.symbol], at_ns)
            if order.state in _WORKING:
                self._finish(order, S.EXPIRED, "expired at the close")
        self.session, self.phase = command["session"], "closed"
        return ""

    def _take(self, order: _Order, price_micro: int, at_ns: int) -> None:
        """Fill what the latest bar of the symbol allows: at `price_micro`, or (0) at the resting limit."""
        high, low, volume = self._bar[order.symbol]
        params = self.fill_params.values()
        leaves = min(order.leaves, capacity_shares(volume, params) - order.filled)
        if price_micro:
            shares, filled_at = fill_auction(
                order.side, leaves, order.limit_micro, price_micro / MICRO, volume,
                bar_half_spread_bps(high, low, params), _volatility_bps(high, low), params,
            )  # fmt: skip
        else:
            shares, filled_at = fill_range(order.side, leaves, order.limit_micro, high, low, volume, params)
        shares = self._affordable(order, int(shares), int(filled_at))
        if shares > 0:
            self._execute(order, shares, int(filled_at), at_ns)

    def _affordable(self, order: _Order, shares: int, price_micro: int) -> int:
        """The part of a fill that leaves neither cash nor buying power negative."""
        budget = self.buying_power_micro + order.held_micro
        if shares <= 0:
            return 0
        if order.side == Side.SELL:  # a fee can exceed the proceeds of a tiny sale
            proceeds = shares * price_micro - self._fee_micro(order, shares, price_micro)
            return shares if budget + proceeds >= 0 else 0
        if self._cost_micro(shares, price_micro) <= budget:
            return shares
        shares = min(shares, budget // price_micro)
        if shares <= 0:
            return 0
        # Fees grow with size, so what is affordable with the larger fee is so with the smaller.
        return max(0, (budget - self._fee_micro(order, shares, price_micro)) // price_micro)

    def _execute(self, order: _Order, shares: int, price_micro: int, at_ns: int) -> None:
        assert 0 < shares <= order.leaves
        assert not order.limit_micro or order.side * (price_micro - order.limit_micro) <= 0
        assert order.accepted_ns < at_ns
        fee = self._fee_micro(order, shares, price_micro)
        room = self.buying_power_micro + order.held_micro
        self.cash_micro -= order.side * shares * price_micro + fee
        self._shares[order.symbol] = self._shares.get(order.symbol, 0) + order.side * shares
        order.filled += shares
        order.executions += 1
        if order.filled == order.shares:
            self._finish(order, S.FILLED, "")
        else:
            order.state = S.PARTIALLY_FILLED
            if order.side == Side.BUY:  # a fill dearer than the hold leaves less for the rest
                wanted = self._cost_micro(order.leaves, order.hold_price_micro)
                order.held_micro = min(wanted, room - shares * price_micro - fee)
        identity = f"{order.venue_order_id}\x1f{order.executions}".encode()
        self._fills.append(
            Fill(
                "x-" + hashlib.sha256(identity).hexdigest()[:24], order.client_order_id, order.symbol,
                Side(order.side), shares * NANO, price_micro, fee, at_ns,
            )
        )  # fmt: skip

    def _finish(self, order: _Order, state: OrderState, reason: str) -> None:
        del self._open[order.client_order_id]  # KeyError = finished twice: a hold is released once
        order.state, order.reason, order.held_micro = state, reason, 0

    # --- money -------------------------------------------------------------------------------------

    @property
    def buying_power_micro(self) -> int:
        """Cash that no open order holds, micros."""
        return self.cash_micro - sum(order.held_micro for order in self._open.values())

    def _available(self, symbol: str) -> int:
        held = sum(o.leaves for o in self._open.values() if o.symbol == symbol and o.side == Side.SELL)
        return self._shares.get(symbol, 0) - held

    def _fee_micro(self, order: _Order, shares: int, price_micro: int) -> int:
        return self.fee_schedule.fee_micro(Side(order.side), shares, price_micro)

    def _cost_micro(self, shares: int, price_micro: int) -> int:
        return shares * price_micro + self.fee_schedule.fee_micro(Side.BUY, shares, price_micro)

    def _check(self) -> None:
        assert self.cash_micro >= 0, f"cash {self.cash_micro}"
        assert self.buying_power_micro >= 0, f"buying power {self.buying_power_micro}"
        assert all(order.held_micro >= 0 and order.leaves > 0 for order in self._open.values())
        assert all(self._available(symbol) >= 0 for symbol in self._shares)

    # --- views -------------------------------------------------------------------------------------

    def order(self, client_order_id: str) -> VenueOrder | None:
        """The order with that id, if it was ever accepted."""
        order = self._orders.get(client_order_id)
        return None if order is None else order.view()

    def orders(self, *, since_ns: int) -> tuple[VenueOrder, ...]:
        """Orders accepted at or after `since_ns`, oldest first."""
        return tuple(order.view() for order in self._orders.values() if order.accepted_ns >= since_ns)

    def fills(self, *, since_ns: int) -> tuple[Fill, ...]:
        """Executions at or after `since_ns`, oldest first."""
        return tuple(fill for fill in self._fills if fill.filled_at_ns >= since_ns)

    def price_micro(self, symbol: str) -> int:
        """Last known price, micros; 0 = none."""
        return self._price_micro.get(symbol, 0)

    def half_spread_bps(self, symbol: str) -> float:
        """Half spread that the latest bar suggests, bps; NaN without a bar."""
        high, low, _ = self._bar.get(symbol, (math.nan, math.nan, math.nan))
        return float(bar_half_spread_bps(high, low, self.fill_params.values()))

    def account_view(self) -> VenueAccount:
        """Cash, buying power, equity at the last known prices and positions that are not flat."""
        held = {symbol: shares for symbol, shares in sorted(self._shares.items()) if shares}
        equity = self.cash_micro + sum(n * self._price_micro[symbol] for symbol, n in held.items())
        positions = {symbol: shares * NANO for symbol, shares in held.items()}
        return VenueAccount(self.account, self.cash_micro, self.buying_power_micro, equity, False, positions)

    def digest(self) -> str:
        """Hex sha256 of everything that the venue knows."""
        return sha256_of(
            {
                "account": self.account_view(),
                "orders": [asdict(order) for order in self._orders.values()],
                "fills": self._fills,
                "market": [self.last_ns, self.session, self.phase, self._price_micro, self._bar],
                "rules": [self.symbols, self.fill_params, self.fee_schedule],
            }
        )


def _volatility_bps(high: float, low: float) -> float:
    """Daily volatility from one bar's range, bps on a grid of 0.01 (Parkinson, J. of Business 53, 1980)."""
    return round(1e4 * math.log(high / low) / (2.0 * math.sqrt(math.log(2.0))), 2)
