"""The bars store: one way in, and reads that never show what was not yet known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from workbench.adapters.bars.files import (
    Manifest,
    Part,
    ingest_lock,
    prepare,
    read_manifest,
    read_part,
    write_manifest,
    write_part,
)
from workbench.adapters.bars.panel import Content, panel
from workbench.adapters.bars.rows import (
    Rows,
    Split,
    blocks_of,
    concatenated,
    fingerprint_of,
    rows_from_parquet,
    rows_to_parquet,
    session_text,
    splits_from_parquet,
    splits_to_parquet,
)
from workbench.adapters.bars.validation import Examined, IngestReport, against_history, examine, read_splits
from workbench.core.ports import Calendar
from workbench.core.types import NANO, Bars, Integers
from workbench.errors import DataError, UsageError

if TYPE_CHECKING:
    from workbench.adapters.bars.validation import Frame

_END = np.iinfo(np.int64).max
_EMPTY = Manifest((), 0, fingerprint_of(concatenated([]), ()))


class ParquetBarStore:
    """Daily bars in Parquet files below one folder; satisfies `core.ports.BarStore`.

    Files are only added. `manifest.json` lists them with their hashes; its rename is the commit, so a
    crash leaves the old data readable. Every row has the time from which it was known, and a
    correction is a later row, so a read as of a past instant returns what it returned then.
    Each file's hash is checked once per object, and the fingerprint of the rows at each new manifest.

    Parameters
    ----------
    root : Path
        The store's folder; made by the first ingest.
    calendar : Calendar
        The exchange's sessions: a bar ends at its session's close.
    """

    def __init__(self, root: Path, *, calendar: Calendar) -> None:
        self.root = Path(root)
        self.calendar = calendar
        self._content: Content | None = None
        self._decoded: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"ParquetBarStore({str(self.root)!r})"

    # --- in ------------------------------------------------------------------------------------

    def ingest(
        self,
        frame: Frame,
        *,
        source: str,
        known_at: Literal["session_close"] | Sequence[int] | Integers,
        now_ns: int,
        splits: Frame | None = None,
    ) -> IngestReport:
        """Add a delivery of daily bars; rows that cannot be believed go to quarantine with a reason.

        Parameters
        ----------
        frame : DataFrame or Path
            Columns symbol, session, open, high, low, close (currency, as printed) and volume (shares);
            adj_close may be there and is not kept, because it contains later splits and dividends.
            A path names a Parquet file, or a folder of them.
        source : str
            Where the rows come from; recorded with them.
        known_at : "session_close" or int64 (rows,)
            When each row became known, UTC nanoseconds. Assumption of "session_close": the row was
            known the moment the session closed and was never corrected.
        now_ns : int
            The present, UTC nanoseconds; what ends later is not believed.
        splits : DataFrame, Path or None
            Recorded events: symbol, ex_session, new_shares, old_shares.

        Raises
        ------
        DataError
            A file cannot be read, a column is wrong, a split is doubtful, or the store is damaged.
        Refused
            Another process is ingesting.
        StorageFailed
            The disk could not keep it; what was stored before is intact.
        """
        if not source.strip():
            raise UsageError("source: is empty", next_step="say where the rows come from")
        found = examine(frame, calendar=self.calendar, known_at=known_at, now_ns=now_ns)
        with ingest_lock(self.root):
            return self._commit(found, splits, {"source": source, "ingested_at_ns": now_ns})

    def _commit(self, found: Examined, splits: Frame | None, stamp: dict[str, Any]) -> IngestReport:
        manifest = prepare(self.root, _EMPTY)
        content = self._load()
        recorded = [split for group in content.splits.values() for split in group]
        events = read_splits(splits, calendar=self.calendar, recorded=recorded)
        rows, corrections, unchanged = against_history(found, content.rows)
        whole = concatenated([content.rows, rows])
        fingerprint = fingerprint_of(whole, [*recorded, *events])
        parts = []
        if len(rows):
            parts.append(write_part(self.root, "bars", rows_to_parquet(rows), rows=len(rows), **stamp))
        if events:
            file = splits_to_parquet(events)
            parts.append(write_part(self.root, "splits", file, rows=len(events), **stamp))
        parts += self._quarantine(found.counts(), found.quarantine_parquet(), manifest, stamp)
        if parts:
            write_manifest(self.root, Manifest((*manifest.parts, *parts), len(whole), fingerprint))
        return IngestReport(
            stamp["source"], len(found.reasons), len(rows), corrections, unchanged, found.counts(),
            found.examples(), len(events), fingerprint,
        )  # fmt: skip

    def _quarantine(
        self, counts: dict[str, int], file: bytes, manifest: Manifest, stamp: dict[str, Any]
    ) -> list[Part]:
        if not counts:
            return []
        part = write_part(self.root, "quarantine", file, rows=sum(counts.values()), reasons=counts, **stamp)
        # The same bad delivery again has the same bytes, hence the same name: one record is enough.
        return [] if any(part.path == listed.path for listed in manifest.parts) else [part]

    # --- out -----------------------------------------------------------------------------------

    def read(
        self,
        symbols: Sequence[str],
        *,
        as_of_ns: int,
        rows: int | None = None,
        view: str = "adjusted",
    ) -> Bars:
        """The panel that was known at `as_of_ns`; every exchange session between its ends has a row.

        Parameters
        ----------
        symbols : sequence of str
            Any order; the panel is sorted.
        as_of_ns : int
            UTC nanoseconds. Of each bar the latest version known by then is shown.
        rows : int or None, default None
            Only the last `rows` sessions; None = all.
        view : str, default "adjusted"
            "adjusted": in the share terms of `as_of_ns`, splits whose ex session has opened by then are
            applied to earlier bars (dividends are not); "raw": as printed.

        Raises
        ------
        DataError
            A file is not as the manifest lists it, or a symbol is not in the store.
        UsageError
            No symbols, an unknown view, or `rows` below 1.
        """
        if view not in ("adjusted", "raw"):
            raise UsageError(f"view: {view!r} is unknown", next_step='use "adjusted" or "raw"')
        if rows is not None and rows < 1:
            raise UsageError(
                f"rows: {rows} is not a number of bars", next_step="use 1 or more, or None for all"
            )
        content = self._load()
        names = self._require(symbols, content)
        shown = [content.visible(name, as_of_ns) for name in names]
        ends = [content.place[row[[0, -1]]] for row in shown if len(row)]
        first = min((int(end[0]) for end in ends), default=0)
        stop = max((int(end[1]) + 1 for end in ends), default=0)
        first = first if rows is None else max(first, stop - rows)
        return panel(content, names, shown, first, stop, as_of_ns if view == "adjusted" else None)

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
        content = self._load()
        names = self._require(symbols, content)
        place = int(np.searchsorted(content.grid_ns, close_ns))
        if place < len(content.grid_ns) and content.grid_ns[place] == close_ns:
            shown = [content.visible(name, _END) for name in names]
            return panel(content, names, shown, place, place + 1, None)
        nothing = np.full((1, len(names)), np.nan)
        prices = (nothing, nothing.copy(), nothing.copy(), nothing.copy(), nothing.copy())
        return Bars(
            np.array([close_ns], dtype=np.int64), names, *prices, np.zeros((1, len(names)), dtype=bool)
        )

    def splits_of(self, session: str) -> dict[str, tuple[int, int]]:
        """Recorded splits whose ex session it is: symbol -> (new shares, old shares)."""
        return {
            split.symbol: (split.new_shares, split.old_shares)
            for group in self._load().splits.values()
            for split in group
            if split.ex_session == session
        }

    def freshness(self, *, as_of_ns: int, symbols: Sequence[str] | None = None) -> dict[str, int]:
        """Completed sessions since each symbol's last known bar: 0 = latest, -1 = no bar known.

        Parameters
        ----------
        as_of_ns : int
            UTC nanoseconds; bars known later do not count.
        symbols : sequence of str or None, default None
            None = all.

        Raises
        ------
        DataError
            The store is damaged, a symbol is not in it, or `as_of_ns` is outside the calendar.
        """
        content = self._load()
        names = tuple(content.blocks) if symbols is None else self._require(symbols, content)
        tomorrow = datetime.fromtimestamp(as_of_ns // NANO, UTC).date() + timedelta(days=1)
        behind = {}
        for name in names:
            shown = content.visible(name, as_of_ns)
            if not len(shown):
                behind[name] = -1
                continue
            last = session_text(int(content.rows.day[shown[-1]]))
            since = self.calendar.sessions_between(last, tomorrow.isoformat())[1:]
            behind[name] = sum(self.calendar.session_close_ns(session) <= as_of_ns for session in since)
        return behind

    def fingerprint(self) -> str:
        """Hash of the canonical row content, independent of file layout and of the order of ingests."""
        return self._load().manifest.fingerprint

    def symbols(self) -> tuple[str, ...]:
        """Symbols in the store, sorted."""
        return tuple(self._load().blocks)

    def status(self) -> dict[str, Any]:
        """What the store holds: rows, symbols, first and last session, files, sources, quarantine."""
        content = self._load()
        quarantined: Counter[str] = Counter()
        for part in content.manifest.parts:
            quarantined.update(part.reasons)
        per_symbol = {
            name: {
                "rows": block.stop - block.start,
                "first_session": session_text(int(content.rows.day[block.start])),
                "last_session": session_text(int(content.rows.day[block.stop - 1])),
            }
            for name, block in content.blocks.items()
        }
        return {
            "rows": len(content.rows),
            "symbols": per_symbol,
            "first_session": min((row["first_session"] for row in per_symbol.values()), default=None),
            "last_session": max((row["last_session"] for row in per_symbol.values()), default=None),
            "splits": sum(len(group) for group in content.splits.values()),
            "parts": len(content.manifest.parts),
            "sources": sorted({part.source for part in content.manifest.parts if part.kind == "bars"}),
            "fingerprint": content.manifest.fingerprint,
            "quarantined": dict(sorted(quarantined.items())),
        }

    def _require(self, symbols: Sequence[str], content: Content) -> tuple[str, ...]:
        names = tuple(sorted(set(symbols)))
        if not names:
            raise UsageError("symbols: none were given", next_step="name at least one symbol of the universe")
        unknown = [name for name in names if name not in content.blocks]
        if unknown:
            held = ", ".join(content.blocks) or "none"
            raise DataError(
                f"no bars of {', '.join(unknown)} in {self.root}; known symbols: {held}",
                next_step="correct the universe, or ingest them with `workbench data ingest`",
                symbols=tuple(unknown),
            )
        return names

    def _load(self) -> Content:
        manifest, digest = read_manifest(self.root)
        if self._content is None or self._content.digest != digest:
            self._content = self._decode(manifest or _EMPTY, digest)
        return self._content

    def _decode(self, manifest: Manifest, digest: str) -> Content:
        blocks, events = [], []
        for part in manifest.parts:
            if part.kind == "bars":
                blocks.append(self._part(part))
            elif part.kind == "splits":
                events += self._part(part)
        rows = concatenated(blocks)
        if fingerprint_of(rows, events) != manifest.fingerprint or len(rows) != manifest.rows:
            raise DataError(
                f"{self.root / 'manifest.json'} does not describe its parts: their fingerprint differs",
                next_step="restore it from a backup, or move the store aside and ingest again",
            )
        grid_ns, place = self._grid(rows)
        splits: dict[str, tuple[Split, ...]] = {}
        for event in sorted(events):
            splits[event.symbol] = (*splits.get(event.symbol, ()), event)
        return Content(digest, manifest, rows, blocks_of(rows), splits, grid_ns, place)

    def _part(self, part: Part) -> Any:
        if part.sha256 not in self._decoded:
            content = read_part(self.root, part)
            try:
                decode = rows_from_parquet if part.kind == "bars" else splits_from_parquet
                self._decoded[part.sha256] = decode(content)
            except (pa.ArrowException, KeyError, TypeError, ValueError) as problem:
                raise DataError(
                    f"{self.root / part.path} cannot be read as {part.kind}: {problem}",
                    next_step="restore it from a backup, or move the store aside and ingest again",
                ) from problem
        return self._decoded[part.sha256]

    def _grid(self, rows: Rows) -> tuple[Integers, Integers]:
        if not len(rows):
            return np.array([], dtype=np.int64), np.array([], dtype=np.int64)
        first, last = session_text(int(rows.day.min())), session_text(int(rows.day.max()))
        sessions = self.calendar.sessions_between(first, last)
        grid_ns = np.array([self.calendar.session_close_ns(session) for session in sessions], dtype=np.int64)
        place = np.minimum(np.searchsorted(grid_ns, rows.ts_ns), len(grid_ns) - 1)
        strange = np.flatnonzero(grid_ns[place] != rows.ts_ns)
        if len(strange):
            row = int(strange[0])
            raise DataError(
                f"bar of {rows.symbol[row]} on {session_text(int(rows.day[row]))} does not end at a close of "
                "the exchange calendar",
                next_step="check the version of exchange-calendars, then ingest into a new store",
            )
        return grid_ns, place
