"""From one cost model to the next: which records count, and how far a floor may move in one day."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.core.costs.model import CostModel

if TYPE_CHECKING:
    import pandas as pd

#: Floors below this count as this: a ratio of two near zeros says nothing.
LEAST_FLOOR_BPS = 1.0


@dataclass(frozen=True)
class CalibrationRule:
    """How a desk learns its costs, declared once.

    Attributes
    ----------
    window_fills : int, default 500
        The window reaches back until it holds so many fills: floors follow a change within
        window_fills / (fills a day) sessions.
    min_sessions : int, default 10
        And until it holds so many sessions with fills, which is what the fit needs for its intervals.
    max_age_days : int, default 90
        Calendar days; no record older than that counts.
    min_fills : int, default 100
        Fewer usable fills in the window: nothing is learnt and the model in use stays.
    max_step : float, default 1.5
        A floor may become at most so many times larger or smaller in one day without a person.
    dead_band : float, default 1.05
        A model in use that differs by less is kept, so that floors do not flutter.
    valid_days : int, default 10
        Calendar days until a fitted model is stale; it is renewed when half of them are over.
    alert_alpha, block_alpha : float, default 0.05 and 0.005
        Probability of a false alert, and of a false block, within `horizon` days of an unchanged market.
    horizon : int, default 63
        Sessions: a quarter.
    """

    window_fills: int = 500
    min_sessions: int = 10
    max_age_days: int = 90
    min_fills: int = 100
    max_step: float = 1.5
    dead_band: float = 1.05
    valid_days: int = 10
    alert_alpha: float = 0.05
    block_alpha: float = 0.005
    horizon: int = 63

    def __post_init__(self) -> None:
        if min(self.window_fills, self.min_sessions, self.max_age_days, self.min_fills, self.horizon) < 1:
            raise ValueError("windows, counts and horizon of a calibration must be at least 1")
        if not 1.0 <= self.dead_band <= self.max_step <= 10.0:
            raise ValueError(
                f"1 <= dead_band = {self.dead_band!r} <= max_step = {self.max_step!r} <= 10 must hold"
            )
        if not 0.0 < self.block_alpha <= self.alert_alpha < 0.5:
            raise ValueError(
                f"0 < block_alpha = {self.block_alpha!r} <= alert_alpha = {self.alert_alpha!r} < 0.5"
            )


@dataclass(frozen=True)
class FloorStep:
    """How far floors move from one model to the next.

    Attributes
    ----------
    smallest, largest : float
        Ratio new / old over the symbols of the window; infinite where one of the models does not know.
    symbols : int
    """

    smallest: float
    largest: float
    symbols: int

    def within(self, most: float) -> bool:
        """Whether every floor moves by a factor of at most `most`, either way."""
        return self.symbols > 0 and self.smallest >= 1.0 / most and self.largest <= most


def rolling_window(records: pd.DataFrame, *, until: str, rule: CalibrationRule) -> pd.DataFrame:
    """The newest records up to a session that the rule lets count, in their order.

    Parameters
    ----------
    records : DataFrame
        With `session`, ISO dates.
    until : str
        Last session, included.
    """
    import pandas as pd

    oldest = (pd.Timestamp(until) - pd.Timedelta(days=rule.max_age_days)).date().isoformat()
    seen = records[(records["session"] <= until) & (records["session"] > oldest)]
    newest_first = seen["session"].value_counts().sort_index(ascending=False)
    held, kept = 0, list[str]()
    for session, count in newest_first.items():
        if held >= rule.window_fills and len(kept) >= rule.min_sessions:
            break
        kept.append(str(session))
        held += int(count)
    return seen[seen["session"].isin(kept)]


def floor_step(old: CostModel, new: CostModel, window: pd.DataFrame) -> FloorStep:
    """How far the floors of the window's symbols move, each at the median of its own records."""
    facts = ["quantity", "adv", "volatility_bps", "half_spread_bps", "price"]
    ratios = []
    for symbol, row in window.groupby("symbol")[facts].median().iterrows():
        market = {name: float(row[name]) for name in facts[1:]}
        shares = max(round(float(row["quantity"])), 1) if row["quantity"] == row["quantity"] else 0
        before, after = (model.floor_bps(str(symbol), shares, **market) for model in (old, new))
        ratio = max(after, LEAST_FLOOR_BPS) / max(before, LEAST_FLOOR_BPS)
        ratios.append(ratio if before == before and after == after else math.inf)
    if not ratios:
        return FloorStep(math.inf, math.inf, 0)
    return FloorStep(float(np.min(ratios)), float(np.max(ratios)), len(ratios))
