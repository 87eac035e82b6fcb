"""Proves that the chain is whole and the one that was anchored, and that projections follow from it."""

from __future__ import annotations

import hashlib
import itertools
import json
import sqlite3
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from workbench.adapters.journal.chain import START, Mark, event_hash
from workbench.adapters.journal.engine import driver_connection, memory_engine, writing
from workbench.adapters.journal.projections import fold
from workbench.adapters.journal.rowstore import RowsRefused, RowWriter, Statements
from workbench.adapters.journal.schema import (
    CHECKPOINT,
    PROJECTION_TABLES,
    PROJECTIONS,
    base_rows,
    events,
    meta,
    metadata,
)
from workbench.core.ports import RecordedEvent
from workbench.errors import JournalCorrupt, WorkbenchError

_CHUNK = 1_000
_COLUMNS = (
    events.c.seq, events.c.at_ns, events.c.kind, events.c.payload,
    events.c.config_hash, events.c.prev_hash, events.c.hash,
)  # fmt: skip


@dataclass(frozen=True)
class VerifyReport:
    """What a walk over the whole journal found.

    Attributes
    ----------
    ok : bool
        The chain is whole, continues to the anchor, and the projections equal a rebuild.
    events : int
        Events of the living journal that were proved before the first bad one.
    first_bad_seq : int or None
        The first event that is altered, missing or wrongly projected.
    reason : str
        What is wrong with it; "" when ok.
    anchored : bool
        Whether the anchor's signature was checked; False when opened without the key.
    archived : int
        Events that were moved to archive files before the first living one.
    archives_proved : bool
        Whether archive files were given and prove all of these.
    """

    ok: bool
    events: int
    first_bad_seq: int | None
    reason: str
    anchored: bool
    archived: int = 0
    archives_proved: bool = False


def read_events(
    connection: sa.Connection, after: Mark, *, until: int | None = None, chunk: int = _CHUNK
) -> Generator[RecordedEvent, None, None]:
    """Events after a mark that is known to be good, each proved to continue the one before.

    Raises
    ------
    JournalCorrupt
        The first event that does not; facts `seq` and `reason`.
    """
    query = sa.select(*_COLUMNS).where(events.c.seq > after.seq).order_by(events.c.seq)
    query = query.execution_options(yield_per=chunk)
    if until is not None:
        query = query.where(events.c.seq <= until)
    reached = after
    try:
        with connection.execute(query) as result:  # a server's cursor is given back at once
            for event in chained(itertools.chain.from_iterable(result.partitions()), after):
                reached = Mark(event.seq, event.hash)
                yield event
    except sa.exc.DBAPIError as error:
        if error.connection_invalidated:
            raise
        if chunk == 1:
            raise corrupt(reached.seq + 1, f"cannot be read: {error.orig}") from error
        yield from read_events(connection, reached, until=until, chunk=1)  # finds the row in the chunk


def chained(rows: Iterable[Any], after: Mark) -> Generator[RecordedEvent, None, None]:
    """Events from stored rows, each proved to continue the one before; rows in the order of the table.

    Raises
    ------
    JournalCorrupt
        The first event that does not.
    """
    seq, previous = after.seq, after.hash
    for number, at_ns, kind, payload, config_hash, prev_hash, digest in rows:
        seq += 1
        if number != seq:
            raise corrupt(seq, f"is missing; the next one present is {number}")
        if digest != event_hash(number, at_ns, kind, payload, config_hash, prev_hash):
            raise corrupt(seq, f"({kind}) was altered: its content does not have its hash")
        if prev_hash != previous:
            raise corrupt(max(1, seq - 1), f"was replaced: event {seq} continues another one")
        previous = digest
        yield RecordedEvent(seq, at_ns, kind, json.loads(payload), config_hash, digest)


def corrupt(seq: int, reason: str) -> JournalCorrupt:
    """The error that names a bad event."""
    return JournalCorrupt(
        f"journal event {seq} {reason}",
        next_step="trade nothing; run `workbench journal verify`, then restore journal and anchor from "
        "a backup and reconcile with the venue",
        seq=seq, reason=reason,
    )  # fmt: skip


def check_marks(connection: sa.Connection, marks: list[Mark]) -> None:
    """Prove that the chain holds every anchored mark; being ahead of the anchor is legal.

    Raises
    ------
    JournalCorrupt
        The tail was cut or re-hashed.
    """
    held = head_of(connection)
    start = start_of(connection)
    if marks[0].seq > held.seq:
        raise corrupt(
            held.seq + 1, f"is missing: the anchor proves {marks[0].seq} events, {held.seq} are present"
        )
    for mark in reversed(marks):
        if mark.seq < start.seq:
            continue  # archived since; the archive's own chain ends where this one starts
        found = start.hash if mark.seq == start.seq else hash_at(connection, mark.seq)
        if found != mark.hash:
            raise corrupt(mark.seq, "is not the one that was anchored: the chain was re-hashed")


def head_of(connection: sa.Connection) -> Mark:
    """The last event's place in the chain."""
    found = connection.exec_driver_sql("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1").first()
    return start_of(connection) if found is None else Mark(found[0], found[1])


