"""The commands of the venue and their replies."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from workbench.core.costs import FeeSchedule
from workbench.core.fills import FillParams
from workbench.core.orders import OrderState
from workbench.core.types import MICRO, NANO, OrderType, Side, TimeInForce
from workbench.core.venue import corrections, events, quoted
from workbench.core.venue.book import WORKING_HERE, Book, BookOrder
from workbench.core.venue.kernels import hold_price_micro
from workbench.core.venue.matching import match_close, match_open
from workbench.core.venue.rules import hours_refusal, type_refusal

MAX_CASH_MICRO = 10**18


class Venue(Book):
    """One account at a simulated venue; `apply` is the only way to change it."""

    def apply(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Apply one command and return its reply.

        Parameters
        ----------
        command : mapping
            `kind`, `at_ns` and, by kind:

            * open_account: account, cash_micro, symbols, fills, fees (mappings of their parameters),
              optionally max_id_length and fees_accrue (True: fees are posted at the close, not charged)
            * configure: symbols, fills, fees
            * submit: account, client_order_id, symbol, side (1 or -1), quantity_nano, order_type (word),
              limit_micro, optionally time_in_force (word, "day") and stop_micro (0), and the session that
              the order is for: session, open_ns, close_ns, and previous_open_ns (the open before)
            * cancel: client_order_id
            * split: symbol, new_shares, old_shares and the ex session, before its open
            * dividend: symbol, amount_micro a share, and the ex session, before its open
            * halt: symbol, halted (bool)
            * open: session, prices (symbol -> opening price, micros)
            * close: session, bars (symbol -> [open, high, low, close in micros, volume in shares])
            * session_open, quote, match, session_close: a session told in quotes, see `quoted`
            * replace: as submit, and `replaces`, the client id of the order that ends with it
            * reject: client_order_id, reason
            * bust, correct, rename: see `corrections`
            * post: activity (its kind), symbol, amount_micro, memo

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
        if kind not in _HANDLERS:
            raise ValueError(f"unknown venue command {kind!r}")
        if at_ns < self.last_ns:
            raise ValueError(f"venue command {kind} at {at_ns} is before {self.last_ns}")
        if (kind == "open_account") == bool(self.account):
            raise ValueError(f"venue command {kind}: account {self.account!r}")
        self.touched.clear()
        before = len(self._fills)
        moves = kind != "submit"  # that one moves neither shares nor cash nor prices
        if moves:
            self.forget_views()
        reason = _HANDLERS[kind](self, command, at_ns)
        if moves:
            self.forget_views()
        self.last_ns = at_ns
        self.check(whole=kind not in _ONE_ORDER)
        executions = [fill.execution_id for fill in self._fills[before:]]
        return {
            "ok": not reason, "reason": reason, "execution_ids": executions,
            "cash_micro": self.cash_micro, "buying_power_micro": self.buying_power_micro,
        }  # fmt: skip

    def _open_account(self, command: Mapping[str, Any], at_ns: int) -> str:
        if not command["account"] or not 0 <= command["cash_micro"] <= MAX_CASH_MICRO:
            raise ValueError(f"account {command['account']!r} with {command['cash_micro']} micros")
        self.account, self.cash_micro = command["account"], int(command["cash_micro"])
        self.max_id_length = int(command.get("max_id_length", self.max_id_length))
        self.fees_accrue = bool(command.get("fees_accrue", False))
        return self._configure(command, at_ns)

    def _configure(self, command: Mapping[str, Any], at_ns: int) -> str:
        self.fill_params, self.fee_schedule = FillParams(**command["fills"]), FeeSchedule(**command["fees"])
        self.symbols = tuple(sorted({*self.symbols, *command["symbols"]}))
        return ""

    # --- orders ------------------------------------------------------------------------------------

    def _submit(self, command: Mapping[str, Any], at_ns: int) -> str:
        key, symbol = command["client_order_id"], command["symbol"]
        refusal = self._refusal(command, at_ns)
        if refusal:
            return refusal
        (hold_price, held), refusal = self._hold(command)
        if refusal:
            return refusal
        order_type = OrderType.parse(command["order_type"])
        limit_micro, stop_micro = int(command["limit_micro"]), int(command.get("stop_micro", 0))
        order = BookOrder(
            client_order_id=key,
            venue_order_id="v-" + hashlib.sha256(f"{self.account}\x1f{key}".encode()).hexdigest()[:24],
            symbol=symbol, side=int(command["side"]), shares=command["quantity_nano"] // NANO,
            order_type=int(order_type), limit_micro=limit_micro, session=command["session"],
            accepted_ns=at_ns, hold_price_micro=hold_price, held_micro=held, stop_micro=stop_micro,
            time_in_force=int(TimeInForce.parse(command.get("time_in_force", "day"))),
        )  # fmt: skip
        self._orders[key] = order
        self.rest(order)
        return ""

    def refusal(self, command: Mapping[str, Any], at_ns: int) -> str:
        """The rule that a submit command would break now, in the venue's words; "" = none."""
        return self._refusal(command, at_ns) or self._hold(command)[1]

    def _hold(self, command: Mapping[str, Any]) -> tuple[tuple[int, int], str]:
        """Price and cash that a buy has to hold, and what is wrong with them; zeros for a sale."""
        if command["side"] != Side.BUY:
            return (0, 0), ""
        kind, shares = OrderType.parse(command["order_type"]), command["quantity_nano"] // NANO
        last = self._price_micro.get(command["symbol"], 0)
        limit, stop = int(command["limit_micro"]), int(command.get("stop_micro", 0))
        price = int(hold_price_micro(int(kind), limit, stop, last))
        if shares * price > self.buying_power_micro:
            return (price, 0), "insufficient buying power"  # before fees, which absurd sizes do not have
        held = self.cost_micro(shares, price)
        return (price, held), "" if held <= self.buying_power_micro else "insufficient buying power"

    def _refusal(self, command: Mapping[str, Any], at_ns: int) -> str:
        """The first rule that a new order breaks, in the venue's words; "" = none so far."""
        key, symbol, quantity = command["client_order_id"], command["symbol"], command["quantity_nano"]
        if key in self._orders:  # before any other check: the id of a landed order always says so
            return "client_order_id must be unique"
        if not 0 < len(key) <= self.max_id_length:
            return f"client_order_id must be no more than {self.max_id_length} characters"
        if command["account"] != self.account:
            return f'account "{command["account"]}" not found'
        if symbol not in self.symbols:
            return f'could not find asset "{symbol}"'
        if quantity <= 0 or quantity % NANO:
            return "qty must be integer"
        return (
            type_refusal(command)
            or hours_refusal(command, at_ns)
            or self._position_refusal(command, quantity // NANO)
        )

    def _position_refusal(self, command: Mapping[str, Any], shares: int) -> str:
        symbol, side, limit = command["symbol"], command["side"], command["limit_micro"]
        if side not in (1, -1):
            return "side must be buy or sell"
        if symbol not in self._price_micro:
            return f'no market price for asset "{symbol}"'
        for other in self.resting(symbol, -side):
            if not (limit and other.limit_micro) or side * (limit - other.limit_micro) >= 0:
                return "potential wash trade detected. use complex orders"
        available = self.available(symbol)
        if side == Side.SELL and shares > available:
            return f"insufficient qty available for order (requested: {shares}, available: {available})"
        return ""

    def _cancel(self, command: Mapping[str, Any], at_ns: int) -> str:
        order = self._orders.get(command["client_order_id"])
        if order is None:
            return f"order not found for {command['client_order_id']}"
        if order.state not in WORKING_HERE:
            return f'order is already in "{order.state.lower()}" state'
        self.finish(order, OrderState.CANCELED, "canceled on request")
        return ""

    def _reject(self, command: Mapping[str, Any], at_ns: int) -> str:
        """End an accepted order by the venue's own decision."""
        order = self._orders.get(command["client_order_id"])
        if order is None or not order.working:
            return "order is not open"
        self.finish(order, OrderState.REJECTED, str(command["reason"]))
        return ""

    def _replace(self, command: Mapping[str, Any], at_ns: int) -> str:
        """End an order as replaced and accept its successor, or refuse and change nothing."""
        order = self._orders.get(command["replaces"])
        if order is None:
            return f"order not found for {command['replaces']}"
        if not order.working:
            return "unable to replace order, order is not open"
        # The old order's hold must not stand in its successor's way, so it ends first, on trial.
        before, held, reason = order.state, order.held_micro, order.reason
        self.finish(order, OrderState.REPLACED, "")
        refusal = self._submit(command, at_ns)
        if refusal:
            order.state, order.held_micro, order.reason = before, held, reason
            self.rest(order)
            self._open = dict(sorted(self._open.items(), key=lambda item: item[1].accepted_ns))
            self.touched.clear()
        return refusal

    # --- the market --------------------------------------------------------------------------------

    def _market_open(self, command: Mapping[str, Any], at_ns: int) -> str:
        if self.phase == "open" or command["session"] <= self.session:
            raise ValueError(f"open of {command['session']} after {self.session} {self.phase}")
        self.session, self.phase, self.session_open_ns = command["session"], "open", at_ns
        for symbol, price in command["prices"].items():
            self._price_micro[symbol] = int(price)
        match_open(self, command["prices"], at_ns)
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
        match_close(self, command["bars"], at_ns, command["session"])
        self.session, self.phase = command["session"], "closed"
        return ""


#: Commands that change one order at most, or those of one symbol: what they touched is all there is to check.
_ONE_ORDER = frozenset({"submit", "cancel", "reject", "match", "quote"})
_HANDLERS = {
    "open_account": Venue._open_account, "configure": Venue._configure, "submit": Venue._submit,
    "cancel": Venue._cancel, "open": Venue._market_open, "close": Venue._market_close,
    "split": events.split, "dividend": events.dividend, "halt": events.halt, "post": events.post,
    "session_open": quoted.session_open, "quote": quoted.quote, "match": quoted.match,
    "session_close": quoted.session_close, "replace": Venue._replace, "reject": Venue._reject,
    "bust": corrections.bust, "correct": corrections.correct, "rename": corrections.rename,
}  # fmt: skip
