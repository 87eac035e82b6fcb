"""Shared nouns and their units. Money is integer micros, shares are whole, time is UTC nanoseconds.

Rounding grids: prices and cash 1e-6 of the account currency; weights, forecasts, edges and costs as
fractions on a grid of 1e-6 (0.01 bps). Numbers are rounded to their grid *before* they enter a
comparison or a record, so equal inputs give equal bytes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from enum import IntEnum, StrEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from workbench.core.printing import html_table

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]
Numbers: TypeAlias = NDArray[np.int32]  #: places in a table, where millions are held
Booleans: TypeAlias = NDArray[np.bool_]

MICRO = 1_000_000  #: micros in one unit of account currency; also the grid of fractions (0.01 bps)
NANO = 1_000_000_000  #: nanoseconds in a second
BPS = 10_000  #: basis points in one
DAY_NS = 86_400 * NANO
QUOTE_AHEAD_NS = 5 * NANO  #: how far ahead of us a quote's stamp may be before it is no quote of now


class Side(IntEnum):
    """Direction of an order; the value is the sign of the position change."""

    BUY = 1
    SELL = -1

    @property
    def word(self) -> str:
        """The side as records and frames spell it: "buy" or "sell"."""
        return "buy" if self is Side.BUY else "sell"


class OrderType(IntEnum):
    """Order types; those of the auctions are a venue's "opg" and "cls"."""

    MARKET = 0
    LIMIT = 1
    MARKET_ON_OPEN = 2
    MARKET_ON_CLOSE = 3
    STOP = 4
    STOP_LIMIT = 5

    @property
    def word(self) -> str:
        """The type as records and settings spell it, such as "market_on_open"."""
        return self.name.lower()

    @classmethod
    def parse(cls, word: str) -> OrderType:
        """The order type for its spelling in records and settings; ValueError when unknown."""
        try:
            return cls[word.upper()]
        except KeyError:
            known = ", ".join(kind.word for kind in cls)
            raise ValueError(f"unknown order type {word!r}; known: {known}") from None


class TimeInForce(IntEnum):
    """How long an order lives: until the close, until cancelled, or for one market event.

    IOC fills what the next market event gives and cancels the rest; FOK fills whole there or not at all.
    """

    DAY = 0
    GTC = 1
    IOC = 2
    FOK = 3

    @property
    def word(self) -> str:
        """The time in force as records spell it, such as "gtc"."""
        return self.name.lower()

    @classmethod
    def parse(cls, word: str) -> TimeInForce:
        """The time in force for its spelling in records; ValueError when unknown."""
        try:
            return cls[word.upper()]
        except KeyError:
            known = ", ".join(kind.word for kind in cls)
            raise ValueError(f"unknown time in force {word!r}; known: {known}") from None


class Mode(StrEnum):
    """Where orders go; one code path serves all."""

    REPLAY = "replay"
    SHADOW = "shadow"
    PAPER = "paper"
    LIVE = "live"


