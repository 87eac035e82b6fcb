"""Writes projection rows inside one transaction: statements compiled once, inserts sent in batches."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
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
        if not isinstance(compiled, sa.sql.compiler.SQLCompiler) or compiled.positiontup is None:
            raise TypeError(f"{type(clause).__name__} is no statement with parameters in a fixed order")
        self.text = str(compiled)
        self._shape = _shape(compiled.positiontup)

    def run(self, cursor: Any, values: Mapping[str, Any]) -> Any:
        """Execute once on a cursor of the driver; the cursor."""
        cursor.execute(self.text, self._shape(values))
        return cursor

    def run_many(self, cursor: Any, rows: Sequence[Mapping[str, Any]]) -> int:
        """Execute once for each row, as one call of the driver; the number of rows it touched."""
        return self.run_tuples(cursor, list(map(self._shape, rows)))

    def run_tuples(self, cursor: Any, rows: Sequence[tuple[Any, ...]]) -> int:
        """As `run_many`, for rows whose values are in the order of the statement already."""
        if len(rows) == 1:
            cursor.execute(self.text, rows[0])
        else:
            cursor.executemany(self.text, rows)
        return int(cursor.rowcount)


def _shape(names: Sequence[str]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    """Picks the values of these names, in order, as a tuple."""
    if len(names) == 1:
        only = names[0]
        return lambda values: (values[only],)
    return itemgetter(*names)


class Statements:
    """All statements that the writer of one engine needs, each compiled at first use."""

    def __init__(self, dialect: sa.Dialect, integrity_errors: tuple[type[BaseException], ...]) -> None:
        self.integrity_errors = integrity_errors
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


#: Rows by projection and key, as the database holds them.
KnownRows = dict[str, dict[tuple[Any, ...], dict[str, Any]]]


class RowWriter:
    """Rows of one transaction: read once, changed in memory, sent in batches.

    The write lock is held, so a row that was read stays as it is until this transaction changes it.
    Inserts and updates wait until `flush`. Their order matters to one kind of rule alone, the one that
    binds orders while they are open: an update that ends an order goes after the inserts before it and
    before those after it.

    Parameters
    ----------
    cursor : cursor of the driver
    statements : Statements
    known : dict, optional
        Rows that need not be read. It is filled and changed before anything is durable: whoever keeps it
        for the next transaction must throw it away when this one fails.
    """

    def __init__(self, cursor: Any, statements: Statements, known: KnownRows | None = None) -> None:
        self._cursor = cursor
        self._statements = statements
        self._inserts: dict[str, list[dict[str, Any]]] = {}
        self._updates: dict[str, dict[tuple[Any, ...], tuple[dict[str, Any], set[str]]]] = {}
        self._rows: KnownRows = {} if known is None else known
        self._new: dict[str, set[tuple[Any, ...]]] = {}
        self.seq = 0

    def insert(self, name: str, row: dict[str, Any]) -> None:
        """Add a row; it takes the number of the present event."""
        row["seq"] = row["added_seq"] = self.seq
        waiting = self._inserts.get(name)
        if waiting is None:
            waiting = self._inserts[name] = []
        waiting.append(row)
        key_of = _CHANGED_LATER.get(name)
        if key_of is not None:
            key = key_of(row)
            new = self._new.setdefault(name, set())
            if key not in new:  # a second row of that key is refused at the flush
                self._rows.setdefault(name, {}).setdefault(key, row)
                new.add(key)

    def restore(self, name: str, row: dict[str, Any]) -> None:
        """Add a row that keeps the numbers of its own events."""
        waiting = self._inserts.setdefault(name, [])
        waiting.append(row)
        if len(waiting) == _RESTORED_AT_ONCE:
            self.flush()

    def get(self, name: str, *key: Any) -> dict[str, Any] | None:
        """The row with that key as the database returns it (nested values as text), or None."""
        rows = self._rows.setdefault(name, {})
        found = rows.get(key)
        if found is None:
            found = self._read(name, key)
            if found is not None:
                rows[key] = found
        return found

    def update(self, name: str, *key: Any, **changes: Any) -> None:
        """Change a row that exists.

        Raises
        ------
        JournalConflict
            There is no row with that key.
        """
        row = self.get(name, *key)
        if row is None:
            raise JournalConflict(
                f"{name} holds no {_words(PROJECTIONS[name].key, key)}",
                next_step="record the event that makes it first",
                projection=name,
            )
        if changes.get("state") in TERMINAL and self._inserts:
            self._send_inserts()
        row.update(changes)
        row["seq"] = self.seq
        if key not in self._new.get(name, ()):
            self._updates.setdefault(name, {}).setdefault(key, (row, {"seq"}))[1].update(changes)

    def put(self, name: str, *key: Any, **columns: Any) -> None:
        """Change the row with that key, or add it."""
        if self.get(name, *key) is None:
            self.insert(name, dict(zip(PROJECTIONS[name].key, key, strict=True)) | columns)
        else:
            self.update(name, *key, **columns)

    def flush(self) -> None:
        """Send all that waits; updates first, and inserts of referenced tables before the others.

        Raises
        ------
        RowsRefused
            A uniqueness or reference rule of the database is broken.
        """
        if self._updates:
            self._send_updates()
        if self._inserts:
            self._send_inserts()

    def forget(self) -> None:
        """Give up the rows that were kept in memory; call it after `flush`."""
        self._rows.clear()

    def known(self) -> KnownRows:
        """The rows kept in memory, which are the database's once the transaction is durable."""
        return self._rows

    def _read(self, name: str, key: tuple[Any, ...]) -> dict[str, Any] | None:
        projection = PROJECTIONS[name]
        values = {f"k_{column}": part for column, part in zip(projection.key, key, strict=True)}
        found = self._statements.select(projection).run(self._cursor, values).fetchone()
        return None if found is None else dict(zip(projection.columns, found, strict=True))

    def _send_inserts(self) -> None:
        if self._updates:
            self._send_updates()
        waiting, self._inserts = self._inserts, {}
        self._new.clear()
        for name in sorted(waiting, key=_RANK.__getitem__) if len(waiting) > 1 else waiting:
            projection = PROJECTIONS[name]
            try:
                self._statements.insert(projection.table).run_many(self._cursor, waiting[name])
            except self._statements.integrity_errors as error:
                raise RowsRefused(projection, waiting[name], str(error)) from error

    def _send_updates(self) -> None:
        waiting, self._updates = self._updates, {}
        for name, changed in waiting.items():
            projection = PROJECTIONS[name]
            batches: dict[tuple[str, ...], list[dict[str, Any]]] = {}
            for key, (row, columns) in changed.items():
                names = {f"k_{column}": part for column, part in zip(projection.key, key, strict=True)}
                batches.setdefault(tuple(sorted(columns)), []).append(row | names)
            for batch, rows in batches.items():
                touched = self._statements.update(projection, batch).run_many(self._cursor, rows)
                if touched != len(rows):
                    raise JournalConflict(
                        f"{touched} of {len(rows)} rows of {name} could be changed",
                        next_step="run `workbench journal verify`; nothing was written",
                        projection=name,
                    )


_RESTORED_AT_ONCE = 1_000
#: How to find the key of a row, for projections whose rows are read or changed by key; the others are
#: only ever added to.
_CHANGED_LATER = {
    name: _shape(PROJECTIONS[name].key)
    for name in (
        "orders", "configs", "people", "state", "leases", "tickets", "runs", "models", "cost_models",
        "outbox",
        "halts", "desks",
        "person_keys", "agreements", "approvals",
    )
}  # fmt: skip
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
