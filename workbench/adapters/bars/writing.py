"""One delivery on its way into a store: staged files, and the manifest that will list them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.adapters.bars.events import Events, events_to_parquet
from workbench.adapters.bars.files import Manifest, Part, write_part
from workbench.adapters.bars.history import Last, settle
from workbench.adapters.bars.intake import Intake
from workbench.adapters.bars.library import Library, Shelf
from workbench.adapters.bars.rows import (
    Index,
    Rows,
    added,
    content_sum,
    groups,
    hash_rows,
    rows_to_parquet,
)
from workbench.adapters.bars.schema import BarSchema, Kind
from workbench.adapters.bars.sources import read_chunks
from workbench.adapters.bars.validation import examine
from workbench.core.ports import Calendar
from workbench.core.types import Integers
from workbench.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from workbench.adapters.bars.sources import Delivery

PART_ROWS = 2_000_000
GROUP_ROWS = 1_000_000  #: rows decoded at once where all are gone through
LOOK_BACK_DAYS = {"year": 400, "month": 40, "day": 5}


def take_in(
    delivery: Delivery, schema: BarSchema, intake: Intake, *, calendar: Calendar,
    known_at: Integers | None, now_ns: int, chunk_rows: int,
) -> None:  # fmt: skip
    """Examine the delivery chunk by chunk."""
    start = 0
    for chunk in read_chunks(delivery, schema, chunk_rows=chunk_rows):
        count = len(chunk.row)
        times = None if known_at is None else known_at[start : start + count]
        if times is not None and len(times) != count:
            raise _wrong_length(known_at, start + count)
        intake.add(examine(chunk, schema, calendar=calendar, known_at=times, now_ns=now_ns))
        start += count
    if known_at is not None and len(known_at) != start:
        raise _wrong_length(known_at, start)


def _wrong_length(known_at: Integers | None, rows: int) -> UsageError:
    return UsageError(
        f"known_at: {len(known_at) if known_at is not None else 0} times for {rows} rows",
        next_step="give one integer UTC nanosecond time for each row; 0 or less means missing",
    )


def stage_rows(
    library: Library, shelf: Shelf, intake: Intake, events: Events, stamp: dict[str, Any]
) -> tuple[list[Part], int, int, int, tuple[int, ...]]:
    """Write the rows to be added; returns parts, accepted, corrections, unchanged and the content sum."""
    schema, kind = intake.schema, intake.schema.rules
    parts: list[Part] = []
    accepted = corrections = unchanged = 0
    total = shelf.manifest.content_sum
    last: Last = {}
    for rows in intake.groups():
        day = rows["day"]
        days = (int(day.min()) - LOOK_BACK_DAYS[kind.period], int(day.max()))
        recorded = library.rows(shelf.parts, names=rows.names, days=days)
        done = settle(rows, recorded, schema, events.splits, last)
        for reason, refused in done.refused:
            intake.settled_out(reason, refused)
        accepted += len(done.added)
        corrections += done.corrections
        unchanged += done.unchanged
        total = added(total, content_sum(done.added, kind))
        parts += write_rows(library.root, kind, done.added, stamp)
    return parts, accepted, corrections, unchanged, total


def write_rows(root: Path, kind: Kind, rows: Rows, stamp: dict[str, Any]) -> list[Part]:
    """Parts of bounded size."""
    word = kind.name if kind.ticks else "bars"
    parts = []
    rows = rows.ordered()
    for start in range(0, len(rows), PART_ROWS):
        piece = rows.take(np.arange(start, min(start + PART_ROWS, len(rows))))
        days = (int(piece["day"].min()), int(piece["day"].max()))
        content = rows_to_parquet(piece, kind)
        parts.append(write_part(root, word, content, rows=len(piece), days=days, **stamp))
    return parts


def stage_events(root: Path, events: Events, stamp: dict[str, Any]) -> list[Part]:
    """Write the events of a delivery, one file for each sort."""
    sorts: dict[str, Sequence[Any]] = {
        "splits": events.splits, "dividends": events.dividends, "renames": events.renames,
    }  # fmt: skip
    return [
        write_part(root, sort, events_to_parquet(group), rows=len(group), **stamp)
        for sort, group in sorts.items()
        if group
    ]


def stage_quarantine(root: Path, intake: Intake, listed: Iterable[Part], stamp: dict[str, Any]) -> list[Part]:
    """Write the refused rows; the same bad delivery again is one record."""
    known = {part.path for part in listed}
    parts = []
    for counts, content in intake.quarantine_files():
        part = write_part(root, "quarantine", content, rows=sum(counts.values()), reasons=counts, **stamp)
        if part.path not in known:
            parts.append(part)
    return parts


def require_same(manifest: Manifest, schema: BarSchema, where: Path) -> Manifest:
    """The manifest with the schema's calendar and currency, when they do not contradict it.

    Raises
    ------
    ConfigError
        The store keeps another kind, calendar or currency.
    """
    for name in ("kind", "calendar", "currency"):
        kept, offered = getattr(manifest, name), getattr(schema, name)
        if kept and kept != offered and len(manifest.parts):
            raise ConfigError(
                f"schema: {name} = {offered!r}, but {where} keeps {kept!r}",
                next_step=f"correct {name} in the schema, or ingest into another store",
            )
    return replace(manifest, kind=schema.kind, calendar=schema.calendar, currency=schema.currency)


def fingerprint(library: Library, parts: Sequence[Part], events: Events, total: tuple[int, ...]) -> str:
    """Hash of rows and events: equal for equal content, however files hold it.

    Daily bars are hashed symbol by symbol in canonical order, a bounded number of rows at a time; the
    other kinds, which can be far larger, by the order-free sum that each ingest only adds to.
    """
    kind = library.kind
    sha = hashlib.sha256(f"workbench {'bars' if kind.name == 'daily' else kind.name} 1\n".encode())
    if kind.name == "daily":
        index: Index = {}
        for part in parts:
            for name, (rows, first, last) in library.index_of(part).items():
                index[name] = (index.get(name, (0, 0, 0))[0] + rows, first, last)
        for names in groups(index, GROUP_ROWS):
            hash_rows(sha, library.rows(parts, names=names), kind)
    else:
        sha.update(repr(total).encode())
    for event in events.all:
        sha.update(event.text.encode())
    return sha.hexdigest()
