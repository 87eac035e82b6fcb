"""What a delivery says about itself: kind, columns, delimiter, time zone, label, hours, currency."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from workbench.core.types import MICRO, NANO
from workbench.errors import ConfigError

PRICES = ("open", "high", "low", "close")
MINUTE_NS = 60 * NANO
TEXT_BYTES = 7  #: a venue or condition is packed into one integer


@dataclass(frozen=True)
class Kind:
    """What one kind of rows holds.

    Attributes
    ----------
    numbers : mapping of str to (str, int)
        Needed input column -> stored column and the grid it is stored on.
    optional : tuple of str
        Input columns that may be missing: "venue" and "conditions" are short texts, "sequence" a whole
        number that makes two ticks of one instant distinct.
    period : str
        "year" | "month" | "day": how a delivery too large for memory is cut into files.
    buckets : int
        Files a period is cut into, by symbol.
    """

    name: str
    numbers: Mapping[str, tuple[str, int]]
    optional: tuple[str, ...]
    period: str
    buckets: int

    @property
    def ticks(self) -> bool:
        """Whether rows are instants, not intervals."""
        return self.name in ("quotes", "trades")

    @property
    def values(self) -> tuple[str, ...]:
        """Stored columns of the values."""
        return (*(name for name, _ in self.numbers.values()), *self.optional)

    @property
    def columns(self) -> tuple[str, ...]:
        """All stored integer columns, in canonical order."""
        return ("day", "ts_ns", "known_at_ns", *self.values, *(("position",) if self.ticks else ()))


_BAR = {**{name: (f"{name}_micro", MICRO) for name in PRICES}, "volume": ("volume", 1)}
_QUOTE = {
    "bid": ("bid_micro", MICRO), "bid_size": ("bid_size_nano", NANO),
    "ask": ("ask_micro", MICRO), "ask_size": ("ask_size_nano", NANO),
}  # fmt: skip
_TRADE = {"price": ("price_micro", MICRO), "size": ("size_nano", NANO)}
_TICK = ("venue", "conditions", "sequence")
KINDS: Mapping[str, Kind] = {
    "daily": Kind("daily", _BAR, (), "year", 4),
    "minute": Kind("minute", _BAR, (), "month", 16),
    "quotes": Kind("quotes", _QUOTE, _TICK, "day", 16),
    "trades": Kind("trades", _TRADE, _TICK, "day", 16),
}


@dataclass(frozen=True)
class BarSchema:
    """The declaration that every row of a delivery is held against.

    Attributes
    ----------
    kind : str
        "daily" | "minute" | "quotes" | "trades".
    columns : mapping of str to str or int
        Our name -> the source's name, or its position where there is no header; names that are equal
        need no entry. Ours: symbol, session (daily) or time, the values, known_at.
    ignore : tuple of str
        Source columns that are seen and not kept; any other unknown column refuses the delivery.
    symbol : str
        Symbol of every row when the source has no such column; "file" = the file's name up to the
        first "_" or ".".
    delimiter : str
    header : bool
    null_values : tuple of str
        Texts that mean "missing".
    time_format : str
        strptime format, "iso", or "epoch_s" | "epoch_ms" | "epoch_us" | "epoch_ns".
    timezone : str
        IANA zone in which times without an offset are read, and in which a daily bar's midnight lies.
    offsets : str
        "refuse": times carry no offset; "require": each carries one. A row of the other sort is refused.
    label : str
        "start" | "end": which edge of a minute its time names. Daily bars name their session.
    calendar : str
        Exchange, as exchange-calendars spells it.
    currency : str
        Of all prices; a store holds one.
    price_unit : float
        Currency in one unit of the file's prices; 0.01 for pence.
    before_open_minutes, after_close_minutes : int
        Extended hours that are taken in; 0 = regular hours only. Rows beyond are refused.
    max_ratio : float
        A price more than this many times its predecessor, or less than one in this many, after
        recorded splits, is an unexplained jump.
    confirmed : tuple of str
        "SYMBOL YYYY-MM-DD" of jumps that a person looked up and found real.
    order : str
        "time": a tick earlier than its predecessor of the same symbol is refused; "any".
    require : mapping of str to tuple of str
        Source column -> values with which a row counts; others are refused (cancelled prints).
    """

    kind: str = "daily"
    columns: Mapping[str, str | int] = field(default_factory=dict)
    ignore: tuple[str, ...] = ()
    symbol: str = ""
    delimiter: str = ","
    header: bool = True
    null_values: tuple[str, ...] = ("", "null", "NaN", "nan", "NA", "N/A")
    time_format: str = "iso"
    timezone: str = "America/New_York"
    offsets: str = "refuse"
    label: str = "end"
    calendar: str = "XNYS"
    currency: str = "USD"
    price_unit: float = 1.0
    before_open_minutes: int = 0
    after_close_minutes: int = 0
    max_ratio: float = 5.0
    confirmed: tuple[str, ...] = ()
    order: str = "time"
    require: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._one_of("kind", tuple(KINDS))
        self._one_of("offsets", ("refuse", "require"))
        self._one_of("label", ("start", "end"))
        self._one_of("order", ("time", "any"))
        if len(self.delimiter) != 1:
            raise _wrong("delimiter", self.delimiter, "use one character, for example ',' or ';' or a tab")
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError):
            raise _wrong("timezone", self.timezone, "use an IANA name such as America/New_York") from None
        if not 1.0 < self.max_ratio <= 1e6:
            raise _wrong("max_ratio", self.max_ratio, "use a number above 1, such as 1.5")
        if not 0 < self.price_unit <= 1e6:
            raise _wrong(
                "price_unit", self.price_unit, "use the currency in one unit, such as 0.01 for pence"
            )
        if not (0 <= self.before_open_minutes <= 600 and 0 <= self.after_close_minutes <= 600):
            raise _wrong("before_open_minutes", self.before_open_minutes, "use 0 to 600 minutes")
        unknown = set(self.columns) - set(self.known)
        if unknown:
            raise _wrong("columns", ", ".join(sorted(unknown)), f"known are {', '.join(self.known)}")

    @property
    def rules(self) -> Kind:
        """The kind's columns and layout."""
        return KINDS[self.kind]

    @property
    def time_column(self) -> str:
        """Our name of the column that places a row in time."""
        return "session" if self.kind == "daily" else "time"

    @property
    def needed(self) -> tuple[str, ...]:
        """Our names of the columns that must be there."""
        return (*(() if self.symbol else ("symbol",)), self.time_column, *self.rules.numbers)

    @property
    def known(self) -> tuple[str, ...]:
        """Our names of all columns that can be mapped."""
        return ("symbol", self.time_column, *self.rules.numbers, *self.rules.optional, "known_at")

    def source_name(self, name: str) -> str:
        """The source's name of one of our columns."""
        at = self.columns.get(name, name)
        return f"column {at}" if isinstance(at, int) else at

    def _one_of(self, name: str, allowed: tuple[str, ...]) -> None:
        if getattr(self, name) not in allowed:
            raise _wrong(name, getattr(self, name), f"use one of {', '.join(allowed)}")


