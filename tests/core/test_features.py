"""Features against pandas, and the proof that they see neither the future nor each other."""

import math
import statistics
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.features import (
    FEATURES,
    STATISTICS_ROWS,
    Feature,
    Window,
    compute,
    compute_history,
    features_hash,
    market_statistics,
    statistics_history,
    statistics_rows,
)
from workbench.core.features.families.momentum import momentum
from workbench.core.features.market import bar_measures
from workbench.core.labels import forward_return
from workbench.core.types import Bars

LOOKBACK = max(feature.lookback for feature in FEATURES)
PARTS = ("open", "high", "low", "close", "volume")


def panel(seed=1, rows=60, symbols=4):
    draw = np.random.default_rng(seed)
    close = np.round(50.0 * np.exp(np.cumsum(draw.normal(0.0, 0.02, (rows, symbols)), axis=0)), 2)
    span = np.round(draw.uniform(0.05, 1.0, (rows, symbols)), 2)
    volume = draw.integers(10_000, 5_000_000, (rows, symbols)).astype(np.float64)
    return Bars(
        np.arange(1, rows + 1), tuple(f"S{i}" for i in range(symbols)), close.copy(), close + span,
        close - span, close, volume, np.ones((rows, symbols), dtype=np.bool_),
    )  # fmt: skip


def changed(bars, rows, columns, **values):
    parts = {name: getattr(bars, name).copy() for name in (*PARTS, "tradable")}
    for name, value in values.items():
        parts[name][rows, columns] = value
    return replace(bars, **parts)


def by_pandas(bars):
    """The five features of every row by rolling windows."""
    high, low, close, volume = (
        pd.DataFrame(getattr(bars, name)) for name in ("high", "low", "close", "volume")
    )
    floor, top = low.rolling(20).min(), high.rolling(20).max()
    frames = [
        close / close.shift(20) - 1,
        1 - close / close.shift(5),
        close.pct_change(fill_method=None).rolling(20).std(),
        volume.rolling(5).mean() / volume.rolling(20).mean() - 1,
        (close - floor) / (top - floor),
    ]
    return np.stack([frame.to_numpy() for frame in frames], axis=2)


@given(st.integers(0, 10_000))
def test_history_equals_pandas(seed):
    bars = panel(seed)
    ours = compute_history(FEATURES, bars)
    theirs = by_pandas(bars)
    start = np.array([feature.lookback - 1 for feature in FEATURES])
    for j in range(len(FEATURES)):
        np.testing.assert_allclose(ours[start[j] :, :, j], theirs[start[j] :, :, j], rtol=0, atol=2e-9)
        assert np.isnan(ours[: start[j], :, j]).all()
    assert np.isfinite(ours[LOOKBACK - 1 :]).all()


@given(st.integers(0, 10_000), st.integers(LOOKBACK - 1, 59))
def test_history_is_the_live_call_row_by_row(seed, row):
    bars = panel(seed)
    history = compute_history(FEATURES, bars, [row])[0]
    live = compute(FEATURES, bars.rows(0, row + 1))
    exact = compute(FEATURES, bars.rows(row + 1 - LOOKBACK, row + 1))
    assert history.tobytes() == live.tobytes() == exact.tobytes()


@given(st.integers(0, 10_000), st.integers(LOOKBACK, 58), st.floats(0.01, 1e6))
def test_the_future_and_what_lies_before_the_lookback_never_change_a_value(seed, row, value):
    bars = panel(seed)
    before = compute_history(FEATURES, bars, [row])
    everything = dict.fromkeys(PARTS, value)
    future = changed(bars, slice(row + 1, None), slice(None), **everything, tradable=False)
    assert compute_history(FEATURES, future, [row]).tobytes() == before.tobytes()
    for j, feature in enumerate(FEATURES):
        past = changed(bars, slice(0, row - feature.lookback + 1), slice(None), **everything, tradable=False)
        assert compute_history([feature], past, [row])[..., 0].tobytes() == before[..., j].tobytes()


@given(st.integers(0, 10_000), st.permutations(range(4)), st.integers(0, 3))
def test_a_value_does_not_depend_on_the_other_symbols(seed, order, alone):
    bars = panel(seed)
    values = compute(FEATURES, bars)
    at = list(order)
    parts = {name: getattr(bars, name)[:, at] for name in (*PARTS, "tradable")}
    assert compute(FEATURES, replace(bars, **parts)).tobytes() == values[at].tobytes()
    for feature in FEATURES:  # unrounded, too
        window = Window(*(getattr(bars, name)[-feature.lookback :] for name in PARTS))
        single = feature.function(Window(*(part[:, [alone]].copy() for part in window)))
        assert single.tobytes() == feature.function(window)[[alone]].tobytes()
    one = {name: getattr(bars, name)[:, [alone]] for name in (*PARTS, "tradable")}
    assert compute(FEATURES, replace(bars, symbols=("X",), **one)).tobytes() == values[[alone]].tobytes()


@given(st.integers(0, LOOKBACK - 1), st.sampled_from([*PARTS, "tradable"]))
def test_a_missing_bar_within_the_lookback_is_a_missing_feature(back, name):
    bars = changed(panel(), 59 - back, 1, **{name: False if name == "tradable" else math.nan})
    values = compute(FEATURES, bars)
    for j, feature in enumerate(FEATURES):
        assert math.isnan(values[1, j]) == (back < feature.lookback)
    assert np.isfinite(values[[0, 2, 3]]).all()


