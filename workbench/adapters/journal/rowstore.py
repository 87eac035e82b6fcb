"""Writes projection rows inside one transaction: statements compiled once, inserts sent in batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from workbench.adapters.journal.schema import PROJECTIONS, Projection
from workbench.core.orders import TERMINAL
from workbench.errors import JournalConflict

#: Columns by name, or the values alone in the order of the table.
Row = dict[str, Any] | tuple[Any, ...]
#: What the parameters of a row's key are called, beside those of its new values.
_KEY = "k_"


class Statement:
    """Text of one statement in the database's own dialect, with the order of its parameters."""

    def __init__(self, clause: sa.sql.ClauseElement, dialect: sa.Dialect, columns: Sequence[str]) -> None:
        compiled = clause.compile(dialect=dialect)
        if not isinstance(compiled, sa.sql.compiler.SQLCompiler) or compiled.positiontup is None:
            raise TypeError(f"{type(clause).__name__} is no statement with parameters in a fixed order")
        names = [name.removeprefix(_KEY) for name in compiled.positiontup]
        self.text = str(compiled)
        self._of_dict = _shape(names)
        self._of_tuple = None if names == list(columns) else _shape([columns.index(name) for name in names])

    def run_many(self, cursor: Any, rows: Sequence[Row]) -> int:
        """Execute once for each row, as one call of the driver; the number of rows it touched."""
        of_dict, of_tuple = self._of_dict, self._of_tuple
        if len(rows) == 1:
            row = rows[0]
            values = of_dict(row) if type(row) is dict else of_tuple(row) if of_tuple else row
            cursor.execute(self.text, values)
        else:
            cursor.executemany(
                self.text,
                [of_dict(row) if type(row) is dict else of_tuple(row) if of_tuple else row for row in rows],
            )
        return int(cursor.rowcount)


def _shape(names: Sequence[Any]) -> Callable[[Any], tuple[Any, ...]]:
    """Picks the values under these names or positions, in order, as a tuple."""
    if len(names) == 1:
        only = names[0]
        return lambda values: (values[only],)
    return itemgetter(*names)


class Statements:
    """All statements that the writer of one engine needs, each compiled at first use."""

    def __init__(self, dialect: sa.Dialect, integrity_errors: tuple[type[BaseException], ...]) -> None:
        self.integrity_errors = integrity_errors
        self._dialect = dialect
        self._inserts: dict[str, Statement] = {}
        self._selects: dict[str, Statement] = {}
        self._updates: dict[tuple[str, frozenset[str]], Statement] = {}

    def insert(self, table: sa.Table) -> Statement:
        """Insert a whole row."""
        known = self._inserts.get(table.name)
        if known is None:
            known = self._inserts[table.name] = Statement(
                sa.insert(table), self._dialect, table.columns.keys()
            )
        return known

    def select(self, projection: Projection) -> Statement:
        """The row with a key."""
        known = self._selects.get(projection.name)
        if known is None:
            query = sa.select(projection.table).where(*_key_clauses(projection))
            known = self._selects[projection.name] = Statement(query, self._dialect, projection.columns)
        return known

    def update(self, projection: Projection, columns: frozenset[str]) -> Statement:
        """Set some columns, none of them part of the key, of the row with a key."""
        known = self._updates.get((projection.name, columns))
        if known is None:
            values: dict[str, Any] = {column: sa.bindparam(column) for column in sorted(columns)}
            clause = sa.update(projection.table).where(*_key_clauses(projection)).values(values)
            known = self._updates[(projection.name, columns)] = Statement(
                clause, self._dialect, projection.columns
            )
        return known


def _key_clauses(projection: Projection) -> list[sa.ColumnElement[bool]]:
    return [projection.table.c[column] == sa.bindparam(_KEY + column) for column in projection.key]


class RowsRefused(Exception):
    """The database refused a batch of rows; the transaction is lost and the reason still to be named."""

    def __init__(self, projection: Projection, rows: list[dict[str, Any]], driver_text: str) -> None:
        super().__init__(driver_text)
        self.projection = projection
        self.rows = rows
        self.driver_text = driver_text


