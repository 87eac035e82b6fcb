"""What the zoo is made of: something that leaks, or only looks as if, and the detector that judges it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from workbench.core.types import Bars
from workbench.core.validation.findings import LeakReport
from workbench.core.validation.leaks import detect_lookahead, detect_warmup


@dataclass(frozen=True)
class Specimen:
    """One thing that the detectors are scored on.

    Attributes
    ----------
    group : str
        What kind of mistake it is, or looks like.
    name : str
        What it does, in words.
    planted : bool
        Whether it leaks, or depends on where history begins.
    judge : callable
        From bars to the detector's report.
    """

    group: str
    name: str
    planted: bool
    judge: Callable[[Bars], LeakReport]


Function = Callable[[pd.DataFrame], Any]


def frame_of(bars: Bars, part: str = "close") -> pd.DataFrame:
    """One part of the bars as a DataFrame over time; missing where there is no bar."""
    values = np.where(bars.tradable, getattr(bars, part), np.nan)
    return pd.DataFrame(values, index=pd.to_datetime(bars.ts_ns), columns=list(bars.symbols))


def of_closes(function: Function) -> Callable[[Bars], Any]:
    """The function of closes as a function of bars."""
    return lambda bars: function(frame_of(bars))


def feature(group: str, name: str, planted: bool, function: Function) -> Specimen:
    """A specimen that is a function of closes."""
    return Specimen(group, name, planted, lambda bars: detect_lookahead(of_closes(function), bars))


def of_bars(group: str, name: str, planted: bool, function: Callable[[Bars], Any]) -> Specimen:
    """A specimen that is a function of bars."""
    return Specimen(group, name, planted, lambda bars: detect_lookahead(function, bars))


def warm(name: str, planted: bool, lookback: int, function: Function) -> Specimen:
    """A specimen that claims to need so many rows."""
    return Specimen(
        "warm-up", name, planted, lambda bars: detect_warmup(of_closes(function), bars, lookback=lookback)
    )


def quarterly_records(bars: Bars) -> pd.DataFrame:
    """A made-up ratio for every tenth bar, published three bars later and restated twenty bars after that."""
    times = pd.to_datetime(bars.ts_ns)
    rows = []
    for at in range(0, len(times) - 30, 10):
        value = float((at * 7_919) % 101)
        rows.append((times[at], times[at + 3], value))
        rows.append((times[at], times[at + 23], value + 5.0))
    return pd.DataFrame(rows, columns=["period", "known_at", "ratio"])


def joined(group: str, name: str, planted: bool, function: Callable[[Bars, pd.DataFrame], Any]) -> Specimen:
    """A specimen that joins records to the bars."""
    return Specimen(
        group,
        name,
        planted,
        lambda bars: detect_lookahead(function, bars, records=quarterly_records(bars)),
    )
