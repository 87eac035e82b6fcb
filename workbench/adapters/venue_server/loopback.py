"""The venue that lives behind the sockets: time, market, orders; every change is a stored command."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from workbench.adapters.venue_server.clock import VenueClock
from workbench.adapters.venue_server.command_file import CommandFile
from workbench.adapters.venue_server.corporate_plan import CorporatePlan
from workbench.adapters.venue_server.intake import INVALID, refused
from workbench.adapters.venue_server.market import ExchangeHours, MarketSource, quote_around
from workbench.adapters.venue_server.options import VenueOptions
from workbench.adapters.venue_server.records import OrderRecord
from workbench.adapters.venue_server.state import CLOCK, MARK, AccountState
from workbench.adapters.venue_server.wire import Answer, identity, refusal
from workbench.core.ports import Calendar
from workbench.core.types import NANO
from workbench.errors import ConfigError, DataError

#: Least trading time between two commands, so that what follows an acceptance comes after it.
STEP_NS = 1_000
FAR = 2**63
MAX_ID_LENGTH = 128


class LoopbackVenue:
    """One account at one venue, moved by a clock, a market source and requests.

    Not thread-safe: one event loop calls it. Events for the stream gather in `outbox`.

    Raises
    ------
    DataError
        The stored commands cannot be folded.
    ConfigError
        The stored account has another name or opening cash.
    """

    def __init__(
        self, options: VenueOptions, *, calendar: Calendar, market: MarketSource, state_path: Path | None
    ) -> None:
        self.options, self.market = options, market
        self.calendar = ExchangeHours(calendar)
        self.file = CommandFile(state_path)
        self.clock = VenueClock(options.start_ns, rate=options.clock_rate)
        self.state = AccountState()
        self.outbox: list[tuple[int, dict[str, Any]]] = []  # with the number of the command it tells of
        self.caps: dict[str, list[int]] = {}  # scripted partial fills by client order id; empty = it rests
        self.corporate = CorporatePlan(self)
        self._again: dict[str, int] = {}  # orders that will see a standing quote again, and when
        self._played = 0  # lines of the script that were played
        try:
            self._refold()
            if not self.state.venue.account:
                self._open_account()
            self._played = self.market.played(self.state.venue.last_ns)
            self.clock.set(max(self.state.venue.last_ns, self.state.clock_ns))
            self.advance()
            self.file.flush()
        except BaseException:
            self.file.close()
            raise
        self.outbox.clear()

    def now_ns(self) -> int:
        """Present trading time; never before the latest command."""
        return max(self.clock.now_ns(), self.state.venue.last_ns)

    # --- commands ----------------------------------------------------------------------------------

    def do(self, kind: str, at_ns: int | None = None, **fields: Any) -> dict[str, Any]:
        """Apply one command, append it to the journal, keep its events for the stream."""
        last_ns = self.state.venue.last_ns
        when_ns = max(self.clock.now_ns(), last_ns + STEP_NS) if at_ns is None else max(at_ns, last_ns)
        command = {"kind": kind, "at_ns": when_ns, **fields}
        reply, events = self.state.apply(command)
        self._look_again()
        self.file.append({"command": command})
        number = self.file.appended
        self.outbox += [(number, event) for event in events]
        return reply

    def submit(self, fields: Mapping[str, Any], **extra: Any) -> OrderRecord | Answer:
        """Let an order in and match it, or say why not."""
        self.advance()
        command = dict(fields)
        if not command["client_order_id"]:
            number = self.state.orders_seen
            command["client_order_id"] = identity("client", self.options.seed, self.options.account, number)
        reply = self.do("submit", account=self.options.account, **command, **self._hours(), **extra)
        if not reply["ok"]:
            return refused(reply["reason"], command, self.state)
        record = self.state.orders[command["client_order_id"]]
        self.match_again(record)
        return record

    def replace(self, record: OrderRecord, fields: Mapping[str, Any]) -> OrderRecord | Answer:
        """End an order with its successor; the successor's size is the one asked for."""
        self.advance()
        reply = self.do(
            "replace", account=self.options.account, **fields, **self._hours(),
            replaces=record.client_order_id, replaces_id=record.order_id,
        )  # fmt: skip
        if not reply["ok"]:
            return refused(reply["reason"], fields, self.state)
        successor = self.state.orders[fields["client_order_id"]]
        self.match_again(successor)
        return successor

    def cancel(self, record: OrderRecord) -> Answer:
        """Ask for a cancel: 204, or why there is nothing to cancel."""
        self.advance()
        reply = self.do("cancel", client_order_id=record.client_order_id)
        return Answer(204) if reply["ok"] else refusal(422, INVALID, reply["reason"])

    def refusal(self, fields: Mapping[str, Any]) -> Answer | None:
        """Why the venue would refuse this order now, whatever its id; None = it would not."""
        probe = {**fields, "client_order_id": identity("probe", self.state.orders_seen)}
        terms = {"account": self.options.account, **probe, **self._hours()}
        reason = self.state.venue.refusal(terms, max(self.clock.now_ns(), self.state.venue.last_ns))
        return refused(reason, fields, self.state) if reason else None

    def reject(self, record: OrderRecord, reason: str) -> None:
        """End an accepted order by the venue's own decision, unless it has ended already."""
        self.do("reject", client_order_id=record.client_order_id, reason=reason)

    def fill_up(self, record: OrderRecord, *, count: int = 0, price_micro: int = 0) -> None:
        """Fill so much of an open order (0 = all) at a price (0 = its limit or the market), quoted or not."""
        order, venue = self.state.venue.open_order(record.client_order_id), self.state.venue
        if order is None or venue.phase != "open":
            return
        bid, ask = venue.quotes[record.symbol]
        price_micro = price_micro or order.limit_micro or (ask if order.side > 0 else bid)
        caps = {order.client_order_id: count or order.leaves}
        self.do("match", symbol=order.symbol, only=list(caps), caps=caps, price_micro=price_micro)

    def quote(self, symbol: str, bid_micro: int, ask_micro: int) -> dict[str, Any]:
        """Set the market of a symbol; its open orders see it when a session is on."""
        self.advance()
        return self._set_quote(symbol, bid_micro, ask_micro)

    def mark(self, record: OrderRecord, status: str) -> None:
        """Say of an order what nothing in its book says."""
        self.do(MARK, client_order_id=record.client_order_id, status=status)

    def events(self) -> list[dict[str, Any]]:
        """Events whose commands are on disk, oldest first; each is given once."""
        settled = self.file.settled
        ready = [event for number, event in self.outbox if number <= settled]
        self.outbox = self.outbox[len(ready) :]
        return ready

    def match_again(self, record: OrderRecord, at_ns: int | None = None) -> None:
        """Let an order see the standing quote."""
        venue = self.state.venue
        if self.options.matching == "quotes" and venue.phase == "open":
            key = record.client_order_id
            caps = self._caps_of(record.symbol, key)
            self.do("match", at_ns, symbol=record.symbol, only=[key], caps=caps)

    def _caps_of(self, symbol: str, only: str = "") -> dict[str, int]:
        """What each open order of a symbol gets at most of the coming event: scripted, or drawn."""
        caps: dict[str, int] = {}
        if not self.caps and not self.options.partial_fills:
            return caps
        for order in self.state.venue.open_orders(symbol):
            key = order.client_order_id
            if only not in ("", key):
                continue
            script = self.caps.get(key)
            if script is not None:
                caps[key] = script.pop(0) if script else 0
            elif self._chance(key, order.executions, "partial") < self.options.partial_fills:
                caps[key] = 1 + int(self._chance(key, order.executions, "size") * (order.leaves - 1))
        return caps

    def _chance(self, key: str, executions: int, what: str) -> float:
        """A number in [0, 1) that belongs to this execution of this order, whatever else happened."""
        text = f"{self.options.seed}\x1f{key}\x1f{executions}\x1f{what}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big") / 2.0**56

    # --- time --------------------------------------------------------------------------------------

    def keep_time(self) -> None:
        """Store where the clock stands: a venue that comes back does not live the same minutes again."""
        self.do(CLOCK, self.clock.now_ns())

    def advance(self) -> int:
        """Move through every event of market and calendar up to now; return now."""
        now_ns, venue, calendar = self.now_ns(), self.state.venue, self.calendar
        while True:
            if venue.phase == "open":
                bell_ns, act = calendar.session_close_ns(venue.session), self._close
                session = venue.session
            else:
                session = calendar.next_session(venue.session)
                bell_ns, act = calendar.session_open_ns(session), self._open
            self._moves(min(bell_ns - 1, now_ns))
            if bell_ns > now_ns:
                return now_ns
            act(session, bell_ns)

    def _moves(self, upto_ns: int) -> None:
        """What the market does up to then, in order: lines of the script, second looks at standing quotes."""
        while True:
            script = self.market.script[self._played : self._played + 1]
            line_ns = script[0].at_ns if script else FAR
            key, look_ns = min(self._again.items(), key=lambda item: item[1], default=("", FAR))
            if min(line_ns, look_ns) > upto_ns:
                return
            if line_ns <= look_ns:
                self._played += 1
                self._set_quote(script[0].symbol, script[0].bid_micro, script[0].ask_micro, line_ns)
            else:
                del self._again[key]
                self.match_again(self.state.orders[key], look_ns)

    def _set_quote(self, symbol: str, bid: int, ask: int, at_ns: int | None = None) -> dict[str, Any]:
        if symbol not in self.state.venue.symbols:
            return {"execution_ids": []}
        caps = self._caps_of(symbol)
        return self.do("quote", at_ns, symbol=symbol, bid_micro=bid, ask_micro=ask, caps=caps)

    def _look_again(self) -> None:
        """Let an order that a quote filled in part see it again, a second of trading time later."""
        for key, order in self.state.venue.touched.items():
            self._again.pop(key, None)
            if order.working and order.filled and self.options.matching == "quotes" and key not in self.caps:
                self._again[key] = self.state.venue.last_ns + NANO

    def _open(self, session: str, at_ns: int) -> None:
        symbols = self.state.venue.symbols
        for symbol, micro in sorted(self.market.dividends(session).items()):
            if symbol in symbols:
                self.do("dividend", at_ns, session=session, symbol=symbol, amount_micro=micro)
        for symbol, (new, old) in sorted(self.market.splits(session).items()):
            if symbol in symbols:
                self.do("split", at_ns, session=session, symbol=symbol, new_shares=new, old_shares=old)
        self.corporate.happen(session, at_ns)
        bars = self._daily(session)
        if self.options.matching == "daily" and bars:
            prices = {symbol: bar[0] for symbol, bar in bars.items()}
            self.do("open", at_ns, session=session, prices=prices)
            return
        quotes = {symbol: list(quote_around(bar[0])) for symbol, bar in bars.items()}
        self.do("session_open", at_ns, session=session, quotes=quotes)

    def _daily(self, session: str) -> dict[str, list[int]]:
        """The source's bars under today's symbols, in the share terms that planned splits have made."""
        original = {self.state.asset_names.get(name, name): name for name in self.state.venue.symbols}
        found = {}
        for name, bar in self.market.daily(tuple(sorted(original)), session).items():
            new, old = self.state.planned_splits.get(original[name], (1, 1))
            prices = [max(price * old // new, 1) for price in bar[:4]]
            found[original[name]] = [*prices, bar[4] * new // old]
        return found

    def _close(self, session: str, at_ns: int) -> None:
        if self.options.matching == "daily":
            bars = self._daily(session)
            if bars:
                self.do("close", at_ns, session=session, bars=bars)
                return
        for symbol, bar in self._daily(session).items():
            if symbol not in self.state.set_in_session:  # whoever set a quote today knows better than history
                self._set_quote(symbol, *quote_around(bar[3]), at_ns)
        self.do("session_close", at_ns, session=session)

    def _hours(self) -> dict[str, Any]:
        """The session that an order sent now is for, and its hours."""
        venue, calendar = self.state.venue, self.calendar
        session = venue.session if venue.phase == "open" else calendar.next_session(venue.session)
        previous = calendar.previous_session(session)
        return {
            "session": session, "open_ns": calendar.session_open_ns(session),
            "close_ns": calendar.session_close_ns(session),
            "previous_open_ns": calendar.session_open_ns(previous),
        }  # fmt: skip

    def restart(self, *, lose: int) -> int:
        """Forget what is not in the journal, and the last `lose` records of it; how many were lost."""
        lost = self.file.cut(lose)
        self.state, self.outbox, self.caps, self._again = AccountState(), [], {}, {}
        self._refold()
        self._played = self.market.played(self.state.venue.last_ns)
        self.advance()
        self.file.flush()
        self.outbox.clear()
        return lost

    # --- the journal -------------------------------------------------------------------------------

    def _refold(self) -> None:
        for number, record in enumerate(self.file.read(), start=1):
            try:
                self.state.apply(record["command"])
            except (ValueError, KeyError, TypeError, AssertionError) as problem:
                raise DataError(
                    f"the venue's journal cannot be folded at record {number}: {problem}",
                    next_step="move the file away to start a new account, or use the version that wrote it",
                ) from None
            self._look_again()
        stored = self.state.venue.account
        if stored and stored != self.options.account:
            raise ConfigError(
                f"the venue's file holds account {stored!r}, not {self.options.account!r}",
                next_step="name the same account, or another --state",
            )

    def _open_account(self) -> None:
        options, start_ns = self.options, self.options.start_ns
        session = self.calendar.previous_session(self.calendar.session_after_ns(start_ns))
        if self.calendar.session_close_ns(session) > start_ns:
            session = self.calendar.previous_session(session)
        at_ns = self.calendar.session_close_ns(session)
        self.do(
            "open_account", at_ns, account=options.account, cash_micro=options.cash_micro,
            symbols=list(options.symbols), fills=asdict(options.fills), fees=asdict(options.fees),
            max_id_length=MAX_ID_LENGTH, fees_accrue=options.matching == "quotes",
        )  # fmt: skip
        bars = self.market.daily(options.symbols, session)
        if not bars:
            raise DataError(
                f"the venue has no prices of session {session}, the one before its start",
                next_step="start it in a session that the bars store covers",
                session=session,
            )
        self.do("close", at_ns, session=session, bars=bars)
        if options.matching == "quotes":
            for symbol, bar in bars.items():
                bid, ask = quote_around(bar[3])
                self.do("quote", at_ns, symbol=symbol, bid_micro=bid, ask_micro=ask)
