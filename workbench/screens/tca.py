"""The page of execution quality: what decisions cost, and the story of each order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd
import param

from workbench.core.costs.compare import in_buckets
from workbench.core.tca.intervals import MIN_DAYS
from workbench.core.tca.tables import shortfall_steps
from workbench.core.types import MICRO, NANO
from workbench.screens.prices import fills_until, known_prices
from workbench.screens.screen import Screen

SPLIT = "cfa"
BUCKETS = 4
#: Records of which a comparison with the prediction says something at all.
LEAST_RECORDS = 2 * BUCKETS
_PARTS = ("delay", "trading", "opportunity", "fees")
_ORDER_EVENTS = ("order.intended", "order.denied", "order.changed", "order.adjusted", "fill.booked")


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
    by_symbol, by_side : DataFrame
    orders : DataFrame
        One row a measured order, the dearest first.
    predicted : DataFrame
        Realised beside predicted cost in buckets; empty with fewer than 8 executions.
    notes : tuple of str
        What is left out of the figures, and why.
    """

    facts: dict[str, object]
    steps: pd.DataFrame
    by_symbol: pd.DataFrame
    by_side: pd.DataFrame
    orders: pd.DataFrame
    predicted: pd.DataFrame
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Story:
    """One order from its reason to the books.

    Attributes
    ----------
    facts : dict
        The order and the decision that wanted it.
    steps : DataFrame or None
        Its shortfall; None while a price is missing.
    prices, fills : DataFrame
        What was known of the symbol on the evening of the session, and own executions until then.
    events : DataFrame
        Its journal rows: seq, at, what, text.
    """

    facts: dict[str, object]
    steps: pd.DataFrame | None
    prices: pd.DataFrame
    fills: pd.DataFrame
    events: pd.DataFrame


class TcaScreen(Screen):
    """Orders that were sent, what they cost, and where each cost came from.

    Parameters
    ----------
    report : callable
        `workbench.tca.report`.
    """

    symbols = param.List([], doc="Symbols with orders, sorted.")
    sessions = param.List([], doc="Sessions with orders, oldest first.")

    def __init__(self, desk: Any, *, report: Callable[..., Any], **params: Any) -> None:
        super().__init__(desk, **params)
        self._report = report
        self._answers: dict[Selection, Execution | None] = {}
        self._known: object = None

    def read(self) -> None:
        """Orders, executions and cost records; nothing when none has been added since the last reading."""
        journal, account = self.desk.journal, self.desk.settings.account
        orders = journal.rows("orders", account=account)
        closed = journal.rows("sessions", account=account)
        known = (max((row["seq"] for row in orders), default=0), len(orders), len(closed))
        if known == self._known:
            return
        execution = self.desk.execution
        self._orders, self._fills, self._records = execution.orders(), execution.fills(), execution.records()
        self._answers = {}
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

    def nothing(self) -> str:
        """Why there is nothing to measure, and what to do."""
        if not len(self._orders):
            return "No order has been sent yet. Run the job that trades: workbench jobs run trading_loop"
        return "None of the orders fits the selection, or no closing price of theirs is known: widen it."

    def labels(self, found: Execution) -> dict[str, str]:
        """Words for a reader -> order id, the dearest first."""
        return {
            f"{row['session']} {row['side']} {row['ordered_shares']:,.0f} {row['symbol']}, "
            f"{row['total_bps']:,.1f} bps (…{row['order_id'][-6:]})": row["order_id"]
            for row in found.orders.to_dict("records")
        }

    def _measure(self, chosen: Selection) -> Execution | None:
        orders, fills = _chosen(self._orders, chosen), _chosen(self._fills, chosen)
        fills = fills[fills["order_id"].isin(orders["order_id"])]
        if not len(orders):
            return None
        whole, by_symbol, by_side = (
            self._report(orders, fills, _NO_QUOTES, by=by, split=SPLIT) for by in ((), "symbol", "side")
        )
        if not len(whole.orders):
            return None
        total = whole.frame.iloc[0]
        measured = whole.orders.join(orders.set_index("order_id")["session"])
        records = _chosen(self._records, chosen)
        enough = len(records.dropna(subset=["expected_bps", "cost_bps"])) >= LEAST_RECORDS
        named = records.rename(columns={"expected_bps": "predicted_bps"})
        return Execution(
            facts=_totals(total, fills),
            steps=shortfall_steps(whole.frame, 0),
            by_symbol=_grouped(by_symbol.frame, "symbol"),
            by_side=_grouped(by_side.frame, "side"),
            orders=_dearest(measured),
            predicted=in_buckets(named if enough else named.iloc[:0], buckets=BUCKETS),
            notes=_notes(len(orders) - len(measured), len(records), enough),
        )

    def story(self, order_id: str) -> Story | None:
        """Everything that the journal knows of an order; None when it knows no such order."""
        found = self._orders[self._orders["order_id"] == order_id]
        if not len(found):
            return None
        order = found.iloc[0]
        session, symbol = str(order["session"]), str(order["symbol"])
        decided = self.desk.views.decisions(session)
        mine = decided[(decided["symbol"] == symbol) & (decided["scheduled_at"] == order["decision_at"])]
        measured = self.execution(Selection())
        rows = measured.orders if measured is not None else self._orders.iloc[:0]
        at = [place for place, one in enumerate(rows["order_id"]) if one == order_id]
        return Story(
            facts=_order_facts(order, mine.iloc[0] if len(mine) else None),
            steps=shortfall_steps(rows, at[0]) if at else None,
            prices=known_prices(self.desk, session, symbol),
            fills=fills_until(self.desk, session, symbol),
            events=self._events(order_id, int(order["added_seq"])),
        )

    def _events(self, order_id: str, first_seq: int) -> pd.DataFrame:
        rows = [
            (event.seq, event.at_ns, event.kind, _payload_words(event.payload))
            for event in self.desk.journal.events(kinds=_ORDER_EVENTS, after_seq=first_seq - 1)
            if event.payload.get("client_order_id") == order_id
        ]
        frame = pd.DataFrame(rows, columns=["seq", "recorded_at", "what", "text"])
        frame["recorded_at"] = pd.to_datetime(frame["recorded_at"], unit="ns", utc=True)
        return frame


