"""How a journal is closed for good, and how another one begins where it ended.

A closed journal refuses every further event in the database itself, so a process that still holds the file
open from before cannot write to it either. It is read, exported and verified as any other.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from workbench.adapters.journal import leases
from workbench.adapters.journal.archive import archived_events
from workbench.adapters.journal.chain import START
from workbench.adapters.journal.encoding import Encoded, encode
from workbench.adapters.journal.excerpts import Excerpts
from workbench.adapters.journal.transactions import Unit
from workbench.core.ports import Event, Lease, RecordedEvent
from workbench.errors import JournalConflict, Refused

#: Kinds without a projection that are true until something else is said: to which account and epoch a desk
#: belongs, and which sessions are left out.
STANDING: Final = ("epoch.begun", "account.adopted", "session.skipped")


class Epochs(Excerpts):
    """The first and the last transaction of a journal that belongs to one desk epoch."""

    def _append(
        self, unit: Unit, checked: Sequence[Encoded], *, at_ns: int | None = None, config_hash: str = ""
    ) -> tuple[RecordedEvent, ...]:
        raise NotImplementedError

    def events(self, *, kinds: Iterable[str] = (), after_seq: int = 0) -> tuple[RecordedEvent, ...]:
        """As `JournalDatabase.events`."""
        raise NotImplementedError

    def standing(self, last_seq: int) -> list[Encoded]:
        """Facts that no row keeps and that still hold, up to an event: what an archive says again."""
        told = [event for event in self.events(kinds=STANDING) if event.seq <= last_seq]
        newest = {(event.kind, event.payload["account"]): event for event in told}
        return [encode(event.kind, event.payload) for event in newest.values()]

    def whole_chain(self, archives: Sequence[Path]) -> list[RecordedEvent]:
        """Every event from the first on, archived ones too; raises JournalCorrupt when one is missing."""
        with self._transactions.reading() as connection:
            moved = archived_events(connection, archives)
        return [*moved, *self.events()]

    @property
    def closed(self) -> bool:
        """Whether the journal takes no further event."""
        question = self._transactions.database.is_closed
        if not question:
            return False
        with self._transactions.reading() as connection:
            return bool(connection.exec_driver_sql(question).scalar_one())

    def close_for_good(self, events: Sequence[Event], *, lease: Lease) -> None:
        """Append the last events, the lease given back before the very last; the database refuses any other.

        Raises
        ------
        Refused
            A journal of this kind cannot be closed.
        LeaseLost, JournalConflict, StorageFailed
            Nothing was written.
        """
        statement = self._transactions.database.close_for_good
        if not statement:
            raise Refused(
                f"journal {self._transactions.database.name} is kept by a server and cannot be closed here",
                next_step="keep this desk as the record of its account; begin another desk.path with a "
                "database of its own",
            )
        checked = [encode(event.kind, event.payload) for event in events]
        checked.insert(-1, encode("lease.released", asdict(lease)))

        def work(unit: Unit) -> None:
            leases.fence(unit.rows, lease, checked)
            self._append(unit, checked)
            unit.rows.flush()
            unit.cursor.execute(statement)

        self._transactions.write(work)

    def begin_from(self, first: Event, carried: Sequence[RecordedEvent]) -> None:
        """Write the first event of this journal and those that another one hands down, in one transaction.

        Parameters
        ----------
        carried : sequence of RecordedEvent
            In their order; time and settings under which they were recorded stay what they were, numbers
            and hashes are those of this chain.

        Raises
        ------
        JournalConflict
            This journal has begun already, or an event does not follow from those before it.
        """
        opening = [encode(first.kind, first.payload)]
        groups = [
            (stamp, [encode(event.kind, event.payload) for event in group])
            for stamp, group in itertools.groupby(carried, key=lambda e: (e.at_ns, e.config_hash))
        ]

        def work(unit: Unit) -> None:
            if unit.head != START:
                raise JournalConflict(
                    f"journal {self._transactions.database.name} has begun already",
                    next_step="an epoch begins in a journal without events; nothing was written",
                )
            self._append(unit, opening)
            for (at_ns, config_hash), checked in groups:
                self._append(unit, checked, at_ns=at_ns, config_hash=config_hash)

        self._transactions.write(work)
