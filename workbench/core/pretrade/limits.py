"""Ceilings of the pre-trade controls, and their kernel form."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from workbench.core.types import MICRO, NANO


@dataclass(frozen=True)
class Limits:
    """Ceilings of the pre-trade controls. Every number is finite and positive: none means "off".

    Attributes
    ----------
    max_order_shares, max_order_notional_usd : int
        Of one order.
    max_position_shares, max_position_notional_usd : int
        Of one symbol, position and working orders on the worse side together.
    max_gross_notional_usd : int
        Of all symbols, positions and working orders, un-netted.
    price_collar_bps : float
        Limit price against the last close and the decision price; last close against the quote's mid.
    max_bar_age_sessions : int
        Completed sessions since the last close; 0 = only the latest will do.
    max_quote_age_s : float
    max_orders_per_minute : int
    max_session_loss_usd : int
        Fall of equity since the session began that still permits orders that add risk.
    duplicate_window_s : int
        How long an order with the same content counts as a repetition.
    max_quoted_spread_bps, max_expected_cost_bps : float
        Quoted spread, and expected one-way cost of the order.
    max_participation : float
        Order shares as a fraction of the mean daily volume.
    restricted : tuple of str
        Symbols that may not be traded.
    allow_short : bool
        Whether a sell may exceed the position.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    max_order_shares: int = 20_000
    max_order_notional_usd: int = 200_000
    max_position_shares: int = 50_000
    max_position_notional_usd: int = 300_000
    max_gross_notional_usd: int = 1_000_000
    price_collar_bps: float = 300.0
    max_bar_age_sessions: int = 0
    max_quote_age_s: float = 900.0
    max_orders_per_minute: int = 60
    max_session_loss_usd: int = 25_000
    duplicate_window_s: int = 60
    max_quoted_spread_bps: float = 50.0
    max_expected_cost_bps: float = 40.0
    max_participation: float = 0.02
    restricted: tuple[str, ...] = ()
    allow_short: bool = False

    def __post_init__(self) -> None:
        ceilings = {
            "max_order_shares": 1_000_000_000,
            "max_order_notional_usd": 1_000_000_000,
            "max_position_shares": 1_000_000_000,
            "max_position_notional_usd": 1_000_000_000,
            "max_gross_notional_usd": 1_000_000_000,
            "price_collar_bps": 5_000.0,
            "max_quote_age_s": 86_400.0,
            "max_orders_per_minute": 10_000,
            "max_session_loss_usd": 1_000_000_000,
            "duplicate_window_s": 86_400,
            "max_quoted_spread_bps": 5_000.0,
            "max_expected_cost_bps": 5_000.0,
            "max_participation": 1.0,
        }
        for name, ceiling in ceilings.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not (0 < value <= ceiling and math.isfinite(value)):
                raise ValueError(f"limits.{name} = {value!r} must be above 0 and at most {ceiling:g}")
        if isinstance(self.max_bar_age_sessions, bool) or not 0 <= self.max_bar_age_sessions <= 30:
            raise ValueError(f"limits.max_bar_age_sessions = {self.max_bar_age_sessions!r} must be 0 to 30")
        restricted: object = self.restricted  # a settings file may hold anything
        if not isinstance(restricted, tuple) or not all(isinstance(s, str) and s for s in restricted):
            raise ValueError(f"limits.restricted = {restricted!r} must be a tuple of symbols")

    def values(self) -> LimitValues:
        """The ceilings as the kernels take them: micros, nanoseconds, bps."""
        return LimitValues(
            max_order_shares=float(self.max_order_shares),
            max_order_notional=float(self.max_order_notional_usd) * MICRO,
            max_position_shares=float(self.max_position_shares),
            max_position_notional=float(self.max_position_notional_usd) * MICRO,
            max_gross_notional=float(self.max_gross_notional_usd) * MICRO,
            max_collar_bps=float(self.price_collar_bps),
            max_bar_age_sessions=float(self.max_bar_age_sessions),
            max_quote_age_ns=float(self.max_quote_age_s) * NANO,
            max_orders_per_minute=float(self.max_orders_per_minute),
            max_session_loss=float(self.max_session_loss_usd) * MICRO,
            max_spread_bps=float(self.max_quoted_spread_bps),
            max_cost_bps=float(self.max_expected_cost_bps),
            max_participation=float(self.max_participation),
            allow_short=float(self.allow_short),
        )


class LimitValues(NamedTuple):
    """`Limits` in kernel form, all float64; notionals in micros. A NaN denies."""

    max_order_shares: float
    max_order_notional: float
    max_position_shares: float
    max_position_notional: float
    max_gross_notional: float
    max_collar_bps: float
    max_bar_age_sessions: float
    max_quote_age_ns: float
    max_orders_per_minute: float
    max_session_loss: float
    max_spread_bps: float
    max_cost_bps: float
    max_participation: float
    allow_short: float
