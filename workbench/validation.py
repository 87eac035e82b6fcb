"""Validation: purged splits for scikit-learn, and detectors of leaks and of warm-up.

Examples
--------
>>> import workbench as wb
>>> wb.validation.CombinatorialPurgedKFold(10, 2, purge=5, embargo=5).n_paths
9
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from workbench.core.features import registered_features
from workbench.core.types import Bars
from workbench.core.validation import (
    CombinatorialPurgedKFold,
    Finding,
    LeakReport,
    Partition,
    PurgedKFold,
    WalkForward,
    detect_label_overlap,
    detect_lookahead,
    detect_warmup,
    refitted_paths,
)
from workbench.core.validation.guard import leak_reports
from workbench.core.validation.panels import bars_from_frame
from workbench.core.validation.zoo import score_zoo
from workbench.errors import DataError

__all__ = [
    "CombinatorialPurgedKFold",
    "Finding",
    "LeakReport",
    "Partition",
    "PurgedKFold",
    "WalkForward",
    "check_features",
    "detect_label_overlap",
    "detect_lookahead",
    "detect_warmup",
    "read_bars",
    "read_daily",
    "refitted_paths",
    "score_zoo",
]

#: Rows behind the longest lookback, at which values are computed again.
_TRIED_ROWS = 40


def check_features(bars: Bars) -> pd.DataFrame:
    """What both detectors say of every registered feature, one row each.

    Parameters
    ----------
    bars : Bars
        At least as many rows as the longest lookback, and 40 more; see `read_bars`.

    Returns
    -------
    DataFrame
        Columns lookback, bars_tested, lookahead and warmup (numbers of findings), clean; index feature.

    Raises
    ------
    DataError
        Fewer rows than that: a feature that was not tried out would look clean.

    Examples
    --------
    >>> import workbench as wb
    >>> from workbench.core.validation.guard import reference_bars
    >>> from workbench.extending import registered_features
    >>> found = wb.validation.check_features(reference_bars(registered_features()))
    >>> bool(found["clean"].all())
    True
    """
    features = registered_features()
    needed = max(one.lookback for one in features) + _TRIED_ROWS
    if len(bars.ts_ns) < needed:
        raise DataError(
            f"{len(bars.ts_ns)} rows are too few to try out every feature",
            next_step=f"give {needed} or more: the longest lookback and {_TRIED_ROWS} behind it",
        )
    reports = leak_reports(features, bars)
    ahead, warm = reports[::2], reports[1::2]
    return pd.DataFrame(
        {
            "lookback": [one.lookback for one in features],
            "bars_tested": [report.bars_tested for report in ahead],
            "lookahead": [len(report.findings) for report in ahead],
            "warmup": [len(report.findings) for report in warm],
            "clean": [first.clean and second.clean for first, second in zip(ahead, warm, strict=True)],
        },
        index=pd.Index([one.name for one in features], name="feature"),
    )


def read_bars(paths: Sequence[str | Path], *, last: int | None = None) -> Bars:
    """Daily Parquet files as one panel of bars over the sessions that any of them has.

    Parameters
    ----------
    paths : sequence of str or Path
        Files with columns symbol, session (ISO date), open, high, low, close, volume, as in the sample.
    last : int or None, default None
        Sessions to keep, counted from the end.

    Returns
    -------
    Bars
        Prices as they stand in the files; each session ends at 21:00 UTC. Not tradable where a symbol has no
        row. For looking at features: the desk's own store knows the exchange's hours and the splits.

    Raises
    ------
    ValueError
        No file, or two rows for a symbol and session.

    Examples
    --------
    >>> import pandas as pd
    >>> import workbench as wb
    >>> row = {"symbol": "KO", "open": 10.0, "high": 11.0, "low": 9.0, "close": 10.5, "volume": 1000.0}
    >>> pd.DataFrame([{**row, "session": "2013-01-02"}, {**row,
    ...     "session": "2013-01-03"}]).to_parquet("ko.parquet")
    >>> wb.validation.read_bars(["ko.parquet"]).close.tolist()
    [[10.5], [10.5]]
    """
    if not paths:
        raise ValueError("there is no file to read bars from")
    return bars_from_frame(pd.concat([pd.read_parquet(path) for path in paths]), last=last)


def read_daily(folder: str | Path, symbols: Sequence[str]) -> pd.DataFrame:
    """Daily rows of the symbols as they stand in a folder of sample data, one symbol after the other.

    Parameters
    ----------
    folder : str or Path
        As `data/sample`: holds `daily/SYMBOL.parquet`.
    symbols : sequence of str
        At least one, in the wanted order.

    Returns
    -------
    DataFrame
        Columns symbol, session (ISO date), open, high, low, close in USD, volume in shares; prices and shares
        as printed on the day, so splits are steps.

    Raises
    ------
    DataError
        A symbol without a file; the message names those that have one.

    Examples
    --------
    >>> import pandas as pd
    >>> import workbench as wb
    >>> from pathlib import Path
    >>> Path("daily").mkdir()
    >>> pd.DataFrame([{"symbol": "KO", "close": 10.5}]).to_parquet("daily/KO.parquet")
    >>> wb.validation.read_daily(".", ["KO"])["close"].tolist()
    [10.5]
    """
    there = {path.stem: path for path in sorted(Path(folder, "daily").glob("*.parquet"))}
    missing = [symbol for symbol in symbols if symbol not in there]
    if missing or not symbols:
        raise DataError(
            f"no daily prices of {', '.join(missing) or 'no symbol'} in {Path(folder, 'daily')}",
            next_step=f"name one or more of: {', '.join(there) or 'none is there; is the folder right?'}",
        )
    return pd.concat([pd.read_parquet(there[symbol]) for symbol in symbols])
