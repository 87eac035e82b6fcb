"""Says what exactly rows contradict that the database refused: which rule, which row, which field."""

from __future__ import annotations

import reprlib
from typing import Any

import sqlalchemy as sa

from workbench.adapters.journal.rowstore import RowsRefused, in_words
from workbench.adapters.journal.schema import OPEN_ORDER, Projection
from workbench.core.canonical import canonical_json
from workbench.core.orders import TERMINAL
from workbench.errors import JournalConflict


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
    words = in_words(columns, values)
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
