"""The report's pictures as tables: the waterfall of an order, the fan of its markouts, the worst orders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.core.tca.shortfall import PARTS

if TYPE_CHECKING:
    import pandas as pd

    from workbench.core.tca.summary import TcaReport


def waterfall(found: TcaReport, order_id: object) -> pd.DataFrame:
    """The parts of one order's shortfall as steps from 0 to its total.

    Returns
    -------
    DataFrame
        One row a part and one for the total: step, bps, begin, end (bps of the decision value).

    Raises
    ------
    KeyError
        The report does not measure that order.

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
    >>> quotes = pd.DataFrame({"symbol": ["KO"], "ts": [0], "bid": [10.0], "ask": [10.04]})
    >>> found = wb.tca.report(orders, fills, quotes, by="symbol", split="cfa")
    >>> len(wb.tca.waterfall(found, "a")) > 0
    True
    """
    if order_id not in found.orders.index:
        raise KeyError(f"the report does not measure order {order_id!r}")
    return shortfall_steps(found.orders.loc[[order_id]], 0)


def shortfall_steps(frame: pd.DataFrame, at: int) -> pd.DataFrame:
    """The steps of `waterfall` for row number `at` of a report's orders or groups."""
    import pandas as pd

    sizes = np.array([frame[f"{part}_bps"].to_numpy()[at] for part in PARTS], dtype=np.float64)
    ends = np.cumsum(sizes)
    total = float(frame["total_bps"].to_numpy()[at])
    return pd.DataFrame(
        {
            "step": [*PARTS, "total"],
            "bps": [*sizes, total],
            "begin": [*(ends - sizes), 0.0],
            "end": [*ends, total],
        }
    )


def markout_fan(found: TcaReport, by: str) -> pd.DataFrame:
    """Markouts of each group, one row a group and horizon: group, horizon, seconds, markout_bps.

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
    >>> quotes = pd.DataFrame({"symbol": ["KO"], "ts": [0], "bid": [10.0], "ask": [10.04]})
    >>> found = wb.tca.report(orders, fills, quotes, by="symbol", split="cfa")
    >>> list(wb.tca.markout_fan(found, "symbol").columns)[:1]
    ['symbol']
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for column in found.frame.columns:
        if not str(column).startswith("markout_"):
            continue
        horizon = str(column).removeprefix("markout_").removesuffix("_bps")
        seconds = _seconds(horizon)
        for group, value in zip(found.frame[by], found.frame[column], strict=True):
            rows.append({by: group, "horizon": horizon, "seconds": seconds, "markout_bps": float(value)})
    return pd.DataFrame(rows, columns=[by, "horizon", "seconds", "markout_bps"])


def worst_orders(found: TcaReport, count: int) -> pd.DataFrame:
    """The orders of the largest shortfall in currency, dearest first; at most `count` of them.

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
    >>> quotes = pd.DataFrame({"symbol": ["KO"], "ts": [0], "bid": [10.0], "ask": [10.04]})
    >>> found = wb.tca.report(orders, fills, quotes, by="symbol", split="cfa")
    >>> len(wb.tca.worst_orders(found, 5))
    1
    """
    columns = [
        "symbol",
        "side",
        "quantity",
        "fill_rate",
        *(f"{part}_bps" for part in PARTS),
        "total_bps",
        "total",
    ]
    return found.orders.sort_values("total", ascending=False, kind="stable").head(count)[columns]


def _seconds(horizon: str) -> float:
    import pandas as pd

    return int(horizon) / 1e9 if horizon.isdigit() else pd.Timedelta(horizon).total_seconds()
