"""The market of a simulation, made once and shared by any number of runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from workbench.core.features.market import STATISTICS_ROWS, statistics_history
from workbench.core.kernel import kernel
from workbench.core.pretrade.values import MAX_PRICE_MICRO
from workbench.core.simulate.arrays import History, PanelField
from workbench.core.types import DAY_NS, MICRO, Bars, Booleans, Floats, Integers

# kernels see plain integers
VOLATILITY, HALF_SPREAD = int(PanelField.VOLATILITY_BPS), int(PanelField.HALF_SPREAD_BPS)


@dataclass(frozen=True)
class SplitEvent:
    """`new_shares` for `old_shares` of a symbol before the decision for the bar that ends at `ts_ns`."""

    ts_ns: int
    symbol: str
    new_shares: int
    old_shares: int


@dataclass(frozen=True)
class DividendEvent:
    """Cash for each share held at the end of the bar before the one that ends at `ts_ns`, micros."""

    ts_ns: int
    symbol: str
    amount_micro: int


@dataclass(frozen=True, eq=False)
class SessionHours:
    """When the session of each bar is decided, opens and closes; int64 (times,), UTC nanoseconds.

    The decision of a bar's session is made from the bars before it, so it lies before the open. The first
    bar has no decision of its own; its times are not read.
    """

    decision_ns: Integers
    open_ns: Integers
    close_ns: Integers


@dataclass(frozen=True, eq=False)
class MarketHistory:
    """Bars with all that follows from them alone; make one with `prepare`.

    Attributes
    ----------
    bars : Bars
        As printed where `splits` are given, otherwise in one share term.
    arrays : History
        The same in kernel form, read-only.
    """

    bars: Bars
    arrays: History = field(repr=False)

    def _repr_html_(self) -> str:
        return self.bars._repr_html_().replace("<caption>Bars", "<caption>Market of a simulation")


def prepare(
    bars: Bars,
    *,
    splits: Sequence[SplitEvent] = (),
    dividends: Sequence[DividendEvent] = (),
    hours: SessionHours | None = None,
) -> MarketHistory:
    """The market of a simulation: prices on the grid of micros, statistics of every row, events, hours.

    Parameters
    ----------
    bars : Bars
        A symbol without a bar (`tradable` False, or a price that contradicts the others) is halted for
        that bar: nothing fills, and nothing is decided for it until it trades again.
    splits, dividends
        What the account goes through between a bar and the decision for the next one, which is made in
        the next one's share terms. Prices are then as printed, before and after. Without splits the bars
        have to be adjusted.
    hours : SessionHours or None
        From the exchange calendar; the session-hours control then judges as in a session. None = every
        order type is sent at a time at which it is accepted.

    Raises
    ------
    ValueError
        An event names an unknown symbol or bar, or is impossible; hours do not have one row for each bar.

    Examples
    --------
    >>> import workbench as wb
    >>> from workbench.core.validation.guard import reference_bars
    >>> market = wb.simulation.prepare(reference_bars(()))
    >>> len(market.bars.symbols)
    5
    """
    panel = np.full((*bars.close.shape, len(PanelField)), np.nan)
    prices: Integers = np.zeros(bars.close.shape, dtype=np.int64)
    opened, high, low, close, volume = (
        np.ascontiguousarray(values, dtype=np.float64)
        for values in (bars.open, bars.high, bars.low, bars.close, bars.volume)
    )
    tradable = np.ascontiguousarray(bars.tradable, dtype=np.bool_)
    on_grid(opened, high, low, close, volume, tradable, panel, prices)
    first = STATISTICS_ROWS - 1
    if len(prices) > first:
        bar = (panel[..., field] for field in range(PanelField.HIGH, PanelField.ADV))
        panel[first:, :, PanelField.ADV :] = np.moveaxis(statistics_history(*bar), 0, 2)
    events = _events(bars, splits, dividends)
    splits_by_symbol = _splits_of(events)
    decision_prices = prices.copy() if splits_by_symbol else prices
    for symbol, ratios in splits_by_symbol.items():
        _restate_statistics(symbol, ratios, panel)
        _restate_prices(symbol, ratios, panel[..., PanelField.CLOSE], prices, decision_prices)
    ts_ns = np.array(bars.ts_ns, dtype=np.int64)
    risk_bps = np.empty(bars.close.shape)
    judged_risk(panel, decision_prices, risk_bps)
    arrays = History(ts_ns, panel, risk_bps, prices, decision_prices, events, _hours(bars, hours))
    for values in arrays:
        values.flags.writeable = False
    return MarketHistory(bars, arrays)


@kernel
def on_grid(
    opened: Floats,
    high: Floats,
    low: Floats,
    close: Floats,
    volume: Floats,
    tradable: Booleans,
    panel: Floats,
    price_micro: Integers,
) -> None:
    """Write prices on the grid of micros and whole volumes, NaN where a bar is not plausible.

    `price_micro` is the last known close; 0 before the first.
    """
    for t in range(close.shape[0]):
        for i in range(close.shape[1]):
            first, top, bottom, last = opened[t, i], high[t, i], low[t, i], close[t, i]
            whole = 0.0 < bottom <= first <= top < 1e6 and bottom <= last <= top and tradable[t, i]
            whole = whole and 0.0 <= volume[t, i] < 1e15
            panel[t, i, 0] = np.rint(first * 1e6) / 1e6 if whole else np.nan
            panel[t, i, 1] = np.rint(top * 1e6) / 1e6 if whole else np.nan
            panel[t, i, 2] = np.rint(bottom * 1e6) / 1e6 if whole else np.nan
            panel[t, i, 3] = np.rint(last * 1e6) / 1e6 if whole else np.nan
            panel[t, i, 4] = np.floor(volume[t, i]) if whole else np.nan
            if whole:
                price_micro[t, i] = int(np.rint(last * 1e6))
            elif t > 0:
                price_micro[t, i] = price_micro[t - 1, i]


@kernel
def judged_risk(panel: Floats, price_micro: Integers, risk_bps: Floats) -> None:
    """Write the volatility of every bar whose price and half spread can be judged, NaN for the others."""
    for t in range(risk_bps.shape[0]):
        for i in range(risk_bps.shape[1]):
            judged = 0 < price_micro[t, i] <= MAX_PRICE_MICRO and 0.0 <= panel[t, i, HALF_SPREAD] < 1e5
            risk_bps[t, i] = panel[t, i, VOLATILITY] if judged else np.nan


def _events(bars: Bars, splits: Sequence[SplitEvent], dividends: Sequence[DividendEvent]) -> Integers:
    """Events as rows of `EventColumn`, in the order in which they take effect."""
    rows: list[tuple[int, int, int, int, int]] = []
    if not (splits or dividends):
        return np.empty((0, 5), dtype=np.int64)
    where = {symbol: at for at, symbol in enumerate(bars.symbols)}
    at_row = {int(ts): row for row, ts in enumerate(bars.ts_ns)}
    listed: list[SplitEvent | DividendEvent] = [*dividends, *splits]
    for event in listed:
        row, symbol = at_row.get(event.ts_ns, -1), where.get(event.symbol, -1)
        if row < 1 or symbol < 0:
            raise ValueError(f"{event}: no bar of that symbol has another one before it and ends then")
        if isinstance(event, SplitEvent):
            if not (event.new_shares > 0 and event.old_shares > 0 and event.new_shares != event.old_shares):
                raise ValueError(f"{event}: impossible ratio")
            rows.append((row, 1, symbol, event.new_shares, event.old_shares))
        else:
            if event.amount_micro <= 0:
                raise ValueError(f"{event}: a dividend is positive")
            rows.append((row, 0, symbol, event.amount_micro, 0))
    if len({row[:3] for row in rows}) != len(rows):
        raise ValueError("a symbol has one split and one dividend in a bar at most")
    return np.array(sorted(rows), dtype=np.int64).reshape(len(rows), 5)


def _splits_of(events: Integers) -> dict[int, list[tuple[int, int, int]]]:
    """Row, new and old shares of the splits of each symbol that has any."""
    found: dict[int, list[tuple[int, int, int]]] = {}
    for row, is_split, symbol, new, old in events.tolist():
        if is_split:
            found.setdefault(symbol, []).append((row, new, old))
    return found


def _restate_statistics(symbol: int, ratios: Sequence[tuple[int, int, int]], panel: Floats) -> None:
    """Statistics of the windows that a split cuts or follows, in the terms of the session after each."""
    high, low, close, volume = (panel[..., field] for field in range(PanelField.HIGH, PanelField.ADV))
    for row, _, _ in ratios:
        for t in range(max(row - 1, STATISTICS_ROWS - 1), min(row + STATISTICS_ROWS - 1, len(close))):
            start = t - STATISTICS_ROWS + 1
            new, old = np.ones(STATISTICS_ROWS), np.ones(STATISTICS_ROWS)
            for at, a, b in ratios:
                if start < at <= t + 1:
                    new[: at - start] *= a
                    old[: at - start] *= b
            window = [np.rint(part[start : t + 1, symbol] * MICRO) * old / (new * MICRO)
                      for part in (high, low, close)]  # fmt: skip
            shares = volume[start : t + 1, symbol] * new / old
            parts = (part[:, None] for part in (*window, shares))
            panel[t, symbol, PanelField.ADV :] = statistics_history(*parts)[:, 0, 0]


def _restate_prices(
    symbol: int, ratios: Sequence[tuple[int, int, int]], close: Floats, prices: Integers, decision: Integers
) -> None:
    """The last price before a split, in the terms after it, from its eve until the symbol trades again."""

    def restated(printed: int, known: int, session: int) -> int:
        new = old = 1
        for at, a, b in ratios:
            if known < at <= session:
                new, old = new * a, old * b
        return round(printed * old / (new * MICRO) * MICRO)  # by way of the price that the bars store gives

    for row, _, _ in ratios:
        traded = np.flatnonzero(~np.isnan(close[:row, symbol]))
        if not len(traded):
            continue
        known = int(traded[-1])
        printed = int(prices[known, symbol])
        for t in range(row - 1, len(close)):
            if t >= row and not np.isnan(close[t, symbol]):
                break
            decision[t, symbol] = restated(printed, known, t + 1)
            if t >= row:
                prices[t, symbol] = restated(printed, known, t)


def _hours(bars: Bars, hours: SessionHours | None) -> Integers:
    if hours is None:
        return np.empty((0, 3), dtype=np.int64)
    columns = (hours.decision_ns, hours.open_ns, hours.close_ns)
    if any(len(column) != len(bars.ts_ns) for column in columns):
        raise ValueError(f"hours must have one row for each of {len(bars.ts_ns)} bars")
    times: Integers = np.column_stack([np.asarray(column, dtype=np.int64) for column in columns])
    after = times[1:]
    decided, opened, closed = after[:, 0], after[:, 1], after[:, 2]
    fits = (decided >= bars.ts_ns[:-1]) & (decided < opened) & (opened < closed) & (closed - opened <= DAY_NS)
    if not fits.all():
        row = int(np.flatnonzero(~fits)[0]) + 1
        raise ValueError(f"hours of bar {row}: the decision follows the bar before and precedes the open")
    return times
