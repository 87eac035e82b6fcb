"""Prices that an order is compared with, from the tape of its interval."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

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
    require_one_clock,
    span_ns,
    times_ns,
)
from workbench.core.tca.conditions import eligibility, repeated_closes
from workbench.core.types import DAY_NS, MICRO, NANO, Floats, Integers

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Benchmarks:
    """Prices of one symbol over an interval; NaN where the tape gives none.

    Attributes
    ----------
    vwap : float
        Volume-weighted over every print that counts for volume, own fills included.
    vwap_without_own : float
        The same without own fills; equal to `vwap` when none were given.
    twap_time_weighted : float
        Each price weighted by how long it stood, from the last print before the interval on.
    twap_mean_of_prints : float
        Mean of the prints.
    twap_bars : float
        Mean of the last prices of fixed bars; an empty bar keeps the price before it.
    open, high, low, last : float
        Of the prints in the interval that set the price.
    close : float
        The closing print of the interval's date; without one the last price of that date.
    close_source : str
        "closing print", "last print" or "" for none.
    previous_close : float
        The same of the last earlier date on the tape.
    volume, own_quantity : float
        Shares that count; own fills in the interval.
    participation : float
        own_quantity / volume.
    prints : int
    excluded : dict of str to int
        Prints left out, by reason.
    """

    vwap: float
    vwap_without_own: float
    twap_time_weighted: float
    twap_mean_of_prints: float
    twap_bars: float
    open: float
    high: float
    low: float
    last: float
    close: float
    close_source: str
    previous_close: float
    volume: float
    own_quantity: float
    participation: float
    prints: int
    excluded: dict[str, int] = field(default_factory=dict)

    @property
    def twaps(self) -> dict[str, float]:
        """The three meanings of TWAP by name: they answer different questions."""
        return {
            "time_weighted": self.twap_time_weighted,
            "mean_of_prints": self.twap_mean_of_prints,
            "bars": self.twap_bars,
        }

    @property
    def ohlc(self) -> tuple[float, float, float, float]:
        """Open, high, low and last of the interval."""
        return self.open, self.high, self.low, self.last

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    def _repr_html_(self) -> str:
        return (
            f"VWAP <b>{self.vwap:.4f}</b> (without own {self.vwap_without_own:.4f}) over "
            f"{self.volume:,.0f} shares, participation {self.participation:.2%}"
        )


def benchmarks(
    trades: pd.DataFrame,
    *,
    start: object,
    end: object,
    own_fills: pd.DataFrame | None = None,
    bar: object = "1min",
) -> Benchmarks:
    """Benchmark prices of one symbol's tape from `start` up to, not including, `end`.

    Parameters
    ----------
    trades : DataFrame
        Columns price, quantity (or size) and a time (traded_at, at or ts); optional symbol (one only),
        conditions, correction. Rows before `start` serve the price that stood at `start` and the previous
        close, rows after `end` the close of the date.
    start, end : time with a zone, or UTC nanoseconds
    own_fills : DataFrame, optional
        Columns quantity, price and a time (filled_at): own executions, which are on the tape as well.
    bar : timedelta, str or int, default "1min"
        Length of the bars of `twap_bars`.

    Returns
    -------
    Benchmarks

    Raises
    ------
    ValueError
        A column is missing, several symbols, an empty interval, or own fills of more than the volume.

    Notes
    -----
    What counts is decided by the committed table of sale conditions (`workbench.core.tca.conditions`): an
    official close that repeats the closing print counts for no volume, so the close counts once.

    Examples
    --------
    >>> import pandas as pd
    >>> tape = pd.DataFrame(
    ...     {"ts": [0, 10**9, 3 * 10**9], "price": [10.0, 11.0, 12.0], "quantity": [100, 100, 200]}
    ... )
    >>> found = benchmarks(tape, start=0, end=4 * 10**9)
    >>> found.vwap, found.twap_time_weighted, found.twap_mean_of_prints
    (11.25, 11.0, 11.0)
    """
    if "symbol" in trades.columns and trades["symbol"].nunique() > 1:
        raise ValueError(f"trades hold {trades['symbol'].nunique()} symbols; ask for one at a time")
    start_ns, end_ns = _instant(start, "start"), _instant(end, "end")
    if not start_ns < end_ns:
        raise ValueError(f"the interval from {start!r} to {end!r} is empty")
    tape = _Tape(trades)
    inside = (tape.at_ns >= start_ns) & (tape.at_ns < end_ns)
    counts, sets = inside & tape.volume, inside & tape.sets_price
    quantity, price = tape.quantity[counts], tape.price[counts]
    volume, paid = float(quantity.sum()), float(np.dot(quantity, price))
    own, own_paid = _own(own_fills, start_ns, end_ns, tape.zoned)
    if own > volume:
        raise ValueError(f"own fills of {own:g} exceed the volume of {volume:g} on the tape")
    rest = volume - own
    set_price, set_at = tape.price[tape.sets_price], tape.at_ns[tape.sets_price]
    prices = tape.price[sets]
    close, close_source = _close(tape, _date(end_ns - 1))
    dates = np.unique(tape.at_ns[tape.sets_price] // DAY_NS)
    earlier = dates[dates < _date(start_ns)]
    return Benchmarks(
        vwap=paid / volume if volume else np.nan,
        vwap_without_own=(paid - own_paid) / rest if rest > 0 else np.nan,
        twap_time_weighted=_time_weighted(set_at, set_price, start_ns, end_ns),
        twap_mean_of_prints=float(prices.mean()) if len(prices) else np.nan,
        twap_bars=_bars(set_at, set_price, start_ns, end_ns, span_ns(bar, "bar")),
        open=float(prices[0]) if len(prices) else np.nan,
        high=float(prices.max()) if len(prices) else np.nan,
        low=float(prices.min()) if len(prices) else np.nan,
        last=float(prices[-1]) if len(prices) else np.nan,
        close=close,
        close_source=close_source,
        previous_close=_close(tape, int(earlier[-1]))[0] if len(earlier) else np.nan,
        volume=volume,
        own_quantity=own,
        participation=own / volume if volume else np.nan,
        prints=int(inside.sum()),
        excluded=tape.excluded(inside),
    )


class _Tape:
    """The tape in time order, with what each print counts for."""

    def __init__(self, trades: pd.DataFrame) -> None:
        times, self.zoned = times_ns(trades[first_of(trades, TIMES["trades"], "trades")], "trades")
        order = np.argsort(times, kind="stable")
        self.at_ns: Integers = times[order]
        exact = micros(trades, "price", "trades")[order]
        self.price: Floats = exact / MICRO
        self.quantity: Floats = numbers(trades, first_of(trades, QUANTITIES, "trades"))[order]
        texts = trades["conditions"].to_numpy(dtype=object)[order] if "conditions" in trades else None
        counts = eligibility([""] * len(trades) if texts is None else texts)
        stands = np.ones(len(trades), dtype=np.bool_)
        if "correction" in trades.columns:
            stands = numbers(trades, "correction")[order] == 0
        self._wrong = {
            "no_time": self.at_ns == MISSING_TIME,
            "price_not_positive": exact == MISSING_PRICE,
            "size_not_positive": ~(self.quantity > 0),
            "corrected": ~stands,
        }
        usable = ~np.any(list(self._wrong.values()), axis=0)
        closing = counts.closing & usable
        repeated = repeated_closes(closing, (self.at_ns // DAY_NS, exact, self.quantity))
        self._wrong["close_repeated"] = repeated
        self.volume = usable & counts.volume & ~repeated
        self.sets_price = usable & counts.price & ~repeated
        self.closing = closing & ~repeated
        self._wrong["no_volume"] = usable & ~counts.volume

    def excluded(self, inside: Any) -> dict[str, int]:
        """Prints of the interval that count for nothing, by reason."""
        counts = {
            name: int(np.sum(found & inside)) for name, found in self._wrong.items() if name != "no_time"
        }
        counts["no_time"] = int(self._wrong["no_time"].sum())
        return {name: count for name, count in counts.items() if count}


def _own(fills: pd.DataFrame | None, start_ns: int, end_ns: int, zoned: bool | None) -> tuple[float, float]:
    """Quantity and money of own fills in the interval."""
    if fills is None or not len(fills):
        return 0.0, 0.0
    require(fills, ("quantity",), "own_fills")
    times, own_zoned = times_ns(fills[first_of(fills, TIMES["fills"], "own_fills")], "own_fills")
    require_one_clock({"trades": zoned, "own_fills": own_zoned})
    price, quantity = micros(fills, "price", "own_fills"), numbers(fills, "quantity")
    wrong = np.flatnonzero((price == MISSING_PRICE) | ~(quantity > 0) | (times == MISSING_TIME))
    if len(wrong):
        raise ValueError(f"own_fills: row {wrong[0]} has no time, price or quantity greater than 0")
    inside = (times >= start_ns) & (times < end_ns)
    return float(quantity[inside].sum()), float(np.dot(quantity[inside], price[inside]) / MICRO)


def _time_weighted(at_ns: Integers, price: Floats, start_ns: int, end_ns: int) -> float:
    """Mean of the price that stood; before the first print nothing stands, unless one came earlier."""
    first = int(np.searchsorted(at_ns, start_ns, side="right")) - 1
    last = int(np.searchsorted(at_ns, end_ns, side="left"))
    first = max(first, 0)
    if first >= last:
        return float("nan")
    begins = np.maximum(at_ns[first:last], start_ns)
    lengths = np.diff(np.append(begins, end_ns)) / NANO
    total = float(lengths.sum())
    return float(np.dot(price[first:last], lengths) / total) if total > 0 else float("nan")


def _bars(at_ns: Integers, price: Floats, start_ns: int, end_ns: int, bar_ns: int) -> float:
    """Mean of the last price at the end of each bar; bars before the first price are left out."""
    if bar_ns <= 0:
        raise ValueError("bar must be longer than 0")
    ends = np.minimum(np.arange(start_ns + bar_ns, end_ns + bar_ns, bar_ns), end_ns)
    rows = np.searchsorted(at_ns, ends, side="left") - 1
    first = int(np.searchsorted(at_ns, start_ns, side="right")) - 1
    rows = rows[rows >= max(first, 0)]
    return float(price[rows].mean()) if len(rows) else float("nan")


def _close(tape: _Tape, date: int) -> tuple[float, str]:
    """The closing print of a UTC date, else its last price."""
    of_date = tape.at_ns // DAY_NS == date
    for rows, source in (
        (of_date & tape.closing, "closing print"),
        (of_date & tape.sets_price, "last print"),
    ):
        found = np.flatnonzero(rows)
        if len(found):
            largest = found[np.argmax(tape.quantity[found])] if source == "closing print" else found[-1]
            return float(tape.price[largest]), source
    return float("nan"), ""


def _date(at_ns: int) -> int:
    return at_ns // DAY_NS


def _instant(when: object, name: str) -> int:
    import pandas as pd

    found = times_ns(pd.Series([when]), name)[0]
    if not len(found) or int(found[0]) == MISSING_TIME:
        raise ValueError(f"{name} = {when!r} is not a time")
    return int(found[0])
