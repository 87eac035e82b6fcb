"""Values of features, row by row through one call, and the hash of what they do."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from workbench.core.canonical import sha256_of
from workbench.core.features.definition import Feature, Window
from workbench.core.types import Bars, Booleans, Floats, Integers

GRID = 1e9  #: features are rounded to 1 / GRID


def compute(features: Sequence[Feature], bars: Bars) -> Floats:
    """Features of the last row, float64 (symbols, features), on a grid of 1e-9.

    Parameters
    ----------
    features : sequence of Feature
    bars : Bars
        Adjusted bars up to and including the row to describe; only the last `lookback` rows are read.

    Returns
    -------
    float64 (symbols, features)
        NaN where a bar of the window is missing, or there are too few rows.

    Raises
    ------
    ValueError
        Something among the features uses the future.

    Examples
    --------
    >>> from workbench.core.validation.guard import reference_bars
    >>> from workbench.extending import compute, select_features
    >>> chosen = select_features(["momentum_20", "gap_1"])
    >>> compute(chosen, reference_bars(chosen)).shape
    (5, 2)
    """
    last: Floats = compute_history(features, bars, [len(bars.ts_ns) - 1])[0]
    return last


def compute_history(
    features: Sequence[Feature], bars: Bars, rows: Sequence[int] | Integers | None = None
) -> Floats:
    """Features of the given rows, float64 (rows, symbols, features), each by the call that `compute` makes.

    Parameters
    ----------
    features : sequence of Feature
    bars : Bars
    rows : sequence of int or None, default None
        Positions in the bars, None = all; a row never sees what follows it.

    Raises
    ------
    ValueError
        Something among the features uses the future.

    Examples
    --------
    >>> from workbench.core.validation.guard import reference_bars
    >>> from workbench.extending import compute_history, select_features
    >>> chosen = select_features(["momentum_20"])
    >>> compute_history(chosen, reference_bars(chosen), [30, 31]).shape
    (2, 5, 1)
    """
    for feature in features:
        if feature.uses_future:
            raise ValueError(f"{feature.name} uses the future and cannot be a feature")
    if rows is None:
        rows = range(len(bars.ts_ns))
    panel = Window(bars.open, bars.high, bars.low, bars.close, bars.volume)
    complete = bars.tradable.copy()
    for values in panel:
        complete &= np.isfinite(values)
    out = np.full((len(rows), len(bars.symbols), len(features)), np.nan)
    for k, row in enumerate(rows):
        for j, feature in enumerate(features):
            start = int(row) - feature.lookback + 1
            if start < 0 or row >= len(bars.ts_ns):
                continue
            cut = slice(start, int(row) + 1)
            window = Window(*(part[cut] for part in panel))
            whole: Booleans = np.logical_and.reduce(complete[cut], axis=0)
            out[k, :, j] = _described(feature, window, whole)
    return out


def _described(feature: Feature, window: Window, whole: Booleans) -> Floats:
    """The feature of every symbol, rounded; NaN where the window is not whole."""
    if feature.compares_symbols:
        window = Window(*(np.where(whole, part, np.nan) for part in window))
    with np.errstate(all="ignore"):
        values = feature.function(window)
        values = np.rint(values * GRID) / GRID + 0.0  # + 0.0: no negative zero
    values[~(whole & np.isfinite(values))] = np.nan
    return values


def features_hash(features: Sequence[Feature]) -> str:
    """Hex sha256 of names, lookbacks and *behaviour*: the values on a fixed panel.

    A change of a formula, or of anything it calls, changes the hash; a change of wording does not.
    """
    described = []
    for feature in features:
        values = compute([feature], _reference_bars(feature.lookback))[:, 0]
        digest = hashlib.sha256(np.rint(values * GRID).astype("<i8").tobytes()).hexdigest()
        described.append([feature.name, feature.lookback, digest])
    return sha256_of(described)


def _reference_bars(rows: int) -> Bars:
    # arbitrary but fixed: integer arithmetic only, no generator whose stream may change
    i, j = np.indices((rows, 7))
    close = 50.0 + ((i * 7_919 + j * 104_729 + i * i * j * 31) % 4_999) / 100.0
    spread = 0.25 + ((i * 613 + j * 257) % 97) / 100.0
    opening = close - spread + 2.0 * spread * ((i * 389 + j * 911) % 101) / 101.0
    volume = (100_000 + (i * 48_611 + j * 15_485_863) % 999_983).astype(np.float64)
    return Bars(
        ts_ns=np.arange(1, rows + 1, dtype=np.int64),
        symbols=tuple("ABCDEFG"),
        open=opening,
        high=close + spread,
        low=close - spread,
        close=close,
        volume=volume,
        tradable=np.ones((rows, 7), dtype=np.bool_),
    )
