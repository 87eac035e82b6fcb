"""Bars and splits as columns of integers: the canonical content that files hold and hashes cover."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from workbench.core.types import Integers

Texts: TypeAlias = NDArray[np.str_]

EPOCH = date(1970, 1, 1).toordinal()
VALUES = ("open_micro", "high_micro", "low_micro", "close_micro", "volume")
NUMBERS = ("day", "ts_ns", "known_at_ns", *VALUES)


@dataclass(frozen=True, eq=False)
class Rows:
    """Daily bars, one element a row; prices as printed.

    Attributes
    ----------
    symbol : str (rows,)
    day : int64 (rows,)
        Exchange session as days since 1970-01-01.
    ts_ns : int64 (rows,)
        Close of the session: the bar's end.
    known_at_ns : int64 (rows,)
        From when the row was known; a correction is a later row of the same symbol and session.
    open_micro, high_micro, low_micro, close_micro : int64 (rows,)
    volume : int64 (rows,)
        Whole shares.
    """

    symbol: Texts
    day: Integers
    ts_ns: Integers
    known_at_ns: Integers
    open_micro: Integers
    high_micro: Integers
    low_micro: Integers
    close_micro: Integers
    volume: Integers

    def __len__(self) -> int:
        return len(self.symbol)

    def take(self, places: NDArray[Any]) -> Rows:
        """The rows at those places (positions or a mask)."""
        return Rows(self.symbol[places], *(getattr(self, name)[places] for name in NUMBERS))

    def ordered(self) -> Rows:
        """The rows by symbol, session and time of knowledge."""
        return self.take(np.lexsort((self.known_at_ns, self.day, self.symbol)))

    def values_at(self, place: int) -> tuple[int, ...]:
        """Prices and volume of one row, for comparison."""
        return tuple(int(getattr(self, name)[place]) for name in VALUES)


@dataclass(frozen=True, order=True)
class Split:
    """`new_shares` for `old_shares` from the open of `ex_session` on."""

    symbol: str
    ex_session: str
    ex_open_ns: int
    new_shares: int
    old_shares: int


def concatenated(blocks: Sequence[Rows]) -> Rows:
    """All rows of the blocks, in canonical order."""
    symbol = np.concatenate([np.array([], dtype="<U1"), *(block.symbol for block in blocks)])
    numbers = [
        np.concatenate([np.array([], dtype=np.int64), *(getattr(block, name) for block in blocks)])
        for name in NUMBERS
    ]
    return Rows(symbol, *numbers).ordered()


def blocks_of(rows: Rows) -> dict[str, slice]:
    """Where each symbol's rows are; `rows` in canonical order."""
    names, starts, counts = np.unique(rows.symbol, return_index=True, return_counts=True)
    return {
        str(name): slice(start, start + count)
        for name, start, count in zip(names, starts.tolist(), counts.tolist(), strict=True)
    }


def fingerprint_of(rows: Rows, splits: Sequence[Split]) -> str:
    """Hex sha256 of the content: equal for equal rows and splits, however files hold them.

    Covers symbol, session, time of knowledge, prices in micros and volume; `rows` in canonical order.
    """
    sha = hashlib.sha256(b"workbench bars 1\n")
    for symbol, place in blocks_of(rows).items():
        sha.update(f"{symbol!r} {place.stop - place.start}\n".encode())
        for name in ("day", "known_at_ns", *VALUES):
            sha.update(getattr(rows, name)[place].astype("<i8").tobytes())
    for split in sorted(splits):
        sha.update(f"{split.symbol!r} {split.ex_session} {split.new_shares} {split.old_shares}\n".encode())
    return sha.hexdigest()


def session_text(day: int) -> str:
    """The ISO date of a number of days since 1970-01-01."""
    return date.fromordinal(day + EPOCH).isoformat()


def day_number(session: str) -> int:
    """Days from 1970-01-01 to an ISO date."""
    return date.fromisoformat(session).toordinal() - EPOCH


# --- Parquet ---------------------------------------------------------------------------------------


def parquet_bytes(columns: dict[str, Any]) -> bytes:
    """One Parquet file of the columns, in memory."""
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, compression="zstd", store_schema=False)
    return sink.getvalue()


def rows_to_parquet(rows: Rows) -> bytes:
    """Parquet file of the rows; the session is a date, everything else integers."""
    columns: dict[str, Any] = {
        "symbol": pa.array(rows.symbol.tolist(), pa.string()),
        "session": pa.array(rows.day.astype(np.int32)).cast(pa.date32()),
    }
    columns.update({name: pa.array(getattr(rows, name)) for name in NUMBERS if name != "day"})
    return parquet_bytes(columns)


def rows_from_parquet(content: bytes) -> Rows:
    """The rows that `rows_to_parquet` wrote."""
    table = pq.read_table(io.BytesIO(content))
    symbol = np.array(table["symbol"].to_pylist(), dtype=np.str_)
    day = table["session"].cast(pa.int32()).to_numpy().astype(np.int64)
    return Rows(symbol, day, *(table[name].to_numpy().astype(np.int64) for name in NUMBERS if name != "day"))


def splits_to_parquet(splits: Sequence[Split]) -> bytes:
    """Parquet file of split events."""
    return parquet_bytes(
        {
            "symbol": pa.array([split.symbol for split in splits], pa.string()),
            "ex_session": pa.array([date.fromisoformat(split.ex_session) for split in splits], pa.date32()),
            "ex_open_ns": pa.array([split.ex_open_ns for split in splits], pa.int64()),
            "new_shares": pa.array([split.new_shares for split in splits], pa.int64()),
            "old_shares": pa.array([split.old_shares for split in splits], pa.int64()),
        }
    )


def splits_from_parquet(content: bytes) -> tuple[Split, ...]:
    """The events that `splits_to_parquet` wrote."""
    return tuple(
        Split(**{**row, "ex_session": row["ex_session"].isoformat()})
        for row in pq.read_table(io.BytesIO(content)).to_pylist()
    )
