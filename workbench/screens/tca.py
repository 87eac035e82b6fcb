"""The page of execution quality: what decisions cost, and the story of each order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd
import param

from workbench.core.costs.compare import in_buckets
from workbench.core.tca.tables import shortfall_steps
from workbench.screens.questions import Source
from workbench.screens.screen import Screen
from workbench.screens.tca_story import Story, story_of
from workbench.screens.tca_tables import (
    LEAST_RECORDS,
    dearest,
    distribution,
    floors,
    grouped,
    markouts,
    notes,
    totals,
)

SPLIT = "cfa"
BUCKETS = 4
#: Orders that the page measures at most, the newest; a report over Parquet files has no such bound.
MOST_ORDERS = 20_000
#: Decisions of which the cost floors are shown, the newest.
MOST_DECISIONS = 500
#: Words for what the orders are broken down by -> column of the report.
GROUPS = {
    "symbol": "symbol", "side": "side", "hour of arrival": "hour", "size": "size",
    "volatility": "volatility_regime", "liquidity": "liquidity_regime",
}  # fmt: skip
ZONE = "America/New_York"


class Selection(NamedTuple):
    """Which orders are asked for; an empty word means all."""

    symbol: str = ""
    side: str = ""
    first_session: str = ""
    last_session: str = ""


@dataclass(frozen=True, eq=False)
class Execution:
    """Execution of the selected orders, in tables and words.

    Attributes
    ----------
    facts : dict
        Labelled values of the whole selection.
    steps : DataFrame
        Parts of the shortfall as steps to its total, bps of the decision value.
    orders : DataFrame
        One row a measured order, the dearest first.
    distribution : DataFrame
        Quantiles of the orders' shortfall with 90 % intervals.
    markouts : DataFrame
        What prices did after the fills, by side and sessions.
    predicted : DataFrame
        Realised beside predicted cost in buckets; empty with fewer than 8 executions.
    notes : tuple of str
        What is left out of the figures, and why.
    """

    facts: dict[str, object]
    steps: pd.DataFrame
    orders: pd.DataFrame
    distribution: pd.DataFrame
    markouts: pd.DataFrame
    predicted: pd.DataFrame
    notes: tuple[str, ...]


class TcaScreen(Screen):
    """Orders that were sent, what they cost, and where each cost came from.

    Parameters
    ----------
    report : callable
        `workbench.tca.report`.
    execution : callable (first_session) -> ExecutionRecords
        Records of own orders from that session on; "" = of all.
    """

    #: What the orders can be broken down by, in words.
    groups = tuple(GROUPS)
    symbols = param.List([], doc="Symbols with orders, sorted.")
    sessions = param.List([], doc="Sessions with orders, oldest first.")
    floors = param.Parameter(None, doc="DataFrame: cost floor and edge of each decision.")
    left_out = param.String("", doc="Which orders are not measured here, empty when all are.")

    def __init__(
        self, desk: Any, *, report: Callable[..., Any], execution: Callable[[str], Any], **params: Any
    ) -> None:
        super().__init__(desk, **params)
        self._report = report
        self._execution = execution
        self._answers: dict[Selection, Execution | None] = {}
        self._broken: dict[tuple[Selection, str], pd.DataFrame] = {}
        self._known: object = None

    def read(self) -> None:
        """Orders, executions and cost records; nothing when none has been added since the last reading."""
        journal, account = self.desk.journal, self.desk.settings.account
        newest = journal.newest("orders", MOST_ORDERS, account=account)
        closed = journal.newest("sessions", 1, account=account)
        known = (max((row["seq"] for row in newest), default=0), len(newest), closed and closed[0]["seq"])
        if known == self._known:
            return
        first = _first_whole_session(newest)
        execution = self._execution(first)
        self._fills, self._records = execution.fills(), execution.records()
        self._orders = execution.orders()
        self._last_session = str(closed[0]["session"]) if closed else ""
        self._answers, self._broken = {}, {}
        self.left_out = first and f"Only orders from {first} on are measured here; `wb.tca.report` takes all."
        decisions = journal.newest("decisions", MOST_DECISIONS, account=account)
        self.floors = floors([row for row in decisions if row["session"] >= first])
        self.sources = tca_sources(account)
        self.symbols = sorted(self._orders["symbol"].unique())
        self.sessions = sorted(self._orders["session"].unique())
        self._known = known

    def execution(self, chosen: tuple[str, str, str, str]) -> Execution | None:
        """What the chosen orders cost: symbol, side, first and last session, each "" for all.

        None when there is none among them that can be measured. Readers share the answers.
        """
        asked = Selection(*chosen)
        if asked not in self._answers:
            self._answers[asked] = self._measure(asked)
        return self._answers[asked]

    def broken_down(self, chosen: tuple[str, str, str, str], by: str) -> pd.DataFrame:
        """The chosen orders by one of `groups`, with 90 % intervals where there are ten days."""
        asked = (Selection(*chosen), by)
        if asked not in self._broken:
            orders, fills = self._of(asked[0])
            found = self._report(orders, fills, None, by=GROUPS[by], split=SPLIT, zone=ZONE)
            self._broken[asked] = grouped(found.frame, GROUPS[by])
        return self._broken[asked]

    def _of(self, chosen: Selection) -> tuple[pd.DataFrame, pd.DataFrame]:
        orders, fills = _chosen(self._orders, chosen), _chosen(self._fills, chosen)
        return orders, fills[fills["order_id"].isin(orders["order_id"])]

    def nothing(self) -> str:
        """Why there is nothing to measure, and what to do."""
        if not len(self._orders):
            return "No order has been sent yet. Run the job that trades: workbench jobs run trading_loop"
        return "None of the orders fits the selection, or no closing price of theirs is known: widen it."

    def _measure(self, chosen: Selection) -> Execution | None:
        orders, fills = self._of(chosen)
        if not len(orders):
            return None
        whole = self._report(orders, fills, None, by=(), split=SPLIT)
        if not len(whole.orders):
            return None
        total = whole.frame.iloc[0]
        measured = whole.orders.join(orders.set_index("order_id")["session"])
        records = _chosen(self._records, chosen)
        enough = len(records.dropna(subset=["expected_bps", "cost_bps"])) >= LEAST_RECORDS
        named = records.rename(columns={"expected_bps": "predicted_bps"})
        return Execution(
            facts=totals(total, fills),
            steps=shortfall_steps(whole.frame, 0),
            orders=(dear := dearest(measured)),
            distribution=distribution(dear),
            markouts=markouts(self.desk, fills, self._last_session),
            predicted=in_buckets(named if enough else named.iloc[:0], buckets=BUCKETS),
            notes=(*notes(len(orders) - len(measured), len(records), enough), *filter(None, [self.left_out])),
        )

    def story(self, order_id: str) -> Story | None:
        """Everything that the journal knows of an order; None when it knows no such order."""
        found = self._orders[self._orders["order_id"] == order_id]
        if not len(found):
            return None
        measured = self.execution(Selection())
        rows = measured.orders if measured is not None else self._orders.iloc[:0]
        return story_of(self.desk, found.iloc[0], rows, self._fills)


def _chosen(frame: pd.DataFrame, chosen: Selection) -> pd.DataFrame:
    kept = pd.Series(True, index=frame.index)
    if chosen.symbol:
        kept &= frame["symbol"] == chosen.symbol
    if chosen.side:
        kept &= frame["side"] == chosen.side
    if chosen.first_session:
        kept &= frame["session"] >= chosen.first_session
    if chosen.last_session:
        kept &= frame["session"] <= chosen.last_session
    return frame[kept]


def _first_whole_session(newest: list[dict[str, Any]]) -> str:
    """The first session of which every order is among the newest ones; "" when there are no others."""
    if len(newest) < MOST_ORDERS:
        return ""
    sessions = sorted({row["session"] for row in newest})
    return str(sessions[1] if len(sessions) > 1 else sessions[0])


def tca_sources(account: str) -> dict[str, Source]:
    """What the numbers and tables of the page are made of."""
    mine = {"account": account}
    return {
        "execution": Source("Orders that were sent, with the price at which each was decided; implementation "
                            "shortfall in the cfa split.", "orders", mine),
        "execution/Fees, USD": Source("Fees of the executions.", "fills", mine),
        "execution/Fill rate": Source("Executed of ordered shares.", "fills", mine),
        "groups": Source("The same orders, by what was known when they arrived.", "orders", mine),
        "distribution": Source("Shortfall of each order.", "orders", mine),
        "orders": Source("The order; its events tell how it went.", "orders", mine, key="client_order_id"),
        "order": Source("The order's row.", "orders", mine, key="client_order_id"),
        "floors": Source("Cost floor and edge of each symbol stand in the rows of its decision.", "decisions",
                         mine),
        "markouts": Source("Executions; the prices after them are those of the bars store.", "fills", mine),
    }  # fmt: skip
