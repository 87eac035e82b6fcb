"""Short answers about long tables: sums, counts, the newest rows and single events, made in the database."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from workbench.adapters.journal.schema import OPEN_ORDER, PROJECTIONS
from workbench.adapters.journal.schema import events as events_table
from workbench.adapters.journal.transactions import Transactions
from workbench.core.ports import RecordedEvent


class Excerpts:
    """What a page asks of a journal that may have grown for years; each answer is one query."""

    _transactions: Transactions

    def newest(self, projection: str, most: int, **equals: Any) -> list[dict[str, Any]]:
        """The last `most` rows whose columns equal the given values, oldest first.

        Rows of an account's sessions are taken session by session from the last one on, which the index
        finds at once; of other projections by the event that made them.
        """
        known = PROJECTIONS[projection]
        table, where = _filtered(projection, equals)
        last_first = [table.c.added_seq.desc(), *(table.c[name].desc() for name in known.key)]
        query = sa.select(table).where(*where).order_by(*last_first)
        with self._transactions.reading() as connection:
            if not _by_session(table, equals):
                return [dict(row) for row in connection.execute(query.limit(most)).mappings()][::-1]
            found: list[dict[str, Any]] = []
            session = connection.execute(sa.select(sa.func.max(table.c.session)).where(*where)).scalar()
            while session is not None and len(found) < most:
                rest = query.where(table.c.session == session).limit(most - len(found))
                found += [dict(row) for row in connection.execute(rest).mappings()]
                before = sa.select(sa.func.max(table.c.session)).where(*where, table.c.session < session)
                session = connection.execute(before).scalar()
            return found[::-1]

    def count(self, projection: str, **equals: Any) -> int:
        """How many rows have these values."""
        table, where = _filtered(projection, equals)
        query = sa.select(sa.func.count()).select_from(table).where(*where)
        with self._transactions.reading() as connection:
            return int(connection.execute(query).scalar_one())

    def balances(self, account: str, *, until_seq: int | None = None) -> dict[str, tuple[int, int]]:
        """Sum of all postings of an account: ledger account -> (micros, 1e-9 shares), exact integers.

        With `until_seq`, of those that the journal held after that event.
        """
        table = PROJECTIONS["postings"].table
        query = (
            sa.select(
                table.c.ledger_account, sa.func.sum(table.c.amount_micro), sa.func.sum(table.c.quantity_nano)
            )
            .where(table.c.account == account)
            .group_by(table.c.ledger_account)
        )
        if until_seq is not None:
            query = query.where(table.c.seq <= until_seq)
        with self._transactions.reading() as connection:
            return {name: (int(micro), int(nano)) for name, micro, nano in connection.execute(query)}

    def open_orders(self, account: str) -> list[dict[str, Any]]:
        """Orders of an account that have not ended, oldest first, by the index that holds only these."""
        table = PROJECTIONS["orders"].table
        query = sa.select(table).where(table.c.account == account, sa.text(OPEN_ORDER))
        with self._transactions.reading() as connection:
            rows = [dict(row) for row in connection.execute(query).mappings()]
        return sorted(rows, key=lambda row: (row["added_seq"], row["client_order_id"]))

    def events_at(self, seqs: Iterable[int]) -> tuple[RecordedEvent, ...]:
        """The events with these numbers, in order; numbers that the journal does not hold are left out."""
        table = events_table
        query = sa.select(
            table.c.seq, table.c.at_ns, table.c.kind, table.c.payload, table.c.config_hash, table.c.hash
        )
        query = query.where(table.c.seq.in_(sorted(set(seqs)))).order_by(table.c.seq)
        with self._transactions.reading() as connection:
            return tuple(
                RecordedEvent(seq, at_ns, kind, json.loads(payload), config_hash, digest)
                for seq, at_ns, kind, payload, config_hash, digest in connection.execute(query)
            )


def _filtered(projection: str, equals: dict[str, Any]) -> tuple[sa.Table, list[sa.ColumnElement[bool]]]:
    table = PROJECTIONS[projection].table
    return table, [table.c[name] == value for name, value in equals.items()]


def _by_session(table: sa.Table, equals: dict[str, Any]) -> bool:
    """Whether the rows asked for are those of one account, in a table that is indexed by its sessions."""
    indexes = ([column.name for column in index.columns] for index in table.indexes)
    return ["account", "session"] in indexes and set(equals) == {"account"}
