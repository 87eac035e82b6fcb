"""The report of one pass: exact money by order and by group, rates, intervals over days, named outliers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.tca.intervals import MIN_DAYS, ratio_interval
from workbench.core.tca.parents import ParentTable
from workbench.core.tca.shortfall import PARTS
from workbench.core.tca.streaming import MONEY, Stream
from workbench.core.types import BPS, MICRO, NANO, Floats, Integers

if TYPE_CHECKING:
    import pandas as pd

_SEED = 20_260_105  #: intervals are drawn the same way every time
OUTLIERS = 20
_FAR_MADS = 8.0
_JOURNAL = ("seq", "added_seq", "client_order_id")


@dataclass(frozen=True, eq=False)
class TcaReport:
    """What a set of parent orders cost.

    Attributes
    ----------
    frame : DataFrame
        One row a group. Counts and shares; shortfall parts and spread measures in currency and, with
        _bps, relative to the decision value (shortfall) or the mid's value (spreads); markouts and
        reversion in bps of the filled value; total_lower_bps and total_upper_bps, the 90 % interval over
        resampled days (NaN under 10 days).
    micros : DataFrame
        The same groups, money as exact whole micros: delay + trading + opportunity + fees = total; and
        half micros of the spread measures: effective_matched = realized + impact.
    orders : DataFrame
        One row an order that could be measured, index order_id.
    outliers : DataFrame
        Orders whose shortfall lies beyond 8 median deviations, the farthest first, with the columns of the
        orders that lead to their journal rows.
    excluded : dict of str to int
        Rows of orders, fills and quotes that could not be used, by reason.
    split : str
    notes : tuple of str
        What was done to the tables, such as sorting.
    """

    frame: pd.DataFrame
    micros: pd.DataFrame
    orders: pd.DataFrame
    outliers: pd.DataFrame
    excluded: dict[str, int]
    split: str
    notes: tuple[str, ...]

    @property
    def total_bps(self) -> float:
        """Shortfall of all orders in bps of their decision value."""
        notional = float(self.frame["notional"].sum())
        return float(self.frame["total"].sum()) / notional * BPS if notional else float("nan")

    def _repr_html_(self) -> str:
        lost = ", ".join(f"{count:,} {reason}" for reason, count in self.excluded.items()) or "none"
        return (
            f"shortfall <b>{self.total_bps:.2f}</b> bps over {len(self.orders):,} orders "
            f"({self.split} split); left out: {lost}"
        )


def summarise(
    table: ParentTable, stream: Stream, *, split: str, labels: tuple[str, ...], notes: tuple[str, ...]
) -> TcaReport:
    """The report of a finished pass.

    Raises
    ------
    ArithmeticError
        The parts of an order do not sum to its shortfall: a defect, not a fact about data.
    """
    reason = _reasons(table, stream.own)
    kept = np.flatnonzero(reason == "")
    parts = _parts(table, stream.own, kept, split)
    orders = _order_frame(table, stream, kept, parts)
    groups = len(table.keys)
    group = table.group[kept]
    sums = {name: exact_sums(group, values, groups) for name, values in parts.items()}
    shown = np.bincount(group, minlength=groups) > 0
    micros, frame = _tables(table, stream, sums, group, kept, labels)
    lower, upper = _intervals(group, table.day[kept], parts, groups)
    frame["total_lower_bps"], frame["total_upper_bps"] = lower, upper
    names, counts = np.unique(reason[reason != ""].astype(str), return_counts=True)
    excluded = {str(name): int(count) for name, count in zip(names, counts, strict=True)} | stream.counts
    return TcaReport(
        frame=frame[shown].reset_index(drop=True),
        micros=micros[shown].reset_index(drop=True),
        orders=orders,
        outliers=_outliers(table, orders),
        excluded=excluded,
        split=split,
        notes=notes,
    )


def exact_sums(group: Integers, values: Integers, groups: int) -> Any:
    """Sums of whole numbers by group as Python ints: halves of 32 bits, each exact in a float."""
    low, high = np.zeros(groups, dtype=np.int64), np.zeros(groups, dtype=np.int64)
    for first in range(0, len(values), 1 << 20):
        cut = slice(first, first + (1 << 20))
        low += np.bincount(group[cut], values[cut] & 0xFFFFFFFF, minlength=groups).astype(np.int64)
        high += np.bincount(group[cut], values[cut] >> 32, minlength=groups).astype(np.int64)
    return high.astype(object) * 2**32 + low.astype(object)


def _reasons(table: ParentTable, own: Integers) -> Any:
    """Why each order is left out, "" where it is measured."""
    reason, filled = table.reason.copy(), own[:, 0]
    fresh = reason == ""
    unfilled = filled < table.quantity
    reason[fresh & unfilled & (table.final < 0)] = "order_without_final_price"
    reason[fresh & (filled > 0) & (table.arrival < 0)] = "order_without_arrival_price"
    reason[fresh & (own[:, 6] > 0)] = "order_with_refused_fill"
    reason[fresh & (filled > table.quantity)] = "order_overfilled"
    largest = np.maximum(np.maximum(table.decision, table.arrival), table.final).astype(np.float64)
    reason[fresh & (largest * table.quantity > 2.0**61)] = "order_absurd"
    return reason


def _parts(table: ParentTable, own: Integers, kept: Integers, split: str) -> dict[str, Integers]:
    """Exact parts of each order's shortfall in micros."""
    ordered, filled, paid = table.quantity[kept], own[kept, 0], own[kept, 1]
    side, decision = table.parents.side[kept], table.decision[kept]
    arrival = np.where(table.arrival[kept] < 0, decision, table.arrival[kept])
    final = np.where(ordered == filled, arrival, table.final[kept])
    late = filled if split == "cfa" else ordered
    since = decision if split == "cfa" else arrival
    parts = {
        "delay": side * late * (arrival - decision),
        "trading": side * (paid - filled * arrival),
        "opportunity": side * (ordered - filled) * (final - since),
        "fees": own[kept, 2],
    }
    total = side * (paid - filled * decision) + side * (ordered - filled) * (final - decision) + own[kept, 2]
    if bool(np.any(sum(parts.values()) != total)):
        raise ArithmeticError("the parts of a shortfall do not sum to it")
    return {**parts, "total": total, "notional": ordered * decision}


