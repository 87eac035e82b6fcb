"""Where an offered time lies: instants in UTC, sessions and hours of the exchange's calendar."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from workbench.adapters.bars.events import session_of
from workbench.adapters.bars.reasons import CODE
from workbench.adapters.bars.rows import day_number
from workbench.adapters.bars.schema import MINUTE_NS, BarSchema
from workbench.core.ports import Calendar
from workbench.core.types import DAY_NS, NANO, Integers
from workbench.errors import DataError, UsageError

if TYPE_CHECKING:
    import pandas as pd

    from workbench.adapters.bars.validation import Examined

_EPOCH_STEP = {"epoch_s": NANO, "epoch_ms": 1_000_000, "epoch_us": 1_000, "epoch_ns": 1}
_OFFSET = r"[0-9](?:Z|[+-][0-9]{2}:?[0-9]{2})$"


def texts_of(column: Any) -> tuple[NDArray[np.int64], list[str]]:
    """Each row's text as a position in a list of distinct texts; "" for what is no text."""
    if isinstance(column, pa.Array):
        if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            column = column.cast(pa.string())
        found = column if isinstance(column, pa.DictionaryArray) else column.dictionary_encode()
        texts = [text or "" for text in found.dictionary.to_pylist()]
        code = found.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False).astype(np.int64)
        return code, [*texts, ""] if found.null_count else texts
    import pandas as pd

    if len(column) and isinstance(column.iloc[0], list | tuple):  # Alpaca's conditions
        column = column.map(_text)
    code, kept = pd.factorize(column)
    texts = [_text(value) for value in kept]
    # what factorize calls missing has the code -1, which is the list's last
    return np.asarray(code, dtype=np.int64) % (len(texts) + 1), [*texts, ""]


def _text(value: object) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | np.integer) else ""


def place_days(found: Examined, calendar: Calendar) -> tuple[Integers, Integers]:
    """Day number and close of each row's session; rows without one are marked."""
    code, values = _distinct(found.chunk.columns["session"])
    days, closes = np.zeros(len(values) + 1, np.int64), np.zeros(len(values) + 1, np.int64)
    reasons = np.zeros(len(values) + 1, np.uint8)
    reasons[-1] = CODE["malformed"]  # a missing cell
    for place, value in enumerate(values):
        text, reason = _session(value, found.schema)
        if not reason:
            try:
                if calendar.is_session(text):
                    days[place], closes[place] = day_number(text), calendar.session_close_ns(text)
                else:
                    reason = "not_a_session"
            except UsageError:
                reason = "malformed"
            except DataError:
                reason = "outside_calendar"
        reasons[place] = CODE[reason]
    for reason in ("malformed", "time_zone", "outside_calendar", "not_a_session"):
        found.mark(reasons[code] == CODE[reason], reason, "session")
    found.times = (code, [*values, ""])
    return days[code], closes[code]


def _distinct(column: Any) -> tuple[NDArray[np.int64], list[Any]]:
    if isinstance(column, pa.Array):
        encoded = column.dictionary_encode()
        values = encoded.dictionary.to_pylist()
        code = encoded.indices.fill_null(len(values)).to_numpy(zero_copy_only=False).astype(np.int64)
        return code, values
    import pandas as pd

    raw, kept = pd.factorize(column)
    return np.asarray(raw, dtype=np.int64) % (len(kept) + 1), list(kept)


def _session(value: object, schema: BarSchema) -> tuple[str, str]:
    """ISO date of a cell, and the reason when it is none."""
    offered = value
    try:
        if isinstance(value, str) and schema.time_format != "iso":
            value = datetime.strptime(value, schema.time_format)  # noqa: DTZ007 - a date has no zone
        elif isinstance(value, str) and len(value) > 10:
            value = datetime.fromisoformat(value)
    except ValueError:
        return "", "malformed"
    if isinstance(value, datetime):
        aware = value.tzinfo is not None
        if aware != (schema.offsets == "require"):
            midnight = not aware and value == value and value.time() == datetime.min.time()
            whole = midnight and not isinstance(offered, str)
            return ("", "time_zone") if not whole else (value.date().isoformat(), "")
        if aware:
            value = value.astimezone(ZoneInfo(schema.timezone)).replace(tzinfo=None)
    text = session_of(value)
    return text, "" if text else "malformed"


