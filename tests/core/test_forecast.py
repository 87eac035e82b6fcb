"""The arithmetic of a linear forecast: a row's forecast is its own, missing stays missing (F27, F31)."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from workbench.core.forecast import ForecastModel

MODEL = ForecastModel(
    features=("momentum_20", "reversal_5", "volatility_20"),
    center=np.array([0.01, -0.02, 0.2]),
    scale=np.array([0.05, 0.02, 0.1]),
    coefficients=np.array([0.003, -0.002, 0.0005]),
    intercept=0.001,
)
MATRICES = arrays.arrays(
    np.float64, st.tuples(st.integers(0, 12), st.just(3)), elements=st.floats(-2.0, 2.0, width=32)
)


def exact(row: np.ndarray) -> Fraction:
    """The forecast in exact arithmetic, the slow way."""
    terms = zip(row, MODEL.center, MODEL.scale, MODEL.coefficients, strict=True)
    weighted = [(Fraction(x) - Fraction(m)) / Fraction(s) * Fraction(c) for x, m, s, c in terms]
    return Fraction(MODEL.intercept) + sum(weighted)


@given(MATRICES)
def test_it_is_the_exact_sum_rounded_to_the_grid(matrix):
    forecast = MODEL.forecast(matrix)
    assert forecast.shape == (len(matrix),)
    for got, row in zip(forecast, matrix, strict=True):
        assert abs(Fraction(got) - exact(row)) <= Fraction(1, 2_000_000) + Fraction(1, 10**12)
        assert abs(got * 1e6 - round(got * 1e6)) < 1e-6


@given(MATRICES)
def test_every_row_alone_gives_the_same_bytes_as_all_rows_together(matrix):
    together = MODEL.forecast(matrix)
    alone = [MODEL.forecast(matrix[at : at + 1]) for at in range(len(matrix))]
    assert together.tobytes() == b"".join(one.tobytes() for one in alone)
    assert MODEL.forecast(matrix[::-1]).tobytes() == together[::-1].tobytes()


@given(MATRICES, st.integers(0, 11), st.integers(0, 2), st.sampled_from([math.nan, math.inf, -math.inf]))
def test_a_missing_feature_makes_its_row_missing_and_no_other(matrix, row, column, hole):
    if row >= len(matrix):
        return
    holed = matrix.copy()
    holed[row, column] = hole
    forecast, whole = MODEL.forecast(holed), MODEL.forecast(matrix)
    assert math.isnan(forecast[row])
    others = np.arange(len(matrix)) != row
    assert forecast[others].tobytes() == whole[others].tobytes()
    assert not np.isnan(whole).any()


def test_an_overflow_is_missing_and_zero_has_no_sign():
    assert math.isnan(MODEL.forecast(np.array([[1e308, 1e308, 1e308]]) * 1.7)[0])
    zero = ForecastModel(("a",), np.zeros(1), np.ones(1), np.array([-1.0]), -1e-9)
    assert str(zero.forecast(np.array([[0.0]]))[0]) == "0.0"


def test_the_wrong_number_of_columns_is_refused():
    for shape in ((2, 2), (2, 4), (3,)):
        with pytest.raises(ValueError, match="matrix has shape"):
            MODEL.forecast(np.zeros(shape))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("center", np.array([0.0, math.nan, 0.0])),
        ("scale", np.array([1.0, 0.0, 1.0])),
        ("scale", np.array([1.0, -1.0, 1.0])),
        ("coefficients", np.array([1.0, math.inf, 1.0])),
        ("coefficients", np.array([1.0, 1.0])),
        ("center", np.zeros(3, dtype=np.float32)),
        ("intercept", math.nan),
    ],
)
def test_parameters_that_cannot_forecast_are_refused(name, value):
    names = ("features", "center", "scale", "coefficients", "intercept")
    fields = {key: getattr(MODEL, key) for key in names}
    with pytest.raises(ValueError, match=name):
        ForecastModel(**{**fields, name: value})
