"""Every registered feature, found and judged without a test of its own; some against pandas as oracle."""

from __future__ import annotations

import math
import re
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workbench.core.features import (
    DEFAULT_FEATURES,
    FEATURES,
    Feature,
    Window,
    compute,
    compute_history,
    families,
    feature,
    features_hash,
    registered_features,
    select_features,
)
from workbench.testing.feature_checks import (
    FEATURE_CHECKS,
    SEEDS,
    changes_with_a_split,
    depends_on_other_symbols,
    depends_on_the_order_of_symbols,
    hides_a_missing_bar,
    is_not_finite,
    is_not_pure,
    needs_another_lookback,
    reads_the_future,
    says_otherwise_of_other_symbols,
)
from workbench.testing.panels import PARTS, columns, panel

ALL = registered_features()
each_feature = pytest.mark.parametrize("one", ALL, ids=lambda one: one.name)


@pytest.mark.parametrize("check", FEATURE_CHECKS, ids=lambda check: check.__name__)
@each_feature
def test_a_feature_is_causal_local_in_time_and_free_of_scale(one: Feature, check) -> None:
    assert check(one) == ""


@each_feature
def test_a_feature_looks_at_other_symbols_exactly_when_it_says_so(one: Feature) -> None:
    assert bool(depends_on_other_symbols(one)) == one.compares_symbols
    if one.compares_symbols:
        assert np.isnan(compute([one], columns(panel(3), [0], ("X",)))).all()


@each_feature
def test_a_feature_is_described(one: Feature) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z0-9]+)+", one.name)
    assert one.family in families.__all__
    assert one.unit
    assert not one.meaning[0].isupper()
    assert not one.meaning.endswith(".")
    assert one.function.__doc__
    assert not one.uses_future


def _writes(window: Window):
    window.close[0] = 1.0
    return window.close[-1] / window.close[0]


_seen: list[float] = []


def _remembers(window: Window):
    _seen.append(float(window.close[-1, 0]))
    return window.close[-1] / _seen[max(len(_seen) - 2, 0)]


def _lies(name: str, lookback: int, function) -> Feature:
    return Feature(name, lookback, function)


@pytest.mark.parametrize(
    ("check", "lying"),
    [
        (needs_another_lookback, _lies("long", 10, lambda w: w.close[-1] / w.close[-5])),
        (needs_another_lookback, _lies("dull", 10, lambda w: np.ones(w.close.shape[1]))),
        (depends_on_the_order_of_symbols, _lies("sums", 2, lambda w: w.close[-1] / np.cumsum(w.close[-1]))),
        (depends_on_other_symbols, _lies("mean", 2, lambda w: w.close[-1] / w.close[-1].mean())),
        (hides_a_missing_bar, _lies("fill", 3, lambda w: w.close[-1] / w.close[-1].mean())),
        (is_not_pure, _lies("writes", 3, _writes)),
        (is_not_pure, _lies("remembers", 3, _remembers)),
        (is_not_pure, _lies("rounds", 3, lambda w: w.close[-1].astype(np.float32))),
        (reads_the_future, _lies("remembers", 3, _remembers)),
        (says_otherwise_of_other_symbols, _lies("alone", 2, lambda w: w.close[-1] / w.close[-1].mean())),
        (changes_with_a_split, _lies("price", 1, lambda w: w.close[-1])),
        (changes_with_a_split, _lies("shares", 1, lambda w: w.volume[-1])),
        (is_not_finite, _lies("rate", 10, lambda w: w.close.mean(axis=0) / w.close.std(axis=0))),
    ],
    ids=lambda value: getattr(value, "name", None) or value.__name__,
)
def test_each_check_finds_the_feature_that_lies(check, lying: Feature) -> None:
    assert check(lying) != ""


def test_there_are_enough_and_every_file_of_a_family_is_found() -> None:
    assert len(ALL) >= 20
    files = {path.stem for path in Path(families.__file__).parent.glob("*.py")} - {"__init__"}
    assert files == set(families.__all__) == {one.family for one in ALL}
    assert [one.name for one in ALL] == [
        one.name for one in sorted(ALL, key=lambda one: (one.family, one.name))
    ]


def test_every_feature_behaves_differently() -> None:
    values = compute(ALL, panel(5))
    assert len({values[:, at].tobytes() for at in range(len(ALL))}) == len(ALL)
    assert len({features_hash([replace(one, name="same", lookback=121)]) for one in ALL}) == len(
        {one.function for one in ALL}
    )


def test_the_reference_page_is_what_the_code_says() -> None:
    folder = Path(__file__).parents[2] / "docs/reference"
    for name, text in runpy.run_path(str(folder / "build_features.py"))["pages"]().items():
        assert (folder / name).read_text(encoding="utf-8") == text, "run: docs/reference/build_features.py"


def test_the_five_of_version_1_are_the_default_and_their_hash_has_not_moved() -> None:
    assert tuple(one.name for one in FEATURES) == DEFAULT_FEATURES
    assert features_hash(FEATURES) == "224765e6fbcc9cfb3b01b739589b66a17407af24232a4f0ff88c5ba156d478d3"


def test_names_are_selected_in_order_and_unknown_ones_refused_with_the_nearest() -> None:
    assert [one.name for one in select_features(["gap_1", "momentum_20"])] == ["gap_1", "momentum_20"]
    with pytest.raises(ValueError, match="'momentun_20' is no feature; did you mean 'momentum_20'"):
        select_features(["momentun_20"])
    with pytest.raises(ValueError, match="more than once"):
        select_features(["gap_1", "gap_1"])
    with pytest.raises(ValueError, match="empty"):
        select_features([])


