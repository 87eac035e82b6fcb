"""Drift: know that the world or the machine has changed, without crying wolf.

`compare` judges a window of rows against a reference, `SequentialDetector` one value at a time, both with an
error rate that is stated and measured (docs/reference/drift-rates.md). `distances` measures tables of any
length, `sketch` keeps a reference of any length in a small file.

Examples
--------
>>> import workbench as wb
>>> wb.drift.population_stability_index([1] * 50 + [2] * 50, [1] * 60 + [2] * 40, bins=2, empty="half")
0.0405465 (PSI, 2 bins, 0 empty on one side, empty='half', 100 against 100 values)
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import partial
from os import PathLike, fspath
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pandas as pd

from workbench.core.drift import (
    DriftReport,
    JointDrift,
    SequentialDetector,
    StabilityIndex,
    VolatilityFilter,
    compare,
    jensen_shannon_distance,
    joint_drift,
    population_stability_index,
    psi_critical_value,
)
from workbench.core.drift.binning import EmptyBins, check_policy
from workbench.core.drift.histogram import (
    Chunks,
    ColumnSketch,
    Measured,
    Tally,
    measure_exactly,
    measure_sketched,
    sketch_column,
)
from workbench.core.types import Floats
from workbench.core.workers import HERE, Workers
from workbench.errors import DataError

if TYPE_CHECKING:
    import pyarrow.parquet as pq

__all__ = [
    "DriftReport",
    "JointDrift",
    "ReferenceSketch",
    "SequentialDetector",
    "StabilityIndex",
    "VolatilityFilter",
    "compare",
    "distances",
    "jensen_shannon_distance",
    "joint_drift",
    "population_stability_index",
    "psi_critical_value",
    "sketch",
]

Source: TypeAlias = "pd.DataFrame | str | PathLike[str]"
_TOGETHER = 16  # columns that one worker measures one after the other
_KEPT_ROWS = 1 << 22  # a column up to this length is decoded once and kept while it is measured
_KIND = b"workbench-drift-sketch-1"


@dataclass(frozen=True, slots=True)
class ReferenceSketch:
    """A reference without its rows; `distances` takes it in place of the table.

    Attributes
    ----------
    columns : dict of str to ColumnSketch
    """

    columns: dict[str, ColumnSketch]

    def save(self, path: str | PathLike[str]) -> None:
        """Write the sketch to a Parquet file."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows = {"column": list(self.columns)} | {
            field: [getattr(one, field) for one in self.columns.values()]
            for field in ("bins", "counts", "edges", "edge_counts")
        }
        pq.write_table(pa.table(rows).replace_schema_metadata({b"kind": _KIND}), fspath(path))

    @classmethod
    def load(cls, path: str | PathLike[str]) -> ReferenceSketch:
        """Read a sketch that `save` wrote.

        Raises
        ------
        DataError
            The file is something else.
        """
        import pyarrow.parquet as pq

        table = pq.read_table(fspath(path))
        if (table.schema.metadata or {}).get(b"kind") != _KIND:
            raise DataError(
                f"{fspath(path)} is no drift sketch", next_step="write one with wb.drift.sketch(...).save"
            )
        arrays = [[row.values.to_numpy(zero_copy_only=False) for row in table[name]]
                  for name in ("bins", "counts", "edges", "edge_counts")]  # fmt: skip
        made = [ColumnSketch(*parts) for parts in zip(*arrays, strict=True)]
        return cls(dict(zip(table["column"].to_pylist(), made, strict=True)))

    def _repr_html_(self) -> str:
        bins = sum(len(one.bins) for one in self.columns.values())
        return f"<p>Drift sketch of {len(self.columns)} columns in {bins:,} bins</p>"


def sketch(reference: Source, *, bins: int = 10) -> ReferenceSketch:
    """The numeric columns of a reference of any length in compact form; memory does not grow with rows.

    Counts over 2^21 bins on the bits of 32-bit floats: for a smooth distribution the Kolmogorov-Smirnov
    distance against it is off by less than 1e-4, and `distances` states the bound for every column. The
    stability index is exact. A column without a finite value is left out.

    Parameters
    ----------
    reference : DataFrame or path of a Parquet file
    bins : int, default 10
        Quantile bins of the stability index.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> import workbench as wb
    >>> frame = pd.DataFrame({"x": np.random.default_rng(1).normal(size=1000)})
    >>> type(wb.drift.sketch(frame, bins=5)).__name__
    'ReferenceSketch'
    """
    columns = {}
    for name, chunks in _columns(reference).items():
        if any(bool(np.isfinite(chunk).any()) for chunk in chunks()):
            columns[name] = sketch_column(chunks, bins=bins)
    return ReferenceSketch(columns)


