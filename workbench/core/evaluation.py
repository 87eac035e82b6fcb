"""What forecasts would have earned after cost, by a declared and deliberately simple book.

The book is no policy and no fill simulation: it compares candidates on equal terms. At each session's
close a tranche of 1 / horizon of the notional is split over the symbols in proportion to their forecasts;
the book holds the last `horizon` tranches (Jegadeesh and Titman 1993). It trades at the *next* session's
open, earns from open to open, and pays the expected cost of one side for everything it trades, the final
liquidation included. A trade whose cost is not known is not made, nor is one without a bar.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from workbench.core.costs import CostModel, expected_cost_bps
from workbench.core.features import STATISTICS_ROWS, market_statistics
from workbench.core.types import BPS, MICRO, Bars, Floats, Integers


class NetResult(NamedTuple):
    """Means a session over the sessions in which the book could hold something.

    Attributes
    ----------
    gross_bps, cost_bps, net_bps : float
        Return on the declared notional, bps a session; net = gross - cost.
    turnover : float
        Traded value over the notional, a session.
    hold_bps : float
        What holding all symbols in equal parts earned over the same sessions, without cost.
    """

    gross_bps: float
    cost_bps: float
    net_bps: float
    turnover: float
    hold_bps: float


class BookSeries(NamedTuple):
    """What the book did session by session; only the sessions in which it could hold something.

    Attributes
    ----------
    rows : int64 (sessions,)
        Position of each session's bar, at whose close the book was decided.
    gross_bps, cost_bps, turnover, hold_bps : float64 (sessions,)
        As in `NetResult`; the last cost and turnover hold the final liquidation.
    """

    rows: Integers
    gross_bps: Floats
    cost_bps: Floats
    turnover: Floats
    hold_bps: Floats

    @property
    def net_bps(self) -> Floats:
        """Gross less cost of each session."""
        return self.gross_bps - self.cost_bps

    def means(self) -> NetResult:
        """Means a session; zeros where there was none."""
        if not len(self.rows):
            return NetResult(0.0, 0.0, 0.0, 0.0, 0.0)
        gross, cost, turnover, hold = (float(np.mean(series)) for series in self[1:])
        return NetResult(gross, cost, gross - cost, turnover, hold)


def cost_per_side_bps(bars: Bars, cost_model: CostModel, *, notional_usd: float) -> Floats:
    """Expected one-way cost of an order of that value at each row, float64 (2, times, symbols).

    Parameters
    ----------
    bars : Bars
        Adjusted. The cost of a row rests on the 21 bars that end with it.
    cost_model : CostModel
        Its parameters are applied to every row: published priors have no date of their own.
    notional_usd : float
        Value of one order; shares are rounded down.

    Returns
    -------
    float64 (2, times, symbols)
        Buying, then selling, bps; NaN where it is not known.
    """
    out = np.full((2, *bars.close.shape), np.nan)
    parameters, rates = cost_model.parameters.values(), cost_model.fees.rates()
    for row in range(STATISTICS_ROWS - 1, len(bars.ts_ns)):
        adv, volatility, half_spread = market_statistics(bars.rows(row - STATISTICS_ROWS + 1, row + 1))
        for column, price in enumerate(bars.close[row]):
            if not (bars.tradable[row, column] and 0.0 < price <= notional_usd):
                continue
            shares, price_micro = int(notional_usd / price), round(price * MICRO)
            facts = (adv[column], volatility[column], half_spread[column])
            for at, side in enumerate((1, -1)):
                mean, _, _ = expected_cost_bps(side, shares, price_micro, *facts, parameters, rates)
                out[at, row, column] = mean
    return out


def book_by_session(
    forecast: Floats, bars: Bars, cost_bps: Floats, *, rows: Integers, horizon: int, allow_short: bool
) -> BookSeries:
    """Result of the book session by session over consecutive rows whose forecasts were made out of sample.

    Parameters
    ----------
    forecast : float64 (times, symbols)
        Any unit: only proportions within a row count. NaN = no tranche in that symbol.
    bars : Bars
        Adjusted.
    cost_bps : float64 (2, times, symbols)
        From `cost_per_side_bps`, known at the close of each row.
    rows : int64 (rows,)
        Consecutive positions that may trade. The last two bars of the panel cannot: a trade needs the
        next open, its return the one after.
    horizon : int
        Sessions that a tranche is held.
    allow_short : bool
        Without it negative forecasts are no position.
    """
    targets = _tranches(forecast[rows], allow_short=allow_short)
    opens = _last_known(np.where(bars.tradable & (bars.open > 0.0), bars.open, np.nan))
    book = np.zeros(len(bars.symbols))
    gross, cost, turnover, hold = [], [], [], []
    last_side = np.zeros((2, len(bars.symbols)))
    inside = [at for at, row in enumerate(rows) if row + 2 < len(bars.ts_ns)]
    for at in inside:
        row = int(rows[at])
        target = targets[max(0, at - horizon + 1) : at + 1].sum(axis=0) / horizon
        side = cost_bps[:, row]
        known = np.isfinite(side).all(axis=0)
        last_side = np.where(known, side, last_side)
        change = np.where(known & bars.tradable[row + 1], target - book, 0.0)
        book = book + change
        traded = np.abs(change)
        cost.append(float(np.sum(traded * np.where(change > 0.0, last_side[0], last_side[1]))))
        turnover.append(float(np.sum(traded)))
        with np.errstate(invalid="ignore", divide="ignore"):
            moved = opens[row + 2] / opens[row + 1] - 1.0
        moved = np.where(np.isfinite(moved), moved, 0.0)
        gross.append(float(np.sum(book * moved)) * BPS)
        hold.append(float(np.mean(moved)) * BPS)
        book = book * (1.0 + moved)
    if inside:
        cost[-1] += float(np.sum(np.abs(book) * np.where(book > 0.0, last_side[1], last_side[0])))
        turnover[-1] += float(np.sum(np.abs(book)))
    return BookSeries(
        np.asarray(rows, dtype=np.int64)[inside],
        *(np.array(series, dtype=np.float64) for series in (gross, cost, turnover, hold)),
    )


def _tranches(forecast: Floats, *, allow_short: bool) -> Floats:
    """Weights of each row's tranche; their absolute values sum to one, or to zero without a forecast."""
    wanted = np.where(np.isfinite(forecast), forecast, 0.0)
    if not allow_short:
        wanted = np.maximum(wanted, 0.0)
    size = np.sum(np.abs(wanted), axis=1, keepdims=True)
    weights: Floats = np.divide(wanted, size, out=np.zeros_like(wanted), where=size > 0.0)
    return weights


def _last_known(prices: Floats) -> Floats:
    """Each column with its gaps filled by the last price before them: a position waits for the next."""
    at = np.where(np.isfinite(prices), np.arange(len(prices))[:, None], 0)
    filled: Floats = np.take_along_axis(prices, np.maximum.accumulate(at, axis=0), axis=0)
    return filled
