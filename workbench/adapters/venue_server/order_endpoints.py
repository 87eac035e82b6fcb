"""The endpoints that make, show and end orders."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from workbench.adapters.venue_server.account_endpoints import AccountEndpoints
from workbench.adapters.venue_server.door import Call, Handler
from workbench.adapters.venue_server.faults import BY_CLIENT_ID, BY_ID, CANCEL, LIST, REPLACE, SUBMIT, Faults
from workbench.adapters.venue_server.intake import (
    DUPLICATE,
    FORBIDDEN,
    INVALID,
    MALFORMED,
    NOT_FOUND,
    submit_command,
)
from workbench.adapters.venue_server.loopback import LoopbackVenue
from workbench.adapters.venue_server.published import Published
from workbench.adapters.venue_server.records import TERMINAL, OrderRecord
from workbench.adapters.venue_server.wire import Answer, identity, parse_time, refusal

LARGEST_PAGE, USUAL_PAGE = 500, 50
TERMS = ("symbol", "side", "type", "time_in_force", "qty", "limit_price", "stop_price")


class OrderEndpoints:
    """Handlers of the endpoints of orders, and of those that close positions by an order.

    Parameters
    ----------
    venue, published, faults
        Where the truth is, what readers are served, and what goes wrong.
    account : AccountEndpoints
        Flags of account and assets, which may forbid an order.
    """

    def __init__(
        self, venue: LoopbackVenue, published: Published, faults: Faults, account: AccountEndpoints
    ) -> None:
        self.venue, self.published, self.faults, self.account = venue, published, faults, account

    def routes(self) -> dict[str, Handler]:
        """Handler of each endpoint."""
        return {
            SUBMIT: self.submit,
            LIST: self.orders,
            "DELETE /v2/orders": self.cancel_all,
            BY_CLIENT_ID: self.by_client_id,
            BY_ID: self.by_id,
            CANCEL: self.cancel,
            REPLACE: self.replace,
            "DELETE /v2/positions": self.close_all,
            "DELETE /v2/positions/{symbol}": self.close,
        }

    def submit(self, call: Call) -> Answer:
        """`POST /v2/orders`."""
        if not isinstance(call.body, dict):
            return refusal(400, 40010000, "request body format is invalid")
        command = submit_command(call.body)
        key = call.client_order_id
        duplicate = bool(key) and key in self.venue.state.orders
        last = duplicate and self.faults.take(("duplicate_checked_last",), SUBMIT, key) is not None
        if isinstance(command, Answer):
            return command
        if duplicate and not last:
            return self._duplicate(key)
        barred = self._barred(command)
        if barred is not None:
            return barred
        if last:
            reason = self.venue.refusal({**command, "client_order_id": ""})
            return reason or self._duplicate(key)
        found = self.venue.submit(command, source=None)
        if isinstance(found, Answer):
            return found
        fault = self.faults.take(("reject_after_accept",), SUBMIT, found.client_order_id)
        if fault is not None:
            self.venue.reject(found, str(fault.params.get("reason", "rejected by the exchange")))
        return Answer(200, found.versions[0])

    def _duplicate(self, key: str) -> Answer:
        fault = self.faults.take(("duplicate_409",), SUBMIT, key)
        return refusal(409 if fault else 422, MALFORMED, DUPLICATE)

    def _barred(self, command: dict[str, Any]) -> Answer | None:
        """What the account or the asset, as an operator left them, forbids."""
        account = self.account
        blocked = [name for name in ("trading_blocked", "account_blocked", "trade_suspended_by_user")
                   if account.flags.get(name)]  # fmt: skip
        inactive = account.flags.get("status", "ACTIVE") != "ACTIVE"
        if blocked or inactive or account.configurations["suspend_trade"]:
            return refusal(403, FORBIDDEN, "account is not allowed to trade")
        changed = account.assets_changed.get(command["symbol"], {})
        if changed.get("tradable") is False or changed.get("status") == "inactive":
            return refusal(422, INVALID, f'asset "{command["symbol"]}" is not tradable')
        return None

    def orders(self, call: Call) -> Answer:
        """`GET /v2/orders`: by status, time and symbol, a page at a time."""
        self.venue.advance()
        query = call.query
        status = query.get("status", "open")
        try:
            limit = int(query.get("limit", USUAL_PAGE))
            after, until = (
                parse_time(query[name]) if query.get(name) else None for name in ("after", "until")
            )
        except ValueError:
            return refusal(422, MALFORMED, "invalid query parameter")
        if status not in ("open", "closed", "all") or not 0 < limit <= LARGEST_PAGE:
            return refusal(422, MALFORMED, "invalid status" if 0 < limit <= LARGEST_PAGE else "invalid limit")
        symbols = {name for name in query.get("symbols", "").split(",") if name}
        found = [
            order
            for record, order in self._listed(only_open=status == "open")
            if (status == "all" or (order["status"] in TERMINAL) == (status == "closed"))
            and (not symbols or order["symbol"] in symbols)
            and query.get("side", order["side"]) == order["side"]
            and (after is None or record.submitted_ns > after)
            and (until is None or record.submitted_ns < until)
        ]
        if query.get("direction", "desc") != "asc":
            found.reverse()
        return Answer(200, self._spoiled(found[:limit]))

    def _listed(self, *, only_open: bool) -> Iterable[tuple[OrderRecord, dict[str, Any]]]:
        view, state = self.published.read(), self.venue.state
        if view is not None:
            return [(state.orders[key], order) for key, order in view.orders.items()]
        keys = list(state.open_ids) if only_open else list(state.orders)
        return [(state.orders[key], state.orders[key].present) for key in keys]

    def _spoiled(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if not self.faults.any:
            return rows
        if self.faults.take(("list_empty",), LIST):
            return []
        cut = self.faults.take(("list_truncate",), LIST)
        rows = rows[: int(cut.params.get("limit", 1))] if cut else rows
        return [self._maybe_stale(self.venue.state.orders[row["client_order_id"]], row) for row in rows]

    def _maybe_stale(self, record: OrderRecord, present: dict[str, Any]) -> dict[str, Any]:
        if not self.faults.any:
            return present
        fault = self.faults.take(("stale_order",), BY_ID, record.client_order_id)
        if fault is None:
            return present
        return record.versions[max(len(record.versions) - 1 - int(fault.params.get("versions", 1)), 0)]

    def by_id(self, call: Call) -> Answer:
        """`GET /v2/orders/{id}`."""
        self.venue.advance()
        key = self.venue.state.by_id.get(call.path["id"])
        if key is None or self.faults.take(("by_id_404",), BY_ID, key):
            return self._missing(call.path["id"])
        return self._one(key, call.path["id"])

    def by_client_id(self, call: Call) -> Answer:
        """`GET /v2/orders:by_client_order_id`."""
        self.venue.advance()
        key = call.query.get("client_order_id", "")
        if self.faults.take(("by_client_id_404",), BY_CLIENT_ID, key):
            return refusal(404, NOT_FOUND, f"order not found for {key}")
        return self._one(key, key)

    def _one(self, key: str, name: str) -> Answer:
        record, view = self.venue.state.orders.get(key), self.published.read()
        order = view.orders.get(key) if view else (record.present if record else None)
        if record is None or order is None:
            return refusal(404, NOT_FOUND, f"order not found for {name}")
        return Answer(200, self._maybe_stale(record, order))

    def _missing(self, order_id: str) -> Answer:
        if len(order_id) != 36:
            return refusal(422, MALFORMED, "order_id is missing")
        return refusal(404, NOT_FOUND, f"order not found for {order_id}")

    def cancel(self, call: Call) -> Answer:
        """`DELETE /v2/orders/{id}`: 204 says that it was asked for, no more."""
        state, endpoint = self.venue.state, call.endpoint
        self.venue.advance()
        key = state.by_id.get(call.path["id"])
        if key is None:
            return self._missing(call.path["id"])
        record = state.orders[key]
        if self.faults.any:
            fault = self.faults.take(("cancel_",), endpoint, key)
            if fault is not None:
                return self._odd_cancel(fault.kind, record)
        return self.venue.cancel(record)

    def _odd_cancel(self, kind: str, record: OrderRecord) -> Answer:
        if kind == "cancel_lost":
            return Answer(204)
        if kind == "cancel_stuck_pending" and record.status not in TERMINAL:
            self.venue.mark(record, "pending_cancel")
            return Answer(204)
        if kind in ("cancel_204_then_fill", "cancel_422_filled"):
            self.venue.fill_up(record)
            return Answer(204) if kind == "cancel_204_then_fill" else self.venue.cancel(record)
        answer = self.venue.cancel(record)
        return Answer(204) if kind == "cancel_204_on_filled" else answer

    def cancel_all(self, call: Call) -> Answer:
        """`DELETE /v2/orders`: 207, a row for each open order."""
        self.venue.advance()
        rows = []
        for key in list(self.venue.state.open_ids):
            record = self.venue.state.orders[key]
            answer = self.venue.cancel(record)
            done = answer.status == 204
            body = record.present if done else answer.body
            rows.append({"id": record.order_id, "status": 200 if done else answer.status, "body": body})
        return Answer(207, rows)

    def replace(self, call: Call) -> Answer:
        """`PATCH /v2/orders/{id}`: a new order with a new id; what is not named stays."""
        state = self.venue.state
        self.venue.advance()
        key = state.by_id.get(call.path["id"])
        if key is None:
            return self._missing(call.path["id"])
        record, body = state.orders[key], call.body if isinstance(call.body, dict) else {}
        old = record.present
        if old["status"] in ("accepted", "pending_new", "pending_cancel", "pending_replace"):
            text = "unable to replace order, order isn't sent to exchange yet"
            return refusal(422, MALFORMED, text)
        if old["status"] in TERMINAL:
            return refusal(422, INVALID, "unable to replace order, order is not open")
        given = {
            name: body[name]
            for name in ("qty", "limit_price", "stop_price", "time_in_force")
            if body.get(name)
        }
        terms = {name: old[name] for name in ("symbol", "side", "type", "time_in_force", "qty", "limit_price",
                                              "stop_price")}  # fmt: skip
        name = body.get("client_order_id") or identity("replacement", record.order_id, len(state.orders))
        command = submit_command({**terms, **given, "client_order_id": name})
        if isinstance(command, Answer):
            return command
        if self.faults.take(("replace_fill_wins",), call.endpoint, key):
            self.venue.fill_up(record)
            found = self.venue.submit(command)
            if not isinstance(found, Answer):
                self.venue.reject(found, "the order to be replaced was filled")
        else:
            found = self.venue.replace(record, command)
        return found if isinstance(found, Answer) else Answer(200, found.versions[0])

    # --- closing positions --------------------------------------------------------------------------

    def close(self, call: Call) -> Answer:
        """`DELETE /v2/positions/{symbol}`: a market order whose id the venue makes."""
        self.venue.advance()
        symbol = self.account.symbol_of(call.path["symbol"])
        held = self.venue.state.venue.held(symbol)
        if not held:
            return refusal(404, NOT_FOUND, "position does not exist")
        quantity: Any = call.query.get("qty", str(held))
        if "percentage" in call.query:
            quantity = str(int(held * float(call.query["percentage"]) / 100))
        return self._sell(symbol, quantity)

    def close_all(self, call: Call) -> Answer:
        """`DELETE /v2/positions`: 207, a row for each position."""
        self.venue.advance()
        if call.query.get("cancel_orders", "false").lower() == "true":
            self.cancel_all(call)
        rows = []
        for symbol in self.venue.state.positions():
            answer = self._sell(symbol, str(self.venue.state.venue.held(symbol)))
            rows.append({"symbol": symbol, "status": answer.status, "body": answer.body})
        return Answer(207, rows)

    def _sell(self, symbol: str, quantity: str) -> Answer:
        body = {"symbol": symbol, "qty": quantity, "side": "sell", "type": "market", "time_in_force": "day"}
        command = submit_command(body)
        if isinstance(command, Answer):
            return command
        barred = self._barred(command)
        found = barred or self.venue.submit(command)
        return found if isinstance(found, Answer) else Answer(200, found.versions[0])
