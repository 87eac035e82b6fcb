"""What happens when a journal is opened: its tables made, its version judged, an older one migrated."""

from __future__ import annotations

import sqlalchemy as sa

from workbench.adapters.journal.chain import START, Mark
from workbench.adapters.journal.engine import Database, writing
from workbench.adapters.journal.rowstore import Statements
from workbench.adapters.journal.schema import PROJECTION_TABLES, SCHEMA_VERSION, base_rows, meta, metadata
from workbench.adapters.journal.verify import check_marks, corrupt, hash_at, read_events, refold, start_of
from workbench.errors import Refused

#: How many of the last events are proved at each opening; `verify` proves all.
TAIL_EVENTS = 200
_COMPILED: dict[str, tuple[str, ...]] = {}


def create_schema(engine: sa.Engine, *, expected: bool, name: str) -> None:
    """Make all tables in one transaction, unless there are any.

    Raises
    ------
    JournalCorrupt
        There are none although the anchor proves events.
    """
    with writing(engine) as connection, connection.begin():
        if sa.inspect(connection).get_table_names():
            return
        if expected:
            raise corrupt(1, f"and all others are missing: {name} holds no table")
        for statement in _statements(connection.dialect):
            connection.exec_driver_sql(statement)
        connection.execute(sa.insert(meta).values(name="schema_version", value=str(SCHEMA_VERSION)))


def _statements(dialect: sa.Dialect) -> tuple[str, ...]:
    """What makes all tables and indexes; compiled once a process, because that costs more than running it."""
    known = _COMPILED.get(dialect.name)
    if known is None:
        made: list[sa.schema.ExecutableDDLElement] = []
        for table in metadata.sorted_tables:
            made.append(sa.schema.CreateTable(table))
            made += [
                sa.schema.CreateIndex(index) for index in sorted(table.indexes, key=lambda i: str(i.name))
            ]
        known = _COMPILED[dialect.name] = tuple(str(one.compile(dialect=dialect)) for one in made)
    return known


def version_of(connection: sa.Connection) -> str | None:
    """The schema version that the database says it has; None when it is no journal."""
    if not sa.inspect(connection).has_table("meta"):
        return None
    query = sa.select(meta.c.value).where(meta.c.name == "schema_version")
    return connection.execute(query).scalar_one_or_none()


def require_version(connection: sa.Connection, database: Database) -> None:
    """Refuse a database that is no journal, or one of another version than this code writes."""
    found = version_of(connection)
    if found == str(SCHEMA_VERSION):
        return
    if found is None:
        if not sa.inspect(connection).get_table_names():
            raise database.absent()
        raise Refused(f"{database.name} is not a journal", next_step="check the path", path=database.name)
    raise newer_schema(database, found)


def newer_schema(database: Database, found: str | None) -> Refused:
    """The answer to a journal of another version."""
    older = found is not None and found.isdigit() and int(found) < SCHEMA_VERSION
    step = "use the release of workbench that wrote it, or a newer one"
    if older:
        step = "run `workbench journal migrate`, which makes a backup first"
    return Refused(
        f"journal {database.name} has schema version {found}; this code knows version {SCHEMA_VERSION}",
        next_step=step, found=found, known=SCHEMA_VERSION, path=database.name,
    )  # fmt: skip


def migrate(engine: sa.Engine, database: Database, statements: Statements, marks: list[Mark] | None) -> str:
    """Bring an older journal to this version by folding its events anew; where the backup is, or "".

    Events are never changed. The chain is proved and a backup is made first; then all projections are
    dropped, made as this version declares them and refolded in one transaction.

    Raises
    ------
    JournalCorrupt
        The chain is broken; nothing was changed.
    """
    with engine.connect() as connection:
        found = version_of(connection)
        if found is None or not found.isdigit() or int(found) >= SCHEMA_VERSION:
            return ""
        if marks is not None:
            check_marks(connection, marks)
        for _event in read_events(connection, start_of(connection)):
            pass
    backup = database.back_up(engine, int(found))
    with writing(engine) as connection, connection.begin():
        if version_of(connection) != found:  # somebody was faster
            return backup
        metadata.drop_all(connection, tables=PROJECTION_TABLES)
        metadata.create_all(connection, tables=[*PROJECTION_TABLES, base_rows])
        refold(connection, statements)
        connection.execute(
            sa.update(meta).where(meta.c.name == "schema_version").values(value=str(SCHEMA_VERSION))
        )
    return backup


def check_tail(connection: sa.Connection, marks: list[Mark], head: Mark) -> None:
    """Prove the anchored marks and the last events; at least all since the anchor."""
    check_marks(connection, marks)
    first = start_of(connection)
    start = max(first.seq, min(head.seq - TAIL_EVENTS, marks[0].seq))
    before = first if start == first.seq else Mark(start, hash_at(connection, start) or "")
    for _event in read_events(connection, START if start == 0 else before):
        pass
