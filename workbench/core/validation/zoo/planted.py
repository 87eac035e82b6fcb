"""Leaks that were really made somewhere, planted on purpose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from workbench.core.labels import LabelledRows, forward_return
from workbench.core.types import Bars, Floats
from workbench.core.validation.findings import LeakReport
from workbench.core.validation.leaks import detect_label_overlap, detect_lookahead
from workbench.core.validation.splitters import PurgedKFold
from workbench.core.validation.zoo.specimen import (
    Specimen,
    feature,
    frame_of,
    joined,
    of_bars,
    warm,
)

HORIZON = 5


class LyingLabel:
    """A five-session return that claims to be settled after one."""

    uses_future = True
    name = "lying_label"

    def labelled(self, bars: Bars, horizon: int) -> LabelledRows:
        """Values over five sessions, ends of one."""
        return LabelledRows(forward_return(bars, HORIZON), forward_return.labelled(bars, 1).end_ns)


class Scaler:
    """Mean and deviation of what it is fitted on, as scikit-learn's scaler has them."""

    def fit(self, rows: Any) -> Scaler:
        """Learn from the rows."""
        values = np.asarray(rows, dtype=np.float64)
        self.mean_, spread = values.mean(axis=0), values.std(axis=0)
        self.scale_ = np.where(spread > 0.0, spread, 1.0)
        return self

    def transform(self, rows: Any) -> Floats:
        """The rows in deviations."""
        scaled: Floats = (np.asarray(rows, dtype=np.float64) - self.mean_) / self.scale_
        return scaled


def whole_bars(bars: Bars) -> pd.DataFrame:
    """Closes of the symbols that have every bar."""
    return frame_of(bars).dropna(axis=1)


def carried(make: Callable[[pd.DataFrame, pd.DataFrame], Any]) -> Callable[[Bars], LeakReport]:
    """Judge a function that carries the next returns of the whole history in itself."""

    def judge(bars: Bars) -> LeakReport:
        closes = frame_of(bars)
        following = closes.shift(-1) / closes - 1.0

        def function(seen: Bars) -> Any:
            now = frame_of(seen)
            return make(now, following.reindex(now.index))

        return detect_lookahead(function, bars)

    return judge


def _weekly(closes: pd.DataFrame) -> Any:
    return closes.index.to_series().dt.to_period("W")


def _overlapping_folds(bars: Bars) -> LeakReport:
    rows = len(bars.ts_ns)
    ends = np.minimum(np.arange(rows) + HORIZON, rows - 1)
    return detect_label_overlap(PurgedKFold(5, purge=0, embargo=0).split(np.zeros(rows)), ends)


