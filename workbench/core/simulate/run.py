"""Simulate a policy over history: the Python face of the compiled loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from workbench.core.costs import CostModel, PriorCost
from workbench.core.fills import FillParams
from workbench.core.policy import PolicyParams
from workbench.core.pretrade import Limits
from workbench.core.pretrade.recent import sector_numbers
from workbench.core.simulate.arrays import (
    ACCOUNT_ROWS,
    AccountRow,
    Book,
    FillColumn,
    History,
    MoneyColumn,
    OrderColumn,
    Rules,
)
from workbench.core.simulate.history import MarketHistory, prepare
from workbench.core.simulate.loop import advance
from workbench.core.simulate.result import SimulationResult
from workbench.core.types import MICRO, NANO, Bars, Floats, Integers

#: Rows that are worked through between two calls of `progress`.
CHUNK_ROWS = 50_000
#: Records have room for one order in so many rows of a symbol before they are made larger.
ROWS_PER_ORDER = 16
_MAX_CASH_USD = 1_000_000_000_000


@dataclass(frozen=True)
class Parameters:
    """One parameter set of a simulation."""

    policy: PolicyParams
    limits: Limits
    costs: CostModel
    fills: FillParams
    seed: int
    cash_usd: int = 1_000_000


def simulate(
    bars: Bars | MarketHistory,
    forecast: Floats,
    *,
    policy: PolicyParams,
    limits: Limits,
    costs: CostModel,
    fills: FillParams,
    seed: int,
    cash_usd: int = 1_000_000,
    keep_decisions: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> SimulationResult:
    """Orders, fills and equity of a policy over history, by the kernels that a trading session calls.

    After each bar the policy decides on what was known at its end; the controls judge every order; the
    venue fills what the *next* bar allows (auction at its open, range, close), within a share of volume;
    what is left expires at that close. A cash account without margin or short sale.

    Parameters
    ----------
    bars : Bars or MarketHistory
        Adjusted bars, or what `prepare` made of bars, splits, dividends and session hours. A prepared
        history is shared by runs without a copy.
    forecast : float64 (times, symbols)
        Row t is what is known at the *end* of bar t: the expected return over the policy's horizon, as a
        fraction; NaN = none. It must not use bars after t.
    policy : PolicyParams
    limits : Limits
    costs : CostModel
        Its parameters are applied to every bar: published priors have no date of their own.
    fills : FillParams
    seed : int
        Recorded with the result; nothing here is drawn at random.
    cash_usd : int, default 1_000_000
        Opening cash.
    keep_decisions : bool, default False
        Whether the policy's decision for every symbol and bar is kept; orders are the same either way.
    progress : callable (rows done, rows in all) or None
        Called between chunks; an exception that it raises ends the simulation.

    Returns
    -------
    SimulationResult
        `.orders`, `.fills`, `.equity` as frames, `.digest`, and the records as integers.

    Raises
    ------
    ValueError
        The forecast does not have one row for each bar and one column for each symbol, or cash or seed
        is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> import workbench as wb
    >>> from workbench.core.fills import FillParams
    >>> from workbench.core.policy import PolicyParams
    >>> from workbench.core.pretrade import Limits
    >>> from workbench.core.validation.guard import reference_bars
    >>> bars = reference_bars(())
    >>> forecast = np.full(bars.close.shape, 0.01)
    >>> prior = wb.costs.prior(wb.costs.PriorCost(), wb.costs.FeeSchedule(), as_of_ns=0)
    >>> found = wb.simulate(bars, forecast, policy=PolicyParams(), limits=Limits(), costs=prior,
    ...     fills=FillParams(), seed=1)
    >>> len(found.equity) == len(bars.ts_ns)
    True
    """
    market = bars if isinstance(bars, MarketHistory) else prepare(bars)
    parameters = Parameters(policy, limits, costs, fills, seed, cash_usd)
    values = _checked(market, forecast, parameters)
    rules = _rules(parameters)
    book = _new_book(market, parameters, keep_decisions=keep_decisions)
    rows = len(market.bars.ts_ns)
    at = 0
    while at < rows:
        reached = int(advance(market.arrays, values, rules, book, at, min(at + CHUNK_ROWS, rows)))
        if reached < min(at + CHUNK_ROWS, rows):
            book = _with_more_room(book)
        at = reached
        if progress is not None:
            progress(at, rows)
    return _result(market, book, seed)


def _checked(market: MarketHistory, forecast: Floats, parameters: Parameters) -> Floats:
    shape = market.bars.close.shape
    values: Floats = np.ascontiguousarray(forecast, dtype=np.float64)
    if parameters.policy.slicing != "largest":
        raise ValueError(
            f"policy.slicing = {parameters.policy.slicing!r}: bars of a day cannot tell when a slice is due; "
            "simulate with 'largest'"
        )
    if values.shape != shape:
        raise ValueError(f"forecast has shape {values.shape}, the bars have {shape}")
    if not 0 < parameters.cash_usd <= _MAX_CASH_USD:
        raise ValueError(f"cash_usd = {parameters.cash_usd!r} must lie between 1 and {_MAX_CASH_USD}")
    if isinstance(parameters.seed, bool) or not 0 <= parameters.seed < 2**63:
        raise ValueError(f"seed = {parameters.seed!r} must be a whole number from 0 on")
    return values


def _rules(parameters: Parameters) -> Rules:
    prior = parameters.costs.parameters
    if not isinstance(prior, PriorCost):
        raise ValueError(
            "costs are fitted symbol by symbol: a simulation prices with a prior, see costs.prior"
        )
    return Rules(
        policy=parameters.policy.values(),
        limits=parameters.limits.values(),
        prior=prior.values(),
        rates=parameters.costs.fees.rates(),
        fills=parameters.fills.values(),
        max_slice_shares=int(parameters.policy.max_slice_shares),
        duplicate_window_ns=int(parameters.limits.duplicate_window_s) * NANO,
        known_micro=float(prior.max_notional_usd) * MICRO,
        window_ns=int(parameters.limits.window_s) * NANO,
        price_move_sessions=int(parameters.limits.price_move_sessions),
    )


def _new_book(market: MarketHistory, parameters: Parameters, *, keep_decisions: bool) -> Book:
    rows, symbols = market.bars.close.shape

    def integers(*shape: int) -> Integers:
        return np.zeros(shape, dtype=np.int64)

    money, account = integers(len(MoneyColumn)), integers(ACCOUNT_ROWS, symbols)
    money[MoneyColumn.CASH] = parameters.cash_usd * MICRO
    account[AccountRow.RATIO_NEW] = account[AccountRow.RATIO_OLD] = 1
    account[AccountRow.RESTRICTED] = [s in parameters.limits.restricted for s in market.bars.symbols]
    account[AccountRow.SECTOR] = _shared_sectors(market.bars.symbols, parameters.limits)
    room = 1_024 + 8 * symbols + rows * symbols // ROWS_PER_ORDER  # memory is taken as it is written
    return Book(
        money=money, account=account, series=integers(2, rows), orders=integers(room, len(OrderColumn)),
        fills=integers(room, len(FillColumn)), queue=integers(2 * symbols), floats=np.zeros((5, symbols)),
        decisions=integers(rows if keep_decisions else 0, 9, symbols),
    )  # fmt: skip


def _shared_sectors(symbols: tuple[str, ...], limits: Limits) -> Integers:
    """Number of each symbol's sector; -1 for a symbol that is a sector of its own."""
    numbers = sector_numbers(symbols, limits.sectors)
    sizes = np.bincount(numbers, minlength=len(symbols))
    return np.where(sizes[numbers] > 1, numbers, -1)