def distances(
    reference: Source | ReferenceSketch, current: Source, *, bins: int = 10, empty: EmptyBins,
    workers: Workers = HERE,
) -> pd.DataFrame:  # fmt: skip
    """Stability index and Kolmogorov-Smirnov distance of every common numeric column, however long.

    Exact between tables; against a `sketch` the index is exact and the distance carries its bound. Distances
    alone judge nothing: see `compare` for a decision.

    Parameters
    ----------
    reference : DataFrame, path of a Parquet file, or ReferenceSketch
    current : DataFrame or path of a Parquet file
    bins : int, default 10
        Of the index; a sketch brings its own.
    empty : float or {"merge", "drop", "half"}
        See `population_stability_index`.
    workers : Workers, default here
        Where columns are worked on, such as `desk.workers`; the distances are the same. Paths have to lead to
        the same files there.

    Returns
    -------
    DataFrame
        Index feature; columns psi, ks, ks_error, n_reference, n_current. A column without a finite value on
        a side has NaN distances.

    Raises
    ------
    DataError
        No common numeric column.

    Examples
    --------
    >>> import pandas as pd
    >>> before = pd.DataFrame({"spread_bps": [1.0, 2.0, 3.0, 4.0]})
    >>> distances(before, before + 1.0, bins=2, empty=1e-4)["ks"].tolist()
    [0.25]
    """
    check_policy(empty)
    after = set(_numeric(current))
    before = reference.columns if isinstance(reference, ReferenceSketch) else _numeric(reference)
    names = [name for name in before if name in after]
    if not names:
        raise DataError(
            "the tables share no numeric column", next_step="give tables with columns of equal names"
        )
    groups = [names[at : at + _TOGETHER] for at in range(0, len(names), _TOGETHER)]
    found = workers.map(_measured, groups, shared=(reference, current, bins, empty))
    rows = [row for group in found for row in group]
    return pd.DataFrame(rows, index=pd.Index(names, name="feature"))


def _measured(
    reference: Source | ReferenceSketch, current: Source, bins: int, empty: EmptyBins, names: list[str]
) -> list[Measured]:
    """Distances of some columns; NaN where a side has no finite value."""
    sketched = reference.columns if isinstance(reference, ReferenceSketch) else {}
    before = {} if isinstance(reference, ReferenceSketch) else _columns(reference, names)
    after, rows, tally = _columns(current, names), [], Tally.empty()
    for name in names:
        try:
            if name in sketched:
                rows.append(measure_sketched(sketched[name], after[name], empty=empty, tally=tally))
            else:
                rows.append(measure_exactly(before[name], after[name], bins=bins, empty=empty))
        except DataError:
            rows.append(Measured(np.nan, np.nan, np.nan, 0, 0))
    return rows


def _numeric(source: Source) -> list[str]:
    """Names of the numeric columns."""
    if isinstance(source, pd.DataFrame):
        return [str(name) for name in source.select_dtypes("number").columns]
    return list(_columns(source))


def _columns(source: Source, names: Collection[str] | None = None) -> dict[str, Chunks]:
    """Each numeric column as something that yields its pieces, each time from the start; None = all."""
    if isinstance(source, pd.DataFrame):
        return {
            str(name): _in_memory(
                np.ascontiguousarray(source[name].to_numpy(dtype=np.float64, na_value=np.nan))
            )
            for name in source.select_dtypes("number").columns
            if names is None or str(name) in names
        }
    import pyarrow as pa
    import pyarrow.parquet as pq

    # not memory mapped: mapped pages count as memory of the process
    file = pq.ParquetFile(fspath(source), memory_map=False, pre_buffer=False)
    numeric = [
        field.name for field in file.schema_arrow
        if pa.types.is_floating(field.type) or pa.types.is_integer(field.type)
    ]  # fmt: skip
    held = _Held("", [])
    return {name: partial(_on_disk, file, name, held) for name in numeric}


@dataclass(slots=True)
class _Held:
    """The one column of a file that is in memory."""

    name: str
    pieces: list[Floats]


def _in_memory(values: Floats) -> Chunks:
    return lambda: [values]


def _on_disk(file: pq.ParquetFile, name: str, held: _Held) -> Iterator[Floats]:
    """Pieces of a Parquet column, decoded once when it is short and as often as it is asked for when not."""
    if held.name == name:
        yield from held.pieces
        return
    held.name, held.pieces = "", []
    pieces: list[Floats] = []
    keep = file.metadata.num_rows <= _KEPT_ROWS
    for group in range(file.metadata.num_row_groups):
        column = file.read_row_group(group, columns=[name], use_threads=False).column(0)
        for piece in column.chunks:
            values = piece.to_numpy(zero_copy_only=False)
            values = values if values.dtype == np.float64 else values.astype(np.float64)
            if keep:
                pieces.append(values)
            yield values
    if keep:
        held.name, held.pieces = name, pieces
