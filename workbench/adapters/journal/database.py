"""The journal on a database; SQLite by default."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

from workbench.adapters.journal import leases
from workbench.adapters.journal.archive import Archived, cut, prove_archives, write_archive
from workbench.adapters.journal.chain import Anchor, Mark, event_hash
from workbench.adapters.journal.encoding import Encoded, encode, encode_all
from workbench.adapters.journal.engine import database_of
from workbench.adapters.journal.epochs import Epochs
from workbench.adapters.journal.parquet import export
from workbench.adapters.journal.projections import fold_many
from workbench.adapters.journal.reads import recorded, recorded_event
from workbench.adapters.journal.rowstore import Statement
from workbench.adapters.journal.schema import PROJECTION_TABLES, SCHEMA_VERSION, metadata
from workbench.adapters.journal.schema import events as events_table
from workbench.adapters.journal.transactions import Transactions, Unit
from workbench.adapters.journal.verify import (
    VerifyReport,
    check_marks,
    compare_with_rebuild,
    head_of,
    read_events,
    refold,
    start_of,
)
from workbench.core.canonical import canonical_json
from workbench.core.ports import Event, Lease, RecordedEvent
from workbench.errors import ConfigError, JournalCorrupt


class JournalDatabase(Epochs):
    """Append-only, hash-chained events with projections, durable when `commit` returns.

    Parameters
    ----------
    url : str
        "sqlite:///PATH", a file that is created when it does not exist, or
        "postgresql+psycopg://USER@HOST:PORT/DATABASE", a database that exists; its tables are created in
        the first schema of the search path. Never with a password in it.
    anchor_path : Path
        File outside the database that proves how far the chain has come.
    anchor_key : bytes or None
        Secret of the anchor's signature. None or empty is enough for reading.
    config_hash : str
        Hash of the effective configuration; recorded in every event.
    wall_ns : callable
        Wall-clock time, UTC nanoseconds: stamps events and judges leases.
    password : str, optional
        Of the PostgreSQL user.
    read_only : bool, default False
        Open the file without the right to write; every write is Refused.

    Raises
    ------
    JournalCorrupt
        The tail was altered, cut or re-hashed, or the anchor is missing.
    Refused
        The journal was written by a newer version of its schema, or by an older one and is opened
        read-only; opened to write an older one is backed up and migrated.
    StorageFailed
        The file cannot be opened or written.
    """

    def __init__(
        self,
        url: str,
        *,
        anchor_path: Path,
        anchor_key: bytes | None,
        config_hash: str,
        wall_ns: Callable[[], int],
        password: str | None = None,
        read_only: bool = False,
    ) -> None:
        if "\n" in config_hash:
            raise ConfigError("config_hash holds a line feed", next_step="give the hex hash")
        if not read_only and not anchor_key:
            raise ConfigError(
                "the journal's anchor key is missing",
                next_step="set the anchor key secret; only reading works without it",
            )
        database = database_of(url, password)
        self.name = database.name
        self.read_only = read_only
        self._config_hash = config_hash
        self._wall_ns = wall_ns
        self._authenticated = bool(anchor_key)
        self._anchor = Anchor(Path(anchor_path), anchor_key or b"")
        self._transactions = Transactions(database, self._anchor, read_only=read_only)

    @property
    def schema_version(self) -> int:
        """Version of the tables that this code reads and writes."""
        return SCHEMA_VERSION

    @property
    def backup(self) -> str:
        """Where the copy is that was made because this opening migrated an older journal; "" = it did not."""
        return self._transactions.backup

    # --- writing ------------------------------------------------------------------------------------

    def commit(self, events: Sequence[Event], *, lease: Lease | None = None) -> tuple[RecordedEvent, ...]:
        """Append all events and update all projections in one durable transaction.

        See `workbench.core.ports.Journal.commit`. Payloads are checked before the database is touched.

        Raises
        ------
        LeaseLost, JournalConflict, IllegalTransition, StorageFailed
            Nothing was written.
        UsageError, TypeError, OverflowError
            An event that no journal could hold; nothing was written.
        """
        checked = encode_all(events)
        if not checked:
            return ()

        def work(unit: Unit) -> tuple[RecordedEvent, ...]:
            if lease is not None:
                leases.fence(unit.rows, lease, checked)
            return self._append(unit, checked)

        return self._transactions.write(work)

    def acquire_lease(self, account: str, holder: str, *, ttl_ns: int, proof_of_death: str = "") -> Lease:
        """Take the lease of an account with a larger token than any before; see the port.

        Raises
        ------
        LeaseLost
            Another holder has it, names the holder and the seconds that remain.
        """
        leases.require_ttl(ttl_ns)

        def work(unit: Unit) -> Lease:
            now_ns = self._wall_ns()
            lease = leases.next_of(unit.rows, account, holder, now_ns, ttl_ns, proof_of_death)
            self._append(unit, [encode("lease.acquired", _payload_of(lease))])
            return lease

        return self._transactions.write(work)

    def renew_lease(self, lease: Lease, *, ttl_ns: int) -> Lease:
        """Prove that the lease is still ours and prolong it.

        While more than half of `ttl_ns` remains nothing is recorded and the same lease is returned, so
        a caller may ask as often as it likes and the chain grows by two events per `ttl_ns` at most.

        Raises
        ------
        LeaseLost
            Another token was issued, or the lease was released.
        """
        leases.require_ttl(ttl_ns)

        def work(unit: Unit) -> Lease:
            leases.fence(unit.rows, lease, [])
            now = self._wall_ns()
            if lease.until_wall_ns - now > ttl_ns // 2:
                return lease
            renewed = replace(lease, until_wall_ns=now + ttl_ns)
            self._append(unit, [encode("lease.renewed", _payload_of(renewed))])
            return renewed

        return self._transactions.write(work)

    def release_lease(self, lease: Lease) -> None:
        """Give the lease back; a lease that is no longer ours raises LeaseLost."""

        def work(unit: Unit) -> None:
            leases.fence(unit.rows, lease, [])
            self._append(unit, [encode("lease.released", _payload_of(lease))])

        self._transactions.write(work)

    def record_config(self, config: Mapping[str, Any]) -> None:
        """Record the effective configuration (no secrets) under `config_hash`, once."""

        def work(unit: Unit) -> None:
            if unit.rows.get("configs", self._config_hash) is None:
                payload = {"config_hash": self._config_hash, "config": canonical_json(config)}
                self._append(unit, [encode("config.recorded", payload)])

        self._transactions.write(work)

    def rebuild_projections(self) -> int:
        """Drop all projections and fold the whole chain again, in one transaction; the number of events.

        Raises
        ------
        JournalCorrupt
            The chain is broken; the projections stay as they were.
        """

        def work(unit: Unit) -> int:
            connection = unit.connection
            unit.rows.forget()
            check_marks(connection, self._anchor.marks())
            metadata.drop_all(connection, tables=PROJECTION_TABLES)
            metadata.create_all(connection, tables=PROJECTION_TABLES)
            return refold(connection, self._transactions.statements)

        return self._transactions.write(work)

    # --- reading ------------------------------------------------------------------------------------

    def events(self, *, kinds: Iterable[str] = (), after_seq: int = 0) -> tuple[RecordedEvent, ...]:
        """Recorded events in order, all kinds when `kinds` is empty."""
        wanted = (kinds,) if isinstance(kinds, str) else tuple(kinds)
        return tuple(map(recorded, self._transactions.events(wanted, after_seq)))

    def rows(self, projection: str, **equals: Any) -> list[dict[str, Any]]:
        """Rows whose columns equal the given values, oldest first; nested columns as lists and dicts.

        Raises
        ------
        UsageError
            No such projection or column.
        """
        names = tuple(equals)
        found = self._transactions.rows(projection, names, tuple(equals.values()))
        row = self._transactions.queries.of(projection, names).row
        return [row(values) for values in found]

    def head(self) -> tuple[int, str]:
        """Number and hash of the last event; (0, 64 zeros) when there is none."""
        with self._transactions.reading() as connection:
            mark = head_of(connection)
        return mark.seq, mark.hash

    def export(self, folder: Path) -> dict[str, int]:
        """Write events and projections to FOLDER/NAME.parquet, one consistent state; rows of each.

        Nested values are canonical JSON text.

        Raises
        ------
        Refused
            The folder is not empty.
        """
        with self._transactions.reading() as connection:
            return export(connection, folder)

    def archive(self, before_session: str, path: Path, *, person: str, reason: str) -> Archived:
        """Move the events before a session to a file; the chain goes on and the projections stay.

        See `workbench.adapters.journal.archive`. Events that were moved are no longer among `events`.

        Raises
        ------
        Refused
            There is nothing to move, or the file exists.
        JournalCorrupt
            The chain is broken; nothing was changed.
        """
        if self.read_only:
            raise self._transactions.database.read_only_refusal()
        with self._transactions.reading() as connection:
            archived, rows = write_archive(connection, before_session, path)
        standing = self.standing(archived.last_seq)

        def work(unit: Unit) -> None:
            cut(unit.connection, archived, rows)
            self._append(unit, [encode("journal.archived", archived.payload(person, reason)), *standing])

        self._transactions.write(work)
        return archived

    def verify(self, archives: Sequence[Path] = ()) -> VerifyReport:
        """Walk the whole journal: chain, anchor, projections. What is wrong is a value, not an error.

        Parameters
        ----------
        archives : sequence of Path
            All files that `archive` wrote, oldest first, to prove them too. Without them the proof starts
            at the projections that were kept when the last one was written.
        """
        count = first = 0
        try:
            marks = self._marks_before_reading()
            with self._transactions.reading() as connection:
                count = first = start_of(connection).seq
                for event in read_events(connection, start_of(connection)):
                    count = event.seq
                if isinstance(marks, JournalCorrupt):
                    if count:
                        raise marks
                else:
                    check_marks(connection, marks)
                compare_with_rebuild(connection)
                if archives:
                    prove_archives(connection, archives)
        except JournalCorrupt as error:
            seq = error.facts.get("seq")
            reason = f"event {seq} {error.facts['reason']}" if isinstance(seq, int) else error.message
            first_bad_seq = seq if isinstance(seq, int) else None
            proved = count if first_bad_seq is None else min(count, max(0, first_bad_seq - 1))
            living = max(0, proved - first)
            return VerifyReport(False, living, first_bad_seq, reason, self._authenticated, first)
        return VerifyReport(True, count - first, None, "", self._authenticated, first, bool(archives))

    def _marks_before_reading(self) -> list[Mark] | JournalCorrupt:
        """The anchored marks, read before the database: a commit in between may only be ahead of them."""
        try:
            return self._anchor.marks()
        except JournalCorrupt as error:
            return error  # an altered row, which names a place, is the better answer: judged later

    def close(self) -> None:
        """Close the file and make the anchor durable; a second call does nothing."""
        self._transactions.close()

    def __enter__(self) -> JournalDatabase:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- inside a write transaction -----------------------------------------------------------------

    @cached_property
    def _insert_events(self) -> Statement:
        return self._transactions.statements.insert(events_table)

    def _append(
        self, unit: Unit, checked: Sequence[Encoded], *, at_ns: int | None = None, config_hash: str = ""
    ) -> tuple[RecordedEvent, ...]:
        """Chain the events, store them in one call and fold them; the unit's head moves on."""
        at_ns = self._wall_ns() if at_ns is None else at_ns
        config_hash = config_hash or self._config_hash
        seq, previous = unit.head.seq, unit.head.hash
        stored: list[tuple[Any, ...]] = []
        recorded: list[RecordedEvent] = []
        for kind, payload, text in checked:
            seq += 1
            digest = event_hash(seq, at_ns, kind, text, config_hash, previous)
            stored.append((seq, at_ns, kind, text, config_hash, previous, digest))  # as the table's columns
            recorded.append(recorded_event(seq, at_ns, kind, payload, config_hash, digest))
            previous = digest
        self._insert_events.run_many(unit.cursor, stored)
        fold_many(unit.rows, recorded)
        unit.head = Mark(seq, previous)
        return tuple(recorded)


def _payload_of(lease: Lease) -> dict[str, Any]:
    return asdict(lease)
