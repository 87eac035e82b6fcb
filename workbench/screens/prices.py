"""The price path of a symbol as a past session knew it, with the desk's own executions."""

from __future__ import annotations

from typing import Any

import pandas as pd

from workbench.core.types import NANO

#: Bars of the price path, up to and including the session.
PATH_BARS = 60
#: Time after the close by which the session's own bar is known.
KNOWN_NS = 6 * 3_600 * NANO


def known_prices(desk: Any, session: str, symbol: str) -> pd.DataFrame:
    """Daily bars of a symbol as they were known on the evening of the session.

    Returns
    -------
    DataFrame
        at (UTC close of the bar), open, high, low, close in USD.
    """
    as_of_ns = desk.calendar.session_close_ns(session) + KNOWN_NS
    panel = desk.bars.read([symbol], as_of_ns=as_of_ns, rows=PATH_BARS)
    values = {name: getattr(panel, name)[:, 0] for name in ("open", "high", "low", "close")}
    return pd.DataFrame({"at": pd.to_datetime(panel.ts_ns, unit="ns", utc=True), **values})


def fills_until(desk: Any, session: str, symbol: str) -> pd.DataFrame:
    """Executions in a symbol up to and including the session."""
    frame: pd.DataFrame = desk.views.fills()
    return frame[(frame["symbol"] == symbol) & (frame["session"] <= session)]
