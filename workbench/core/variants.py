"""Families of simple strategies over closes, net of cost: something real to overfit.

Each variant ranks the symbols by one signal, holds the best of them in equal parts, and rebalances every
so many sessions. A position is taken at the close after the signal was known and earns from there on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from workbench.core.kernel import allocating_kernel
from workbench.core.printing import html_table
from workbench.core.types import BPS, Floats
from workbench.core.workers import HERE, Workers

SIGNALS = ("momentum", "reversal", "trend", "low_volatility")


@dataclass(frozen=True, eq=False)
class StrategyVariants:
    """Net returns of every variant and of the benchmark on the same sessions.

    Attributes
    ----------
    returns : DataFrame (sessions, variants)
        Fractions, net of cost.
    benchmark : Series (sessions,)
        All symbols in equal parts, rebalanced every 21 sessions, net of the same cost.
    parameters : DataFrame
        One row a variant: signal, lookback, hold, top, and its mean turnover a session.
    cost_bps : float
    """

    returns: pd.DataFrame
    benchmark: pd.Series
    parameters: pd.DataFrame
    cost_bps: float

    def _repr_html_(self) -> str:
        facts = {
            "variants": self.returns.shape[1], "sessions": len(self.returns),
            "mean turnover a session": float(self.parameters["turnover"].mean()),
        }  # fmt: skip
        return html_table("Strategy variants", facts, {"returns": f"fractions, net of {self.cost_bps:g} bps"})


def strategy_variants(
    closes: pd.DataFrame,
    *,
    cost_bps: float,
    lookbacks: Sequence[int],
    holds: Sequence[int],
    tops: Sequence[int],
    signals: Sequence[str] = SIGNALS,
    workers: Workers = HERE,
) -> StrategyVariants:
    """Every combination of signal, lookback, holding period and breadth, net of cost.

    Parameters
    ----------
    closes : DataFrame (sessions, symbols)
        Adjusted closes in order of time, without gaps.
    cost_bps : float
        Cost of one side in bps of the value traded. No default: free trading flatters the fastest variant.
    lookbacks : sequence of int
        Sessions that a signal looks back, >= 2.
    holds : sequence of int
        Sessions between rebalancings, >= 1.
    tops : sequence of int
        Symbols held at a time.
    signals : sequence of {"momentum", "reversal", "trend", "low_volatility"}
        Return over the lookback; minus it; close over its mean; minus the deviation of returns.
    workers : Workers, default here
        Where signals are worked on, such as `desk.workers`; the result is the same.

    Returns
    -------
    StrategyVariants
        From the first session at which every variant could hold something.

    Raises
    ------
    ValueError
        Missing or unordered closes, or a parameter out of range.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> import workbench as wb
    >>> moves = np.random.default_rng(1).normal(0.0, 0.01, (300, 4))
    >>> closes = pd.DataFrame(50.0 * np.cumprod(1.0 + moves, axis=0), columns=list("ABCD"))
    >>> closes.index = pd.bdate_range("2012-01-02", periods=300)
    >>> found = wb.overfitting.strategy_variants(closes, cost_bps=5.0, lookbacks=[5, 20], holds=[5], tops=[2])
    >>> found.returns.shape[1]
    8
    """
    _require(closes, cost_bps, lookbacks, holds, tops, signals)
    price = closes.to_numpy(dtype=np.float64)
    moves = np.vstack([np.zeros(price.shape[1]), price[1:] / price[:-1] - 1.0])
    first = max(lookbacks) + 1
    made, rows = {}, []
    pieces = list(product(signals, lookbacks))
    shared = (price, moves, first, cost_bps, tuple(product(holds, tops)))
    found = workers.map(_variants_of, pieces, shared=shared)
    for (signal, lookback), held in zip(pieces, found, strict=True):
        for (hold, top), (returns, turnover) in zip(shared[-1], held, strict=True):
            name = f"{signal}_{lookback}_{hold}_{top}"
            made[name] = returns
            rows.append((name, signal, lookback, hold, top, turnover))
    equal = np.full(price.shape, 1.0 / price.shape[1])
    benchmark, _ = _held(equal, moves, first, 21, cost_bps)
    sessions = closes.index[first + 1 :]
    columns = ["variant", "signal", "lookback", "hold", "top", "turnover"]
    return StrategyVariants(
        pd.DataFrame(made, index=sessions),
        pd.Series(benchmark, index=sessions, name="equal weight"),
        pd.DataFrame(rows, columns=columns).set_index("variant"),
        cost_bps,
    )


def _variants_of(
    price: Floats, moves: Floats, first: int, cost_bps: float, books: Sequence[tuple[int, int]],
    piece: tuple[str, int],
) -> list[tuple[Floats, float]]:  # fmt: skip
    """Returns and mean turnover of every (hold, top) in `books` for one signal and lookback."""
    place = _places(_signal(price, moves, *piece))
    return [_held((place < top) / top, moves, first, hold, cost_bps) for hold, top in books]


def _signal(price: Floats, moves: Floats, signal: str, lookback: int) -> Floats:
    out = np.full(price.shape, np.nan)
    if signal in ("momentum", "reversal"):
        change = price[lookback:] / price[:-lookback] - 1.0
        out[lookback:] = change if signal == "momentum" else -change
        return out
    values = price if signal == "trend" else moves
    windows = np.lib.stride_tricks.sliding_window_view(values, lookback, axis=0)
    if signal == "trend":
        out[lookback - 1 :] = price[lookback - 1 :] / windows.mean(axis=2) - 1.0
    else:
        out[lookback - 1 :] = -windows.std(axis=2)
    return out


def _places(signal: Floats) -> Floats:
    """Place of each symbol, 0 the best; equal ones in order of their names."""
    order = np.argsort(-signal, axis=1, kind="stable")
    place = np.empty_like(order)
    np.put_along_axis(place, order, np.arange(order.shape[1])[None, :], axis=1)
    return place.astype(np.float64)


def _held(target: Floats, moves: Floats, first: int, hold: int, cost_bps: float) -> tuple[Floats, float]:
    """Net return of each session after `first`, and mean turnover; weights drift between rebalancings."""
    net = np.zeros(len(moves))
    turned = _hold(target, moves, first, hold, cost_bps / BPS, np.zeros(moves.shape[1]), net)
    return net[first + 1 :], turned / max(len(moves) - 1 - first, 1)


@allocating_kernel
def _hold(
    target: Floats, moves: Floats, first: int, hold: int, cost: float, book: Floats, net: Floats
) -> float:
    """Write the net returns to `net` and return the whole turnover; `book` starts empty."""
    turned = 0.0
    for row in range(first, moves.shape[0] - 1):
        paid = 0.0
        if (row - first) % hold == 0:
            for j in range(book.shape[0]):
                paid += abs(target[row, j] - book[j])
                book[j] = target[row, j]
            turned += paid
        earned = 0.0
        for j in range(book.shape[0]):
            earned += book[j] * moves[row + 1, j]
        for j in range(book.shape[0]):
            book[j] *= (1.0 + moves[row + 1, j]) / (1.0 + earned)
        net[row + 1] = earned - paid * cost
    return turned


def _require(
    closes: pd.DataFrame,
    cost_bps: float,
    lookbacks: Sequence[int],
    holds: Sequence[int],
    tops: Sequence[int],
    signals: Sequence[str],
) -> None:
    values = closes.to_numpy(dtype=np.float64)
    if not np.all(values > 0.0) or not np.isfinite(values).all():
        raise ValueError("closes must all be there and positive: gaps are not filled here")
    if not (closes.index.is_monotonic_increasing and closes.index.is_unique):
        raise ValueError("closes must have one row a session, in order of time")
    if not 0.0 <= cost_bps < BPS:
        raise ValueError(f"cost_bps = {cost_bps} must be at least 0")
    unknown = sorted(set(signals) - set(SIGNALS))
    if unknown:
        raise ValueError(f"signals must be among {', '.join(SIGNALS)}; unknown: {', '.join(unknown)}")
    if not (signals and lookbacks and holds and tops):
        raise ValueError("signals, lookbacks, holds and tops must each name at least one")
    if min(lookbacks) < 2 or min(holds) < 1 or not 1 <= min(tops) <= max(tops) <= values.shape[1]:
        raise ValueError("lookbacks must be >= 2, holds >= 1, and tops from 1 to the number of symbols")
    if max(lookbacks) + 2 >= len(values):
        raise ValueError(f"{len(values)} sessions are too few for a lookback of {max(lookbacks)}")