def start_of(connection: sa.Connection) -> Mark:
    """What the first event that is present continues: genesis, or the last archived event."""
    query = sa.select(meta.c.value).where(meta.c.name == CHECKPOINT)
    found = connection.execute(query).scalar_one_or_none()
    if found is None:
        return START
    seq, _, digest = found.partition(" ")
    return Mark(int(seq), digest)


def hash_at(connection: sa.Connection, seq: int) -> str | None:
    """The stored hash of one event, None when it is not there; before the first stands the genesis."""
    if seq == START.seq:
        return START.hash
    query = sa.select(events.c.hash).where(events.c.seq == seq)
    value = connection.execute(query).scalar_one_or_none()
    return None if value is None else str(value)


def fold_all(rows: RowWriter, recorded: Generator[RecordedEvent, None, None]) -> int:
    """Fold events into projections, in batches; how many there were."""
    count = 0
    last = None
    try:
        for event in recorded:
            last = event
            fold(rows, event)
            count += 1
            if count % _CHUNK == 0:
                rows.flush()
                rows.forget()
        rows.flush()
    except (WorkbenchError, RowsRefused, KeyError) as error:
        if isinstance(error, JournalCorrupt) or last is None:
            raise
        raise corrupt(last.seq, f"({last.kind}) does not fold: {error}") from error
    finally:
        recorded.close()
    return count


def refold(connection: sa.Connection, statements: Statements, target: sa.Connection | None = None) -> int:
    """Fold all events, on top of what was archived, into empty projections; the number of events."""
    writer = RowWriter(driver_connection(target or connection).cursor(), statements)
    restore_base(connection, writer)
    return fold_all(writer, read_events(connection, start_of(connection)))


def compare_with_rebuild(connection: sa.Connection) -> int:
    """Refold the whole chain beside the journal and compare every projection row; the number of events.

    Raises
    ------
    JournalCorrupt
        The chain is broken, or the first row that the events do not account for.
    """
    with fresh_projections() as (fresh, statements):
        count = refold(connection, statements, fresh)
        for name in PROJECTIONS:
            _compare(name, connection, fresh)
    return count


@contextmanager
def fresh_projections() -> Iterator[tuple[sa.Connection, Statements]]:
    """Empty projections in memory, and the statements that write them."""
    engine = memory_engine()
    try:
        with writing(engine) as fresh, fresh.begin():
            metadata.create_all(fresh, tables=PROJECTION_TABLES)
            yield fresh, Statements(engine.dialect, (sqlite3.IntegrityError,))
    finally:
        engine.dispose()


def base_hash(rows: Iterable[tuple[str, str]]) -> str:
    """Hex sha256 over the names and texts of base rows; neither can hold a line feed."""
    digest = hashlib.sha256()
    for name, content in rows:
        digest.update(f"{name}\n{content}\n".encode())
    return digest.hexdigest()


def restore_base(connection: sa.Connection, writer: RowWriter) -> None:
    """Put back the projections as they were after the last archived event.

    Raises
    ------
    JournalCorrupt
        They are not what the archiving recorded in the chain.
    """
    start = start_of(connection)
    query = sa.select(base_rows.c.projection, base_rows.c.content).order_by(base_rows.c.n)
    rows = [(str(name), str(content)) for name, content in connection.execute(query)]
    for name, content in rows:
        writer.restore(name, json.loads(content))
    writer.flush()
    writer.forget()
    if start == START:
        if rows:
            raise corrupt(1, "is the first of all, yet rows from before it are kept")
        return
    query = sa.select(events.c.payload).where(events.c.kind == "journal.archived", events.c.seq > start.seq)
    for text in connection.scalars(query.order_by(events.c.seq.desc()).limit(1)):
        recorded = json.loads(text)
        if (recorded["last_seq"], recorded["last_hash"]) == (start.seq, start.hash):
            if recorded["base_hash"] == base_hash(rows):
                return
            raise corrupt(start.seq, "and those before it, archived, did not make the base rows kept of them")
    raise corrupt(start.seq, "and those before it are missing, and no record says that they were archived")


def _compare(name: str, live: sa.Connection, fresh: sa.Connection) -> None:
    key = PROJECTIONS[name].key
    stored, folded = ({_key(row, key): row for row in _all_rows(name, side)} for side in (live, fresh))
    for identity in sorted(stored.keys() | folded.keys(), key=str):
        have, want = stored.get(identity), folded.get(identity)
        if have == want:
            continue
        words = f"projection {name}, row {'/'.join(str(part) for part in identity)}"
        if want is None:
            raise corrupt(_seq(have or {}), f"did not make {words}; no event did")
        if have is None:
            raise corrupt(_seq(want), f"made {words}, which is gone")
        column = next(column for column in want if have[column] != want[column])
        raise corrupt(
            _seq(want), f"contradicts {words}: {column} is {have[column]!r}, the events say {want[column]!r}"
        )


def _all_rows(name: str, connection: sa.Connection) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(sa.select(PROJECTIONS[name].table)).mappings()]


def _key(row: dict[str, Any], key: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(row[column] for column in key)


def _seq(row: dict[str, Any]) -> int:
    return int(row["seq"])
