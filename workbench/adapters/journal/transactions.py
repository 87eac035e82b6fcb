"""Transactions of the journal: who may write, what happens around a commit, how failures are named."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa

from workbench.adapters.journal.chain import START, Anchor, Mark, Signed
from workbench.adapters.journal.conflicts import name_conflict
from workbench.adapters.journal.engine import Database, hands_off, writing
from workbench.adapters.journal.opening import (
    check_tail,
    create_schema,
    migrate,
    newer_schema,
    require_version,
    version_of,
)
from workbench.adapters.journal.reads import Answers, Queries, Row
from workbench.adapters.journal.rowstore import KnownRows, RowsRefused, RowWriter, Statements
from workbench.adapters.journal.schema import SCHEMA_VERSION
from workbench.adapters.journal.verify import corrupt, hash_at, head_of, start_of
from workbench.errors import JournalCorrupt, StorageFailed, UsageError

_HEAD = """SELECT (SELECT value FROM meta WHERE name = 'schema_version'), seq, hash
FROM events ORDER BY seq DESC LIMIT 1"""
Result = TypeVar("Result")
#: Rows are remembered from one transaction to the next until they are this many.
_MOST_ROWS = 5_000


@dataclass(frozen=True)
class Writer:
    """The one connection that writes, the driver's own below it, and the cursor that is used again."""

    connection: sa.Connection
    driver: Any
    cursor: Any


@dataclass(slots=True)
class Unit:
    """One write transaction: its connection, a cursor of the driver, its rows, and the head in it."""

    connection: sa.Connection
    cursor: Any
    rows: RowWriter
    head: Mark


