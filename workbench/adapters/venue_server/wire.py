"""Alpaca's spelling of values: money and shares as strings, times as RFC 3339 with nanoseconds, ids as UUIDs.

Shapes follow Alpaca's OpenAPI document and recorded answers; where Alpaca's behaviour is not known, the
choice made here says so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from workbench.core.types import MICRO, NANO

NEW_YORK = ZoneInfo("America/New_York")
_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)  # made once, for speed
JSON_TYPE = "application/json; charset=UTF-8"


@dataclass(frozen=True)
class Answer:
    """What a request gets: a status and a body; None = an empty body."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def content(self) -> bytes:
        """The bytes of the body."""
        if self.body is None:
            return b""
        return self.body if isinstance(self.body, bytes) else encoded(self.body)


def encoded(value: Any) -> bytes:
    """JSON without spaces."""
    return _ENCODER.encode(value).encode()


def refusal(status: int, code: int, message: str, **facts: Any) -> Answer:
    """An error in Alpaca's form: code, message and what else belongs to it."""
    return Answer(status, {"code": code, "message": message, **facts})


def identity(*parts: object) -> str:
    """A UUID that follows from the parts alone, so equal histories have equal ids."""
    h = hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).hexdigest()
    return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-a{h[17:20]}-{h[20:32]}"


def money(micro: int) -> str:
    """Micros as a decimal string without trailing zeros: 86880000 -> "86.88"."""
    return _decimal(micro, MICRO, 6)


def shares(count: int) -> str:
    """Whole shares as a string."""
    return str(count)


def ratio(numerator: int, denominator: int, digits: int = 9) -> str:
    """A quotient as a decimal string, rounded towards zero; "0" where there is nothing to divide by."""
    if not denominator:
        return "0"
    scale = 10**digits
    size = abs(numerator) * scale // abs(denominator)
    return _decimal(size if (numerator < 0) == (denominator < 0) else -size, scale, digits)


def _decimal(value: int, unit: int, digits: int) -> str:
    whole, rest = divmod(abs(value), unit)
    sign = "-" if value < 0 else ""
    return f"{sign}{whole}.{rest:0{digits}d}".rstrip("0") if rest else f"{sign}{whole}"


def when(at_ns: int) -> str:
    """UTC time with nanoseconds, as in "2026-10-08T15:10:18.094153596Z"."""
    seconds, rest = divmod(at_ns, NANO)
    text = _second(seconds)
    return f"{text}.{rest:09d}".rstrip("0") + "Z" if rest else f"{text}Z"


@lru_cache(maxsize=1024)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def when_micros(at_ns: int) -> str:
    """UTC time cut to microseconds, as activities show it."""
    return when(at_ns // 1000 * 1000)


def when_new_york(at_ns: int) -> str:
    """New York time with its offset, as the clock shows it."""
    seconds, rest = divmod(at_ns, NANO)
    local = datetime.fromtimestamp(seconds, NEW_YORK)
    offset = local.strftime("%z")
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{local:%Y-%m-%dT%H:%M:%S}{fraction}{offset[:3]}:{offset[3:]}"


def activity_stamp(at_ns: int) -> str:
    """The beginning of an activity's id: New York wall time to the millisecond, which nobody may parse."""
    seconds, rest = divmod(at_ns, NANO)
    return f"{datetime.fromtimestamp(seconds, NEW_YORK):%Y%m%d%H%M%S}{rest // MICRO:03d}"


def new_york_date(at_ns: int) -> str:
    """ISO date in New York."""
    return datetime.fromtimestamp(at_ns // NANO, NEW_YORK).date().isoformat()


def new_york_midnight(session: str) -> int:
    """Beginning of a date in New York, UTC nanoseconds: the stamp of a daily bar."""
    return int(datetime.fromisoformat(session).replace(tzinfo=NEW_YORK).timestamp()) * NANO


def parse_time(text: str) -> int:
    """UTC nanoseconds of a date or an RFC 3339 time.

    Raises
    ------
    ValueError
        Neither of them.
    """
    text = text.strip().replace(" ", "+")  # a plus sign that a query string lost
    body, fraction = text, ""
    if "." in text:
        body, _, tail = text.partition(".")
        digits = len(tail) - len(tail.lstrip("0123456789"))
        fraction, zone = tail[:digits], tail[digits:]
        body += zone
    parsed = datetime.fromisoformat(body)
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=UTC)
    return int(parsed.timestamp()) * NANO + int((fraction + "0" * 9)[:9])


def parse_decimal(value: object) -> Decimal:
    """The exact value of a JSON string or number.

    Raises
    ------
    ValueError
        Not a finite decimal number.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(value)
    try:
        found = Decimal(str(value))
    except ArithmeticError:
        raise ValueError(value) from None
    if not found.is_finite() or abs(found) > Decimal(10) ** 15:
        raise ValueError(value)
    return found
