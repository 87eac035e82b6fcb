"""Fills of a shadow's orders on its session's bar, by the arithmetic of the embedded venue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.core.fees import FeeRates, fee_micro
from workbench.core.fills import FillParams
from workbench.core.types import MICRO, Bars, OrderType
from workbench.core.venue.kernels import affordable_shares, meets_open, rests_in_range, take
from workbench.services.shadow_records import order_mark


@dataclass(frozen=True)
class Filling:
    """How orders are filled and charged.

    Attributes
    ----------
    params : FillParams
    rates : tuple of 4 int
        Of the fee schedule.
    """

    params: FillParams
    rates: FeeRates


def fill_decision(
    decided: Mapping[str, Any], bars: Bars, at: int, open_ns: int, filling: Filling
) -> dict[str, Any]:
    """Fills, books and marks after the session of bar `at`; sells first, as they were decided."""
    before_open = decided["scheduled_ns"] < open_ns
    cash, positions, fills = decided["cash_micro"], dict(decided["positions"]), []
    for row in decided["rows"]:
        order = row["order"]
        if order is None or order["denied"]:
            continue
        column, side, left = bars.symbols.index(row["symbol"]), order["side"], order["shares"]
        for price, from_row, at_ns in _chances(bars, at, column, order, before_open, open_ns):
            got, paid = _taken(order, left, price, bars, from_row, column, filling.params)
            got = int(affordable_shares(side, got, paid, cash, filling.rates)) if got else 0
            if got <= 0:
                continue
            fee = int(fee_micro(side, got, paid, filling.rates))
            cash -= side * got * paid + fee
            positions[row["symbol"]] = positions.get(row["symbol"], 0) + side * got
            left -= got
            fills.append({
                "symbol": row["symbol"], "side": side, "shares": got, "price_micro": paid,
                "fee_micro": fee, "at_ns": at_ns, "reference_micro": order["reference_micro"],
                "expected_cost_micro": order["expected_cost_micro"],
            })  # fmt: skip
    marks = {
        symbol: round(float(bars.close[at, j]) * MICRO) for j, symbol in enumerate(bars.symbols)
        if bars.tradable[at, j] and bars.close[at, j] > 0.0
    }  # fmt: skip
    held = {symbol: shares for symbol, shares in sorted(positions.items()) if shares}
    known = {**{s: order_mark(decided, s) for s in held}, **marks}
    equity = cash + sum(shares * known[symbol] for symbol, shares in held.items())
    return {"fills": fills, "marks": known, "cash_micro": cash, "positions": held, "equity_micro": equity}


def _chances(
    bars: Bars, at: int, column: int, order: Mapping[str, Any], before_open: bool, open_ns: int
) -> list[tuple[int, int, int]]:
    """(price, row of the bar whose range and volume count, time) of each chance to be filled.

    As at the embedded venue: the opening auction is judged by the bar before, which is all that was
    known then; a limit order rests through the session's bar, the rest meets its close.
    """
    chances = []
    kind = int(order["order_type"])
    tradable = bool(bars.tradable[at, column])
    if tradable and before_open and meets_open(kind):
        chances.append((round(float(bars.open[at, column]) * MICRO), at - 1, open_ns))
    if tradable and kind != OrderType.MARKET_ON_OPEN:
        rests = before_open and rests_in_range(kind)
        close = round(float(bars.close[at, column]) * MICRO)
        chances.append((0 if rests else close, at, int(bars.ts_ns[at])))
    return chances


def _taken(
    order: Mapping[str, Any], left: int, price: int, bars: Bars, row: int, column: int, params: FillParams
) -> tuple[int, int]:
    high, low = float(bars.high[row, column]), float(bars.low[row, column])
    if left <= 0 or not 0.0 < low <= high:
        return 0, 0
    got, paid = take(
        order["side"], left, order["limit_micro"], price, high, low, float(bars.volume[row, column]), 0,
        params.values(),
    )  # fmt: skip
    return int(got), int(paid)