class Transactions:
    """Opens the database and its anchor, and hands out read and write transactions.

    One connection writes, under a lock of this process; the database's own lock orders processes. The
    anchor follows each commit. When it cannot be written the events are durable all the same, so that
    commit has succeeded; the *next* one is refused before it writes until the anchor has caught up.
    """

    def __init__(self, database: Database, anchor: Anchor, *, read_only: bool) -> None:
        self.database = database
        self.anchor = anchor
        self._read_only = read_only
        self._lock = threading.RLock()
        self._writer: Writer | None = None
        self._known = START
        self._anchored = START
        #: The head at the last look, and the database's count of the changes of others then.
        self._latest: tuple[int | None, Mark] = (None, START)
        self._rows: KnownRows = {}
        self._answers = Answers()
        self._inside = False
        self.backup = ""
        if read_only and not database.exists():
            raise database.absent()
        self._engine = database.open_engine(read_only=read_only)
        self.statements = Statements(self._engine.dialect, database.integrity_errors)
        self.queries = Queries(self._engine.dialect)
        self._errors: tuple[type[BaseException], ...] = (sa.exc.DBAPIError, *database.driver_errors)
        try:
            self._open_to_read() if read_only else self._open_to_write()
        except self._errors as error:
            self.close()
            raise database.storage_error(error) from error
        except BaseException:
            self.close()
            raise

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection on one consistent state of the journal."""
        try:
            with self._engine.connect() as connection:
                yield connection
        except self._errors as error:
            raise self.database.storage_error(error) from error

    @contextmanager
    def _asking(self) -> Iterator[Writer | None]:
        """The writing connection while it writes nothing; None = the question needs one of its own."""
        if self._writer is None or not self.database.changes or not self._lock.acquire(blocking=False):
            yield None
            return
        try:
            yield None if self._inside else self._writer
        finally:
            self._lock.release()

    def rows(self, projection: str, names: tuple[str, ...], values: tuple[Any, ...]) -> list[Row]:
        """Values of the rows of a projection, as the table orders them, whose columns have given values.

        Raises
        ------
        UsageError
            No such projection or column.
        """
        query = self.queries.of(projection, names)
        if None in values:
            raise UsageError(
                f"a column of {projection} is compared with None",
                next_step="ask for all and look at the rows",
            )
        try:
            with self._asking() as writer:
                if writer is None:
                    with self._engine.connect() as connection:
                        return [tuple(row) for row in query.run(connection, values)]
                cursor, question = writer.cursor, (names, values)
                others = cursor.execute(self.database.changes).fetchone()[0]
                rows = self._answers.known(projection, question, others)
                if rows is None:
                    rows = cursor.execute(query.text, query.parameters(values)).fetchall()
                    self._answers.keep(projection, question, rows)
                return rows
        except self._errors as error:
            raise self.database.storage_error(error) from error

    def events(self, kinds: Sequence[str], after_seq: int) -> list[Row]:
        """Rows of the chain after an event, of some kinds; of all when there are none."""
        try:
            with self._asking() as writer:
                if writer is None:
                    with self._engine.connect() as connection:
                        return [
                            tuple(row) for row in connection.execute(self.queries.events(kinds, after_seq))
                        ]
                cursor = writer.cursor
                others = cursor.execute(self.database.changes).fetchone()[0]
                if others == self._latest[0] and after_seq >= self._latest[1].seq:
                    return []
                text = self.queries.events_text(len(kinds))
                return list(cursor.execute(text, (after_seq, *kinds)).fetchall())
        except self._errors as error:
            raise self.database.storage_error(error) from error

    def write(self, work: Callable[[Unit], Result]) -> Result:
        """What `work` returns, once the transaction it ran in is durable.

        The write lock is held from the first statement on.

        Raises
        ------
        JournalConflict, StorageFailed, JournalCorrupt, Refused
            Nothing was written; a StorageFailed whose fact `outcome` is "unknown" says that the
            connection broke in the commit and the database could not be asked whether it was kept.
        """
        if self._read_only:
            raise self.database.read_only_refusal()
        with self._lock:
            if self._anchored is not self._known:
                self._follow(self.anchor.signed(self._known))
            self._inside = True
            try:
                writer = self._begin()
                try:
                    head = self._head(writer)
                    rows = RowWriter(writer.cursor, self.statements, self._take_rows(head))
                    unit = Unit(writer.connection, writer.cursor, rows, head)
                    result = work(unit)
                    rows.flush()
                except BaseException:
                    self._undo(writer)
                    raise
                signed = None if unit.head is head else self.anchor.signed(unit.head)
                self._answers.touched(rows.touched)  # before: whatever interrupts, no old answer is left
                self._commit(writer, unit.head)
                self._keep_rows(rows)
            except RowsRefused as refused:
                with self.reading() as connection:
                    raise name_conflict(connection, refused) from refused
            except self._errors as error:
                self._drop_writer()
                raise self.database.storage_error(error) from error
            except BaseException:  # perhaps in the middle of the commit: what is durable is asked again
                self._answers.forget()
                self._latest = (None, self._known)
                raise
            finally:
                self._inside = False
            if signed is not None:
                self._known = unit.head
                self._latest = (self._latest[0], unit.head)
                with suppress(StorageFailed):  # durable already; the next transaction tries again first
                    self._follow(signed)
            return result

    def close(self) -> None:
        """Close the database and make the anchor durable; a second call does nothing."""
        with self._lock:
            self._drop_writer()
            self._engine.dispose()
            self.anchor.close()

    # --- inside -------------------------------------------------------------------------------------

    def _begin(self) -> Writer:
        """A connection with a transaction; one that broke while it was idle is replaced once."""
        fresh = self._writer is None
        writer = self._writer = self._writer or self._connect()
        try:
            for statement in self.database.begin:
                writer.cursor.execute(statement)
            return writer
        except self.database.driver_errors:
            if fresh or self.database.usable(writer.driver):
                raise
        self._drop_writer()
        return self._begin()

    def _connect(self) -> Writer:
        connection = hands_off(self._engine)
        driver = self.database.own_transactions(connection)
        return Writer(connection, driver, driver.cursor())

    def _undo(self, writer: Writer) -> None:
        try:
            writer.cursor.execute("ROLLBACK")
        except self._errors:
            self._drop_writer()  # the database undoes it when the connection ends

    def _commit(self, writer: Writer, head: Mark) -> None:
        try:
            writer.cursor.execute("COMMIT")
        except self._errors as error:
            self._drop_writer()
            if head == self._known or not self.database.lost(error):
                raise
            if not self._kept(head, error):
                raise

    def _kept(self, head: Mark, error: BaseException) -> bool:
        """Whether a commit whose connection broke took effect; asked under the write lock it held."""
        try:
            with writing(self._engine) as connection, connection.begin():
                return hash_at(connection, head.seq) == head.hash
        except self._errors:
            raise StorageFailed(
                f"journal {self.database.name} went away in a commit; whether it was kept is not known",
                next_step="start the database, then start again: what was kept is read back first",
                path=self.database.name, outcome="unknown",
            ) from error  # fmt: skip

    def _take_rows(self, head: Mark) -> KnownRows:
        """Rows that are known since this process wrote last; none when another has written since.

        Whatever changes a row appends an event, so under an unmoved head every row is what it was. They
        are given away: a transaction that fails takes what it had changed in them with it.
        """
        rows, self._rows = self._rows, {}
        return rows if head is self._known or head == self._known else {}

    def _keep_rows(self, rows: RowWriter) -> None:
        known = rows.known()
        if len(known) <= _MOST_ROWS:
            self._rows = known

    def _follow(self, signed: Signed) -> None:
        self.anchor.advance(signed)
        self._anchored = signed.mark

    def _head(self, writer: Writer) -> Mark:
        """The head, which other processes may have moved on but nobody may have moved back."""
        cursor, changes = writer.cursor, None
        if self.database.changes:
            cursor.execute(self.database.changes)
            changes = cursor.fetchone()[0]
            if changes == self._latest[0]:
                return self._latest[1]
        head = self._judged_head(writer)
        self._latest = (changes, head)
        return head

    def _judged_head(self, writer: Writer) -> Mark:
        writer.cursor.execute(_HEAD)
        found = writer.cursor.fetchone()
        connection = writer.connection
        known = self._known
        if found is not None and found[0] == str(SCHEMA_VERSION) and found[2] == known.hash:
            return known if found[1] == known.seq else Mark(found[1], found[2])
        if (version := version_of(connection)) != str(SCHEMA_VERSION):
            raise newer_schema(self.database, version)
        head = head_of(connection)
        if head != known and (head.seq <= known.seq or not _continues(connection, known)):
            raise corrupt(min(head.seq + 1, known.seq), "was taken away or replaced under this process")
        return head

    def _drop_writer(self) -> None:
        """Forget the writing connection, whatever state it is in."""
        if self._writer is not None:
            writer, self._writer = self._writer.connection, None
            self._answers.forget()
            self._latest = (None, self._known)  # another connection counts from another number
            writer.invalidate()
            writer.close()

    # --- opening ------------------------------------------------------------------------------------

    def _open_to_read(self) -> None:
        with self.reading() as connection:
            require_version(connection, self.database)

    def _open_to_write(self) -> None:
        try:
            self.anchor.open_for_writing()
            self.database.prepare()
        except OSError as error:
            raise StorageFailed(
                f"journal {self.database.name} or its anchor {self.anchor.path} cannot be opened: {error}",
                next_step="check that the folders exist and may be written",
                path=self.database.name,
            ) from error
        with self.anchor.locked():  # processes that open a new journal at once take turns
            marks = None if self.anchor.empty else self.anchor.marks()
            expected = marks is not None and marks[0].seq > 0
            if expected and not self.database.exists():
                raise corrupt(1, f"and all others are missing: {self.database.name} does not exist")
            create_schema(self._engine, expected=expected, name=self.database.name)
            self.backup = migrate(self._engine, self.database, self.statements, marks)
            with self.reading() as connection:
                require_version(connection, self.database)
                self._known = head_of(connection)
                if marks is not None:
                    check_tail(connection, marks, self._known)
                elif self._known.seq:
                    raise JournalCorrupt(
                        f"anchor {self.anchor.path} is missing or empty although the journal has events",
                        next_step="restore the anchor file from the backup that belongs to this journal",
                        path=str(self.anchor.path),
                    )
            if marks is None:
                self.anchor.initialise()
        self._follow(self.anchor.signed(self._known))


def _continues(connection: sa.Connection, known: Mark) -> bool:
    """Whether the chain still holds a place this process knows, or was archived past it."""
    start = start_of(connection)
    return start.seq > known.seq or start == known or hash_at(connection, known.seq) == known.hash
