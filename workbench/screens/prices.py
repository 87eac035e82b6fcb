"""The price path of a symbol as a past session knew it, with the desk's own executions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from workbench.core.types import NANO
from workbench.views import Views

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
    """Executions in a symbol within the price path that ends with the session."""
    earliest = f"{pd.Timestamp(session) - pd.Timedelta(days=2 * PATH_BARS):%Y-%m-%d}"
    known = desk.calendar.sessions_between(earliest, session)[-PATH_BARS:]
    return Views(_Within(desk.journal, known, symbol), desk.settings.account).fills()


class _Within:
    """Rows of one symbol in some sessions: what a path needs of a journal that is years long."""

    def __init__(self, journal: Any, sessions: Iterable[str], symbol: str) -> None:
        self._journal, self._sessions, self._symbol = journal, tuple(sessions), symbol

    def rows(self, projection: str, **equals: Any) -> list[dict[str, Any]]:
        """Rows whose columns equal the given values, session by session."""
        return [
            row
            for one in self._sessions
            for row in self._journal.rows(projection, session=one, symbol=self._symbol, **equals)
        ]
