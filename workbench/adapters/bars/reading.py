"""Panels, ticks and freshness from the files, a bounded number of rows at a time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.adapters.bars.library import Library, Shelf
from workbench.adapters.bars.panel import Canvas, Segment, segments_of
from workbench.adapters.bars.rows import EPOCH, Index, bucket_of, groups, session_text, unpacked
from workbench.adapters.bars.schema import MINUTE_NS, Kind
from workbench.core.types import DAY_NS, NANO, Bars, Integers

if TYPE_CHECKING:
    import pandas as pd

_END = int(np.iinfo(np.int64).max)
GROUP_ROWS = 1_000_000
SHORTEST_SESSION = 200  #: minutes; half days have 210
LAST_DAY = date.max.toordinal() - EPOCH


def painted(
    library: Library, shelf: Shelf, names: tuple[str, ...], *, as_of_ns: int, rows: int | None, view: str,
    start_ns: int | None, hours: str,
) -> Bars:  # fmt: skip
    """The panel of `ParquetBarStore.read`; a decision's lookback is painted anew once more is known."""
    question = (shelf.digest, names, rows, view, start_ns, hours)
    standing = library.standing.found(question, as_of_ns)
    if standing is not None:
        return standing
    bars, until_ns = _painted(library, shelf, names, as_of_ns, rows, view, start_ns, hours)
    if rows is not None:
        library.standing.keep(question, bars, as_of_ns, until_ns)
    return bars