#: A projection's name and the key of a row in it.
Place = tuple[Any, ...]
#: Rows as the database holds them.
KnownRows = dict[Place, Row]


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
        self._inserts: dict[str, list[Row]] = {}
        self._updates: dict[Place, tuple[Row, frozenset[str]]] = {}
        self._rows: KnownRows = {} if known is None else known
        #: Positions among the inserts that wait.
        self._new: dict[Place, int] = {}
        #: Projections whose rows were sent, changed or given up.
        self.touched: set[str] = set()
        self.seq = 0

    def insert(self, name: str, row: dict[str, Any]) -> None:
        """Add a row; it takes the number of the present event."""
        row["seq"] = row["added_seq"] = self.seq
        key_of = _CHANGED_LATER.get(name)
        waiting = self._inserts.get(name)
        if waiting is None:
            waiting = self._inserts[name] = []
        if key_of is not None:
            place = (name, *key_of(row))
            if place not in self._new:  # a second row of that key is refused at the flush
                self._rows.setdefault(place, row)
                self._new[place] = len(waiting)
        waiting.append(row)

    def insert_values(self, name: str, run: Sequence[tuple[Any, ...]]) -> None:
        """As `insert`, of whole rows as the table orders them, each with the number of its event.

        Of a projection whose rows are changed later and whose key is its first column.
        """
        if not run:
            return
        waiting = self._inserts.get(name)
        if waiting is None:
            waiting = self._inserts[name] = []
        new, known = self._new, self._rows
        for values in run:
            place = (name, values[0])
            if place not in new:
                known.setdefault(place, values)
                new[place] = len(waiting)
            waiting.append(values)

    def restore(self, name: str, row: dict[str, Any]) -> None:
        """Add a row that keeps the numbers of its own events."""
        waiting = self._inserts.setdefault(name, [])
        waiting.append(row)
        if len(waiting) == _RESTORED_AT_ONCE:
            self.flush()

    def get(self, name: str, *key: Any) -> dict[str, Any] | None:
        """The row with that key as the database returns it (nested values as text), or None."""
        place = (name, *key)
        found = self._rows.get(place)
        if type(found) is dict:
            return found
        values = self._read(name, key) if found is None else found
        if values is None:
            return None
        row = self._rows[place] = dict(zip(PROJECTIONS[name].columns, values, strict=True))
        position = self._new.get(place)
        if position is not None and self._inserts[name][position] is found:
            self._inserts[name][position] = row  # so that a change of it is inserted too
        return row

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
                f"{name} holds no {in_words(PROJECTIONS[name].key, key)}",
                next_step="record the event that makes it first",
                projection=name,
            )
        if changes.get("state") in TERMINAL and self._inserts:
            self._send_inserts()
        row.update(changes)
        row["seq"] = self.seq
        place = (name, *key)
        if place not in self._new:
            columns, before = frozenset(changes), self._updates.get(place)
            self._updates[place] = (row, columns if before is None else columns | before[1])

    def values(self, name: str, key: Any) -> tuple[Any, ...] | None:
        """The row with a key of one column as the table orders it; None when it is not at hand as such."""
        found = self._rows.get((name, key))
        return found if type(found) is tuple else None

    def update_values(self, name: str, key: Any, values: tuple[Any, ...], columns: frozenset[str]) -> None:
        """As `update`, of a row that `values` gave, its event's number included; no order may end by it."""
        place = (name, key)
        found, self._rows[place] = self._rows[place], values
        position = self._new.get(place)
        if position is None:
            self._updates[place] = (values, columns)  # by name it would be a dict
        elif self._inserts[name][position] is found:
            self._inserts[name][position] = values

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
        self.touched.update(PROJECTIONS)

    def known(self) -> KnownRows:
        """The rows kept in memory, which are the database's once the transaction is durable."""
        return self._rows

    def _read(self, name: str, key: tuple[Any, ...]) -> tuple[Any, ...] | None:
        statement = self._statements.select(PROJECTIONS[name])
        self._cursor.execute(statement.text, key)
        found: tuple[Any, ...] | None = self._cursor.fetchone()
        return found

    def _send_inserts(self) -> None:
        if self._updates:
            self._send_updates()
        waiting, self._inserts = self._inserts, {}
        self.touched.update(waiting)
        self._new.clear()
        for name in sorted(waiting, key=_RANK.__getitem__) if len(waiting) > 1 else waiting:
            projection = PROJECTIONS[name]
            try:
                self._statements.insert(projection.table).run_many(self._cursor, waiting[name])
            except self._statements.integrity_errors as error:
                columns = projection.columns
                rows = [
                    row if isinstance(row, dict) else dict(zip(columns, row, strict=True))
                    for row in waiting[name]
                ]
                raise RowsRefused(projection, rows, str(error)) from error

    def _send_updates(self) -> None:
        waiting, self._updates = self._updates, {}
        batches: dict[tuple[str, frozenset[str]], list[Row]] = {}
        for place, (row, columns) in waiting.items():
            batches.setdefault((place[0], columns), []).append(row)
        for (name, columns), rows in batches.items():
            self.touched.add(name)
            statement = self._statements.update(PROJECTIONS[name], columns | _NUMBER)
            touched = statement.run_many(self._cursor, rows)
            if touched != len(rows):
                raise JournalConflict(
                    f"{touched} of {len(rows)} rows of {name} could be changed",
                    next_step="run `workbench journal verify`; nothing was written",
                    projection=name,
                )


_NUMBER = frozenset({"seq"})
_RESTORED_AT_ONCE = 1_000
#: How to find the key of a row, for projections whose rows are read or changed by key; the others are
#: only ever added to.
_CHANGED_LATER = {
    name: _shape(PROJECTIONS[name].key)
    for name in (
        "orders", "configs", "people", "state", "leases", "tickets", "runs", "models", "cost_models",
        "halts", "desks", "person_keys", "agreements", "approvals", "outbox", "disabled_symbols",
        "schedules", "pauses", "releases", "detectors", "exposures", "holdout_reads",
    )
}  # fmt: skip
_RANK = {name: position for position, name in enumerate(PROJECTIONS)}


def in_words(columns: Sequence[str], values: Sequence[Any]) -> str:
    """A key or rule as a message says it."""
    return ", ".join(f"{column} {value}" for column, value in zip(columns, values, strict=True))
