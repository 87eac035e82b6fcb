"""The shadow's sessions traded again as one backtest: what shadow trading did otherwise, and why.

The backtest begins with the shadow's books of its first session and goes its own way from there: each
decision on history as it is known at the end, fills by the same simulator, books carried on. So what was
restated since, what the code or the settings do otherwise now, and what follows from that for later books
all show, and each belongs to the first stage at which the two sides part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from workbench.core.divergence import Explanation, explain
from workbench.core.features import features_hash
from workbench.core.ports import BarStore, Calendar, Journal
from workbench.core.types import Bars
from workbench.services.decision import Strategy
from workbench.services.shadow import SHADOW_ACCOUNT, think
from workbench.services.shadow_fills import Filling, fill_decision
from workbench.services.shadow_records import Books, cells_of_shadow, diff_rows, inputs_hash


@dataclass(frozen=True)
class HistoryAsKnown:
    """A bar store that is asked for a past time and answers with what was known at a later one."""

    store: BarStore
    known_ns: int

    def read(
        self, symbols: Sequence[str], *, as_of_ns: int, rows: int | None = None, view: str = "adjusted"
    ) -> Bars:
        """The panel up to `as_of_ns`, as it was known at the later time."""
        whole = self.store.read(symbols, as_of_ns=max(self.known_ns, as_of_ns), view=view)
        end = int(np.searchsorted(whole.ts_ns, as_of_ns, side="right"))
        return whole.rows(0 if rows is None else max(0, end - rows), end)

    def fingerprint(self) -> str:
        """That of the store."""
        return self.store.fingerprint()


def explain_backtest(
    decided: Sequence[Mapping[str, Any]], settled: Mapping[int, Mapping[str, Any]], *, strategy: Strategy,
    filling: Filling, journal: Journal, bars: BarStore, calendar: Calendar,
) -> Explanation | None:  # fmt: skip
    """What the shadow earned less what its backtest does, by cause; None without a session to compare.

    Parameters
    ----------
    decided : sequence of mapping
        The shadow's decisions as recorded, oldest first.
    settled : mapping of int to mapping
        Their fills and books, by decision time.
    strategy : Strategy
        With the shadow's model, as the desk would trade it now, under the live account's name.
    filling : Filling
        The fill simulator and fees as they are set now.

    Notes
    -----
    Only sessions since the latest split are compared: a share of before it is another one.
    """
    known = [row for row in decided if row["scheduled_ns"] in settled]
    known = known[_latest_terms(known, settled) :]
    if not known:
        return None
    last_ns = calendar.session_close_ns(known[-1]["session"])
    history = HistoryAsKnown(bars, last_ns)
    own = replace(strategy, account=strategy.account + SHADOW_ACCOUNT)
    rows, fills, theirs = [], {}, {}
    books = Books(known[0]["cash_micro"], known[0]["positions"], _prices(known[0]))
    for row in known:
        session, at_ns = row["session"], row["scheduled_ns"]
        cycle = think(
            own, books, row["quotes"], session, at_ns, journal=journal, bars=history, calendar=calendar
        )
        made = {
            **row, "rows": diff_rows(cycle, cycle), "inputs_hash": inputs_hash(cycle.snapshot),
            "features_hash": features_hash(own.features), "cash_micro": books.cash_micro,
            "positions": dict(books.positions),
        }  # fmt: skip
        close_ns = calendar.session_close_ns(session)
        panel = history.read(own.universe, as_of_ns=close_ns, rows=own.lookback)
        at = int(np.searchsorted(panel.ts_ns, close_ns))
        after = fill_decision(made, panel, at, calendar.session_open_ns(session), filling)
        # one mark for both sides: a restated close is no difference of what was done
        marks = {**_prices(row), **after["marks"], **settled[at_ns]["marks"]}
        fills[at_ns], theirs[at_ns] = {**after, "marks": marks}, {**settled[at_ns], "marks": marks}
        books = Books(after["cash_micro"], after["positions"], marks)
        rows.append(made)
    return explain(cells_of_shadow(rows, fills), cells_of_shadow(known, theirs))


def _prices(row: Mapping[str, Any]) -> dict[str, int]:
    return {one["symbol"]: one["price_micro"] for one in row["rows"]}


def _latest_terms(known: Sequence[Mapping[str, Any]], settled: Mapping[int, Mapping[str, Any]]) -> int:
    """Position of the first session after the latest split of anything held."""
    first = 0
    for at, (before, row) in enumerate(pairwise(known), 1):
        after, prices = settled[before["scheduled_ns"]], _prices(row)
        if any(row["positions"].get(symbol, 0) != held or prices[symbol] != after["marks"][symbol]
               for symbol, held in after["positions"].items() if prices.get(symbol, 0) > 0):  # fmt: skip
            first = at
    return first
