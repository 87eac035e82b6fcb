"""How orders ended, made by a code path that shares nothing with the fill simulator: a price that walks.

An order waits for a random time while the price moves with a volatility of its own, with a shock that all
orders of the day share, then crosses half a spread and pushes the price. Sizes above a share of the volume
are filled in part. Deviations are skewed, and their scale follows the symbol's volatility.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

SPREAD_MULTIPLE, IMPACT = 1.2, 0.8
SESSION_S = 23_400.0


def outcomes(
    days: int, a_day: int, seed: int, *, first: str = "2024-01-02", shared: float = 0.3
) -> pd.DataFrame:
    """One row an order, `a_day` of them on each of `days` sessions."""
    rng = np.random.Generator(np.random.PCG64(seed))
    n = days * a_day
    day = np.repeat(np.arange(days), a_day)
    name = rng.integers(0, 12, n)
    volatility = 60.0 * 1.18**name * np.exp(rng.normal(0.0, 0.1, n))
    half_spread = 0.8 + 0.4 * name + rng.uniform(0.0, 1.0, n)
    adv = np.round(10.0 ** (8.0 - name / 6.0))
    quantity = np.maximum(np.round(adv * 10.0 ** rng.uniform(-4.5, -1.8, n)), 1.0)
    part = np.where(quantity / adv > 0.006, rng.uniform(0.1, 1.0, n), 1.0)
    filled = np.floor(quantity * part)
    wait_s = rng.lognormal(5.0, 0.6, n)
    side = np.where(rng.integers(0, 2, n) == 1, 1.0, -1.0)
    walk = (rng.gamma(4.0, 1.0, n) - 4.0) / 2.0 * np.sqrt(1.0 - shared)  # variance 1 - shared, skew 1
    walk += rng.normal(0.0, np.sqrt(shared), days)[day]
    impact = IMPACT * volatility * np.sqrt(filled / adv)
    cost = SPREAD_MULTIPLE * half_spread + impact + volatility * np.sqrt(wait_s / SESSION_S) * walk
    return pd.DataFrame(
        {
            "session": pd.bdate_range(first, periods=days).strftime("%Y-%m-%d").to_numpy()[day],
            "order_id": [f"o{seed}-{k}" for k in range(n)], "symbol": [f"S{k:02d}" for k in name],
            "side": np.where(side > 0, "buy", "sell"), "order_type": "market", "quantity": quantity,
            "filled": filled, "adv": adv, "volatility_bps": volatility, "half_spread_bps": half_spread,
            "cost_bps": np.where(filled > 0, cost, np.nan), "delay_s": wait_s, "source": "simulated",
        }
    )  # fmt: skip
