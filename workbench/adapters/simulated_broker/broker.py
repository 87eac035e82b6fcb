"""The simulated venue as a broker in this process: every command is on disk before its reply is given."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from workbench.adapters.simulated_broker.market import (
    corporate_events,
    opening_prices,
    session_bars,
)
from workbench.core.canonical import canonical_json
from workbench.core.costs import FeeSchedule
from workbench.core.fills import FillParams
from workbench.core.hours import SessionHours
from workbench.core.orders import Fill, OrderIntent
from workbench.core.ports import (
    Activity,
    Calendar,
    Clock,
    LookupResult,
    SubmitOutcome,
    SubmitResult,
    VenueAccount,
    VenueOrder,
)
from workbench.core.pretrade.market import EARLIEST_NS
from workbench.core.types import NANO, Bars, Quotes, TimeInForce
from workbench.core.venue import Venue, standing_quote
from workbench.errors import ConfigError, DataError, OutcomeUnknown, Refused, StorageFailed, WorkbenchError


class SimulatedBroker:
    """One account at a simulated venue; satisfies `core.ports.Broker`.

    The venue is the fold of the commands in the file. Each call first moves it through the openings and
    closes that the clock has passed, and reads of a session no more than its clock has reached: the
    opening prices at the open, the bar at the close. A call never sends anything outside the process.

    Parameters
    ----------
    path : Path
        SQLite file of the commands, made when absent. One process at a time may hold it.
    account : str
        Account id; fixed for the life of the file.
    cash_micro : int
        Opening cash, micros; fixed for the life of the file.
    clock, calendar : Clock, Calendar
        Trading time and sessions. The clock is first asked when the first method is called, so it may
        be set to `last_ns` after the broker was made.
    market : callable (symbols, session) -> Bars
        Raw daily bars of that session, one row whose `ts_ns` lies in the session; a symbol without a bar
        is not tradable there.
    symbols : sequence of str
        Assets that the venue knows; may grow, never shrinks.
    fills, fees : FillParams, FeeSchedule
        How orders are filled and what that costs.
    splits, dividends : callable (session) -> mapping, or None
        What takes effect with that session: symbol -> (new shares, old shares), and symbol -> micros a
        share; None = there are none. The account is in the session's terms from the first moment at which
        the controls let an order of that session pass (`pretrade.controls.EARLIEST_NS`).

    Raises
    ------
    Refused
        Another process holds the file.
    ConfigError
        The file belongs to another account or opening cash.
    DataError
        The stored commands no longer lead to the stored replies.
    StorageFailed
        The file cannot be read or written.
    """

    def __init__(
        self,
        path: Path,
        *,
        account: str,
        cash_micro: int,
        clock: Clock,
        calendar: Calendar,
        market: Callable[[Sequence[str], str], Bars],
        symbols: Sequence[str],
        fills: FillParams,
        fees: FeeSchedule,
        splits: Callable[[str], Mapping[str, tuple[int, int]]] | None = None,
        dividends: Callable[[str], Mapping[str, int]] | None = None,
    ) -> None:
        self._path = path
        self._clock, self._calendar, self._market = clock, calendar, market
        self._splits, self._dividends = splits, dividends
        rules = {"symbols": sorted(set(symbols)), "fills": asdict(fills), "fees": asdict(fees)}
        self._opening: dict[str, Any] = {"account": account, "cash_micro": int(cash_micro), **rules}
        self._failed = ""
        self._asked_events_of = ""
        self._quiet_until = 0  # before this time nothing happens at the venue by itself
        self._venue = Venue()
        self._database = _open_database(path)
        try:
            self._refold()
            if self._venue.account:
                self._keep_or_configure(rules)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Release the file."""
        self._database.close()

    @property
    def last_ns(self) -> int:
        """The venue's latest time, UTC nanoseconds; 0 when nothing ever happened there."""
        return self._venue.last_ns

    def digest(self) -> str:
        """Hex sha256 of all that the venue knows; equal command sequences give equal digests."""
        return self._venue.digest()

    # --- Broker ------------------------------------------------------------------------------------

    def now_ns(self) -> int:
        """The venue's clock; never before its latest command."""
        return max(self._clock.now_ns(), self._venue.last_ns)

    def hours(self, session: str) -> SessionHours:
        """Hours of a session by the venue's calendar, and whether it is open at the venue's time."""
        if not self._calendar.is_session(session):
            return SessionHours(-1, -1, is_open=False)
        opens, closes = self._calendar.session_open_ns(session), self._calendar.session_close_ns(session)
        return SessionHours(opens, closes, is_open=opens <= self.now_ns() < closes)

    def submit(self, intent: OrderIntent) -> SubmitResult:
        """Send an order; a failure before anything was sent is NOT_ACCEPTED, a failed write UNKNOWN."""
        try:
            now_ns = self._advance()
            target, open_ns, close_ns, previous_open_ns = self._next_hours()
        except WorkbenchError as error:
            return SubmitResult(SubmitOutcome.NOT_ACCEPTED, reason=error.message)
        command = {
            "kind": "submit", "at_ns": now_ns, "account": intent.account,
            "client_order_id": intent.client_order_id, "symbol": intent.symbol, "side": int(intent.side),
            "quantity_nano": intent.quantity_nano, "order_type": intent.order_type.word,
            "limit_micro": intent.limit_micro, "session": target, "open_ns": open_ns,
            "close_ns": close_ns, "previous_open_ns": previous_open_ns,
        }  # fmt: skip
        if intent.time_in_force is not TimeInForce.DAY:
            command["time_in_force"] = intent.time_in_force.word
        if intent.stop_micro:
            command["stop_micro"] = intent.stop_micro
        return self._ask(command, intent.client_order_id)

    def cancel(self, client_order_id: str) -> SubmitResult:
        """Ask for a cancel; the simulated venue acts on it at once."""
        try:
            now_ns = self._advance()
        except WorkbenchError as error:
            return SubmitResult(SubmitOutcome.NOT_ACCEPTED, reason=error.message)
        command = {"kind": "cancel", "at_ns": now_ns, "client_order_id": client_order_id}
        return self._ask(command, client_order_id)

    def lookup(self, client_order_id: str) -> LookupResult:
        """The order with that id; no answer when the venue cannot come to the present."""
        try:
            self._advance()
        except WorkbenchError as error:
            return LookupResult(found=False, answered=False, reason=error.message)
        order = self._venue.order(client_order_id)
        reason = "" if order else f"order not found for {client_order_id}"
        return LookupResult(found=order is not None, answered=True, order=order, reason=reason)

    def orders(self, *, since_ns: int) -> tuple[VenueOrder, ...]:
        """Orders accepted at or after `since_ns`, any state, oldest first."""
        self._advance()
        return self._venue.orders(since_ns=since_ns)

    def fills(self, *, since_ns: int) -> tuple[Fill, ...]:
        """Executions at or after `since_ns`, oldest first."""
        self._advance()
        return self._venue.fills(since_ns=since_ns)

    def activities(self, *, since_ns: int) -> tuple[Activity, ...]:
        """Splits and dividends that changed the account at or after `since_ns`, oldest first."""
        self._advance()
        return self._venue.activities(since_ns=since_ns)

    def account(self) -> VenueAccount:
        """Cash, buying power, equity at the last known prices, positions."""
        try:
            self._advance()
        except StorageFailed as error:
            raise OutcomeUnknown(error.message, next_step=error.next_step) from error
        return self._venue.account_view()

    def quotes(self, symbols: Sequence[str]) -> Quotes:
        """Bid and ask around the last known price, stamped now; 0 and -1 where there is no price."""
        now_ns = self._advance()
        pairs = [standing_quote(self._venue, symbol) for symbol in symbols]
        both = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        bid, ask = both[:, 0].copy(), both[:, 1].copy()
        at = np.where(bid != 0, np.int64(now_ns), np.int64(-1))
        return Quotes(tuple(symbols), bid, ask, at)

    def open_prices(self) -> dict[str, int]:
        """Limit or stop price of each open order that has one, micros, by client id."""
        return {
            order.client_order_id: order.limit_micro or order.stop_micro
            for order in self._venue.open_orders()
        }

    # --- the venue's time --------------------------------------------------------------------------

    def _advance(self) -> int:
        """Move the venue through every market event up to now; return now."""
        if self._failed:
            raise StorageFailed(
                f"simulated venue {self._path.name}: {self._failed}",
                next_step="mend the disk, then start again: the file holds all that was acknowledged",
            )
        now_ns, calendar = self.now_ns(), self._calendar
        if now_ns < self._quiet_until:
            return now_ns
        if not self._venue.account:
            self._open_account(now_ns)
        while True:
            if self._venue.phase == "open":
                session = self._venue.session
                at_ns = calendar.session_close_ns(session)
            else:
                session = calendar.next_session(self._venue.session)
                at_ns = calendar.session_open_ns(session)
                self._take_terms(session, at_ns - EARLIEST_NS, now_ns)
            if at_ns > now_ns:
                early_ns = at_ns - EARLIEST_NS  # the terms of a session are taken before its open
                waits = self._venue.phase != "open" and now_ns < early_ns
                self._quiet_until = early_ns if waits else at_ns
                return now_ns
            if self._venue.phase == "open":
                self._do(self._closing(session, at_ns))
            else:
                prices = opening_prices(self._bars_of(session), calendar, session)
                self._do({"kind": "open", "at_ns": at_ns, "session": session, "prices": prices})

    def _take_terms(self, session: str, at_ns: int, now_ns: int) -> None:
        """Bring the account into the terms of a session, once: what came later was said in them."""
        if self._venue.last_ns < at_ns <= now_ns and self._asked_events_of != session:
            events = corporate_events(session, self._venue.symbols, self._splits, self._dividends)
            if events:  # in one transaction: all of them or none
                self._do(*(event | {"at_ns": at_ns} for event in events))
            self._asked_events_of = session

    def _open_account(self, now_ns: int) -> None:
        """Open at the latest close, so that the venue knows prices from its first moment."""
        today = datetime.fromtimestamp(now_ns / NANO, UTC).date()
        session = self._calendar.previous_session((today + timedelta(days=1)).isoformat())
        while self._calendar.session_close_ns(session) > now_ns:
            session = self._calendar.previous_session(session)
        at_ns = self._calendar.session_close_ns(session)
        opening = {"kind": "open_account", "at_ns": at_ns, **self._opening}
        self._do(opening, self._closing(session, at_ns))

    def _next_hours(self) -> tuple[str, int, int, int]:
        """The session that an order sent now is for: its date, open and close, and the open before."""
        session = self._venue.session
        if self._venue.phase != "open":
            session = self._calendar.next_session(session)
        previous = self._calendar.previous_session(session)
        hours = (self._calendar.session_open_ns(session), self._calendar.session_close_ns(session))
        return (session, *hours, self._calendar.session_open_ns(previous))

    def _closing(self, session: str, at_ns: int) -> dict[str, Any]:
        bars = session_bars(self._bars_of(session), self._calendar, session)
        return {"kind": "close", "at_ns": at_ns, "session": session, "bars": bars}

    def _bars_of(self, session: str) -> Bars:
        return self._market(self._venue.symbols or tuple(self._opening["symbols"]), session)

    # --- the file ----------------------------------------------------------------------------------

    def _ask(self, command: Mapping[str, Any], client_order_id: str) -> SubmitResult:
        try:
            (reply,) = self._do(command)
        except StorageFailed as error:
            return SubmitResult(SubmitOutcome.UNKNOWN, reason=error.message)
        if not reply["ok"]:
            return SubmitResult(SubmitOutcome.REFUSED, reason=reply["reason"])
        return SubmitResult(SubmitOutcome.ACCEPTED, order=self._venue.order(client_order_id))

    def _do(self, *commands: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Apply commands and store them in one transaction; a reply leaves only when it is on disk."""
        self._failed = "a command failed half-way"  # until proven otherwise: memory may lead the file
        replies = [self._venue.apply(command) for command in commands]
        rows = [(_text(c), _text(r)) for c, r in zip(commands, replies, strict=True)]
        try:
            if len(rows) == 1:  # a transaction of its own
                self._database.execute(_INSERT, rows[0])
            else:
                self._database.execute("BEGIN IMMEDIATE")
                self._database.executemany(_INSERT, rows)
                self._database.execute("COMMIT")
        except sqlite3.Error as error:
            self._failed = f"cannot store a command: {error}"
            raise StorageFailed(
                f"simulated venue {self._path.name}: {self._failed}",
                next_step="free the disk, start again and look the order up by its id",
            ) from error
        self._failed = ""
        return replies

    def _refold(self) -> None:
        for number, (seq, command, reply) in enumerate(
            self._database.execute("SELECT seq, command, reply FROM commands ORDER BY seq"), start=1
        ):
            try:
                same = seq == number and canonical_json(self._venue.apply(json.loads(command))) == reply
            except (ValueError, KeyError, TypeError, AssertionError):
                same = False
            if not same:
                raise DataError(
                    f"simulated venue {self._path.name}: command {number} no longer gives the stored reply",
                    next_step="move the file away to start a new account, or use the version that wrote it",
                    command=number,
                )

    def _keep_or_configure(self, rules: dict[str, Any]) -> None:
        opening = json.loads(self._database.execute("SELECT command FROM commands LIMIT 1").fetchone()[0])
        for name in ("account", "cash_micro"):
            if opening[name] != self._opening[name]:
                raise ConfigError(
                    f"simulated venue {self._path.name} was opened with {name} {opening[name]!r}, "
                    f"not {self._opening[name]!r}",
                    next_step="restore the setting, or move the file away to start a new account",
                )
        venue = self._venue
        now = (FillParams(**rules["fills"]), FeeSchedule(**rules["fees"]))
        same = (venue.fill_params, venue.fee_schedule) == now
        if not same or not set(rules["symbols"]) <= set(venue.symbols):
            self._do({"kind": "configure", "at_ns": venue.last_ns, **rules})


_INSERT = "INSERT INTO commands (command, reply) VALUES (?, ?)"


def _text(value: Mapping[str, Any]) -> str:
    """Canonical text of a command or reply; those of one order hold words and numbers only."""
    if "prices" in value or "bars" in value or "fills" in value:
        return canonical_json(value)
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError:  # what orjson cannot write, such as an integer beyond 64 bits
        return canonical_json(value)


def _open_database(path: Path) -> sqlite3.Connection:
    """The command file, held exclusively until closed or until the process dies."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(path, isolation_level=None, timeout=0.0)
    except (OSError, sqlite3.Error) as error:
        raise StorageFailed(
            f"cannot open the simulated venue's file {path.name}: {error}",
            next_step="check that the folder exists and is writable",
        ) from error
    try:
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        database.execute("PRAGMA journal_mode = WAL")
        # NORMAL: a commit survives the death of the process, which is what a simulation has to survive.
        # Only a power cut may lose the last commits, and then only what no real venue holds.
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute("BEGIN EXCLUSIVE")
        database.execute(
            "CREATE TABLE IF NOT EXISTS commands"
            " (seq INTEGER PRIMARY KEY, command TEXT NOT NULL, reply TEXT NOT NULL) STRICT"
        )
        database.execute("COMMIT")
    except sqlite3.Error as error:
        database.close()
        if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
            raise Refused(
                f"the simulated venue's file {path.name} is in use by another process",
                next_step="end the other session of this desk first",
            ) from error
        raise StorageFailed(
            f"the simulated venue's file {path.name} cannot be used: {error}",
            next_step="restore the file from a copy, or move it away to start a new account",
        ) from error
    return database
