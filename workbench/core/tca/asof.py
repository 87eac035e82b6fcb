"""The quote that stood at an instant: as-of lookups over tables, and spreads whose parts sum row by row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from workbench.core.tca.columns import MISSING_PRICE, MISSING_TIME, TIMES, first_of, micros, require, times_ns
from workbench.core.types import DAY_NS, Booleans, Floats, Integers

if TYPE_CHECKING:
    import pandas as pd

NOT_FOUND = -1


@dataclass(frozen=True, eq=False)
class QuoteBook:
    """Valid quotes of many symbols, sorted by symbol and time.

    Attributes
    ----------
    symbols : ndarray of str
        Sorted; quotes of symbol n are rows starts[n] .. starts[n + 1].
    starts : int64 (symbols + 1,)
    ts_ns, bid_micro, ask_micro : int64 (quotes,)
    consolidated : bool (quotes,) or None
        Whether each is the national best quote (`quote_source` "sip"); None when the table does not say.
    zoned : bool or None
        Whether times had a zone; None for integers.
    excluded : dict of str to int
        Quotes that were left out, by reason.
    """

    symbols: Any
    starts: Integers
    ts_ns: Integers
    bid_micro: Integers
    ask_micro: Integers
    consolidated: Booleans | None
    zoned: bool | None
    excluded: dict[str, int]

    def rows(self, symbols: Any, at_ns: Integers, *, when: Literal["before", "at_or_before"]) -> Integers:
        """Row of the last quote of each symbol before (or at) each instant; -1 = there is none."""
        found = np.full(len(at_ns), NOT_FOUND, dtype=np.int64)
        if not len(self.symbols) or not len(at_ns):
            return found
        place = np.searchsorted(self.symbols, symbols)
        place = np.minimum(place, len(self.symbols) - 1)
        place = np.where(self.symbols[place] == symbols, place, NOT_FOUND)
        side: Literal["left", "right"] = "left" if when == "before" else "right"
        order = np.argsort(place, kind="stable")
        bounds = np.searchsorted(place[order], np.arange(len(self.symbols) + 1))
        for number in np.unique(place[place >= 0]):
            asked = order[bounds[number] : bounds[number + 1]]
            first, last = self.starts[number], self.starts[number + 1]
            at = first + np.searchsorted(self.ts_ns[first:last], at_ns[asked], side=side) - 1
            found[asked] = np.where(at >= first, at, NOT_FOUND)
        return np.where(at_ns == MISSING_TIME, NOT_FOUND, found)

    def quoted(self, symbols: Any) -> Booleans:
        """Whether each symbol has any valid quote."""
        return np.isin(symbols, self.symbols)


def quote_book(quotes: pd.DataFrame) -> QuoteBook:
    """The valid quotes of a table, sorted; what cannot be a quote is counted by reason.

    A quote without a price or a time, or with its bid above its ask, does not stand: the one before does.
    """
    require(quotes, ("symbol",), "quotes")
    times, zoned = times_ns(quotes[first_of(quotes, TIMES["quotes"], "quotes")], "quotes")
    bid, ask = micros(quotes, "bid", "quotes"), micros(quotes, "ask", "quotes")
    named = quotes["symbol"].notna().to_numpy()
    missing = (times == MISSING_TIME) | (bid == MISSING_PRICE) | (ask == MISSING_PRICE) | ~named
    crossed = ~missing & (bid > ask)
    excluded = {"quote_missing": int(missing.sum()), "quote_crossed": int(crossed.sum())}
    good = np.flatnonzero(~(missing | crossed))
    names, code = np.unique(quotes["symbol"].to_numpy(dtype=object)[good].astype(str), return_inverse=True)
    order = np.lexsort((times[good], code))  # stable: of one instant the last row stands
    rows = good[order]
    source = (
        quotes["quote_source"].to_numpy(dtype=object)[rows] == "sip" if "quote_source" in quotes else None
    )
    return QuoteBook(
        symbols=names,
        starts=np.searchsorted(code[order], np.arange(len(names) + 1)).astype(np.int64),
        ts_ns=times[rows],
        bid_micro=bid[rows],
        ask_micro=ask[rows],
        consolidated=source,
        zoned=zoned,
        excluded={reason: count for reason, count in excluded.items() if count},
    )


def session_end_ns(at_ns: Integers, closes_ns: Integers | None) -> Integers:
    """Last instant of the session that each time lies in.

    Without closing times a session is a UTC date: those of US equities lie within one.
    """
    if closes_ns is None:
        return at_ns - at_ns % DAY_NS + DAY_NS - 1
    at = np.searchsorted(closes_ns, at_ns)
    ends = np.append(closes_ns, MISSING_TIME)
    return np.asarray(ends[at])


def exact_sum(whole: Floats, part: Floats) -> tuple[Floats, Floats, Floats]:
    """Whole, rest and part as floats with whole == rest + part to the last bit.

    All three lie on one power of two per row, 2^-50 of the largest, so neither sum nor difference rounds.
    """
    largest = np.maximum(np.abs(whole), np.abs(part))
    with np.errstate(invalid="ignore"):
        exponent = np.frexp(np.where(np.isfinite(largest), largest, 0.0))[1] - 50
    unit = np.ldexp(1.0, exponent)
    whole, part = np.rint(whole / unit) * unit, np.rint(part / unit) * unit
    return whole, whole - part, part
