"""Overfitting estimates equal published numbers, slow oracles and other libraries, and refuse bad input."""

from __future__ import annotations

import itertools
import math
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

import workbench as wb

of = wb.overfitting
A_YEAR = 250


def noise(seed, rows=64, trials=7):
    return np.random.default_rng(seed).normal(0.0005, 0.01, (rows, trials))


# --- PBO ----------------------------------------------------------------------------------------------


def slow_pbo(returns, n_blocks, statistic, ties, boundary):
    """The definition, half by half, with scipy's ranks."""
    returns = np.asarray(returns, dtype=float)
    returns = returns[len(returns) % n_blocks :]
    blocks = np.array_split(returns, n_blocks)
    score = {
        "mean": lambda half: half.mean(axis=0),
        "sharpe": lambda half: half.mean(axis=0) / half.std(axis=0, ddof=1),
    }[statistic]
    rows = []
    for inside in itertools.combinations(range(n_blocks), n_blocks // 2):
        chosen = np.vstack([blocks[at] for at in inside])
        rest = np.vstack([blocks[at] for at in range(n_blocks) if at not in inside])
        best = int(np.argmax(score(chosen)))
        out = score(rest)
        omega = stats.rankdata(out, method=ties)[best] / (returns.shape[1] + 1)
        rows.append((math.log(omega / (1 - omega)), score(chosen)[best], out[best], out.mean(), best))
    logits, inside, outside, average, best = (np.array(column) for column in zip(*rows, strict=True))
    return {
        "pbo": np.mean(logits <= 1e-12) if boundary == "le" else np.mean(logits < -1e-12),
        "logits": logits,
        "line": stats.linregress(inside, outside) if np.ptp(inside) > 0 else None,
        "loss": np.mean(outside < 0),
        "outside": outside,
        "average": average,
        "selected": best,
    }


@pytest.mark.parametrize("statistic", ["sharpe", "mean"])
@pytest.mark.parametrize("boundary", ["le", "lt"])
@pytest.mark.parametrize(("rows", "trials", "n_blocks"), [(64, 7, 8), (61, 6, 4), (50, 2, 10), (9, 3, 2)])
def test_pbo_equals_the_slow_definition(statistic, boundary, rows, trials, n_blocks):
    returns = noise(rows, rows, trials)
    found = of.probability_of_backtest_overfitting(
        returns, n_blocks=n_blocks, statistic=statistic, boundary=boundary
    )
    slow = slow_pbo(returns, n_blocks, statistic, "average", boundary)
    assert found.pbo == pytest.approx(slow["pbo"])
    np.testing.assert_allclose(found.logits, slow["logits"], atol=1e-12)
    np.testing.assert_allclose(found.out_of_sample, slow["outside"], rtol=1e-9)
    np.testing.assert_allclose(found.mean_out_of_sample, slow["average"], rtol=1e-7, atol=1e-12)
    assert found.selected.tolist() == slow["selected"].tolist()
    assert found.slope == pytest.approx(slow["line"].slope, rel=1e-7)
    assert found.intercept == pytest.approx(slow["line"].intercept, rel=1e-7, abs=1e-12)
    assert found.r_squared == pytest.approx(slow["line"].rvalue ** 2, rel=1e-6)
    assert found.probability_of_loss == pytest.approx(slow["loss"])
    assert found.n_combinations == math.comb(n_blocks, n_blocks // 2)
    assert found.n_dropped == rows % n_blocks


def test_pbo_of_the_constructed_cases():
    first = [[3.0, 1.0, 2.0], [1.0, 2.0, 3.0]]
    for boundary, expected in (("le", 1.0), ("lt", 0.5)):
        found = of.probability_of_backtest_overfitting(first, n_blocks=2, statistic="mean", boundary=boundary)
        assert found.pbo == expected
        assert f"{boundary}:" in found._repr_html_()
    assert math.isnan(found.slope)  # both winners have 3 in sample: there is no line
    second = [[1.0, 0.0], [1.0, 0.0], [0.0, 2.0], [0.0, 2.0]]
    found = of.probability_of_backtest_overfitting(second, n_blocks=4, statistic="mean")
    assert found.pbo == pytest.approx(2 / 6)
    assert found.slope == pytest.approx(-0.8)
    assert found.probability_of_loss == 0.0  # two winners earn exactly nothing: that is no loss
    assert of.probability_of_backtest_overfitting(noise(1), n_blocks=16).n_combinations == 12_870


@pytest.mark.parametrize("ties", ["average", "min", "max"])
@pytest.mark.parametrize("seed", range(6))
def test_ties_share_ranks_as_they_say(ties, seed):
    returns = np.random.default_rng(seed).integers(0, 3, (8, 5)).astype(float)
    slow = slow_pbo(returns, 4, "mean", ties, "le")
    found = of.probability_of_backtest_overfitting(returns, n_blocks=4, statistic="mean", ties=ties)
    np.testing.assert_allclose(found.logits, slow["logits"], atol=1e-12)
    assert found.selected.tolist() == slow["selected"].tolist()  # the first on ties
    assert found.pbo == pytest.approx(slow["pbo"])


def slow_dominance(winner, average):
    """From the two distribution functions on a grid of all values; the second by exact running integrals."""
    grid = np.sort(np.concatenate([winner, average]))
    above = np.array([np.mean(average <= x) - np.mean(winner <= x) for x in grid])
    integral = np.concatenate([[0.0], np.cumsum(above[:-1] * np.diff(grid))])
    return tuple(bool(np.all(f >= -1e-12) and np.any(f > 1e-12)) for f in (above, integral))


def test_dominance_is_of_distribution_functions_and_of_their_running_integral():
    seen = set()
    for seed in range(60):
        draw = np.random.default_rng(seed)
        returns = noise(seed, 24, 3) + draw.uniform(-0.004, 0.012, 3)
        found = of.probability_of_backtest_overfitting(returns, n_blocks=6)
        verdict = (found.first_order_dominance, found.second_order_dominance)
        assert verdict == slow_dominance(found.out_of_sample, found.mean_out_of_sample)
        assert all(isinstance(one, bool) for one in verdict)
        seen.add(verdict)
    assert seen == {(False, False), (False, True), (True, True)}


@given(st.integers(0, 10_000))
def test_pbo_does_not_depend_on_the_order_of_trials_or_on_their_scale(seed):
    draw = np.random.default_rng(seed)
    returns = draw.normal(0.0, 0.01, (32, 5))
    found = of.probability_of_backtest_overfitting(returns, n_blocks=8)
    turned = of.probability_of_backtest_overfitting(
        returns[:, draw.permutation(5)] * draw.uniform(0.1, 10.0), n_blocks=8
    )
    assert found.pbo == turned.pbo
    np.testing.assert_allclose(found.out_of_sample, turned.out_of_sample, rtol=1e-6, atol=1e-9)


def test_pbo_of_skill_is_low_and_that_of_noise_is_half():
    skill = noise(3, 640, 40)
    skill[:, 11] += 0.004
    assert of.probability_of_backtest_overfitting(skill).pbo < 0.01
    half = np.mean(
        [of.probability_of_backtest_overfitting(noise(s, 160, 21), n_blocks=8).pbo for s in range(40)]
    )
    assert 0.4 < half < 0.6


def test_frames_of_a_result_hold_what_the_pictures_show():
    frame = pd.DataFrame(noise(5), columns=list("abcdefg"))
    found = of.probability_of_backtest_overfitting(frame, n_blocks=8)
    table = found.combinations
    assert set(table["selected"]) <= set("abcdefg")
    assert table["logit"].tolist() == found.logits.tolist()
    curve = found.rank_curve
    assert curve["share"].iloc[-1] == 1.0
    assert curve["share"].is_monotonic_increasing
    below = curve.loc[curve["place"] <= 0.5 + 1e-12, "share"]
    assert below.iloc[-1] == pytest.approx(found.pbo)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda r: r.__setitem__((5, 2), np.nan), "1 missing or infinite .* row 5 of trial '2'"),
        (lambda r: r.__setitem__((5, 2), np.inf), "row 5 of trial '2'"),
        (lambda r: r.__setitem__((slice(None), 1), 0.01), "constant trial.* '1'"),
        (lambda r: r.__setitem__((slice(None), 4), r[:, 0]), "trial '4' repeats trial '0'"),
        (lambda r: r.__setitem__((slice(0, 40), 3), 0.0), "trial '3' never varies in 5 of 8 blocks"),
    ],
)
def test_bad_returns_are_refused_by_name(change, words):
    returns = noise(2)
    change(returns)
    with pytest.raises(ValueError, match=words):
        of.probability_of_backtest_overfitting(returns, n_blocks=8)


