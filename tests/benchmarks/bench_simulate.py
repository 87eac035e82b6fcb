"""Simulation: moving averages beside a bare loop of the same run, a cross-section, a sweep, linear cost.

Results are proved equal to the slow simulation before any time is taken. Every figure is CPU time, the
median of a few calls, with the ratio to a bare numba loop timed in the same run: a loaded machine moves
both. A table and JSON are written to `.benchmarks/`.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
import sma
from numba import njit

from workbench.core.simulate import MarketHistory, prepare
from workbench.core.simulate.run import Parameters
from workbench.simulation import simulate, sweep

#: Bars a CPU second that were promised, over a prepared market, moving averages and forecasts included.
BARS_PER_S = {(500_000, 1): 25e6, (20_000, 100): 50e6}
RESULTS: dict[str, Any] = {}
OUT = Path(os.environ.get("WORKBENCH_BENCHMARKS", ".benchmarks"))


def forecasts(price_micro: np.ndarray, out: np.ndarray) -> None:
    """`sma.forecasts` by running sums of ticks, which are integers and so exact."""
    one_forecast(price_micro[:, 0], out[:, 0]) if out.shape[1] == 1 else many_forecasts(price_micro, out)


@njit(nogil=True)
def one_forecast(price_micro: np.ndarray, out: np.ndarray) -> None:
    fast, slow = 0, 0
    for t in range(len(price_micro)):
        fast += price_micro[t]
        slow += price_micro[t]
        if t >= sma.FAST:
            fast -= price_micro[t - sma.FAST]
        if t >= sma.SLOW:
            slow -= price_micro[t - sma.SLOW]
        known = t >= sma.SLOW - 1
        out[t] = (sma.SIZE if fast * sma.SLOW > slow * sma.FAST else -sma.SIZE) if known else np.nan


@njit(nogil=True)
def many_forecasts(price_micro: np.ndarray, out: np.ndarray) -> None:
    rows, symbols = price_micro.shape  # row by row, as they lie in memory
    fast, slow = np.zeros(symbols, np.int64), np.zeros(symbols, np.int64)
    for t in range(rows):
        left_fast, left_slow = max(t - sma.FAST, 0), max(t - sma.SLOW, 0)
        began_fast, began_slow = int(t >= sma.FAST), int(t >= sma.SLOW)
        for i in range(symbols):
            fast[i] += price_micro[t, i] - began_fast * price_micro[left_fast, i]
            slow[i] += price_micro[t, i] - began_slow * price_micro[left_slow, i]
            up = fast[i] * sma.SLOW > slow[i] * sma.FAST
            out[t, i] = (sma.SIZE if up else -sma.SIZE) if t >= sma.SLOW - 1 else np.nan


@njit(nogil=True)
def bare_loop(price_micro: np.ndarray, opened: np.ndarray, cash: float) -> float:
    """The same rule without controls, costs or records: near the limit of what a loop can do."""
    symbols = price_micro.shape[1]
    held = np.zeros(symbols)
    for i in range(symbols):
        fast, slow = 0, 0
        for t in range(price_micro.shape[0] - 1):
            fast += price_micro[t, i]
            slow += price_micro[t, i]
            if t >= sma.FAST:
                fast -= price_micro[t - sma.FAST, i]
            if t >= sma.SLOW:
                slow -= price_micro[t - sma.SLOW, i]
            if t < sma.SLOW - 1:
                continue
            up = fast * sma.SLOW > slow * sma.FAST
            if up and held[i] == 0.0:
                held[i] = np.floor(0.9 * cash / symbols / opened[t + 1, i])
                cash -= held[i] * opened[t + 1, i]
            elif not up and held[i] > 0.0:
                cash += held[i] * opened[t + 1, i]
                held[i] = 0.0
    return cash


def cpu_s(call: Callable[[], Any], repeats: int = 5) -> float:
    """Median CPU seconds of a warm call."""
    call()
    spent = []
    for _ in range(repeats):
        gc.collect()
        started = time.process_time()
        call()
        spent.append(time.process_time() - started)
    return statistics.median(spent)


@pytest.fixture(scope="module", autouse=True)
def report() -> Any:
    yield
    facts = {
        "processor": platform.processor() or platform.machine(), "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1), "python": platform.python_version(),
        "numpy": np.__version__, "numba": numba.__version__,
    }  # fmt: skip
    OUT.mkdir(exist_ok=True)
    (OUT / "simulate.json").write_text(json.dumps({"machine": facts, "results": RESULTS}, indent=2))
    lines = ["| job | ratio | figure |", "|---|---|---|"]
    lines += [f"| {name} | {row.get('ratio', '')} | {row['figure']} |" for name, row in RESULTS.items()]
    table = "\n".join([", ".join(f"{k} {v}" for k, v in facts.items()), "", *lines])
    (OUT / "simulate.md").write_text(table + "\n")
    print(f"\n{table}")


@pytest.mark.parametrize(("rows", "symbols"), list(BARS_PER_S))
def test_moving_averages(rows: int, symbols: int) -> None:
    proved = sma.series(3_000 if symbols == 1 else 250, symbols, seed=5)
    cash = 1_000_000 * symbols
    forecast = np.empty(proved.close.shape)
    forecasts(prepare(proved).arrays.price_micro, forecast)
    slow = sma.slow_simulation(proved, cash_usd=cash)
    result = simulate(proved, forecast, **sma.rules(symbols, cash_usd=cash))
    assert result.equity_micro.tolist() == slow.equity_micro
    assert len(result.fill_record) == len(slow.fills) > 20

    bars = sma.series(rows, symbols, seed=6)
    market = prepare(bars)
    forecast = np.empty(bars.close.shape)

    def job() -> None:
        forecasts(market.arrays.price_micro, forecast)
        simulate(market, forecast, **sma.rules(symbols, cash_usd=cash))

    opened = np.ascontiguousarray(market.arrays.panel[..., 0])
    spent = cpu_s(job)
    bare = cpu_s(lambda: bare_loop(market.arrays.price_micro, opened, 1e6))
    prepared = cpu_s(lambda: prepare(bars), repeats=3)
    orders = len(simulate(market, forecast, **sma.rules(symbols, cash_usd=cash)).order_record)
    total = rows * symbols
    RESULTS[f"moving averages {symbols} x {rows:,}"] = {
        "ratio": f"{spent / bare:.1f} x a bare loop",
        "figure": f"{total / spent / 1e6:.1f} M bars/CPU-s (bar {BARS_PER_S[rows, symbols] / 1e6:.0f} M), "
        f"{orders:,} orders; with preparation {total / (spent + prepared) / 1e6:.1f} M",
        "bars_per_cpu_s": total / spent, "orders": orders,
    }  # fmt: skip


def cross_section(rows: int, symbols: int) -> tuple[MarketHistory, np.ndarray, dict[str, Any]]:
    market = prepare(sma.series(rows, symbols, seed=7))
    returns = np.full((rows, symbols), np.nan)
    close = market.arrays.price_micro
    returns[20:] = close[20:] / close[:-20] - 1.0
    forecast = 2.0 * (returns - np.nanmean(returns[20:]))  # momentum against the mean, in and out each day
    rules = sma.rules(symbols, cash_usd=100_000_000)
    rules["policy"] = type(rules["policy"])(max_weight=0.01, max_gross_weight=0.9, min_trade_weight=0.0005)
    return market, forecast, rules


def test_ten_years_of_a_cross_section() -> None:
    market, forecast, rules = cross_section(2_520, 500)
    spent = cpu_s(lambda: simulate(market, forecast, **rules), repeats=3)
    with_market = spent + cpu_s(lambda: prepare(market.bars), repeats=3)
    orders = len(simulate(market, forecast, **rules).order_record)
    RESULTS["cross-section, 500 symbols x 2,520 days"] = {
        "figure": f"{spent:.2f} CPU-s, with preparation {with_market:.2f} (bar 2), {orders:,} orders",
        "cpu_s": with_market, "orders": orders,
    }  # fmt: skip


def test_a_sweep_of_a_thousand() -> None:
    market, forecast, rules = cross_section(2_520, 500)
    policies = [
        type(rules["policy"])(max_weight=0.002 + 0.001 * k, max_gross_weight=0.9, min_trade_weight=0.0005)
        for k in range(20)
    ]
    sets = [Parameters(**{**rules, "policy": policy}) for policy in policies]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    cpu = time.process_time()
    sweep(market, forecast, parameters=sets, workers=2)
    wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1_024
    RESULTS["sweep of 1,000 variants of that, 2 workers"] = {
        "figure": f"{cpu * 50 / 2 / 60:.1f} min of two cores (from {len(sets)}; bar 10; as loaded "
        f"{wall * 50 / 60:.1f} min), peak memory +{grown:.0f} MB",
        "minutes": cpu * 50 / 2 / 60,
    }  # fmt: skip


def test_cost_grows_linearly() -> None:
    curve = []
    for rows, symbols in ((5_000, 10), (20_000, 10), (80_000, 10), (20_000, 40), (20_000, 160)):
        market = prepare(sma.series(rows, symbols, seed=8))
        forecast = np.empty((rows, symbols))
        forecasts(market.arrays.price_micro, forecast)
        rules = sma.rules(symbols, cash_usd=1_000_000 * symbols)
        spent = cpu_s(lambda m=market, f=forecast, r=rules: simulate(m, f, **r), repeats=3)
        curve.append((rows, symbols, spent / rows / symbols * 1e9))
    found = ", ".join(f"{symbols} x {rows:,}: {ns:.0f}" for rows, symbols, ns in curve)
    nanoseconds = [ns for _, _, ns in curve]
    RESULTS["ns a bar as bars and symbols grow"] = {
        "ratio": f"{max(nanoseconds) / min(nanoseconds):.1f} largest to smallest", "figure": found,
        "curve": curve,
    }  # fmt: skip
