"""The database behind the journal: which one a URL names, and what both kinds have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import sqlalchemy as sa

from workbench.errors import (
    JournalConflict,
    JournalCorrupt,
    Refused,
    StorageFailed,
    UsageError,
    WorkbenchError,
)

_WRITES = "journal_writes"
#: What the database answers to a write after the journal's last event.
CLOSED = "this journal is closed for good"
#: The transaction is begun and ended by statements of our own, on the driver's connection.
HANDS_OFF = object()
#: What a driver's message contains, what that means, and what to do.
Failures = tuple[tuple[str, str, str], ...]


class Database(ABC):
    """Where a journal is kept.

    Attributes
    ----------
    name : str
        What messages call it: the file, or the URL, which never holds a password.
    driver_errors : tuple of exception types
        What the driver raises when it is used without SQLAlchemy in between.
    integrity_errors : tuple of exception types
        Those of them that say that rows break a rule of the database.
    """

    name: str
    #: What begins a transaction that holds the write lock from its first statement.
    begin: tuple[str, ...]
    driver_errors: tuple[type[BaseException], ...]
    integrity_errors: tuple[type[BaseException], ...]
    #: Asks, inside a write transaction, for a number that changes when another connection has written
    #: anything since this one asked; "" = this database keeps no such number.
    changes: str = ""
    #: Makes the database refuse every further event, and asks whether it does; "" = it cannot.
    close_for_good: str = ""
    is_closed: str = ""
    _failures: Failures
    _damage: tuple[str, ...]

    @abstractmethod
    def exists(self) -> bool:
        """Whether there is a database to read; a server is asked only when it is connected to."""

    @abstractmethod
    def prepare(self) -> None:
        """Make what must be there before connecting to write; OSError when it cannot be made."""

    @abstractmethod
    def open_engine(self, *, read_only: bool) -> sa.Engine:
        """An engine; its transactions only read unless made by `writing`."""

    @abstractmethod
    def back_up(self, engine: sa.Engine, version: int) -> str:
        """Keep a copy of the journal as it is before a migration from `version`; where the copy is."""

    @abstractmethod
    def own_transactions(self, connection: sa.Connection) -> Any:
        """The driver's connection below, which from now on begins and ends nothing by itself."""

    @abstractmethod
    def usable(self, driver: Any) -> bool:
        """Whether a driver's connection still has its database at the other end."""

    def lost(self, error: BaseException) -> bool:
        """Whether the connection broke, so that the fate of a COMMIT is not known from the error."""
        return isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated

    def storage_error(self, error: BaseException) -> WorkbenchError:
        """The error of our families for a driver's failure, naming the journal and the next step."""
        cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
        detail = " ".join(str(cause).split())
        text = detail.lower()
        if CLOSED in text:
            return JournalConflict(
                f"journal {self.name} is closed: a later desk epoch goes on elsewhere; nothing was written",
                next_step="end this process and start it again; it opens the journal that is in force",
                path=self.name, closed=True,
            )  # fmt: skip
        if any(word in text for word in self._damage):
            return JournalCorrupt(
                f"journal {self.name} is damaged: {detail}",
                next_step="run `workbench journal verify`, then restore the journal from a backup",
                path=self.name,
            )
        for word, meaning, step in self._failures:
            if word in text:
                return StorageFailed(
                    f"journal {self.name} {meaning} ({detail})", next_step=step, path=self.name
                )
        return StorageFailed(
            f"journal {self.name} could not keep the rows: {detail}",
            next_step="mend the database, then start again; nothing was written",
            path=self.name,
        )

    def read_only_refusal(self) -> Refused:
        """The answer to a write through a handle that only reads."""
        return Refused(
            f"journal {self.name} is open read-only; nothing was written",
            next_step="writes belong to jobs and commands: use `workbench jobs run` or the command line",
            path=self.name,
        )

    def absent(self) -> Refused:
        """The answer to a reader of a journal that is not there."""
        return Refused(
            f"there is no journal at {self.name}", next_step="run `workbench init`", path=self.name
        )


def database_of(url: str, password: str | None = None) -> Database:
    """The database that a journal URL names.

    Parameters
    ----------
    url : str
        "sqlite:///PATH" or "postgresql+psycopg://USER@HOST:PORT/DATABASE".
    password : str, optional
        Of the PostgreSQL user; None = the server asks for none, or libpq's own password file has it.

    Raises
    ------
    UsageError
        The URL is of another kind, names no file, or holds a password.
    """
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        parsed = None
    if parsed is not None and parsed.drivername == "postgresql+psycopg":
        from workbench.adapters.journal.postgres import PostgresDatabase

        return PostgresDatabase(parsed, password)
    if parsed is not None and parsed.get_backend_name() == "sqlite":
        from workbench.adapters.journal.sqlite_file import SqliteFile

        return SqliteFile(parsed)
    raise UsageError(
        "the journal's URL is neither a SQLite nor a PostgreSQL one",
        next_step="use sqlite:///PATH or postgresql+psycopg://USER@HOST/DATABASE",
    )


def memory_engine() -> sa.Engine:
    """An empty database of this process, to refold projections in for a comparison."""
    engine = sa.create_engine(
        "sqlite://",
        poolclass=sa.StaticPool,
        connect_args={"isolation_level": None, "check_same_thread": False},
    )
    return on_begin(engine, write="BEGIN IMMEDIATE", read="BEGIN")


def writing(engine: sa.Engine) -> sa.Connection:
    """A connection whose transactions take the write lock at once."""
    return engine.connect().execution_options(**{_WRITES: True})


def hands_off(engine: sa.Engine) -> sa.Connection:
    """A connection that SQLAlchemy neither begins nor ends a transaction on."""
    return engine.connect().execution_options(**{_WRITES: HANDS_OFF})


def on_begin(engine: sa.Engine, *, write: str, read: str) -> sa.Engine:
    """Send one of these statements first in every transaction; the same engine."""

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES, False)
        if writes is not HANDS_OFF:
            connection.exec_driver_sql(write if writes else read)

    return engine


def driver_connection(connection: sa.Connection) -> Any:
    """The driver's own connection, for statements that run too often to be wrapped."""
    return connection.connection.driver_connection
