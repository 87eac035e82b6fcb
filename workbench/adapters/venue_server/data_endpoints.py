"""The market data endpoints: bars, quotes, trades, the latest of each, snapshots; pages by token.

Quotes are those that stood at this venue, trades are their middles at the time of each change, bars are
the store's up to now. A standing quote is confirmed every second of trading time: its stamp moves on while
a session is open.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from workbench.adapters.venue_server.door import Call, Handler
from workbench.adapters.venue_server.faults import Faults
from workbench.adapters.venue_server.loopback import LoopbackVenue
from workbench.adapters.venue_server.wire import (
    Answer,
    identity,
    new_york_date,
    new_york_midnight,
    parse_time,
    refusal,
    when,
)
from workbench.core.types import DAY_NS, MICRO, NANO, Bars
from workbench.core.venue import standing_quote
from workbench.errors import WorkbenchError

LARGEST_PAGE, USUAL_PAGE = 10_000, 1_000
MINUTE_NS = 60 * NANO
FRAMES = {"1Day": DAY_NS, "1D": DAY_NS, "1Min": MINUTE_NS, "1T": MINUTE_NS}
Row = tuple[int, dict[str, Any]]


class DataEndpoints:
    """Handlers of the market data endpoints."""

    def __init__(self, venue: LoopbackVenue, faults: Faults) -> None:
        self.venue, self.faults = venue, faults
        self.frozen = False  # whether standing quotes keep the stamp of their last change

    def routes(self) -> dict[str, Handler]:
        """Handler of each endpoint."""
        found: dict[str, Handler] = {}
        for kind, series in (("bars", self.bars_of), ("quotes", self.quotes_of), ("trades", self.trades_of)):
            found[f"GET /v2/stocks/{kind}"] = self._series(kind, series)
            found[f"GET /v2/stocks/{{symbol}}/{kind}"] = self._series(kind, series)
            found[f"GET /v2/stocks/{kind}/latest"] = self._latest(kind)
            found[f"GET /v2/stocks/{{symbol}}/{kind}/latest"] = self._latest(kind)
        found["GET /v1/corporate-actions"] = self.corporate_actions
        found["GET /v2/stocks/snapshots"] = self.snapshots
        found["GET /v2/stocks/{symbol}/snapshot"] = self.snapshots
        return found

    # --- series ------------------------------------------------------------------------------------

    def _series(self, kind: str, series: Callable[[str, int, int, str], list[Row]]) -> Handler:
        def handler(call: Call) -> Answer:
            now_ns = self.venue.advance()
            single = call.path.get("symbol")
            symbols = self._symbols(call)
            frame = call.query.get("timeframe", "1Day")
            try:
                limit = int(call.query.get("limit", USUAL_PAGE))
                start = self._bound(call.query.get("start"), now_ns // DAY_NS * DAY_NS)
                end = min(self._bound(call.query.get("end"), now_ns), now_ns)
            except ValueError:
                return refusal(400, 40010000, "invalid query parameter")
            if not symbols or not 0 < limit <= LARGEST_PAGE or (kind == "bars" and frame not in FRAMES):
                return refusal(400, 40010000, "invalid symbols, limit or timeframe")
            rows = [(name, at, row) for name in symbols for at, row in series(name, start, end, frame)]
            if call.query.get("sort") == "desc":
                rows.sort(key=lambda item: (item[0], -item[1]))
            return self._page(kind, rows, call.query.get("page_token", ""), limit, single)

        return handler

    def _page(self, kind: str, rows: list[Any], token: str, limit: int, single: str | None) -> Answer:
        repeats = self.faults.take(("list_page_repeat",), f"GET /v2/stocks/{kind}") is not None
        first = 0 if repeats or not token else self._place(token)
        page = rows[first : first + limit]
        more = repeats or first + limit < len(rows)
        following = base64.b64encode(f"{kind}|{first + limit}".encode()).decode() if more else None
        found: dict[str, list[Any]] = {}
        for name, _, row in page:
            found.setdefault(name, []).append(row)
        if single is not None:
            body = {
                kind: found.get(single.upper(), []),
                "symbol": single.upper(),
                "next_page_token": following,
            }
            return Answer(200, body)
        return Answer(200, {kind: found, "next_page_token": following})

    @staticmethod
    def _place(token: str) -> int:
        try:
            return int(base64.b64decode(token).decode().partition("|")[2])
        except ValueError:
            return 10**12  # nobody gave out this token: the page after the end

    @staticmethod
    def _bound(text: str | None, default: int) -> int:
        return parse_time(text) if text else default

    def _symbols(self, call: Call) -> list[str]:
        if "symbol" in call.path:
            return [call.path["symbol"].upper()]
        return sorted(
            {name.strip().upper() for name in call.query.get("symbols", "").split(",") if name.strip()}
        )

    def quotes_of(self, symbol: str, start_ns: int, end_ns: int, frame: str) -> list[Row]:
        """Every quote that was set in that time."""
        return [
            (at, quote_row(at, bid, ask))
            for at, name, bid, ask in self.venue.state.quote_history
            if name == symbol and start_ns <= at <= end_ns
        ]

    def trades_of(self, symbol: str, start_ns: int, end_ns: int, frame: str) -> list[Row]:
        """A trade in the middle of every quote that was set in that time."""
        return [
            (at, trade_row(at, (bid + ask) // 2))
            for at, name, bid, ask in self.venue.state.quote_history
            if name == symbol and start_ns <= at <= end_ns
        ]

    def bars_of(self, symbol: str, start_ns: int, end_ns: int, frame: str) -> list[Row]:
        """Bars of the store that were complete by now, stamped with their beginning."""
        if symbol not in self.venue.state.venue.symbols:
            return []
        if FRAMES[frame] == DAY_NS:
            return self._daily(symbol, start_ns, end_ns)
        bars = self.venue.market.minutes(symbol)
        if bars is None:
            return []
        now_ns = self.venue.now_ns()
        begins = bars.ts_ns - MINUTE_NS
        rows = np.flatnonzero((begins >= start_ns) & (begins <= end_ns) & (bars.ts_ns <= now_ns))
        return [(int(begins[row]), _row_of(bars, int(row), int(begins[row]))) for row in rows]

    def _daily(self, symbol: str, start_ns: int, end_ns: int) -> list[Row]:
        now_ns, calendar = self.venue.now_ns(), self.venue.calendar
        found: list[Row] = []
        try:
            sessions = calendar.sessions_between(new_york_date(start_ns), new_york_date(end_ns))
        except WorkbenchError:
            return found
        for session in sessions:
            at = new_york_midnight(session)
            if calendar.session_close_ns(session) > now_ns or not start_ns <= at <= end_ns:
                continue
            bar = self.venue.market.daily((symbol,), session).get(symbol)
            if bar:
                found.append((at, bar_row(at, [price / MICRO for price in bar[:4]], bar[4])))
        return found

    def corporate_actions(self, call: Call) -> Answer:
        """`GET /v1/corporate-actions`: splits, dividends and changes of symbol by ex date, on one page."""
        now_ns, calendar = self.venue.advance(), self.venue.calendar
        start = call.query.get("start", new_york_date(now_ns))
        end = call.query.get("end", new_york_date(now_ns + 30 * DAY_NS))
        symbols = set(self._symbols(call)) or set(self.venue.state.venue.symbols)
        events = [event for event in self.venue.corporate.announced if start <= event["session"] <= end]
        for session in calendar.sessions_between(start, end):
            for symbol, (new, old) in sorted(self.venue.market.splits(session).items()):
                events.append({"kind": "split", "symbol": symbol, "new": new, "old": old, "session": session})
            for symbol, micro in sorted(self.venue.market.dividends(session).items()):
                amount = micro / MICRO
                events.append({"kind": "dividend", "symbol": symbol, "amount": amount, "session": session})
        found: dict[str, list[dict[str, Any]]] = {}
        for event in events:
            if event["symbol"] in symbols:
                group, row = announcement(event)
                found.setdefault(group, []).append(row)
        return Answer(200, {"corporate_actions": found, "next_page_token": None})

    # --- the latest --------------------------------------------------------------------------------

    def _latest(self, kind: str) -> Handler:
        def handler(call: Call) -> Answer:
            self.venue.advance()
            found = {name: row for name in self._symbols(call) if (row := self._last(kind, name)) is not None}
            single = call.path.get("symbol")
            if single is None:
                return Answer(200, {kind: found})
            if single.upper() not in found:
                return refusal(404, 40410000, f"no {kind} found for {single}")
            return Answer(200, {kind[:-1]: found[single.upper()], "symbol": single.upper()})

        return handler

    def _last(self, kind: str, symbol: str) -> dict[str, Any] | None:
        venue = self.venue.state.venue
        bid, ask = standing_quote(venue, symbol)
        if not bid:
            return None
        at_ns = self._confirmed(symbol)
        if kind == "quotes":
            return quote_row(at_ns, bid, ask)
        middle = (bid + ask) // 2
        if kind == "trades":
            return trade_row(at_ns, middle)
        return bar_row(at_ns // MINUTE_NS * MINUTE_NS, [middle / MICRO] * 4, 0)

    def _confirmed(self, symbol: str) -> int:
        """When the standing quote was last heard of; one that follows from a bar is always of now."""
        if symbol not in self.venue.state.venue.quotes:
            return self.venue.clock.now_ns()
        set_ns = next((at for at, name, *_ in reversed(self.venue.state.quote_history) if name == symbol), 0)
        if self.frozen or self.venue.state.venue.phase != "open":
            return set_ns
        return max(set_ns, self.venue.now_ns() // NANO * NANO)

    def snapshots(self, call: Call) -> Answer:
        """`GET /v2/stocks/snapshots`: latest trade and quote, minute bar, this and the last daily bar."""
        self.venue.advance()
        found: dict[str, Any] = {}
        for symbol in self._symbols(call):
            trade = self._last("trades", symbol)
            if trade is None:
                continue
            now_ns = self.venue.now_ns()
            days = [row for _, row in self._daily(symbol, now_ns - 7 * DAY_NS, now_ns)]
            found[symbol] = {
                "latestTrade": trade, "latestQuote": self._last("quotes", symbol),
                "minuteBar": self._last("bars", symbol), "dailyBar": self._last("bars", symbol),
                "prevDailyBar": days[-1] if days else self._last("bars", symbol),
            }  # fmt: skip
        single = call.path.get("symbol")
        if single is None:
            return Answer(200, found)
        body = found.get(single.upper())
        return (
            Answer(200, {"symbol": single.upper(), **body}) if body else refusal(404, 40410000, "no snapshot")
        )


def announcement(event: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """A corporate event in Alpaca's form, and the group it belongs to."""
    symbol, session = event["symbol"], event["session"]
    row: dict[str, Any] = {
        "id": identity("announcement", event["kind"], symbol, session), "cusip": "", "ex_date": session,
        "process_date": session, "record_date": session, "payable_date": session,
    }  # fmt: skip
    if event["kind"] == "dividend":
        terms: dict[str, Any] = {"rate": float(event["amount"]), "special": False, "foreign": False}
        return "cash_dividends", row | {"symbol": symbol} | terms
    if event["kind"] == "rename":
        del row["ex_date"], row["cusip"], row["record_date"], row["payable_date"]
        terms = {"old_symbol": symbol, "new_symbol": event["to"], "old_cusip": "", "new_cusip": ""}
        return "name_changes", row | terms
    new, old = float(event["new"]), float(event["old"])
    if new > old:
        return "forward_splits", row | {"symbol": symbol, "new_rate": new, "old_rate": old}
    del row["cusip"]
    terms = {"symbol": symbol, "old_cusip": "", "new_cusip": "", "new_rate": new, "old_rate": old}
    return "reverse_splits", row | terms


