"""One session of recorded history in the words of the venue's commands."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from workbench.core.ports import Calendar
from workbench.core.types import Bars, to_micro
from workbench.errors import DataError


def session_bars(bars: Bars, calendar: Calendar, session: str) -> dict[str, list[int]]:
    """Symbol -> open, high, low, close in micros and volume; without bars that cannot be.

    Raises
    ------
    DataError
        There is none at all.
    """
    row = _row(bars, calendar, session)
    found: dict[str, list[int]] = {}
    for j, symbol in enumerate(bars.symbols):
        prices = [column[row, j] for column in (bars.open, bars.high, bars.low, bars.close)]
        volume = bars.volume[row, j]
        if not bars.tradable[row, j] or not np.isfinite([*prices, volume]).all() or volume < 0:
            continue
        opened, high, low, close = (to_micro(float(price)) for price in prices)
        if 0 < low <= min(opened, close) <= max(opened, close) <= high:
            found[symbol] = [opened, high, low, close, int(volume)]
    if not found:
        raise _no_data(session)
    return found


def opening_prices(bars: Bars, calendar: Calendar, session: str) -> dict[str, int]:
    """Symbol -> opening price in micros; of the row only the open is read.

    Raises
    ------
    DataError
        There is none at all.
    """
    row = _row(bars, calendar, session)
    prices = {
        symbol: to_micro(float(bars.open[row, j]))
        for j, symbol in enumerate(bars.symbols)
        if bars.tradable[row, j] and 0 < bars.open[row, j] < math.inf
    }
    if not prices:
        raise _no_data(session)
    return prices


def corporate_events(
    session: str,
    symbols: Collection[str],
    splits: Callable[[str], Mapping[str, tuple[int, int]]] | None,
    dividends: Callable[[str], Mapping[str, int]] | None,
) -> list[dict[str, Any]]:
    """Commands of what takes effect with the session, without their time.

    Dividends first: they are paid on the shares of the day before.
    """
    paid = dividends(session) if dividends else {}
    ratios = splits(session) if splits else {}
    events: list[dict[str, Any]] = [
        *({"kind": "dividend", "symbol": s, "amount_micro": paid[s]} for s in sorted(paid)),
        *(
            {"kind": "split", "symbol": s, "new_shares": ratios[s][0], "old_shares": ratios[s][1]}
            for s in sorted(ratios)
        ),
    ]
    return [event | {"session": session} for event in events if event["symbol"] in symbols]


def _row(bars: Bars, calendar: Calendar, session: str) -> int:
    first, last = calendar.session_open_ns(session), calendar.session_close_ns(session)
    rows = np.flatnonzero((bars.ts_ns > first) & (bars.ts_ns <= last))
    if len(rows) != 1:
        raise _no_data(session)
    return int(rows[0])


def _no_data(session: str) -> DataError:
    return DataError(
        f"the simulated venue has no market data of session {session}",
        next_step="run `workbench data ingest` for that session, or replay an earlier one",
        session=session,
    )
