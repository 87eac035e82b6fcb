"""What the manifest lists, verified once and read in pieces: rows of some symbols and days, and events."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from workbench.adapters.bars.events import Dividend, Events, Rename, Split, events_from_parquet
from workbench.adapters.bars.files import ROW_KINDS, Manifest, Part, read_manifest, verify_part
from workbench.adapters.bars.rows import Index, Rows, concatenated, read_index, rows_from_parquet
from workbench.adapters.bars.schema import Kind
from workbench.adapters.bars.standing import StandingPanels
from workbench.core.ports import Calendar
from workbench.errors import DataError

SMALL_PART = 200_000  #: rows up to which a part is kept decoded
KEPT_ROWS = 2_000_000  #: rows kept decoded in all
_SORTS: dict[str, type] = {"splits": Split, "dividends": Dividend, "renames": Rename}


@dataclass(frozen=True, eq=False)
class Shelf:
    """One state of the store: the manifest with its digest, symbols and events."""

    digest: str
    manifest: Manifest
    index: Index
    events: Events

    @property
    def parts(self) -> tuple[Part, ...]:
        """Parts that hold rows."""
        return tuple(part for part in self.manifest.parts if part.kind in ROW_KINDS)


class Library:
    """Reads parts; each file's hash is checked once per object, before its rows are used."""

    def __init__(self, root: Path, kind: Kind, calendar: Calendar) -> None:
        self.root = root
        self.kind = kind
        self.calendar = calendar
        self._shelf: Shelf | None = None
        self._tried = ""
        self._read: tuple[Manifest | None, str] = (None, "")
        self.standing = StandingPanels()
        self._small = True
        self._verified: set[str] = set()
        self._indexes: dict[str, Index] = {}
        self._events: dict[str, tuple[Any, ...]] = {}
        self._decoded: OrderedDict[str, Rows] = OrderedDict()

    def open(self, empty: Manifest) -> Shelf:
        """The present state of the store."""
        manifest, digest = read_manifest(self.root, self._read)
        self._read = (manifest, digest)
        self._tried = digest
        if self._shelf is None or self._shelf.digest != digest:
            self._shelf = self._opened(manifest or empty, digest)
        return self._shelf

    def stale(self) -> bool:
        """Whether another process has committed since the last `open` began."""
        return read_manifest(self.root, self._read)[1] != self._tried

    def rows(
        self,
        parts: Iterable[Part],
        *,
        names: Sequence[str] | None = None,
        days: tuple[int, int] | None = None,
    ) -> Rows:
        """Rows of those parts, of some symbols and days (both ends included) only, in canonical order."""
        wanted = None if names is None else set(names)
        blocks = []
        for part in parts:
            if (
                part.last_day
                and days is not None
                and not (days[0] <= part.last_day and part.first_day <= days[1])
            ):
                continue
            held = self.index_of(part)
            found = set(held) if wanted is None else wanted & set(held)
            if not found:
                continue
            whole = len(found) == len(held)
            cut = days is not None and not (
                part.last_day and days[0] <= part.first_day and part.last_day <= days[1]
            )
            blocks.append(self._cut(part, None if whole else sorted(found), days if cut else None))
        return concatenated(blocks, self.kind)

    def index_of(self, part: Part) -> Index:
        """Symbols of a part."""
        if part.sha256 not in self._indexes:
            # The files of a large store are checked when their rows are read, not all before the first.
            path = self._verify(part) if self._small else self.root / part.path
            self._indexes[part.sha256] = self._guarded(
                part, lambda: read_index(path, lambda: self._whole(part))
            )
        return self._indexes[part.sha256]

    def _opened(self, manifest: Manifest, digest: str) -> Shelf:
        self._small = manifest.rows <= KEPT_ROWS
        index: Index = {}
        found: dict[str, list[Any]] = {sort: [] for sort in _SORTS}
        for part in manifest.parts:
            if part.kind in ROW_KINDS:
                for name, (rows, first, last) in self.index_of(part).items():
                    known = index.get(name, (0, first, last))
                    index[name] = (known[0] + rows, min(known[1], first), max(known[2], last))
            elif part.kind in _SORTS:
                found[part.kind] += self._event_part(part)
        events = Events(*(tuple(sorted(found[sort])) for sort in _SORTS))
        return Shelf(digest, manifest, dict(sorted(index.items())), events)

    def _event_part(self, part: Part) -> tuple[Any, ...]:
        if part.sha256 not in self._events:
            path = self._verify(part)
            self._events[part.sha256] = self._guarded(
                part, lambda: events_from_parquet(path, _SORTS[part.kind], self.calendar)
            )
        return self._events[part.sha256]

    def _cut(self, part: Part, names: list[str] | None, days: tuple[int, int] | None) -> Rows:
        if part.rows > SMALL_PART:
            return self._decode(part, self._verify(part), names, days)
        rows = self._whole(part)
        mask = np.ones(len(rows), dtype=bool)
        if names is not None:
            kept = set(names)
            mask &= np.array([name in kept for name in rows.names], dtype=bool)[rows.code]
        if days is not None:
            mask &= (rows["day"] >= days[0]) & (rows["day"] <= days[1])
        return rows if mask.all() else rows.take(mask)

    def _whole(self, part: Part) -> Rows:
        held = self._decoded.get(part.sha256)
        if held is None:
            path = self._verify(part)
            held = self._decode(part, path, None, None)
            self._decoded[part.sha256] = held
            while sum(map(len, self._decoded.values())) > KEPT_ROWS and len(self._decoded) > 1:
                self._decoded.popitem(last=False)
        else:
            self._decoded.move_to_end(part.sha256)
        return held

    def _decode(self, part: Part, path: Path, names: list[str] | None, days: tuple[int, int] | None) -> Rows:
        found: Rows = self._guarded(part, lambda: rows_from_parquet(path, self.kind, names=names, days=days))
        return found

    def _verify(self, part: Part) -> Path:
        if part.sha256 not in self._verified:
            verify_part(self.root, part)
            self._verified.add(part.sha256)
        return self.root / part.path

    def _guarded(self, part: Part, decode: Any) -> Any:
        try:
            return decode()
        except (OSError, pa.ArrowException, KeyError, TypeError, ValueError, AttributeError) as problem:
            raise DataError(
                f"{self.root / part.path} cannot be read as {part.kind}: {problem}",
                next_step="restore it from a backup, or move the store aside and ingest again",
            ) from problem
