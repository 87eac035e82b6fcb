"""Moving averages of 20 and 50 bars: seeded series, forecasts, and a slow simulation in plain Python.

The slow one knows nothing of the package: integers, `math` and the rules as a person would state them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.core.costs import FeeSchedule, PriorCost, prior
from workbench.core.fills import FillParams
from workbench.core.policy import PolicyParams
from workbench.core.pretrade import Limits
from workbench.core.types import NANO, Bars

FAST, SLOW, SIZE = 20, 50, 0.05
PARTICIPATION = 0.25
MINUTE_NS = 60 * NANO


def series(rows: int, symbols: int, *, seed: int) -> Bars:
    """Seeded minute bars on cents whose open is the close before, moved a little."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(0.0, 0.001, (rows, symbols))
    close = np.round(100.0 * np.exp(np.cumsum(steps, axis=0) * 0.5), 2) + 1.0
    opened = np.round(np.vstack([close[:1], close[:-1]]) * (1 + rng.normal(0, 2e-4, close.shape)), 2)
    high = np.round(np.maximum(opened, close) * (1 + rng.uniform(0, 1e-3, close.shape)), 2) + 0.01
    low = np.round(np.minimum(opened, close) * (1 - rng.uniform(0, 1e-3, close.shape)), 2) - 0.01
    volume = np.rint(rng.uniform(1e6, 2e6, close.shape))
    ts_ns = 1_577_836_800 * NANO + MINUTE_NS * np.arange(rows, dtype=np.int64)
    names = tuple(f"S{i:04d}" for i in range(symbols))
    return Bars(ts_ns, names, opened, high, low, close, volume, np.ones(close.shape, dtype=np.bool_))


def rules(symbols: int, *, cash_usd: int = 1_000_000) -> dict[str, Any]:
    """Equal parts of 90 % of the equity; every control in force, none of them narrow."""
    weight = 0.9 / symbols
    return {
        "policy": PolicyParams(
            gain=1_000.0, max_weight=weight, max_gross_weight=0.91, min_trade_weight=0.6 * weight,
            entry_order_type="market_on_open", max_slice_shares=10**9,
        ),
        "limits": Limits(
            max_order_shares=10**9, max_order_notional_usd=10**9, max_position_shares=10**9,
            max_position_notional_usd=10**9, max_gross_notional_usd=10**9, max_session_loss_usd=10**9,
            max_participation=1.0, max_quoted_spread_bps=1_000.0, max_expected_cost_bps=1_000.0,
            max_orders_per_minute=10_000,
        ),
        "costs": prior(PriorCost(max_notional_usd=10**9), FeeSchedule(), as_of_ns=1),
        "fills": FillParams(participation=PARTICIPATION),
        "seed": 1, "cash_usd": cash_usd,
    }  # fmt: skip


def forecasts(close: np.ndarray) -> np.ndarray:
    """+5 % where the fast average of ticks is above the slow one, else -5 %; NaN before there is one."""
    ticks = np.rint(close * 100).astype(np.int64)
    sums = np.vstack([np.zeros((1, ticks.shape[1]), np.int64), np.cumsum(ticks, axis=0)])
    out = np.full(close.shape, np.nan)
    fast = sums[SLOW:] - sums[SLOW - FAST : -FAST]
    slow = sums[SLOW:] - sums[:-SLOW]
    out[SLOW - 1 :] = np.where(fast * SLOW > slow * FAST, SIZE, -SIZE)
    return out


@dataclass
class Slow:
    """Fills and final equity of the slow simulation."""

    fills: list[tuple[int, int, int, int, int, int]]  # row, symbol, side, shares, price, fee
    equity_micro: list[int]


def slow_simulation(bars: Bars, *, cash_usd: int) -> Slow:
    """One loop over bars and symbols; orders meet the next open."""
    rows, symbols = bars.close.shape
    ticks = [[round(float(p) * 100) for p in row] for row in bars.close]
    cash, held = cash_usd * 10**6, [0] * symbols
    weight = round(0.9 / symbols * 10**6)
    fills: list[tuple[int, int, int, int, int, int]] = []
    equity_micro = []
    for t in range(rows):
        equity = cash + sum(n * ticks[t][i] * 10_000 for i, n in enumerate(held))
        equity_micro.append(equity)
        if t + 1 == rows or t < SLOW - 1:
            continue
        orders = []
        for i in range(symbols):
            fast = sum(ticks[k][i] for k in range(t - FAST + 1, t + 1)) * SLOW
            slow = sum(ticks[k][i] for k in range(t - SLOW + 1, t + 1)) * FAST
            if fast > slow and not held[i]:
                orders.append((1, i, weight * equity // (10**6 * ticks[t][i] * 10_000)))
            elif fast <= slow and held[i]:
                orders.append((-1, i, held[i]))
        for side, i, wanted in sorted(orders):
            shares = min(wanted, math.floor(float(bars.volume[t, i]) * PARTICIPATION))
            price = worse_price(bars, t, i, side, shares)
            fee = sale_fee(shares, price) if side < 0 else 0
            cash -= side * shares * price + fee
            held[i] += side * shares
            fills.append((t + 1, i, side, shares, price, fee))
    return Slow(fills, equity_micro)


def worse_price(bars: Bars, t: int, i: int, side: int, shares: int) -> int:
    """The next open, moved against the order by half a spread and by impact, micros."""
    high, low = float(bars.high[t, i]), float(bars.low[t, i])
    half_spread = round(max(1.0, 0.02 * 1e4 * (high - low) / (0.5 * (high + low))) * 100) / 100
    volatility = round(1e4 * math.log(high / low) / (2 * math.sqrt(math.log(2))) * 100) / 100
    worse = half_spread + volatility * math.sqrt(shares / float(bars.volume[t, i]))
    opened = round(float(bars.open[t + 1, i]) * 10**6)
    return opened + side * math.ceil(opened * (worse / 1e4))


def sale_fee(shares: int, price: int) -> int:
    """SEC fee of 20.60 a million and TAF of 0.000166 a share, each rounded up to a cent, micros."""
    sec = -(-shares * price * 206_000 // 10**10)
    taf = min(-(-shares * 166_000 // 1_000), 8_300_000)
    return -(-sec // 10_000) * 10_000 + -(-taf // 10_000) * 10_000