def quote_row(at_ns: int, bid_micro: int, ask_micro: int) -> dict[str, Any]:
    """A quote in Alpaca's form; sizes are nominal, this venue has no depth."""
    return {
        "t": when(at_ns), "ax": "V", "ap": ask_micro / MICRO, "as": 1, "bx": "V", "bp": bid_micro / MICRO,
        "bs": 1, "c": ["R"], "z": "C",
    }  # fmt: skip


def trade_row(at_ns: int, price_micro: int) -> dict[str, Any]:
    """A trade in Alpaca's form."""
    return {
        "t": when(at_ns),
        "x": "V",
        "p": price_micro / MICRO,
        "s": 100,
        "c": ["@"],
        "i": at_ns // 1000,
        "z": "C",
    }


def bar_row(at_ns: int, prices: Sequence[float], volume: int) -> dict[str, Any]:
    """A bar in Alpaca's form; the store knows neither the number of trades nor their mean price."""
    opened, high, low, close = prices
    mean = round((high + low + close) / 3, 6)
    return {"t": when(at_ns), "o": opened, "h": high, "l": low, "c": close, "v": volume, "n": 0, "vw": mean}


def _row_of(bars: Bars, row: int, at_ns: int) -> dict[str, Any]:
    prices = [float(column[row, 0]) for column in (bars.open, bars.high, bars.low, bars.close)]
    return bar_row(at_ns, prices, int(bars.volume[row, 0]))
