"""Transaction cost analysis: what a decision cost on its way to the books."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from workbench.core.tca import (
    Benchmarks,
    Cleaned,
    TcaReport,
    benchmarks,
    clean_quotes,
    clean_trades,
    implementation_shortfall,
    ledger_identity,
    markout_fan,
    markouts,
    spreads,
    waterfall,
    worst_orders,
)
from workbench.core.tca.columns import (
    QUANTITIES,
    TIMES,
    batch_ns,
    floats,
    in_place,
    span_ns,
    times_ns,
)
from workbench.core.tca.join import OrderNumbers
from workbench.core.tca.numbering import Numbering, id_values
from workbench.core.tca.parents import ParentTable, parent_table
from workbench.core.tca.shortfall import SPLITS
from workbench.core.tca.streaming import Batch, OutOfOrder, QuoteBatch, Stream
from workbench.core.tca.summary import summarise
from workbench.core.types import MICRO, Integers
from workbench.core.workers import HERE, Workers
from workbench.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Benchmarks",
    "Cleaned",
    "TcaReport",
    "benchmarks",
    "clean_quotes",
    "clean_trades",
    "implementation_shortfall",
    "ledger_identity",
    "markout_fan",
    "markouts",
    "report",
    "report_by_partition",
    "spreads",
    "waterfall",
    "worst_orders",
]

Table: TypeAlias = "Any"  #: a DataFrame, or the path of a Parquet file or of a folder of them
HORIZONS = ("1s", "1min", "5min")
_ROWS = 1 << 18
_SORT_MEMORY = "400MB"


def report(
    orders: Table,
    fills: Table,
    quotes: Table | None,
    *,
    by: str | Sequence[str],
    split: str,
    horizons: Sequence[object] = HORIZONS,
    max_age: object = "1min",
    zone: str = "UTC",
) -> TcaReport:
    """What parent orders cost, by group: shortfall, spreads, markouts, rates; frames or Parquet, out of core.

    Parameters
    ----------
    orders : DataFrame or path
        One row a parent: order_id, symbol, side, quantity (whole shares), decision_price, arrival_price,
        final_price; optional arrival_at (or sent_at), decision_at, adv, volatility_bps and anything to
        break down by. A path is a Parquet file or a folder of them.
    fills : DataFrame or path
        order_id, quantity, price, fee and a time (filled_at); optional execution_id. In time order they
        are streamed; otherwise sorted first, on disk for Parquet.
    quotes : DataFrame, path or None
        symbol, bid, ask (or bid_micro, ask_micro), a time (quoted_at, at or ts); None: no spreads, markouts.
    by : str or sequence of str
        Columns of the orders, or hour, day, size (bucket), volatility_regime, liquidity_regime (thirds of
        these orders' volatility_bps and adv). Empty = one row. A fill belongs to the group of its order;
        hour and day are those of the order's arrival. What an order does not tell is the group "unknown".
    split : {"cfa", "wagner"}
        No default, as in `implementation_shortfall`.
    horizons : sequence of timedelta, str or int, default ("1s", "1min", "5min")
        Of the markouts, rising; the last is that of realized spread and impact.
    max_age : timedelta, str or int, default "1min"
        An older quote does not stand.
    zone : str, default "UTC"
        Of hours and days.

    Returns
    -------
    TcaReport
        Its `excluded` counts every row that could not be used, by reason: none is taken as zero. An order
        with a refused fill, an overfill or a missing price is left out as a whole, and so counted.

    Raises
    ------
    ValueError
        A column or an argument is missing or unknown; time zones are mixed.
    DataError
        A path holds no Parquet file.

    Notes
    -----
    m0 is the mid strictly before the order's arrival (before the fill, where the order tells none), the
    mid of a markout stands at or before fill + horizon. Memory holds the orders, one row a symbol and a
    batch; not the fills, not the quotes.

    Examples
    --------
    >>> import pandas as pd
    >>> import workbench as wb
    >>> orders = pd.DataFrame(
    ...     {"order_id": ["a"], "symbol": ["KO"], "side": ["buy"], "quantity": [1000],
    ...     "decision_price": [10.0],
    ...      "arrival_price": [10.02], "final_price": [10.1], "decision_at": [0], "arrival_at": [1]}
    ... )
    >>> fills = pd.DataFrame(
    ...     {"order_id": ["a"], "quantity": [1000], "price": [10.05], "fee": [0.0], "filled_at": [2]}
    ... )
    >>> quotes = pd.DataFrame({"symbol": ["KO"], "ts": [0], "bid": [10.0], "ask": [10.04]})
    >>> found = wb.tca.report(orders, fills, quotes, by="symbol", split="cfa")
    >>> round(float(found.orders["total"].sum()), 2)
    50.0
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, not {split!r}")
    names = (by,) if isinstance(by, str) else tuple(by)
    spans = np.array([span_ns(horizon, "horizons") for horizon in horizons], dtype=np.int64)
    if not len(spans) or bool(np.any(np.diff(spans) <= 0)):
        raise ValueError(f"horizons = {horizons!r} must be at least one, and rise")
    table = parent_table(_frame(orders, "orders"), names, zone=zone)
    numbers = OrderNumbers(table.ids)
    sort: set[str] = set()
    while True:
        stream = Stream(
            table.parents, symbols=len(table.symbols), horizons_ns=spans,
            max_age_ns=span_ns(max_age, "max_age"),
        )  # fmt: skip
        clock: dict[str, bool | None] = {"orders": table.zoned}
        try:
            stream.run(
                _fills(fills, table, numbers, clock, "fills" in sort),
                _quotes(quotes, table, clock, "quotes" in sort),
            )
        except OutOfOrder as found:
            if found.table in sort:
                raise
            sort.add(found.table)
            continue
        break
    notes = tuple(f"{name} were not in time order and were sorted" for name in sorted(sort))
    labels = tuple(str(horizon) for horizon in horizons)
    return summarise(table, stream, split=split, labels=labels, notes=notes)


def report_by_partition(
    partitions: Mapping[str, tuple[Table, Table, Table]], *, workers: Workers = HERE, **options: Any
) -> dict[str, TcaReport]:
    """The report of every partition, such as a month or an account, each as `report` gives it alone.

    Parameters
    ----------
    partitions : mapping of str to (orders, fills, quotes)
        Paths have to lead to the same files on every worker.
    workers : Workers, default here
        Where partitions are worked on, such as `desk.workers`; the reports are the same.
    **options
        As `report` takes them.

    Examples
    --------
    >>> import pandas as pd
    >>> orders = pd.DataFrame(
    ...     {"order_id": ["a"], "symbol": ["KO"], "side": ["buy"], "quantity": [1000],
    ...     "decision_price": [10.0],
    ...      "arrival_price": [10.02], "final_price": [10.1], "decision_at": [0], "arrival_at": [1]}
    ... )
    >>> fills = pd.DataFrame(
    ...     {"order_id": ["a"], "quantity": [1000], "price": [10.05], "fee": [0.0], "filled_at": [2]}
    ... )
    >>> quotes = pd.DataFrame({"symbol": ["KO"], "ts": [0], "bid": [10.0], "ask": [10.04]})
    >>> months = {"march": (orders, fills, quotes)}
    >>> list(report_by_partition(months, by="symbol", split="cfa"))
    ['march']
    """
    found = workers.map(_report_of, list(partitions.values()), shared=(options,))
    return dict(zip(partitions, found, strict=True))


def _report_of(options: Mapping[str, Any], partition: tuple[Table, Table, Table]) -> TcaReport:
    return report(*partition, **options)


# --- rows of a table, batch by batch ---------------------------------------------------------------


def _fills(
    fills: Table, table: ParentTable, numbers: OrderNumbers, clock: dict[str, bool | None], sort: bool
) -> Iterator[Batch]:
    wanted = {
        "time": TIMES["fills"], "order_id": ("order_id",), "quantity": QUANTITIES,
        "price": ("price_micro", "price"), "fee": ("fee_micro", "fee"), "execution_id": ("execution_id",),
    }  # fmt: skip
    names = _named(fills, wanted, "fills", optional=("execution_id",))
    last: list[Any] = []
    number, before = Numbering(numbers.of), 0
    for batch in _batches(fills, names, "fills", sort):
        ts, timed = in_place(batch_ns(batch[names["time"]], "fills", clock), before)
        before = int(ts[-1]) if len(ts) else before
        order = number.of(batch[names["order_id"]])
        quantity, price, fee = (floats(batch[names[name]]) for name in ("quantity", "price", "fee"))
        again = np.zeros(len(ts), dtype=np.bool_)
        if "execution_id" in names:
            again = _again(id_values(batch[names["execution_id"]]), ts, last)
        scale = 1.0 if names["price"] == "price_micro" else float(MICRO)
        fee = fee if names["fee"] == "fee_micro" else fee * MICRO
        yield Batch(ts, timed, order, quantity, price, scale, fee, again)


def _quotes(
    quotes: Table | None, table: ParentTable, clock: dict[str, bool | None], sort: bool
) -> Iterator[QuoteBatch]:
    if quotes is None:
        return
    wanted = {
        "time": TIMES["quotes"], "symbol": ("symbol",), "bid": ("bid_micro", "bid"),
        "ask": ("ask_micro", "ask"),
    }  # fmt: skip
    names = _named(quotes, wanted, "quotes")
    scale = 1.0 if names["bid"] == "bid_micro" else float(MICRO)
    number, before = Numbering(lambda names: table.symbols.get_indexer(names.astype(str))), 0
    for batch in _batches(quotes, names, "quotes", sort):
        ts, timed = in_place(batch_ns(batch[names["time"]], "quotes", clock), before)
        before = int(ts[-1]) if len(ts) else before
        bid, ask = floats(batch[names["bid"]]), floats(batch[names["ask"]])
        bid = bid if timed.all() else np.where(timed, bid, np.nan)  # no quote without a time
        yield QuoteBatch(ts, number.of(batch[names["symbol"]]), bid, ask, scale)


def _named(
    source: Table, wanted: dict[str, tuple[str, ...]], name: str, optional: tuple[str, ...] = ()
) -> dict[str, str]:
    """The table's own name of each column."""
    held = list(source.columns) if _is_frame(source) else _schema_names(_files(source, name)[0])
    found = {}
    for meaning, names in wanted.items():
        present = [one for one in names if one in held]
        if present:
            found[meaning] = present[0]
        elif meaning not in optional:
            raise ValueError(f"{name} has none of the columns {', '.join(names)}")
    return found


def _batches(source: Table, names: dict[str, str], name: str, sort: bool) -> Iterator[Any]:
    """Mappings of column name to column, `_ROWS` rows at a time."""
    columns = list(dict.fromkeys(names.values()))
    if _is_frame(source):
        frame = source[columns]
        if sort:
            order = np.argsort(times_ns(frame[names["time"]], name)[0], kind="stable")
            frame = frame.iloc[order]
        for first in range(0, len(frame), _ROWS):
            yield frame.iloc[first : first + _ROWS]
        return
    files = _files(source, name)
    texts = [names[meaning] for meaning in ("symbol", "order_id") if meaning in names]
    if sort:
        yield from _sorted_batches(files, columns, names["time"])
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    for path in files:
        held = pq.read_schema(path)
        as_words = [text for text in texts if held.field(text).type in (pa.string(), pa.large_string())]
        with _opened(path, as_words) as file:
            for groups in _runs(file.metadata):
                yield from file.iter_batches(_ROWS, groups, columns, use_threads=False)


def _opened(path: Path, as_words: list[str]) -> Any:
    """The file, its columns decoded into memory of the C library.

    Arrow's own allocator gives a batch's pages back to the system, which clears them for the next batch.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    usual = pa.default_memory_pool()
    pa.set_memory_pool(pa.system_memory_pool())  # a reader keeps the one it was made under
    try:
        return pq.ParquetFile(path, read_dictionary=as_words, pre_buffer=False)
    finally:
        pa.set_memory_pool(usual)


def _runs(held: Any) -> Iterator[list[int]]:
    """Neighbouring row groups that fill a batch: one that ends inside a group is put together from copies."""
    found: list[int] = []
    rows = 0
    for group in range(held.num_row_groups):
        rows += held.row_group(group).num_rows
        if found and rows > _ROWS:
            yield found
            found, rows = [], held.row_group(group).num_rows
        found.append(group)
    if found:
        yield found


def _sorted_batches(files: list[Path], columns: list[str], time: str) -> Iterator[Any]:
    """The rows in time order, sorted on disk by DuckDB; rows of one instant keep their order in the files."""
    import duckdb

    quoted = ", ".join(f'"{column}"' for column in columns)
    with tempfile.TemporaryDirectory() as folder:
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": _SORT_MEMORY,
            "temp_directory": folder,
            "threads": 1,
        }
        with duckdb.connect(config=config) as connection:
            rows = connection.sql(
                f"SELECT {quoted} FROM read_parquet($files, filename=true, file_row_number=true) "  # noqa: S608
                f'ORDER BY "{time}", filename, file_row_number',
                params={"files": [str(path) for path in files]},
            )
            yield from rows.to_arrow_reader(_ROWS)


def _again(ids: Any, ts: Integers, last: list[Any]) -> Any:
    """Fills whose execution id stood at the same instant before; `last` carries the end of a batch."""
    import pandas as pd

    keys = pd.DataFrame({"ts": np.append(ts, []), "id": np.asarray(ids)})
    before = pd.DataFrame(last, columns=["ts", "id"]).astype(keys.dtypes.to_dict()) if last else keys.head(0)
    both = pd.concat([before, keys], ignore_index=True)
    again = (both.duplicated() & both["id"].notna()).to_numpy()[len(before) :]
    end = both[both["ts"] == both["ts"].iloc[-1]] if len(both) else both
    last[:] = end.to_numpy().tolist()
    return again


# --- tables and files ------------------------------------------------------


def _is_frame(source: Any) -> Any:
    return hasattr(source, "columns")


def _frame(source: Table, name: str) -> pd.DataFrame:
    import pandas as pd

    if _is_frame(source):
        return pd.DataFrame(source)
    # not by pandas.read_parquet: that one loads pyarrow's data sets, which takes longer than 200,000 orders
    files = (_opened(path, []) for path in _files(source, name))
    tables: list[pd.DataFrame] = [file.read(use_threads=False).to_pandas() for file in files]
    return pd.concat(tables, ignore_index=True)


def _files(source: Any, name: str) -> list[Path]:
    path = Path(source)
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise DataError(
            f"{name}: there is no Parquet file at {path}",
            next_step="name a Parquet file or a folder of them", path=str(path),
        )  # fmt: skip
    return files


def _schema_names(path: Path) -> list[str]:
    import pyarrow.parquet as pq

    return list(pq.read_schema(path).names)