@dataclass(frozen=True, eq=False)
class Bars:
    """OHLCV panel, sorted by time and by symbol, with gaps left as gaps.

    Attributes
    ----------
    ts_ns : int64 (times,)
        *End* of each bar, UTC nanoseconds, strictly increasing. A bar is known from its end on.
    symbols : tuple of str (symbols,)
        Sorted, unique, opaque.
    open, high, low, close : float64 (times, symbols)
        Prices in currency; NaN where the symbol has no bar.
    volume : float64 (times, symbols)
        Shares; NaN where there is no bar.
    tradable : bool (times, symbols)
        True where a complete, plausible bar exists.
    """

    ts_ns: Integers
    symbols: tuple[str, ...]
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    tradable: Booleans

    def __post_init__(self) -> None:
        shape = (len(self.ts_ns), len(self.symbols))
        for name in ("open", "high", "low", "close", "volume", "tradable"):
            if getattr(self, name).shape != shape:
                raise ValueError(f"bars.{name} has shape {getattr(self, name).shape}, expected {shape}")
        if list(self.symbols) != sorted(set(self.symbols)):
            raise ValueError("bars.symbols must be sorted and unique")
        if len(self.ts_ns) > 1 and not bool(np.all(np.diff(self.ts_ns) > 0)):
            raise ValueError("bars.ts_ns must be strictly increasing")

    def _repr_html_(self) -> str:
        ends = np.datetime_as_string(self.ts_ns.astype("datetime64[ns]"), unit="m")
        facts = {
            "bars": len(ends), "symbols": ", ".join(self.symbols[:12]) or "none",
            "from": ends[0] if len(ends) else "", "to": ends[-1] if len(ends) else "",
            "without a bar": int((~self.tradable).sum()),
        }  # fmt: skip
        return html_table(
            "Bars", facts, {"prices": "currency", "volume": "shares", "times": "UTC, end of bar"}
        )

    def tail(self, rows: int) -> Bars:
        """The last `rows` bars (fewer if there are fewer)."""
        start = max(0, len(self.ts_ns) - rows)
        return self.rows(start, len(self.ts_ns))

    def rows(self, start: int, stop: int) -> Bars:
        """The bars with positions `start` up to, not including, `stop`."""
        cut = slice(start, stop)
        return Bars(
            self.ts_ns[cut], self.symbols, self.open[cut], self.high[cut], self.low[cut],
            self.close[cut], self.volume[cut], self.tradable[cut],
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Quotes:
    """Best bid and ask per symbol as known at one instant; zero or -1 where missing.

    Attributes
    ----------
    symbols : tuple of str (symbols,)
    bid_micro, ask_micro : int64 (symbols,)
        Micros of currency; 0 = missing.
    at_ns : int64 (symbols,)
        Time stamp of each quote, UTC nanoseconds; -1 = missing.
    """

    symbols: tuple[str, ...]
    bid_micro: Integers
    ask_micro: Integers
    at_ns: Integers

    def age_ns(self, now_ns: int) -> Integers:
        """Age of each quote at `now_ns`, nanoseconds; -1 = missing.

        A quote stamped up to `QUOTE_AHEAD_NS` later is of now: a real session asks a moment after its
        scheduled time, of a venue whose clock is never quite ours. Further ahead it stays negative.
        """
        age = now_ns - self.at_ns
        if len(age) == 1:  # a look at one order asks of one symbol: plain integers cost a tenth
            return np.array([self._age_of(int(age[0]), int(self.at_ns[0]))], dtype=np.int64)
        near = np.where((age < 0) & (age >= -QUOTE_AHEAD_NS), 0, age)
        found: Integers = np.where(self.at_ns < 0, -1, near).astype(np.int64)
        return found

    @staticmethod
    def _age_of(age_ns: int, at_ns: int) -> int:
        if at_ns < 0:
            return -1
        return 0 if -QUOTE_AHEAD_NS <= age_ns < 0 else age_ns


@dataclass(frozen=True, eq=False)
class Snapshot:
    """All that one decision may know, one element per symbol, in today's share terms.

    Attributes
    ----------
    account, strategy : str
    session : str
        Exchange session, ISO date.
    scheduled_ns : int
        The scheduled decision time, UTC nanoseconds. Never the wall clock.
    symbols : tuple of str (symbols,)
    price_micro : int64
        Last known close, unadjusted; 0 = missing.
    bar_age_sessions : int64
        Completed exchange sessions since that close's session; 0 = latest; -1 = missing.
    bid_micro, ask_micro : int64
        Quote; 0 = missing.
    quote_age_ns : int64
        Age of the quote at `scheduled_ns`; -1 = missing.
    tradable, frozen : bool
        Whether the symbol has a plausible bar; whether it is frozen by an unresolved order.
    position_shares : int64
        Signed position from the ledger.
    open_buy_shares, open_sell_shares : int64
        Unfilled quantity of working and unknown orders (worst case), both >= 0.
    adv_shares, volatility_bps, half_spread_bps : float64
        Mean daily volume, daily volatility, half the quoted spread; NaN = missing.
    cash_micro, equity_micro, session_start_equity_micro : int
        Account currency micros.
    """

    account: str
    strategy: str
    session: str
    scheduled_ns: int
    symbols: tuple[str, ...]
    price_micro: Integers
    bar_age_sessions: Integers
    bid_micro: Integers
    ask_micro: Integers
    quote_age_ns: Integers
    tradable: Booleans
    frozen: Booleans
    position_shares: Integers
    open_buy_shares: Integers
    open_sell_shares: Integers
    adv_shares: Floats
    volatility_bps: Floats
    half_spread_bps: Floats
    cash_micro: int
    equity_micro: int
    session_start_equity_micro: int

    def digest(self) -> str:
        """Hex sha256 of the content; equal snapshots have equal digests on every machine."""
        sha = hashlib.sha256()
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                if value.dtype == np.float64:  # round to the grid; -0.0 and NaN payloads made one
                    grid = np.round(value * 100.0) / 100.0 + 0.0
                    # what is on the grid already is what rounding to two digits would give
                    on_grid = bool(np.fmax.reduce(np.abs(grid), initial=0.0) < 1e12)
                    digits = grid.tolist() if on_grid else [round(x, 2) for x in grid.tolist()]
                    value = [None if x != x else x for x in digits]
                else:
                    value = value.tolist()
            sha.update(f"{field.name}={value!r};".encode())
        return sha.hexdigest()


@dataclass(frozen=True, eq=False)
class Decision:
    """What the policy wants for every symbol at one decision time, with a reason for each.

    Attributes
    ----------
    symbols : tuple of str (symbols,)
    target_shares, delta_shares : int64
        Desired position, and the signed order quantity that leads to it (0 = no order).
    order_type : int64
        `OrderType` values; meaningful where delta is not 0.
    limit_micro : int64
        Limit price on the tick grid; 0 for order types without a limit.
    reason : int64
        `policy.Reason` values, one for each symbol, also where nothing is done.
    forecast_micro, edge_micro, cost_floor_micro, weight_micro : int64
        Expected return over the horizon, expected edge of the change, cost floor of the change
        and target weight, all as fractions x 1e6 (0.01 bps); `MISSING` where not known.
    """

    symbols: tuple[str, ...]
    target_shares: Integers
    delta_shares: Integers
    order_type: Integers
    limit_micro: Integers
    reason: Integers
    forecast_micro: Integers
    edge_micro: Integers
    cost_floor_micro: Integers
    weight_micro: Integers


MISSING = np.iinfo(np.int64).min  #: integer stand-in for "not known" in arrays on a grid


def to_micro(value: float) -> int:
    """Round a price, an amount or a fraction to integer micros (half to even)."""
    return round(value * MICRO)


def from_micro(value_micro: int) -> float:
    """Currency units (or a fraction) of an integer number of micros, for display."""
    return value_micro / MICRO
