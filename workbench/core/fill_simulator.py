"""Fills drawn from a calibrated model, order by order, under the very constraints of bar fills.

Whether, when and how much a bar may fill is `core.fills.fill_bar`, without its own spread and impact; the
calibrated model says how late, how much of it and how far from the bar's price. Each draw comes from a key
(seed, order id, event), so neither the order of the rows nor how they are shared out among processes
changes a fill.
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtri

from workbench.core.fees import FeeSchedule
from workbench.core.fill_model import FillModel, normal_probability, quantile_of
from workbench.core.fills import FillParams, FillValues, fill_bar
from workbench.core.types import MICRO, NANO, OrderType, Side, TimeInForce

if TYPE_CHECKING:
    import pandas as pd

_ORDERS = ("order_id", "session", "symbol", "side", "order_type", "quantity", "sent_at")
_BARS = ("symbol", "at", "open", "high", "low", "close", "volume")
_FILLS = ("order_id", "execution_id", "symbol", "side", "quantity", "price", "fee", "filled_at", "cost_bps")
_SIDES = {"buy": 1, "sell": -1}


def keyed_uniforms(seed: int, name: str, event: object) -> tuple[float, float, float, float]:
    """Four uniform numbers in (0, 1) that only the key decides.

    Parameters
    ----------
    seed : int
    name : str
        Such as an order id.
    event : object
        What is drawn for; its text is part of the key.

    Examples
    --------
    >>> keyed_uniforms(1, "a", 0) == keyed_uniforms(1, "a", 0) != keyed_uniforms(1, "b", 0)
    True
    """
    key = f"{int(seed)}\x1f{len(name)}\x1f{name}\x1f{event}".encode()
    digest = hashlib.sha256(key).digest()
    words = (int.from_bytes(digest[at : at + 8], "big") >> 11 for at in range(0, 32, 8))
    one, two, three, four = ((word + 0.5) / 2.0**53 for word in words)
    return one, two, three, four


def simulate_fills(
    orders: pd.DataFrame, bars: pd.DataFrame, *, model: FillModel, seed: int, fees: FeeSchedule | None = None
) -> pd.DataFrame:
    """Fills of orders that met these bars, drawn from a calibrated model; in the order of the orders.

    Parameters
    ----------
    orders : DataFrame
        order_id, session, symbol, side ("buy" | "sell"), order_type and time_in_force (the words of the
        OMS; "day" when there is no such column), quantity (whole shares), sent_at (time with a zone), adv,
        volatility_bps, half_spread_bps; limit_price and stop_price where the type has them.
    bars : DataFrame
        symbol, at (begin of the bar, time with a zone), open, high, low, close, volume.
    model : FillModel
    seed : int
    fees : FeeSchedule, optional
        The model's own when not given.

    Returns
    -------
    DataFrame
        order_id, execution_id, symbol, side, quantity, price, fee, filled_at, cost_bps (of the draw). A
        bar that began before the order could arrive fills nothing; one order gets at most one fill in one
        bar, at most the model's participation of its volume, never beyond its limit.

    Raises
    ------
    ValueError
        A column is missing, an order id occurs twice, a word is unknown, or the model is "missing".

    Notes
    -----
    The day's shared part of the deviation is drawn with the key (seed, session), so orders of one session
    err together; the marginal law of each stays the recorded one (a Gaussian copula).

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> import workbench as wb
    >>> days = np.repeat(pd.bdate_range("2026-01-05", periods=20).strftime("%Y-%m-%d"), 10)
    >>> records = pd.DataFrame({"session": days, "symbol": "KO", "order_type": "market", "quantity": 100,
    ...     "filled": 100, "adv": 1e6, "volatility_bps": 150.0, "half_spread_bps": 2.0,
    ...     "cost_bps": np.tile(np.arange(10.0), 20), "delay_s": 0.2})
    >>> model = wb.costs.fit_fill_model(records, as_of="2026-02-02", min_orders=100)
    >>> sent = pd.Timestamp("2026-02-03T15:00Z")
    >>> bar = {"open": 50.0, "high": 50.2, "low": 49.9, "close": 50.1, "volume": 1e4}
    >>> bars = pd.DataFrame([{"symbol": "KO", "at": sent + pd.Timedelta(minutes=n), **bar} for n in (0,
    ...     1, 2)])
    >>> orders = pd.DataFrame([{"order_id": "a", "session": "2026-02-03", "symbol": "KO", "side": "buy",
    ...     "order_type": "market", "quantity": 100, "sent_at": sent, "adv": 1e6, "volatility_bps": 150.0,
    ...     "half_spread_bps": 2.0}])
    >>> wb.costs.simulate_fills(orders, bars, model=model, seed=1)["quantity"].sum() <= 100
    np.True_
    """
    import pandas as pd

    for frame, wanted, name in ((orders, _ORDERS, "orders"), (bars, _BARS, "bars")):
        if missing := [column for column in wanted if column not in frame.columns]:
            raise ValueError(f"{name} has no column {', '.join(missing)}")
    if orders["order_id"].duplicated().any():
        raise ValueError("orders: an order_id occurs more than once")
    if not model.enough:
        raise ValueError("the fill model has too few records: its status is missing")
    means, scales = model.expected_bps(orders)
    schedule = model.costs.fees if fees is None else fees
    held = {str(symbol): _bar_rows(part) for symbol, part in bars.groupby("symbol")}
    values = FillParams(
        participation=min(max(model.participation, 1e-6), 1.0), impact_coefficient=0.0,
        half_spread_floor_bps=0.0, half_spread_range_fraction=0.0,
    ).values()  # fmt: skip
    rows: list[dict[str, Any]] = []
    for at, order in enumerate(orders.to_dict("records")):
        one = _Order(order, float(means[at]), float(scales[at]), seed)
        rows += one.fills(held.get(str(order["symbol"]), []), model, values, schedule)
    return pd.DataFrame(rows, columns=list(_FILLS))


class _Order:
    """One order as it meets bars."""

    def __init__(self, row: dict[Any, Any], mean: float, scale: float, seed: int) -> None:
        self._row, self._mean, self._scale, self._seed = row, mean, scale, seed
        self.identity = str(row["order_id"])
        if row["side"] not in _SIDES:
            raise ValueError(f"order {self.identity}: side {row['side']!r} is neither buy nor sell")
        self._side = _SIDES[row["side"]]
        self._type = OrderType.parse(str(row["order_type"]))
        self._life = TimeInForce.parse(str(row.get("time_in_force", "day")))
        self._limit_micro, self._stop_micro = (_micro(row.get(n)) for n in ("limit_price", "stop_price"))
        self._shares = int(row["quantity"]) if float(row["quantity"]) >= 1 else 0

    def fills(
        self, bars: list[tuple[Any, ...]], model: FillModel, values: FillValues, fees: FeeSchedule
    ) -> list[dict[str, Any]]:
        """What the bars give the order, oldest first."""
        import pandas as pd

        late, partial, part, _ = keyed_uniforms(self._seed, self.identity, "outcome")
        delay_ns = round(float(quantile_of(model.delays_s, np.array(late))) * NANO)
        arrived_ns = int(pd.Timestamp(self._row["sent_at"]).as_unit("ns").value) + delay_ns
        leaves = self._fillable(model, partial, part)
        found: list[dict[str, Any]] = []
        immediate = self._life in (TimeInForce.IOC, TimeInForce.FOK)
        whole = self._life is not TimeInForce.FOK or leaves == self._shares
        if not (leaves and whole) or math.isnan(self._mean):
            return []
        for start_ns, opened, high, low, close, volume in bars:
            if start_ns < arrived_ns:
                continue
            shares, price_micro = fill_bar(
                int(self._type), self._side, leaves, self._limit_micro, opened, high, low, close, volume,
                0.0, 0.0, values, self._stop_micro, int(self._life),
            )  # fmt: skip
            if shares > 0:
                cost_bps = self._drawn_bps(model, start_ns)
                paid, resting = self._priced(price_micro, cost_bps)
                found.append(
                    {
                        **self._row, "execution_id": f"{self.identity}/{start_ns}", "quantity": int(shares),
                        "price": paid / MICRO, "cost_bps": 0.0 if resting else cost_bps,
                        "fee": fees.fee_micro(Side(self._side), int(shares), paid) / MICRO,
                        "filled_at": pd.Timestamp(start_ns, tz="UTC"),
                    }
                )  # fmt: skip
                leaves -= shares
            if immediate or leaves == 0:
                break
        return found

    def _fillable(self, model: FillModel, partial: float, part: float) -> int:
        """Shares that the market will give at most: all, or the drawn part of them."""
        outcome = model.outcome_of(self._type.word)
        if partial >= outcome.partial_rate:
            return self._shares
        return int(self._shares * float(quantile_of(outcome.fractions, np.array(part))))

    def _drawn_bps(self, model: FillModel, event: int) -> float:
        """Expected cost and a deviation from it; the day's part is the same for all orders of a session."""
        own = float(ndtri(keyed_uniforms(self._seed, self.identity, event)[0]))
        day = float(ndtri(keyed_uniforms(self._seed, str(self._row["session"]), "day")[0]))
        score = math.sqrt(model.day_share) * day + math.sqrt(1.0 - model.day_share) * own
        deviation = float(quantile_of(model.deviations, np.array(normal_probability(score))))
        return round(self._mean + self._scale * deviation, 2)

    def _priced(self, price_micro: int, cost_bps: float) -> tuple[int, bool]:
        """Price paid in micros, never beyond the limit, and whether the order rested at it."""
        limit = self._limit_micro
        if limit and price_micro == limit:
            return price_micro, True
        paid = max(price_micro + self._side * round(price_micro * cost_bps / 1e4), 1)
        if limit and self._side * (paid - limit) > 0:
            paid = limit
        return paid, False


def _bar_rows(part: pd.DataFrame) -> list[tuple[Any, ...]]:
    """Bars of one symbol, oldest first, with their begin in UTC nanoseconds."""
    import pandas as pd

    start = pd.to_datetime(part["at"], utc=True).dt.as_unit("ns").astype("int64").to_numpy()
    columns = [part[name].to_numpy(np.float64) for name in ("open", "high", "low", "close", "volume")]
    rows = zip(start.tolist(), *(column.tolist() for column in columns), strict=True)
    return sorted(rows, key=lambda row: row[0])


def _micro(price: object) -> int:
    number = float(price) if isinstance(price, (int, float)) else math.nan
    return round(number * MICRO) if 0.0 < number < 1e9 else 0
