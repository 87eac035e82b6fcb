"""Which offered rows are believed: checks row by row, with a reason for each that is not."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import pyarrow as pa

from workbench.adapters.bars.rows import Rows, Split, day_number, parquet_bytes
from workbench.core.ports import Calendar
from workbench.core.types import MICRO, Booleans, Floats, Integers
from workbench.errors import DataError, UsageError

if TYPE_CHECKING:
    import pandas as pd

    Frame: TypeAlias = pd.DataFrame | Path

PRICES = ("open", "high", "low", "close")
COLUMNS = ("symbol", "session", *PRICES, "volume")
IGNORED = ("adj_close",)  #: holds later splits and dividends, hence the future; accepted and not kept
SPLIT_COLUMNS = ("symbol", "ex_session", "new_shares", "old_shares")
LARGEST = 1e9  #: a price or, in thousands, a volume beyond this is a fault of the source

#: reason -> what it means
REASONS = {
    "malformed": "no symbol, or the session is not a date",
    "null": "a price, the volume or the time of knowledge is missing",
    "outside_calendar": "the calendar does not cover that date",
    "not_a_session": "the exchange was closed on that date",
    "impossible": "a price or volume no market prints: low above or high below another price, zero, negative",
    "future": "the bar ends, or is said to be known, after the present",
    "known_before_end": "said to be known before the session closed",
    "duplicate_exact": "the same row again in the same delivery; one of them is kept",
    "duplicate_conflicting": "the delivery contradicts itself about that row; none is kept",
    "changed_history": "other values than those already recorded, without a later time of knowledge",
}


@dataclass(frozen=True)
class IngestReport:
    """What became of one delivery.

    Attributes
    ----------
    source : str
    offered, accepted : int
        Rows in the delivery; rows added to the store.
    corrections : int
        Accepted rows that supersede a recorded one from their `known_at` on.
    unchanged : int
        Rows that the store already held.
    quarantined : dict of str to int
        Rows set aside, by reason (`REASONS`).
    examples : dict of str to tuple of str
        The first rows of each reason, as "symbol session (row n)".
    splits_added : int
    fingerprint : str
        Of the store, afterwards.
    """

    source: str
    offered: int
    accepted: int
    corrections: int
    unchanged: int
    quarantined: dict[str, int]
    examples: dict[str, tuple[str, ...]]
    splits_added: int
    fingerprint: str

    def __str__(self) -> str:
        lines = [
            f"{self.source}: {self.offered:,} rows offered, {self.accepted:,} accepted "
            f"({self.corrections:,} corrections), {self.unchanged:,} already known, "
            f"{sum(self.quarantined.values()):,} quarantined, {self.splits_added} splits added"
        ]
        for reason, count in self.quarantined.items():
            lines.append(f"  {count:,} {reason} ({REASONS[reason]}): {', '.join(self.examples[reason])}")
        return "\n".join(lines)


@dataclass
class Examined:
    """A delivery under examination; `reasons` is "" for rows that are believed so far."""

    symbols: list[str]
    sessions: list[str]
    numbers: dict[str, Floats]
    ts_ns: Integers
    known_at_ns: Integers
    known_missing: Booleans
    reasons: list[str]
    rows: Rows = field(init=False)

    def mark(self, mask: Booleans, reason: str) -> None:
        """Give the reason to the masked rows that have none yet."""
        for place in np.flatnonzero(mask):
            self.reasons[place] = self.reasons[place] or reason

    def believed(self) -> Integers:
        """Positions of the rows without a reason."""
        return np.array([place for place, reason in enumerate(self.reasons) if not reason], dtype=np.int64)

    def counts(self) -> dict[str, int]:
        """Rows by reason, in the order of `REASONS`."""
        found = Counter(reason for reason in self.reasons if reason)
        return {reason: found[reason] for reason in REASONS if found[reason]}

    def examples(self, most: int = 3) -> dict[str, tuple[str, ...]]:
        """The first rows of each reason."""
        named: dict[str, list[str]] = defaultdict(list)
        for place, reason in enumerate(self.reasons):
            if reason and len(named[reason]) < most:
                named[reason].append(f"{self.symbols[place]} {self.sessions[place]} (row {place})")
        return {reason: tuple(named[reason]) for reason in self.counts()}

    def quarantine_parquet(self) -> bytes:
        """Parquet file of the rows with a reason, with their values as offered."""
        places = [place for place, reason in enumerate(self.reasons) if reason]
        columns: dict[str, Any] = {
            "row": pa.array(places, pa.int64()),
            "symbol": pa.array([self.symbols[place] for place in places], pa.string()),
            "session": pa.array([self.sessions[place] for place in places], pa.string()),
        }
        for name, values in self.numbers.items():
            columns[name] = pa.array(values[places], pa.float64())
        known = [None if self.known_missing[place] else int(self.known_at_ns[place]) for place in places]
        columns["known_at_ns"] = pa.array(known, pa.int64())
        columns["reason"] = pa.array([self.reasons[place] for place in places], pa.string())
        return parquet_bytes(columns)


def examine(
    frame: Frame,
    *,
    calendar: Calendar,
    known_at: Literal["session_close"] | Sequence[int] | Integers,
    now_ns: int,
) -> Examined:
    """The delivery with a reason for each row that cannot be believed on its own.

    Prices are compared on the grid of micros, without any tolerance.

    Raises
    ------
    DataError
        A file cannot be read, or a column is missing or unknown.
    UsageError
        `known_at` has another length than the delivery.
    """
    import pandas as pd

    table, origin = _load(frame)
    _require_columns(table, COLUMNS, IGNORED, origin)
    symbols = [value if isinstance(value, str) else "" for value in table["symbol"].tolist()]
    sessions = [_session(value) for value in table["session"].tolist()]
    numbers = {
        name: pd.to_numeric(table[name], errors="coerce").to_numpy(dtype=np.float64, na_value=math.nan)
        for name in (*PRICES, "volume")
    }
    closes, faults = _closes(sessions, calendar)
    known_ns, missing = _known_at(known_at, closes)
    found = Examined(symbols, sessions, numbers, closes, known_ns, missing, faults)
    found.mark(
        np.array([not symbol or symbol != symbol.strip() for symbol in symbols], dtype=bool), "malformed"
    )
    finite = np.logical_and.reduce([np.isfinite(values) for values in numbers.values()])
    found.mark(~finite | missing, "null")
    micros = {name: _grid(numbers[name], MICRO) for name in PRICES}
    volume = _grid(numbers["volume"], 1)
    stack = np.stack([micros[name] for name in PRICES])
    impossible = (stack.min(axis=0) <= 0) | (volume < 0) | (numbers["volume"] > LARGEST * 1_000)
    impossible |= (micros["low"] > stack.min(axis=0)) | (micros["high"] < stack.max(axis=0))
    found.mark(impossible | np.any([numbers[name] > LARGEST for name in PRICES], axis=0), "impossible")
    found.mark((closes > now_ns) | (known_ns > now_ns), "future")
    found.mark(known_ns < closes, "known_before_end")
    _mark_duplicates(found, [*(micros[name] for name in PRICES), volume])
    kept = found.believed()
    found.rows = Rows(
        np.array([symbols[place] for place in kept] or [""], dtype=np.str_)[: len(kept)],
        np.array([day_number(sessions[place]) for place in kept], dtype=np.int64),
        closes[kept],
        known_ns[kept],
        micros["open"][kept],
        micros["high"][kept],
        micros["low"][kept],
        micros["close"][kept],
        volume[kept],
    )
    return found


def against_history(found: Examined, recorded: Rows) -> tuple[Rows, int, int]:
    """The rows to add, how many of them are corrections, and how many rows were known already.

    A row that contradicts the record is believed only when it became known later than everything
    recorded for its symbol and session; otherwise it would rewrite what past decisions saw. The
    others get the reason "changed_history".
    """
    kept, offered = found.believed(), found.rows
    touched = recorded.take(np.isin(recorded.symbol, offered.symbol) & np.isin(recorded.day, offered.day))
    versions: dict[tuple[str, int], list[tuple[int, tuple[int, ...]]]] = defaultdict(list)
    for place in range(len(touched)):
        key = (str(touched.symbol[place]), int(touched.day[place]))
        versions[key].append((int(touched.known_at_ns[place]), touched.values_at(place)))
    added: list[int] = []
    corrections = unchanged = 0
    for place in np.lexsort((offered.known_at_ns, offered.day, offered.symbol)).tolist():
        known, values = int(offered.known_at_ns[place]), offered.values_at(place)
        history = versions[(str(offered.symbol[place]), int(offered.day[place]))]
        in_force = [past for at, past in history if at <= known]
        if in_force and in_force[-1] == values:
            unchanged += 1
        elif not history or known > history[-1][0]:
            corrections += bool(history)
            history.append((known, values))
            added.append(place)
        else:
            found.reasons[int(kept[place])] = "changed_history"
    return offered.take(np.array(sorted(added), dtype=np.int64)), corrections, unchanged


def read_splits(frame: Frame | None, *, calendar: Calendar, recorded: Iterable[Split]) -> tuple[Split, ...]:
    """Recorded split events of a delivery that the store does not hold yet.

    Splits move every earlier price, so one doubtful event refuses the whole delivery.

    Raises
    ------
    DataError
        A file cannot be read, a column is missing, an event is impossible or contradicts the record.
    """
    if frame is None:
        return ()
    table, origin = _load(frame)
    _require_columns(table, SPLIT_COLUMNS, (), origin)
    known = {(split.symbol, split.ex_session): split for split in recorded}
    added: list[Split] = []
    for values in zip(*(table[name].tolist() for name in SPLIT_COLUMNS), strict=True):
        symbol, session, new, old = values[0], _session(values[1]), values[2], values[3]
        where = f"split of {symbol} on {session or values[1]} in {origin}"
        if not isinstance(symbol, str) or not symbol or not session or not calendar.is_session(session):
            raise DataError(f"{where}: needs a symbol and an exchange session", next_step="correct the event")
        if not (_whole(new) and _whole(old)) or new == old:
            raise DataError(
                f"{where}: {new} new for {old} old shares is no split", next_step="correct the event"
            )
        event = Split(symbol, session, calendar.session_open_ns(session), int(new), int(old))
        if known.setdefault((symbol, session), event) != event:
            raise DataError(
                f"{where} contradicts the recorded one, {known[symbol, session]}",
                next_step="find out which is right; a wrong record needs a new store",
            )
        if known[symbol, session] is event:
            added.append(event)
    return tuple(added)


def _load(frame: Frame) -> tuple[pd.DataFrame, str]:
    if not isinstance(frame, Path):
        return frame, "the frame"
    import pandas as pd
    import pyarrow.parquet as pq

    files = sorted(frame.glob("*.parquet")) if frame.is_dir() else [frame]
    if not files:
        raise DataError(f"{frame} holds no Parquet file", next_step="name a Parquet file or a folder of them")
    tables = []
    for file in files:
        try:
            tables.append(pq.ParquetFile(file).read().to_pandas())
        except (OSError, pa.ArrowException) as problem:
            raise DataError(
                f"{file} cannot be read as Parquet: {problem}",
                next_step="fetch or build that file again; nothing was ingested",
                path=str(file),
            ) from problem
    return pd.concat(tables, ignore_index=True), str(frame)


def _require_columns(
    table: pd.DataFrame, needed: tuple[str, ...], ignored: tuple[str, ...], origin: str
) -> None:
    missing = [name for name in needed if name not in table.columns]
    unknown = [str(name) for name in table.columns if name not in (*needed, *ignored)]
    if missing or unknown or not table.columns.is_unique:
        raise DataError(
            f"{origin}: missing columns {missing}, unknown columns {unknown}",
            next_step=f"needed are {', '.join(needed)}"
            + (f"; {', '.join(ignored)} may be there" if ignored else ""),
        )


def _session(value: object) -> str:
    """ISO date of a cell, or "" when it is none; a time of day other than midnight is none."""
    if isinstance(value, datetime):
        if (
            value != value or value.tzinfo is not None or value.time() != datetime.min.time()
        ):  # NaT is not itself
            return ""
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return value if isinstance(value, str) else ""


def _closes(sessions: list[str], calendar: Calendar) -> tuple[Integers, list[str]]:
    """Close of each session (0 where there is none) and the reason where there is none."""
    memory: dict[str, tuple[int, str]] = {}
    for session in set(sessions):
        try:
            closed = not calendar.is_session(session)
            memory[session] = (0, "not_a_session") if closed else (calendar.session_close_ns(session), "")
        except UsageError:
            memory[session] = (0, "malformed")
        except DataError:
            memory[session] = (0, "outside_calendar")
    closes = np.array([memory[session][0] for session in sessions], dtype=np.int64)
    return closes, [memory[session][1] for session in sessions]


def _known_at(
    known_at: Literal["session_close"] | Sequence[int] | Integers, closes: Integers
) -> tuple[Integers, Booleans]:
    if isinstance(known_at, str):
        if known_at != "session_close":
            raise UsageError(
                f"known_at: {known_at!r} is unknown",
                next_step='use "session_close" or one UTC nanosecond time for each row',
            )
        return closes.copy(), np.zeros(len(closes), dtype=bool)
    times = np.asarray(known_at)
    if times.shape != closes.shape or (len(times) and times.dtype.kind not in "iu"):
        raise UsageError(
            f"known_at: {times.dtype} of shape {times.shape} for {len(closes)} rows",
            next_step="give one integer UTC nanosecond time for each row; 0 or less means missing",
        )
    return times.astype(np.int64), times <= 0


def _grid(values: Floats, step: int) -> Integers:
    """Integers on the grid; what cannot be one becomes 0 or less, which no check lets pass."""
    usable = np.isfinite(values) & (np.abs(values) <= LARGEST * 1_000)
    grid: Integers = np.rint(np.where(usable, values, 0.0) * step).astype(np.int64)
    return grid


def _mark_duplicates(found: Examined, values: list[Integers]) -> None:
    groups: dict[tuple[str, str, int], list[int]] = defaultdict(list)
    for place in found.believed().tolist():
        key = (found.symbols[place], found.sessions[place], int(found.known_at_ns[place]))
        groups[key].append(place)
    for places in groups.values():
        if len(places) > 1:
            contents = {tuple(int(column[place]) for column in values) for place in places}
            exact = len(contents) == 1
            for place in places[1:] if exact else places:
                found.reasons[place] = "duplicate_exact" if exact else "duplicate_conflicting"


def _whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and 1 <= int(value) <= 10_000
