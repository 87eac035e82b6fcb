"""The database behind the journal: one SQLAlchemy engine with full control of its transactions.

sqlite3 would otherwise open transactions by itself, late and deferred: two writers would then read the
same head and one would fail in the middle. Its own control is switched off (`isolation_level=None`) and
every transaction begins with the statement that SQLAlchemy's begin event sends.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa

from workbench.errors import JournalCorrupt, Refused, StorageFailed, UsageError, WorkbenchError

BUSY_TIMEOUT_S = 10.0
_WRITES = "journal_writes"


def database_file(url: str) -> Path:
    """The file of a journal URL such as "sqlite:///desk/journal.sqlite".

    Raises
    ------
    UsageError
        The URL is not one of SQLite, or names no file.
    """
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        parsed = None
    if parsed is None or parsed.get_backend_name() != "sqlite":
        raise UsageError(
            "the journal's URL is not a SQLite one", next_step="use sqlite:///PATH, for example "
            "sqlite:///desk/journal.sqlite",
        )  # fmt: skip
    if not parsed.database or parsed.database == ":memory:":
        raise UsageError(
            "the journal's URL names no file; a journal in memory would not survive the process",
            next_step="use sqlite:///PATH",
        )
    return Path(parsed.database)


def open_engine(path: Path, *, read_only: bool) -> sa.Engine:
    """An engine for that file; transactions are deferred unless made by `writing`."""
    mode = "ro" if read_only else "rwc"
    address = f"file:{quote(str(path.absolute()))}?mode={mode}"

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

    return _with_own_transactions(sa.create_engine("sqlite://", creator=connect, poolclass=sa.QueuePool))


def memory_engine() -> sa.Engine:
    """An empty database of this process, to refold projections in for a comparison."""
    engine = sa.create_engine(
        "sqlite://",
        poolclass=sa.StaticPool,
        connect_args={"isolation_level": None, "check_same_thread": False},
    )
    return _with_own_transactions(engine)


def writing(engine: sa.Engine) -> sa.Connection:
    """A connection whose transactions take the write lock at once."""
    return engine.connect().execution_options(**{_WRITES: True})


def _with_own_transactions(engine: sa.Engine) -> sa.Engine:
    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        write = connection.get_execution_options().get(_WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


#: What a driver's message contains, what that means, and what to do.
_FAILURES = (
    ("full", "has no space left", "free disk space, then start again; nothing was written"),
    ("readonly", "cannot be written: it is read-only", "make the file and its folder writable"),
    ("locked", "is held by another writer", "end the process that holds it, then start again"),
    ("unable to open", "cannot be opened", "check that the folder exists and may be written"),
    ("disk i/o", "met a disk error", "check the disk and its free space; nothing was written"),
)
_DAMAGE = ("malformed", "not a database", "could not decode")


def storage_error(error: sa.exc.DBAPIError | sqlite3.Error, path: Path) -> WorkbenchError:
    """The error of our families for a driver's failure, naming the file and the next step."""
    cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    text = str(cause).lower()
    if any(word in text for word in _DAMAGE):
        return JournalCorrupt(
            f"journal {path} is damaged: {cause}",
            next_step="run `workbench journal verify`, then restore the file from a backup",
            path=str(path),
        )
    for word, meaning, step in _FAILURES:
        if word in text:
            return StorageFailed(f"journal {path} {meaning} ({cause})", next_step=step, path=str(path))
    return StorageFailed(
        f"journal {path} could not keep the rows: {cause}",
        next_step="mend the database, then start again; nothing was written",
        path=str(path),
    )


def read_only_refusal(path: Path) -> Refused:
    """The answer to a write through a handle that only reads."""
    return Refused(
        f"journal {path} is open read-only; nothing was written",
        next_step="writes belong to jobs and commands: use `workbench jobs run` or the command line",
        path=str(path),
    )