def instants(column: Any, schema: BarSchema) -> tuple[Integers, NDArray[Any]]:
    """UTC nanoseconds of a column of times (0 where there is none), and "" or the reason."""
    import pandas as pd

    times: pd.Series[Any] = column.to_pandas() if isinstance(column, pa.Array) else column
    times = times.reset_index(drop=True)
    count = len(times)
    reason = np.full(count, "", dtype="<U9")
    if schema.time_format in _EPOCH_STEP:
        numbers = pd.to_numeric(times, errors="coerce")
        good = numbers.notna().to_numpy() & (numbers % 1 == 0).to_numpy()
        whole = np.asarray(numbers.where(good, 0), dtype=np.int64) * _EPOCH_STEP[schema.time_format]
        reason[~good] = "malformed"
        return whole, reason
    if isinstance(times.dtype, pd.DatetimeTZDtype) or times.dtype.kind == "M":
        aware = np.full(count, isinstance(times.dtype, pd.DatetimeTZDtype))
        local, utc = (None, times) if aware.all() and count else (times, None)
    else:
        aware = _aware(column, times)
        local, utc = times.where(~aware), times.where(aware)
    wanted = schema.offsets == "require"
    reason[aware != wanted] = "time_zone"
    if wanted:
        if utc is None:
            return np.zeros(count, np.int64), reason
        parsed = pd.to_datetime(utc, utc=True, errors="coerce", format=_format(schema)).dt.tz_convert(None)
    else:
        if local is None:
            return np.zeros(count, np.int64), reason
        naive = pd.to_datetime(local, errors="coerce", format=_format(schema))
        reason[naive.isna().to_numpy() & (reason == "")] = "malformed"
        zoned = naive.dt.tz_localize(schema.timezone, ambiguous="NaT", nonexistent="NaT")
        parsed = zoned.dt.tz_convert("UTC").dt.tz_localize(None)
        reason[(parsed.isna() & naive.notna()).to_numpy()] = "time_zone"
    reason[parsed.isna().to_numpy() & (reason == "")] = "malformed"
    ends = parsed.astype("datetime64[ns]").fillna(pd.Timestamp(0)).to_numpy().astype(np.int64)
    return np.where(reason == "", ends, 0), reason


def _format(schema: BarSchema) -> str:
    return "ISO8601" if schema.time_format == "iso" else schema.time_format


def _aware(column: Any, times: Any) -> NDArray[np.bool_]:
    """Which times carry an offset."""
    if isinstance(column, pa.Array) and pa.types.is_string(column.type):
        found = pc.match_substring_regex(column, _OFFSET).fill_null(False)
        return np.asarray(found.to_numpy(zero_copy_only=False), dtype=bool)
    texts = times.map(lambda value: str(value) if value is not None else "").astype(str)
    return np.asarray(texts.str.contains(_OFFSET, regex=True).to_numpy(), dtype=bool)


def place_instants(found: Examined, calendar: Calendar) -> tuple[Integers, Integers]:
    """Day number of the session and end of each row; rows outside the declared hours are marked."""
    schema = found.schema
    ends, reason = instants(found.chunk.columns["time"], schema)
    if schema.kind == "minute" and schema.label == "start":
        ends = np.where(ends > 0, ends + MINUTE_NS, 0)
    for name in ("malformed", "time_zone"):
        found.mark(reason == name, name, "time")
    found.times = None
    days, inside = _hours(ends, schema, calendar)
    for name in ("outside_calendar", "not_a_session", "outside_hours"):
        found.mark(inside == CODE[name], name, "time")
    return days, ends


def _hours(ends: Integers, schema: BarSchema, calendar: Calendar) -> tuple[Integers, NDArray[np.uint8]]:
    """Session of each instant, and 0 or the code of the reason why it has none."""
    known: dict[str, tuple[int, int]] = {}
    outside: set[int] = set()
    for day in np.unique(ends // DAY_NS).tolist():
        for shift in (-1, 0, 1):
            text = (date(1970, 1, 1) + timedelta(days=int(day) + shift)).isoformat()
            try:
                if text not in known and calendar.is_session(text):
                    known[text] = (calendar.session_open_ns(text), calendar.session_close_ns(text))
            except DataError:
                if shift == 0:
                    outside.add(int(day))
    code = np.full(len(ends), CODE["not_a_session"], np.uint8)
    days = np.zeros(len(ends), np.int64)
    if known:
        texts = sorted(known)
        opens = np.array([known[text][0] for text in texts], dtype=np.int64)
        closes = np.array([known[text][1] for text in texts], dtype=np.int64)
        number = np.array([day_number(text) for text in texts], dtype=np.int64)
        first = opens - schema.before_open_minutes * MINUTE_NS
        last = closes + schema.after_close_minutes * MINUTE_NS
        # A bar lies in (open, close] by its end; a tick in [open, close] by its instant.
        side = ends - 1 if schema.kind == "minute" else ends
        at = np.maximum(np.searchsorted(first, side, side="right") - 1, 0)
        inside = (side >= first[at]) & (ends <= last[at])
        days[inside] = number[at[inside]]
        # The same local day holds midnight to midnight around every session.
        near = np.maximum(np.searchsorted(opens - 570 * MINUTE_NS, side, side="right") - 1, 0)
        same_day = (side >= opens[near] - 570 * MINUTE_NS) & (ends < opens[near] + 870 * MINUTE_NS)
        code[same_day] = CODE["outside_hours"]
        code[inside] = 0
    if outside:
        code[np.isin(ends // DAY_NS, np.array(sorted(outside)))] = CODE["outside_calendar"]
    return days, code


def time_text(found: Examined, place: int) -> str:
    """A row's time: the session, or the instant as offered."""
    if found.times is None:
        return found.chunk.offered("time", place)
    code, values = found.times
    value = values[code[place]]
    return session_of(value) or (value if isinstance(value, str) else str(value))


def utc_text(ts_ns: int) -> str:
    """An instant in UTC, to the microsecond."""
    return datetime.fromtimestamp(ts_ns // NANO, UTC).replace(microsecond=ts_ns % NANO // 1_000).isoformat()
