"""Moves old events out of the journal into a file without breaking the chain.

The file holds the events with their hashes, so it proves itself. The journal keeps three things instead:
the place in the chain where the file ends (the row `archived` of `meta`), the projections as they were at
that place (`base_rows`), and, as an event of the living chain, the hashes of both. A rebuild starts from
the base rows and never needs the file; whoever has the file can prove the base rows from it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from workbench.adapters.journal.chain import START, Mark
from workbench.adapters.journal.engine import driver_connection
from workbench.adapters.journal.parquet import arrow_schema, parquet_file, read_rows
from workbench.adapters.journal.rowstore import RowWriter
from workbench.adapters.journal.schema import CHECKPOINT, PROJECTIONS, base_rows, events, meta
from workbench.adapters.journal.verify import (
    base_hash,
    chained,
    corrupt,
    fold_all,
    fresh_projections,
    read_events,
    restore_base,
    start_of,
)
from workbench.core.canonical import canonical_json
from workbench.core.ports import RecordedEvent
from workbench.errors import JournalConflict, Refused

_NAMES = tuple(events.columns.keys())
_ROWS_AT_ONCE = 1_000
BaseRow = tuple[str, str]


@dataclass(frozen=True)
class Archived:
    """What an archiving moved.

    Attributes
    ----------
    first_seq, last_seq : int
        The events that are in the file now.
    last_hash : str
        Hash of the last of them, which the first living event continues.
    before_session : str
        The living journal begins with the first event of this session or a later one.
    base_hash, file_hash : str
        Hex sha256 of the projections at that place, and of the file's bytes.
    """

    first_seq: int
    last_seq: int
    last_hash: str
    before_session: str
    base_hash: str
    file_hash: str

    def payload(self, person: str, reason: str) -> dict[str, Any]:
        """The event that records it."""
        return {**asdict(self), "person": person, "reason": reason}


def write_archive(
    connection: sa.Connection, before_session: str, path: Path
) -> tuple[Archived, list[BaseRow]]:
    """Write the events before a session to a file, each proved; the journal itself is not changed.

    Raises
    ------
    Refused
        There is nothing to archive, or the file exists.
    JournalCorrupt
        An event or a base row is not what the chain says.
    """
    start = start_of(connection)
    last = _last_before(connection, start, before_session)
    if last <= start.seq:
        raise Refused(
            f"the journal holds no event before session {before_session}",
            next_step="name a later session", before_session=before_session,
        )  # fmt: skip
    end = start
    with parquet_file(path, arrow_schema(events)) as file, fresh_projections() as (fresh, statements):

        def moved() -> Generator[RecordedEvent, None, None]:
            nonlocal end
            for event in read_events(connection, start, until=last):
                text = canonical_json(event.payload)
                file.add((event.seq, event.at_ns, event.kind, text, event.config_hash, end.hash, event.hash))
                end = Mark(event.seq, event.hash)
                yield event

        writer = RowWriter(driver_connection(fresh).cursor(), statements)
        restore_base(connection, writer)
        fold_all(writer, moved())
        rows = list(_dump(fresh))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Archived(start.seq + 1, last, end.hash, before_session, base_hash(rows), digest), rows


def cut(connection: sa.Connection, archived: Archived, rows: Sequence[BaseRow]) -> None:
    """Take the archived events out and put the checkpoint in, inside a write transaction.

    Raises
    ------
    JournalConflict
        Somebody else archived meanwhile.
    """
    if start_of(connection).seq != archived.first_seq - 1:
        raise JournalConflict(
            "the journal was archived by somebody else meanwhile",
            next_step="delete the file that was just written, and look at the rows of `archives`",
        )
    connection.execute(sa.delete(base_rows))
    for at in range(0, len(rows), _ROWS_AT_ONCE):
        part = enumerate(rows[at : at + _ROWS_AT_ONCE], at)
        connection.execute(
            sa.insert(base_rows), [{"n": n, "projection": name, "content": text} for n, (name, text) in part]
        )
    connection.execute(sa.delete(events).where(events.c.seq <= archived.last_seq))
    connection.execute(sa.delete(meta).where(meta.c.name == CHECKPOINT))
    place = f"{archived.last_seq} {archived.last_hash}"
    connection.execute(sa.insert(meta).values(name=CHECKPOINT, value=place))


def prove_archives(connection: sa.Connection, files: Sequence[Path]) -> int:
    """Prove that the files hold the whole chain up to the living journal and make its base rows.

    Returns
    -------
    int
        Events in the files.

    Raises
    ------
    JournalCorrupt
        The first event that is altered or missing, or base rows that the files do not account for.
    Refused
        A file cannot be read.
    """
    start = start_of(connection)
    with fresh_projections() as (fresh, statements):
        writer = RowWriter(driver_connection(fresh).cursor(), statements)
        count = fold_all(writer, chained(_rows_of(files), START))
        made = list(_dump(fresh))
    if count != start.seq:
        raise corrupt(count + 1, f"is missing: the files hold {count} events, {start.seq} were archived")
    if files and _last_hash(files[-1]) != start.hash:
        raise corrupt(start.seq, "of the files is not the one that the living chain continues")
    stored = connection.execute(
        sa.select(base_rows.c.projection, base_rows.c.content).order_by(base_rows.c.n)
    )
    if [tuple(row) for row in stored] != made:
        raise corrupt(start.seq, "and those before it do not make the base rows that the journal keeps")
    return count


def archived_events(connection: sa.Connection, files: Sequence[Path]) -> list[RecordedEvent]:
    """The events that were moved out, from all files, oldest first; proved up to the living journal.

    Raises
    ------
    JournalCorrupt
        The first event that is altered or missing.
    Refused
        A file cannot be read.
    """
    start = start_of(connection)
    found = list(chained(_rows_of(files), START))
    if (found[-1].seq, found[-1].hash) != (start.seq, start.hash) if found else start != START:
        raise corrupt(start.seq, f"is not the last of {len(found)} events that the archive files hold")
    return found


def _rows_of(files: Sequence[Path]) -> Iterator[tuple[Any, ...]]:
    for path in files:
        yield from read_rows(path, _NAMES)


def _last_hash(path: Path) -> str:
    last = ""
    for (digest,) in read_rows(path, ("hash",)):
        last = digest
    return last


def _last_before(connection: sa.Connection, start: Mark, session: str) -> int:
    """Number of the last event before the first one of that session or a later one."""
    last = start.seq
    with closing(read_events(connection, start)) as recorded:
        for event in recorded:
            if event.payload.get("session", "") >= session:
                break
            last = event.seq
    return last


def _dump(connection: sa.Connection) -> Iterator[BaseRow]:
    """Every projection row as canonical text, in one order."""
    for name in sorted(PROJECTIONS):
        known = PROJECTIONS[name]
        stored = connection.exec_driver_sql(
            f"SELECT {', '.join(known.columns)} FROM {name} ORDER BY added_seq, {', '.join(known.key)}"  # noqa: S608
        )
        for row in stored:
            values = dict(zip(known.columns, row, strict=True))
            values.update({column: bool(values[column]) for column in known.booleans})
            yield name, canonical_json(values)
