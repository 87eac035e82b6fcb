"""Almgren-Chriss and the 2005 impact model: published numbers, optimality, mirror images, refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from workbench.costs import almgren_chriss, almgren_impact

PAPER = {
    "shares": 1e6, "horizon": 5, "periods": 5, "volatility": 0.95, "eta": 2.5e-6, "gamma": 2.5e-7,
    "epsilon": 0.0625, "risk_aversion": 1e-6,
}  # fmt: skip
IBM = {"shares": 656_100, "adv": 6_561_000, "shares_outstanding": 1_728_000_000, "volatility": 0.0157}


def test_the_published_schedule_comes_out() -> None:
    plan = almgren_chriss(**PAPER)
    assert plan.kappa == pytest.approx(0.607076, abs=5e-7)  # the continuous limit is .600833
    assert plan.half_life == pytest.approx(1.64724, abs=5e-6)
    expected = [1e6, 541_955.55, 289_854.22, 147_897.49, 62_141.80, 0.0]
    assert plan.holdings == pytest.approx(expected, abs=0.005)
    assert plan.expected_cost == pytest.approx(911_226.99, abs=0.005)
    assert plan.variance == pytest.approx(3.641286e11, rel=5e-7)


@pytest.mark.parametrize("risk_aversion", [1e-5, 1e-6, 1e-8, 0.0, -1e-7])
def test_no_other_schedule_is_better(risk_aversion: float) -> None:
    facts = PAPER | {"risk_aversion": risk_aversion}
    plan = almgren_chriss(**facts)
    tau, eta_left = 1.0, facts["eta"] - facts["gamma"] / 2

    def objective(inner: np.ndarray) -> float:
        holdings = np.concatenate([[1.0], inner, [0.0]]) * 1e6
        trades = -np.diff(holdings)
        cost = facts["gamma"] * 1e12 / 2 + facts["epsilon"] * np.sum(np.abs(trades))
        cost += eta_left / tau * np.sum(trades**2)
        return float(cost + risk_aversion * 0.95**2 * tau * np.sum(holdings[1:] ** 2)) / 1e6

    found = minimize(objective, np.linspace(0.8, 0.2, 4), method="Nelder-Mead",
                     options={"xatol": 1e-9, "fatol": 1e-13, "maxiter": 4_000})  # fmt: skip
    assert plan.holdings[1:-1] / 1e6 == pytest.approx(found.x, abs=2e-4)
    assert plan.expected_cost + risk_aversion * plan.variance == pytest.approx(found.fun * 1e6, rel=1e-8)


def test_without_risk_aversion_the_line_is_straight_and_urgency_bends_it() -> None:
    straight = almgren_chriss(**PAPER | {"risk_aversion": 0.0})
    assert straight.holdings.tolist() == [1e6, 8e5, 6e5, 4e5, 2e5, 0.0]
    assert straight.half_life == math.inf
    liked = almgren_chriss(**PAPER | {"risk_aversion": -1e-7})
    assert np.all(liked.holdings[1:-1] > straight.holdings[1:-1])
    urgent = almgren_chriss(**PAPER | {"risk_aversion": 1e3})  # e^-kappa T would underflow in sinh / sinh
    assert np.all(np.isfinite(urgent.holdings))
    assert urgent.trades[0] == pytest.approx(1e6)


@given(st.integers(1, 10**7), st.integers(1, 40), st.floats(0, 1e-4))
def test_slices_are_whole_and_sum_to_the_order(shares: int, periods: int, risk_aversion: float) -> None:
    plan = almgren_chriss(**PAPER | {"shares": shares, "periods": periods, "risk_aversion": risk_aversion})
    assert plan.slices().sum() == shares
    assert plan.slices().min() >= 0
    mirror = almgren_chriss(**PAPER | {"shares": -shares, "periods": periods, "risk_aversion": risk_aversion})
    assert mirror.holdings.tolist() == (-plan.holdings).tolist()
    assert mirror.expected_cost == plan.expected_cost


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"horizon": 0.0}, "horizon"),
        ({"periods": 0}, "periods"),
        ({"periods": 2.5}, "periods"),
        ({"eta": 1e-8}, "eta"),
        ({"gamma": -1.0}, "gamma"),
        ({"volatility": math.nan}, "volatility"),
        ({"epsilon": math.inf}, "epsilon"),
        ({"shares": math.nan}, "shares"),
        ({"risk_aversion": -1e-5}, "risk_aversion"),
    ],
)
def test_what_has_no_schedule_is_refused_by_name(change: dict[str, float], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        almgren_chriss(**PAPER | change)


@pytest.mark.parametrize(("horizon", "cost_bps"), [(0.1, 32.22), (0.2, 24.64), (0.5, 18.42)])
def test_the_published_impact_comes_out(horizon: float, cost_bps: float) -> None:
    found = almgren_impact(**IBM, horizon=horizon)
    assert found.cost * 1e4 == pytest.approx(cost_bps, abs=0.005)
    assert found.cost == found.permanent / 2 + found.temporary
    sold = almgren_impact(**IBM | {"shares": -656_100}, horizon=horizon)
    assert (sold.permanent, sold.temporary, sold.cost) == (-found.permanent, -found.temporary, -found.cost)


@pytest.mark.parametrize("name", ["adv", "shares_outstanding", "horizon", "volatility", "shares"])
def test_impact_refuses_nonsense_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        almgren_impact(**IBM | {"horizon": 0.1} | {name: math.nan})
