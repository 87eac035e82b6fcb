"""The walk-forward book: against a slow walk, and what each trade, gap and cost does to it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.costs import FeeSchedule, PriorCost, prior
from workbench.core.evaluation import NetResult, book_by_session, cost_per_side_bps
from workbench.core.features import market_statistics
from workbench.core.types import Bars

MODEL = prior(PriorCost(), FeeSchedule(), as_of_ns=1)


def net_of_cost(*given, **asked) -> NetResult:
    """Means a session of the book."""
    series = book_by_session(*given, **asked)
    means = series.means()
    if len(series.rows):
        assert means.net_bps == pytest.approx(np.mean(series.net_bps), abs=1e-9)
    return means


def market(seed: int, rows: int = 40, symbols: int = 3, gaps: float = 0.05) -> Bars:
    draw = np.random.default_rng(seed)
    close = 50.0 * np.cumprod(1.0 + draw.normal(0.0, 0.02, (rows, symbols)), axis=0)
    opening = close * (1.0 + draw.normal(0.0, 0.01, close.shape))
    high, low = np.maximum(opening, close) + 0.1, np.minimum(opening, close) - 0.1
    present = draw.uniform(size=close.shape) >= gaps
    present[0] = True
    return Bars(
        np.arange(1, rows + 1), tuple(f"S{i}" for i in range(symbols)), opening, high, low, close,
        draw.uniform(1e5, 1e6, close.shape), present,
    )  # fmt: skip


def slow_book(forecast, bars, cost, rows, horizon, allow_short):
    """One symbol and one session at a time, in money on a notional of 1; (gross, cost, turnover) sums."""
    symbols = range(len(bars.symbols))
    held = dict.fromkeys(symbols, 0.0)
    rate = {i: (0.0, 0.0) for i in symbols}
    tranches, gross, paid, traded, sessions = [], 0.0, 0.0, 0.0, 0
    for row in rows:
        if row + 2 >= len(bars.ts_ns):
            break
        sessions += 1
        wanted = [0.0 if math.isnan(f) or (f < 0 and not allow_short) else float(f) for f in forecast[row]]
        size = sum(abs(f) for f in wanted)
        tranches.append([f / size if size else 0.0 for f in wanted])
        for i in symbols:
            target = sum(tranche[i] for tranche in tranches[-horizon:]) / horizon
            buy, sell = cost[0, row, i], cost[1, row, i]
            if not math.isnan(buy) and not math.isnan(sell):
                rate[i] = (buy, sell)
                if bars.tradable[row + 1, i]:
                    change = target - held[i]
                    paid += abs(change) * rate[i][0 if change > 0 else 1]
                    traded += abs(change)
                    held[i] = target
            known = [bars.open[s, i] for s in range(row + 2) if bars.tradable[s, i]]
            after = bars.open[row + 2, i] if bars.tradable[row + 2, i] else known[-1]
            gross += held[i] * (after / known[-1] - 1) * 1e4
            held[i] *= after / known[-1]
    for i in symbols:
        paid += abs(held[i]) * rate[i][1 if held[i] > 0 else 0]
        traded += abs(held[i])
    return gross / sessions, paid / sessions, traded / sessions


@given(st.integers(0, 10_000), st.integers(1, 7), st.booleans())
def test_the_book_equals_the_slow_walk(seed, horizon, allow_short):
    bars, draw = market(seed), np.random.default_rng(seed + 1)
    forecast = np.where(draw.uniform(size=bars.close.shape) < 0.1, np.nan, draw.normal(size=bars.close.shape))
    cost = draw.uniform(1.0, 9.0, (2, *bars.close.shape))
    cost[:, draw.uniform(size=bars.close.shape) < 0.1] = np.nan
    rows = np.arange(5, 38 + seed % 2)
    result = net_of_cost(forecast, bars, cost, rows=rows, horizon=horizon, allow_short=allow_short)
    expected = slow_book(forecast, bars, cost, rows, horizon, allow_short)
    assert (result.gross_bps, result.cost_bps, result.turnover) == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert result.net_bps == result.gross_bps - result.cost_bps


def steady(rows: int = 12) -> Bars:
    """One symbol whose open rises by one percent each session."""
    price = 100.0 * 1.01 ** np.arange(rows)[:, None]
    return Bars(
        np.arange(1, rows + 1), ("S0",), price, price, price, price, np.ones_like(price),
        np.ones(price.shape, dtype=np.bool_),
    )  # fmt: skip


def test_one_position_by_hand():
    bars = steady()
    forecast, cost = np.full(bars.close.shape, np.nan), np.full((2, *bars.close.shape), 3.0)
    cost[1] = 5.0
    forecast[2] = 0.7  # bought at the open of 3, all of it sold at the open of 4
    result = net_of_cost(forecast, bars, cost, rows=np.arange(2, 6), horizon=1, allow_short=False)
    assert result.gross_bps == pytest.approx(100.0 / 4)
    assert result.turnover == pytest.approx((1.0 + 1.01) / 4)
    assert result.cost_bps == pytest.approx((3.0 + 1.01 * 5.0) / 4)
    assert result.hold_bps == pytest.approx(100.0)
    fallen = net_of_cost(-forecast, bars, cost, rows=np.arange(2, 6), horizon=1, allow_short=True)
    assert fallen.gross_bps == pytest.approx(-100.0 / 4)
    assert (
        net_of_cost(-forecast, bars, cost, rows=np.arange(2, 6), horizon=1, allow_short=False).turnover == 0.0
    )


def test_what_is_left_is_sold_and_paid_for():
    bars = steady()
    forecast, cost = np.ones(bars.close.shape), np.full((2, *bars.close.shape), 4.0)
    result = net_of_cost(forecast, bars, cost, rows=np.arange(2, 6), horizon=1, allow_short=False)
    assert result.turnover * 4 == pytest.approx(1.0 + 3 * 0.01 + 1.01)  # in, back to one three times, out


def test_a_trade_of_unknown_cost_is_not_made():
    bars = steady()
    unknown = np.full((2, *bars.close.shape), np.nan)
    result = net_of_cost(
        np.ones(bars.close.shape), bars, unknown, rows=np.arange(2, 9), horizon=1, allow_short=True
    )
    assert (result.gross_bps, result.cost_bps, result.turnover) == (0.0, 0.0, 0.0)


def test_rows_whose_trade_has_no_return_yet_count_for_nothing():
    bars = steady()
    empty = net_of_cost(
        np.ones(bars.close.shape),
        bars,
        np.ones((2, 12, 1)),
        rows=np.arange(10, 12),
        horizon=1,
        allow_short=True,
    )
    assert empty == (0.0, 0.0, 0.0, 0.0, 0.0)


@given(st.integers(0, 1_000))
def test_more_cost_never_earns_more_and_only_the_forecasts_proportions_count(seed):
    bars, draw = market(seed), np.random.default_rng(seed)
    forecast = draw.normal(size=bars.close.shape)
    asked = {"rows": np.arange(3, 36), "horizon": 3, "allow_short": True}
    cheap = net_of_cost(forecast, bars, np.full((2, *bars.close.shape), 1.0), **asked)
    dear = net_of_cost(forecast * 8.0, bars, np.full((2, *bars.close.shape), 2.0), **asked)
    assert dear.gross_bps == cheap.gross_bps
    assert dear.cost_bps == pytest.approx(2 * cheap.cost_bps)
    assert dear.net_bps < cheap.net_bps


def test_nothing_after_the_last_return_matters_and_the_future_of_a_forecast_neither():
    bars, draw = market(3, gaps=0.0), np.random.default_rng(3)
    forecast, cost = draw.normal(size=bars.close.shape), np.full((2, *bars.close.shape), 2.0)
    asked = {"rows": np.arange(3, 20), "horizon": 3, "allow_short": True}
    whole = net_of_cost(forecast, bars, cost, **asked)
    assert net_of_cost(forecast[:22], bars.rows(0, 22), cost[:, :22], **asked) == whole
    assert net_of_cost(forecast[:21], bars.rows(0, 21), cost[:, :21], **asked) != whole


def test_costs_are_those_of_the_cost_model_at_the_declared_value():
    bars = market(5, gaps=0.0)
    found = cost_per_side_bps(bars, MODEL, notional_usd=40_000.0)
    assert np.isnan(found[:, :20]).all()
    for row in (20, 39):
        adv, volatility, half_spread = market_statistics(bars.rows(0, row + 1))
        for i, symbol in enumerate(bars.symbols):
            price = bars.close[row, i]
            facts = {"adv": adv[i], "volatility_bps": volatility[i], "half_spread_bps": half_spread[i]}
            for at, side in enumerate(("buy", "sell")):
                one = MODEL.expected_bps(symbol, side, int(40_000 / price), price=price, **facts)
                assert found[at, row, i] == one.mean > 0
    assert np.all(cost_per_side_bps(bars, MODEL, notional_usd=150_000.0)[:, 20:] > found[:, 20:])
    assert np.isnan(cost_per_side_bps(bars, MODEL, notional_usd=400_000.0)[:, 20:]).all()  # above the cap