def _order_frame(
    table: ParentTable, stream: Stream, kept: Integers, parts: dict[str, Integers]
) -> pd.DataFrame:
    """One row an order: what it wanted, got and cost, and how long it took."""
    import pandas as pd

    own, arrival_ns = stream.own[kept], table.parents.arrival_ns[kept]
    notional = parts["notional"].astype(np.float64)
    timed = (arrival_ns >= 0) & (own[:, 5] > 0)
    columns: dict[str, Any] = {
        "symbol": table.symbols.take(table.parents.symbol[kept]),
        "side": pd.Index(["sell", "buy"]).take((table.parents.side[kept] > 0).astype(np.int64)),
        "quantity": table.quantity[kept],
        "filled": own[:, 0],
        "fills": own[:, 5],
        "fill_rate": own[:, 0] / table.quantity[kept],
        "notional": notional / MICRO,
    }
    for name in (*PARTS, "total"):
        columns[name] = parts[name] / MICRO
        columns[f"{name}_bps"] = parts[name] / notional * BPS
    for name, at in (("effective_bps", 0), ("price_improvement_bps", 3)):
        columns[name] = _ratio(stream.money[kept, at] / 2.0, stream.weight[kept, 0]) * BPS
    columns["latency_s"] = np.where(timed, (own[:, 3] - arrival_ns) / NANO, np.nan)
    columns["time_to_fill_s"] = np.where(timed, (own[:, 4] - arrival_ns) / NANO, np.nan)
    if "adv" in table.frame.columns:
        adv = pd.to_numeric(table.frame["adv"], errors="coerce").to_numpy(np.float64)[kept]
        columns["participation"] = own[:, 0] / adv
    # every column is new, so that none has to be copied
    return pd.DataFrame(columns, index=pd.Index(table.ids[kept], name="order_id"), copy=False)


