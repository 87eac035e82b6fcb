"""Splits, dividends and changes of name: recorded events, each with the time from which it was known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from workbench.adapters.bars.rows import parquet_bytes
from workbench.core.ports import Calendar
from workbench.core.types import MICRO
from workbench.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    Frame: TypeAlias = pd.DataFrame | Path

SPLIT_COLUMNS = ("symbol", "ex_session", "new_shares", "old_shares")
DIVIDEND_COLUMNS = ("symbol", "ex_session", "amount")
RENAME_COLUMNS = ("symbol", "ex_session", "new_symbol")
KNOWN = "known_at_ns"  #: optional column of each; without it an event was known when it took effect


@dataclass(frozen=True, order=True)
class Split:
    """`new_shares` for `old_shares` from the close of the session before `ex_session` on.

    A decision after that close trades at the next open in the new shares, so it must think in them.
    """

    symbol: str
    ex_session: str
    ex_open_ns: int
    new_shares: int
    old_shares: int
    effective_ns: int = 0
    known_at_ns: int = 0

    @property
    def text(self) -> str:
        """What the store's fingerprint covers."""
        return f"{self.symbol!r} {self.ex_session} {self.new_shares} {self.old_shares}{_late(self)}\n"


@dataclass(frozen=True, order=True)
class Dividend:
    """Cash on one share as counted on `ex_session`; holders at the close before it receive it."""

    symbol: str
    ex_session: str
    ex_open_ns: int
    amount_micro: int
    effective_ns: int = 0
    known_at_ns: int = 0

    @property
    def text(self) -> str:
        """What the store's fingerprint covers."""
        return f"dividend {self.symbol!r} {self.ex_session} {self.amount_micro}{_late(self)}\n"


@dataclass(frozen=True, order=True)
class Rename:
    """The security `symbol` trades as `new_symbol` from `ex_session` on."""

    symbol: str
    ex_session: str
    ex_open_ns: int
    new_symbol: str
    effective_ns: int = 0
    known_at_ns: int = 0

    @property
    def text(self) -> str:
        """What the store's fingerprint covers."""
        return f"rename {self.symbol!r} {self.ex_session} {self.new_symbol!r}{_late(self)}\n"


Event: TypeAlias = Split | Dividend | Rename


def _late(event: Event) -> str:
    return f" {event.known_at_ns}" if event.known_at_ns != event.effective_ns else ""


@dataclass(frozen=True)
class Events:
    """All recorded events, sorted."""

    splits: tuple[Split, ...] = ()
    dividends: tuple[Dividend, ...] = ()
    renames: tuple[Rename, ...] = ()

    @property
    def all(self) -> tuple[Event, ...]:
        """Every event: splits, dividends, renames."""
        return (*sorted(self.splits), *sorted(self.dividends), *sorted(self.renames))

    def instants(self) -> list[int]:
        """When each event was known and in force, UTC nanoseconds."""
        every: list[Event] = [*self.splits, *self.dividends, *self.renames]
        return [max(event.effective_ns, event.known_at_ns) for event in every]

    def plus(self, more: Events) -> Events:
        """Both together."""
        return Events(
            (*self.splits, *more.splits), (*self.dividends, *more.dividends), (*self.renames, *more.renames)
        )


def in_force(events: Iterable[Any], as_of_ns: int) -> dict[str, list[Any]]:
    """Events by symbol that were known and effective at an instant."""
    found: dict[str, list[Any]] = {}
    for event in events:
        if max(event.effective_ns, event.known_at_ns) <= as_of_ns:
            found.setdefault(event.symbol, []).append(event)
    return found


def read_events(
    splits: Frame | None, dividends: Frame | None, renames: Frame | None, *, calendar: Calendar,
    recorded: Events,
) -> Events:  # fmt: skip
    """Recorded events of a delivery that the store does not hold yet.

    Events move every earlier price, so one doubtful event refuses the whole delivery.

    Raises
    ------
    DataError
        A file cannot be read, a column is missing, an event is impossible or contradicts the record.
    """

    def split(where: str, symbol: str, session: str, values: Sequence[Any]) -> Split:
        new, old = values[0], values[1]
        if not (_whole(new) and _whole(old)) or new == old:
            raise DataError(
                f"{where}: {new} new for {old} old shares is no split", next_step="correct the event"
            )
        return Split(symbol, session, 0, int(new), int(old))

    def dividend(where: str, symbol: str, session: str, values: Sequence[Any]) -> Dividend:
        amount = values[0]
        if (
            isinstance(amount, bool)
            or not isinstance(amount, int | float | np.number)
            or not 0 < amount < 1e6
        ):
            raise DataError(f"{where}: an amount of {amount} is no dividend", next_step="correct the event")
        return Dividend(symbol, session, 0, round(float(amount) * MICRO))

    def rename(where: str, symbol: str, session: str, values: Sequence[Any]) -> Rename:
        new = values[0]
        if not isinstance(new, str) or not new or new == symbol:
            raise DataError(f"{where}: {new!r} is no new symbol", next_step="correct the event")
        return Rename(symbol, session, 0, new)

    return Events(
        _read("split", splits, SPLIT_COLUMNS, split, calendar, recorded.splits),
        _read("dividend", dividends, DIVIDEND_COLUMNS, dividend, calendar, recorded.dividends),
        _read("rename", renames, RENAME_COLUMNS, rename, calendar, recorded.renames),
    )


