"""What a simulation returns: records as arrays of integers, frames and digests made from them."""

from __future__ import annotations

import hashlib
import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.policy.reason import Reason
from workbench.core.pretrade.codes import DenialCode
from workbench.core.simulate.arrays import FillColumn, OrderColumn, SimulatedState
from workbench.core.types import MICRO, MISSING, Bars, Integers, OrderType

if TYPE_CHECKING:
    import pandas as pd

O, F = OrderColumn, FillColumn  # noqa: E741  columns are read in every line below
#: Columns of the order record that are results, not the loop's own working room.
_ORDER_RESULT = [
    O.ROW, O.SYMBOL, O.SIDE, O.SHARES, O.TYPE, O.LIMIT, O.REFERENCE, O.EXPECTED_COST, O.TARGET, O.START,
    O.REASON, O.LEG, O.PARENT, O.DECIDED_NS,
]  # fmt: skip
_VERDICT_RESULT = [O.BITS, O.STATE, O.FILLED, O.SENT_NS]


@dataclass(frozen=True, eq=False)
class SimulationResult:
    """Orders, fills and equity of one simulation; equal inputs give equal digests.

    Attributes
    ----------
    symbols : tuple of str
    ts_ns : int64 (times,)
    order_record : int64 (orders, columns)
        Columns as `OrderColumn`; money in micros.
    fill_record : int64 (fills, columns)
        Columns as `FillColumn`.
    equity_micro, cash_micro : int64 (times,)
        At each close.
    positions : mapping of str to int
        Shares held at the end, of symbols that are not flat.
    decisions : int64 (times - 1, 9, symbols) or None
        Rows of the policy's decisions where they were kept: the fields of `Choice`, weight, forecast.
    seed : int
        Recorded; no fill is drawn at random.
    """

    symbols: tuple[str, ...]
    ts_ns: Integers = field(repr=False)
    order_record: Integers = field(repr=False)
    fill_record: Integers = field(repr=False)
    equity_micro: Integers = field(repr=False)
    cash_micro: Integers = field(repr=False)
    positions: Mapping[str, int]
    decisions: Integers | None = field(repr=False)
    fill_ns: Integers = field(repr=False)
    seed: int
    bars: Bars = field(repr=False)

    @cached_property
    def digests(self) -> Mapping[str, str]:
        """Hex sha256 of each stage: orders, verdicts, fills, equity, and decisions where they were kept."""
        named = {
            "orders": self.order_record[:, _ORDER_RESULT],
            "verdicts": self.order_record[:, _VERDICT_RESULT],
            "fills": self.fill_record,
            "equity": np.column_stack([self.equity_micro, self.cash_micro]),
        }
        if self.decisions is not None:
            named["decisions"] = self.decisions
        return {name: _sha(values, self.symbols) for name, values in named.items()}

    @cached_property
    def digest(self) -> str:
        """Hex sha256 over orders, verdicts, fills and equity; the same whether decisions were kept or not."""
        parts = [self.digests[name] for name in ("orders", "verdicts", "fills", "equity")]
        return hashlib.sha256("".join(parts).encode()).hexdigest()

    @property
    def fees_micro(self) -> int:
        """Fees paid in all, micros."""
        return int(self.fill_record[:, F.FEE].sum())

    @property
    def denied(self) -> int:
        """Orders that the pre-trade controls refused."""
        return int((self.order_record[:, O.STATE] == SimulatedState.DENIED).sum())

    @cached_property
    def equity(self) -> pd.Series[float]:
        """Equity at each close in currency, by UTC time."""
        import pandas as pd

        index = pd.DatetimeIndex(pd.to_datetime(self.ts_ns, utc=True), name="time")
        return pd.Series(self.equity_micro / MICRO, index=index, name="equity")

    @cached_property
    def orders(self) -> pd.DataFrame:
        """One row an order, denied ones included, in the columns that `wb.tca` reads, and more.

        `decision_price` and `arrival_price` are the last close before the decision, `final_price` the
        close of the bar that could fill it (or the last one before, where it did not trade).
        """
        import pandas as pd

        record = self.order_record
        names = np.array(self.symbols, dtype=object)
        final = _final_prices(self.bars, record)
        return pd.DataFrame(
            {
                "order_id": _ids(record),
                "symbol": names[record[:, O.SYMBOL]],
                "side": np.where(record[:, O.SIDE] == 1, "buy", "sell"),
                "quantity": record[:, O.SHARES],
                "order_type": [OrderType(int(kind)).word for kind in record[:, O.TYPE]],
                "limit_price": np.where(record[:, O.LIMIT] > 0, record[:, O.LIMIT] / MICRO, np.nan),
                "decision_price": record[:, O.REFERENCE] / MICRO,
                "arrival_price": record[:, O.REFERENCE] / MICRO,
                "final_price": np.where(np.isnan(final), record[:, O.REFERENCE] / MICRO, final),
                "decision_at": pd.to_datetime(record[:, O.DECIDED_NS], utc=True),
                "expected_cost_bps": _bps(record[:, O.EXPECTED_COST]),
                "reason": [Reason(int(reason)).word for reason in record[:, O.REASON]],
                "state": [SimulatedState(int(state)).name for state in record[:, O.STATE]],
                "filled_quantity": record[:, O.FILLED],
                "denial_codes": [_codes(int(bits)) for bits in record[:, O.BITS]],
                "leg": record[:, O.LEG],
            }
        )

    @cached_property
    def fills(self) -> pd.DataFrame:
        """One row a fill, in the columns that `wb.tca` reads."""
        import pandas as pd

        record = self.fill_record
        orders = self.order_record[record[:, F.ORDER]]
        names = np.array(self.symbols, dtype=object)
        return pd.DataFrame(
            {
                "execution_id": [f"sim-x{at}" for at in range(len(record))],
                "order_id": _ids(orders, record[:, F.ORDER]),
                "symbol": names[orders[:, O.SYMBOL]],
                "side": np.where(orders[:, O.SIDE] == 1, "buy", "sell"),
                "quantity": record[:, F.SHARES],
                "price": record[:, F.PRICE] / MICRO,
                "fee": record[:, F.FEE] / MICRO,
                "filled_at": pd.to_datetime(self.fill_ns, utc=True),
            }
        )

    def __repr__(self) -> str:
        return (
            f"<simulation of {len(self.symbols)} symbols x {len(self.ts_ns)} bars: "
            f"{len(self.order_record)} orders, {len(self.fill_record)} fills, "
            f"final equity {self.equity_micro[-1] / MICRO:,.2f}, digest {self.digest[:12]}>"
        )

    def _repr_html_(self) -> str:
        return html.escape(repr(self))


def _sha(values: Integers, symbols: tuple[str, ...]) -> str:
    sha = hashlib.sha256("\x1f".join(symbols).encode())
    sha.update(str(values.shape).encode())
    sha.update(np.ascontiguousarray(values, dtype="<i8").tobytes())
    return sha.hexdigest()


def _ids(orders: Integers, numbers: Integers | None = None) -> list[str]:
    numbers = np.arange(len(orders)) if numbers is None else numbers
    return [f"sim-{number}" for number in numbers.tolist()]


def _final_prices(bars: Bars, orders: Integers) -> Any:
    rows = np.minimum(orders[:, O.ROW] + 1, len(bars.ts_ns) - 1)
    traded = bars.tradable[rows, orders[:, O.SYMBOL]]
    return np.where(traded, bars.close[rows, orders[:, O.SYMBOL]], np.nan)


def _bps(fractions_micro: Integers) -> Any:
    return np.where(fractions_micro == MISSING, np.nan, fractions_micro / 100.0)


def _codes(bits: int) -> str:
    return ",".join(code.name for code in DenialCode if bits & code and code.name)
