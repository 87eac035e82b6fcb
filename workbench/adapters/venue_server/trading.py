"""The trading endpoints: account, orders, positions, activities, assets, clock, calendar."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from workbench.adapters.venue_server.door import Call, Handler
from workbench.adapters.venue_server.faults import BY_CLIENT_ID, BY_ID, LIST, SUBMIT, Faults
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
from workbench.adapters.venue_server.wire import (
    Answer,
    identity,
    new_york_date,
    parse_time,
    refusal,
    when_new_york,
)
from workbench.core.types import DAY_NS

LARGEST_PAGE, USUAL_PAGE, ACTIVITY_PAGE = 500, 50, 100
CONFIGURATIONS: dict[str, Any] = {
    "disable_overnight_trading": False, "fractional_trading": False, "max_margin_multiplier": "1",
    "max_options_trading_level": 0, "no_shorting": True, "ptp_no_exception_entry": False,
    "suspend_trade": False, "trade_confirm_email": "none",
}  # fmt: skip


class Trading:
    """Handlers of the trading endpoints.

    Parameters
    ----------
    venue, published, faults
        Where the truth is, what readers are served, and what goes wrong.
    """

    def __init__(self, venue: LoopbackVenue, published: Published, faults: Faults) -> None:
        self.venue, self.published, self.faults = venue, published, faults
        self.flags: dict[str, Any] = {}  # what an operator of the venue changed in the account
        self.assets_changed: dict[str, dict[str, Any]] = {}
        self.configurations = dict(CONFIGURATIONS)

    def routes(self) -> dict[str, Handler]:
        """Handler of each endpoint."""
        return {
            "GET /v2/account": self.account,
            "GET /v2/account/configurations": lambda call: Answer(200, self.configurations),
            "PATCH /v2/account/configurations": self.configure,
            "GET /v2/account/activities": self.activities,
            "GET /v2/account/activities/{type}": self.activities,
            "GET /v2/assets": self.assets,
            "GET /v2/assets/{symbol}": self.asset,
            "GET /v2/clock": self.clock,
            "GET /v2/calendar": self.calendar,
            SUBMIT: self.submit,
            LIST: self.orders,
            "DELETE /v2/orders": self.cancel_all,
            BY_CLIENT_ID: self.by_client_id,
            BY_ID: self.by_id,
            "DELETE /v2/orders/{id}": self.cancel,
            "PATCH /v2/orders/{id}": self.replace,
            "GET /v2/positions": self.positions,
            "DELETE /v2/positions": self.close_all,
            "GET /v2/positions/{symbol}": self.position,
            "DELETE /v2/positions/{symbol}": self.close,
        }

    # --- orders ------------------------------------------------------------------------------------

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
        blocked = [name for name in ("trading_blocked", "account_blocked", "trade_suspended_by_user")
                   if self.flags.get(name)]  # fmt: skip
        if blocked or self.configurations["suspend_trade"] or self.flags.get("status", "ACTIVE") != "ACTIVE":
            return refusal(403, FORBIDDEN, "account is not allowed to trade")
        changed = self.assets_changed.get(command["symbol"], {})
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

    # --- positions and money -----------------------------------------------------------------------

    def account(self, call: Call) -> Answer:
        """`GET /v2/account`."""
        self.venue.advance()
        view = self.published.read()
        account = view.account if view else self.venue.state.account()
        return Answer(200, {**account, **self.flags})

    def configure(self, call: Call) -> Answer:
        """`PATCH /v2/account/configurations`."""
        body = call.body if isinstance(call.body, dict) else {}
        unknown = sorted(set(body) - set(CONFIGURATIONS))
        wrong = [n for n in body if n in CONFIGURATIONS and type(body[n]) is not type(CONFIGURATIONS[n])]
        if unknown or wrong:
            return refusal(422, MALFORMED, f"invalid configuration: {', '.join([*unknown, *wrong])}")
        self.configurations |= body
        return Answer(200, self.configurations)

    def positions(self, call: Call) -> Answer:
        """`GET /v2/positions`."""
        self.venue.advance()
        view = self.published.read()
        return Answer(200, list((view.positions if view else self.venue.state.positions()).values()))

    def position(self, call: Call) -> Answer:
        """`GET /v2/positions/{symbol or asset id}`; flat is 404."""
        self.venue.advance()
        view, symbol = self.published.read(), self._symbol(call.path["symbol"])
        found = (view.positions if view else self.venue.state.positions()).get(symbol)
        return Answer(200, found) if found else refusal(404, NOT_FOUND, "position does not exist")

    def close(self, call: Call) -> Answer:
        """`DELETE /v2/positions/{symbol}`: a market order whose id the venue makes."""
        self.venue.advance()
        symbol = self._symbol(call.path["symbol"])
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

    def activities(self, call: Call) -> Answer:
        """`GET /v2/account/activities`: the drop copy, by type, date and page."""
        self.venue.advance()
        query, view = call.query, self.published.read()
        rows = list(view.activities if view else self.venue.state.activities)
        wanted = call.path.get("type") or query.get("activity_types", "")
        kinds = {name.strip().upper() for name in wanted.split(",") if name.strip()}
        try:
            size = int(query.get("page_size", ACTIVITY_PAGE))
            after, until = (
                parse_time(query[name]) if query.get(name) else None for name in ("after", "until")
            )
        except ValueError:
            return refusal(422, MALFORMED, "invalid query parameter")
        if not 0 < size <= ACTIVITY_PAGE:
            return refusal(422, MALFORMED, f"page_size must be between 1 and {ACTIVITY_PAGE}")
        found = [
            row
            for row in rows
            if (not kinds or row["activity_type"] in kinds)
            and (not query.get("order_id") or row.get("order_id") == query["order_id"])
            and self._within(row, after, until, query.get("date", ""))
            and (query.get("category") != "trade_activity" or row["activity_type"] == "FILL")
            and (query.get("category") != "non_trade_activity" or row["activity_type"] != "FILL")
        ]
        if query.get("direction", "desc") != "asc":
            found.reverse()
        return Answer(200, self._page(found, query.get("page_token", ""), size))

    def _page(self, rows: list[dict[str, Any]], token: str, size: int) -> list[dict[str, Any]]:
        if token and not self.faults.take(("list_page_repeat",), "GET /v2/account/activities"):
            places = [place for place, row in enumerate(rows) if row["id"] == token]
            rows = rows[places[0] + 1 :] if places else []
        return rows[:size]

    @staticmethod
    def _within(row: dict[str, Any], after: int | None, until: int | None, date: str) -> bool:
        at_ns = parse_time(row.get("transaction_time") or row["created_at"])
        if after is not None and at_ns <= after:
            return False
        if until is not None and at_ns >= until:
            return False
        return not date or new_york_date(at_ns) == date[:10]

    # --- reference ---------------------------------------------------------------------------------

    def _symbol(self, name: str) -> str:
        """The symbol itself, or the one that an asset id stands for."""
        symbols = self.venue.state.venue.symbols
        if name in symbols:
            return name
        return next((symbol for symbol in symbols if identity("asset", symbol) == name), name)

    def assets(self, call: Call) -> Answer:
        """`GET /v2/assets`."""
        wanted = {name: call.query[name] for name in ("status", "exchange") if name in call.query}
        if call.query.get("asset_class", "us_equity") not in ("us_equity", ""):
            return Answer(200, [])
        rows = [self._asset(symbol) for symbol in self.venue.state.venue.symbols]
        return Answer(200, [row for row in rows if all(row[name] == wanted[name] for name in wanted)])

    def asset(self, call: Call) -> Answer:
        """`GET /v2/assets/{symbol or id}`."""
        symbol = self._symbol(call.path["symbol"])
        if symbol not in self.venue.state.venue.symbols:
            return refusal(404, NOT_FOUND, f"asset not found for {call.path['symbol']}")
        return Answer(200, self._asset(symbol))

    def _asset(self, symbol: str) -> dict[str, Any]:
        return {
            "id": identity("asset", symbol), "class": "us_equity", "exchange": "NASDAQ", "symbol": symbol,
            "name": f"{symbol} Common Stock", "status": "active", "tradable": True, "marginable": False,
            "maintenance_margin_requirement": 100, "margin_requirement_long": "100",
            "margin_requirement_short": "100", "shortable": False, "easy_to_borrow": False,
            "borrow_status": "hard_to_borrow", "fractionable": False, "attributes": [],
            **self.assets_changed.get(symbol, {}),
        }  # fmt: skip

    def clock(self, call: Call) -> Answer:
        """`GET /v2/clock`."""
        self.venue.advance()
        calendar, venue = self.venue.calendar, self.venue.state.venue
        now_ns = self.venue.now_ns() + self.venue.clock.skew_ns
        following = calendar.session_after_ns(now_ns)
        is_open = venue.phase == "open"
        closing = venue.session if is_open else following
        return Answer(
            200,
            {
                "timestamp": when_new_york(now_ns), "is_open": is_open,
                "next_open": when_new_york(calendar.session_open_ns(following)),
                "next_close": when_new_york(calendar.session_close_ns(closing)),
            },
        )  # fmt: skip

    def calendar(self, call: Call) -> Answer:
        """`GET /v2/calendar`: sessions with their hours, a year to each side unless told otherwise."""
        now_ns = self.venue.now_ns()
        start, end = (
            call.query.get(name, new_york_date(now_ns + sign * 365 * DAY_NS))[:10]
            for name, sign in (("start", -1), ("end", 1))
        )
        try:
            sessions = self.venue.calendar.sessions_between(start, end)
        except ValueError:
            return refusal(422, MALFORMED, "invalid start or end")
        return Answer(200, [self._day(session) for session in sessions])

    def _day(self, session: str) -> dict[str, str]:
        calendar = self.venue.calendar
        opens, closes = (
            when_new_york(at)[11:16]
            for at in (calendar.session_open_ns(session), calendar.session_close_ns(session))
        )
        return {
            "date": session, "open": opens, "close": closes, "session_open": "0400", "session_close": "2000",
            "settlement_date": calendar.next_session(session),
        }  # fmt: skip
