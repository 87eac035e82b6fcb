"""The gate believes what its rule says, and is not talked round by copies, padding or omissions."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

import workbench as wb
from workbench.core.overfitting.alike import alike_pvalue

of = wb.overfitting
ROWS = 2_600
CASH = np.zeros(ROWS)


def family(seed, trials, sharpe=(), rows=ROWS):
    """Independent trials with 1 % daily deviation; the first ones have an annual Sharpe ratio."""
    returns = np.random.default_rng(seed).normal(0.0, 0.01, (rows, trials))
    returns -= returns.mean(axis=0)
    for column, annual in enumerate(sharpe):
        returns[:, column] += annual / math.sqrt(252) * 0.01
    return returns


def judge(returns, candidate="0", benchmark=CASH, **options):
    return of.judge_family(
        returns, benchmark, candidate=candidate, mean_block=5, seed=3, **{"n_bootstrap": 400, **options}
    )


def test_skill_among_noise_passes_and_each_part_says_so():
    verdict = judge(family(1, 20, [2.5]))
    assert verdict.passed
    assert verdict.reasons == ()
    assert (verdict.n_trials, verdict.clusters.n_clusters, verdict.n_obs) == (20, 20, ROWS)
    assert verdict.pbo_identified
    assert verdict.overfitting.pbo <= 0.2
    assert verdict.superiority.selected == 0
    assert "passed" in verdict._repr_html_()


def test_the_best_of_noise_is_refused_with_every_reason():
    returns = np.random.default_rng(5).normal(0.0, 0.01, (ROWS, 40))
    best = str(int(np.argmax(returns.mean(axis=0) / returns.std(axis=0))))
    verdict = judge(returns, best)
    assert not verdict.passed
    assert any(reason.startswith("deflated Sharpe ratio") for reason in verdict.reasons)
    assert "refused" in verdict._repr_html_()


def test_the_candidate_does_not_raise_its_own_bar():
    """The textbook variance counts the candidate itself and so refuses the very skill it looks for."""
    returns = family(2, 12, [2.0])
    ratios = returns.mean(axis=0) / returns.std(axis=0, ddof=1)
    moments = of.sharpe_moments(returns[:, 0])
    textbook = of.deflated_sharpe_ratio(
        **moments._asdict(), n_trials=12, trial_sharpe_variance=float(ratios.var(ddof=1))
    )
    ours = judge(returns).deflated
    assert ours.threshold < textbook.threshold
    others = ratios[1:]
    expected = max(1 / (ROWS - 1), others.var(ddof=1))
    assert ours.threshold == pytest.approx(math.sqrt(expected) * of.expected_maximum(12))


def test_near_copies_of_a_dull_trial_do_not_lower_the_bar():
    returns = family(3, 12, [1.5])
    draw = np.random.default_rng(9)
    copies = returns[:, [5]] + draw.normal(0.0, 0.0005, (ROWS, 300))
    padded = judge(np.hstack([returns, copies]))
    plain = judge(returns)
    assert padded.n_trials == 312
    assert padded.clusters.n_clusters == plain.clusters.n_clusters == 12
    assert padded.deflated == pytest.approx(plain.deflated, abs=0.01)
    assert padded.overfitting.n_trials == 12


def test_with_few_clusters_the_probability_of_loss_decides():
    base = family(4, 1, [2.0])
    draw = np.random.default_rng(2)
    plateau = base + draw.normal(0.0, 0.001, (ROWS, 8))
    verdict = judge(plateau)
    assert verdict.clusters.n_clusters == 1
    assert not verdict.pbo_identified
    assert "not identified" in verdict._repr_html_()
    assert verdict.passed
    weak = judge(family(4, 3, [0.6, 0.5, 0.4]))
    assert any("PBO not identified" in reason for reason in weak.reasons)
    alone = judge(base)
    assert alone.passed
    assert alone.overfitting is None
    assert not judge(-base).passed


def test_among_equals_that_never_lose_the_choice_does_not_matter():
    equals = judge(family(10, 10, [1.5] * 10))
    assert equals.overfitting.pbo > 0.20  # the best of equals is any of them
    assert equals.alike >= 0.01
    assert equals.passed
    strict = judge(family(10, 10, [1.5] * 10), rule=of.GateRule(least_alike=1.1))
    assert len(strict.reasons) == 1
    assert strict.reasons[0].endswith("is above 0.2")  # as it was before: the PBO alone refuses
    noise = judge(family(10, 10, []))
    assert any("and probability of loss" in reason for reason in noise.reasons)


def test_unlike_trials_with_an_unstable_choice_are_refused_though_none_loses():
    verdict = judge(family(5, 10, [2.5] * 9 + [-9.0]))
    assert verdict.overfitting.pbo > 0.20
    assert verdict.overfitting.probability_of_loss <= 0.05
    assert verdict.alike < 0.01
    assert verdict.reasons[-1].endswith("is above 0.2")  # the PBO refuses, for all that nothing was lost


def test_the_test_of_likeness_is_that_of_an_independent_library():
    from scipy.stats import f, friedmanchisquare

    draw = np.random.default_rng(3)
    for trials, blocks, ties in ((3, 6, False), (5, 16, True), (40, 10, False)):
        returns = draw.normal(0.0, 0.01, (blocks * 30 + 2, trials))
        if ties:
            returns[: blocks * 15, :3] = 0.0  # flat together for half of the time
        used = returns[2:]
        means = used.reshape(blocks, 30, trials).mean(axis=1) / used.std(axis=0)
        chi2 = friedmanchisquare(*means.T).statistic
        statistic = (blocks - 1) * chi2 / (blocks * (trials - 1) - chi2)
        expected = f.sf(statistic, trials - 1, (trials - 1) * (blocks - 1))
        assert alike_pvalue(returns, blocks) == pytest.approx(expected)
    ordered = np.tile([1.0, 2.0, 3.0], (8, 1)) + np.tile([[0.1], [-0.1]], (4, 3))
    assert alike_pvalue(ordered, 4) == 0.0
    same = np.repeat(draw.normal(size=(40, 1)), 4, axis=1)
    assert alike_pvalue(same, 4) == 1.0


def test_holding_what_rises_is_no_skill():
    market = np.random.default_rng(6).normal(0.001, 0.01, ROWS)
    returns = market[:, None] + np.random.default_rng(7).normal(0.0, 0.004, (ROWS, 15))
    best = str(int(np.argmax(returns.mean(axis=0))))
    assert judge(returns, best).deflated > 0.99  # against cash: it rose
    assert not judge(returns, best, benchmark=market).passed


def test_too_few_rows_are_refused_however_good():
    verdict = judge(family(1, 10, [4.0], rows=2_519), benchmark=np.zeros(2_519))
    assert verdict.reasons == ("2519 rows out of sample are fewer than 2520",)


def test_every_limit_of_the_rule_acts():
    returns = family(1, 20, [2.5])
    for change, words in (
        ({"least_deflated": 1.1}, "deflated"),
        ({"most_spa_pvalue": -1.0}, "SPA"),
        ({"most_pbo": -1.0, "least_alike": 1.1}, "backtest overfitting"),
        ({"most_pbo": -1.0, "least_alike": 0.0, "most_loss": -1.0}, "probability of loss"),
        ({"least_rows": 9_999}, "rows"),
        ({"least_clusters": 99, "most_loss": -1.0}, "probability of loss"),
    ):
        verdict = judge(returns, rule=of.GateRule(**change))
        assert len(verdict.reasons) == 1
        assert words in verdict.reasons[0]


def test_the_verdict_is_the_same_each_time_and_does_not_depend_on_the_order_of_trials():
    returns = pd.DataFrame(family(8, 15, [1.4]), columns=[f"t{at}" for at in range(15)])
    one, again = judge(returns, "t0"), judge(returns[returns.columns[::-1]], "t0")
    assert one.deflated == pytest.approx(again.deflated)
    assert one.superiority.pvalues == again.superiority.pvalues
    assert one.overfitting.pbo == again.overfitting.pbo
    assert judge(returns, "t0").reasons == one.reasons


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (lambda r: r, {"candidate": "99"}, "'99' is not among the 6"),
        (lambda r: r.__setitem__((3, 3), np.nan) or r, {}, "row 3 of trial '3'"),
        (lambda r: r.__setitem__((slice(None), 3), 0.0) or r, {}, "never varies"),
        (lambda r: r, {"benchmark": np.zeros(9)}, "the benchmark has shape"),
        (lambda r: r, {"benchmark": np.full(ROWS, np.nan)}, "benchmark has 2600 missing"),
    ],
)
def test_what_cannot_be_judged_is_refused(change, options, words):
    with pytest.raises(ValueError, match=words):
        judge(change(family(1, 6, [2.0])), **{"candidate": "0", **options})


# --- clusters -----------------------------------------------------------------------------------------


def test_clusters_are_groups_of_likes_numbered_by_appearance():
    draw = np.random.default_rng(1)
    base = draw.normal(size=(500, 3))
    near = base[:, [1, 0, 1, 2, 0]] + 0.3 * draw.normal(size=(500, 5))
    found = of.cluster_trials(near)
    assert found.labels.tolist() == [0, 1, 0, 2, 1]
    assert found.n_clusters == 3
    assert set(found.labels[found.representatives]) == {0, 1, 2}
    assert "average linkage" in found._repr_html_()
    assert of.cluster_trials(near[:, :1]).n_clusters == 1
    with pytest.raises(ValueError, match="between 0 and 1"):
        of.cluster_trials(near, correlation=1.0)
    with pytest.raises(ValueError, match="too few to correlate"):
        of.cluster_trials(near[:2])


# --- families of real strategies ----------------------------------------------------------------------


def slow_held(closes, wanted, hold, cost):
    """Net returns of a book that is set to `wanted` every `hold` sessions, in plain loops."""
    book, out = dict.fromkeys(closes, 0.0), []
    for at in range(len(closes) - 1):
        paid = 0.0
        if at % hold == 0:
            target = wanted(at)
            paid = sum(abs(target[s] - book[s]) for s in book) * cost / 1e4
            book = dict(target)
        moves = {s: closes[s].iloc[at + 1] / closes[s].iloc[at] - 1 for s in book}
        earned = sum(book[s] * moves[s] for s in book)
        book = {s: book[s] * (1 + moves[s]) / (1 + earned) for s in book}
        out.append(earned - paid)
    return out


def test_variants_earn_after_the_signal_was_known_and_pay_for_every_trade():
    draw = np.random.default_rng(3)
    closes = pd.DataFrame(
        50 * np.cumprod(1 + draw.normal(0, 0.02, (40, 4)), axis=0),
        columns=list("ABCD"), index=pd.date_range("2020-01-01", periods=40),
    )  # fmt: skip
    made = of.strategy_variants(
        closes, cost_bps=10.0, lookbacks=[3, 5], holds=[1, 4], tops=[2], signals=["momentum", "reversal"]
    )
    assert made.returns.shape == (40 - 7, 8)
    first = 6
    for sign, signal in ((1, "momentum"), (-1, "reversal")):
        for hold in (1, 4):

            def wanted(at, sign=sign):
                row = first + at
                score = sign * (closes.iloc[row] / closes.iloc[row - 5] - 1)
                best = set(score.sort_values(ascending=False).index[:2])
                return {s: 0.5 * (s in best) for s in closes}

            slow = slow_held(closes.iloc[first:], wanted, hold, 10.0)
            np.testing.assert_allclose(made.returns[f"{signal}_5_{hold}_2"], slow, rtol=1e-9, atol=1e-12)
    slow = slow_held(closes.iloc[first:], lambda at: dict.fromkeys(closes, 0.25), 21, 10.0)
    np.testing.assert_allclose(made.benchmark, slow, rtol=1e-9, atol=1e-12)
    dear = of.strategy_variants(closes, cost_bps=20.0, lookbacks=[3, 5], holds=[1, 4], tops=[2])
    assert (dear.returns.mean()[made.returns.columns] < made.returns.mean()).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cost_bps": -1.0}, "cost_bps"),
        ({"signals": ["luck"]}, "luck"),
        ({"lookbacks": [1]}, "lookbacks"),
        ({"tops": [5]}, "tops"),
        ({"lookbacks": [40]}, "too few"),
        ({"holds": []}, "signals"),
    ],
)
def test_variants_that_cannot_be_are_refused(change, words):
    closes = pd.DataFrame(np.ones((40, 4)) + np.arange(40)[:, None], columns=list("ABCD"))
    options = {"cost_bps": 1.0, "lookbacks": [3], "holds": [1], "tops": [2], **change}
    with pytest.raises(ValueError, match=words):
        of.strategy_variants(closes, **options)
    holed = closes.astype(float)
    holed.iloc[3, 2] = np.nan
    with pytest.raises(ValueError, match="gaps"):
        of.strategy_variants(holed, cost_bps=1.0, lookbacks=[3], holds=[1], tops=[2])


def test_selection_paths_hold_the_winner_of_each_training_set():
    returns = pd.DataFrame(family(4, 5, [1.0], rows=120))
    cv = wb.validation.CombinatorialPurgedKFold(6, 2, purge=2, embargo=1)
    paths = of.selection_paths(returns, cv)
    assert paths.shape == (120, 5)
    splits = list(cv.split(returns))
    for path, table in zip(paths.to_numpy().T, cv.paths(), strict=True):
        for fold, number in enumerate(table):
            train, _ = splits[number]
            ratios = returns.iloc[train].mean() / returns.iloc[train].std()
            rows = slice(fold * 20, fold * 20 + 20)
            assert path[rows].tolist() == returns[ratios.idxmax()].iloc[rows].tolist()


def test_the_deflation_curve_falls_with_the_number_of_trials():
    frame = of.deflation_curve(family(1, 1, [1.0])[:, 0], n_trials=[1, 3, 10, 100], trial_sharpe_variance=0.0)
    assert frame["deflated"].is_monotonic_decreasing
    assert frame["threshold"].iloc[0] == 0.0
    assert frame["threshold"].iloc[3] == pytest.approx(math.sqrt(1 / (ROWS - 1)) * of.expected_maximum(100))
