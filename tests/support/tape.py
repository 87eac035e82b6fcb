"""A small market with parent orders, fills and quotes, and the slow obvious way to measure it."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pandas as pd

DAY_NS = 86_400 * 10**9
SECOND = 10**9
OPEN_NS = 1_767_623_400 * SECOND  # 2026-01-05 14:30 UTC


def market(
    seed: int, *, days: int = 2, parents: int = 30, symbols: int = 4, per_day: int = 400
) -> dict[str, Any]:
    """Frames orders, fills, quotes in time order; prices on a grid of a cent, times on one of 0.1 s."""
    rng = np.random.Generator(np.random.Philox(seed))
    names = [f"S{n}" for n in range(symbols)]
    quotes = []
    for day in range(days):
        for name in names:
            at = OPEN_NS + day * DAY_NS + np.sort(rng.integers(0, 36_000, per_day)) * SECOND // 10
            middle = 5_000 + np.cumsum(rng.integers(-3, 4, per_day))
            half = rng.integers(1, 4, per_day)
            quotes.append(
                pd.DataFrame(
                    {"symbol": name, "ts": at, "bid": (middle - half) / 100, "ask": (middle + half) / 100}
                )
            )
    book = pd.concat(quotes).sort_values("ts", kind="stable", ignore_index=True)
    orders, fills = [], []
    for number in range(parents):
        day, name = int(rng.integers(0, days)), names[int(rng.integers(0, symbols))]
        arrival = OPEN_NS + day * DAY_NS + int(rng.integers(100, 30_000)) * SECOND // 10
        wanted = int(rng.integers(1, 20)) * 100
        prices = np.round(50 + rng.normal(0, 0.3, 3), 2)
        orders.append(
            {
                "order_id": 1_000 + number, "symbol": name, "side": "buy" if rng.integers(0, 2) else "sell",
                "quantity": wanted, "decision_price": prices[0], "arrival_price": prices[1],
                "final_price": prices[2], "arrival_at": arrival, "strategy": "a" if number % 3 else "b",
                "adv": 1e5, "seq": number,
            }
        )  # fmt: skip
        left = wanted
        while left > 0 and rng.uniform() < 0.8:
            size = int(min(left, rng.integers(1, 6) * 100))
            left -= size
            fills.append(
                {
                    "order_id": 1_000 + number, "quantity": size,
                    "price": float(np.round(50 + rng.normal(0, 0.3), 2)),
                    "fee": float(rng.integers(0, 300) / 100),
                    "filled_at": arrival + int(rng.integers(0, 6_000)) * SECOND // 10,
                }
            )  # fmt: skip
    done = pd.DataFrame(fills).sort_values("filled_at", kind="stable", ignore_index=True)
    done["execution_id"] = [f"x{n}" for n in range(len(done))]
    return {"orders": pd.DataFrame(orders), "fills": done, "quotes": book}


def standing(quotes: pd.DataFrame, symbol: str, at: int, max_age: int, *, strictly: bool) -> Any:
    """The last valid quote of that symbol before (or at) an instant, not too old, of the same UTC date."""
    rows = quotes[(quotes["symbol"] == symbol) & (quotes["bid"] > 0) & (quotes["ask"] >= quotes["bid"])]
    rows = rows[rows["ts"] < at] if strictly else rows[rows["ts"] <= at]
    if not len(rows):
        return None
    last = rows.iloc[-1]
    return last if at - last["ts"] <= max_age and at // DAY_NS == last["ts"] // DAY_NS else None


def measured(
    tables: dict[str, Any], by: list[str], horizons: list[int], max_age: int
) -> dict[Any, dict[str, int]]:
    """Half micros of each group's spread measures and markouts, row after row."""
    orders = tables["orders"].set_index("order_id")
    sums: dict[Any, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for fill in tables["fills"].to_dict("records"):
        if fill["order_id"] not in orders.index:
            continue
        order = orders.loc[fill["order_id"]]
        group = tuple(order[name] for name in by)
        side = 1 if order["side"] == "buy" else -1
        quantity, price = int(fill["quantity"]), round(fill["price"] * 1e6)
        at, found = int(fill["filled_at"]), sums[group]
        before = standing(tables["quotes"], order["symbol"], int(order["arrival_at"]), max_age, strictly=True)
        if before is not None:
            bid, ask = round(before["bid"] * 1e6), round(before["ask"] * 1e6)
            effective = 2 * side * (2 * price - bid - ask) * quantity
            found["effective"] += effective
            found["price_improvement"] += 2 * side * ((ask if side == 1 else bid) - price) * quantity
        for horizon in horizons:
            after = None
            if (at + horizon) // DAY_NS == at // DAY_NS:
                after = standing(tables["quotes"], order["symbol"], at + horizon, max_age, strictly=False)
            if after is None:
                found["unresolved"] += 1
                continue
            doubled = round(after["bid"] * 1e6) + round(after["ask"] * 1e6)
            found[f"markout_{horizon}"] += side * (doubled - 2 * price) * quantity
            if horizon == horizons[-1] and before is not None:
                found["effective_matched"] += effective
                found["realized"] += 2 * side * (2 * price - doubled) * quantity
    return sums
