"""A journal in one SQLite file.

sqlite3 would open transactions by itself, late and deferred: two writers would then read the same head
and one would fail in the middle. Its own control is switched off (`isolation_level=None`) and every
transaction begins with the statement that SQLAlchemy's begin event sends.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa

from workbench.adapters.journal.engine import CLOSED, Database, driver_connection, on_begin
from workbench.errors import UsageError

BUSY_TIMEOUT_S = 10.0


class SqliteFile(Database):
    """The file of a URL such as "sqlite:///desk/journal.sqlite"."""

    begin = ("BEGIN IMMEDIATE",)
    changes = "PRAGMA data_version"
    close_for_good = (
        f"CREATE TRIGGER closed_for_good BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, '{CLOSED}'); END"
    )
    is_closed = "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND name = 'closed_for_good'"
    driver_errors = (sqlite3.Error,)
    integrity_errors = (sqlite3.IntegrityError, sa.exc.IntegrityError)
    _damage = ("malformed", "not a database", "could not decode")
    _failures = (
        ("full", "has no space left", "free disk space, then start again; nothing was written"),
        ("readonly", "cannot be written: it is read-only", "make the file and its folder writable"),
        ("locked", "is held by another writer", "end the process that holds it, then start again"),
        ("unable to open", "cannot be opened", "check that the folder exists and may be written"),
        ("disk i/o", "met a disk error", "check the disk and its free space; nothing was written"),
    )

    def __init__(self, url: sa.URL) -> None:
        if not url.database or url.database == ":memory:":
            raise UsageError(
                "the journal's URL names no file; a journal in memory would not survive the process",
                next_step="use sqlite:///PATH",
            )
        self.path = Path(url.database)
        self.name = str(self.path)

    def exists(self) -> bool:
        """Whether the file is there."""
        return self.path.exists()

    def prepare(self) -> None:
        """Make the folder."""
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def open_engine(self, *, read_only: bool) -> sa.Engine:
        """An engine of write-ahead logging and a full flush at each commit."""
        mode = "ro" if read_only else "rwc"
        address = f"file:{quote(str(self.path.absolute()))}?mode={mode}"

        def connect() -> sqlite3.Connection:
            connection = sqlite3.connect(
                address, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            try:
                connection.execute("PRAGMA foreign_keys=ON")
                if read_only:
                    connection.execute("PRAGMA query_only=ON")
                else:
                    connection.execute("PRAGMA journal_mode=WAL")
                    connection.execute("PRAGMA synchronous=FULL")
            except BaseException:
                connection.close()
                raise
            return connection

        engine = sa.create_engine("sqlite://", creator=connect, poolclass=sa.QueuePool)
        return on_begin(engine, write=self.begin[0], read="BEGIN")

    def own_transactions(self, connection: sa.Connection) -> Any:
        """The connection of sqlite3, which begins nothing by itself as it is."""
        return driver_connection(connection)

    def usable(self, driver: Any) -> bool:
        """True: a file does not go away."""
        return True

    def back_up(self, engine: sa.Engine, version: int) -> str:
        """Copy the file, with what its log holds, to FILE.backup-vN; an older copy is never replaced."""
        target, count = Path(f"{self.path}.backup-v{version}"), 1
        while target.exists():
            count += 1
            target = Path(f"{self.path}.backup-v{version}-{count}")
        unfinished = Path(f"{target}.unfinished")
        unfinished.unlink(missing_ok=True)
        source = sqlite3.connect(f"file:{quote(str(self.path.absolute()))}?mode=ro", uri=True)
        copy = sqlite3.connect(unfinished)
        try:
            source.backup(copy)
            found = copy.execute("PRAGMA integrity_check").fetchone()[0]
            if found != "ok":
                raise sqlite3.DatabaseError(f"the backup is malformed: {found}")
        finally:
            copy.close()
            source.close()
        for place in (unfinished, unfinished.parent):  # content, then (after the rename) the name
            if place == unfinished.parent:
                unfinished.rename(target)
            descriptor = os.open(place, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        return str(target)
