"""The shadow model: it decides beside the live one on the same inputs and sends nothing.

Its orders are priced by the fill simulator.

It has books of its own, kept as events. Its decision goes through the same `DecisionMaker` as the live one;
the quotes are those that the live decision saw. Whatever fails here is recorded and ends the shadow's step,
never the session's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from workbench.core.features import features_hash
from workbench.core.ports import BarStore, Calendar, Event, Journal
from workbench.core.types import Quotes, Snapshot
from workbench.services.decision import Cycle, DecisionMaker, Strategy
from workbench.services.own_orders import OwnOrders
from workbench.services.shadow_fills import Filling, fill_decision
from workbench.services.shadow_records import (
    Books,
    diff_rows,
    first_difference,
    inputs_hash,
    quotes_of,
    shadow_events,
)

#: What the shadow's books are called, so that no window or tally of the live account counts them.
SHADOW_ACCOUNT = ".shadow"


class Beside(Protocol):
    """What a session runs beside itself, once its own inputs are fixed and its orders are sent."""

    def saw(self, cycle: Cycle) -> None:
        """Keep what the live decision was made of."""
        ...

    def decide(self) -> None:
        """Decide on the very same inputs."""
        ...

    def settle(self, now_ns: int) -> None:
        """Fill earlier decisions whose session's bar is known."""
        ...


class Nobody:
    """No shadow model runs."""

    def saw(self, cycle: Cycle) -> None:
        """Nothing is kept."""

    def decide(self) -> None:
        """Nothing is decided."""

    def settle(self, now_ns: int) -> None:
        """Nothing is filled."""


NOBODY = Nobody()


class SeenQuotes:
    """The quotes of one snapshot, in the place of a broker; it can send nothing."""

    def __init__(self, quotes: Mapping[str, Sequence[int]]) -> None:
        self._quotes = quotes

    def quotes(self, symbols: Sequence[str]) -> Quotes:
        """Bid, ask and time of each symbol as they were seen; missing where they were."""
        rows = [self._quotes.get(symbol, (0, 0, -1)) for symbol in symbols]
        bid, ask, at = (np.array([row[part] for row in rows], dtype=np.int64) for part in range(3))
        return Quotes(tuple(symbols), bid, ask, at)


def think(
    strategy: Strategy, books: Books, quotes: Mapping[str, Sequence[int]], session: str, scheduled_ns: int,
    *, journal: Journal, bars: BarStore, calendar: Calendar,
) -> Cycle:  # fmt: skip
    """One decision of a shadow strategy: the live decision's code with other books and the quotes it saw."""
    ledger, nothing = books.ledger(), OwnOrders()
    maker = DecisionMaker(
        journal=journal, bars=bars, broker=SeenQuotes(quotes),  # type: ignore[arg-type]  # asked for quotes only
        calendar=calendar, strategy=strategy, orders=lambda: nothing, ledger=lambda: ledger,
        session_start_equity_micro=lambda: books.equity_micro(books.marks),
    )  # fmt: skip
    return maker.think(session, scheduled_ns, buying_power_micro=max(books.cash_micro, 0))


