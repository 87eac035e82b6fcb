"""Events and projections as Parquet files, which DuckDB and pandas read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from workbench.adapters.journal.schema import PROJECTIONS, events
from workbench.errors import Refused, StorageFailed

_CHUNK = 10_000
_ARROW = {sa.BigInteger: pa.int64(), sa.Integer: pa.int64(), sa.Boolean: pa.bool_()}


def arrow_schema(table: sa.Table) -> pa.Schema:
    """Columns of a table; nested values are their canonical text."""
    return pa.schema(
        [
            pa.field(column.name, _ARROW.get(type(column.type), pa.string()), nullable=bool(column.nullable))
            for column in table.columns
        ]
    )


@contextmanager
def parquet_file(path: Path, schema: pa.Schema) -> Iterator[ParquetRows]:
    """A file that appears under its name when it is whole and durable, and not at all after an error.

    Raises
    ------
    Refused
        There is a file of that name already.
    StorageFailed
        It cannot be written.
    """
    if path.exists():
        raise Refused(f"{path} exists already", next_step="name another file", path=str(path))
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        with pq.ParquetWriter(unfinished, schema, compression="zstd") as writer:
            rows = ParquetRows(writer, schema)
            yield rows
            rows.flush()
        _make_durable(unfinished)
        os.link(unfinished, path)  # unlike a rename this never replaces a file that appeared meanwhile
        unfinished.unlink()
        _make_durable(path.parent)
    except OSError as error:
        raise StorageFailed(
            f"{path} cannot be written: {error.strerror or error}",
            next_step="free space or choose another folder; nothing else was changed",
            path=str(path),
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)


class ParquetRows:
    """Collects rows and writes them in groups."""

    def __init__(self, writer: pq.ParquetWriter, schema: pa.Schema) -> None:
        self._writer = writer
        self._schema = schema
        self._waiting: list[Sequence[Any]] = []
        self.count = 0

    def add(self, row: Sequence[Any]) -> None:
        """Add a row in the order of the schema."""
        self._waiting.append(row)
        if len(self._waiting) == _CHUNK:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            self.count += len(waiting)
            columns = [
                pa.array(map(bool, values) if field.type == pa.bool_() else values, type=field.type)
                for values, field in zip(zip(*waiting, strict=True), self._schema, strict=True)
            ]
            self._writer.write_table(pa.table(columns, schema=self._schema))


def export(connection: sa.Connection, folder: Path) -> dict[str, int]:
    """Write every table to FOLDER/TABLE.parquet; the number of rows of each.

    Raises
    ------
    Refused
        The folder holds something already.
    StorageFailed
        The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        taken = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise StorageFailed(
            f"{folder} cannot be written: {error.strerror or error}",
            next_step="choose another folder", path=str(folder),
        ) from error  # fmt: skip
    if taken:
        raise Refused(
            f"{folder} is not empty: it holds {taken[0]}", next_step="name a new folder", path=str(folder)
        )
    counts = {}
    tables = {"events": (events, "seq")}
    tables |= {name: (known.table, "added_seq") for name, known in PROJECTIONS.items()}
    for name, (table, order) in tables.items():
        with parquet_file(folder / f"{name}.parquet", arrow_schema(table)) as file:
            for row in _stored_rows(connection, table, order):
                file.add(row)
        counts[name] = file.count
    return counts


def read_rows(path: Path, names: Sequence[str]) -> Iterable[tuple[Any, ...]]:
    """Rows of a Parquet file in its own order.

    Raises
    ------
    Refused
        It cannot be read or lacks a column.
    """
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_CHUNK, columns=list(names)):
                yield from zip(*(batch.column(name).to_pylist() for name in names), strict=True)
    except (OSError, KeyError, pa.ArrowException) as error:
        raise Refused(
            f"{path} is no archive of a journal: {error}", next_step="name the archive file", path=str(path)
        ) from error


def _stored_rows(connection: sa.Connection, table: sa.Table, order: str) -> Iterator[Sequence[Any]]:
    """Rows as the database holds them, nested values as text."""
    columns = [sa.type_coerce(column, sa.Text).label(column.name) if _nested(column) else column
               for column in table.columns]  # fmt: skip
    query = sa.select(*columns).order_by(table.c[order], *table.primary_key.columns)
    with connection.execute(query.execution_options(yield_per=_CHUNK)) as result:
        for part in result.partitions():
            yield from part


def _nested(column: sa.Column[Any]) -> bool:
    return isinstance(column.type, sa.types.TypeDecorator)


def _make_durable(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
