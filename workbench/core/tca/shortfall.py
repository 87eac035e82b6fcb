"""Transaction cost analysis of own orders, in exact decimal arithmetic.

Source: A. Perold, "The Implementation Shortfall: Paper versus Reality", Journal of Portfolio Management
14(3), 1988. Splits: "cfa" as in the CFA Program's text on trade evaluation (delay on what was filled,
opportunity from the decision); "wagner" after W. Wagner and M. Edwards, "Best Execution", Financial
Analysts Journal 49(1), 1993 (delay on what was ordered, opportunity from the arrival).
"""

from __future__ import annotations

import contextlib
import decimal
import numbers
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from workbench.core.tca.columns import require
from workbench.core.types import BPS

Exact = TypeVar("Exact", int, Decimal)
PARTS = ("delay", "trading", "opportunity", "fees")
SPLITS = ("cfa", "wagner")
_SIGNS = {"buy": 1, "sell": -1}
_ORDER_MONEY = ("quantity", "decision_price", "arrival_price", "final_price")
_FILL_MONEY = ("quantity", "price", "fee")
# Sums and products are exact: should a digit ever be lost, this raises instead of rounding.
_EXACT = decimal.Context(prec=400, traps=[decimal.Inexact, decimal.InvalidOperation, decimal.Overflow])
_RATIO = decimal.Context(prec=34)


