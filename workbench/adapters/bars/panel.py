"""Panels cut from decoded rows: what was known when, in whose share terms."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from workbench.adapters.bars.events import Dividend, Events, Split, in_force
from workbench.adapters.bars.rows import Rows, session_text
from workbench.core.types import MICRO, Bars, Booleans, Floats, Integers
from workbench.errors import DataError

VIEWS = ("adjusted", "raw", "total_return")
_FIELDS = ("open_micro", "high_micro", "low_micro", "close_micro")


@dataclass(frozen=True)
class Segment:
    """A column of a panel during the time in which its security had one name: from < end <= until."""

    name: str
    from_ns: int
    until_ns: int


def segments_of(symbol: str, events: Events, as_of_ns: int) -> list[Segment]:
    """Names under which a symbol's security was recorded, latest first.

    A ticker that changed hands belongs to its present owner from the change on, so rows of the new
    name before the change, and of the old name after it, are those of somebody else.
    """
    known = [event for event in events.renames if max(event.effective_ns, event.known_at_ns) <= as_of_ns]
    segments: list[Segment] = []
    name, until = symbol, np.iinfo(np.int64).max
    while True:
        before = [event for event in known if event.new_symbol == name and event.ex_open_ns < until]
        given = [event for event in known if event.symbol == name and event.ex_open_ns < until]
        if not before and not segments and given:  # asked by a name that was given up
            until = max(event.ex_open_ns for event in given)
        start = max((event.ex_open_ns for event in before), default=0)
        segments.append(Segment(name, start, until))
        if not before:
            return segments
        name, until = max(before, key=lambda event: event.ex_open_ns).symbol, start


@dataclass(eq=False)
class Canvas:
    """An empty panel that is painted symbol by symbol, so that a large one needs no second copy."""

    grid_ns: Integers
    names: tuple[str, ...]
    as_of_ns: int
    view: str
    events: Events
    strict: bool
    layers: Floats = field(init=False)
    first: int = field(init=False)
    stop: int = 0
    #: The first instant after `as_of_ns` at which more of what was painted became known.
    until_ns: int = np.iinfo(np.int64).max
    _places: dict[str, int] = field(init=False)
    _splits: dict[str, list[Split]] = field(init=False)
    _dividends: dict[str, list[Dividend]] = field(init=False)

    def __post_init__(self) -> None:
        self.layers = np.full((5, len(self.grid_ns), len(self.names)), np.nan)
        self.first = len(self.grid_ns)
        self._places = {name: place for place, name in enumerate(self.names)}
        self._splits = in_force(self.events.splits, self.as_of_ns)
        self._dividends = in_force(self.events.dividends, self.as_of_ns)

    def paint(self, symbol: str, segments: Iterable[Segment], rows: Rows) -> None:
        """Fill a symbol's column with the latest versions known; rows in canonical order."""
        pieces = []
        for segment in segments:
            block = rows.bounds(segment.name)
            ts, known_at = rows["ts_ns"][block], rows["known_at_ns"][block]
            later = known_at[known_at > self.as_of_ns]
            self.until_ns = min(self.until_ns, int(later.min())) if len(later) else self.until_ns
            mask = (known_at <= self.as_of_ns) & (ts > segment.from_ns) & (ts <= segment.until_ns)
            pieces.append(block.start + np.flatnonzero(mask))
        at = np.concatenate(pieces[::-1]) if pieces else np.array([], np.int64)
        ts = rows["ts_ns"][at]
        if len(at) > 1:
            at, ts = at[np.append(ts[1:] != ts[:-1], True)], ts[np.append(ts[1:] != ts[:-1], True)]
        if not len(self.grid_ns) or not len(at):
            return
        place = np.minimum(np.searchsorted(self.grid_ns, ts), len(self.grid_ns) - 1)
        on = self.grid_ns[place] == ts
        beyond = (ts < self.grid_ns[0]) | (ts > self.grid_ns[-1])
        if self.strict and not (on | beyond).all():
            row = int(at[np.flatnonzero(~(on | beyond))[0]])
            raise DataError(
                f"bar of {symbol} on {session_text(int(rows['day'][row]))} does not end at a close of "
                "the exchange calendar",
                next_step="check the version of exchange-calendars, then ingest into a new store",
            )
        new, old, paid = self._factors([one.name for one in segments], rows, at, ts)
        at, place, new, old, paid = at[on], place[on], new[on], old[on], paid[on]
        if not len(at):
            return
        column = self._places[symbol]
        for layer, name in enumerate(_FIELDS):
            # One division of exact integers: the nearest float to the exact price.
            self.layers[layer, place, column] = rows[name][at] * old / (new * MICRO) * paid
        self.layers[4, place, column] = rows["volume"][at] * new / old
        self.first, self.stop = min(self.first, int(place[0])), max(self.stop, int(place[-1]) + 1)

    def _factors(
        self, names: list[str], rows: Rows, at: Integers, ts: Integers
    ) -> tuple[Floats, Floats, Floats]:
        """New and old shares of the splits after each row, and what dividends leave of its price."""
        new, old, paid = np.ones(len(at)), np.ones(len(at)), np.ones(len(at))
        if self.view == "raw":
            return new, old, paid
        for name in names:
            splits = self._splits.get(name, [])
            for split in splits:
                before = ts < split.ex_open_ns
                new[before] *= split.new_shares
                old[before] *= split.old_shares
            for paying in self._dividends.get(name, []):
                before = ts < paying.ex_open_ns
                if self.view != "total_return" or not before.any():
                    continue
                close = float(rows["close_micro"][at[np.flatnonzero(before)[-1]]])
                for split in splits:
                    # Cash is stated for shares of the ex session: of a split on that day, for new ones.
                    if split.ex_session == paying.ex_session:
                        close *= split.old_shares / split.new_shares
                if paying.amount_micro >= close:
                    raise DataError(
                        f"dividend of {name} on {paying.ex_session} is not below the price before it",
                        next_step="correct the event; its unit may be a hundredth of the currency",
                    )
                paid[before] *= 1.0 - paying.amount_micro / close
        return new, old, paid

    def bars(self, first: int, stop: int) -> Bars:
        """The painted panel from grid position `first` up to, not including, `stop`."""
        cut = self.layers[:, first:stop]
        # A session without a single trade has prices nobody could have traded at.
        tradable: Booleans = np.nan_to_num(cut[4]) > 0
        return Bars(
            self.grid_ns[first:stop].copy(), self.names, cut[0], cut[1], cut[2], cut[3], cut[4], tradable
        )
