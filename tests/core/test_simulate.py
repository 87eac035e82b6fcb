"""The simulation against a slow one, against itself, and against bad input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import sma
from hypothesis import example, given
from hypothesis import strategies as st

from workbench.core.costs import FeeSchedule, PriorCost, prior
from workbench.core.fills import FillParams
from workbench.core.policy import PolicyParams, Standing, decide_symbol
from workbench.core.policy.kernels import surely_idle
from workbench.core.pretrade import Limits
from workbench.core.simulate import (
    DividendEvent,
    SessionHours,
    SimulationResult,
    SplitEvent,
    prepare,
    simulate,
)
from workbench.core.simulate.arrays import FillColumn, OrderColumn
from workbench.core.types import NANO, Bars

COSTS = prior(PriorCost(), FeeSchedule(), as_of_ns=1)
RULES = {
    "policy": PolicyParams(max_weight=0.1),
    "limits": Limits(),
    "costs": COSTS,
    "fills": FillParams(),
    "seed": 1,
}
DAY_NS = 86_400 * NANO


def market(rows: int = 80, symbols: int = 3, *, seed: int = 1, halts: float = 0.0) -> Bars:
    bars = sma.series(rows, symbols, seed=seed)
    there = np.random.default_rng(seed).random(bars.close.shape) >= halts
    ts_ns = 1_325_376_000 * NANO + DAY_NS * np.arange(rows, dtype=np.int64)
    return replace(bars, ts_ns=ts_ns, tradable=there)


def draws(bars: Bars, *, seed: int = 2, size: float = 0.03) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, size, bars.close.shape)


def fills_of(result: SimulationResult) -> list[tuple[int, ...]]:
    found = []
    for fill in result.fill_record.tolist():
        order = result.order_record[fill[FillColumn.ORDER]].tolist()
        side, symbol = order[OrderColumn.SIDE], order[OrderColumn.SYMBOL]
        found.append((fill[FillColumn.ROW], symbol, side, *fill[FillColumn.SHARES :]))
    return found


@pytest.mark.parametrize(("rows", "symbols", "cash"), [(2_500, 1, 1_000_000), (300, 12, 20_000_000)])
def test_moving_averages_give_the_fills_and_equity_of_the_slow_simulation(rows, symbols, cash):
    bars = sma.series(rows, symbols, seed=5)
    result = simulate(bars, sma.forecasts(bars.close), **sma.rules(symbols, cash_usd=cash))
    slow = sma.slow_simulation(bars, cash_usd=cash)
    assert len(slow.fills) > 40
    assert fills_of(result) == slow.fills
    assert result.equity_micro.tolist() == slow.equity_micro
    assert result.denied == 0


@given(
    st.integers(-1_000_000, 1_000_000), st.integers(1, 10**9), st.integers(-10_000, 10_000),
    st.integers(10**6, 10**15), st.sampled_from([1, 100]), st.booleans(), st.sampled_from([0.0, 12.5, 3e4]),
)  # fmt: skip
def test_who_is_passed_over_would_not_have_traded(weight, price, position, equity, lot, short, floor):
    values = PolicyParams(lot_shares=lot, allow_short=short).values()
    forecast = 10_000 if weight > 0 else -10_000
    if forecast * position < 0 or not surely_idle(weight, price, position, equity, 1e18, values):
        return
    standing = Standing(forecast, price, 100.0, floor, position, 0, 1, 0)
    assert decide_symbol(weight, standing, equity, values).delta_shares == 0


@given(st.integers(0, 1_000), st.booleans())
@example(3, True)
@example(3, False)
def test_passing_over_the_idle_changes_nothing(seed, crowded):
    bars = market(60, 4, seed=seed, halts=0.02)
    policy = PolicyParams(max_weight=0.35 if crowded else 0.2, gain=0.5)
    costs = prior(PriorCost(max_notional_usd=320_000), FeeSchedule(), as_of_ns=1)
    rules = {**RULES, "policy": policy, "costs": costs}
    forecast = draws(bars, seed=seed)
    quick = simulate(bars, forecast, **rules)
    whole = simulate(bars, forecast, **rules, keep_decisions=True)
    assert seed != 3 or len(quick.order_record) > 10
    assert quick.digest == whole.digest
    assert {**quick.digests, "decisions": whole.digests["decisions"]} == whole.digests


def test_frames_feed_the_shortfall_and_sum_to_the_equity():
    from workbench.core.tca import implementation_shortfall

    bars = market(seed=3)
    result = simulate(bars, draws(bars), **RULES)
    frame = implementation_shortfall(result.orders, result.fills, split="cfa")
    assert len(frame) == len(result.orders) > 0
    fills = result.fills
    paid = (np.where(fills["side"] == "buy", 1, -1) * fills["quantity"] * fills["price"]).sum()
    held = sum(n * bars.close[-1, bars.symbols.index(s)] for s, n in result.positions.items())
    assert result.equity.iloc[-1] == pytest.approx(1_000_000 - paid - fills["fee"].sum() + held, abs=1e-4)
    assert result.equity.index[-1].value == bars.ts_ns[-1]
    assert "orders" in result._repr_html_()


def test_nothing_is_decided_before_it_is_known_nor_filled_in_the_same_bar():
    bars = market(seed=4)
    forecast = draws(bars)
    whole = simulate(bars, forecast, **RULES)
    cut = simulate(bars.rows(0, 50), forecast[:50], **RULES)
    early = whole.order_record[:, OrderColumn.ROW] < 49
    assert np.array_equal(whole.order_record[early], cut.order_record)
    orders = whole.order_record[whole.fill_record[:, FillColumn.ORDER]]
    assert (whole.fill_record[:, FillColumn.ROW] == orders[:, OrderColumn.ROW] + 1).all()


def test_a_symbol_without_a_bar_neither_trades_nor_loses_its_value():
    bars = market(seed=6)
    there = bars.tradable.copy()
    there[50:60, 1] = False
    result = simulate(replace(bars, tradable=there), np.full(bars.close.shape, 0.05), **RULES)
    rows = result.order_record[result.order_record[:, OrderColumn.SYMBOL] == 1, OrderColumn.ROW]
    assert not set(rows.tolist()) & set(range(50, 80))  # 21 whole bars are needed again
    assert result.positions["S0001"] > 0
    assert np.abs(np.diff(result.equity_micro[48:60]) / result.equity_micro[48:59]).max() < 0.02


def test_a_split_keeps_value_and_a_dividend_pays_it():
    bars = market(seed=7, symbols=1)
    flat = replace(bars, open=bars.close.copy(), high=bars.close + 0.01, low=bars.close - 0.01)
    printed = [part.copy() for part in (flat.open, flat.high, flat.low, flat.close, flat.volume)]
    for part in printed[:4]:
        part[40:] /= 2
    printed[4][40:] *= 2
    split_bars = Bars(flat.ts_ns, flat.symbols, *printed, flat.tradable)
    when = int(flat.ts_ns[40])
    forecast = np.full(flat.close.shape, np.nan)
    forecast[25] = 0.05
    plain = simulate(flat, forecast, **RULES)
    split = simulate(prepare(split_bars, splits=[SplitEvent(when, "S0000", 2, 1)]), forecast, **RULES)
    assert split.positions["S0000"] == 2 * plain.positions["S0000"] > 0
    assert np.abs(split.equity_micro - plain.equity_micro).max() <= 2
    paid = simulate(prepare(flat, dividends=[DividendEvent(when, "S0000", 500_000)]), forecast, **RULES)
    difference = paid.equity_micro - plain.equity_micro
    assert difference[39] == 0
    assert difference[40] == plain.positions["S0000"] * 500_000


def test_market_orders_need_an_open_market_where_hours_are_said():
    bars = market(seed=8)
    hours = SessionHours(bars.ts_ns - 7 * 3_600 * NANO, bars.ts_ns - 6 * 3_600 * NANO, bars.ts_ns)
    rules = {**RULES, "policy": PolicyParams(max_weight=0.1, entry_order_type="market")}
    free = simulate(bars, draws(bars), **rules)
    bound = simulate(prepare(bars, hours=hours), draws(bars), **rules)
    assert "FILLED" in set(free.orders["state"])
    entries = bound.orders[bound.orders["reason"] == "enter"]
    assert set(entries["denial_codes"]) == {"SESSION_HOURS"}


def test_records_grow_without_changing_what_they_hold():
    bars = market(900, 4, seed=9)
    seen: list[tuple[int, int]] = []
    result = simulate(bars, draws(bars), **RULES, progress=lambda done, rows: seen.append((done, rows)))
    assert len(result.order_record) > 1_024
    assert seen[-1] == (900, 900)
    assert len(seen) > 1
    cut = simulate(bars.rows(0, 400), draws(bars)[:400], **RULES)
    assert np.array_equal(cut.equity_micro, result.equity_micro[:400])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"forecast": np.zeros((3, 3))}, "forecast has shape"),
        ({"cash_usd": 0}, "cash_usd"),
        ({"seed": -1}, "seed"),
        ({"seed": True}, "seed"),
    ],
)
def test_bad_input_is_named(changes, message):
    bars = market()
    given = {"forecast": draws(bars), **RULES, **changes}
    with pytest.raises(ValueError, match=message):
        simulate(bars, given.pop("forecast"), **given)


@pytest.mark.parametrize(
    "event",
    [
        SplitEvent(1, "S0000", 2, 1),
        SplitEvent(1_325_376_000 * NANO + 5 * DAY_NS, "XXXX", 2, 1),
        SplitEvent(1_325_376_000 * NANO + 5 * DAY_NS, "S0000", 2, 2),
        SplitEvent(1_325_376_000 * NANO, "S0000", 2, 1),
    ],
)
def test_an_impossible_event_is_named(event):
    with pytest.raises(ValueError, match="SplitEvent"):
        prepare(market(), splits=[event])


def test_hours_that_contradict_the_bars_are_named():
    bars = market()
    late = SessionHours(bars.ts_ns + NANO, bars.ts_ns + 2 * NANO, bars.ts_ns + 3 * NANO)
    with pytest.raises(ValueError, match="hours of bar 1:"):
        prepare(bars, hours=replace(late, decision_ns=late.open_ns))
    with pytest.raises(ValueError, match="one row for each"):
        prepare(bars, hours=replace(late, open_ns=late.open_ns[1:]))


def test_a_schedule_of_slices_is_not_simulated_on_bars_of_a_day():
    bars = market()
    rules = {**RULES, "policy": PolicyParams(max_weight=0.1, slicing="almgren_chriss")}
    with pytest.raises(ValueError, match="simulate with 'largest'"):
        simulate(bars, draws(bars), **rules)
