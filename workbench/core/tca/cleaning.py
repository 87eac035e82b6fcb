"""Trades and quotes as they may be used, with every dropped record counted by the first reason that fits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from workbench.core.tca.columns import (
    MISSING_PRICE,
    MISSING_TIME,
    QUANTITIES,
    TIMES,
    first_of,
    micros,
    numbers,
    require,
    times_ns,
)
from workbench.core.tca.conditions import eligibility, repeated_closes
from workbench.core.types import DAY_NS, Booleans

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Cleaned:
    """Records that may be used, in time order, and what became of the others.

    Attributes
    ----------
    frame : DataFrame
        Rows kept, with their own index and columns; trades also have counts_volume and sets_price.
    offered : int
    dropped : dict of str to int
        Records left out, by the first reason that fits, in the order of the checks.
    noted : dict of str to int
        Records that were kept although something is to be said about them.
    """

    frame: pd.DataFrame
    offered: int
    dropped: dict[str, int]
    noted: dict[str, int]

    def _repr_html_(self) -> str:
        lost = ", ".join(f"{count:,} {reason}" for reason, count in self.dropped.items()) or "none dropped"
        return f"<b>{len(self.frame):,}</b> of {self.offered:,} records kept; {lost}"


def clean_quotes(quotes: pd.DataFrame) -> Cleaned:
    """Quotes that can be a best bid and ask: both sides present, not crossed, each once, in time order.

    Parameters
    ----------
    quotes : DataFrame
        Columns symbol, bid, ask (currency, or bid_micro and ask_micro) and a time (quoted_at, at, ts or
        ts_ns); optional bid_size, ask_size.

    Returns
    -------
    Cleaned
        Dropped: missing, zero_quote (a side without price or size), crossed (bid above ask), duplicate
        (equal in every column). Noted: locked (bid = ask, kept), unsorted (rows that came late, sorted).

    Raises
    ------
    ValueError
        A column is missing.

    Examples
    --------
    >>> import pandas as pd
    >>> quotes = pd.DataFrame({"symbol": "KO", "ts": [1, 2, 3], "bid": [10.0, 10.3, 0.0], "ask": [10.1] * 3})
    >>> clean_quotes(quotes).dropped
    {'zero_quote': 1, 'crossed': 1}
    """
    require(quotes, ("symbol",), "quotes")
    times, _ = times_ns(quotes[first_of(quotes, TIMES["quotes"], "quotes")], "quotes")
    bid, ask = micros(quotes, "bid", "quotes"), micros(quotes, "ask", "quotes")
    nothing = np.zeros(len(quotes), dtype=np.bool_)
    for name in ("bid", "ask"):
        held = f"{name}_micro" if f"{name}_micro" in quotes.columns else name
        nothing |= np.isnan(numbers(quotes, held))
    empty = (bid == MISSING_PRICE) | (ask == MISSING_PRICE)
    for name in ("bid_size", "ask_size"):
        if name in quotes.columns:
            empty |= ~(numbers(quotes, name) > 0)
    rules = {
        "missing": nothing | (times == MISSING_TIME) | quotes["symbol"].isna().to_numpy(),
        "zero_quote": empty,
        "crossed": bid > ask,
        "duplicate": quotes.duplicated().to_numpy(),
    }
    kept, dropped = _sieve(rules, len(quotes))
    noted = {"locked": int(np.sum(kept & (bid == ask))), "unsorted": _late(times[kept])}
    order = np.flatnonzero(kept)[np.argsort(times[kept], kind="stable")]
    return Cleaned(quotes.iloc[order], len(quotes), dropped, _counted(noted))


def clean_trades(trades: pd.DataFrame, *, duplicates: Literal["drop", "keep"]) -> Cleaned:
    """Trades that happened, in time order, with what each counts for.

    Parameters
    ----------
    trades : DataFrame
        Columns symbol, price, quantity (or size) and a time (traded_at, at, ts or ts_ns); optional
        conditions (codes joined), correction (0 = stands), venue.
    duplicates : {"drop", "keep"}
        What to do with a row that equals another in every column. No default: it may be one print told
        twice, or two prints of one sweep.

    Returns
    -------
    Cleaned
        Dropped: missing, price_not_positive, size_not_positive, corrected, duplicate, close_repeated (a
        closing print of the same symbol, date, price and size told again). Noted: no_volume (kept, does
        not count for volume), no_price (kept, does not set the price), unknown_condition, unsorted.

    Raises
    ------
    ValueError
        A column is missing, or `duplicates` is unknown.

    Examples
    --------
    >>> import pandas as pd
    >>> import workbench as wb
    >>> trades = pd.DataFrame({"symbol": "KO", "ts": [1, 2, 3], "price": [10.0, 0.0, 10.1],
    ...     "size": [100] * 3})
    >>> wb.tca.clean_trades(trades, duplicates="keep").dropped
    {'price_not_positive': 1}
    """
    if duplicates not in ("drop", "keep"):
        raise ValueError(f"duplicates must be 'drop' or 'keep', not {duplicates!r}")
    require(trades, ("symbol",), "trades")
    times, _ = times_ns(trades[first_of(trades, TIMES["trades"], "trades")], "trades")
    price = micros(trades, "price", "trades")
    size = numbers(trades, first_of(trades, QUANTITIES, "trades"))
    held = "price_micro" if "price_micro" in trades.columns else "price"
    absent = np.isnan(numbers(trades, held)) | np.isnan(size) | (times == MISSING_TIME)
    rules = {
        "missing": absent | trades["symbol"].isna().to_numpy(),
        "price_not_positive": price == MISSING_PRICE,
        "size_not_positive": ~(size > 0),
    }
    if "correction" in trades.columns:
        rules["corrected"] = numbers(trades, "correction") != 0
    if duplicates == "drop":
        rules["duplicate"] = trades.duplicated().to_numpy()
    texts = trades["conditions"] if "conditions" in trades.columns else [""] * len(trades)
    counts = eligibility(texts)
    same = (trades["symbol"].to_numpy(dtype=object), times // DAY_NS, price, size)
    rules["close_repeated"] = repeated_closes(counts.closing, same)
    kept, dropped = _sieve(rules, len(trades))
    noted = {
        "no_volume": int(np.sum(kept & ~counts.volume)),
        "no_price": int(np.sum(kept & ~counts.price)),
        "unknown_condition": sum(counts.unknown.values()),
        "unsorted": _late(times[kept]),
    }
    order = np.flatnonzero(kept)[np.argsort(times[kept], kind="stable")]
    frame = trades.assign(counts_volume=counts.volume, sets_price=counts.price).iloc[order]
    return Cleaned(frame, len(trades), dropped, _counted(noted))


def _sieve(rules: dict[str, Booleans], rows: int) -> tuple[Booleans, dict[str, int]]:
    kept, dropped = np.ones(rows, dtype=np.bool_), {}
    for reason, found in rules.items():
        dropped[reason] = int(np.sum(kept & found))
        kept &= ~found
    return kept, _counted(dropped)


def _counted(counts: dict[str, int]) -> dict[str, int]:
    return {reason: count for reason, count in counts.items() if count}


def _late(times: np.ndarray) -> int:
    """Rows whose time lies before that of an earlier row."""
    return int(np.sum(times < np.maximum.accumulate(times))) if len(times) else 0
