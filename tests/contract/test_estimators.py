"""Every estimator under one suite: planted data are found, files are small, safe and the same each time."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from workbench.errors import ManifestMismatch, UsageError
from workbench.services.estimators import ESTIMATORS, REFUSED, find_estimator, fit_pipeline
from workbench.services.model_files import model_bytes, read_forecast_model, read_pipeline

NAMES = ("one", "two", "three", "noise")
TRUE = np.array([0.004, -0.002, 0.003, 0.0])
each = pytest.mark.parametrize("estimator", ESTIMATORS.values(), ids=lambda one: one.name)


def planted(seed: int = 3, rows: int = 4_000):
    """Features of very different scale, a known linear rule and noise of its own size."""
    draw = np.random.default_rng(seed)
    plain = draw.normal(size=(rows, 4))
    matrix = plain * [0.01, 1.0, 50.0, 3.0] + [0.1, 0.0, -20.0, 7.0]
    return matrix, 0.001 + plain @ TRUE + draw.normal(0.0, 0.005, rows)


def content_of(estimator, matrix, target, **changes):
    asked = {"alpha": estimator.alpha(None, 10.0), "seed": 5, **changes}
    return model_bytes(fit_pipeline(estimator, matrix, target, **asked))


@each
def test_planted_coefficients_are_found_with_their_signs_f31(estimator) -> None:
    matrix, target = planted()
    model = read_forecast_model(content_of(estimator, matrix, target), NAMES)
    np.testing.assert_allclose(model.coefficients, TRUE, atol=6e-4)
    assert np.all(np.sign(model.coefficients[:3]) == np.sign(TRUE[:3]))
    fresh, label = planted(seed=4)
    assert np.corrcoef(model.forecast(fresh), label)[0, 1] > 0.6


@each
def test_each_row_gets_its_own_forecast_in_its_own_place_f31(estimator) -> None:
    matrix, target = planted()
    content = content_of(estimator, matrix, target)
    model, rows = read_forecast_model(content, NAMES), matrix[:50]
    together = model.forecast(rows)
    assert len(set(together.tolist())) > 40
    assert np.concatenate([model.forecast(rows[[at]]) for at in range(50)]).tobytes() == together.tobytes()
    assert model.forecast(rows[::-1]).tobytes() == together[::-1].tobytes()
    assert np.max(np.abs(read_pipeline(content).predict(rows) - together)) <= 1e-6
    rows[7, 2] = np.nan
    assert np.isnan(model.forecast(rows)).nonzero()[0].tolist() == [7]


@each
def test_the_same_data_give_the_same_bytes_and_others_do_not(estimator) -> None:
    matrix, target = planted()
    content = content_of(estimator, matrix, target)
    assert content_of(estimator, matrix.copy(), target.copy()) == content
    assert content_of(estimator, matrix, target, alpha=0.5) != content
    assert content_of(estimator, matrix, -target) != content
    assert len(content) < 20_000


@each
def test_a_larger_penalty_shrinks(estimator) -> None:
    matrix, target = planted()
    largest = min(0.9, estimator.largest_alpha) if estimator.largest_alpha <= 1 else 1e5
    sizes = [
        np.abs(
            read_forecast_model(content_of(estimator, matrix, target, alpha=alpha), NAMES).coefficients
        ).sum()
        for alpha in (1e-6, largest / 3, largest)
    ]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[2] < 0.7 * sizes[0]


@each
def test_reading_its_file_needs_no_scikit_learn(estimator, tmp_path) -> None:
    path = tmp_path / "model.skops"
    path.write_bytes(content_of(estimator, *planted(rows=300)))
    code = (
        "import sys, pathlib\nfrom workbench.services.model_files import read_forecast_model\n"
        f"read_forecast_model(pathlib.Path({str(path)!r}).read_bytes(), {NAMES!r})\n"
        "print(*sorted({'sklearn', 'skops', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert done.stdout.split() == []


@each
@pytest.mark.parametrize("alpha", [0.0, -1.0, float("nan"), float("inf")])
def test_a_penalty_that_cannot_be_is_refused(estimator, alpha) -> None:
    with pytest.raises(UsageError, match="alpha"):
        estimator.alpha(alpha, 10.0)


def test_the_default_penalty_is_the_setting_for_ridge_and_its_own_for_others() -> None:
    assert ESTIMATORS["ridge"].alpha(None, 10.0) == 10.0
    assert ESTIMATORS["elastic_net"].alpha(None, 10.0) == 0.1
    with pytest.raises(UsageError, match="fraction of the smallest penalty"):
        ESTIMATORS["elastic_net"].alpha(1.0, 10.0)


def test_an_elastic_net_at_its_largest_penalty_has_no_coefficient() -> None:
    matrix, target = planted()
    sizes = [
        np.count_nonzero(
            read_forecast_model(
                content_of(ESTIMATORS["elastic_net"], matrix, target, alpha=alpha), NAMES
            ).coefficients
        )
        for alpha in (1.001, 0.98)
    ]
    assert sizes == [0, 1]


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_refused_estimators_say_why_and_their_files_are_indeed_not_read(name) -> None:
    from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    with pytest.raises(UsageError, match="cannot become a candidate") as refusal:
        find_estimator(name)
    assert "ridge" in refusal.value.next_step
    trees = {
        "hist_gradient_boosting": HistGradientBoostingRegressor(max_iter=2, random_state=0),
        "random_forest": RandomForestRegressor(2, max_depth=2, random_state=0),
    }[name]
    content = model_bytes(Pipeline([("scale", StandardScaler()), ("trees", trees)]).fit(*planted(rows=300)))
    with pytest.raises(ManifestMismatch, match="types that are not allowed") as unread:
        read_pipeline(content)
    named = refusal.value.message.partition("skops does not trust ")[2].partition(" ")[0]
    assert named in unread.value.message


def test_an_unknown_estimator_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="'elasticnet'") as refusal:
        find_estimator("elasticnet")
    assert "did you mean elastic_net?" in refusal.value.next_step
