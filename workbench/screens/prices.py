"""The price path of a symbol as a past session knew it, with the desk's own executions."""

from __future__ import annotations

from typing import Any

import pandas as pd

from workbench.core.types import MICRO, NANO

#: Bars of the price path, up to and including the session.
PATH_BARS = 60
#: Executions that are marked on it at most.
MOST_MARKS = 500
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
    """Executions in a symbol within the price path that ends with the session, the newest 500.

    Returns
    -------
    DataFrame
        session, symbol, side, filled_at (UTC), quantity_shares, price_usd; oldest first.
    """
    earliest = f"{pd.Timestamp(session) - pd.Timedelta(days=2 * PATH_BARS):%Y-%m-%d}"
    known = desk.calendar.sessions_between(earliest, session)[-PATH_BARS:]
    rows: list[dict[str, Any]] = []
    for one in reversed(known):  # by session: a journal that is years long is not read for a picture
        mine = {"account": desk.settings.account, "session": one, "symbol": symbol}
        rows += desk.journal.rows("fills", **mine)
        if len(rows) >= MOST_MARKS:
            break
    rows = sorted(rows, key=lambda row: (row["filled_at_ns"], row["execution_id"]))[-MOST_MARKS:]
    frame = pd.DataFrame({name: [row[name] for row in rows] for name in ("session", "symbol", "side")})
    frame["filled_at"] = pd.to_datetime([row["filled_at_ns"] for row in rows], unit="ns", utc=True)
    frame["quantity_shares"] = pd.Series([row["quantity_nano"] / NANO for row in rows], dtype="float64")
    frame["price_usd"] = pd.Series([row["price_micro"] / MICRO for row in rows], dtype="float64")
    return frame