def _tables(
    table: ParentTable, stream: Stream, sums: dict[str, Any], group: Integers, kept: Integers,
    labels: tuple[str, ...],
) -> tuple[pd.DataFrame, pd.DataFrame]:  # fmt: skip
    """Exact and readable figures of every group, over the orders that were not left out."""
    groups, own = len(table.keys), stream.own[kept]
    micros, frame = table.keys.copy(), table.keys.copy()
    frame["orders"] = np.bincount(group, minlength=groups)
    for name, values in (("fills", own[:, 5]), ("quantity", table.quantity[kept]), ("filled", own[:, 0])):
        frame[name] = exact_sums(group, values, groups).astype(np.float64)
    frame["fill_rate"] = _ratio(frame["filled"], frame["quantity"])
    notional = sums["notional"].astype(np.float64)
    frame["notional"] = notional / MICRO
    for name in (*PARTS, "total"):
        micros[name] = sums[name]
        frame[name] = sums[name].astype(np.float64) / MICRO
        frame[f"{name}_bps"] = _ratio(sums[name].astype(np.float64), notional) * BPS
    money = [exact_sums(group, values, groups) for values in stream.money[kept].T]
    weight = [np.bincount(group, values, minlength=groups) for values in stream.weight[kept].T]
    spread = dict(zip(MONEY, money, strict=False))
    spread["impact"] = spread["effective_matched"] - spread["realized"]
    for name, base in (("effective", 0), ("price_improvement", 0), ("realized", 1), ("impact", 1)):
        frame[name] = spread[name].astype(np.float64) / (2.0 * MICRO)
        frame[f"{name}_bps"] = _ratio(spread[name].astype(np.float64) / 2.0, weight[base]) * BPS
    for name in (*MONEY, "impact"):
        micros[f"{name}_half"] = spread[name]
    for at, label in enumerate(labels):
        moved = money[len(MONEY) + at].astype(np.float64) / 2.0
        frame[f"markout_{label}_bps"] = _ratio(moved, weight[2 + at]) * BPS
    frame["reversion_bps"] = -frame[f"markout_{labels[-1]}_bps"]
    _times(table, frame, own, group, kept, groups)
    return micros, frame


def _times(
    table: ParentTable, frame: pd.DataFrame, own: Integers, group: Integers, kept: Integers, groups: int
) -> None:
    """Add mean latency and time to fill, in seconds, of the orders that tell when they arrived."""
    arrival_ns = table.parents.arrival_ns[kept]
    timed = (arrival_ns >= 0) & (own[:, 5] > 0)
    count = np.bincount(group[timed], minlength=groups).astype(np.float64)
    for name, column in (("latency_s", 3), ("time_to_fill_s", 4)):
        waited = (own[timed, column] - arrival_ns[timed]) / NANO
        frame[name] = _ratio(np.bincount(group[timed], waited, minlength=groups), count)


def _intervals(
    group: Integers, day: Integers, parts: dict[str, Integers], groups: int
) -> tuple[Floats, Floats]:
    """90 % interval of each group's shortfall in bps over resampled days; NaN under ten days."""
    lower, upper = np.full(groups, np.nan), np.full(groups, np.nan)
    known = day >= 0
    distinct = np.unique(day[known])
    if len(distinct) < MIN_DAYS:
        return lower, upper
    place = np.searchsorted(distinct, day[known])
    cell = group[known] * len(distinct) + place
    shape = (groups, len(distinct))
    sums = [
        np.bincount(cell, parts[name][known] / MICRO, minlength=groups * len(distinct)).reshape(shape)
        for name in ("total", "notional")
    ]
    cost, paper = (np.asarray(values, dtype=np.float64) for values in sums)
    return ratio_interval(cost * BPS, paper, confidence=0.9, seed=_SEED)


def _outliers(table: ParentTable, orders: pd.DataFrame) -> pd.DataFrame:
    """Orders far from the others, with what leads to their journal rows."""
    values = orders["total_bps"]
    if not len(values):
        return orders.head(0)
    middle = float(values.median())
    spread = float((values - middle).abs().median())
    far = (values - middle).abs()
    found = far[far > _FAR_MADS * spread].sort_values(ascending=False, kind="stable").head(OUTLIERS)
    leads = [name for name in _JOURNAL if name in table.frame.columns]
    journal = table.frame.set_index("order_id")[leads].loc[found.index]
    return orders.loc[found.index].join(journal)


def _ratio(top: Any, bottom: Any) -> Floats:
    """Quotient, NaN where there is nothing to divide by."""
    top, bottom = np.asarray(top, dtype=np.float64), np.asarray(bottom, dtype=np.float64)
    return np.where(bottom > 0, top / np.where(bottom > 0, bottom, 1.0), np.nan)
