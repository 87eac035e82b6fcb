"""A journal in a PostgreSQL database, in the schema that the connection's search path names first.

Writers of all hosts take turns by an advisory lock that the transaction takes first and that ends with
it, so every writer reads a head that nobody else can move on: the chain stays one line.
"""

from __future__ import annotations

from typing import Any

import psycopg
import sqlalchemy as sa

from workbench.adapters.journal.engine import Database, driver_connection, on_begin, writing
from workbench.errors import UsageError

LOCK_TIMEOUT_S = 10.0
_CONNECT_TIMEOUT_S = 10
#: A writer that hangs inside a transaction is cut off by the server, which undoes it and frees the lock.
_HUNG_TIMEOUT_S = 60
_LOCK = "SELECT pg_advisory_xact_lock(hashtext('workbench journal'), hashtext(current_schema()))"
_READ = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"
_SECRET_OPTIONS = frozenset({"password", "passfile", "sslpassword"})


class PostgresDatabase(Database):
    """The database of a URL such as "postgresql+psycopg://desk@host/workbench"."""

    begin = ("BEGIN", _LOCK)
    driver_errors = (psycopg.Error,)
    integrity_errors = (psycopg.IntegrityError, sa.exc.IntegrityError)
    _damage = ("invalid page", "could not read block", "checksum")
    _failures = (
        ("password", "refuses the password", "set WORKBENCH_SECRETS__JOURNAL_PASSWORD; nothing was written"),
        ("lock timeout", "is held by another writer", "end the process that holds it, then start again"),
        ("no space left", "has no space left", "free disk space of the server; nothing was written"),
        ("read-only", "cannot be written: it is read-only", "connect to the primary server"),
        ("permission denied", "cannot be written: permission denied", "grant the user the right to write"),
        ("does not exist", "is not there", "create the database and its user, then `workbench init`"),
        ("connect", "cannot be reached", "start the server or mend the network; nothing was written"),
        ("terminat", "went away", "start the server, then start again; nothing was written"),
        ("shut", "went away", "start the server, then start again; nothing was written"),
        ("ssl", "cannot be reached", "mend the connection's encryption; nothing was written"),
    )

    def __init__(self, url: sa.URL, password: str | None) -> None:
        if url.password is not None or _SECRET_OPTIONS & {name.lower() for name in url.query}:
            raise UsageError(
                "the journal's URL holds a password, which logs and process lists would show",
                next_step="take it out of the URL and set WORKBENCH_SECRETS__JOURNAL_PASSWORD; a password "
                "that stood in a URL is known to others: change it",
            )
        if not url.database:
            raise UsageError(
                "the journal's URL names no database",
                next_step="use postgresql+psycopg://USER@HOST/DATABASE",
            )
        self.name = url.render_as_string(hide_password=True)
        self._url = url.set(password=password) if password else url

    def exists(self) -> bool:
        """True: whether a server and a database are there shows when it is connected to."""
        return True

    def prepare(self) -> None:
        """Nothing: the database is made by the server's administrator."""

    def open_engine(self, *, read_only: bool) -> sa.Engine:
        """An engine whose commits return when they are on the server's disk."""
        engine = sa.create_engine(
            self._url,
            paramstyle="format",
            poolclass=sa.QueuePool,
            pool_pre_ping=True,
            connect_args={
                "connect_timeout": _CONNECT_TIMEOUT_S, "keepalives_idle": 10, "keepalives_interval": 5,
                "keepalives_count": 3, "tcp_user_timeout": 30_000, "application_name": "workbench",
            },
        )  # fmt: skip
        settings = {
            "synchronous_commit": "on",
            "lock_timeout": f"{LOCK_TIMEOUT_S * 1000:.0f}ms",
            "idle_in_transaction_session_timeout": f"{_HUNG_TIMEOUT_S}s",
            "default_transaction_read_only": "on" if read_only else "off",
            "client_min_messages": "warning",
        }

        @sa.event.listens_for(engine, "connect")
        def _connect(connection: psycopg.Connection, record: object) -> None:
            for name, value in settings.items():
                connection.execute("SELECT set_config(%s, %s, false)", (name, value))
            connection.commit()

        return on_begin(engine, write=_LOCK, read=_READ)

    def lost(self, error: BaseException) -> bool:
        """Whether the connection broke; nearly every operational error of the driver means that."""
        return super().lost(error) or isinstance(error, psycopg.OperationalError)

    def own_transactions(self, connection: sa.Connection) -> Any:
        """The connection of psycopg, told to begin nothing by itself."""
        driver = driver_connection(connection)
        driver.autocommit = True
        return driver

    def usable(self, driver: Any) -> bool:
        """Whether psycopg has not seen the connection break."""
        return not driver.closed

    def back_up(self, engine: sa.Engine, version: int) -> str:
        """Copy every table into the schema workbench_backup_vN of the same database."""
        with writing(engine) as connection, connection.begin():
            names = sa.inspect(connection).get_table_names()
            source = connection.exec_driver_sql("SELECT current_schema()").scalar_one()
            taken = set(sa.inspect(connection).get_schema_names())
            target, count = f"{source}_backup_v{version}", 1
            while target in taken:
                count += 1
                target = f"{source}_backup_v{version}_{count}"
            quoted = engine.dialect.identifier_preparer.quote
            connection.exec_driver_sql(f"CREATE SCHEMA {quoted(target)}")
            for name in names:
                connection.exec_driver_sql(
                    f"CREATE TABLE {quoted(target)}.{quoted(name)} AS TABLE {quoted(source)}.{quoted(name)}"
                )
        return f"schema {target}"
