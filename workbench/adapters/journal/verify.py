"""Proves that the chain is whole and the one that was anchored, and that projections follow from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from workbench.adapters.journal.chain import START, Mark, event_hash
from workbench.adapters.journal.engine import memory_engine, writing
from workbench.adapters.journal.projections import fold
from workbench.adapters.journal.rowstore import RowsRefused, RowWriter, Statements
from workbench.adapters.journal.schema import PROJECTION_TABLES, PROJECTIONS, events, metadata
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
        Events that were proved before the first bad one.
    first_bad_seq : int or None
        The first event that is altered, missing or wrongly projected.
    reason : str
        What is wrong with it; "" when ok.
    anchored : bool
        Whether the anchor's signature was checked; False when opened without the key.
    """

    ok: bool
    events: int
    first_bad_seq: int | None
    reason: str
    anchored: bool


def read_events(connection: sa.Connection, after: Mark, *, chunk: int = _CHUNK) -> Iterator[RecordedEvent]:
    """Events after a mark that is known to be good, each proved to continue the one before.

    Raises
    ------
    JournalCorrupt
        The first event that does not; facts `seq` and `reason`.
    """
    query = sa.select(*_COLUMNS).where(events.c.seq > after.seq).order_by(events.c.seq)
    seq, previous = after.seq, after.hash
    try:
        for part in connection.execute(query).partitions(chunk):
            for number, at_ns, kind, payload, config_hash, prev_hash, digest in part:
                seq += 1
                if number != seq:
                    raise corrupt(seq, f"is missing; the next one present is {number}")
                if digest != event_hash(number, at_ns, kind, payload, config_hash, prev_hash):
                    raise corrupt(seq, f"({kind}) was altered: its content does not have its hash")
                if prev_hash != previous:
                    raise corrupt(max(1, seq - 1), f"was replaced: event {seq} continues another one")
                previous = digest
                yield RecordedEvent(seq, at_ns, kind, json.loads(payload), config_hash, digest)
    except sa.exc.DBAPIError as error:
        if chunk == 1:
            raise corrupt(seq + 1, f"cannot be read: {error.orig}") from error
        yield from read_events(connection, Mark(seq, previous), chunk=1)  # finds the row in the chunk


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
    if marks[0].seq > held.seq:
        raise corrupt(
            held.seq + 1, f"is missing: the anchor proves {marks[0].seq} events, {held.seq} are present"
        )
    for mark in reversed(marks):
        if mark != START and hash_at(connection, mark.seq) != mark.hash:
            raise corrupt(mark.seq, "is not the one that was anchored: the chain was re-hashed")


def head_of(connection: sa.Connection) -> Mark:
    """The last event's place in the chain."""
    found = connection.exec_driver_sql("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1").first()
    return START if found is None else Mark(found[0], found[1])


def hash_at(connection: sa.Connection, seq: int) -> str | None:
    """The stored hash of one event, None when it is not there; before the first stands the genesis."""
    if seq == START.seq:
        return START.hash
    query = sa.select(events.c.hash).where(events.c.seq == seq)
    value = connection.execute(query).scalar_one_or_none()
    return None if value is None else str(value)


def refold(target: sa.Connection, recorded: Iterator[RecordedEvent], statements: Statements) -> int:
    """Fold all events into empty projections; the number of events."""
    rows = RowWriter(target, statements)
    count = 0
    for event in recorded:
        try:
            fold(rows, event)
            count = event.seq
            if count % _CHUNK == 0:
                rows.flush()
        except (WorkbenchError, RowsRefused, KeyError) as error:
            raise corrupt(event.seq, f"({event.kind}) does not fold: {error}") from error
    rows.flush()
    return count


def compare_with_rebuild(connection: sa.Connection) -> int:
    """Refold the whole chain beside the journal and compare every projection row; the number of events.

    Raises
    ------
    JournalCorrupt
        The chain is broken, or the first row that the events do not account for.
    """
    engine = memory_engine()
    try:
        with writing(engine) as fresh, fresh.begin():
            metadata.create_all(fresh, tables=PROJECTION_TABLES)
            count = refold(fresh, read_events(connection, START), Statements(engine.dialect))
            for name in PROJECTIONS:
                _compare(name, connection, fresh)
        return count
    finally:
        engine.dispose()


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
