"""The detectors find what knows the future, at the right bars, and leave the innocent alone (F37)."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import planted
import pytest
from sklearn.decomposition import PCA
from sklearn.model_selection import KFold
from sklearn.preprocessing import MinMaxScaler, StandardScaler

import workbench as wb
from workbench.core.features import Feature, registered_features
from workbench.core.labels import LABELS, LabelledRows, forward_return
from workbench.core.types import MISSING

lookahead, warmup = wb.validation.detect_lookahead, wb.validation.detect_warmup
BARS = planted.planted_bars(140)
CLOSES = pd.DataFrame(BARS.close, index=pd.to_datetime(BARS.ts_ns), columns=list(BARS.symbols))


def kinds(report):
    return {finding.kind for finding in report.findings}


# --- lookahead ----------------------------------------------------------------------------------------


def test_a_finding_names_bar_symbol_kind_and_size():
    leaky = CLOSES.copy()

    def one_bar(closes):
        values = closes.pct_change()
        if len(closes) > 71:  # looks one bar ahead, once, in one symbol
            values.iloc[70, 2] = closes.iloc[71, 2] / closes.iloc[70, 2] - 1.0
        return values

    report = lookahead(one_bar, leaky)
    assert len(report.findings) == 1
    (finding,) = report.findings
    assert finding[:3] == (70, "CCC", "lookahead")
    full, known = one_bar(leaky).iloc[70, 2], leaky.pct_change().iloc[70, 2]
    assert finding.size == pytest.approx(abs(full - known) / one_bar(leaky)["CCC"].std(), rel=1e-6)
    assert not report.clean
    assert report.frame.iloc[0].tolist()[:3] == [70, "CCC", "lookahead"]
    assert "bar 70 of CCC" in report.summary
    assert "bar 70 of CCC" in report._repr_html_()


@pytest.mark.parametrize(
    "form",
    [
        lambda f: (f, CLOSES),
        lambda f: (f, CLOSES["AAA"]),
        lambda f: (lambda x: f(pd.DataFrame(x)).to_numpy(), BARS.close),
        lambda f: (lambda x: f(pd.Series(x)).to_numpy(), BARS.close[:, 0]),
        lambda f: (lambda b: f(pd.DataFrame(b.close)).to_numpy(), BARS),
        lambda f: (lambda frame: f(frame["close"]), CLOSES[["AAA"]].set_axis(["close"], axis=1)),
    ],
    ids=["frame", "series", "matrix", "vector", "bars", "ohlcv frame"],
)
def test_bars_of_every_shape_are_judged_alike(form):
    clean = lookahead(*form(lambda closes: closes.pct_change(3)))
    assert clean.findings == ()
    assert (clean.clean, clean.bars_tested) == (True, 140)
    leaking = lookahead(*form(lambda closes: closes.shift(-1)))
    assert {finding.bar for finding in leaking.findings} == set(range(139))
    assert kinds(leaking) == {"lookahead"}


def test_a_value_that_appears_or_vanishes_is_infinitely_wrong():
    report = lookahead(lambda closes: closes.where(closes < closes.max()), CLOSES)
    assert {finding.size for finding in report.findings} == {math.inf}


def test_rounding_is_no_leak_and_a_small_leak_is():
    noise = iter(range(10**6))
    rounding = lookahead(lambda c: c.pct_change() * (1.0 + 1e-12 * (next(noise) % 3)), CLOSES)
    assert rounding.findings == ()
    assert lookahead(lambda c: c.pct_change() + 1e-6 * c.shift(-1).pct_change(), CLOSES).findings


def test_scalers_and_fitted_transforms():
    for scaler in (StandardScaler(), MinMaxScaler(), PCA(2)):
        assert kinds(lookahead(scaler, BARS.close)) == {"lookahead"}
    honest = StandardScaler().fit(BARS.close[:60])
    assert lookahead(honest, BARS.close, fitted_rows=60).clean
    assert kinds(lookahead(honest, BARS.close, fitted_rows=59)) == {"fitted"}
    with pytest.raises(ValueError, match="fitted_rows"):
        lookahead(honest, BARS.close, fitted_rows=141)
    with pytest.raises(ValueError, match="no fit"):
        lookahead(lambda bars: bars, BARS.close, fitted_rows=5)


@pytest.mark.parametrize("label", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize("horizon", [1, 5])
def test_labels_are_settled_when_they_say_so(label, horizon):
    assert lookahead(label, BARS, horizon=horizon).clean


def test_a_label_that_is_settled_later_than_it_says_is_found():
    class Early:
        name = "early"

        def labelled(self, bars, horizon):
            return LabelledRows(forward_return(bars, 4), forward_return.labelled(bars, 3).end_ns)

    report = lookahead(Early(), BARS)
    assert {finding.bar for finding in report.findings} == set(range(136))
    assert kinds(report) == {"label end"}

    class Endless:
        name = "endless"

        def labelled(self, bars, horizon):
            return LabelledRows(forward_return(bars, 4), np.full(bars.close.shape, MISSING))

    assert kinds(lookahead(Endless(), BARS)) == {"label end"}
    with pytest.raises(ValueError, match="Bars"):
        lookahead(Early(), CLOSES)


def test_what_says_that_it_uses_the_future_is_believed():
    class Confessing:
        uses_future = True

        def __call__(self, bars):
            return bars

    assert kinds(lookahead(Confessing(), CLOSES)) == {"uses future"}


def test_universes_are_judged_by_membership():
    last = lookahead(lambda c: set(c.columns[c.iloc[-1] > c.iloc[0]]), CLOSES)
    assert kinds(last) == {"universe"}
    assert lookahead(lambda c: c.rolling(20).mean().rank(axis=1) <= 2, CLOSES).clean


def records(zone=None):
    stamps = pd.DatetimeIndex(CLOSES.index[::7], tz=zone)
    return pd.DataFrame(
        {
            "period": stamps.append(stamps),
            "known_at": (stamps + pd.Timedelta(days=3)).append(stamps + pd.Timedelta(days=30)),
            "value": np.concatenate([np.arange(len(stamps)), np.arange(len(stamps)) + 0.5]),
        }
    )


def as_known(bars, known):
    at = pd.DataFrame({"at": bars.index})
    return pd.merge_asof(at, known.sort_values(["known_at", "period"]), left_on="at", right_on="known_at")[
        "value"
    ].to_numpy()


def as_restated(bars, known):
    final = known.sort_values("known_at").groupby("period", as_index=False).last()
    at = pd.DataFrame({"at": bars.index})
    return pd.merge_asof(at, final, left_on="at", right_on="period")["value"].to_numpy()


def test_joins_are_judged_on_what_was_known():
    assert lookahead(as_known, CLOSES, records=records()).clean
    assert kinds(lookahead(as_restated, CLOSES, records=records())) == {"restated"}
    both = lookahead(lambda b, k: as_known(b, k) + b["AAA"].shift(-1).to_numpy(), CLOSES, records=records())
    assert "lookahead" in kinds(both)
    nanoseconds = records()
    nanoseconds["known_at"] = nanoseconds["known_at"].astype("datetime64[ns]").astype("int64")
    seen = []
    lookahead(lambda b, k: seen.append(len(k)) or b["AAA"], CLOSES.iloc[:40], records=nanoseconds)
    assert sorted(set(seen))[0] == 0  # on the first bar nothing was known
    assert max(seen) == len(nanoseconds)
    with pytest.raises(ValueError, match="known_at"):
        lookahead(as_known, CLOSES, records=records().drop(columns="known_at"))
    with pytest.raises(ValueError, match="without known_at"):
        lookahead(as_known, CLOSES, records=records().assign(known_at=pd.NaT))
    with pytest.raises(ValueError, match="bars that have times"):
        lookahead(lambda b, k: b, BARS.close, records=records())


def test_what_is_carried_in_from_outside_is_found_where_it_pays():
    following = CLOSES.shift(-1) / CLOSES - 1.0
    alone = CLOSES[["AAA"]]
    report = lookahead(lambda c: following[["AAA"]].reindex(c.index), alone)
    assert kinds(report) == {"foresight"}
    weak = lookahead(lambda c: (following[["AAA"]] > 0.0).reindex(c.index), alone)
    assert kinds(weak) == {"foresight"}  # it ignores every price, and ranks the next return
    assert lookahead(lambda c: pd.Series(c.index.day_of_week, c.index), alone).clean


def test_the_order_of_columns_and_chance_are_found():
    by_place = lookahead(lambda c: c.to_numpy().argsort(axis=1).argsort(axis=1), CLOSES)
    assert kinds(by_place) == {"order"}
    assert lookahead(lambda c: c.rank(axis=1), CLOSES).clean
    market = lookahead(lambda c: c.sub(c["AAA"], axis=0), CLOSES)
    assert market.clean  # one symbol may be treated by its name
    calls = itertools.count()
    report = lookahead(lambda c: c.iloc[:, 0] * 0.0 + next(calls), CLOSES.iloc[:20])
    assert "unstable" in kinds(report) or "lookahead" in kinds(report)


@pytest.mark.parametrize("one", registered_features(), ids=lambda one: one.name)
def test_every_registered_feature_is_clean_and_warm(one):
    bars = planted.planted_bars(one.lookback + 75).tail(one.lookback + 12)
    assert lookahead(one, bars).findings == ()
    assert warmup(one, bars).findings == ()


def test_a_feature_that_carries_the_future_in_is_found():
    future = dict(zip(BARS.close[:-1, 0].tolist(), np.diff(BARS.close[:, 0]).tolist(), strict=True))
    cheat = Feature("cheat_1", 1, lambda w: np.array([future.get(float(c), np.nan) for c in w.close[-1]]))
    assert kinds(lookahead(cheat, BARS)) >= {"foresight"}
    drifting = itertools.count()
    moody = Feature("moody_1", 1, lambda w: w.close[-1] * 0.0 + next(drifting))
    assert not lookahead(moody, BARS).clean


@pytest.mark.parametrize(
    ("feature", "bars", "words"),
    [
        (lambda b: b, CLOSES.iloc[:0], "no bars"),
        (lambda b: b, CLOSES.iloc[::-1], "order of time"),
        (lambda b: b, 3.0, "rows in time"),
        (lambda b: b.iloc[:5].to_numpy(), CLOSES, "one value a row"),
        ("momentum_20", CLOSES, "neither"),
        (registered_features()[0], CLOSES, "Bars"),
    ],
)
def test_what_cannot_be_judged_is_refused(feature, bars, words):
    with pytest.raises(ValueError, match=words):
        lookahead(feature, bars)


# --- warm-up ------------------------------------------------------------------------------------------


def test_warmup_is_judged_on_decisions_and_not_only_on_values():
    def mean(closes):
        return closes.ewm(span=10, adjust=False).mean()

    cold = warmup(mean, CLOSES, lookback=10)
    assert kinds(cold) <= {"value", "decision"}
    assert {finding.bar for finding in cold.findings} == set(range(10, 140))  # the first has no more rows
    # prices are all positive and their order is stable, so few decisions change; a crossing changes many
    crossing = warmup(lambda c: c - mean(c), CLOSES, lookback=10)
    assert len([f for f in crossing.findings if f.kind == "decision"]) > len(
        [f for f in cold.findings if f.kind == "decision"]
    )
    always_long = warmup(lambda c: c - mean(c), CLOSES, lookback=10, decide=lambda values: True)
    assert kinds(always_long) == {"value"}
    assert warmup(mean, CLOSES, lookback=120).findings == ()


def test_a_function_that_declares_no_lookback_is_warm_from_its_first_value_on():
    assert warmup(lambda c: c.rolling(20).mean(), CLOSES).clean
    assert warmup(lambda c: c.rolling(20).mean(), CLOSES).bars_tested == 121
    assert not warmup(lambda c: c.ewm(span=20, min_periods=20).mean(), CLOSES).clean
    assert not warmup(lambda c: c.cumsum(), CLOSES).clean

    class Declaring:
        lookback = 19

        def __call__(self, closes):
            return closes.rolling(20).mean()

    assert {f.size for f in warmup(Declaring(), CLOSES).findings} == {math.inf}
    with pytest.raises(ValueError, match="lookback"):
        warmup(lambda c: c, CLOSES, lookback=0)


def test_nothing_tested_is_not_clean():
    report = warmup(lambda c: c.rolling(20).mean(), CLOSES, lookback=141)
    assert report.findings == ()
    assert not report.clean
    assert "no bar could be tested" in report.summary


# --- overlap ------------------------------------------------------------------------------------------


def slow_overlap(splits, ends):
    touched = np.zeros(len(ends))
    for train, test in splits:
        for row in train:
            touched[row] += sum(row <= ends[t] and t <= ends[row] for t in test)
    return {row: size for row, size in enumerate(touched) if size}


@pytest.mark.parametrize("seed", range(5))
def test_label_overlap_equals_the_slow_count(seed):
    draw = np.random.default_rng(seed)
    ends = np.minimum(np.arange(40) + draw.integers(0, 6, 40), 39)
    splits = list(
        KFold(4, shuffle=bool(seed % 2), random_state=seed if seed % 2 else None).split(np.zeros(40))
    )
    report = wb.validation.detect_label_overlap(splits, ends)
    assert {finding.bar: finding.size for finding in report.findings} == slow_overlap(splits, ends)
    purged = wb.validation.PurgedKFold(4, purge=ends, embargo=0).split(np.zeros(40))
    assert wb.validation.detect_label_overlap(purged, ends).clean


def test_overlap_of_impossible_labels_is_refused():
    with pytest.raises(ValueError, match="row 2 ends before"):
        wb.validation.detect_label_overlap([], [0, 1, 1, 3])


def test_missing_bars_are_no_leak():
    holed = replace(BARS, tradable=BARS.tradable.copy())
    holed.tradable[30:33, 1] = False
    for one in registered_features()[:4]:
        assert lookahead(one, holed).findings == ()
