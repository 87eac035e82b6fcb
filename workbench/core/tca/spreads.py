"""What the spread cost, what the price did afterwards: effective, realized, impact, improvement, markouts.

Signs: 17 CFR 242.600(b); positive = cost, except price improvement and markouts, where positive = good.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.tca.asof import NOT_FOUND, QuoteBook, exact_sum, quote_book, session_end_ns
from workbench.core.tca.columns import (
    MISSING_PRICE,
    MISSING_TIME,
    QUANTITIES,
    TIMES,
    first_of,
    micros,
    numbers,
    require,
    require_one_clock,
    signs,
    span_ns,
    times_ns,
)
from workbench.core.types import BPS, MICRO, Booleans, Floats, Integers

if TYPE_CHECKING:
    import pandas as pd

SPREADS = ("effective", "realized", "impact", "price_improvement")


def spreads(
    trades: pd.DataFrame,
    quotes: pd.DataFrame,
    *,
    horizon: object,
    max_age: object,
    closes: object = None,
) -> pd.DataFrame:
    """Effective and realized spread, impact and price improvement of each trade, against the mid.

    With p the price, m0 the mid of the last valid quote strictly before the order was received, m_h the
    mid at or before the trade + horizon, side 1 or -1:

    * effective = 2 side (p - m0) = realized + impact, row by row
    * realized = 2 side (p - m_h); impact = 2 side (m_h - m0)
    * price improvement = side (far touch - p)

    Parameters
    ----------
    trades : DataFrame
        Columns symbol, price, quantity (or size) and a time (filled_at, traded_at, at or ts); side ("buy"
        or "sell"). Own orders add sent_at, the receipt of the order; tape prints stand for themselves.
        Without a column side, the side is inferred: above the mid a buy, below a sell, at the mid by the
        last change of price (Lee and Ready 1991).
    quotes : DataFrame
        Columns symbol, bid, ask and a time; quote_source, of which only "sip" is the national best.
    horizon : timedelta, str or int
        Such as "5min"; whole numbers are nanoseconds.
    max_age : timedelta, str or int
        A quote older than this does not stand. Required: how long one stands depends on the feed.
    closes : sequence of times, optional
        Closing times of the sessions. Without them a session is a UTC date.

    Returns
    -------
    DataFrame
        The index of `trades`. Columns side (1, -1 or 0), mid, mid_after, each measure in currency for the
        whole quantity and with _bps of m0; reason ("" or why a row has none), reason_after (why there
        is no m_h), consolidated. `frame.attrs["excluded"]` counts reasons, of quotes too.

    Raises
    ------
    ValueError
        A column is missing, times are mixed, or a duration is none.

    Examples
    --------
    >>> import pandas as pd
    >>> quotes = pd.DataFrame(
    ...     {"symbol": "KO", "ts": [0, 2 * 10**9], "bid": [9.99, 10.01], "ask": [10.01, 10.03]}
    ... )
    >>> trade = pd.DataFrame(
    ...     {"symbol": ["KO"], "ts": [10**9], "side": ["buy"], "price": [10.01], "quantity": [100]}
    ... )
    >>> row = spreads(trade, quotes, horizon="5s", max_age="1min").iloc[0]
    >>> [float(row[name]) for name in ("effective", "realized", "impact")]
    [2.0, -2.0, 4.0]
    """
    import pandas as pd

    book, facts = quote_book(quotes), _TradeFacts(trades, "trades", side_needed=False)
    received, zoned = facts.at_ns, {"trades": facts.zoned, "quotes": book.zoned}
    if "sent_at" in trades.columns:
        received, zoned["sent_at"] = times_ns(trades["sent_at"], "trades.sent_at")
    require_one_clock(zoned)
    before = book.rows(facts.symbols, received, when="before")
    reason, before = _standing(book, before, received, span_ns(max_age, "max_age"), facts.reason)
    side = facts.side if "side" in trades.columns else _inferred_sides(facts, book, before)
    reason[(side == 0) & (reason == "")] = "side_unknown"
    reason[(received > facts.at_ns) & (reason == "")] = "received_after_trade"
    after_ns = facts.at_ns + span_ns(horizon, "horizon")
    after = book.rows(facts.symbols, after_ns, when="at_or_before")
    reason_after = _outside(facts.at_ns, after_ns, closes_ns(closes))
    reason_after, after = _standing(book, after, after_ns, span_ns(max_age, "max_age"), reason_after)
    frame = _measures(facts, side, book, before, after, reason == "", (reason == "") & (reason_after == ""))
    frame.index = trades.index
    frame["reason"], frame["reason_after"] = reason, np.where(reason == "", reason_after, "")
    frame["consolidated"] = False
    if book.consolidated is not None and len(book.ts_ns):
        frame["consolidated"] = (before != NOT_FOUND) & book.consolidated[before]
    frame.attrs["excluded"] = _counts(reason) | book.excluded
    frame.attrs["excluded_after"] = _counts(np.where(reason == "", reason_after, ""))
    assert isinstance(frame, pd.DataFrame)
    return frame


def markouts(
    fills: pd.DataFrame,
    quotes: pd.DataFrame,
    *,
    horizons: Sequence[object],
    max_age: object | None = None,
    closes: object = None,
) -> pd.DataFrame:
    """How far the mid moved in favour of each fill after each horizon, in bps of its price.

    markout = 1e4 side (m_{t+h} - p) / p: positive = the price went the way of the trade.

    Parameters
    ----------
    fills : DataFrame
        Columns symbol, side ("buy" or "sell"), price and a time (filled_at, traded_at, at or ts).
    quotes : DataFrame
        As in `spreads`.
    horizons : sequence of timedelta, str or int
        Such as ["1s", "1min", "5min"]; each names its columns. Whole numbers are nanoseconds.
    max_age : timedelta, str or int, optional
        A quote older than this does not stand. Without it a quote stands until its session ends.
    closes : sequence of times, optional
        Closing times of the sessions. Without them a session is a UTC date.

    Returns
    -------
    DataFrame
        The index of `fills`; a column markout_<horizon>_bps for each horizon, NaN where there is no mid,
        with the reason in reason_<horizon>. `frame.attrs["excluded"]` counts them by horizon.

    Examples
    --------
    >>> import pandas as pd
    >>> import workbench as wb
    >>> quotes = pd.DataFrame({"symbol": "KO", "ts": [0, 5 * 10**9], "bid": [9.99, 10.09],
    ...     "ask": [10.01, 10.11]})
    >>> fills = pd.DataFrame({"symbol": ["KO"], "side": ["buy"], "quantity": [100], "price": [10.01],
    ...     "ts": [10**9]})
    >>> len(wb.tca.markouts(fills, quotes, horizons=["5s"]))
    1
    """
    import pandas as pd

    book, facts = quote_book(quotes), _TradeFacts(fills, "fills", side_needed=True)
    require_one_clock({"fills": facts.zoned, "quotes": book.zoned})
    wrong = facts.reason
    wrong[(facts.side == 0) & (wrong == "")] = "side_unknown"
    columns: dict[str, Any] = {}
    excluded: dict[str, dict[str, int]] = {}
    for horizon in horizons:
        after_ns = facts.at_ns + span_ns(horizon, "horizons")
        rows = book.rows(facts.symbols, after_ns, when="at_or_before")
        late = _outside(facts.at_ns, after_ns, closes_ns(closes))
        oldest = None if max_age is None else span_ns(max_age, "max_age")
        reason, rows = _standing(book, rows, after_ns, oldest, np.where(wrong != "", wrong, late))
        doubled = facts.side * (_mid_doubled(book, rows) - 2 * facts.price_micro)
        with np.errstate(invalid="ignore", divide="ignore"):
            value = doubled / (2.0 * facts.price_micro) * BPS
        columns[f"markout_{horizon}_bps"] = np.where(reason == "", value, np.nan)
        columns[f"reason_{horizon}"] = reason
        excluded[str(horizon)] = _counts(reason) | book.excluded
    frame = pd.DataFrame(columns, index=fills.index)
    frame.attrs["excluded"] = excluded
    return frame


class _TradeFacts:
    """Columns of trades as integers, with the reason why a row cannot be used."""

    def __init__(self, frame: pd.DataFrame, table: str, *, side_needed: bool) -> None:
        require(frame, ("symbol", "side") if side_needed else ("symbol",), table)
        self.symbols = frame["symbol"].astype(str).to_numpy(dtype=object).astype(str)
        self.at_ns, self.zoned = times_ns(frame[first_of(frame, TIMES[table], table)], table)
        self.price_micro = micros(frame, "price", table)
        self.side = signs(frame["side"]) if "side" in frame.columns else np.zeros(len(frame), dtype=np.int64)
        held = [name for name in QUANTITIES if name in frame.columns]
        if not held and not side_needed:
            raise ValueError(f"{table} has none of the columns {', '.join(QUANTITIES)}")
        self.quantity: Floats = numbers(frame, held[0]) if held else np.ones(len(frame))
        self.reason = np.full(len(frame), "", dtype=object)
        self.reason[self.at_ns == MISSING_TIME] = "no_time"
        self.reason[self.price_micro == MISSING_PRICE] = "price_not_positive"
        self.reason[~(self.quantity > 0)] = "quantity_not_positive"
        if "execution_id" in frame.columns:
            repeated = frame["execution_id"].duplicated() & frame["execution_id"].notna()
            self.reason[repeated.to_numpy()] = "duplicate"


def _standing(
    book: QuoteBook, rows: Integers, at_ns: Integers, max_age_ns: int | None, reason: Any
) -> tuple[Any, Integers]:
    """The rows that stand at each instant and why the others do not, after what was wrong before."""
    reason = reason.copy()
    held = np.where(rows == NOT_FOUND, 0, rows)
    stamps = book.ts_ns[held] if len(book.ts_ns) else np.full(len(rows), MISSING_TIME)
    found = rows != NOT_FOUND
    fresh = reason == ""
    day = session_end_ns(at_ns, None)
    reason[fresh & found & (session_end_ns(stamps, None) != day)] = "quote_of_another_day"
    if max_age_ns is not None:
        reason[(reason == "") & found & (at_ns - stamps > max_age_ns)] = "quote_stale"
    reason[fresh & ~found] = "no_quote_yet"
    return reason, np.where(reason == "", rows, NOT_FOUND)


def _outside(at_ns: Integers, after_ns: Integers, closes: Integers | None) -> Any:
    """Why an instant after a trade is no longer in its session, "" where it is."""
    reason = np.full(len(at_ns), "", dtype=object)
    reason[after_ns > session_end_ns(at_ns, closes)] = "after_the_session"
    return reason


def closes_ns(closes: object) -> Integers | None:
    """Sorted closing times in UTC nanoseconds."""
    import pandas as pd

    if closes is None:
        return None
    return np.sort(times_ns(pd.Series(closes), "closes")[0])


def _mid_doubled(book: QuoteBook, rows: Integers) -> Integers:
    """Bid + ask in micros, 0 where there is no quote."""
    if not len(book.ts_ns):
        return np.zeros(len(rows), dtype=np.int64)
    held = np.where(rows == NOT_FOUND, 0, rows)
    return np.where(rows == NOT_FOUND, 0, book.bid_micro[held] + book.ask_micro[held])


def _inferred_sides(facts: _TradeFacts, book: QuoteBook, before: Integers) -> Integers:
    """The quote rule, at the mid the tick rule, 0 where neither says."""
    mid = _mid_doubled(book, before)
    side = np.where(mid > 0, np.sign(2 * facts.price_micro - mid), 0)
    for symbol in np.unique(facts.symbols[side == 0]):
        rows = np.flatnonzero((facts.symbols == symbol) & (facts.price_micro > 0))
        rows = rows[np.argsort(facts.at_ns[rows], kind="stable")]
        step = np.sign(np.diff(facts.price_micro[rows], prepend=facts.price_micro[rows][:1]))
        last = np.maximum.accumulate(np.where(step != 0, np.arange(len(step)), 0))
        side[rows] = np.where((side[rows] == 0) & (mid[rows] > 0), step[last], side[rows])
    return np.asarray(side, dtype=np.int64)


def _measures(
    facts: _TradeFacts, side: Integers, book: QuoteBook, before: Integers, after: Integers,
    known: Booleans, known_after: Booleans,
) -> pd.DataFrame:  # fmt: skip
    """The measures as columns: integers of half micros first, floats whose parts sum at the end."""
    import pandas as pd

    mid, mid_after = _mid_doubled(book, before), _mid_doubled(book, after)
    held = np.where(before == NOT_FOUND, 0, before)
    touch = np.zeros(len(side), dtype=np.int64)
    if len(book.ts_ns):
        touch = np.where(side > 0, book.ask_micro[held], book.bid_micro[held])
    effective = np.where(known, side * (2 * facts.price_micro - mid), 0).astype(np.float64)
    impact = np.where(known_after, side * (mid_after - mid), 0).astype(np.float64)
    improvement = np.where(known, side * (touch - facts.price_micro), 0).astype(np.float64)
    columns: dict[str, Any] = {
        "side": side,
        "mid": np.where(known, mid / (2.0 * MICRO), np.nan),
        "mid_after": np.where(known_after, mid_after / (2.0 * MICRO), np.nan),
    }
    with np.errstate(divide="ignore", invalid="ignore"):
        scales = {"": facts.quantity / MICRO, "_bps": 2.0 * BPS / mid}
        for suffix, scale in scales.items():
            whole, rest, part = exact_sum(effective * scale, impact * scale)
            columns["effective" + suffix] = np.where(known, whole, np.nan)
            columns["realized" + suffix] = np.where(known_after, rest, np.nan)
            columns["impact" + suffix] = np.where(known_after, part, np.nan)
            columns["price_improvement" + suffix] = np.where(known, improvement * scale, np.nan)
    return pd.DataFrame(columns)


def _counts(reason: Any) -> dict[str, int]:
    names, counts = np.unique(reason.astype(str), return_counts=True)
    return {str(name): int(count) for name, count in zip(names, counts, strict=True) if name}
