"""SPA, Reality Check and Romano-Wolf equal their definitions on given resamples, and arch where it agrees."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from arch.bootstrap import SPA

import workbench as wb

spa = wb.overfitting.superior_predictive_ability


def losses(seed, rows=120, models=6, gain=0.0):
    draw = np.random.default_rng(seed)
    base = draw.normal(0.0, 1.0, rows)
    scale = draw.uniform(0.5, 2.0, models)
    model = base[:, None] * 0.5 + draw.normal(0.0, 1.0, (rows, models)) * scale
    model[:, 1] -= gain
    model[:, -1] += 1.0  # a poor one
    return base, model


def slow(base, model, index):
    """The definitions, model by model and resample by resample."""
    rows, models = model.shape
    d = base[:, None] - model
    mean = [sum(d[:, k]) / rows for k in range(models)]
    star = [[sum(d[i, k] for i in one) / rows for k in range(models)] for one in index]
    omega = [
        math.sqrt(sum(rows * (star[b][k] - mean[k]) ** 2 for b in range(len(index))) / len(index))
        for k in range(models)
    ]
    t = [math.sqrt(rows) * mean[k] / omega[k] for k in range(models)]
    statistic = max(0.0, *t)
    limit = -math.sqrt(2 * math.log(math.log(rows)))
    centre = {
        "lower": [max(mean[k], 0.0) for k in range(models)],
        "consistent": [mean[k] if t[k] >= limit else 0.0 for k in range(models)],
        "upper": mean,
    }
    p = {}
    for name, g in centre.items():
        above = [
            max(0.0, *(math.sqrt(rows) * (star[b][k] - g[k]) / omega[k] for k in range(models))) >= statistic
            for b in range(len(index))
        ]
        p[name] = sum(above) / len(above)
    white = max(math.sqrt(rows) * m for m in mean)
    reality = sum(
        max(math.sqrt(rows) * (star[b][k] - mean[k]) for k in range(models)) >= white
        for b in range(len(index))
    ) / len(index)
    order = sorted(range(models), key=lambda k: -t[k])
    own, least = [0.0] * models, 0.0
    for place, k in enumerate(order):
        rest = order[place:]
        share = sum(
            max(math.sqrt(rows) * (star[b][j] - mean[j]) / omega[j] for j in rest) >= t[k]
            for b in range(len(index))
        ) / len(index)
        least = max(least, share)
        own[k] = least
    return p, reality, own, t


@pytest.mark.parametrize("seed", range(4))
def test_p_values_on_given_resamples_equal_the_definitions(seed):
    base, model = losses(seed, gain=0.2)
    index = np.random.default_rng(seed).integers(0, len(base), (199, len(base)))
    found = spa(base, model, bootstrap_index=index)
    p, reality, own, t = slow(base, model, index)
    assert found.pvalues == pytest.approx(p)
    assert found.reality_check_pvalue == pytest.approx(reality)
    np.testing.assert_allclose(found.model_pvalues, own)
    np.testing.assert_allclose(found.t_statistics, t)
    assert found.selected == int(np.argmax(t))
    assert found.selected_pvalue == found.model_pvalues[found.selected]
    assert found.pvalues["lower"] <= found.pvalues["consistent"] <= found.pvalues["upper"]


def test_a_p_value_belongs_to_the_model_that_was_selected():
    base, model = losses(2, rows=400, gain=0.6)
    index = np.random.default_rng(1).integers(0, 400, (300, 400))
    best = spa(base, model, bootstrap_index=index)
    dull = spa(base, model, bootstrap_index=index, selected=3)
    assert best.pvalues == dull.pvalues  # "some model is better"
    assert best.selected_pvalue < 0.05 < dull.selected_pvalue
    assert list(dull.frame.columns) == ["gain", "t_statistic", "p_value"]


def test_the_reality_check_is_that_of_arch_which_does_not_studentise():
    base, model = losses(5, rows=200)
    theirs = SPA(base, model, block_size=5, reps=4_000, seed=7, studentize=False)
    theirs.compute()
    ours = spa(base, model, mean_block=5, seed=3, n_bootstrap=4_000)
    # without studentising, arch's upper p-value is White's
    assert ours.reality_check_pvalue == pytest.approx(float(theirs.pvalues["upper"]), abs=0.04)


def test_studentising_matters_when_one_model_is_wild():
    draw = np.random.default_rng(11)
    base = draw.normal(0.0, 1.0, 500)
    steady = base - 0.03 + draw.normal(0.0, 0.1, 500)
    wild = base[:, None] + draw.normal(0.0, 15.0, (500, 3))
    found = spa(base, np.column_stack([steady, wild]), mean_block=2, seed=1)
    assert found.pvalues["consistent"] < 0.01
    assert found.reality_check_pvalue > 0.1


def test_noise_is_rejected_about_as_often_as_stated():
    hits = 0
    for seed in range(120):
        draw = np.random.default_rng(seed)
        found = spa(
            draw.normal(0, 1, 120), draw.normal(0, 1, (120, 8)), mean_block=1, seed=seed, n_bootstrap=200
        )
        hits += found.pvalues["consistent"] <= 0.05
    assert hits <= 14  # 6 expected; more than 14 has a chance of .1 %


def test_resamples_are_blocks_of_the_stated_mean_length_from_a_seed():
    index = wb.overfitting.stationary_bootstrap_index(500, n_bootstrap=200, mean_block=10, seed=4)
    assert index.shape == (200, 500)
    joined = (np.diff(index, axis=1) % 500) == 1
    assert 1.0 / (1.0 - joined.mean()) == pytest.approx(10.0, rel=0.1)
    assert np.bincount(index.ravel(), minlength=500).min() > 100
    again = wb.overfitting.stationary_bootstrap_index(500, n_bootstrap=200, mean_block=10, seed=4)
    assert np.array_equal(index, again)
    other = wb.overfitting.stationary_bootstrap_index(500, n_bootstrap=200, mean_block=10, seed=5)
    assert not np.array_equal(index, other)


def test_a_single_model_and_named_models_are_taken():
    base, model = losses(1)
    frame = pd.DataFrame(model, columns=list("abcdef"))
    found = spa(pd.Series(base), frame, mean_block=3, seed=1)
    assert found.models == tuple("abcdef")
    assert "stationary bootstrap, mean block 3, seed 1" in found._repr_html_()
    assert spa(base, model[:, 0], mean_block=3, seed=1).models == ("0",)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bootstrap_index": np.zeros((5, 3), dtype=int)}, "shape"),
        ({"bootstrap_index": np.full((5, 120), 120)}, "0 to 119"),
        ({"bootstrap_index": np.full((5, 120), -1)}, "0 to 119"),
        ({"bootstrap_index": np.zeros((5, 120))}, "row numbers"),
        ({"mean_block": 5}, "neither has a safe default"),
        ({"seed": 5}, "neither has a safe default"),
        ({"mean_block": 0.5, "seed": 1}, "at least 1"),
        ({"mean_block": 5, "seed": 1, "selected": 9}, "column 9"),
    ],
)
def test_resamples_that_cannot_be_are_refused(change, words):
    base, model = losses(0)
    with pytest.raises(ValueError, match=words):
        spa(base, model, **change)


def test_missing_and_constant_losses_are_refused_by_name():
    base, model = losses(0)
    holed = model.copy()
    holed[3, 2] = np.nan
    with pytest.raises(ValueError, match="row 3 of trial '2'"):
        spa(base, holed, mean_block=5, seed=1)
    same = model.copy()
    same[:, 4] = base + 1.0
    with pytest.raises(ValueError, match="'4' differs from the benchmark by a constant"):
        spa(base, same, mean_block=5, seed=1)
    with pytest.raises(ValueError, match="119 losses"):
        spa(base[1:], model, mean_block=5, seed=1)
