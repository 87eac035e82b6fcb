"""Tables of the page of execution quality: totals, groups, distribution, floors, markouts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from workbench.core.tca.intervals import MIN_DAYS
from workbench.core.tca.quantiles import quantile_intervals
from workbench.core.types import BPS, MICRO
from workbench.screens.prices import KNOWN_NS

#: Sessions after a fill at whose closes it is looked at again; 0 is the fill's own session.
HORIZONS = (0, 1, 2, 5, 10)
#: Records of which a comparison with the prediction says something at all.
LEAST_RECORDS = 8
_PARTS = ("delay", "trading", "opportunity", "fees")
_FRACTION_BPS = MICRO // BPS


def totals(total: pd.Series[Any], fills: pd.DataFrame) -> dict[str, object]:
    """The whole selection, labelled for reading."""
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


def grouped(frame: pd.DataFrame, by: str) -> pd.DataFrame:
    """One row a group of the report, with its parts and its interval."""
    table = frame[[by, "orders"]].copy()
    table["decision_value_usd"] = frame["notional"].astype(float)
    table["filled_%"] = 100.0 * frame["fill_rate"].astype(float)
    table["total_usd"] = frame["total"].astype(float)
    for name in ("total", *_PARTS):
        table[f"{name}_bps"] = frame[f"{name}_bps"].astype(float)
    table["lower_bps"] = frame["total_lower_bps"].astype(float)
    table["upper_bps"] = frame["total_upper_bps"].astype(float)
    table[by] = table[by].astype(str)
    return table


def dearest(measured: pd.DataFrame) -> pd.DataFrame:
    """The measured orders, dearest first; the names of the parts are those of `shortfall_steps`."""
    sorted_ = measured.sort_values("total", ascending=False, kind="stable")
    table = sorted_[["session", "symbol", "side"]].copy()
    table["ordered_shares"] = sorted_["quantity"].astype(float)
    table["filled_%"] = 100.0 * sorted_["fill_rate"].astype(float)
    table["total_usd"] = sorted_["total"].astype(float)
    for name in ("total", *_PARTS):
        table[f"{name}_bps"] = sorted_[f"{name}_bps"].astype(float)
    return table.rename_axis("order_id").reset_index()[[*table.columns, "order_id"]]


def notes(unmeasured: int, records: int, enough: bool) -> tuple[str, ...]:
    """What is left out of the figures, and why."""
    said = []
    if unmeasured:
        said.append(
            f"{unmeasured} order(s) are not in the figures: the close of their session is not in the bars "
            "store. Ingest it with `workbench data ingest`."
        )
    if not enough:
        said.append(
            f"Predicted and realised cost need {LEAST_RECORDS} executions with a prediction; "
            f"there are {records}. Widen the selection."
        )
    said.append("The desk records no quotes: there are no spreads, and prices after a fill are daily closes.")
    return tuple(said)


def distribution(orders: pd.DataFrame) -> pd.DataFrame:
    """Quantiles of the orders' shortfall: quantile, shortfall_bps, lower_bps, upper_bps (90 %)."""
    found = quantile_intervals(orders["total_bps"].to_numpy(dtype=np.float64), confidence=0.9)
    words = {0.05: "5 %", 0.25: "25 %", 0.5: "median", 0.75: "75 %", 0.95: "95 %"}
    return pd.DataFrame(
        {
            "quantile": [words[probability] for probability in found["probability"]],
            "shortfall_bps": found["value"],
            "lower_bps": found["lower"],
            "upper_bps": found["upper"],
        }
    )


def floors(decisions: list[dict[str, Any]]) -> pd.DataFrame:
    """Cost floor and edge over the decisions: at, floor_low_bps, floor_bps, floor_high_bps, edge_bps, traded.

    The floor is what an edge has to exceed before anything is traded; `floor_bps` is its median over the
    symbols, `edge_bps` the largest edge of the decision, `traded` the number of changes wanted.
    """
    rows = []
    for decision in decisions:
        costs = [row["cost_floor_micro"] for row in decision["rows"] if row["cost_floor_micro"] is not None]
        edges = [abs(row["edge_micro"]) for row in decision["rows"] if row["edge_micro"] is not None]
        if costs:
            ordered = np.array(costs) / _FRACTION_BPS
            edge = max(edges) / _FRACTION_BPS if edges else math.nan
            traded = sum(1 for row in decision["rows"] if row["delta_shares"])
            rows.append((decision["scheduled_ns"], *np.quantile(ordered, (0.0, 0.5, 1.0)), edge, traded))
    columns = ["at", "floor_low_bps", "floor_bps", "floor_high_bps", "edge_bps", "traded"]
    frame = pd.DataFrame(rows, columns=columns)
    frame["at"] = pd.to_datetime(frame["at"], unit="ns", utc=True)
    return frame


def markouts(desk: Any, fills: pd.DataFrame, last_session: str) -> pd.DataFrame:
    """What prices did after the fills, by side: side, sessions, markout_bps, fills.

    The move from the fill's price to the close `sessions` later, in the fill's direction, weighted by value;
    above 0 the price went our way. Prices are in the share terms of the last session.
    """
    columns = ["side", "sessions", "markout_bps", "fills"]
    if not len(fills):
        return pd.DataFrame(columns=columns)
    symbols = sorted(fills["symbol"].unique())
    span = len(desk.calendar.sessions_between(str(fills["session"].min()), last_session))
    as_of_ns = desk.calendar.session_close_ns(last_session) + KNOWN_NS
    panel, raw = (
        desk.bars.read(symbols, as_of_ns=as_of_ns, rows=span, view=view) for view in ("adjusted", "raw")
    )
    place = {int(ts): row for row, ts in enumerate(panel.ts_ns)}
    column = {symbol: at for at, symbol in enumerate(panel.symbols)}
    close_of = {session: desk.calendar.session_close_ns(session) for session in fills["session"].unique()}
    at = np.array([place.get(close_of[session], -1) for session in fills["session"]])
    of = np.array([column.get(symbol, -1) for symbol in fills["symbol"]])
    known = (at >= 0) & (of >= 0)
    terms = panel.close[at, of] / raw.close[at, of]
    price = fills["price"].to_numpy(dtype=np.float64) * terms
    value = fills["price"].to_numpy(dtype=np.float64) * fills["quantity"].to_numpy(dtype=np.float64)
    sign = np.where(fills["side"] == "buy", 1.0, -1.0)
    rows = []
    for later in HORIZONS:
        there = known & (at + later < len(panel.ts_ns))
        moved = np.where(
            there, sign * (panel.close[np.where(there, at + later, 0), of] / price - 1.0), np.nan
        )
        for side in ("buy", "sell", "all"):
            mine = there & np.isfinite(moved) & ((fills["side"] == side).to_numpy() | (side == "all"))
            if mine.any():
                mean = float(np.sum(moved[mine] * value[mine]) / np.sum(value[mine])) * BPS
                rows.append((side, later, mean, int(mine.sum())))
    return pd.DataFrame(rows, columns=columns)
