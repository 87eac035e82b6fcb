"""Records of own fills with known costs, made by a code path that shares nothing with the estimator."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

SHAPE = 4.0 / 9.0  # a gamma law of this shape has skew 3
NOISE_BPS, DAY_BPS = 50.0, 10.0
SPREAD_MULTIPLE, IMPACT, EXPONENT = 1.0, 1.0, 0.5
#: A market at which predictions are compared: half spread and daily volatility, bps.
HALF_SPREAD_BPS, VOLATILITY_BPS = 4.5, 190.0
DAYS_OF = {500: 50, 5_000: 100, 50_000: 250}


@dataclass(frozen=True, eq=False)
class Truth:
    """Records, and what an estimator that knew the noise's two variances would give as its error."""

    records: pd.DataFrame
    bound: np.ndarray  # Cramer-Rao, of spread multiple and impact coefficient


def expected(participation: float) -> float:
    impact = IMPACT * VOLATILITY_BPS * participation**EXPONENT
    return SPREAD_MULTIPLE * HALF_SPREAD_BPS + impact


def draw(
    fills: int, seed: int, *, symbols: int = 20, symbol_bps: float = 0.0, largest: float = 1e-3
) -> Truth:
    """Fills spread at random over days; skewed noise, one shock a day that all fills of it share."""
    rng = np.random.Generator(np.random.Philox(seed))
    days = DAYS_OF.get(fills, 100)
    day = np.sort(rng.integers(0, days, fills))
    half_spread = rng.uniform(1.0, 8.0, fills)
    volatility = rng.uniform(80.0, 300.0, fills)
    adv = np.round(10.0 ** rng.uniform(6.0, 8.0, fills))
    quantity = np.maximum(np.round(adv * 10.0 ** rng.uniform(-5.0, math.log10(largest), fills)), 1.0)
    share = quantity / adv
    noise = (rng.gamma(SHAPE, 1.0, fills) - SHAPE) / math.sqrt(SHAPE) * NOISE_BPS
    shock = rng.normal(0.0, DAY_BPS, days)[day]
    symbol = rng.integers(0, symbols, fills)
    level = rng.normal(0.0, 1.0, symbols)[symbol] * symbol_bps
    slope = volatility * share**EXPONENT
    cost = SPREAD_MULTIPLE * half_spread + IMPACT * slope + noise + shock + level
    records = pd.DataFrame(
        {
            "session": pd.bdate_range("2025-01-02", periods=days).strftime("%Y-%m-%d").to_numpy()[day],
            "symbol": [f"S{n:03d}" for n in symbol],
            "side": np.where(rng.integers(0, 2, fills) == 1, "buy", "sell"),
            "quantity": quantity, "adv": adv, "volatility_bps": volatility,
            "half_spread_bps": half_spread, "cost_bps": cost,
        }
    )  # fmt: skip
    return Truth(records, bound(np.stack([half_spread, slope], axis=1), day))


def bound(design: np.ndarray, day: np.ndarray) -> np.ndarray:
    """Inverse information of normal noise with these variances: one inverse covariance block a day.

    A block is a multiple of one plus a shock that all share, so its inverse is written down (Sherman and
    Morrison): to solve blocks of a thousand fills took minutes of a busy machine.
    """
    own, shared = NOISE_BPS**2, DAY_BPS**2
    information = np.zeros((2, 2))
    for number in np.unique(day):
        rows = design[day == number]
        total = rows.sum(axis=0)
        pull = shared / (own * (own + len(rows) * shared))
        information += rows.T @ rows / own - pull * np.outer(total, total)
    return np.linalg.inv(information)
