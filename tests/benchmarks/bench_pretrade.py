"""What the pre-trade controls cost: the kernel path and whole calls, at 500 symbols.

Promised is at most 5 microseconds an order for `judge_orders`. The floor beside it is one pass over the
same market in plain numpy: what any check of 500 symbols has to read.
"""

from __future__ import annotations

import time

import numpy as np

from workbench.core.orders import OrderIntent
from workbench.core.pretrade import (
    ESTABLISHED,
    AccountValues,
    FlowValues,
    Limits,
    MarketArrays,
    OrderArrays,
    Recent,
    RecentArrays,
    RiskState,
    check_orders,
    judge_orders,
)
from workbench.core.types import NANO, OrderType, Side

SYMBOLS, REPEATS = 500, 200
NAMES = tuple(f"S{i:03d}" for i in range(SYMBOLS))
LIMITS = Limits(
    max_orders_per_minute=10_000, max_gross_notional_usd=10**9, max_window_turnover=100.0,
    sectors={name: f"sector {i % 11}" for i, name in enumerate(NAMES)},
)  # fmt: skip
OPEN_NS = 1_357_137_000 * NANO
CASH_MICRO = 10**15


def ints(value: int, n: int = SYMBOLS) -> np.ndarray:
    return np.full(n, value, dtype=np.int64)


def orders(n: int) -> OrderArrays:
    at = np.arange(n) % SYMBOLS
    return OrderArrays(
        at, ints(1, n), ints(100, n), ints(1, n), ints(100_250_000, n), ints(100_000_000, n), ints(300, n),
        ints(0, n), ints(0, n), ints(0, n), ints(0, n),
    )  # fmt: skip


def market() -> MarketArrays:
    return MarketArrays(
        ints(100_000_000), ints(0), ints(99_990_000), ints(100_010_000), ints(0), ints(1), ints(0), ints(50),
        ints(0), ints(0), np.full(SYMBOLS, 1e6),
    )  # fmt: skip


def recent() -> RecentArrays:
    return RecentArrays(
        np.full(SYMBOLS, 150.0), ints(100_000_000), ints(100_000_000), ints(0), ints(0), ints(0), ints(0),
        ints(0), ints(0), ints(0), np.arange(SYMBOLS) % 11, np.zeros(SYMBOLS),
    )  # fmt: skip


ACCOUNT = AccountValues(
    CASH_MICRO, CASH_MICRO, CASH_MICRO, CASH_MICRO, 0.0, 0.0, 0.0, 0, OPEN_NS + NANO, OPEN_NS,
    OPEN_NS + 23_400 * NANO,
)  # fmt: skip
FLOW = FlowValues(0.0, 0.0, 0, 0, 0, 0, 0, 0, 0, ESTABLISHED, 0)


def state() -> RiskState:
    quiet = Recent(
        np.full(SYMBOLS, 150.0), ints(100_000_000), ints(100_000_000), np.zeros(SYMBOLS, dtype=np.bool_),
        ints(0), ints(0), ints(0), ints(0), ints(0), ints(0), 0, 0, 0, 0, ESTABLISHED, 0,
    )  # fmt: skip
    return RiskState(
        "a", NAMES, *market()[:5], np.ones(SYMBOLS, dtype=np.bool_), np.zeros(SYMBOLS, dtype=np.bool_),
        *market()[7:], CASH_MICRO, CASH_MICRO, CASH_MICRO, CASH_MICRO, OPEN_NS + NANO, OPEN_NS,
        OPEN_NS + 23_400 * NANO, 0, frozenset(), quiet,
    )  # fmt: skip


def intents(n: int) -> list[OrderIntent]:
    return [
        OrderIntent(
            f"id{k}", "a", "s", "2013-01-02", OPEN_NS, NAMES[k % SYMBOLS], "entry", Side.BUY, 100 * NANO,
            OrderType.LIMIT, 100_250_000, 100_000_000, 300,
        )
        for k in range(n)
    ]  # fmt: skip


def median_us(call, per: int, repeats: int = REPEATS) -> float:  # type: ignore[no-untyped-def]
    spent = []
    for _ in range(repeats):
        arguments = call[1]()
        started = time.process_time_ns()
        call[0](*arguments)
        spent.append(time.process_time_ns() - started)
    return float(np.median(spent)) / 1e3 / per


def kernel_arguments(n: int):  # type: ignore[no-untyped-def]
    return lambda: (orders(n), market(), recent(), ACCOUNT, FLOW, LIMITS.values(), ints(-1, n))


def numpy_pass(held: MarketArrays) -> float:
    return float((np.abs(held.position_shares + held.open_buy_shares) * held.price_micro).sum())


def test_pretrade_controls() -> None:
    verdicts = ints(-1, 500)
    judge_orders(orders(500), market(), recent(), ACCOUNT, FLOW, LIMITS.values(), verdicts)
    assert not verdicts.any(), "what is measured are orders that every control permits"
    assert all(verdict.allowed for verdict in check_orders(intents(500), LIMITS, state()))
    lines = [f"{SYMBOLS} symbols, 11 sectors, CPU time, medians of {REPEATS}"]
    floor = median_us((numpy_pass, lambda: (market(),)), 1)
    lines.append(f"floor: one numpy pass over the market {floor:.1f} us")
    for n in (1, 10, 100, 500):
        cost = median_us((judge_orders, kernel_arguments(n)), n)
        lines.append(f"judge_orders, {n} orders a call: {cost:.2f} us an order")
    for n in (1, 100, 500):
        cost = median_us((lambda i: check_orders(i, LIMITS, STATE), lambda n=n: (intents(n),)), n, 50)
        lines.append(f"check_orders, {n} orders a call: {cost:.1f} us an order")
    print("\n" + "\n".join(lines))


STATE = state()
