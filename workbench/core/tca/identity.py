"""Shortfall and the books tell one story: paper profit minus shortfall is the ledger's profit, to the micro.

For each symbol of a period, with X ordered, Q filled, Pn the final price of an order and P_end the price
at the end of the period:

    ledger P&L = paper P&L at P_end - sum of shortfall - sum of side (X - Q) (P_end - Pn) + named other money

The paper account trades every order whole and at once at its decision price, and holds the opening
position. Exact decimals; amounts beyond a micro are rounded once, and that residual is booked to trading.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from workbench.core.tca.shortfall import PARTS, implementation_shortfall, in_exact_arithmetic
from workbench.core.types import MICRO

if TYPE_CHECKING:
    import pandas as pd

_SIDES = {"buy": 1, "sell": -1}


@dataclass(frozen=True)
class LedgerIdentity:
    """The identity of one period, in whole micros.

    Attributes
    ----------
    ledger_micro : int
        Change of the equity that the books show.
    paper_micro : int
        What the paper account earned.
    delay_micro, trading_micro, opportunity_micro, fees_micro : int
        Parts of the shortfall, rounded once; the rounding is in trading.
    unfilled_after_micro : int
        sum of side (X - Q) (P_end - Pn): what never was bought, after its order had ended.
    other_micro : mapping of str to int
        Dividends, interest, corrections, by name.
    rounding_micro : int
        What the one rounding moved into trading.
    """

    ledger_micro: int
    paper_micro: int
    delay_micro: int
    trading_micro: int
    opportunity_micro: int
    fees_micro: int
    unfilled_after_micro: int
    other_micro: Mapping[str, int]
    rounding_micro: int

    @property
    def shortfall_micro(self) -> int:
        """Sum of the four parts."""
        return self.delay_micro + self.trading_micro + self.opportunity_micro + self.fees_micro

    @property
    def residual_micro(self) -> int:
        """What the identity does not explain; 0 when books, orders and fills belong together."""
        explained = self.paper_micro - self.shortfall_micro - self.unfilled_after_micro
        return self.ledger_micro - explained - sum(self.other_micro.values())

    def _repr_html_(self) -> str:
        words = "to the micro" if not self.residual_micro else f"but for {self.residual_micro} micros"
        return (
            f"ledger {self.ledger_micro / MICRO:,.2f} = paper {self.paper_micro / MICRO:,.2f} - shortfall "
            f"{self.shortfall_micro / MICRO:,.2f} - unfilled {self.unfilled_after_micro / MICRO:,.2f} "
            f"<b>{words}</b>"
        )


def ledger_identity(
    orders: pd.DataFrame,
    fills: pd.DataFrame,
    *,
    split: str,
    ledger_micro: int,
    opening: Mapping[str, object],
    opening_prices: Mapping[str, object],
    closing_prices: Mapping[str, object],
    other_micro: Mapping[str, int] | None = None,
) -> LedgerIdentity:
    """The identity of a period: what the books earned against what paper would have earned.

    Parameters
    ----------
    orders, fills : DataFrame
        As in `implementation_shortfall`: every order sent in the period, every execution.
    split : {"cfa", "wagner"}
    ledger_micro : int
        Change of equity over the period, micros.
    opening : mapping of str to number
        Shares held at the start, signed.
    opening_prices, closing_prices : mapping of str to number
        Prices of the period's start and end, of every symbol that is held or ordered.
    other_micro : mapping of str to int, optional
        Dividends, interest and corrections of the period, by name.

    Raises
    ------
    ValueError
        A price is missing, or as in `implementation_shortfall`.

    Examples
    --------
    >>> import pandas as pd
    >>> import workbench as wb
    >>> orders = pd.DataFrame(
    ...     {"order_id": ["a"], "symbol": ["KO"], "side": ["buy"], "quantity": [1000],
    ...     "decision_price": [10.0],
    ...      "arrival_price": [10.02], "final_price": [10.1], "decision_at": [0], "arrival_at": [1]}
    ... )
    >>> fills = pd.DataFrame(
    ...     {"order_id": ["a"], "quantity": [1000], "price": [10.05], "fee": [0.0], "filled_at": [2]}
    ... )
    >>> found = wb.tca.ledger_identity(
    ...     orders, fills, split="cfa", ledger_micro=50_000_000, opening={}, opening_prices={"KO": 10.0},
    ...     closing_prices={"KO": 10.1},
    ... )
    >>> found.residual_micro
    0
    """
    import pandas as pd

    orders, fills = (
        _as_decimals(orders, ("quantity", "decision_price", "arrival_price", "final_price")),
        _as_decimals(fills, ("quantity", "price", "fee")),
    )
    parts = implementation_shortfall(orders, fills, split=split)
    with in_exact_arithmetic():
        paper, unfilled = Decimal(0), Decimal(0)
        for symbol, held in opening.items():
            start, end = _price(opening_prices, symbol, "opening"), _price(closing_prices, symbol, "closing")
            paper += Decimal(str(held)) * (end - start)
        rows = zip(orders.to_dict("records"), parts["filled"].tolist(), strict=True)
        for order, filled in rows:
            end, side = _price(closing_prices, order["symbol"], "closing"), _SIDES[order["side"]]
            wanted = order["quantity"]
            paper += side * wanted * (end - order["decision_price"])
            if left := wanted - Decimal(str(filled)):
                unfilled += side * left * (end - order["final_price"])
        sums = {name: sum((Decimal(str(v)) for v in parts[name]), Decimal(0)) for name in PARTS}
        whole = {name: round(value * MICRO) for name, value in sums.items()}
        paper_micro, unfilled_micro = round(paper * MICRO), round(unfilled * MICRO)
        exact = paper - sum(sums.values(), Decimal(0)) - unfilled
        rounding = paper_micro - sum(whole.values()) - unfilled_micro - round(exact * MICRO)
    assert isinstance(parts, pd.DataFrame)
    return LedgerIdentity(
        ledger_micro=ledger_micro,
        paper_micro=paper_micro,
        delay_micro=whole["delay"],
        trading_micro=whole["trading"] + rounding,
        opportunity_micro=whole["opportunity"],
        fees_micro=whole["fees"],
        unfilled_after_micro=unfilled_micro,
        other_micro=dict(other_micro or {}),
        rounding_micro=rounding,
    )


def _as_decimals(frame: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    """The columns as exact decimals of their shortest spelling; a missing value stays missing."""
    changed: dict[str, Any] = {}
    for name in columns:
        if name in frame.columns:
            values = [
                value if value is None or value != value else Decimal(str(value)) for value in frame[name]
            ]
            changed[name] = values
    return frame.assign(**changed) if len(frame) else frame


def _price(prices: Mapping[str, object], symbol: str, when: str) -> Decimal:
    if symbol not in prices:
        raise ValueError(f"no {when} price for {symbol}")
    return Decimal(str(prices[symbol]))