def _read(
    word: str, frame: Frame | None, columns: tuple[str, ...],
    make: Callable[[str, str, str, Sequence[Any]], Any], calendar: Calendar, recorded: Iterable[Any],
) -> tuple[Any, ...]:  # fmt: skip
    if frame is None:
        return ()
    table, origin = _load(frame)
    unknown = [str(name) for name in table.columns if name not in (*columns, KNOWN)]
    missing = [name for name in columns if name not in table.columns]
    if missing or unknown:
        raise DataError(
            f"{origin}: missing columns {missing}, unknown columns {unknown}",
            next_step=f"needed are {', '.join(columns)}; {KNOWN} may be there",
        )
    times = table[KNOWN].tolist() if KNOWN in table.columns else [0] * len(table)
    known = {(event.symbol, event.ex_session): event for event in recorded}
    added = []
    for row, values in enumerate(zip(*(table[name].tolist() for name in columns), strict=True)):
        symbol, session = values[0], session_of(values[1])
        where = f"{word} of {symbol} on {session or values[1]} in {origin} (row {row})"
        if not isinstance(symbol, str) or not symbol or not session or not calendar.is_session(session):
            raise DataError(f"{where}: needs a symbol and an exchange session", next_step="correct the event")
        event = stamped(make(where, symbol, session, values[2:]), calendar, int(times[row]))
        if known.setdefault((symbol, session), event) != event:
            raise DataError(
                f"{where} contradicts the recorded one, {known[symbol, session]}",
                next_step="find out which is right; a wrong record needs a new store",
            )
        if known[symbol, session] is event:
            added.append(event)
    return tuple(added)


def stamped(event: Any, calendar: Calendar, known_at_ns: int) -> Any:
    """The event with its instants: open of the ex session, close before it, time of knowledge."""
    before = calendar.session_close_ns(calendar.previous_session(event.ex_session))
    values = {**event.__dict__, "ex_open_ns": calendar.session_open_ns(event.ex_session)}
    return type(event)(**{**values, "effective_ns": before, "known_at_ns": known_at_ns or before})


def events_to_parquet(events: Sequence[Any]) -> bytes:
    """Parquet file of events of one sort."""
    names = [name for name in type(events[0]).__dataclass_fields__ if name != "effective_ns"]
    columns: dict[str, Any] = {}
    for name in names:
        values = [getattr(event, name) for event in events]
        if name == "ex_session":
            columns[name] = pa.array([date.fromisoformat(value) for value in values], pa.date32())
        else:
            columns[name] = pa.array(values, pa.string() if isinstance(values[0], str) else pa.int64())
    return parquet_bytes(columns)


def events_from_parquet(source: Any, sort: type, calendar: Calendar) -> tuple[Any, ...]:
    """The events that `events_to_parquet` wrote; files without a time of knowledge have the default."""
    found = []
    for row in pq.read_table(source).to_pylist():
        event = sort(**{**row, "ex_session": row["ex_session"].isoformat()})
        found.append(stamped(event, calendar, row.get(KNOWN) or 0))
    return tuple(found)


def session_of(value: object) -> str:
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


def _load(frame: Frame) -> tuple[pd.DataFrame, str]:
    if not isinstance(frame, Path):
        return frame, "the frame"
    import pandas as pd

    try:
        if frame.suffix == ".csv":
            return pd.read_csv(frame), str(frame)
        return pq.ParquetFile(frame).read().to_pandas(), str(frame)
    except (OSError, ValueError, pa.ArrowException) as problem:
        raise DataError(
            f"{frame} cannot be read: {problem}",
            next_step="fetch or build that file again; nothing was ingested",
            path=str(frame),
        ) from problem


def _whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and 1 <= int(value) <= 10_000
