"""Every path of combinatorial cross-validation is forecast by models that were fitted for its splits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import workbench as wb

ROWS, FEATURES = 60, 3
FOLDS = wb.validation.CombinatorialPurgedKFold(6, 2, purge=2, embargo=1)
DRAW = np.random.default_rng(4)
X = pd.DataFrame(DRAW.normal(size=(ROWS, FEATURES)), index=pd.RangeIndex(100, 100 + ROWS))
Y = X[0] + DRAW.normal(size=ROWS)


def slow_paths(penalty: float) -> np.ndarray:
    """Ridge by the normal equations, standardised on the training rows, split by split and fold by fold."""
    matrix, target = X.to_numpy(), Y.to_numpy()
    by_split = []
    for train, test in FOLDS.split(matrix):
        mean, deviation = matrix[train].mean(axis=0), matrix[train].std(axis=0)
        inside, outside = (matrix[train] - mean) / deviation, (matrix[test] - mean) / deviation
        level = target[train].mean()
        weights = np.linalg.solve(
            inside.T @ inside + penalty * np.eye(FEATURES), inside.T @ (target[train] - level)
        )
        by_split.append(dict(zip(test.tolist(), outside @ weights + level, strict=True)))
    wanted = np.full((ROWS, 5), np.nan)
    for row in range(ROWS):
        found = [forecasts[row] for forecasts in by_split if row in forecasts]  # in order of the splits
        assert len(found) == 5
        wanted[row] = found
    return wanted


def test_the_paths_are_those_of_a_model_written_out() -> None:
    found = wb.validation.refitted_paths(
        make_pipeline(StandardScaler(), Ridge(alpha=2.0)), X, Y, splitter=FOLDS
    )
    assert found.index.equals(X.index)
    assert found.columns.tolist() == [1, 2, 3, 4, 5]
    np.testing.assert_allclose(found.to_numpy(), slow_paths(2.0), rtol=0, atol=1e-12)


class Memory:
    """Forecasts the label of a row that it has seen, else 0: whoever leaks is found out."""

    def __init__(self, fitted: tuple[str, ...] = ()) -> None:
        self.fitted = fitted

    def get_params(self, deep: bool = True) -> dict[str, object]:
        return {"fitted": self.fitted}

    def fit(self, X: np.ndarray, y: np.ndarray) -> Memory:
        self.seen_ = {tuple(row): label for row, label in zip(X, y, strict=True)}
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        return np.array([self.seen_.get(tuple(row), 0.0) for row in X])


def test_no_model_has_seen_what_it_forecasts_and_the_one_given_stays_as_it_is() -> None:
    model = Memory()
    found = wb.validation.refitted_paths(model, X.to_numpy(), Y, splitter=FOLDS)
    assert (found == 0.0).all().all()
    assert not hasattr(model, "seen_")


class Wrong(Memory):
    """Forecasts what no path can hold."""

    def predict(self, X: np.ndarray) -> np.ndarray:
        return np.full(len(X), np.nan)


def test_what_cannot_be_forecast_is_refused() -> None:
    with pytest.raises(ValueError, match="has no fit and predict"):
        wb.validation.refitted_paths("ridge", X, Y, splitter=FOLDS)
    with pytest.raises(ValueError, match=r"60 rows and labels of shape \(59,\)"):
        wb.validation.refitted_paths(Ridge(), X, Y[1:], splitter=FOLDS)
    with pytest.raises(ValueError, match="one finite number a row"):
        wb.validation.refitted_paths(Wrong(), X.to_numpy(), Y, splitter=FOLDS)
    greedy = wb.validation.CombinatorialPurgedKFold(6, 2, purge=50, embargo=0)
    with pytest.raises(ValueError, match="no training rows are left"):
        wb.validation.refitted_paths(Ridge(), X, Y, splitter=greedy)
