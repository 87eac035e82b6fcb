"""Fees of US equity executions, to the cent: the one fee function of venue, cost model and simulation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from workbench.core.kernel import kernel
from workbench.core.types import MICRO, Side

#: SEC rate x 1e-10, TAF in 1e-9 a share, TAF cap in micros, commission in 1e-9 a share
FeeRates: TypeAlias = tuple[int, int, int, int]
FEE_UNKNOWN = -1  #: what the kernel says of an execution that cannot be priced


@kernel
def fee_micro(side: int, shares: int, price_micro: int, rates: FeeRates) -> int:
    """Fee of one execution in micros: each charge rounded up to a whole cent; -1 when not computable.

    Parameters
    ----------
    side : int
        1 buy, -1 sell; the SEC fee and the FINRA trading activity fee are charged on sells only.
    shares, price_micro : int
        Size and price of this execution, both > 0.
    rates : tuple of 4 int
        `FeeSchedule.rates()`.
    """
    if shares <= 0 or price_micro <= 0 or (side != 1 and side != -1):
        return -1
    if float(shares) * float(price_micro) > 4.0e18 or float(shares) * 1.0e9 > 4.0e18:
        return -1
    sec_rate, taf_nano, taf_cap_micro, commission_nano = rates
    fee = -((-shares * commission_nano) // 10_000_000) * 10_000
    if side == -1:
        notional = shares * price_micro
        product = (notional % 10_000_000_000) * sec_rate
        sec = (notional // 10_000_000_000) * sec_rate - (-product // 10_000_000_000)
        taf = min(-(-shares * taf_nano // 1_000), taf_cap_micro)
        fee += -(-sec // 10_000) * 10_000
        fee += -(-taf // 10_000) * 10_000
    return fee


@dataclass(frozen=True)
class FeeSchedule:
    """Regulatory fees and commission of US equities at one date.

    Attributes
    ----------
    sec_usd_per_million : float, default 20.60
        SEC section 31 fee per million of sell value (rate of 2026; SEC fee rate advisories).
    taf_usd_per_share, taf_cap_usd : float
        FINRA trading activity fee per share sold, and its ceiling per execution.
    commission_usd_per_share : float, default 0.0
        The broker's commission, both sides.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    sec_usd_per_million: float = 20.60
    taf_usd_per_share: float = 0.000166
    taf_cap_usd: float = 8.30
    commission_usd_per_share: float = 0.0

    def __post_init__(self) -> None:
        require_between("fees.sec_usd_per_million", self.sec_usd_per_million, 0.0, 10_000.0)
        require_between("fees.taf_usd_per_share", self.taf_usd_per_share, 0.0, 1.0)
        require_between("fees.taf_cap_usd", self.taf_cap_usd, 0.0, 1_000.0)
        require_between("fees.commission_usd_per_share", self.commission_usd_per_share, 0.0, 1.0)

    def rates(self) -> FeeRates:
        """The rates as the integers that the kernel takes."""
        return (
            round(self.sec_usd_per_million * 10_000),
            round(self.taf_usd_per_share * 1e9),
            round(self.taf_cap_usd * MICRO),
            round(self.commission_usd_per_share * 1e9),
        )

    def fee_micro(self, side: Side, shares: int, price_micro: int) -> int:
        """Fee of one execution in micros, rounded up to whole cents; `shares` at `price_micro` each.

        Raises
        ------
        ValueError
            Shares or price are not positive, or their product is absurd.

        Examples
        --------
        >>> from workbench.core.types import Side
        >>> FeeSchedule().fee_micro(Side.SELL, 1_000, 100_000_000)  # 2.06 SEC + 0.166 -> 0.17 TAF
        2230000
        """
        fee = int(fee_micro(int(side), int(shares), int(price_micro), self.rates()))
        if fee < 0:
            raise ValueError(f"no fee for {shares} shares at {price_micro} micros")
        return fee


def require_between(name: str, value: float, low: float, high: float) -> None:
    """Raise ValueError, naming the parameter, unless it is a number within the bounds."""
    if isinstance(value, bool) or not low <= value <= high:  # NaN fails both comparisons
        raise ValueError(f"{name} = {value!r} must lie between {low:g} and {high:g}")