_NO_QUOTES = pd.DataFrame(
    {
        "symbol": pd.Series(dtype="str"),
        "bid": pd.Series(dtype="float64"),
        "ask": pd.Series(dtype="float64"),
        "quoted_at": pd.to_datetime(pd.Series(dtype="int64"), utc=True),
    }
)


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


def _totals(total: pd.Series[Any], fills: pd.DataFrame) -> dict[str, object]:
    lower, upper = float(total["total_lower_bps"]), float(total["total_upper_bps"])
    interval = f"{lower:,.1f} to {upper:,.1f}" if lower == lower else f"none: fewer than {MIN_DAYS} days"
    return {
        "Orders": int(total["orders"]),
        "Decision value, USD": float(total["notional"]),
        "Shortfall, bps": float(total["total_bps"]),
        "90 % interval, days resampled, bps": interval,
        "Shortfall, USD": float(total["total"]),
        "Fees, USD": float(fills["fee"].sum()),
        "Fill rate": f"{100.0 * float(total['fill_rate']):.1f} % of shares",
    }


def _grouped(frame: pd.DataFrame, by: str) -> pd.DataFrame:
    table = frame[[by, "orders"]].copy()
    table["decision_value_usd"] = frame["notional"].astype(float)
    table["filled_%"] = 100.0 * frame["fill_rate"].astype(float)
    table["total_usd"] = frame["total"].astype(float)
    for name in ("total", *_PARTS):
        table[f"{name}_bps"] = frame[f"{name}_bps"].astype(float)
    return table


def _dearest(measured: pd.DataFrame) -> pd.DataFrame:
    """The measured orders, dearest first; the names of the parts are those of `shortfall_steps`."""
    sorted_ = measured.sort_values("total", ascending=False, kind="stable")
    table = sorted_[["session", "symbol", "side"]].copy()
    table["ordered_shares"] = sorted_["quantity"].astype(float)
    table["filled_%"] = 100.0 * sorted_["fill_rate"].astype(float)
    table["total_usd"] = sorted_["total"].astype(float)
    for name in ("total", *_PARTS):
        table[f"{name}_bps"] = sorted_[f"{name}_bps"].astype(float)
    return table.rename_axis("order_id").reset_index()[[*table.columns, "order_id"]]


def _notes(unmeasured: int, records: int, enough: bool) -> tuple[str, ...]:
    notes = []
    if unmeasured:
        notes.append(
            f"{unmeasured} order(s) are not in the figures: the close of their session is not in the bars "
            "store. Ingest it with `workbench data ingest`."
        )
    if not enough:
        notes.append(
            f"Predicted and realised cost need {LEAST_RECORDS} executions with a prediction; "
            f"there are {records}. Widen the selection."
        )
    notes.append("The desk records no quotes, so there are no spreads and markouts.")
    return tuple(notes)


def _order_facts(order: pd.Series[Any], decision: pd.Series[Any] | None) -> dict[str, object]:
    facts: dict[str, object] = {
        "Order": f"{order['side']} {order['quantity']:,.0f} {order['symbol']}, {order['order_type']}",
        "Session": order["session"],
        "Price at decision, USD": float(order["decision_price"]),
        "Close of the session, USD": float(order["final_price"]),
        "Expected cost, bps": float(order["expected_cost_bps"]),
        "Cost model": str(order["cost_model_id"])[:12] or "-",
        "Model": str(order["model_id"])[:12] or "-",
        "Journal events": f"{int(order['added_seq']):,} to {int(order['seq']):,}",
    }
    if decision is None:
        return facts | {"Decision": "not recorded"}
    return facts | {
        "Reason of the decision": decision["reason"],
        "Forecast, bps": float(decision["forecast_bps"]),
        "Edge, bps": float(decision["edge_bps"]),
        "Cost floor, bps": float(decision["cost_floor_bps"]),
        "Weight wanted": f"{100.0 * float(decision['weight']):.2f} %",
    }


def _payload_words(payload: Any) -> str:
    """What an event says in units for a reader, without the names that every event of the order repeats."""
    told = []
    for name, value in payload.items():
        if name in ("client_order_id", "account", "postings", "decision_id") or value in ("", None):
            continue
        stem, _, unit = name.rpartition("_")
        if name == "expected_cost_micro":
            told.append(f"expected cost {value / 100:,.2f} bps" if abs(value) < 2**62 else "cost not known")
        elif unit == "ns":
            moment = pd.Timestamp(value, unit="ns", tz="UTC").tz_convert("America/New_York")
            told.append(f"{stem} {moment:%Y-%m-%d %H:%M:%S %Z}")
        elif unit == "micro":
            told.append(f"{stem} {value / MICRO:,.4f} USD")
        elif unit == "nano":
            told.append(f"{stem} {value / NANO:,.0f} shares")
        else:
            told.append(f"{name.replace('_', ' ')} {value}")
    return ", ".join(told)
