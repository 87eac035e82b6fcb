"""The Almgren-Chriss schedule: how fast to trade when speed costs and waiting is risky."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from workbench.core.types import Floats, Integers


@dataclass(frozen=True, eq=False)
class Schedule:
    """The optimal way from a position to none, with its expected cost and risk.

    Attributes
    ----------
    holdings : float64 (periods + 1,)
        Shares still held at each boundary, from all of them down to 0.
    trades : float64 (periods,)
        Shares traded in each period; they sum to the order.
    kappa : float
        Urgency per time unit; 0 = a straight line. With a negative risk aversion the frequency of the
        cosine branch.
    half_life : float
        1 / kappa, in time units; infinite for a straight line.
    expected_cost : float
        Currency.
    variance : float
        Of the cost, currency squared.
    """

    holdings: Floats
    trades: Floats
    kappa: float
    half_life: float
    expected_cost: float
    variance: float

    def slices(self) -> Integers:
        """Whole shares of each period, int64 (periods,): rounded holdings, so that they sum to the order."""
        return np.asarray(-np.diff(np.rint(self.holdings)), dtype=np.int64)

    def _repr_html_(self) -> str:
        return (
            f"schedule of {self.holdings[0]:,.0f} shares in {len(self.trades)} periods: expected cost "
            f"<b>{self.expected_cost:,.2f}</b>, standard deviation {math.sqrt(self.variance):,.2f}"
        )


def almgren_chriss(
    *,
    shares: float,
    horizon: float,
    periods: int,
    volatility: float,
    eta: float,
    gamma: float,
    epsilon: float,
    risk_aversion: float,
) -> Schedule:
    """The schedule of least expected cost plus risk aversion times variance.

    Parameters
    ----------
    shares : float
        Shares to be traded; negative = to be bought back. The schedule is a mirror image.
    horizon : float
        Time until all is done, > 0; its unit is that of the other parameters.
    periods : int
        Equal periods, >= 1.
    volatility : float
        Price units per square root of a time unit, >= 0.
    eta : float
        Temporary impact: price units per (share per time unit), > gamma x period / 2.
    gamma : float
        Permanent impact: price units per share, >= 0.
    epsilon : float
        Fixed cost per share, such as half a spread, price units, >= 0.
    risk_aversion : float
        Per currency unit. 0 = straight line; negative = risk is liked: the cosine branch, which exists
        only while its frequency x horizon < pi.

    Raises
    ------
    ValueError
        A parameter outside of its range, named; or a negative risk aversion without an optimum.

    Notes
    -----
    The discrete optimum, not its continuous limit: with tau the period and eta' = eta - gamma tau / 2,
    2 (cosh(kappa tau) - 1) / tau^2 = risk_aversion x volatility^2 / eta'.
    Source: R. Almgren, N. Chriss, "Optimal execution of portfolio transactions", Journal of Risk 3
    (2000), equations 16 to 20.

    Examples
    --------
    >>> plan = almgren_chriss(shares=1e6, horizon=5, periods=5, volatility=0.95, eta=2.5e-6,
    ...     gamma=2.5e-7, epsilon=0.0625, risk_aversion=1e-6)
    >>> round(plan.kappa, 6), [round(float(x), 2) for x in plan.holdings[:2]]
    (0.607076, [1000000.0, 541955.55])
    """
    _finite(shares=shares, risk_aversion=risk_aversion)
    _at_least_zero(volatility=volatility, gamma=gamma, epsilon=epsilon)
    if not 0.0 < horizon < math.inf:
        raise ValueError(f"horizon = {horizon!r} must be greater than 0")
    if isinstance(periods, bool) or int(periods) != periods or periods < 1:
        raise ValueError(f"periods = {periods!r} must be a whole number of at least 1")
    periods = int(periods)
    tau = horizon / periods
    eta_left = eta - gamma * tau / 2.0
    if not 0.0 < eta_left < math.inf:
        raise ValueError(f"eta = {eta!r} must exceed gamma x period / 2 = {gamma * tau / 2.0:g}")
    push = risk_aversion * volatility**2 / eta_left * tau**2 / 2.0
    left = horizon - tau * np.arange(periods + 1)
    # the half-angle forms keep their digits where cosh and cos are close to 1
    if push >= 0.0:
        kappa = 2.0 * math.asinh(math.sqrt(push / 2.0)) / tau
    else:
        kappa = 2.0 * math.asin(math.sqrt(-push / 2.0)) / tau if push >= -2.0 else math.inf
    if kappa * horizon < 1e-9:
        fraction = left / horizon
    elif push > 0.0:
        # sinh(kappa left) / sinh(kappa horizon) without numbers that overflow
        fraction = np.exp(kappa * (left - horizon)) * np.expm1(-2.0 * kappa * left)
        fraction /= math.expm1(-2.0 * kappa * horizon)
    else:
        if not kappa * horizon < math.pi:
            raise ValueError(f"risk_aversion = {risk_aversion!r} is so negative that no optimum exists")
        fraction = np.sin(kappa * left) / math.sin(kappa * horizon)
    fraction[0], fraction[-1] = 1.0, 0.0
    holdings = np.asarray(shares * fraction, dtype=np.float64)
    trades = -np.diff(holdings)
    cost = gamma * shares**2 / 2.0 + epsilon * float(np.sum(np.abs(trades)))
    cost += eta_left / tau * float(np.sum(trades**2))
    variance = volatility**2 * tau * float(np.sum(holdings[1:] ** 2))
    return Schedule(holdings, trades, kappa, 1.0 / kappa if kappa else math.inf, cost, variance)


def _finite(**values: float) -> None:
    for name, value in values.items():
        if not math.isfinite(value):
            raise ValueError(f"{name} = {value!r} must be a finite number")


def _at_least_zero(**values: float) -> None:
    for name, value in values.items():
        if not 0.0 <= value < math.inf:
            raise ValueError(f"{name} = {value!r} must be a finite number of at least 0")
