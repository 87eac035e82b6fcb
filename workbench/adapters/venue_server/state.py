"""The account behind the sockets: the core's venue, and what its commands look like on the wire."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from workbench.adapters.venue_server.records import (
    STAMP,
    STATUS,
    TERMINAL,
    OrderRecord,
    fill_activity,
    fill_event,
    new_record,
    other_activity,
    plain_event,
)
from workbench.adapters.venue_server.wire import identity, money, ratio, shares, when
from workbench.core.types import NANO, Side
from workbench.core.venue import BUST, CORRECT, Venue

#: Commands of this adapter alone: what the venue says of an order while nothing has happened to it.
MARK = "mark"
#: Where the clock was put while nothing else happened.
CLOCK = "clock"
EVENT_OF = {"canceled": "canceled", "expired": "expired", "replaced": "replaced", "rejected": "rejected"}


@cache
def _asset_id(symbol: str) -> str:
    return identity("asset", symbol)


class AccountState:
    """Fold of the commands: money by `core.venue`, orders and activities as Alpaca shows them.

    Attributes
    ----------
    venue : Venue
        The one matching code.
    orders : dict
        Client order id -> record, oldest first.
    activities : list
        Rows of the drop copy, oldest first.
    clock_ns : int
        Where the clock was last put; it may stand later than the last event.
    quote_history : list
        (at_ns, symbol, bid, ask) of every quote, for the market data endpoints.
    """

    def __init__(self) -> None:
        self.venue = Venue()
        self.orders: dict[str, OrderRecord] = {}
        self.by_id: dict[str, str] = {}
        self.open_ids: dict[str, None] = {}
        self.activities: list[dict[str, Any]] = []
        self.quote_history: list[tuple[int, str, int, int]] = []
        self.set_in_session: set[str] = set()  # symbols that were quoted anew since the open
        self.orders_seen = 0  # sent, accepted or not
        self.opened_ns = self.clock_ns = 0
        self.asset_names: dict[str, str] = {}  # symbol -> the one it had at first
        self.planned_splits: dict[str, tuple[int, int]] = {}  # ratio of those that no recorded history knows
        self.last_close_micro: dict[str, int] = {}
        self.last_equity_micro = 0
        self._cost_micro: dict[str, int] = {}
        self._day: dict[str, tuple[int, int]] = {}  # shares and their cost bought or sold in this session
        self._fills = self._activities = 0

    def apply(self, command: Mapping[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The venue's reply to a command, and the events to tell of it; pure, so a journal refolds."""
        if command["kind"] == CLOCK:
            self.clock_ns = int(command["at_ns"])
            return {"ok": True, "reason": ""}, []
        if command["kind"] == MARK:
            return {"ok": True, "reason": ""}, self._mark(command)
        reply = self.venue.apply(command)
        at_ns = int(command["at_ns"])
        events: list[dict[str, Any]] = []
        self.orders_seen += command["kind"] in ("submit", "replace")
        if command["kind"] in ("submit", "replace") and reply["ok"]:
            events += self._accepted(command, at_ns)
        events += self._executed(at_ns)
        events += self._ended(at_ns, command)
        events += self._corrected(command, reply["ok"], at_ns)
        self._adjust(command)
        self._post(command, at_ns)
        self._remember(command, at_ns)
        return reply, events

    def equity_micro(self) -> int:
        """Cash and shares at the last known prices, micros."""
        return self.venue.account_view().equity_micro - self.venue.accrued_micro

    # --- folding -----------------------------------------------------------------------------------

    def _accepted(self, command: Mapping[str, Any], at_ns: int) -> list[dict[str, Any]]:
        order = self.venue.touched[command["client_order_id"]]
        trading = self.venue.phase == "open" and order.session <= self.venue.session
        status = "pending_new" if trading else "accepted"
        asset_id = self.asset_id(order.symbol)
        record = new_record(order, command, self.venue.account, asset_id=asset_id, status=status)
        self.orders[order.client_order_id] = record
        self.by_id[record.order_id] = order.client_order_id
        self.open_ids[order.client_order_id] = None
        if not trading:
            return [plain_event(record, "accepted", at_ns)]
        events = [plain_event(record, "pending_new", at_ns)]
        record.change(at_ns, status="new")
        return [*events, plain_event(record, "new", at_ns)]

    def _executed(self, at_ns: int) -> list[dict[str, Any]]:
        events = []
        fresh = self.venue.fills_after(self._fills)
        self._fills += len(fresh)
        counts: dict[str, int] = {}
        for fill in fresh:
            counts[fill.client_order_id] = counts.get(fill.client_order_id, 0) + fill.quantity_nano // NANO
        for fill in fresh:
            record, count = self.orders[fill.client_order_id], fill.quantity_nano // NANO
            self._book_cost(fill.symbol, int(fill.side), count, fill.price_micro)
            counts[fill.client_order_id] -= count
            last = record.filled + count == int(record.present["qty"])
            position = self.venue.held(fill.symbol)
            events.append(fill_event(record, fill, position, at_ns, last))
            self.activities.append(fill_activity(record, fill))
        return events

    def _ended(self, at_ns: int, command: Mapping[str, Any]) -> list[dict[str, Any]]:
        events = []
        for order in self.venue.touched.values():
            record = self.orders[order.client_order_id]
            status = STATUS[order.state]
            if status in EVENT_OF and record.status != status:
                extra: dict[str, Any] = {STAMP[status]: when(at_ns), "status": status}
                if status == "replaced":
                    extra["replaced_by"] = self.orders[command["client_order_id"]].order_id
                record.change(at_ns, **extra)
                events.append(plain_event(record, EVENT_OF[status], at_ns))
            if status in TERMINAL:
                self.open_ids.pop(order.client_order_id, None)
        return events

    def _mark(self, command: Mapping[str, Any]) -> list[dict[str, Any]]:
        record, status = self.orders[command["client_order_id"]], str(command["status"])
        record.change(int(command["at_ns"]), status=status)
        return [plain_event(record, status, int(command["at_ns"]))]

    def _corrected(self, command: Mapping[str, Any], done: bool, at_ns: int) -> list[dict[str, Any]]:
        kind = command["kind"]
        if kind == "rename":
            old, new = command["symbol"], command["to"]
            self.asset_names[new] = self.asset_names.pop(old, old)
            tables: tuple[dict[str, Any], ...] = (
                self._cost_micro, self.last_close_micro, self._day, self.planned_splits
            )  # fmt: skip
            for table in tables:
                if old in table:
                    table[new] = table.pop(old)
        if kind not in ("bust", "correct") or not done:
            return []
        fill = next(f for f in self.venue.fills_after(0) if f.execution_id == command["execution_id"])
        record, count = self.orders[fill.client_order_id], fill.quantity_nano // NANO
        price = int(command.get("price_micro", fill.price_micro))
        cost = self._cost_micro.get(fill.symbol, 0)
        if kind == "bust":
            self._cost_micro[fill.symbol] = max(cost - int(fill.side) * count * fill.price_micro, 0)
        else:
            self._cost_micro[fill.symbol] = max(cost + int(fill.side) * count * (price - fill.price_micro), 0)
        told = plain_event(record, BUST if kind == "bust" else CORRECT, at_ns)
        position = shares(self.venue.held(fill.symbol))
        original = identity("execution", fill.execution_id)
        return [told | {"execution_id": original, "price": money(price), "qty": shares(count),
                        "position_qty": position}]  # fmt: skip

    def asset_id(self, symbol: str) -> str:
        """The id of an asset, which outlives its symbol."""
        return _asset_id(self.asset_names.get(symbol, symbol))

    def _book_cost(self, symbol: str, side: int, count: int, price_micro: int) -> None:
        held = self.venue.held(symbol)  # after the execution
        cost = self._cost_micro.get(symbol, 0)
        if side == Side.BUY:
            cost += count * price_micro
        else:
            cost = cost * held // (held + count)
        self._cost_micro[symbol] = cost
        day_count, day_cost = self._day.get(symbol, (0, 0))
        self._day[symbol] = (day_count + side * count, day_cost + side * count * price_micro)

    def _adjust(self, command: Mapping[str, Any]) -> None:
        """Terms that a split gave to the open orders."""
        if command["kind"] != "split":
            return
        if command.get("planned"):
            new, old = self.planned_splits.get(command["symbol"], (1, 1))
            ratio = (new * command["new_shares"], old * command["old_shares"])
            self.planned_splits[command["symbol"]] = ratio
        for order in self.venue.open_orders(command["symbol"]):
            self.orders[order.client_order_id].change(
                int(command["at_ns"]), qty=shares(order.shares),
                limit_price=money(order.limit_micro) if order.limit_micro else None,
                stop_price=money(order.stop_micro) if order.stop_micro else None,
            )  # fmt: skip

    def _post(self, command: Mapping[str, Any], at_ns: int) -> None:
        fresh = self.venue.activities(since_ns=0)[self._activities :] if self._maybe_posted(command) else ()
        self._activities += len(fresh)
        per_share = int(command.get("amount_micro", 0)) if command["kind"] == "dividend" else 0
        for activity in fresh:
            self.activities.append(other_activity(activity, str(command.get("memo", "")), per_share))

    @staticmethod
    def _maybe_posted(command: Mapping[str, Any]) -> bool:
        return command["kind"] in (
            "post", "split", "dividend", "session_close", "bust", "correct", "rename"
        )  # fmt: skip

    def _remember(self, command: Mapping[str, Any], at_ns: int) -> None:
        kind, venue = command["kind"], self.venue
        if kind == "open_account":
            self.opened_ns = at_ns
        elif kind == "quote":
            bid, ask = venue.quotes[command["symbol"]]
            self.quote_history.append((at_ns, command["symbol"], bid, ask))
            self.set_in_session.add(command["symbol"])
        elif kind == "session_open":
            self.set_in_session.clear()
            for symbol in command["quotes"]:
                self.quote_history.append((at_ns, symbol, *venue.quotes[symbol]))
        if kind in ("session_close", "close", "open_account"):
            self.last_close_micro = {symbol: venue.price_micro(symbol) for symbol in venue.symbols}
            self.last_equity_micro = self.equity_micro()
            self._day = {}

    # --- views -------------------------------------------------------------------------------------

    def account(self) -> dict[str, Any]:
        """`GET /v2/account`."""
        venue = self.venue
        equity, cash, power = self.equity_micro(), venue.cash_micro, venue.buying_power_micro
        long_value = money(equity - cash + venue.accrued_micro)
        return {
            "id": identity("account", venue.account), "admin_configurations": {}, "user_configurations": None,
            "account_number": f"PA{identity('number', venue.account)[:8].upper()}", "status": "ACTIVE",
            "crypto_status": "INACTIVE", "crypto_tier": 0, "currency": "USD", "buying_power": money(power),
            "regt_buying_power": money(power), "effective_buying_power": money(power),
            "non_marginable_buying_power": money(power), "options_buying_power": "0",
            "options_approved_level": 0, "options_trading_level": 0, "cash": money(cash),
            "accrued_fees": money(venue.accrued_micro), "pending_reg_taf_fees": money(venue.accrued_micro),
            "portfolio_value": money(equity), "equity": money(equity),
            "last_equity": money(self.last_equity_micro), "long_market_value": long_value,
            "position_market_value": long_value, "short_market_value": "0", "initial_margin": "0",
            "maintenance_margin": "0", "last_maintenance_margin": "0", "sma": "0", "multiplier": "1",
            "shorting_enabled": False, "trading_blocked": False, "transfers_blocked": False,
            "account_blocked": False, "trade_suspended_by_user": False, "intraday_adjustments": "0",
            "balance_asof": when(self.opened_ns)[:10], "created_at": when(self.opened_ns),
        }  # fmt: skip

    def positions(self) -> dict[str, dict[str, Any]]:
        """`GET /v2/positions`, by symbol; what is flat is absent."""
        return {symbol: self._position(symbol) for symbol in self.venue.symbols if self.venue.held(symbol)}

    def _position(self, symbol: str) -> dict[str, Any]:
        venue, held = self.venue, self.venue.held(symbol)
        price, cost = venue.price_micro(symbol), self._cost_micro.get(symbol, 0)
        last = self.last_close_micro.get(symbol, 0) or price
        value = held * price
        bought, day_cost = self._day.get(symbol, (0, 0))
        base = (held - bought) * last + day_cost
        return {
            "asset_id": self.asset_id(symbol), "symbol": symbol, "exchange": "NASDAQ",
            "asset_class": "us_equity", "asset_marginable": False, "qty": shares(held),
            "qty_available": shares(venue.available(symbol)), "side": "long",
            "avg_entry_price": ratio(cost, held * 1_000_000), "cost_basis": money(cost),
            "market_value": money(value), "current_price": money(price), "lastday_price": money(last),
            "change_today": ratio(price - last, last), "unrealized_pl": money(value - cost),
            "unrealized_plpc": ratio(value - cost, cost), "unrealized_intraday_pl": money(value - base),
            "unrealized_intraday_plpc": ratio(value - base, base),
        }  # fmt: skip
