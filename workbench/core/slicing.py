"""A change that is too large for one order, as children on the schedule of Almgren and Chriss."""

from __future__ import annotations

import math
from dataclasses import dataclass

from workbench.core.costs.schedule import almgren_chriss
from workbench.core.types import BPS

#: A schedule is as fine as it has to be, and no finer than this.
MOST_SLICES = 390
#: Slices at least, where one order does not hold the change: a schedule of one period is no schedule.
LEAST_SLICES = 4
_LEAST_IMPACT_BPS = 0.01


@dataclass(frozen=True)
class Slice:
    """One child of a change: so many shares, not before this time."""

    shares: int
    due_ns: int


def plan_slices(
    shares: int,
    *,
    most_shares: int,
    begin_ns: int,
    end_ns: int,
    price: float,
    volatility_bps: float,
    impact_bps: float,
    half_spread_bps: float,
    risk_aversion: float,
) -> tuple[Slice, ...]:
    """Children of a change in the order in which they fall due; () when one order holds it, or nothing can.

    Parameters
    ----------
    shares : int
        Unsigned size of the change.
    most_shares : int
        Most shares of one order: the participation limit and every other bound of one order.
    begin_ns, end_ns : int
        The time in which the change is traded, UTC nanoseconds: one session, the unit of the schedule.
    price : float
        Currency per share.
    volatility_bps : float
        Daily.
    impact_bps : float
        Expected impact of the whole change at an even pace, from the cost model in use; at least 0.01.
    half_spread_bps : float
    risk_aversion : float
        Per currency unit, >= 0; 0 = even slices. It is halved until no slice exceeds `most_shares`: the
        limit comes before the schedule.

    Notes
    -----
    Impact is temporary and linear in the pace, eta = impact x price / shares per session, gamma = 0, so the
    slices fall and sum to the change. An input that is not known gives (): the change stays whole, and the
    controls judge it. Source: Almgren and Chriss (2000), as `almgren_chriss`.

    Examples
    --------
    >>> plan = plan_slices(1_000, most_shares=400, begin_ns=0, end_ns=4_000, price=50.0, volatility_bps=200.0,
    ...     impact_bps=5.0, half_spread_bps=1.0, risk_aversion=2e-5)
    >>> [(one.shares, one.due_ns) for one in plan]
    [(291, 0), (255, 1000), (233, 2000), (221, 3000)]
    """
    facts = (price, volatility_bps, impact_bps, half_spread_bps, risk_aversion)
    if most_shares < 1 or shares <= most_shares or not all(math.isfinite(fact) for fact in facts):
        return ()
    if price <= 0 or end_ns <= begin_ns or min(volatility_bps, half_spread_bps, risk_aversion) < 0:
        return ()
    periods = max(-(-shares // most_shares), LEAST_SLICES)
    eta = max(impact_bps, _LEAST_IMPACT_BPS) / BPS * price / shares
    while periods <= MOST_SLICES:
        urgency = risk_aversion
        for _ in range(60):
            sizes = almgren_chriss(
                shares=shares, horizon=1.0, periods=periods, volatility=volatility_bps / BPS * price,
                eta=eta, gamma=0.0, epsilon=half_spread_bps / BPS * price, risk_aversion=urgency,
            ).slices()  # fmt: skip
            if sizes.max() <= most_shares:
                length = (end_ns - begin_ns) // periods
                planned = (Slice(int(size), begin_ns + at * length) for at, size in enumerate(sizes))
                return tuple(one for one in planned if one.shares)
            urgency = urgency / 2.0 if urgency > 1e-15 else 0.0
            if urgency == 0.0 and risk_aversion == 0.0:
                break
        periods += 1  # rounding to whole shares may need one more
    return ()