@pytest.mark.parametrize(
    ("returns", "options", "words"),
    [
        (noise(1, 7), {"n_blocks": 8}, "7 rows are too few for 8 blocks"),
        (noise(1, 3), {"n_blocks": 2}, "at least 4"),
        (noise(1), {"n_blocks": 7}, "even"),
        (noise(1), {"n_blocks": 22}, "2 to 20"),
        (noise(1), {"n_blocks": 2.0}, "n_blocks"),
        (noise(1, trials=1), {}, "at least 2"),
        (noise(1)[:, 0], {}, "rows and trials"),
        (noise(1), {"statistic": "sortino"}, "statistic must be one of"),
        (noise(1), {"ties": "dense"}, "ties must be one of"),
        (noise(1), {"boundary": "<="}, "boundary must be one of"),
    ],
)
def test_calls_that_cannot_be_answered_are_refused(returns, options, words):
    with pytest.raises(ValueError, match=words):
        of.probability_of_backtest_overfitting(returns, **options)


# --- Sharpe ratios ------------------------------------------------------------------------------------


def test_probabilistic_sharpe_ratio_of_the_published_cases():
    plain = of.probabilistic_sharpe_ratio(sharpe=0.458, n_obs=24, skew=0.0, kurtosis=3.0)
    fat = of.probabilistic_sharpe_ratio(sharpe=0.458, n_obs=24, skew=-2.448, kurtosis=10.164)
    assert (round(plain, 4), round(fat, 4)) == (0.9817, 0.9134)
    assert "not excess" in plain._repr_html_()