def _painted(
    library: Library, shelf: Shelf, names: tuple[str, ...], as_of_ns: int, rows: int | None, view: str,
    start_ns: int | None, hours: str,
) -> tuple[Bars, int]:  # fmt: skip
    """The panel, and the first later instant as of which another one may be the answer."""
    midnight_ns = (as_of_ns // DAY_NS + 1) * DAY_NS  # the days that are looked at end with the present one
    until_ns = min([midnight_ns, *(at for at in shelf.events.instants() if at > as_of_ns)])
    chains = {name: segments_of(name, shelf.events, as_of_ns) for name in names}
    held = [shelf.index[one.name] for chain in chains.values() for one in chain if one.name in shelf.index]
    if not held:
        empty = Canvas(np.array([], np.int64), names, as_of_ns, view, shelf.events, False)
        return empty.bars(0, 0), until_ns
    last = min(max(entry[2] for entry in held), min(as_of_ns // DAY_NS + 1, LAST_DAY))
    first = min(entry[1] for entry in held)
    if start_ns is not None:
        first = max(first, start_ns // DAY_NS - 1)
    if rows is not None:
        found = _tail(library, shelf, names, chains, (first, last), as_of_ns, rows, view, start_ns, hours)
        if found is not None:
            return found[0], min(until_ns, found[1])
    canvas = _canvas(library, shelf, names, chains, (first, last), as_of_ns, view, hours)
    return _trimmed(canvas, rows, start_ns), min(until_ns, canvas.until_ns)


def session_row(library: Library, shelf: Shelf, names: tuple[str, ...], only: tuple[int, int]) -> Bars:
    """The one row, as printed and by the latest knowledge, of a session's (day, close)."""
    plain = {name: [Segment(name, 0, _END)] for name in names}
    canvas = Canvas(np.array([only[1]], dtype=np.int64), names, _END, "raw", shelf.events, False)
    _paint(library, shelf, canvas, plain, (only[0], only[0]))
    return canvas.bars(0, 1)


def _tail(
    library: Library, shelf: Shelf, names: tuple[str, ...], chains: dict[str, list[Segment]],
    days: tuple[int, int], as_of_ns: int, rows: int, view: str, start_ns: int | None, hours: str,
) -> tuple[Bars, int] | None:  # fmt: skip
    """The last `rows` bars from a narrow window of days and until when they stand there.

    None when the window does not hold them for sure.
    """
    if days[1] < days[0] or view == "total_return":
        return None
    sessions = library.calendar.sessions_between(session_text(days[0]), session_text(days[1]))
    needed = rows + 1 if library.kind.name == "daily" else rows // SHORTEST_SESSION + 2
    if len(sessions) <= needed:
        return None
    first = date.fromisoformat(sessions[-needed]).toordinal() - EPOCH
    canvas = _canvas(library, shelf, names, chains, (first, days[1]), as_of_ns, view, hours)
    start = canvas.stop - rows
    # The panel may not begin before the first bar of all: that it does not must be seen in the window.
    whole = start >= 0 and canvas.first <= start
    return (_trimmed(canvas, rows, start_ns), canvas.until_ns) if whole else None


def _trimmed(canvas: Canvas, rows: int | None, start_ns: int | None) -> Bars:
    first, stop = min(canvas.first, canvas.stop), canvas.stop
    if start_ns is not None:
        first = max(first, int(np.searchsorted(canvas.grid_ns, start_ns)))
    if rows is not None:
        first = max(first, stop - rows)
    return canvas.bars(min(first, stop), stop)


def _canvas(
    library: Library, shelf: Shelf, names: tuple[str, ...], chains: dict[str, list[Segment]],
    days: tuple[int, int], as_of_ns: int, view: str, hours: str,
) -> Canvas:  # fmt: skip
    grid = _grid(library, days) if days[0] <= days[1] else np.array([], np.int64)
    if hours == "all" and library.kind.name == "minute":
        grid = np.unique(np.concatenate([grid, *_instants(library, shelf, chains, days)]))
    strict = library.kind.name == "daily"
    canvas = Canvas(grid, names, as_of_ns, view, shelf.events, strict)
    _paint(library, shelf, canvas, chains, days)
    return canvas


def _paint(
    library: Library, shelf: Shelf, canvas: Canvas, chains: dict[str, list[Segment]], days: tuple[int, int]
) -> None:
    for group in _grouped(library.kind, shelf, chains):
        wanted = sorted({one.name for name in group for one in chains[name]})
        rows = library.rows(shelf.parts, names=wanted, days=days)
        for name in group:
            canvas.paint(name, chains[name], rows)


def _grouped(kind: Kind, shelf: Shelf, chains: dict[str, list[Segment]]) -> list[tuple[str, ...]]:
    sizes: Index = {
        name: (sum(shelf.index.get(one.name, (0, 0, 0))[0] for one in chain), 0, 0)
        for name, chain in chains.items()
    }
    # Files of a large delivery hold one bucket of the symbols: a group that stays in it opens few of them.
    return list(groups(sizes, GROUP_ROWS, by=lambda name: (bucket_of(name, kind), name)))


def _instants(
    library: Library, shelf: Shelf, chains: dict[str, list[Segment]], days: tuple[int, int]
) -> list[Integers]:
    found = []
    for group in _grouped(library.kind, shelf, chains):
        wanted = sorted({one.name for name in group for one in chains[name]})
        found.append(np.unique(library.rows(shelf.parts, names=wanted, days=days)["ts_ns"]))
    return found


def _grid(library: Library, days: tuple[int, int]) -> Integers:
    """End of every bar of every session of those days."""
    calendar = library.calendar
    sessions = calendar.sessions_between(session_text(days[0]), session_text(days[1]))
    closes = np.array([calendar.session_close_ns(session) for session in sessions], dtype=np.int64)
    if library.kind.name == "daily" or not sessions:
        return closes
    minutes = [
        np.arange(calendar.session_open_ns(session) + MINUTE_NS, int(close) + 1, MINUTE_NS, dtype=np.int64)
        for session, close in zip(sessions, closes, strict=True)
    ]
    return np.concatenate(minutes)


def freshness_of(library: Library, shelf: Shelf, names: tuple[str, ...], as_of_ns: int) -> dict[str, int]:
    """Completed sessions since each symbol's last known row; -1 = none known."""
    tomorrow = datetime.fromtimestamp(as_of_ns // NANO, UTC).date() + timedelta(days=1)
    behind = {}
    chains = {name: [Segment(name, 0, _END)] for name in names}
    completed: dict[int, int] = {}
    for group in _grouped(library.kind, shelf, chains):
        rows = library.rows(shelf.parts, names=group)
        for name in group:
            block = rows.bounds(name)
            seen = np.flatnonzero(rows["known_at_ns"][block] <= as_of_ns)
            if not len(seen):
                behind[name] = -1
                continue
            day = int(rows["day"][block][seen].max())
            if day not in completed:
                since = library.calendar.sessions_between(session_text(day), tomorrow.isoformat())[1:]
                completed[day] = sum(library.calendar.session_close_ns(one) <= as_of_ns for one in since)
            behind[name] = completed[day]
    return behind


def tick_frame(
    library: Library, shelf: Shelf, names: tuple[str, ...], start_ns: int, end_ns: int, as_of_ns: int
) -> pd.DataFrame:
    """Ticks of `ParquetBarStore.read_ticks`."""
    import pandas as pd

    days = (max(start_ns // DAY_NS - 1, 0), min(end_ns // DAY_NS + 1, LAST_DAY))
    rows = library.rows(shelf.parts, names=names, days=days)
    ts = rows["ts_ns"]
    rows = rows.take((ts >= start_ns) & (ts <= end_ns) & (rows["known_at_ns"] <= as_of_ns))
    sequence, newest = rows["sequence"], np.ones(len(rows), dtype=bool)
    order = np.lexsort((rows["known_at_ns"], sequence, rows["ts_ns"], rows.code))
    same = (sequence[order][1:] >= 0) & (sequence[order][1:] == sequence[order][:-1])
    same &= (rows["ts_ns"][order][1:] == rows["ts_ns"][order][:-1]) & (
        rows.code[order][1:] == rows.code[order][:-1]
    )
    newest[order[:-1][same]] = False  # a correction of the same tick was known by then
    rows = rows.take(newest)
    found: dict[str, Any] = {"symbol": np.array(rows.names, dtype=object)[rows.code] if len(rows) else []}
    for name in library.kind.columns:
        if name in ("venue", "conditions"):
            values, code = np.unique(rows[name], return_inverse=True)
            found[name] = np.array([unpacked(int(value)) for value in values], dtype=object)[code]
        elif name not in ("day", "position"):
            found[name] = rows[name]
    return pd.DataFrame(found)
