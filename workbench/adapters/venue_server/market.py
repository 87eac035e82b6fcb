"""Where prices come from: daily bars of a store, a script of quotes, or whoever sets them."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from workbench.adapters.venue_server.wire import parse_decimal, parse_time
from workbench.core.fills import tick_micro
from workbench.core.ports import Calendar
from workbench.core.types import MICRO, Bars, to_micro
from workbench.errors import DataError

#: symbol -> [open, high, low, close in micros, volume in shares]
DailyBars = Mapping[str, Sequence[int]]


@dataclass(frozen=True)
class QuoteMove:
    """One line of a script: from this time on the symbol is quoted like this."""

    at_ns: int
    symbol: str
    bid_micro: int
    ask_micro: int


class ExchangeHours:
    """A calendar whose sessions may end early, as nobody announced."""

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self.early: dict[str, int] = {}  # session -> its close, UTC nanoseconds

    def session_open_ns(self, session: str) -> int:
        """Open of a session, UTC nanoseconds."""
        return self._calendar.session_open_ns(session)

    def session_close_ns(self, session: str) -> int:
        """Close of a session, UTC nanoseconds."""
        return self.early.get(session) or self._calendar.session_close_ns(session)

    def announced_close_ns(self, session: str) -> int:
        """The close that the calendar endpoint shows, whatever happens."""
        return self._calendar.session_close_ns(session)

    def previous_session(self, session: str) -> str:
        """The last session strictly before that date."""
        return self._calendar.previous_session(session)

    def next_session(self, session: str) -> str:
        """The first session strictly after that date."""
        return self._calendar.next_session(session)

    def session_after_ns(self, at_ns: int) -> str:
        """The first session that opens after that time."""
        return self._calendar.session_after_ns(at_ns)

    def sessions_between(self, first: str, last: str) -> tuple[str, ...]:
        """All sessions from `first` to `last`, both included."""
        return self._calendar.sessions_between(first, last)


@dataclass(frozen=True)
class MarketSource:
    """What the market does by itself, session by session.

    Attributes
    ----------
    bars : callable (symbols, session) -> Bars
        Raw daily bars of that session, one row; symbols without a bar are not tradable there.
    minutes : callable (symbol) -> Bars or None
        Minute bars of a symbol, for the market data endpoints; None where there are none.
    splits, dividends : callable (session) -> mapping
        What takes effect before the open: symbol -> (new shares, old shares); symbol -> micros a share.
    script : tuple of QuoteMove
        Quotes that are set when their time comes, sorted by time.
    """

    bars: Callable[[Sequence[str], str], Bars]
    minutes: Callable[[str], Bars | None] = lambda symbol: None
    splits: Callable[[str], Mapping[str, tuple[int, int]]] = lambda session: {}
    dividends: Callable[[str], Mapping[str, int]] = lambda session: {}
    script: tuple[QuoteMove, ...] = field(default=())

    def daily(self, symbols: Sequence[str], session: str) -> dict[str, list[int]]:
        """Believable bars of that session by symbol; empty when the store has none."""
        try:
            bars = self.bars(symbols, session)
        except DataError:
            return {}  # the store ends here: the last quotes go on to stand
        found: dict[str, list[int]] = {}
        for row in range(len(bars.ts_ns)):
            for j, symbol in enumerate(bars.symbols):
                prices = [column[row, j] for column in (bars.open, bars.high, bars.low, bars.close)]
                volume = bars.volume[row, j]
                if not bars.tradable[row, j] or not np.isfinite([*prices, volume]).all() or volume < 0:
                    continue
                opened, high, low, close = (to_micro(float(price)) for price in prices)
                if 0 < low <= min(opened, close) <= max(opened, close) <= high:
                    found[symbol] = [opened, high, low, close, int(volume)]
        return found

    def played(self, at_ns: int) -> int:
        """How many lines of the script lie before or at that time."""
        return bisect_right(self.script, at_ns, key=lambda move: move.at_ns)


def quote_around(price_micro: int) -> tuple[int, int]:
    """Bid and ask one tick to each side of a price; the bid stays above zero."""
    tick = int(tick_micro(price_micro))
    middle = max(price_micro // tick, 2) * tick
    return middle - tick, middle + tick


def read_script(path: Path) -> tuple[QuoteMove, ...]:
    """The quotes of a script: a line is {"at": time, "symbol": ..., "bid": ..., "ask": ...}.

    Raises
    ------
    DataError
        A line that is none; it is named.
    """
    moves = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            moves.append(quote_move(json.loads(line)))
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            raise DataError(
                f"{path.name} line {number} is not a quote: {problem}",
                next_step='write {"at": "2013-02-01T15:00:00Z", "symbol": "AAPL", "bid": 45, "ask": 46}',
            ) from None
    return tuple(sorted(moves, key=lambda move: move.at_ns))


def quote_move(row: Mapping[str, Any]) -> QuoteMove:
    """A quote as a script or the admin port gives it; ValueError or KeyError when it is none."""
    bid, ask = (int(parse_decimal(row[name]) * MICRO) for name in ("bid", "ask"))
    if not 0 < bid <= ask:
        raise ValueError(f"bid {row['bid']} and ask {row['ask']} are no market")
    at_ns = parse_time(str(row["at"])) if "at" in row else 0
    return QuoteMove(at_ns, str(row["symbol"]), bid, ask)
