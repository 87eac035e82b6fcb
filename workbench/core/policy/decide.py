"""One row of decisions from a snapshot and a forecast."""

from __future__ import annotations

import numpy as np

from workbench.core.policy.kernels import decide_row, forecast_row
from workbench.core.policy.params import PolicyParams
from workbench.core.types import Decision, Floats, Integers, Snapshot


def decide(snapshot: Snapshot, forecast: Floats, params: PolicyParams, cost_floor_bps: Floats) -> Decision:
    """What to do about every symbol of the snapshot, each with a reason.

    Parameters
    ----------
    snapshot : Snapshot
    forecast : float64 (symbols,)
        Expected return over the horizon as a fraction; NaN = none. Rounded to 1e-6 first.
    params : PolicyParams
    cost_floor_bps : float64 (symbols,)
        Upper round-trip cost at the intended size (`intended_shares`); NaN = not known.

    Returns
    -------
    Decision
        A symbol that is frozen, not tradable or lacks an input keeps its position and gets no order.

    Raises
    ------
    ValueError
        The arrays do not have one element for each symbol.
    """
    n = len(snapshot.symbols)
    if np.shape(forecast) != (n,) or np.shape(cost_floor_bps) != (n,):
        raise ValueError(f"forecast and cost_floor_bps must have one element for each of {n} symbols")
    forecast_micro = forecast_grid(forecast)
    out = np.empty((8, n), dtype=np.int64)
    # copies are contiguous and writable, so that numba compiles one specialisation only
    decide_row(
        forecast_micro,
        np.array(snapshot.price_micro, dtype=np.int64),
        np.array(snapshot.volatility_bps, dtype=np.float64),
        np.array(cost_floor_bps, dtype=np.float64),
        np.array(snapshot.position_shares, dtype=np.int64),
        np.array(snapshot.open_buy_shares | snapshot.open_sell_shares, dtype=np.int64),
        np.array(snapshot.tradable, dtype=np.int64),
        np.array(snapshot.frozen, dtype=np.int64),
        int(snapshot.equity_micro),
        params.values(),
        out,
    )
    return Decision(
        symbols=snapshot.symbols,
        target_shares=out[0],
        delta_shares=out[1],
        order_type=out[2],
        limit_micro=out[3],
        reason=out[4],
        forecast_micro=forecast_micro,
        edge_micro=out[5],
        cost_floor_micro=out[6],
        weight_micro=out[7],
    )


def intended_shares(snapshot: Snapshot, forecast: Floats, params: PolicyParams) -> Integers:
    """Unsigned size of the change that the policy would make if trading were free, at least one lot.

    The size at which the cost floor of each symbol is to be asked for, shape (symbols,).
    """
    free = decide(snapshot, forecast, params, np.zeros(len(snapshot.symbols)))
    change: Integers = np.abs(free.target_shares - snapshot.position_shares)
    return np.maximum(change, np.int64(params.lot_shares))


def forecast_grid(forecast: Floats) -> Integers:
    """Forecasts x 1e6 as integers; `MISSING` for NaN and for anything beyond -100 % or +100 %."""
    grid = np.empty(len(forecast), dtype=np.int64)
    forecast_row(np.array(forecast, dtype=np.float64), grid)
    return grid
