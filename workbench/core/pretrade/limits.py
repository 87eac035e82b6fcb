"""Ceilings of the pre-trade controls, and their kernel form."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

from workbench.core.types import MICRO, NANO

#: The largest value that each limit may have; the smallest is above 0.
CEILINGS: dict[str, float] = {
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
    "max_net_fraction": 1.0,
    "max_sector_fraction": 1.0,
    "max_symbol_loss_fraction": 1.0,
    "max_session_shortfall_fraction": 10.0,
    "price_move_sessions": 20,
    "max_price_move_bps": 100_000.0,
    "max_volatility_multiple": 100.0,
    "max_quote_jump_bps": 10_000.0,
    "stop_rate_multiple": 100.0,
    "window_s": 3_600,
    "max_window_orders": 1_000.0,
    "max_window_turnover": 100.0,
    "max_repeated_executions": 10_000,
    "repeat_window_s": 86_400,
    "max_working_orders": 10_000,
    "max_open_symbols": 10_000,
    "first_sessions": 1_000,
    "first_max_symbols": 10_000,
    "first_max_orders": 1_000_000,
    "first_max_notional_usd": 1_000_000_000,
}


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
        Orders and cancels together.
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
    max_net_fraction : float
        Longs less shorts, either way, as a fraction of max_gross_notional_usd.
    max_sector_fraction : float
        Positions and working orders of one sector, un-netted, as a fraction of max_gross_notional_usd; a
        sector may always hold what one symbol may.
    sectors : mapping of str to str
        Sector of each symbol; a symbol without one is a sector of its own.
    max_symbol_loss_fraction : float
        Loss of one symbol since the session began that still permits orders that add risk in it, as a
        fraction of max_session_loss_usd.
    max_session_shortfall_fraction : float
        Cost of the session's fills against their decision prices that still permits orders that add risk,
        as a fraction of max_session_loss_usd.
    price_move_sessions : int
        Sessions of the window of max_price_move_bps, 1 to 20.
    max_price_move_bps : float
        Quote against the last close before the window.
    max_volatility_multiple : float
        Quote against the last close, in usual daily moves, that still permits orders that add risk.
    max_quote_jump_bps : float
        Quote against the one looked at before.
    stop_rate_multiple : float
        The account is halted at this multiple of max_orders_per_minute, denied orders counted.
    window_s : int
        The short window of size and value, seconds.
    max_window_orders : float
        Shares of one symbol ordered within the window, as a multiple of max_order_shares.
    max_window_turnover : float
        Value ordered within the window, as a multiple of max_gross_notional_usd.
    max_repeated_executions : int
        So many executed orders of one symbol and side within repeat_window_s disable the symbol until a
        person enables it.
    repeat_window_s : int
    max_working_orders, max_open_symbols : int
        Orders that work at one time, and symbols with a position or a working order.
    first_sessions : int
        Closed sessions of a mode until when a desk is new, and the three caps below hold.
    first_max_symbols, first_max_orders, first_max_notional_usd : int
        Symbols, orders and ordered value of one session of a new desk; reductions pass.
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
    max_net_fraction: float = 1.0
    max_sector_fraction: float = 0.6
    sectors: Mapping[str, str] = field(default_factory=dict, hash=False)
    max_symbol_loss_fraction: float = 0.5
    max_session_shortfall_fraction: float = 1.0
    price_move_sessions: int = 5
    max_price_move_bps: float = 5_000.0
    max_volatility_multiple: float = 6.0
    max_quote_jump_bps: float = 1_000.0
    stop_rate_multiple: float = 5.0
    window_s: int = 60
    max_window_orders: float = 2.0
    max_window_turnover: float = 2.0
    max_repeated_executions: int = 10
    repeat_window_s: int = 300
    max_working_orders: int = 1_000
    max_open_symbols: int = 1_000
    first_sessions: int = 5
    first_max_symbols: int = 20
    first_max_orders: int = 100
    first_max_notional_usd: int = 2_000_000

    def __post_init__(self) -> None:
        for name, ceiling in CEILINGS.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not (0 < value <= ceiling and math.isfinite(value)):
                raise ValueError(f"limits.{name} = {value!r} must be above 0 and at most {ceiling:g}")
        if isinstance(self.max_bar_age_sessions, bool) or not 0 <= self.max_bar_age_sessions <= 30:
            raise ValueError(f"limits.max_bar_age_sessions = {self.max_bar_age_sessions!r} must be 0 to 30")
        restricted: object = self.restricted  # a settings file may hold anything
        if not isinstance(restricted, tuple) or not all(isinstance(s, str) and s for s in restricted):
            raise ValueError(f"limits.restricted = {restricted!r} must be a tuple of symbols")
        sectors: object = self.sectors
        if not isinstance(sectors, Mapping) or not all(
            isinstance(word, str) and word for pair in sectors.items() for word in pair
        ):
            raise ValueError(f"limits.sectors = {sectors!r} must name a sector for each symbol")

    def values(self) -> LimitValues:
        """The ceilings as the kernels take them: micros, nanoseconds, bps."""
        gross = float(self.max_gross_notional_usd) * MICRO
        position = float(self.max_position_notional_usd) * MICRO
        loss = float(self.max_session_loss_usd) * MICRO
        return LimitValues(
            max_order_shares=float(self.max_order_shares),
            max_order_notional=float(self.max_order_notional_usd) * MICRO,
            max_position_shares=float(self.max_position_shares),
            max_position_notional=position,
            max_gross_notional=gross,
            max_collar_bps=float(self.price_collar_bps),
            max_bar_age_sessions=float(self.max_bar_age_sessions),
            max_quote_age_ns=float(self.max_quote_age_s) * NANO,
            max_orders_per_minute=float(self.max_orders_per_minute),
            max_session_loss=loss,
            max_spread_bps=float(self.max_quoted_spread_bps),
            max_cost_bps=float(self.max_expected_cost_bps),
            max_participation=float(self.max_participation),
            allow_short=float(self.allow_short),
            max_net_notional=self.max_net_fraction * gross,
            max_sector_notional=max(self.max_sector_fraction * gross, position),
            max_symbol_loss=self.max_symbol_loss_fraction * loss,
            max_session_shortfall=self.max_session_shortfall_fraction * loss,
            max_price_move_bps=float(self.max_price_move_bps),
            max_volatility_multiple=float(self.max_volatility_multiple),
            max_quote_jump_bps=float(self.max_quote_jump_bps),
            stop_messages_per_minute=self.stop_rate_multiple * float(self.max_orders_per_minute),
            max_window_shares=self.max_window_orders * float(self.max_order_shares),
            max_window_notional=self.max_window_turnover * gross,
            max_working_orders=float(self.max_working_orders),
            max_open_symbols=float(self.max_open_symbols),
            first_sessions=float(self.first_sessions),
            first_max_symbols=float(self.first_max_symbols),
            first_max_orders=float(self.first_max_orders),
            first_max_notional=float(self.first_max_notional_usd) * MICRO,
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
    max_net_notional: float
    max_sector_notional: float
    max_symbol_loss: float
    max_session_shortfall: float
    max_price_move_bps: float
    max_volatility_multiple: float
    max_quote_jump_bps: float
    stop_messages_per_minute: float
    max_window_shares: float
    max_window_notional: float
    max_working_orders: float
    max_open_symbols: float
    first_sessions: float
    first_max_symbols: float
    first_max_orders: float
    first_max_notional: float