def test_two_features_of_one_name_and_one_without_a_description_are_refused() -> None:
    described = {"lookback": 2, "unit": "fraction", "meaning": "nothing"}
    with pytest.raises(ValueError, match="two features named 'gap_1'"):
        feature("gap_1", **described)(lambda window: window.close[-1])
    with pytest.raises(ValueError, match="unit"):
        feature("nameless_1", **{**described, "unit": ""})
    assert registered_features() == ALL


# --- oracles ------------------------------------------------------------------------------------------


def _r(frame, sessions=1):
    return frame.pct_change(sessions, fill_method=None)


def _ranked(frame):
    ranks = frame.rank(axis=1)
    return (ranks - 1) / (frame.shape[1] - 1) - 0.5


ORACLES = {
    "momentum_60": lambda o, h, w, c, v: _r(c, 60),
    "momentum_120_skip_20": lambda o, h, w, c, v: c.shift(20) / c.shift(120) - 1,
    "mean_distance_50": lambda o, h, w, c, v: c / c.rolling(50).mean() - 1,
    "mean_gap_10_50": lambda o, h, w, c, v: c.rolling(10).mean() / c.rolling(50).mean() - 1,
    "high_proximity_120": lambda o, h, w, c, v: c / h.rolling(120).max() - 1,
    "up_share_20": lambda o, h, w, c, v: (c.diff() > 0).rolling(20).mean(),
    "steady_momentum_20": lambda o, h, w, c, v: _r(c).rolling(20).mean() / _r(c).rolling(20).std(),
    "reversal_1": lambda o, h, w, c, v: -_r(c),
    "overnight_reversal_5": lambda o, h, w, c, v: -(o / c.shift() - 1).rolling(5).sum(),
    "intraday_reversal_5": lambda o, h, w, c, v: -(c / o - 1).rolling(5).sum(),
    "mean_reversion_10": lambda o, h, w, c, v: (c.rolling(10).mean() - c) / c.rolling(10).std(),
    "volatility_60": lambda o, h, w, c, v: _r(c).rolling(60).std(),
    "volatility_ratio_5_20": lambda o, h, w, c, v: _r(c).rolling(5).std() / _r(c).rolling(20).std() - 1,
    "downside_volatility_20": lambda o, h, w, c, v: (_r(c).clip(upper=0) ** 2).rolling(20).mean() ** 0.5,
    "max_return_20": lambda o, h, w, c, v: _r(c).rolling(20).max(),
    "skewness_20": lambda o, h, w, c, v: _r(c).rolling(20).skew() * 18 / math.sqrt(20 * 19),
    "volume_surprise_20": lambda o, h, w, c, v: (v - v.rolling(20).mean()) / v.rolling(20).std(),
    "signed_volume_20": lambda o, h, w, c, v: (np.sign(c.diff()) * v).rolling(20).sum() / v.rolling(20).sum(),
    "volume_price_gap_20": lambda o, h, w, c, v: c / ((c * v).rolling(20).sum() / v.rolling(20).sum()) - 1,
    "illiquidity_20": lambda o, h, w, c, v: (_r(c).abs() / (c * v / 1e6)).rolling(20).mean(),
    "return_volume_correlation_20": lambda o, h, w, c, v: pd.DataFrame(
        {column: _r(c)[column].rolling(20).corr(v[column]) for column in c}
    ),
    "close_location_5": lambda o, h, w, c, v: (2 * c - h - w).rolling(5).sum() / (h - w).rolling(5).sum(),
    "gap_1": lambda o, h, w, c, v: o / c.shift() - 1,
    "body_share_5": lambda o, h, w, c, v: (c - o).abs().rolling(5).sum() / (h - w).rolling(5).sum(),
    "range_mean_20": lambda o, h, w, c, v: ((h - w) / ((h + w) / 2)).rolling(20).mean(),
    "range_trend_5_20": lambda o, h, w, c, v: (h - w).rolling(5).mean() / (h - w).rolling(20).mean() - 1,
    "rank_momentum_20": lambda o, h, w, c, v: _ranked(_r(c, 20)),
    "rank_reversal_5": lambda o, h, w, c, v: _ranked(-_r(c, 5)),
    "rank_volatility_20": lambda o, h, w, c, v: _ranked(_r(c).rolling(20).std()),
    "rank_value_traded_20": lambda o, h, w, c, v: _ranked((c * v).rolling(20).mean()),
    "relative_return_5": lambda o, h, w, c, v: _r(c, 5).sub(_r(c, 5).median(axis=1), axis=0),
}  # the five of version 1 have theirs in test_features


@pytest.mark.parametrize("name", ORACLES)
def test_a_feature_equals_its_oracle(name: str) -> None:
    (one,) = select_features([name])
    for seed in SEEDS:
        bars = panel(seed)
        theirs = ORACLES[name](*(pd.DataFrame(getattr(bars, part)) for part in PARTS)).to_numpy()
        ours = compute_history([one], bars)[:, :, 0]
        start = one.lookback - 1
        np.testing.assert_allclose(ours[start:], theirs[start:].astype(float), rtol=1e-8, atol=2e-9)
        assert np.isnan(ours[:start]).all()


def test_equal_symbols_share_a_rank() -> None:
    bars = panel(4)
    same = replace(bars, close=bars.close.copy())
    same.close[:, 1] = same.close[:, 3]
    ranks = compute(select_features(["rank_momentum_20"]), same)[:, 0]
    assert ranks[1] == ranks[3]
    assert math.fsum(ranks) == 0.0
