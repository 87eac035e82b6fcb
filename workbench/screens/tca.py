"""The page of execution quality: what decisions cost, and the story of each order."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd
import param

from workbench.core.costs.compare import in_buckets
from workbench.core.tca.tables import shortfall_steps
from workbench.core.types import NANO
from workbench.screens.screen import Screen
from workbench.screens.tca_sources import tca_sources
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
from workbench.screens.work import Tell, Work

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
#: Events after which execution has to be measured again; none of them = what is known is still true.
MOVES = (
    "order.intended", "order.changed", "order.adjusted", "fill.booked", "decision.made", "session.closed",
)  # fmt: skip


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


@dataclass(frozen=True, eq=False)
class Sent:
    """Everything that is measured: orders, fills and cost records of the newest sessions."""

    orders: pd.DataFrame
    fills: pd.DataFrame
    records: pd.DataFrame
    floors: pd.DataFrame
    last_session: str
    left_out: str


_NOTHING = Sent(*(pd.DataFrame(columns=["order_id", "session", "symbol", "side"]),) * 4, "", "")


class TcaScreen(Screen):
    """Orders that were sent, what they cost, and where each cost came from.

    On a page they are measured in the background, so that the page is there at once also over years of
    orders; what is read before is one row, however many there are. Without a page they are measured here.

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
        self,
        desk: Any,
        *,
        mark: Callable[[], Hashable],
        report: Callable[..., Any],
        execution: Callable[[str], Any],
        **params: Any,
    ) -> None:
        self.work = Work()
        super().__init__(
            desk, mark=lambda: (mark(), self.work.version, self.work.resting, self.held), **params
        )
        self._report = report
        self._execution = execution
        self._answers: dict[Selection, Execution | None] = {}
        self._broken: dict[tuple[Selection, str], pd.DataFrame] = {}
        self._sent, self._measured_at = _NOTHING, -1
        self.newest: dict[str, object] = {}
        self.sources = tca_sources(desk.settings.account)

    @property
    def known(self) -> bool:
        """Whether the orders have been measured yet."""
        return self._sent is not _NOTHING

    def renew(self) -> None:
        """Forget the orders of the former account, and what is still being measured of them."""
        self.work = Work()
        self._answers, self._broken = {}, {}
        self._sent, self._measured_at = _NOTHING, -1
        self.symbols, self.sessions, self.floors, self.left_out = [], [], None, ""

    def read(self) -> None:
        """The newest order; the measures of all when there are new ones."""
        self.newest = newest_order(self.desk.journal.newest("orders", 1, account=self.desk.settings.account))
        head = self.desk.journal.head()[0]
        if self._moved(head):
            if self.held is None:
                self._show(self._measure_all(lambda _: None))
                self._measured_at = head
            elif not self.held and not self.work.resting and self.work.start(head, self._measure_all):
                self._measured_at = head
        if self.work.latest is not None and self.work.latest[0] is not self._sent:
            self._show(self.work.latest)

    def _moved(self, head: int) -> bool:
        """Whether there are orders, executions or decisions that are not measured yet."""
        if self._measured_at < 0 or self.work.problem:
            return True
        if self.desk.journal.events(kinds=MOVES, after_seq=self._measured_at):
            return True
        self._measured_at = head
        return False

    def _show(self, found: tuple[Sent, Any, Any]) -> None:
        sent, self._answers, self._broken = found
        self._sent, self.floors, self.left_out = sent, sent.floors, sent.left_out
        self.symbols = sorted(sent.orders["symbol"].unique())
        self.sessions = sorted(sent.orders["session"].unique())

    def _measure_all(self, tell: Tell) -> tuple[Sent, Any, Any]:
        """The newest orders, and the answers to what a reader sees first."""
        journal, account = self.desk.journal, self.desk.settings.account
        tell("reading the newest orders")
        newest = journal.newest("orders", MOST_ORDERS, account=account)
        closed = journal.newest("sessions", 1, account=account)
        first = _first_whole_session(newest)
        execution = self._execution(first)
        tell(f"reading what {len(newest):,} orders cost")
        fills, records = execution.fills(), execution.records()
        decisions = journal.newest("decisions", MOST_DECISIONS, account=account)
        sent = Sent(
            orders=execution.orders(),
            fills=fills,
            records=records,
            floors=floors([row for row in decisions if row["session"] >= first]),
            last_session=str(closed[0]["session"]) if closed else "",
            left_out=first and f"Only orders from {first} on are measured here; `wb.tca.report` takes all.",
        )
        tell(f"measuring {len(sent.orders):,} orders")
        everything, by = Selection(), next(iter(GROUPS))
        whole = self._measure(sent, everything)
        broken = {} if whole is None else {(everything, by): self._break_down(sent, everything, by)}
        return sent, {everything: whole}, broken

    def execution(self, chosen: tuple[str, str, str, str]) -> Execution | None:
        """What the chosen orders cost: symbol, side, first and last session, each "" for all.

        None when there is none among them that can be measured. Readers share the answers.
        """
        asked = Selection(*chosen)
        if asked not in self._answers:
            self._answers[asked] = self._measure(self._sent, asked)
        return self._answers[asked]

    def broken_down(self, chosen: tuple[str, str, str, str], by: str) -> pd.DataFrame:
        """The chosen orders by one of `groups`, with 90 % intervals where there are ten days."""
        asked = (Selection(*chosen), by)
        if asked not in self._broken:
            self._broken[asked] = self._break_down(self._sent, *asked)
        return self._broken[asked]

    def _break_down(self, sent: Sent, chosen: Selection, by: str) -> pd.DataFrame:
        orders, fills = _of(sent, chosen)
        found = self._report(orders, fills, None, by=GROUPS[by], split=SPLIT, zone=ZONE)
        return grouped(found.frame, GROUPS[by])

    def nothing(self) -> str:
        """Why there is nothing to measure, and what to do."""
        if not len(self._sent.orders):
            return "No order has been sent yet. Run the job that trades: workbench jobs run trading_loop"
        return "None of the orders fits the selection, or no closing price of theirs is known: widen it."

    def _measure(self, sent: Sent, chosen: Selection) -> Execution | None:
        orders, fills = _of(sent, chosen)
        if not len(orders):
            return None
        whole = self._report(orders, fills, None, by=(), split=SPLIT)
        if not len(whole.orders):
            return None
        total = whole.frame.iloc[0]
        measured = whole.orders.join(orders.set_index("order_id")["session"])
        records = _chosen(sent.records, chosen)
        enough = len(records.dropna(subset=["expected_bps", "cost_bps"])) >= LEAST_RECORDS
        named = records.rename(columns={"expected_bps": "predicted_bps"})
        return Execution(
            facts=totals(total, fills),
            steps=shortfall_steps(whole.frame, 0),
            orders=(dear := dearest(measured)),
            distribution=distribution(dear),
            markouts=markouts(self.desk, fills, sent.last_session),
            predicted=in_buckets(named if enough else named.iloc[:0], buckets=BUCKETS),
            notes=(*notes(len(orders) - len(measured), len(records), enough), *filter(None, [sent.left_out])),
        )

    def story(self, order_id: str) -> Story | None:
        """Everything that the journal knows of an order; None when it knows no such order."""
        sent = self._sent
        found = sent.orders[sent.orders["order_id"] == order_id]
        if not len(found):
            return None
        measured = self.execution(Selection())
        rows = measured.orders if measured is not None else sent.orders.iloc[:0]
        return story_of(self.desk, found.iloc[0], rows, sent.fills)


def newest_order(rows: list[dict[str, Any]]) -> dict[str, object]:
    """The order that was added last, labelled for reading: what is known before anything is measured."""
    if not rows:
        return {"Orders": 0}
    row = rows[-1]
    return {
        "Newest order": f"{row['side']} {row['quantity_nano'] / NANO:,.0f} {row['symbol']}",
        "Its session": row["session"],
        "Its state": row["state"],
    }


def _of(sent: Sent, chosen: Selection) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The chosen orders and their fills."""
    orders, fills = _chosen(sent.orders, chosen), _chosen(sent.fills, chosen)
    return orders, fills[fills["order_id"].isin(orders["order_id"])]


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