DSR = {"n_obs": 1250, "skew": -3.0, "n_trials": 100}


def test_deflated_sharpe_ratio_of_the_published_case_and_not_of_its_wrong_variants():
    sharpe, variance = 2.5 / math.sqrt(A_YEAR), 0.5 / A_YEAR
    right = of.deflated_sharpe_ratio(sharpe=sharpe, kurtosis=10.0, trial_sharpe_variance=variance, **DSR)
    assert right == pytest.approx(0.90040, abs=5e-6)
    # each wrong reading has its own number, which the right one is not
    excess = of.deflated_sharpe_ratio(sharpe=sharpe, kurtosis=7.0, trial_sharpe_variance=variance, **DSR)
    assert excess == pytest.approx(0.90178, abs=5e-6)
    annual = of.deflated_sharpe_ratio(sharpe=2.5, kurtosis=10.0, trial_sharpe_variance=0.5, **DSR)
    assert annual == pytest.approx(0.9999999, abs=5e-8)
    deviation = 0.5 / math.sqrt(A_YEAR)  # the variance taken for a deviation
    misread = of.deflated_sharpe_ratio(
        sharpe=sharpe, kurtosis=10.0, trial_sharpe_variance=deviation**2, **DSR
    )
    assert misread == pytest.approx(0.98715, abs=5e-6)
    assert right.threshold == pytest.approx(math.sqrt(variance) * 2.5306, rel=1e-3)


def test_with_one_trial_the_deflated_ratio_is_the_probabilistic_one():
    moments = {"sharpe": 0.05, "n_obs": 500, "skew": -0.2, "kurtosis": 4.0}
    one = of.deflated_sharpe_ratio(**moments, n_trials=1, trial_sharpe_variance=0.01)
    assert one == of.probabilistic_sharpe_ratio(**moments)
    assert one.threshold == 0.0
    few = [
        of.deflated_sharpe_ratio(**moments, n_trials=n, trial_sharpe_variance=0.001)
        for n in (1, 1.2, 2, 5, 100)
    ]
    assert few == sorted(few, reverse=True)


@given(st.floats(-0.3, 0.3), st.integers(2, 5000), st.floats(-0.5, 0.5), st.floats(2.0, 9.0))
def test_the_probabilistic_ratio_equals_its_formula(sharpe, n_obs, skew, kurtosis):
    found = of.probabilistic_sharpe_ratio(
        sharpe=sharpe, n_obs=n_obs, skew=skew, kurtosis=kurtosis, benchmark=0.01
    )
    root = math.sqrt(1 - skew * sharpe + (kurtosis - 1) / 4 * sharpe**2)
    assert found == pytest.approx(stats.norm.cdf((sharpe - 0.01) * math.sqrt(n_obs - 1) / root), abs=1e-12)


