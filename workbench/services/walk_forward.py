"""Walk-forward evaluation: each block of sessions is forecast by a model that knew only what came before.

A training row is purged when its label is not known strictly before the first row of the block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from workbench.core.evaluation import BookSeries, book_by_session
from workbench.core.features import Feature, compute_history
from workbench.core.forecast import ForecastModel
from workbench.core.labels import Label
from workbench.core.types import Bars, Booleans, Floats, Integers
from workbench.core.validation.partition import partition_of, row_ranges
from workbench.errors import DataError

FOLDS = 4
#: Fewest rows that a fit, and a test block, may rest on.
MIN_TRAIN_ROWS = 100
MIN_TEST_ROWS = 30

Fit = Callable[[Floats, Floats], ForecastModel]  #: model of a matrix (rows, features) and target (rows,)


@dataclass(frozen=True)
class TrainingRows:
    """Pooled rows in order of time, then symbol: only those with every feature and a label.

    Attributes
    ----------
    matrix : float64 (rows, features)
    target : float64 (rows,)
        Label of each row, as a fraction.
    bar, column : int64 (rows,)
        Position of each row's bar, and of its symbol, in the panel.
    known_ns, label_end_ns : int64 (rows,)
        Time at which the features were known and at which the label was, UTC nanoseconds.
    """

    matrix: Floats
    target: Floats
    bar: Integers
    column: Integers
    known_ns: Integers
    label_end_ns: Integers


@dataclass(frozen=True, eq=False)
class Book:
    """What the forecasts of a block are traded with, see `workbench.core.evaluation`.

    Attributes
    ----------
    bars : Bars
    cost_bps : float64 (2, times, symbols)
        Expected cost of buying and of selling at each row.
    horizon_sessions : int
    allow_short : bool
    """

    bars: Bars
    cost_bps: Floats
    horizon_sessions: int
    allow_short: bool

    def result(self, forecast: Floats, block: Integers) -> BookSeries:
        """What forecasts (times, symbols) earned over a block of consecutive rows."""
        return book_by_session(
            forecast,
            self.bars,
            self.cost_bps,
            rows=np.arange(block[0], block[-1] + 1, dtype=np.int64),
            horizon=self.horizon_sessions,
            allow_short=self.allow_short,
        )


@dataclass(frozen=True)
class Fold:
    """Out-of-sample result of one block of sessions, trained on all that was known before it.

    Attributes
    ----------
    ic : float
        Rank correlation of forecast and label over the pooled rows of the block.
    hit_rate : float
        Share of rows in which forecast and label have the same sign, among those where neither is 0.
    gross_bps, cost_bps, net_bps, turnover, hold_bps : float
        Means a session of the book that trades the forecasts at the next open.
    sessions : tuple of str
        Sessions in which the book could hold something.
    net_of_session_bps, hold_of_session_bps : tuple of float
        Net result of the book, and of holding all symbols, in each of them: what the trial ledger keeps.
    """

    first_session: str
    last_session: str
    train_rows: int
    purged_rows: int
    test_rows: int
    ic: float
    hit_rate: float
    gross_bps: float
    cost_bps: float
    net_bps: float
    turnover: float
    hold_bps: float
    sessions: tuple[str, ...] = field(repr=False)
    net_of_session_bps: tuple[float, ...] = field(repr=False)
    hold_of_session_bps: tuple[float, ...] = field(repr=False)


def training_rows(
    bars: Bars, features: Sequence[Feature], *, label: Label, horizon_sessions: int
) -> TrainingRows:
    """Rows with every feature and a label that ends within the panel, pooled over the symbols."""
    matrix = compute_history(features, bars)
    target, ends = label.labelled(bars, horizon_sessions)
    inside = (ends >= 0) & (ends <= bars.ts_ns[-1])
    usable = np.isfinite(matrix).all(axis=2) & np.isfinite(target) & inside
    bar, column = (at.astype(np.int64) for at in np.nonzero(usable))
    return TrainingRows(matrix[usable], target[usable], bar, column, bars.ts_ns[bar], ends[usable])


def forecast_blocks(rows: TrainingRows) -> list[Integers]:
    """Bar positions of the blocks to be forecast: the span in equal parts, of which the first only trains."""
    bars = np.unique(rows.bar)
    return list(np.array_split(bars, FOLDS + 1)[1:])


def block_rows(rows: TrainingRows, block: Integers) -> tuple[Booleans, Booleans]:
    """Rows that may train a model of the block, and rows that test it, bool (rows,) each."""
    test = (rows.bar >= block[0]) & (rows.bar <= block[-1])
    settled = rows.label_end_ns < rows.known_ns[test].min(initial=np.iinfo(np.int64).max)
    return (rows.bar < block[0]) & settled, test


def partition_hash(rows: TrainingRows) -> str:
    """Hex sha256 of which rows train and test every block: a pure function of bars, label and horizon."""
    parts = [block_rows(rows, block) for block in forecast_blocks(rows) if len(block)]
    splits = [(row_ranges(train), row_ranges(test)) for train, test in parts]
    return partition_of("walk-forward", len(rows.target), splits).sha256


def evaluate_block(
    rows: TrainingRows, block: Integers, *, sessions: Sequence[str], fit: Fit, book: Book
) -> Fold:
    """How a model of everything known before the block forecasts the rows of the block.

    Parameters
    ----------
    block : int64 (bars,)
        Consecutive bar positions, from `forecast_blocks`.
    sessions : sequence of str
        Session of every bar of the panel.
    fit : callable
        Makes a model; it is given the purged training rows only.
    book : Book
        Trades the forecasts, for the result net of cost.

    Raises
    ------
    DataError
        Too few rows, or forecasts or labels without variation.
    """
    if len(block) == 0:
        raise _too_few(0)
    train, test = block_rows(rows, block)
    before = rows.bar < block[0]
    if train.sum() < MIN_TRAIN_ROWS or test.sum() < MIN_TEST_ROWS:
        raise _too_few(len(rows.target))
    forecast = fit(rows.matrix[train], rows.target[train]).forecast(rows.matrix[test])
    ic, hit_rate = _score(forecast, rows.target[test])
    placed = np.full(book.bars.close.shape, np.nan)
    placed[rows.bar[test], rows.column[test]] = forecast
    series = book.result(placed, block)
    return Fold(
        first_session=sessions[block[0]],
        last_session=sessions[block[-1]],
        train_rows=int(train.sum()),
        purged_rows=int((before & ~train).sum()),
        test_rows=int(test.sum()),
        ic=ic,
        hit_rate=hit_rate,
        **{name: round(value, 6) for name, value in series.means()._asdict().items()},
        sessions=tuple(sessions[row] for row in series.rows),
        net_of_session_bps=tuple(series.net_bps.tolist()),
        hold_of_session_bps=tuple(series.hold_bps.tolist()),
    )


def _score(forecast: Floats, target: Floats) -> tuple[float, float]:
    from scipy.stats import rankdata

    signs = np.sign(forecast) * np.sign(target)
    judged = signs[signs != 0]
    if np.ptp(forecast) == 0 or np.ptp(target) == 0 or len(judged) == 0:
        raise DataError(
            "forecasts or labels of a walk-forward block are all the same: nothing can be learnt from it",
            next_step="look at the features of those sessions",
        )
    ic = float(np.corrcoef(rankdata(forecast), rankdata(target))[0, 1])
    return round(ic, 6), round(float(np.mean(judged > 0)), 6)


def _too_few(rows: int) -> DataError:
    return DataError(
        f"{rows} usable rows are too few for {FOLDS} walk-forward blocks",
        next_step="train on more sessions or symbols",
        rows=rows,
    )
