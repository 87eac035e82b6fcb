"""What happened lately, as the controls need it: the symbols' own history and the desk's own orders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache, lru_cache

import numpy as np

from workbench.core.types import MISSING, Booleans, Floats, Integers

#: `closed_sessions` of an account that is long past its first ones.
ESTABLISHED = 1_000_000


@dataclass(frozen=True, eq=False)
class Recent:
    """Windows and tallies of a moment; every number is computed from records, none is a running counter.

    Attributes
    ----------
    volatility_bps : float64 (symbols,)
        Usual move of a day; NaN = not known.
    window_price_micro, previous_mid_micro : int64 (symbols,)
        Last close before the movement window, middle of the quote that was looked at before; 0 = not known.
    disabled : bool (symbols,)
        Stopped by the throttle of repeated executions.
    own_buy_micro, own_sell_micro : int64 (symbols,)
        Dearest price at which own working orders buy, cheapest at which they sell; 0 = none works.
    session_shares, session_paid_micro : int64 (symbols,)
        Bought less sold in this session and the cash that went out for it; `MISSING` = not known.
    symbol_orders, window_shares : int64 (symbols,)
        Orders sent in this session, shares ordered within the short window; -1 = not known.
    cancels_last_minute, denials_last_minute : int
    window_notional_micro, session_notional_micro : int
        Value ordered within the short window and in this session, at the worst price.
    closed_sessions : int
        Sessions of this mode behind the account.
    shortfall_micro : int
        Cost of the session's fills against their decision prices; a gain is negative.

    Notes
    -----
    A scalar that is no whole number (None, NaN) is not known, and denies.
    """

    volatility_bps: Floats
    window_price_micro: Integers
    previous_mid_micro: Integers
    disabled: Booleans
    own_buy_micro: Integers
    own_sell_micro: Integers
    session_shares: Integers
    session_paid_micro: Integers
    symbol_orders: Integers
    window_shares: Integers
    cancels_last_minute: int
    denials_last_minute: int
    window_notional_micro: int
    session_notional_micro: int
    closed_sessions: int
    shortfall_micro: int

    def __post_init__(self) -> None:
        lengths = {len(getattr(self, name)) for name in per_symbol()}
        if len(lengths) != 1:
            raise ValueError(f"what is known by symbol has several lengths: {sorted(lengths)}")

    @property
    def symbols(self) -> int:
        """How many symbols it describes."""
        return len(self.volatility_bps)


@cache
def per_symbol() -> tuple[str, ...]:
    """Names of the fields of `Recent` that have one element a symbol."""
    return tuple(item.name for item in fields(Recent) if item.type != "int")


def sector_numbers(symbols: Sequence[str], sectors: Mapping[str, str]) -> Integers:
    """Number of each symbol's sector: the place of its first symbol; without a sector its own place."""
    if not sectors:
        return np.arange(len(symbols), dtype=np.int64)
    return _sector_numbers(tuple(symbols), tuple(sectors.items())).copy()


@lru_cache(maxsize=16)
def _sector_numbers(symbols: tuple[str, ...], pairs: tuple[tuple[str, str], ...]) -> Integers:
    sectors = dict(pairs)
    first: dict[str, int] = {}
    numbers = [
        first.setdefault(sectors[symbol], at) if symbol in sectors else at
        for at, symbol in enumerate(symbols)
    ]
    return np.array(numbers, dtype=np.int64)


def known(value: object) -> int:
    """The value as a kernel takes it; None, NaN, text and numbers that no record can hold are `MISSING`."""
    if isinstance(value, (int, np.integer)) and MISSING < value < -MISSING:
        return int(value)
    return MISSING
