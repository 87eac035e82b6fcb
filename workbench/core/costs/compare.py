"""A cost model as tables: its curve over sizes, and what it said against what was paid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from workbench.core.costs.model import CostModel

if TYPE_CHECKING:
    import pandas as pd

PARTICIPATIONS = (1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 5e-2, 1e-1)


def cost_curve(
    model: CostModel,
    symbol: str,
    *,
    side: str,
    adv: float,
    volatility_bps: float,
    half_spread_bps: float,
    price: float,
    participations: Sequence[float] = PARTICIPATIONS,
) -> pd.DataFrame:
    """Expected cost over sizes: participation, shares, mean_bps, lower_bps, upper_bps; NaN = not known.

    Parameters
    ----------
    participations : sequence of float
        Sizes as shares of the daily volume; rounded to whole shares.

    Examples
    --------
    >>> import workbench as wb
    >>> prior = wb.costs.prior(wb.costs.PriorCost(), wb.costs.FeeSchedule(), as_of_ns=0)
    >>> curve = wb.costs.cost_curve(
    ...     prior, "KO", side="buy", adv=1e6, volatility_bps=150.0, half_spread_bps=1.0, price=50.0
    ... )
    >>> bool((curve["mean_bps"].diff().dropna() > 0).all())
    True
    """
    import pandas as pd

    rows = []
    for share in participations:
        shares = max(int(share * adv), 1)
        found = model.expected_bps(
            symbol, side, shares, adv=adv, volatility_bps=volatility_bps, half_spread_bps=half_spread_bps,
            price=price,
        )  # fmt: skip
        rows.append((shares / adv, shares, found.mean, found.lower, found.upper))
    return pd.DataFrame(rows, columns=["participation", "shares", "mean_bps", "lower_bps", "upper_bps"])


def predicted_and_realised(records: pd.DataFrame, model: CostModel, *, buckets: int) -> pd.DataFrame:
    """What the model says of each size beside what was paid, in buckets of equally many records.

    Parameters
    ----------
    records : DataFrame
        As `fit_cost_model` takes them, with side; best of days after the model's own.
    model : CostModel
    buckets : int

    Returns
    -------
    DataFrame
        One row a bucket of predicted cost: records, predicted_bps, realised_bps, error_bps (standard error
        of the realised mean, from days), days.

    Examples
    --------
    >>> import pandas as pd
    >>> import workbench as wb
    >>> days = pd.bdate_range("2026-01-05", periods=20).strftime("%Y-%m-%d")
    >>> records = pd.DataFrame({"session": days, "symbol": "KO", "side": "buy", "quantity": [100,
    ...     400] * 10, "adv": 1e6,
    ...     "volatility_bps": 150.0, "half_spread_bps": 2.0, "cost_bps": [3.5, 5.0] * 10})
    >>> model = wb.costs.fit_cost_model(records, as_of="2026-02-02", min_fills=20)
    >>> len(wb.costs.predicted_and_realised(records, model, buckets=2))
    2
    """
    import pandas as pd

    prices = records["price"] if "price" in records.columns else pd.Series(np.nan, index=records.index)
    columns = zip(
        records["symbol"], records["side"], records["quantity"], records["adv"], records["volatility_bps"],
        records["half_spread_bps"], prices, strict=True,
    )  # fmt: skip
    predicted = [
        model.expected_bps(str(symbol), str(side), shares, adv=float(adv), volatility_bps=float(volatility),
                           half_spread_bps=float(spread), price=float(price)).mean
        for symbol, side, shares, adv, volatility, spread, price in columns
    ]  # fmt: skip
    return in_buckets(records.assign(predicted_bps=predicted), buckets=buckets)


def in_buckets(records: pd.DataFrame, *, buckets: int) -> pd.DataFrame:
    """The table of `predicted_and_realised` for records that carry their prediction, predicted_bps."""
    import pandas as pd

    table = records.dropna(subset=["predicted_bps", "cost_bps"])
    rank = table["predicted_bps"].rank(method="first")
    bucket = np.minimum((rank - 1) * buckets // max(len(table), 1), buckets - 1).astype(int)
    rows = []
    for _, part in table.groupby(bucket):
        mean = float(part["cost_bps"].mean())
        sums = (part["cost_bps"] - mean).groupby(part["session"]).sum()
        error = float(np.sqrt((sums**2).sum())) / len(part)
        rows.append((len(part), float(part["predicted_bps"].mean()), mean, error, len(sums)))
    return pd.DataFrame(rows, columns=["records", "predicted_bps", "realised_bps", "error_bps", "days"])
