"""The equity impact model of 2005: what an order of a stated size and duration should cost."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class EquityImpact:
    """Impact of one order as fractions of the price, with the sign of its shares.

    Attributes
    ----------
    permanent : float
        Move of the price that stays.
    temporary : float
        Extra paid while trading.
    cost : float
        permanent / 2 + temporary: what the order pays on average.
    """

    permanent: float
    temporary: float
    cost: float

    def _repr_html_(self) -> str:
        return (
            f"expected cost <b>{self.cost * 1e4:.2f}</b> bps: half of {self.permanent * 1e4:.2f} permanent "
            f"and {self.temporary * 1e4:.2f} temporary"
        )


def almgren_impact(
    *, shares: float, adv: float, shares_outstanding: float, volatility: float, horizon: float
) -> EquityImpact:
    """Permanent and temporary impact of an order traded evenly over part of a day.

    Parameters
    ----------
    shares : float
        Signed size of the order.
    adv : float
        Mean daily volume, shares, > 0.
    shares_outstanding : float
        > 0.
    volatility : float
        Daily, as a fraction such as 0.0157, >= 0.
    horizon : float
        Duration in days of trading, > 0.

    Raises
    ------
    ValueError
        A parameter outside of its range, named.

    Notes
    -----
    I = 0.314 volatility (X / V) (Theta / V)^(1/4), K = 0.142 volatility |X / (V T)|^(3/5),
    J = I / 2 + K. Fitted to US orders of one broker before 2003: a yardstick, not a calibration.
    Source: R. Almgren, C. Thum, E. Hauptmann, H. Li, "Direct estimation of equity market impact",
    Risk 18 (2005), section 4.

    Examples
    --------
    >>> facts = {"adv": 6_561_000, "shares_outstanding": 1_728_000_000, "volatility": 0.0157}
    >>> round(almgren_impact(shares=656_100, horizon=0.1, **facts).cost * 1e4, 2)
    32.22
    """
    if not math.isfinite(shares):
        raise ValueError(f"shares = {shares!r} must be a finite number")
    for name, value in (("adv", adv), ("shares_outstanding", shares_outstanding), ("horizon", horizon)):
        if not 0.0 < value < math.inf:
            raise ValueError(f"{name} = {value!r} must be greater than 0")
    if not 0.0 <= volatility < math.inf:
        raise ValueError(f"volatility = {volatility!r} must be a finite number of at least 0")
    permanent = 0.314 * volatility * (shares / adv) * (shares_outstanding / adv) ** 0.25
    temporary = math.copysign(0.142 * volatility * abs(shares / (adv * horizon)) ** 0.6, shares)
    return EquityImpact(permanent, temporary, permanent / 2.0 + temporary)
