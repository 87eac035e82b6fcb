"""Transactions of the journal: who may write, what happens around a commit, how failures are named."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from workbench.adapters.journal.chain import START, Anchor, Mark
from workbench.adapters.journal.engine import open_engine, read_only_refusal, storage_error, writing
from workbench.adapters.journal.rowstore import RowsRefused, RowWriter, Statements, name_conflict
from workbench.adapters.journal.schema import SCHEMA_VERSION, meta, metadata
from workbench.adapters.journal.verify import check_marks, corrupt, hash_at, head_of, read_events
from workbench.errors import JournalCorrupt, Refused, StorageFailed

#: How many of the last events are proved at each opening; `verify` proves all.
TAIL_EVENTS = 200


@dataclass
class Unit:
    """One write transaction: its connection, its projection rows, and the head as it stands in it."""

    connection: sa.Connection
    rows: RowWriter
    head: Mark


class Transactions:
    """Opens the database and its anchor, and hands out read and write transactions.

    One connection writes, under a lock of this process; the database's own lock orders processes. The
    anchor follows each commit. When it cannot be written the events are durable all the same, so that
    commit has succeeded; the *next* one is refused before it writes until the anchor has caught up.
    """

    def __init__(self, path: Path, anchor: Anchor, *, read_only: bool) -> None:
        self.path = path
        self.anchor = anchor
        self._read_only = read_only
        self._lock = threading.RLock()
        self._writer: sa.Connection | None = None
        self._known = START
        self._anchored = START
        if read_only and not path.exists():
            raise Refused(f"there is no journal at {path}", next_step="run `workbench init`", path=str(path))
        self._engine = open_engine(path, read_only=read_only)
        self.statements = Statements(self._engine.dialect)
        try:
            self._open_to_read() if read_only else self._open_to_write()
        except BaseException:
            self.close()
            raise

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection on one consistent state of the journal."""
        try:
            with self._engine.connect() as connection:
                yield connection
        except sa.exc.DBAPIError as error:
            raise storage_error(error, self.path) from error

    @contextmanager
    def writing(self) -> Iterator[Unit]:
        """A transaction that holds the write lock from its first statement and commits at the end.

        Raises
        ------
        JournalConflict, StorageFailed, JournalCorrupt, Refused
            Nothing was written.
        """
        if self._read_only:
            raise read_only_refusal(self.path)
        with self._lock:
            if self._anchored != self._known:
                self._follow(self._known)
            try:
                connection = self._writer = self._writer or writing(self._engine)
                with connection.begin():
                    unit = Unit(connection, RowWriter(connection, self.statements), self._head(connection))
                    yield unit
                    unit.rows.flush()
            except RowsRefused as refused:
                with self.reading() as connection:
                    raise name_conflict(connection, refused) from refused
            except sa.exc.DBAPIError as error:
                self._drop_writer()
                raise storage_error(error, self.path) from error
            if unit.head != self._known:
                self._known = unit.head
                try:
                    self._follow(unit.head)
                except StorageFailed:
                    pass  # durable already; the next transaction starts by trying again, and fails closed

    def close(self) -> None:
        """Close the database and make the anchor durable; a second call does nothing."""
        with self._lock:
            self._drop_writer()
            self._engine.dispose()
            self.anchor.close()

    def _follow(self, mark: Mark) -> None:
        self.anchor.advance(mark)
        self._anchored = mark

    def _head(self, connection: sa.Connection) -> Mark:
        """The head, which other processes may have moved on but nobody may have moved back."""
        head = head_of(connection)
        known = self._known
        if head != known and (head.seq <= known.seq or hash_at(connection, known.seq) != known.hash):
            raise corrupt(min(head.seq + 1, known.seq), "was taken away or replaced under this process")
        return head

    def _drop_writer(self) -> None:
        """Forget the writing connection, whatever state it is in."""
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.invalidate()
            writer.close()

    # --- opening ------------------------------------------------------------------------------------

    def _open_to_read(self) -> None:
        with self.reading() as connection:
            self._require_version(connection)

    def _open_to_write(self) -> None:
        try:
            self.anchor.open_for_writing()
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageFailed(
                f"journal {self.path} or its anchor {self.anchor.path} cannot be opened: {error}",
                next_step="check that the folders exist and may be written",
                path=str(self.path),
            ) from error
        with self.anchor.locked():  # processes that open a new journal at once take turns
            marks = None if self.anchor.empty else self.anchor.marks()
            if marks and marks[0].seq and not self.path.exists():
                raise corrupt(1, f"and all others are missing: {self.path} does not exist")
            self._create_schema()
            with self.reading() as connection:
                self._require_version(connection)
                self._known = head_of(connection)
                if marks is not None:
                    self._check_tail(connection, marks)
                elif self._known.seq:
                    raise JournalCorrupt(
                        f"anchor {self.anchor.path} is missing or empty although the journal has events",
                        next_step="restore the anchor file from the backup that belongs to this journal",
                        path=str(self.anchor.path),
                    )
            if marks is None:
                self.anchor.initialise()
        self._follow(self._known)

    def _create_schema(self) -> None:
        """Make all tables in one transaction, unless they are there."""
        try:
            with writing(self._engine) as connection, connection.begin():
                if not sa.inspect(connection).get_table_names():
                    metadata.create_all(connection)
                    connection.execute(
                        sa.insert(meta).values(name="schema_version", value=str(SCHEMA_VERSION))
                    )
        except sa.exc.DBAPIError as error:
            raise storage_error(error, self.path) from error

    def _require_version(self, connection: sa.Connection) -> None:
        found = None
        if sa.inspect(connection).has_table("meta"):
            found = connection.execute(
                sa.select(meta.c.value).where(meta.c.name == "schema_version")
            ).scalar_one_or_none()
        if found == str(SCHEMA_VERSION):
            return
        if found is None:
            raise Refused(f"{self.path} is not a journal", next_step="check the path", path=str(self.path))
        raise Refused(
            f"journal {self.path} has schema version {found}; this code knows version {SCHEMA_VERSION}",
            next_step="use the release of workbench that wrote it, or a newer one",
            found=found, known=SCHEMA_VERSION, path=str(self.path),
        )  # fmt: skip

    def _check_tail(self, connection: sa.Connection, marks: list[Mark]) -> None:
        """Prove the anchored marks and the last events; at least all since the anchor."""
        check_marks(connection, marks)
        start = max(0, min(self._known.seq - TAIL_EVENTS, marks[0].seq))
        before = START if start == 0 else Mark(start, hash_at(connection, start) or "")
        for _event in read_events(connection, before):
            pass
