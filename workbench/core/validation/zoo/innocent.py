"""Things that look at the past only, some of them in ways that look like leaks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from workbench.core.labels import LABELS, Label
from workbench.core.types import Bars, Floats
from workbench.core.validation.findings import LeakReport
from workbench.core.validation.leaks import detect_label_overlap, detect_lookahead
from workbench.core.validation.splitters import CombinatorialPurgedKFold, PurgedKFold
from workbench.core.validation.zoo.planted import HORIZON, Scaler, whole_bars
from workbench.core.validation.zoo.specimen import Specimen, feature, frame_of, joined, of_bars, warm


def _as_published(bars: Bars, records: pd.DataFrame) -> Floats:
    """The newest version that was known at each bar."""
    times = pd.DataFrame({"at": pd.to_datetime(bars.ts_ns)})
    known = records.sort_values(["known_at", "period"])  # two versions of one moment: the later period
    found = pd.merge_asof(times, known, left_on="at", right_on="known_at")
    return found["ratio"].to_numpy(dtype=np.float64)


def _finished_weeks(closes: pd.DataFrame) -> pd.DataFrame:
    """The mean of the last week that was over."""
    week = closes.index.to_series().dt.to_period("W").to_numpy()
    return closes.groupby(week).mean().shift(1).reindex(week).set_axis(closes.index)


def _moves(closes: pd.DataFrame) -> pd.DataFrame:
    return closes.pct_change(fill_method=None)


def _purged_folds(bars: Bars) -> LeakReport:
    rows = len(bars.ts_ns)
    folds = PurgedKFold(5, purge=HORIZON, embargo=0)
    return detect_label_overlap(folds.split(np.zeros(rows)), np.minimum(np.arange(rows) + HORIZON, rows - 1))


def _purged_combinations(bars: Bars) -> LeakReport:
    rows = len(bars.ts_ns)
    ends = np.minimum(np.arange(rows) + 1 + np.arange(rows) % HORIZON, rows - 1)
    return detect_label_overlap(
        CombinatorialPurgedKFold(6, 2, purge=ends, embargo=2).split(np.zeros(rows)), ends
    )


def _fitted_on_what_it_claims(bars: Bars) -> LeakReport:
    closes = whole_bars(bars)
    half = len(closes) // 2
    return detect_lookahead(Scaler().fit(closes.iloc[:half]), closes, fitted_rows=half)


def _judge(label: Label) -> Callable[[Bars], LeakReport]:
    return lambda bars: detect_lookahead(label, bars, horizon=HORIZON)


INNOCENT: tuple[Specimen, ...] = (
    feature("past only", "return over 20", False, lambda c: c.pct_change(20, fill_method=None)),
    feature("past only", "close before last", False, lambda c: c.shift(2)),
    feature("past only", "rolling score", False, lambda c: (c - c.rolling(20).mean()) / c.rolling(20).std()),
    feature("past only", "score since the beginning", False,
            lambda c: (c - c.expanding(20).mean()) / c.expanding(20).std()),
    feature("past only", "rank among the past", False, lambda c: c.expanding(5).rank(pct=True)),
    feature("past only", "exponential mean", False, lambda c: c.ewm(span=20).mean()),
    feature("past only", "rolling median", False, lambda c: c.rolling(9).median()),
    feature("past only", "fall from the highest so far", False, lambda c: c / c.cummax() - 1.0),
    feature("past only", "gaps filled from before", False, lambda c: c.ffill()),
    feature("past only", "mean of finished weeks", False, _finished_weeks),
    of_bars("past only", "volume against its mean", False,
            lambda b: frame_of(b, "volume") / frame_of(b, "volume").rolling(20).mean()),
    of_bars("past only", "range of the bar", False, lambda b: frame_of(b, "high") / frame_of(b, "low") - 1.0),
    feature("across symbols", "rank with shared ties", False, lambda c: c.rank(axis=1)),
    feature("across symbols", "return less the mean of all", False,
            lambda c: _moves(c).sub(_moves(c).mean(axis=1), axis=0)),
    feature("calendar", "day of the week", False, lambda c: c.index.to_series().dt.day_of_week),
    feature("calendar", "days to the end of the month", False,
            lambda c: c.index.to_series().dt.days_in_month - c.index.to_series().dt.day),
    feature("constant", "always one", False, lambda c: c * 0.0 + 1.0),
    joined("known_at", "newest version known", False, _as_published),
    of_bars("universe", "symbols with a bar today", False, lambda b: b.tradable.copy()),
    of_bars("universe", "most traded over the last 20", False,
            lambda b: frame_of(b, "volume").rolling(20).sum().rank(axis=1, ascending=False) <= 2),
    Specimen("fitted", "transformer fitted on what it claims", False, _fitted_on_what_it_claims),
    Specimen("splits", "folds purged by rows", False, _purged_folds),
    Specimen("splits", "combinations purged by label ends", False, _purged_combinations),
    *(Specimen("label", name, False, _judge(label)) for name, label in LABELS.items()),
    warm("mean of 50 said to need 50", False, 50, lambda c: c.rolling(50).mean()),
    warm("exponential mean of span 3 said to need 80", False, 80,
         lambda c: c.ewm(span=3, adjust=False).mean()),
    warm("rank across symbols said to need 1", False, 1, lambda c: c.rank(axis=1)),
)  # fmt: skip