def implementation_shortfall(orders: pd.DataFrame, fills: pd.DataFrame, *, split: str) -> pd.DataFrame:
    """Paper minus real profit of each order, split into parts that sum to the total exactly.

    With X ordered, Q filled at prices p with sizes s, Pd decision, P0 arrival, Pn final price:

    * total = side * (sum s p - Q Pd) + side * (X - Q) (Pn - Pd) + fees
    * "cfa": delay = side * Q (P0 - Pd); opportunity = side * (X - Q) (Pn - Pd)
    * "wagner": delay = side * X (P0 - Pd); opportunity = side * (X - Q) (Pn - P0)
    * both: trading = side * (sum s p - Q P0)

    Parameters
    ----------
    orders : DataFrame
        Columns order_id, symbol, side ("buy" or "sell"), quantity (shares, > 0), decision_price,
        arrival_price, final_price (currency). A price may be missing only where it is multiplied by 0:
        the final price of an order that was filled completely, the arrival price of a "cfa" order
        without fills.
    fills : DataFrame
        Columns order_id, quantity (shares, > 0), price, fee (currency; a cost is positive). With a
        column execution_id, each may occur once.
    split : {"cfa", "wagner"}
        No default: the two answer different questions.

    Returns
    -------
    DataFrame
        Index order_id in the order of `orders`. Columns symbol, side, quantity, filled, notional
        (quantity x decision price), then delay, trading, opportunity, fees, total (currency; a cost is
        positive, so a negative shortfall is a gain), and the same with _bps of notional. Money is Decimal
        when any input is Decimal, int when all are whole numbers, else the float nearest to the
        exact value (a float input means its shortest decimal spelling).

    Raises
    ------
    ValueError
        Unknown split or side, a missing column or number, a fill of no order, an overfill, a repeated
        order or execution id. The message names the row.

    Examples
    --------
    >>> import pandas as pd
    >>> orders = pd.DataFrame({"order_id": ["a"], "symbol": ["KO"], "side": ["buy"], "quantity": [1000],
    ...     "decision_price": [10.00], "arrival_price": [10.05], "final_price": [10.08]})
    >>> fills = pd.DataFrame({"order_id": ["a"], "quantity": [700], "price": [10.07], "fee": [14.0]})
    >>> implementation_shortfall(orders, fills, split="cfa")[list(PARTS)].iloc[0].tolist()
    [35.0, 14.0, 24.0, 14.0]
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, not {split!r}")
    require(orders, ("order_id", "symbol", "side", *_ORDER_MONEY), "orders")
    require(fills, ("order_id", *_FILL_MONEY), "fills")
    _unique(orders["order_id"], "orders", "order_id")
    if "execution_id" in fills.columns:
        _unique(fills["execution_id"].dropna(), "fills", "execution_id")
    executions = _executions(fills, set(orders["order_id"]))
    make = _maker([orders[name] for name in _ORDER_MONEY] + [fills[name] for name in _FILL_MONEY])
    columns = ("order_id", "symbol", "side", *_ORDER_MONEY)
    rows = []
    for values in zip(*(orders[name].tolist() for name in columns), strict=True):
        row = dict(zip(columns, values, strict=True))
        rows.append(_order_row(row, executions.get(row["order_id"], []), split, make))
    money = ("quantity", "filled", "notional", *PARTS, "total")
    names = ("symbol", "side", *money, *(f"{part}_bps" for part in (*PARTS, "total")))
    frame = pd.DataFrame(rows, index=pd.Index(orders["order_id"], name="order_id"), columns=list(names))
    if not len(frame):
        return frame.astype({name: np.float64 for name in names[2:]})
    return frame


def total_cost(
    side: Exact, ordered: Exact, filled: Exact, paid: Exact, decision: Exact, final: Exact, fees: Exact
) -> Exact:
    """Paper minus real profit of one order, exact where its parts are: all int (micros), or all Decimal.

    Parameters
    ----------
    side : int or Decimal
        1 buy, -1 sell.
    ordered, filled : int or Decimal
        Shares.
    paid, fees : int or Decimal
        Sum of size x price, and of the fees, of the fills.
    decision, final : int or Decimal
        Prices; the final one values what was not filled.
    """
    return side * (paid - filled * decision) + side * (ordered - filled) * (final - decision) + fees


def in_exact_arithmetic() -> contextlib.AbstractContextManager[decimal.Context]:
    """A block in which sums and products of decimals are exact; a lost digit raises."""
    return decimal.localcontext(_EXACT)


def _order_row(
    row: dict[str, Any], executions: list[tuple[Decimal, Decimal, Decimal]], split: str, make: Any
) -> dict[str, Any]:
    where = f"order {row['order_id']!r}"
    if row["side"] not in _SIGNS:
        raise ValueError(f"{where}: side must be 'buy' or 'sell', not {row['side']!r}")
    side, zero = Decimal(_SIGNS[row["side"]]), Decimal(0)
    with in_exact_arithmetic():
        ordered = _positive(row["quantity"], where, "quantity")
        decision = _positive(row["decision_price"], where, "decision_price")
        filled = sum((quantity for quantity, _, _ in executions), zero)
        if filled > ordered:
            raise ValueError(f"{where}: filled {filled} of {ordered}")
        unfilled = ordered - filled
        late = filled if split == "cfa" else ordered
        arrival = _positive(row["arrival_price"], where, "arrival_price") if late else decision
        final = _positive(row["final_price"], where, "final_price") if unfilled else arrival
        paid = sum((quantity * price for quantity, price, _ in executions), zero)
        fees = sum((fee for _, _, fee in executions), zero)
        parts = {
            "delay": side * late * (arrival - decision),
            "trading": side * (paid - filled * arrival),
            "opportunity": side * unfilled * (final - (decision if split == "cfa" else arrival)),
            "fees": fees,
        }
        total = total_cost(side, ordered, filled, paid, decision, final, fees)
        if sum(parts.values(), zero) != total:  # an identity of the definitions, checked on every row
            raise ArithmeticError(f"{where}: parts {parts} do not sum to {total}")
        notional = ordered * decision
    amounts = {**parts, "total": total}
    result = {"symbol": row["symbol"], "side": row["side"]}
    result |= {name: make(value) for name, value in
               (("quantity", ordered), ("filled", filled), ("notional", notional))}  # fmt: skip
    result |= {name: make(value) for name, value in amounts.items()}
    result |= {f"{name}_bps": _bps(value, notional, make) for name, value in amounts.items()}
    return result


def _executions(
    fills: pd.DataFrame, order_ids: set[Any]
) -> dict[Any, list[tuple[Decimal, Decimal, Decimal]]]:
    found: dict[Any, list[tuple[Decimal, Decimal, Decimal]]] = {}
    columns = (fills[name].tolist() for name in ("order_id", *_FILL_MONEY))
    for number, (order_id, quantity, price, fee) in enumerate(zip(*columns, strict=True)):
        where = f"fill {number} of order {order_id!r}"
        if order_id not in order_ids:
            raise ValueError(f"{where}: there is no such order")
        execution = (
            _positive(quantity, where, "quantity"),
            _positive(price, where, "price"),
            _decimal(fee, where, "fee"),
        )
        found.setdefault(order_id, []).append(execution)
    return found


def _decimal(value: Any, where: str, name: str) -> Decimal:
    """The exact decimal that a number spells; ValueError when it is missing, infinite or no number."""
    if isinstance(value, Decimal):
        exact = value
    elif isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ValueError(f"{where}: {name} is missing or not a number: {value!r}")
    else:
        exact = Decimal(int(value)) if isinstance(value, numbers.Integral) else Decimal(str(value))
    if not exact.is_finite():
        raise ValueError(f"{where}: {name} is missing or not finite: {value!r}")
    return exact


def _positive(value: Any, where: str, name: str) -> Decimal:
    exact = _decimal(value, where, name)
    if exact <= 0:
        raise ValueError(f"{where}: {name} must be greater than 0, not {value!r}")
    return exact


def _maker(columns: Iterable[pd.Series[Any]]) -> Any:
    """How amounts leave: Decimal, int or float, whichever the inputs are made of."""
    kinds = [column for column in columns if len(column)]
    if any(isinstance(value, Decimal) for column in kinds for value in column.tolist()):
        return Decimal
    return int if kinds and all(column.dtype.kind in "iu" for column in kinds) else float


def _bps(value: Decimal, notional: Decimal, make: Any) -> Any:
    ratio = _RATIO.divide(_RATIO.multiply(value, Decimal(BPS)), notional)
    return ratio if make is Decimal else float(ratio)


def _unique(column: pd.Series[Any], name: str, what: str) -> None:
    repeated = column[column.duplicated()]
    if len(repeated):
        raise ValueError(f"{name}: {what} {repeated.iloc[0]!r} occurs more than once")