def _fitted_on_all(bars: Bars) -> LeakReport:
    closes = whole_bars(bars)
    return detect_lookahead(Scaler().fit(closes), closes, fitted_rows=len(closes) // 2)


def _latest_known(bars: Bars, records: pd.DataFrame) -> Floats:
    """The last version of each period, from the end of the period on."""
    times = pd.DataFrame({"at": pd.to_datetime(bars.ts_ns)})
    latest = records.sort_values("known_at").groupby("period", as_index=False).last()
    found = pd.merge_asof(times, latest.sort_values("period"), left_on="at", right_on="period")
    return found["ratio"].to_numpy(dtype=np.float64)


def _first_version(bars: Bars, records: pd.DataFrame) -> Floats:
    """The first version of each period, but from the end of the period on, not from its publication."""
    times = pd.DataFrame({"at": pd.to_datetime(bars.ts_ns)})
    first = records.sort_values("known_at").groupby("period", as_index=False).first()
    found = pd.merge_asof(times, first.sort_values("period"), left_on="at", right_on="period")
    return found["ratio"].to_numpy(dtype=np.float64)


def _newest_unstably(bars: Bars, records: pd.DataFrame) -> Floats:
    """The newest version known, but ties of `known_at` fall as quicksort leaves them."""
    times = pd.DataFrame({"at": pd.to_datetime(bars.ts_ns)})
    known = records.sort_values("known_at", kind="quicksort")
    found = pd.merge_asof(times, known, left_on="at", right_on="known_at")
    return found["ratio"].to_numpy(dtype=np.float64)


def _diluted_on_one_symbol(bars: Bars) -> LeakReport:
    closes = whole_bars(bars).iloc[:, :1]
    following = closes.shift(-1) / closes - 1.0
    return detect_lookahead(
        lambda seen: seen.pct_change(20, fill_method=None) + 0.1 * following.reindex(seen.index).fillna(0.0),
        closes,
    )


def _numbered(bars: Bars) -> Floats:
    """Another value at every call, as from a generator without a seed."""
    counter = _CALLS
    counter.append(0)
    return np.arange(len(bars.ts_ns), dtype=np.float64) + len(counter)


_CALLS: list[int] = []

PLANTED: tuple[Specimen, ...] = (
    feature("next bar", "return to the next close", True, lambda c: c.shift(-1) / c - 1.0),
    feature("next bar", "mean of this and the next close", True, lambda c: (c + c.shift(-1)) / 2.0),
    of_bars("next bar", "high of the next bar", True, lambda b: frame_of(b, "high").shift(-1)),
    feature("centred window", "centred mean of five", True, lambda c: c.rolling(5, center=True).mean()),
    feature(
        "centred window", "convolution with padding", True,
        lambda c: c.ffill().apply(lambda x: np.convolve(x.fillna(0.0), np.ones(5) / 5.0, "same")),
    ),
    feature("full-sample scaler", "score by mean and deviation of all", True,
            lambda c: (c - c.mean()) / c.std()),
    feature("full-sample scaler", "range of all", True, lambda c: (c - c.min()) / (c.max() - c.min())),
    feature("full-sample scaler", "rank among all rows", True, lambda c: c.rank(pct=True)),
    feature("full-sample scaler", "clipped at quantiles of all", True,
            lambda c: c.clip(c.quantile(0.1), c.quantile(0.9), axis=1)),
    Specimen("full-sample scaler", "transformer fitted on what it transforms", True,
             lambda b: detect_lookahead(Scaler(), whole_bars(b))),
    Specimen("full-sample scaler", "transformer fitted on more rows than it claims", True, _fitted_on_all),
    feature("full-sample scaler", "line from the first to the last close taken off", True,
            lambda c: c - np.linspace(c.iloc[0], c.iloc[-1], len(c))),
    feature("full-sample scaler", "gaps filled from behind", True, lambda c: c.bfill()),
    feature("full-sample scaler", "gaps bridged by a line", True,
            lambda c: c.mul(np.where(np.arange(len(c)) % 7 == 3, np.nan, 1.0), axis=0).interpolate()),
    Specimen("label overlap", "folds without a purge", True, _overlapping_folds),
    Specimen("label overlap", "label that claims to be settled too early", True,
             lambda b: detect_lookahead(LyingLabel(), b, horizon=1)),
    of_bars("survivor universe", "symbols with a bar at the end", True,
            lambda b: {s for s, alive in zip(b.symbols, b.tradable[-1], strict=True) if alive}),
    of_bars("survivor universe", "symbols with a bar on most days", True,
            lambda b: np.tile(b.tradable.mean(axis=0) > 0.5, (len(b.ts_ns), 1))),
    of_bars("survivor universe", "most traded over all", True,
            lambda b: {*frame_of(b, "volume").sum().nlargest(2).index}),
    joined("restated data", "last version of each period", True, _latest_known),
    joined("restated data", "known from the end of the period", True, _first_version),
    feature("resample edge", "mean of the week on each of its days", True,
            lambda c: c.groupby(_weekly(c).to_numpy()).transform("mean")),
    feature("resample edge", "last close of the week on each of its days", True,
            lambda c: c.groupby(_weekly(c).to_numpy()).transform("last")),
    feature("one-bar shift", "rolled the wrong way", True,
            lambda c: pd.DataFrame(np.roll(c, -1, axis=0), c.index, c.columns)),
    of_bars("one-bar shift", "open of the next bar taken for this one's", True,
            lambda b: frame_of(b, "open").shift(-1) / frame_of(b) - 1.0),
    of_bars("target in features", "the label itself", True, lambda b: forward_return(b, HORIZON)),
    Specimen("target in features", "next returns carried in", True, carried(lambda now, target: target)),
    Specimen("target in features", "sign of the next returns carried in", True,
             carried(lambda now, target: np.sign(target))),
    Specimen("target in features", "a tenth of the next return added to a momentum", True,
             carried(lambda now, target: now.pct_change(20, fill_method=None) + 0.1 * target.fillna(0.0))),
    Specimen("target in features", "the same with a single symbol", True, _diluted_on_one_symbol),
    joined("sort instability", "two records of one moment in an order that their number decides", True,
           _newest_unstably),
    feature("sort instability", "place by argsort, ties by column", True,
            lambda c: c.fillna(0.0).to_numpy().argsort(axis=1, kind="stable").argsort(axis=1)),
    feature("sort instability", "first of equals wins", True, lambda c: c.rank(axis=1, method="first")),
    of_bars("sort instability", "another value at every call", True, _numbered),
    warm("exponential mean of span 20 said to need 20", True, 20,
         lambda c: c.ewm(span=20, adjust=False).mean()),
    warm("score since the beginning said to need 60", True, 60,
         lambda c: (c - c.expanding().mean()) / c.expanding().std()),
    warm("running sum of signed moves said to need 20", True, 20, lambda c: np.sign(c.diff()).cumsum()),
    warm("mean of 50 said to need 40", True, 40, lambda c: c.rolling(50).mean()),
)  # fmt: skip