def test_too_few_rows_and_no_rows_give_nan():
    assert np.isnan(compute(FEATURES, panel(rows=5))).all()
    assert compute(FEATURES, panel().rows(0, 0)).shape == (4, 5)
    assert np.isnan(compute(FEATURES, panel().rows(0, 0))).all()


def test_no_range_and_no_volume_are_missing_not_infinite():
    flat = changed(panel(), slice(None), 0, high=50.0, low=50.0, close=50.0, volume=0.0)
    values = compute(FEATURES, flat)[0]
    assert np.isnan(values[3:]).all()
    assert values[:3].tolist() == [0.0, 0.0, 0.0]


def test_a_label_is_no_feature():
    class Peek(Feature):
        uses_future = True

    assert forward_return.uses_future
    with pytest.raises(ValueError, match="uses the future"):
        compute([Peek("peek", 1, momentum)], panel())


def test_the_hash_follows_behaviour():
    same = tuple(Feature(f.name, f.lookback, lambda window, f=f: f.function(window)) for f in FEATURES)
    assert features_hash(same) == features_hash(FEATURES)
    hashes = {features_hash(FEATURES), features_hash(FEATURES[::-1]), features_hash(FEATURES[:4])}
    hashes.add(features_hash([replace(FEATURES[0], name="other"), *FEATURES[1:]]))
    hashes.add(features_hash([replace(FEATURES[0], lookback=22), *FEATURES[1:]]))
    slightly = replace(FEATURES[0], function=lambda window: momentum(window) * 1.000001)
    hashes.add(features_hash([slightly, *FEATURES[1:]]))
    assert len(hashes) == 6


def test_a_feature_looks_back_at_least_one_row():
    with pytest.raises(ValueError, match="at least one row"):
        Feature("none", 0, momentum)


# --- market statistics -----------------------------------------------------------------------------


@given(st.integers(0, 10_000))
def test_statistics_equal_the_slow_version(seed):
    bars = panel(seed)
    result = market_statistics(bars)
    for i in range(4):
        close = bars.close[-21:, i].tolist()
        returns = [math.log(b / a) for a, b in pairwise(close)]
        sigma = statistics.stdev(returns)
        zeros = sum(r == 0 for r in returns) / 20
        high, low = bars.high[-20:, i], bars.low[-20:, i]
        spread = 2 * sigma * statistics.NormalDist().inv_cdf((1 + zeros) / 2)
        half = max(1.0, 1e4 * spread / 2, 0.02 * 1e4 * float(np.mean((high - low) / ((high + low) / 2))))
        assert result.adv_shares[i] == pytest.approx(bars.volume[-20:, i].mean(), abs=0.51)
        assert result.volatility_bps[i] == pytest.approx(sigma * 1e4, abs=0.0051)
        assert result.half_spread_bps[i] == pytest.approx(half, abs=0.0051)


@given(st.integers(0, STATISTICS_ROWS - 1), st.sampled_from([*PARTS[1:], "tradable"]))
def test_statistics_are_missing_where_a_bar_is(back, name):
    bars = changed(panel(), 59 - back, 1, **{name: False if name == "tradable" else math.nan})
    for column in market_statistics(bars):
        assert np.isnan(column).tolist() == [False, True, False, False]


def test_statistics_of_too_few_rows_or_a_dead_symbol_are_missing():
    assert np.isnan(np.array(market_statistics(panel(rows=20)))).all()
    flat = changed(panel(), slice(None), 0, high=50.0, low=50.0, close=50.0)
    assert np.isnan(np.array(market_statistics(flat))[:, 0]).all()


def test_days_without_a_change_widen_the_spread():
    bars = panel()
    idle = changed(bars, slice(-6, None), 0, close=bars.close[-7, 0], low=bars.close[-7, 0] - 0.01,
                   high=bars.close[-7, 0] + 0.01)  # fmt: skip
    assert market_statistics(idle).half_spread_bps[0] > 5 * market_statistics(bars).half_spread_bps[0]


@given(st.integers(0, 10_000))
def test_compiled_and_plain_statistics_are_the_same_bytes(seed):
    bars = panel(seed, rows=24)
    width = len(bars.symbols)
    flat = [part.ravel() for part in (bars.high, bars.low, bars.close, bars.volume)]
    results = []
    for measures, rows in ((bar_measures, statistics_rows), (bar_measures.py_func, statistics_rows.py_func)):
        change, span = np.empty(24 * width), np.empty(24 * width)
        measures(*flat, width, change, span)
        out = np.empty((3, 4 * width))
        rows(change, span, flat[3], width, 20 * width, np.empty((5, 7)), out)
        results.append(out.tobytes())
    assert results[0] == results[1]


@given(st.integers(0, 10_000), st.sampled_from([1, 3, 200]))
def test_statistics_of_a_history_are_those_of_each_row(seed, rows):
    bars = changed(panel(seed, rows=26 + rows), 25, 1, close=math.nan)
    history = statistics_history(bars.high, bars.low, bars.close, bars.volume)
    assert history.shape == (3, rows + 6, len(bars.symbols))
    for row in {0, rows // 2, rows + 5}:
        one = np.array(market_statistics(bars.rows(row, row + STATISTICS_ROWS)))
        assert one.tobytes() == np.ascontiguousarray(history[:, row]).tobytes()
