"""Writes projection rows inside one transaction: statements compiled once, inserts sent in batches."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from workbench.adapters.journal.schema import OPEN_ORDER, PROJECTIONS, Projection
from workbench.core.canonical import canonical_json
from workbench.core.orders import TERMINAL
from workbench.errors import JournalConflict


class Statement:
    """Text of one statement in the database's own dialect, with the order of its parameters."""

    def __init__(self, clause: sa.sql.ClauseElement, dialect: sa.Dialect) -> None:
        compiled = clause.compile(dialect=dialect)
        if not isinstance(compiled, sa.sql.compiler.SQLCompiler):
            raise TypeError(f"{type(clause).__name__} is not a statement that reads or writes rows")
        self.text = str(compiled)
        self._order = tuple(compiled.positiontup or ()) if compiled.positional else None

    def run(self, connection: sa.Connection, values: Mapping[str, Any]) -> sa.CursorResult[Any]:
        """Execute once."""
        return connection.exec_driver_sql(self.text, self._shape(values))

    def run_many(self, connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Execute once for each row, as one call of the driver."""
        if len(rows) == 1:
            connection.exec_driver_sql(self.text, self._shape(rows[0]))
        else:
            connection.exec_driver_sql(self.text, [self._shape(row) for row in rows])

    def _shape(self, values: Mapping[str, Any]) -> Any:
        return dict(values) if self._order is None else tuple([values[name] for name in self._order])


class Statements:
    """All statements that the writer of one engine needs, each compiled at first use."""

    def __init__(self, dialect: sa.Dialect) -> None:
        self._dialect = dialect
        self._known: dict[tuple[str, ...], Statement] = {}

    def insert(self, table: sa.Table) -> Statement:
        """Insert a whole row."""
        known = self._known.get(("insert", table.name))
        return known or self._keep(("insert", table.name), sa.insert(table))

    def select(self, projection: Projection) -> Statement:
        """The row with a key, parameters named k_COLUMN."""
        known = self._known.get(("select", projection.name))
        return known or self._keep(
            ("select", projection.name), sa.select(projection.table).where(*_key_clauses(projection))
        )

    def update(self, projection: Projection, columns: tuple[str, ...]) -> Statement:
        """Set some columns of the row with a key."""
        key = ("update", projection.name, *columns)
        known = self._known.get(key)
        return known or self._keep(
            key,
            sa.update(projection.table)
            .where(*_key_clauses(projection))
            .values({column: sa.bindparam(column) for column in columns}),
        )

    def _keep(self, key: tuple[str, ...], clause: sa.sql.ClauseElement) -> Statement:
        statement = self._known[key] = Statement(clause, self._dialect)
        return statement


def _key_clauses(projection: Projection) -> list[sa.ColumnElement[bool]]:
    return [projection.table.c[column] == sa.bindparam(f"k_{column}") for column in projection.key]


class RowsRefused(Exception):
    """The database refused a batch of rows; the transaction is lost and the reason still to be named."""

    def __init__(self, projection: Projection, rows: list[dict[str, Any]], driver_text: str) -> None:
        super().__init__(driver_text)
        self.projection = projection
        self.rows = rows
        self.driver_text = driver_text


class RowWriter:
    """Rows of one transaction. Inserts wait until something is read or changed, then go as batches."""

    def __init__(self, connection: sa.Connection, statements: Statements) -> None:
        self._connection = connection
        self._statements = statements
        self._waiting: dict[str, list[dict[str, Any]]] = {}
        self.seq = 0

    def insert(self, name: str, row: dict[str, Any]) -> None:
        """Add a row; it takes the number of the present event."""
        row["seq"] = row["added_seq"] = self.seq
        self._waiting.setdefault(name, []).append(row)

    def get(self, name: str, *key: Any) -> dict[str, Any] | None:
        """The row with that key as the database returns it (nested values as text), or None."""
        self.flush()
        projection = PROJECTIONS[name]
        values = {f"k_{column}": part for column, part in zip(projection.key, key, strict=True)}
        found = self._statements.select(projection).run(self._connection, values).one_or_none()
        return None if found is None else dict(found._mapping)

    def update(self, name: str, *key: Any, **changes: Any) -> None:
        """Change a row that exists.

        Raises
        ------
        JournalConflict
            There is no row with that key.
        """
        self.flush()
        projection = PROJECTIONS[name]
        changes["seq"] = self.seq
        statement = self._statements.update(projection, tuple(changes))
        changes.update({f"k_{column}": part for column, part in zip(projection.key, key, strict=True)})
        if statement.run(self._connection, changes).rowcount != 1:
            raise JournalConflict(
                f"{name} holds no {_words(projection.key, key)}",
                next_step="record the event that makes it first",
                projection=name,
            )

    def put(self, name: str, *key: Any, **columns: Any) -> None:
        """Change the row with that key, or add it."""
        if self.get(name, *key) is None:
            self.insert(name, dict(zip(PROJECTIONS[name].key, key, strict=True)) | columns)
        else:
            self.update(name, *key, **columns)

    def flush(self) -> None:
        """Send all waiting inserts; referenced tables first.

        Raises
        ------
        RowsRefused
            A uniqueness or reference rule of the database is broken.
        """
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, {}
        for name in sorted(waiting, key=_RANK.__getitem__) if len(waiting) > 1 else waiting:
            projection = PROJECTIONS[name]
            try:
                self._statements.insert(projection.table).run_many(self._connection, waiting[name])
            except sa.exc.IntegrityError as error:
                raise RowsRefused(projection, waiting[name], str(error.orig)) from error


_RANK = {name: position for position, name in enumerate(PROJECTIONS)}


def name_conflict(connection: sa.Connection, refused: RowsRefused) -> JournalConflict:
    """What exactly the refused rows contradict, looked up after the rollback.

    A row that is equal in content is a conflict too: the caller has to read before it writes.
    """
    projection = refused.projection
    seen: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in refused.rows:
        for columns, while_open in ((projection.key, False), *projection.unique):
            if while_open and row["state"] in TERMINAL:
                continue
            values = tuple(row[column] for column in columns)
            place = (columns, *values)
            other = seen.get(place) or _recorded(connection, projection, columns, values, while_open)
            if other is not None:
                return _conflict(projection, columns, values, row, other, while_open)
            seen[place] = row
    return JournalConflict(
        f"a row of {projection.name} breaks a rule of the journal: {refused.driver_text}",
        next_step="read the projection before writing; nothing was written",
        projection=projection.name,
    )


def _recorded(
    connection: sa.Connection,
    projection: Projection,
    columns: tuple[str, ...],
    values: tuple[Any, ...],
    while_open: bool,
) -> dict[str, Any] | None:
    query = sa.select(projection.table).where(
        *(projection.table.c[column] == value for column, value in zip(columns, values, strict=True))
    )
    if while_open:
        query = query.where(sa.text(OPEN_ORDER))
    found = connection.execute(query).mappings().first()
    return None if found is None else dict(found)


_BOOKKEEPING = frozenset({"seq", "added_seq"})
#: What life adds to an order is not part of what was asked for.
_LATER = frozenset({"state", "venue_order_id", "filled_nano", "sent_at_ns", "reason"})


def _conflict(
    projection: Projection,
    columns: tuple[str, ...],
    values: tuple[Any, ...],
    offered: dict[str, Any],
    recorded: dict[str, Any],
    while_open: bool,
) -> JournalConflict:
    words = _words(columns, values)
    if while_open:
        holder = recorded[projection.key[0]]
        return JournalConflict(
            f"{projection.name} already holds {holder} open in state {recorded['state']} for {words}; "
            "one order that is not terminal per account and symbol",
            next_step=f"resolve {holder} first: run `workbench reconcile`",
            projection=projection.name, field="state", recorded=holder,
        )  # fmt: skip
    for column in offered:
        if column in _BOOKKEEPING or (projection.name == "orders" and column in _LATER):
            continue
        have, want = _plain(recorded[column]), _plain(offered[column])
        if have != want:
            return JournalConflict(
                f"{projection.name} already holds {words} with {column} {reprlib.repr(have)}; "
                f"{reprlib.repr(want)} was offered",
                next_step="the same id must mean the same thing: find out which caller is wrong",
                projection=projection.name, field=column, recorded=have, offered=want,
            )  # fmt: skip
    return JournalConflict(
        f"{projection.name} already holds {words} with equal content",
        next_step="read the projection before writing; the recorded row stands",
        projection=projection.name, field="",
    )  # fmt: skip


def _plain(value: Any) -> Any:
    return canonical_json(value) if isinstance(value, (list, dict)) else value


def _words(columns: Sequence[str], values: Sequence[Any]) -> str:
    return ", ".join(f"{column} {value}" for column, value in zip(columns, values, strict=True))
