"""The whole story of one order: why it was wanted, what it met, what it cost, and every record of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from workbench.core.tca.tables import shortfall_steps
from workbench.core.types import BPS, MICRO, NANO
from workbench.screens.prices import fills_until, known_prices

_ORDER_EVENTS = ("order.intended", "order.denied", "order.changed", "order.adjusted", "fill.booked")


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
    benchmarks : DataFrame
        Prices to compare with: benchmark, price_usd, cost_bps of the executions against it, at.
    events : DataFrame
        Its journal rows: seq, recorded_at, what, text.
    """

    facts: dict[str, object]
    steps: pd.DataFrame | None
    prices: pd.DataFrame
    fills: pd.DataFrame
    benchmarks: pd.DataFrame
    events: pd.DataFrame


def story_of(desk: Any, order: pd.Series[Any], measured: pd.DataFrame, fills: pd.DataFrame) -> Story:
    """The story of an order.

    Parameters
    ----------
    order : Series
        Its row of `ExecutionRecords.orders`.
    measured : DataFrame
        Orders whose shortfall is known, with its parts.
    fills : DataFrame
        Executions of the account.
    """
    session, symbol, order_id = str(order["session"]), str(order["symbol"]), str(order["order_id"])
    decided = desk.views.decisions(session)
    mine = decided[(decided["symbol"] == symbol) & (decided["scheduled_at"] == order["decision_at"])]
    at = [place for place, one in enumerate(measured["order_id"]) if one == order_id]
    prices = known_prices(desk, session, symbol)
    own = fills[fills["order_id"] == order_id]
    return Story(
        facts=_order_facts(order, mine.iloc[0] if len(mine) else None),
        steps=shortfall_steps(measured, at[0]) if at else None,
        prices=prices,
        fills=fills_until(desk, session, symbol),
        benchmarks=_benchmarks(order, own, prices),
        events=_events(desk, order_id, int(order["added_seq"])),
    )


def _benchmarks(order: pd.Series[Any], own: pd.DataFrame, prices: pd.DataFrame) -> pd.DataFrame:
    """Prices that the executions are measured against; a positive cost is dearer than the benchmark."""
    found = {"decision": float(order["decision_price"])}
    if len(prices):
        bar = prices.iloc[-1]
        found |= {
            "open of the session": float(bar["open"]),
            "middle of high and low": (float(bar["high"]) + float(bar["low"])) / 2.0,
            "close of the session": float(bar["close"]),
        }
    shares = float(own["quantity"].sum())
    paid = float((own["quantity"] * own["price"]).sum()) / shares if shares else float("nan")
    found["own executions"] = paid
    side = 1.0 if order["side"] == "buy" else -1.0
    frame = pd.DataFrame({"benchmark": list(found), "price_usd": list(found.values())})
    frame["cost_bps"] = side * (paid - frame["price_usd"]) / frame["price_usd"] * BPS
    if len(prices):
        frame["at"] = prices["at"].iloc[-1]
    return frame


def _events(desk: Any, order_id: str, first_seq: int) -> pd.DataFrame:
    changes = desk.journal.events(kinds=_ORDER_EVENTS, after_seq=first_seq - 1)
    rows = [
        (event.seq, event.at_ns, event.kind, _payload_words(event.payload))
        for event in changes
        if event.payload.get("client_order_id") == order_id
    ]
    frame = pd.DataFrame(rows, columns=["seq", "recorded_at", "what", "text"])
    frame["recorded_at"] = pd.to_datetime(frame["recorded_at"], unit="ns", utc=True)
    return frame


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
