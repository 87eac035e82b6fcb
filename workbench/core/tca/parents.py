"""Parent orders as arrays: what each wanted, the group it is reported in, and why some are left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.tca.columns import MISSING_PRICE, MISSING_TIME, micros, numbers, require, signs, times_ns
from workbench.core.tca.streaming import Parents
from workbench.core.types import DAY_NS, Floats, Integers

if TYPE_CHECKING:
    import pandas as pd

HOUR_NS = 3_600 * 10**9
NOT_KNOWN = "unknown"
#: Upper edges of the size buckets: shares of the daily volume where it is known, else currency.
SIZE_OF_VOLUME = (0.001, 0.01, 0.05)
SIZE_OF_VALUE = (10_000.0, 100_000.0, 1_000_000.0)


@dataclass(frozen=True, eq=False)
class ParentTable:
    """Parent orders, one element an order, in the order of the frame.

    Attributes
    ----------
    ids : Index
    frame : DataFrame
        The orders as given.
    symbols : Index
        Distinct symbols; `parents.symbol` counts in it.
    keys : DataFrame
        One row a group: its values of `by`.
    group : int64
        Row of each order in `keys`.
    quantity, decision, arrival, final : int64
        Shares and micros; -1 = missing.
    day : int64
        UTC day number of the arrival (or decision); -1 = not told.
    reason : object
        "" or why the order is left out.
    zoned : bool or None
    """

    ids: pd.Index[Any]
    frame: pd.DataFrame
    symbols: pd.Index[Any]
    keys: pd.DataFrame
    parents: Parents
    group: Integers
    quantity: Integers
    decision: Integers
    arrival: Integers
    final: Integers
    day: Integers
    reason: Any
    zoned: bool | None


def parent_table(orders: pd.DataFrame, by: Sequence[str], *, zone: str) -> ParentTable:
    """The orders as arrays.

    Raises
    ------
    ValueError
        A column is missing, an order id occurs twice, or `by` names what the orders do not tell.
    """
    import pandas as pd

    require(orders, ("order_id", "symbol", "side", "quantity"), "orders")
    repeated = orders["order_id"][orders["order_id"].duplicated()]
    if len(repeated):
        raise ValueError(f"orders: order_id {repeated.iloc[0]!r} occurs more than once")
    decision = micros(orders, "decision_price", "orders")
    arrival, final = micros(orders, "arrival_price", "orders"), micros(orders, "final_price", "orders")
    wanted, side = numbers(orders, "quantity"), signs(orders["side"])
    reason = np.full(len(orders), "", dtype=object)
    reason[decision == MISSING_PRICE] = "order_without_decision_price"
    reason[~((wanted >= 1) & (wanted < 1e12) & (np.rint(wanted) == wanted))] = "order_not_whole_shares"
    reason[side == 0] = "order_side_unknown"
    reason[orders["symbol"].isna().to_numpy()] = "order_without_symbol"
    at_ns, zoned = _times(orders)
    arrival_ns = at_ns["arrival_at"]
    told = np.where(arrival_ns == MISSING_TIME, at_ns["decision_at"], arrival_ns)
    code, symbols = pd.factorize(orders["symbol"].astype(str))
    quantity = np.where(reason == "", np.nan_to_num(wanted), 0).astype(np.int64)
    columns = {name: _values(name, orders, told, decision, zone) for name in by}
    group, keys = _groups(columns, len(orders))
    return ParentTable(
        ids=pd.Index(orders["order_id"]),
        frame=orders,
        symbols=pd.Index(symbols),
        keys=keys,
        parents=Parents(
            symbol=code.astype(np.int64),
            side=np.where(side == 0, 1, side),
            arrival_ns=np.where(arrival_ns == MISSING_TIME, -1, arrival_ns),
        ),
        group=group.astype(np.int64),
        quantity=quantity,
        decision=decision,
        arrival=arrival,
        final=final,
        day=np.where(told == MISSING_TIME, -1, told // DAY_NS),
        reason=reason,
        zoned=zoned,
    )


def _times(orders: pd.DataFrame) -> tuple[dict[str, Integers], bool | None]:
    found: dict[str, Integers] = {}
    zones: set[bool] = set()
    for name in ("arrival_at", "decision_at"):
        source = "sent_at" if name == "arrival_at" and "sent_at" in orders.columns else name
        if source in orders.columns:
            found[name], zoned = times_ns(orders[source], f"orders.{source}")
            zones |= set() if zoned is None else {zoned}
        else:
            found[name] = np.full(len(orders), MISSING_TIME, dtype=np.int64)
    if len(zones) > 1:
        raise ValueError("mixed time zones: orders hold times with and without a zone; name the zone")
    return found, next(iter(zones), None)


def _values(name: str, orders: pd.DataFrame, told: Integers, decision: Integers, zone: str) -> Any:
    """One value an order of a way to break down."""
    import pandas as pd

    if name in orders.columns:
        held = orders[name]
        return held.astype(object).where(held.notna(), NOT_KNOWN).to_numpy(dtype=object)
    if name in ("hour", "day", "session"):
        stamps = pd.DatetimeIndex(
            np.where(told == MISSING_TIME, 0, told).view("datetime64[ns]"), tz="UTC"
        ).tz_convert(zone)
        text = (
            stamps.hour.to_numpy(dtype=object) if name == "hour" else stamps.strftime("%Y-%m-%d").to_numpy()
        )
        return np.where(told == MISSING_TIME, NOT_KNOWN, text.astype(object))
    if name in ("size", "size_bucket"):
        quantity = numbers(orders, "quantity")
        if "adv" in orders.columns:
            return _buckets(quantity / numbers(orders, "adv"), SIZE_OF_VOLUME, "{:g} of volume")
        return _buckets(quantity * decision / 1e6, SIZE_OF_VALUE, "{:,.0f}")
    source = {"volatility_regime": "volatility_bps", "liquidity_regime": "adv"}.get(name)
    if source is not None and source in orders.columns:
        values = numbers(orders, source)
        known = values[np.isfinite(values)]
        edges = np.quantile(known, [1 / 3, 2 / 3]) if len(known) else np.zeros(2)
        words = np.array(["low", "middle", "high"], dtype=object)
        return np.where(np.isfinite(values), words[np.searchsorted(edges, np.nan_to_num(values))], NOT_KNOWN)
    raise ValueError(f"by: orders do not tell {name!r}; they have {', '.join(map(str, orders.columns))}")


def _buckets(values: Floats, edges: Sequence[float], style: str) -> Any:
    words = [f"up to {style.format(edge)}" for edge in edges] + [f"above {style.format(edges[-1])}"]
    place = np.searchsorted(np.array(edges), np.nan_to_num(values))
    return np.where(np.isfinite(values), np.array(words, dtype=object)[place], NOT_KNOWN)


def _groups(columns: dict[str, Any], rows: int) -> tuple[Integers, pd.DataFrame]:
    """Number of each order's group and the groups' keys, sorted."""
    import pandas as pd

    if not columns:
        return np.zeros(rows, dtype=np.int64), pd.DataFrame(index=range(1))
    number = np.zeros(rows, dtype=np.int64)
    for values in columns.values():
        code, words = pd.factorize(values)
        place = [at for _, _, at in sorted((str(type(word)), word, at) for at, word in enumerate(words))]
        rank = np.empty(len(words), dtype=np.int64)
        rank[place] = np.arange(len(words))
        number = number * max(len(words), 1) + rank[code]
    _, first, group = np.unique(number, return_index=True, return_inverse=True)
    keys = pd.DataFrame({name: values[first] for name, values in columns.items()})
    return group.astype(np.int64), keys