def test_lengths_of_record_and_of_backtest_as_published():
    days = of.minimum_track_record_length(
        sharpe=2 / math.sqrt(A_YEAR), benchmark=1 / math.sqrt(A_YEAR), skew=0.0, kurtosis=3.0, confidence=0.95
    )
    assert days / A_YEAR == pytest.approx(2.731, abs=5e-4)
    assert of.minimum_backtest_length(n_trials=45) == pytest.approx(4.998, abs=5e-4)
    assert of.minimum_backtest_length(n_trials=45, expected_max_sharpe=2.0) == pytest.approx(
        4.998 / 4, abs=5e-4
    )
    assert of.minimum_backtest_length(n_trials=1) == 0.0
    never = of.minimum_track_record_length(sharpe=0.1, benchmark=0.1, skew=0, kurtosis=3, confidence=0.9)
    assert never == math.inf


def test_a_record_of_the_minimum_length_has_exactly_the_confidence():
    moments = {"sharpe": 0.1, "skew": -0.5, "kurtosis": 5.0}
    length = of.minimum_track_record_length(**moments, benchmark=0.03, confidence=0.97)
    root = math.sqrt(1 + 0.05 + 0.01)
    assert stats.norm.cdf(0.07 * math.sqrt(length - 1) / root) == pytest.approx(0.97)


def test_moments_are_those_of_scipy():
    values = np.random.default_rng(4).standard_t(5, 300) * 0.01 + 0.001
    found = of.sharpe_moments(values)
    assert found.sharpe == pytest.approx(values.mean() / values.std(ddof=1))
    assert found.skew == pytest.approx(stats.skew(values))
    assert found.kurtosis == pytest.approx(stats.kurtosis(values, fisher=False))
    assert found.n_obs == 300


@pytest.mark.parametrize("rho", [-0.3, 0.0, 0.2, 0.6])
def test_annual_sharpe_under_autocorrelation_as_lo_has_it_in_closed_form(rho):
    q = 12
    found = of.annualised_sharpe(
        sharpe=0.3, periods_per_year=q, autocorrelations=[rho**k for k in range(1, q)]
    )
    closed = math.sqrt(q) / math.sqrt(1 + 2 * rho / (1 - rho) * (1 - (1 - rho**q) / (q * (1 - rho))))
    assert found == pytest.approx(0.3 * closed)
    assert found.factor == pytest.approx(closed)
    plain = of.annualised_sharpe(sharpe=0.3, periods_per_year=q, autocorrelations=[])
    assert plain == pytest.approx(0.3 * math.sqrt(q))
    # what lies beyond a year cannot matter
    longer = of.annualised_sharpe(sharpe=0.3, periods_per_year=2, autocorrelations=[rho, 0.9, 0.9])
    assert longer == of.annualised_sharpe(sharpe=0.3, periods_per_year=2, autocorrelations=[rho])


def test_autocorrelations_are_those_of_the_definition():
    values = noise(9, 200, 1)[:, 0]
    found = of.autocorrelations(values, lags=3)
    away = values - values.mean()
    assert found.tolist() == pytest.approx([(away[k:] @ away[:-k]) / (away @ away) for k in (1, 2, 3)])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: of.probabilistic_sharpe_ratio(sharpe=math.nan, n_obs=9, skew=0, kurtosis=3), "sharpe"),
        (lambda: of.probabilistic_sharpe_ratio(sharpe=1, n_obs=1, skew=0, kurtosis=3), "n_obs"),
        (lambda: of.probabilistic_sharpe_ratio(sharpe=1, n_obs=9, skew=0, kurtosis=0.5), "no distribution"),
        (lambda: of.minimum_backtest_length(n_trials=0), "at least one"),
        (lambda: of.minimum_backtest_length(n_trials=0.5), "at least one"),
        (lambda: of.minimum_backtest_length(n_trials=5, expected_max_sharpe=0), "expected_max_sharpe"),
        (
            lambda: of.deflated_sharpe_ratio(
                sharpe=1, n_obs=9, skew=0, kurtosis=3, n_trials=0, trial_sharpe_variance=1
            ),
            "at least one",
        ),
        (
            lambda: of.deflated_sharpe_ratio(
                sharpe=1, n_obs=9, skew=0, kurtosis=3, n_trials=2, trial_sharpe_variance=-1
            ),
            "negative",
        ),
        (
            lambda: of.minimum_track_record_length(sharpe=1, benchmark=0, skew=0, kurtosis=3, confidence=95),
            "confidence",
        ),
        (lambda: of.sharpe_moments([1.0, 1.0, 1.0, 1.0]), "never vary"),
        (lambda: of.sharpe_moments([1.0, 2.0, math.nan, 1.0]), "row 2"),
        (lambda: of.sharpe_moments([1.0, 2.0]), "four"),
        (lambda: of.autocorrelations([1.0, 2.0, 1.0, 3.0], lags=4), "lag 4"),
        (lambda: of.annualised_sharpe(sharpe=1, periods_per_year=3, autocorrelations=[1.5]), "-1 to 1"),
        (
            lambda: of.annualised_sharpe(sharpe=1, periods_per_year=9, autocorrelations=[-1.0]),
            "positive variance",
        ),
        (lambda: of.adjust_p_values([0.1, math.nan], method="holm"), "p-value 1"),
        (lambda: of.adjust_p_values([0.1, 1.1], method="holm"), "p-value 1"),
        (lambda: of.adjust_p_values([], method="holm"), "at least one"),
        (lambda: of.adjust_p_values([0.1], method="fdr"), "method"),
        (
            lambda: of.haircut_sharpe(sharpe=1, n_obs=99, n_trials=0, method="holm", periods_per_year=12),
            "n_trials",
        ),
        (
            lambda: of.haircut_sharpe(
                sharpe=1, n_obs=99, n_trials=3, method="bhy", periods_per_year=12, other_p_values=[0.1]
            ),
            "2 other",
        ),
    ],
)
def test_numbers_that_cannot_be_are_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