class ShadowRunner:
    """One shadow model of one account.

    Parameters
    ----------
    journal, bars, calendar
        Ports.
    live, shadow : Strategy
        What decides, and what runs beside it.
    filling : Filling

    Notes
    -----
    The shadow begins with the live account's positions and cash, and decides once a session: at the first
    decision time. Later legs of an order, dividends and interest are not simulated.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        bars: BarStore,
        calendar: Calendar,
        live: Strategy,
        shadow: Strategy,
        filling: Filling,
    ) -> None:
        self._journal, self._bars, self._calendar = journal, bars, calendar
        self._live = live
        self._account, self._model_id = live.account, shadow.model_id
        self._shadow = replace(shadow, account=live.account + SHADOW_ACCOUNT)
        self._filling = filling
        self._cycle: Cycle | None = None

    def saw(self, cycle: Cycle) -> None:
        """Keep what the live decision was made of."""
        self._cycle = cycle

    def decide(self) -> None:
        """Decide on the inputs of the live decision and journal both sides; what fails is recorded."""
        if self._cycle is None:
            return
        cycle, self._cycle = self._cycle, None
        seen = cycle.snapshot
        self._try("settle", seen, lambda: self._settle(seen.scheduled_ns))
        self._try("decide", seen, lambda: self._decide(cycle))

    def settle(self, now_ns: int) -> None:
        """Fill earlier decisions whose session's bar is known at `now_ns`."""
        waiting = self._waiting()
        if waiting:
            where = (waiting[-1]["session"], waiting[-1]["scheduled_ns"])
            self._try_at("settle", *where, lambda: self._settle(now_ns))

    # --- deciding --------------------------------------------------------------------------------

    def _decide(self, cycle: Cycle) -> None:
        seen = cycle.snapshot
        if any(row["session"] == seen.session for row in self._events("shadow.decided")):
            return
        books = self._in_todays_terms(self._books(seen), seen)
        quotes = quotes_of(seen)
        own = think(
            self._shadow, books, quotes, seen.session, seen.scheduled_ns, journal=self._journal,
            bars=self._bars, calendar=self._calendar,
        )  # fmt: skip
        rows = diff_rows(cycle, own)
        payload = {
            "account": self._account, "model_id": self._model_id, "beside": self._live.model_id,
            "session": seen.session, "scheduled_ns": seen.scheduled_ns, "snapshot_hash": seen.digest(),
            "inputs_hash": inputs_hash(own.snapshot), "features_hash": features_hash(self._shadow.features),
            "live_features_hash": features_hash(self._live.features), "cash_micro": books.cash_micro,
            "positions": dict(sorted(books.positions.items())),
            "quotes": {symbol: list(quote) for symbol, quote in quotes.items()}, "rows": rows,
            "first_difference": first_difference(seen, own.snapshot, rows),
        }  # fmt: skip
        self._journal.commit([Event("shadow.decided", payload)])

    def _in_todays_terms(self, books: Books, seen: Snapshot) -> Books:
        """The books after a split since the last mark: shares times the ratio, fractions paid in cash."""
        prices = dict(zip(seen.symbols, seen.price_micro.tolist(), strict=True))
        cash, positions, marks = books.cash_micro, {}, dict(books.marks)
        for symbol, shares in books.positions.items():
            price, mark = prices.get(symbol, 0), books.marks[symbol]
            if price <= 0 or price == mark:
                positions[symbol] = shares
                continue
            whole = shares * mark // price
            cash += shares * mark - whole * price
            positions[symbol], marks[symbol] = whole, price
        return Books(cash, {s: n for s, n in positions.items() if n}, {**marks, **prices})

    def _settle(self, now_ns: int) -> None:
        for decided in self._waiting():
            close_ns = self._calendar.session_close_ns(decided["session"])
            if close_ns > now_ns:
                continue
            bars = self._bars.read(self._shadow.universe, as_of_ns=now_ns, rows=self._shadow.lookback)
            at = int(np.searchsorted(bars.ts_ns, close_ns))
            if at >= len(bars.ts_ns) or bars.ts_ns[at] != close_ns or at == 0:
                continue  # the bar of that session is not known yet
            open_ns = self._calendar.session_open_ns(decided["session"])
            after = fill_decision(decided, bars, at, open_ns, self._filling)
            payload = {
                "account": self._account, "model_id": self._model_id, "session": decided["session"],
                "scheduled_ns": decided["scheduled_ns"], **after,
            }  # fmt: skip
            self._journal.commit([Event("shadow.settled", payload)])

    # --- records ---------------------------------------------------------------------------------

    def _events(self, kind: str) -> list[Mapping[str, Any]]:
        return shadow_events(self._journal, kind, self._account, self._model_id)

    def _waiting(self) -> list[Mapping[str, Any]]:
        """Decisions that have no fills yet, oldest first."""
        settled = {row["scheduled_ns"] for row in self._events("shadow.settled")}
        return [row for row in self._events("shadow.decided") if row["scheduled_ns"] not in settled]

    def _books(self, seen: Snapshot) -> Books:
        """Its own books, at first those of the live account."""
        settled = self._events("shadow.settled")
        if not settled:
            held = zip(seen.symbols, seen.position_shares.tolist(), strict=True)
            prices = dict(zip(seen.symbols, seen.price_micro.tolist(), strict=True))
            return Books(seen.cash_micro, {symbol: shares for symbol, shares in held if shares}, prices)
        last = settled[-1]
        return Books(last["cash_micro"], dict(last["positions"]), dict(last["marks"]))

    def _try(self, step: str, seen: Snapshot, do: Callable[[], None]) -> None:
        self._try_at(step, seen.session, seen.scheduled_ns, do)

    def _try_at(self, step: str, session: str, scheduled_ns: int, do: Callable[[], None]) -> None:
        try:
            do()
        except Exception as error:  # the boundary: a shadow never stops what is live; its gate reads this
            payload = {
                "account": self._account, "model_id": self._model_id, "session": session,
                "scheduled_ns": scheduled_ns, "step": step, "why": f"{type(error).__name__}: {error}",
            }  # fmt: skip
            self._journal.commit([Event("shadow.failed", payload)])
