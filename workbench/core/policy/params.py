"""How forecasts become positions: the settings of the policy, and their kernel form."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from workbench.core.types import MICRO, OrderType

#: How a change that is too large for one order goes out.
SLICINGS = ("largest", "almgren_chriss")


@dataclass(frozen=True)
class PolicyParams:
    """How forecasts become positions.

    Attributes
    ----------
    horizon_sessions : int, default 5
        Sessions that a forecast looks ahead.
    gain : float, default 1.0
        Weight per unit of forecast / volatility over the horizon.
    max_weight, max_gross_weight : float
        Most of the equity in one symbol and in all together.
    min_trade_weight : float, default 0.02
        No-trade band: smaller changes are left alone.
    edge_multiple : float, default 1.0
        The expected edge must exceed this multiple of the round-trip cost floor.
    entry_order_type, exit_order_type : str
        Order type words of entries and increases, and of reductions and exits.
    limit_offset_bps : float, default 25.0
        How far beyond the last close a limit order may trade (marketable).
    allow_short : bool, default False
    lot_shares : int, default 1
        Orders are multiples of it, except one that closes a position.
    max_slice_shares : int, default 20000
        A change larger than this goes out in slices, each sent when the one before is filled.
    slicing : str, default "largest"
        "largest": slices as large as allowed, and a change beyond the participation limit is denied.
        "almgren_chriss": such a change is sliced on that schedule over the session.
    slice_risk_aversion : float, default 1e-6
        Of that schedule, per currency unit: 0 = even slices, more = earlier.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    horizon_sessions: int = 5
    gain: float = 1.0
    max_weight: float = 0.2
    max_gross_weight: float = 0.9
    min_trade_weight: float = 0.02
    edge_multiple: float = 1.0
    entry_order_type: str = "limit"
    exit_order_type: str = "market_on_open"
    limit_offset_bps: float = 25.0
    allow_short: bool = False
    lot_shares: int = 1
    max_slice_shares: int = 20_000
    slicing: str = "largest"
    slice_risk_aversion: float = 1e-6

    def __post_init__(self) -> None:
        bounds = {
            "horizon_sessions": (1, 260),
            "gain": (1e-6, 1_000.0),
            "max_weight": (1e-6, 1.0),
            "max_gross_weight": (1e-6, 4.0),
            "min_trade_weight": (1e-6, 1.0),
            "edge_multiple": (1e-6, 1_000.0),
            "limit_offset_bps": (0.0, 1_000.0),
            "lot_shares": (1, 10_000),
            "max_slice_shares": (1, 1_000_000_000),
            "slice_risk_aversion": (0.0, 1.0),
        }
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not low <= value <= high:  # NaN fails both comparisons
                raise ValueError(f"policy.{name} = {value!r} must lie between {low:g} and {high:g}")
        if self.slicing not in SLICINGS:
            raise ValueError(f"policy.slicing must be one of {', '.join(SLICINGS)}, not {self.slicing!r}")
        for name in ("entry_order_type", "exit_order_type"):
            try:
                order_type = OrderType.parse(getattr(self, name))
                if order_type in (OrderType.STOP, OrderType.STOP_LIMIT):
                    raise ValueError(
                        f"unknown order type {order_type.word!r} of a policy: it has no stop price"
                    )
            except ValueError as error:
                raise ValueError(f"policy.{name}: {error}") from None

    def values(self) -> PolicyValues:
        """The parameters as the kernels take them."""
        return PolicyValues(
            root_horizon=math.sqrt(self.horizon_sessions),
            gain=float(self.gain),
            max_weight_micro=round(self.max_weight * MICRO),
            max_gross_micro=round(self.max_gross_weight * MICRO),
            min_trade_micro=round(self.min_trade_weight * MICRO),
            edge_multiple=float(self.edge_multiple),
            entry_type=int(OrderType.parse(self.entry_order_type)),
            exit_type=int(OrderType.parse(self.exit_order_type)),
            offset_micro=round(self.limit_offset_bps * 100),
            allow_short=int(self.allow_short),
            lot_shares=int(self.lot_shares),
        )


class PolicyValues(NamedTuple):
    """`PolicyParams` in kernel form: integers on grids and float64."""

    root_horizon: float  # square root of the sessions that a forecast looks ahead
    gain: float
    max_weight_micro: int
    max_gross_micro: int
    min_trade_micro: int
    edge_multiple: float
    entry_type: int
    exit_type: int
    offset_micro: int
    allow_short: int
    lot_shares: int