# --- p-values -----------------------------------------------------------------------------------------

SIX = [0.005, 0.009, 0.0128, 0.0135, 0.045, 0.06]


@pytest.mark.parametrize(("method", "left"), [("bonferroni", 1), ("holm", 2), ("bhy", 4)])
def test_of_six_published_p_values_so_many_survive(method, left):
    assert (of.adjust_p_values(SIX, method=method) <= 0.05).sum() == left


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=30))
def test_adjusted_p_values_are_those_of_statsmodels(values):
    for method, theirs in (("bonferroni", "bonferroni"), ("holm", "holm"), ("bhy", "fdr_by")):
        expected = multipletests(values, method=theirs)[1]
        np.testing.assert_allclose(of.adjust_p_values(values, method=method), expected, atol=1e-12)


def test_a_haircut_leaves_what_would_be_as_significant_alone():
    cut = {
        method: of.haircut_sharpe(sharpe=1.0, n_obs=240, n_trials=50, method=method, periods_per_year=12)
        for method in ("bonferroni", "holm", "bhy")
    }
    for left in cut.values():
        t = float(left) * math.sqrt(20)
        assert 2 * stats.t.sf(t, 239) == pytest.approx(left.adjusted_p_value)
        assert left.p_value == pytest.approx(2 * stats.t.sf(math.sqrt(20), 239))
        assert left.haircut == pytest.approx(1 - float(left))
    assert cut["bonferroni"] == cut["holm"] > cut["bhy"]  # the best of many; the rest taken as worthless
    assert cut["bonferroni"].adjusted_p_value == pytest.approx(50 * cut["bonferroni"].p_value)
    others = np.full(49, 1e-6)
    good = of.haircut_sharpe(
        sharpe=1.0, n_obs=240, n_trials=50, method="bhy", periods_per_year=12, other_p_values=others
    )
    assert good > cut["bhy"]
    one = of.haircut_sharpe(
        sharpe=1.0, n_obs=240, n_trials=1, method="holm", periods_per_year=12, distribution="normal"
    )
    assert one == pytest.approx(1.0)
    assert one.p_value == pytest.approx(2 * stats.norm.sf(math.sqrt(20)))
    gone = of.haircut_sharpe(sharpe=0.1, n_obs=60, n_trials=99, method="bonferroni", periods_per_year=12)
    assert (gone, gone.haircut) == (0.0, 1.0)
    short = of.haircut_sharpe(sharpe=-1.0, n_obs=240, n_trials=50, method="holm", periods_per_year=12)
    assert short == pytest.approx(-cut["holm"])


def test_an_estimate_is_a_float_that_keeps_its_conventions():
    made = of.haircut_sharpe(sharpe=1.0, n_obs=240, n_trials=5, method="holm", periods_per_year=12)
    again = pickle.loads(pickle.dumps(made))  # noqa: S301
    assert again == made
    assert (again.name, dict(again.conventions), again.haircut) == (
        made.name, dict(made.conventions), made.haircut,
    )  # fmt: skip
    assert made + 1.0 == float(made) + 1.0
    with pytest.raises(AttributeError, match="cannot be changed"):
        made.name = "other"
    with pytest.raises(AttributeError, match="no attribute 'p'"):
        _ = made.p
    for text in ("holm", "trials", "5", "two-sided"):
        assert text in made._repr_html_()