def _with_more_room(book: Book) -> Book:
    """The book with records of twice the size; everything else stays where it is."""
    return book._replace(
        orders=np.concatenate([book.orders, np.zeros_like(book.orders)]),
        fills=np.concatenate([book.fills, np.zeros_like(book.fills)]),
    )


def _result(market: MarketHistory, book: Book, seed: int) -> SimulationResult:
    orders = book.orders[: book.money[MoneyColumn.ORDERS]]
    fills = book.fills[: book.money[MoneyColumn.FILLS]]
    held = {
        symbol: int(shares)
        for symbol, shares in zip(market.bars.symbols, book.account[AccountRow.POSITION], strict=True)
        if shares
    }
    return SimulationResult(
        symbols=market.bars.symbols,
        ts_ns=market.arrays.ts_ns,
        order_record=orders,
        fill_record=fills,
        equity_micro=book.series[0],
        cash_micro=book.series[1],
        positions=held,
        decisions=book.decisions[:-1] if len(book.decisions) else None,
        fill_ns=_fill_times(market.arrays, fills),
        seed=seed,
        bars=market.bars,
    )


def _fill_times(arrays: History, fills: Integers) -> Integers:
    """Time of each fill: open or close of its session; where hours are not said, the end of its bar."""
    rows = fills[:, FillColumn.ROW]
    if not len(arrays.hours):
        return arrays.ts_ns[rows]
    return arrays.hours[rows, 1 + fills[:, FillColumn.AT_CLOSE]]
