"""Reading rows and events by the writing connection, and answering again what nothing has changed.

A trading process asks the same small questions before every request. Its own commits tell which projections
they touched, and the database tells whether another connection has committed anything: between the two, an
answer is as good as new. A handle that only reads, and a database that keeps no such number, ask every time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson
import sqlalchemy as sa

from workbench.adapters.journal.schema import PROJECTIONS, CanonicalJson, Projection, events
from workbench.core.ports import RecordedEvent
from workbench.errors import UsageError

#: Only short answers are kept, and not many of them: memory stays as it is however long a process trades.
_MOST_ROWS, _MOST_ANSWERS = 64, 1_024
#: Names of the columns that are compared, and their values.
Question = tuple[Any, ...]
Row = tuple[Any, ...]


class Query:
    """One statement over a projection: its text in a dialect, and what makes a row of it."""

    def __init__(self, projection: Projection, names: tuple[str, ...], dialect: sa.Dialect) -> None:
        columns = projection.table.c
        # columns as they are stored: what is nested becomes lists and dicts in `row`
        stored = [sa.type_coerce(c, _stored(c)).label(c.name) for c in projection.table.columns]
        equal = (columns[name] == sa.bindparam(f"q_{name}", type_=columns[name].type) for name in names)
        order = (columns.added_seq, *(columns[name] for name in projection.key))
        self._clause = sa.select(*stored).where(*equal).order_by(*order)
        compiled = self._clause.compile(dialect=dialect)
        self.text = str(compiled)
        self._of, self._names = names, projection.columns
        places = [word.removeprefix("q_") for word in getattr(compiled, "positiontup", None) or ()]
        self._places = None if places == list(names) else [names.index(word) for word in places]
        nested = [
            column.name for column in projection.table.columns if isinstance(column.type, CanonicalJson)
        ]
        self._nested, self._booleans = tuple(nested), projection.booleans

    def parameters(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """The values in the order in which the statement takes them."""
        return tuple(values) if self._places is None else tuple(values[at] for at in self._places)

    def run(self, connection: sa.Connection, values: Sequence[Any]) -> sa.CursorResult[Any]:
        """The result on a connection of the engine."""
        bound = {f"q_{name}": value for name, value in zip(self._of, values, strict=True)}
        return connection.execute(self._clause, bound)

    def row(self, values: Row) -> dict[str, Any]:
        """The row by name; nested values are made anew for each caller."""
        row = dict(zip(self._names, values, strict=True))
        for name in self._nested:
            if row[name] is not None:
                row[name] = orjson.loads(row[name])
        for name in self._booleans:
            if row[name] is not None:
                row[name] = bool(row[name])
        return row


class Queries:
    """Statements of one engine, each compiled at first use."""

    def __init__(self, dialect: sa.Dialect) -> None:
        self._dialect = dialect
        self._known: dict[tuple[str, ...], Query] = {}
        self._events: dict[int, str] = {}

    def of(self, projection: str, names: tuple[str, ...]) -> Query:
        """The query for rows of a projection whose named columns have given values.

        Raises
        ------
        UsageError
            No such projection or column.
        """
        query = self._known.get((projection, *names))
        if query is None:
            known = PROJECTIONS.get(projection)
            if known is None:
                raise UsageError(
                    f"there is no projection {projection!r}", next_step=f"use one of {', '.join(PROJECTIONS)}"
                )
            for name in names:
                if name not in known.table.c:
                    raise UsageError(
                        f"projection {projection} has no column {name!r}",
                        next_step=f"use one of {', '.join(known.table.c.keys())}",
                    )
            query = self._known[projection, *names] = Query(known, names, self._dialect)
        return query

    def events(self, kinds: Sequence[str], after_seq: int) -> sa.Select[Any]:
        """The statement for the events after one, of some kinds; of all when there are none."""
        query = sa.select(*_EVENT_COLUMNS).where(events.c.seq > after_seq).order_by(events.c.seq)
        return query.where(events.c.kind.in_(kinds)) if kinds else query

    def events_text(self, kinds: int) -> str:
        """Its text for a driver that takes question marks: of the event, then of so many kinds."""
        if kinds not in self._events:
            among: list[Any] = [sa.bindparam(f"kind_{n}") for n in range(kinds)]
            query = sa.select(*_EVENT_COLUMNS).where(events.c.seq > sa.bindparam("after"))
            query = query.where(events.c.kind.in_(among)) if kinds else query
            self._events[kinds] = str(query.order_by(events.c.seq).compile(dialect=self._dialect))
        return self._events[kinds]


_COLUMNS = ("seq", "at_ns", "kind", "payload", "config_hash", "hash")
_EVENT_COLUMNS = tuple(events.c[name] for name in _COLUMNS)


def _stored(column: sa.Column[Any]) -> sa.types.TypeEngine[Any]:
    return sa.Text() if isinstance(column.type, CanonicalJson) else column.type


def recorded(row: Sequence[Any]) -> RecordedEvent:
    """The event that a row of the chain describes."""
    seq, at_ns, kind, payload, config_hash, digest = row
    return recorded_event(seq, at_ns, kind, orjson.loads(payload), config_hash, digest)


def recorded_event(
    seq: int, at_ns: int, kind: str, payload: dict[str, Any], config_hash: str, digest: str
) -> RecordedEvent:
    """The event of these fields; a frozen dataclass itself sets each by a call, at three times the price."""
    event = _new(RecordedEvent)
    event.__dict__.update({
        "seq": seq, "at_ns": at_ns, "kind": kind, "payload": payload, "config_hash": config_hash,
        "hash": digest,
    })  # fmt: skip
    return event


_new = object.__new__


class Answers:
    """Short answers, each good until its projection is touched or another connection has committed."""

    def __init__(self) -> None:
        self._kept: dict[str, dict[Question, list[Row]]] = {}
        self._others = -1
        self._count = 0

    def known(self, projection: str, question: Question, others: int) -> list[Row] | None:
        """The rows that answered the question before; None = it has to be asked.

        Parameters
        ----------
        projection : str
        question : tuple
            The columns that are compared, and their values.
        others : int
            The database's count of the commits of other connections.
        """
        if others != self._others:
            self.forget()
            self._others = others
        kept = self._kept.get(projection)
        return None if kept is None else kept.get(question)

    def keep(self, projection: str, question: Question, rows: list[Row]) -> None:
        """Remember an answer that was read after the last call of `known`."""
        if len(rows) > _MOST_ROWS:
            return
        if self._count >= _MOST_ANSWERS:
            self.forget()
        self._kept.setdefault(projection, {})[question] = rows
        self._count += 1

    def touched(self, projections: Iterable[str]) -> None:
        """Throw away what was known of these projections."""
        for name in projections:
            self._count -= len(self._kept.pop(name, ()))

    def forget(self) -> None:
        """Throw away everything."""
        self._kept.clear()
        self._count = 0