#: frames and files in the workbench's own columns; adj_close holds later splits and is not kept
CANONICAL = BarSchema(ignore=("adj_close",))
#: `alpaca-py`: `BarSet.df`, `QuoteSet.df`, `TradeSet.df` and their JSON; times are aware, labels starts
_ALPACA = {"time_format": "iso", "offsets": "require", "label": "start"}
ALPACA: Mapping[str, BarSchema] = {
    "daily": BarSchema("daily", {"session": "timestamp"}, ("trade_count", "vwap"), **_ALPACA),  # type: ignore[arg-type]
    "minute": BarSchema("minute", {"time": "timestamp"}, ("trade_count", "vwap"), **_ALPACA),  # type: ignore[arg-type]
    "quotes": BarSchema(
        "quotes",
        {"time": "timestamp", "bid": "bid_price", "ask": "ask_price", "venue": "bid_exchange"},
        ("ask_exchange", "conditions", "tape"), **_ALPACA,  # type: ignore[arg-type]
    ),
    "trades": BarSchema(
        "trades", {"time": "timestamp", "venue": "exchange", "sequence": "id"}, ("tape",), **_ALPACA  # type: ignore[arg-type]
    ),
}  # fmt: skip


def read_schema(path: Path, *, kind: str | None = None) -> BarSchema:
    """The schema of a TOML file; its keys are the attributes of `BarSchema`.

    Parameters
    ----------
    kind : str or None
        Replaces the file's kind.

    Raises
    ------
    ConfigError
        The file cannot be read, or a key or value is wrong; both are named.
    """
    try:
        found: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise ConfigError(f"{path} cannot be read: {problem}", next_step="name a TOML schema file") from None
    defaults = {item.name: item for item in fields(BarSchema)}
    unknown = sorted(set(found) - set(defaults))
    if unknown:
        raise ConfigError(
            f"{path}: unknown keys {', '.join(unknown)}", next_step=f"known are {', '.join(defaults)}"
        )
    if kind:
        found["kind"] = kind
    base = BarSchema()
    for name, value in found.items():
        found[name] = _typed(path, name, value, getattr(base, name))
    return replace(base, **found)


def _typed(path: Path, name: str, value: Any, example: Any) -> Any:
    if isinstance(example, tuple) and isinstance(value, list) and all(isinstance(one, str) for one in value):
        return tuple(value)
    if name == "require" and isinstance(value, dict):
        return {key: tuple(map(str, group)) for key, group in value.items()}
    if isinstance(example, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(example, Mapping) and isinstance(value, dict):
        return value
    if type(value) is type(example):
        return value
    raise ConfigError(
        f"{path}: {name} = {value!r} is not a {type(example).__name__}", next_step=f"for example {example!r}"
    )


def _wrong(name: str, value: object, next_step: str) -> ConfigError:
    return ConfigError(f"schema: {name} = {value!r} is not usable", next_step=next_step)
