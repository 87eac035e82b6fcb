"""The endpoints of account, positions, activities, assets, clock and calendar."""

from __future__ import annotations

from typing import Any

from workbench.adapters.venue_server.door import Call, Handler
from workbench.adapters.venue_server.faults import Faults
from workbench.adapters.venue_server.intake import MALFORMED, NOT_FOUND
from workbench.adapters.venue_server.loopback import LoopbackVenue
from workbench.adapters.venue_server.published import Published
from workbench.adapters.venue_server.wire import (
    Answer,
    new_york_date,
    parse_time,
    refusal,
    when_new_york,
)
from workbench.core.types import DAY_NS

ACTIVITY_PAGE = 100
CONFIGURATIONS: dict[str, Any] = {
    "disable_overnight_trading": False, "fractional_trading": False, "max_margin_multiplier": "1",
    "max_options_trading_level": 0, "no_shorting": True, "ptp_no_exception_entry": False,
    "suspend_trade": False, "trade_confirm_email": "none",
}  # fmt: skip


class AccountEndpoints:
    """Handlers of what an account is and what happened to it.

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
            "GET /v2/positions": self.positions,
            "GET /v2/positions/{symbol}": self.position,
        }

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
        view, symbol = self.published.read(), self.symbol_of(call.path["symbol"])
        found = (view.positions if view else self.venue.state.positions()).get(symbol)
        return Answer(200, found) if found else refusal(404, NOT_FOUND, "position does not exist")

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

    def symbol_of(self, name: str) -> str:
        """The symbol itself, or the one that an asset id stands for."""
        symbols = self.venue.state.venue.symbols
        if name in symbols:
            return name
        return next((symbol for symbol in symbols if self.venue.state.asset_id(symbol) == name), name)

    def assets(self, call: Call) -> Answer:
        """`GET /v2/assets`."""
        wanted = {name: call.query[name] for name in ("status", "exchange") if name in call.query}
        if call.query.get("asset_class", "us_equity") not in ("us_equity", ""):
            return Answer(200, [])
        rows = [self._asset(symbol) for symbol in self.venue.state.venue.symbols]
        return Answer(200, [row for row in rows if all(row[name] == wanted[name] for name in wanted)])

    def asset(self, call: Call) -> Answer:
        """`GET /v2/assets/{symbol or id}`."""
        symbol = self.symbol_of(call.path["symbol"])
        if symbol not in self.venue.state.venue.symbols:
            return refusal(404, NOT_FOUND, f"asset not found for {call.path['symbol']}")
        return Answer(200, self._asset(symbol))

    def _asset(self, symbol: str) -> dict[str, Any]:
        return {
            "id": self.venue.state.asset_id(symbol), "class": "us_equity", "exchange": "NASDAQ",
            "symbol": symbol,
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
            for at in (calendar.session_open_ns(session), calendar.announced_close_ns(session))
        )
        return {
            "date": session, "open": opens, "close": closes, "session_open": "0400", "session_close": "2000",
            "settlement_date": calendar.next_session(session),
        }  # fmt: skip
