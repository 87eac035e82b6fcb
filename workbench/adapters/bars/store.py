"""The market-data store: one way in, and reads that never show what was not yet known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from workbench.adapters.bars.compaction import compacted
from workbench.adapters.bars.events import Events, read_events
from workbench.adapters.bars.files import Manifest, ingest_lock, prepare, write_manifest
from workbench.adapters.bars.intake import Intake
from workbench.adapters.bars.library import Library, Shelf
from workbench.adapters.bars.panel import VIEWS
from workbench.adapters.bars.reading import freshness_of, painted, session_row, tick_frame
from workbench.adapters.bars.reasons import IngestReport
from workbench.adapters.bars.rows import day_number, session_text
from workbench.adapters.bars.schema import CANONICAL, KINDS, BarSchema
from workbench.adapters.bars.sources import CHUNK_ROWS
from workbench.adapters.bars.writing import (
    fingerprint,
    require_same,
    stage_events,
    stage_quarantine,
    stage_rows,
    take_in,
)
from workbench.core.ports import Calendar
from workbench.core.types import Bars, Integers
from workbench.errors import DataError, UsageError

if TYPE_CHECKING:
    import pandas as pd

    from workbench.adapters.bars.events import Frame
    from workbench.adapters.bars.sources import Delivery

BUDGET_ROWS = 2_000_000  #: believed rows of one delivery kept in memory
Result = TypeVar("Result")


class ParquetBarStore:
    """Rows of one kind in Parquet files below one folder; daily satisfies `core.ports.BarStore`.

    Files are only added. `manifest.json` lists them with their hashes; its rename is the commit, so a
    crash leaves the old data readable. Every row has the time from which it was known, and a
    correction is a later row, so a read as of a past instant returns what it returned then.
    Each file's hash is checked once per object. Readers need no lock: a commit that comes during a
    read is either seen whole or not at all.

    Parameters
    ----------
    root : Path
        The store's folder; made by the first ingest.
    calendar : Calendar
        The exchange's sessions: a daily bar ends at its session's close.
    kind : str, default "daily"
        "daily" | "minute" | "quotes" | "trades".
    """

    def __init__(self, root: Path, *, calendar: Calendar, kind: str = "daily") -> None:
        if kind not in KINDS:
            raise UsageError(f"kind: {kind!r} is unknown", next_step=f"use one of {', '.join(KINDS)}")
        self.root = Path(root)
        self.calendar = calendar
        self.kind = KINDS[kind]
        self._library = Library(self.root, self.kind, calendar)
        empty = Manifest((), 0, "", kind=kind)
        self._empty = replace(empty, fingerprint=fingerprint(self._library, (), Events(), empty.content_sum))

    def __repr__(self) -> str:
        return f"ParquetBarStore({str(self.root)!r}, kind={self.kind.name!r})"

    # --- in ------------------------------------------------------------------------------------

    def ingest(
        self,
        delivery: Delivery,
        *,
        source: str,
        known_at: Literal["session_close", "bar_end"] | Sequence[int] | Integers = "session_close",
        now_ns: int,
        schema: BarSchema | None = None,
        splits: Frame | None = None,
        dividends: Frame | None = None,
        renames: Frame | None = None,
        chunk_rows: int = CHUNK_ROWS,
        budget_rows: int = BUDGET_ROWS,
    ) -> IngestReport:
        """Add a delivery; rows that cannot be believed go to quarantine with a reason.

        Parameters
        ----------
        delivery : DataFrame, Path or mapping
            A frame (alpaca-py's `.df` with its two-level index included), a CSV, Parquet or JSON file, a
            folder of them, or Alpaca's JSON answer as it came.
        source : str
            Where the rows come from; recorded with them.
        known_at : "session_close", "bar_end" or int64 (rows,), default "session_close"
            When each row became known, UTC nanoseconds. Assumption of the words, which mean the same: the
            row was known the moment it ended and was never corrected. A column "known_at" goes before.
        now_ns : int
            The present, UTC nanoseconds; what ends later is not believed.
        schema : BarSchema or None, default None
            What the delivery says about itself; None = the workbench's own columns of daily bars.
        splits, dividends, renames : DataFrame, Path or None
            Recorded events: symbol, ex_session and new_shares, old_shares | amount | new_symbol.
        chunk_rows, budget_rows : int
            Rows read at once, and rows kept in memory before they are put aside on disk.

        Raises
        ------
        DataError
            A file cannot be read, a column is wrong, an event is doubtful, or the store is damaged.
        ConfigError
            The schema is of another kind, calendar or currency than the store.
        Refused
            Another process is ingesting.
        StorageFailed
            The disk could not keep it; what was stored before is intact.
        """
        if not source.strip():
            raise UsageError("source: is empty", next_step="say where the rows come from")
        schema = schema or replace(CANONICAL, kind=self.kind.name)
        times = _known_at(known_at)
        stamp = {"source": source, "ingested_at_ns": now_ns}
        with ingest_lock(self.root):
            manifest = require_same(prepare(self.root, self._empty), schema, self.root)
            shelf = self._open()
            events = read_events(splits, dividends, renames, calendar=self.calendar, recorded=shelf.events)
            intake = Intake(self.root, schema, budget=budget_rows)
            try:
                take_in(
                    delivery, schema, intake, calendar=self.calendar, known_at=times, now_ns=now_ns,
                    chunk_rows=chunk_rows,
                )  # fmt: skip
                return self._commit(manifest, shelf, intake, events, stamp)
            finally:
                intake.close()

    def _commit(
        self, manifest: Manifest, shelf: Shelf, intake: Intake, events: Events, stamp: dict[str, Any]
    ) -> IngestReport:
        whole = shelf.events.plus(events)
        parts, accepted, corrections, unchanged, total = stage_rows(
            self._library, shelf, intake, whole, stamp
        )
        mark = manifest.fingerprint
        if parts or events.all:
            mark = fingerprint(self._library, [*shelf.parts, *parts], whole, total)
        parts = [*parts, *stage_events(self.root, events, stamp)]
        parts += stage_quarantine(self.root, intake, manifest.parts, stamp)
        if parts:
            write_manifest(
                self.root,
                replace(
                    manifest, parts=(*manifest.parts, *parts), rows=manifest.rows + accepted,
                    fingerprint=mark, content_sum=total,
                ),
            )  # fmt: skip
        return IngestReport(
            stamp["source"], intake.offered, accepted, corrections, unchanged, intake.quarantined(),
            intake.examples(), len(events.splits), mark, self.kind.name, tuple(intake.refusals),
            len(events.dividends), len(events.renames),
        )  # fmt: skip

    def compact(self, *, now_ns: int) -> tuple[int, int]:
        """Merge small files of one period into one; returns the number of files before and after.

        Content and fingerprint stay. Files that readers may still be reading are removed by the next
        ingest or compaction, not by this one.
        """
        with ingest_lock(self.root):
            manifest = prepare(self.root, self._empty)
            shelf = self._open()
            parts = compacted(self._library, shelf, now_ns=now_ns)
            if len(parts) < len(manifest.parts):
                write_manifest(self.root, replace(manifest, parts=parts))
            return len(manifest.parts), len(parts)

    # --- out -----------------------------------------------------------------------------------

    def read(
        self,
        symbols: Sequence[str],
        *,
        as_of_ns: int,
        rows: int | None = None,
        view: str = "adjusted",
        start_ns: int | None = None,
        hours: str = "regular",
    ) -> Bars:
        """The panel that was known at `as_of_ns`; every session or minute between its ends has a row.

        Parameters
        ----------
        symbols : sequence of str
            Any order; the panel is sorted. A symbol that took over from another one by a recorded change
            of name shows the earlier rows too.
        as_of_ns : int
            UTC nanoseconds. Of each bar the latest version known by then is shown.
        rows : int or None, default None
            Only the last `rows` bars; None = all.
        view : str, default "adjusted"
            "adjusted": in the share terms of `as_of_ns`: splits in force by then, which they are from the
            close before their ex session on, are applied to earlier bars (dividends are not);
            "total_return": dividends too, as if reinvested at the close before; "raw": as printed.
        start_ns : int or None, default None
            Only bars that end at or after it.
        hours : str, default "regular"
            Minutes of regular hours only, or "all" that were taken in.

        Raises
        ------
        DataError
            A file is not as the manifest lists it, or a symbol is not in the store.
        UsageError
            No symbols, an unknown view, `rows` below 1, or a store of ticks.
        """
        if view not in VIEWS:
            raise UsageError(f"view: {view!r} is unknown", next_step='use "adjusted" or "raw"')
        if rows is not None and rows < 1:
            raise UsageError(
                f"rows: {rows} is not a number of bars", next_step="use 1 or more, or None for all"
            )
        if hours not in ("regular", "all") or self.kind.ticks:
            raise UsageError(
                f"hours: {hours!r} of {self.kind.name}", next_step='use "regular" or "all" with bars'
            )

        def cut(shelf: Shelf) -> Bars:
            names = self._require(symbols, shelf)
            return painted(
                self._library, shelf, names, as_of_ns=as_of_ns, rows=rows, view=view,
                start_ns=start_ns, hours=hours,
            )  # fmt: skip

        return self._steadily(cut)

    def read_ticks(
        self, symbols: Sequence[str], *, start_ns: int, end_ns: int, as_of_ns: int
    ) -> pd.DataFrame:
        """Quotes or trades from `start_ns` up to and including `end_ns` that were known at `as_of_ns`.

        Returns
        -------
        DataFrame
            symbol, ts_ns, known_at_ns, the values as printed in integers of their grids, venue and
            conditions as texts; by symbol, then as they came.
        """
        if not self.kind.ticks:
            raise UsageError(f"{self.kind.name} are no ticks", next_step="read bars with read()")
        return self._steadily(
            lambda shelf: tick_frame(
                self._library, shelf, self._require(symbols, shelf), start_ns, end_ns, as_of_ns
            )
        )

    def raw_session(self, symbols: Sequence[str], session: str) -> Bars:
        """One row as printed: what the market did that day by the latest knowledge; NaN where unknown.

        For the simulated venue, which plays the market; a decision reads with `as_of_ns`.

        Raises
        ------
        DataError
            A file is not as the manifest lists it, or a symbol is not in the store.
        UsageError
            Not an exchange session, or no symbols.
        """
        close_ns = self.calendar.session_close_ns(session)
        only = (day_number(session), close_ns)
        return self._steadily(
            lambda shelf: session_row(self._library, shelf, self._require(symbols, shelf), only)
        )

    def splits_of(self, session: str) -> dict[str, tuple[int, int]]:
        """Recorded splits whose ex session it is: symbol -> (new shares, old shares); for the venue."""
        found = self._open().events.splits
        return {s.symbol: (s.new_shares, s.old_shares) for s in found if s.ex_session == session}

    def dividends_of(self, session: str) -> dict[str, int]:
        """Recorded dividends whose ex session it is: symbol -> micros a share; for the venue."""
        found = self._open().events.dividends
        return {d.symbol: d.amount_micro for d in found if d.ex_session == session}

    def freshness(self, *, as_of_ns: int, symbols: Sequence[str] | None = None) -> dict[str, int]:
        """Completed sessions since each symbol's last known row: 0 = latest, -1 = none known.

        Parameters
        ----------
        as_of_ns : int
            UTC nanoseconds; rows known later do not count.
        symbols : sequence of str or None, default None
            None = all.

        Raises
        ------
        DataError
            The store is damaged, a symbol is not in it, or `as_of_ns` is outside the calendar.
        """

        def count(shelf: Shelf) -> dict[str, int]:
            names = tuple(shelf.index) if symbols is None else self._require(symbols, shelf)
            return freshness_of(self._library, shelf, names, as_of_ns)

        return self._steadily(count)

    def fingerprint(self) -> str:
        """Hash of the canonical row content, independent of file layout and of the order of ingests."""
        return self._open().manifest.fingerprint

    def symbols(self) -> tuple[str, ...]:
        """Symbols in the store, sorted."""
        return tuple(self._open().index)

    def status(self) -> dict[str, Any]:
        """What the store holds: rows, symbols, first and last session, files, sources, quarantine."""
        shelf = self._open()
        manifest = shelf.manifest
        quarantined: Counter[str] = Counter()
        for part in manifest.parts:
            quarantined.update(part.reasons)
        per_symbol: dict[str, dict[str, Any]] = {
            name: {"rows": rows, "first_session": session_text(first), "last_session": session_text(last)}
            for name, (rows, first, last) in shelf.index.items()
        }
        return {
            "kind": self.kind.name,
            "rows": manifest.rows,
            "symbols": per_symbol,
            "first_session": min((row["first_session"] for row in per_symbol.values()), default=None),
            "last_session": max((row["last_session"] for row in per_symbol.values()), default=None),
            "splits": len(shelf.events.splits),
            "dividends": len(shelf.events.dividends),
            "renames": len(shelf.events.renames),
            "parts": len(manifest.parts),
            "sources": sorted({part.source for part in shelf.parts}),
            "calendar": manifest.calendar,
            "currency": manifest.currency,
            "fingerprint": manifest.fingerprint,
            "quarantined": dict(sorted(quarantined.items())),
        }

    def _require(self, symbols: Sequence[str], shelf: Shelf) -> tuple[str, ...]:
        names = tuple(sorted(set(symbols)))
        if not names:
            raise UsageError("symbols: none were given", next_step="name at least one symbol of the universe")
        taken = {event.new_symbol for event in shelf.events.renames}
        unknown = [name for name in names if name not in shelf.index and name not in taken]
        if unknown:
            held = ", ".join(shelf.index) if len(shelf.index) <= 50 else f"{len(shelf.index):,} others"
            raise DataError(
                f"no {self.kind.name} rows of {', '.join(unknown)} in {self.root}; "
                f"known symbols: {held or 'none'}",
                next_step="correct the universe, or ingest them with `workbench data ingest`",
                symbols=tuple(unknown),
            )
        return names

    def _open(self) -> Shelf:
        return self._steadily(lambda shelf: shelf)

    def _steadily(self, act: Callable[[Shelf], Result]) -> Result:
        """The result on one state of the store; again when a writer's commit removed a file meanwhile."""
        for _ in range(20):
            try:
                return act(self._library.open(self._empty))
            except DataError:
                if not self._library.stale():
                    raise
        raise DataError(
            f"{self.root} changed during 20 reads", next_step="wait for the writer to end and read again"
        )


def _known_at(known_at: str | Sequence[int] | Integers) -> Integers | None:
    if isinstance(known_at, str):
        if known_at not in ("session_close", "bar_end"):
            raise UsageError(
                f"known_at: {known_at!r} is unknown",
                next_step='use "session_close" or one UTC nanosecond time for each row',
            )
        return None
    times = np.asarray(known_at)
    if times.ndim != 1 or (len(times) and times.dtype.kind not in "iu"):
        raise UsageError(
            f"known_at: {times.dtype} of shape {times.shape}",
            next_step="give one integer UTC nanosecond time for each row; 0 or less means missing",
        )
    return times.astype(np.int64)
