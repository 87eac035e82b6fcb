"""The simulation and the journalled session do the same to the last micro, on random and on real markets."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import parity
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from parity import CALENDAR, FIRST, SESSIONS, World

from workbench.core.costs import PriorCost
from workbench.core.fills import FillParams
from workbench.core.policy import PolicyParams
from workbench.core.pretrade import Limits
from workbench.core.simulate import SimulationResult
from workbench.core.types import Bars

ORDER_TYPES = ("market", "limit", "market_on_open", "market_on_close")
WIDE = Limits(
    max_order_shares=1_000_000, max_order_notional_usd=1_000_000, max_position_shares=1_000_000,
    max_position_notional_usd=1_000_000, max_gross_notional_usd=10_000_000, max_participation=0.9,
    max_quoted_spread_bps=500.0, max_expected_cost_bps=1_000.0, price_collar_bps=2_000.0,
    max_session_loss_usd=1_000_000,
)  # fmt: skip
TIGHT = Limits(
    **{**vars(WIDE), "max_orders_per_minute": 2, "max_gross_notional_usd": 300_000, "restricted": ("S1",)}
)


def random_bars(
    rng: np.random.Generator, rows: int, symbols: int, *, volume: float, halts: float, gap: float = 0.008
) -> Bars:
    """Prices on cents; the first symbol trades in every session, the others miss some."""
    shape = (rows, symbols)
    close = np.round(rng.uniform(5, 200, symbols) * np.exp(np.cumsum(rng.normal(0, 0.02, shape), 0)), 2)
    opened = np.round(np.vstack([close[:1], close[:-1]]) * np.exp(rng.normal(0, gap, shape)), 2)
    high = np.round(np.maximum(opened, close) * (1 + np.abs(rng.normal(0, 0.01, shape))), 2)
    low = np.round(np.minimum(opened, close) * (1 - np.abs(rng.normal(0, 0.01, shape))), 2)
    there = rng.random(shape) >= halts
    there[:, 0] = True
    return Bars(
        np.array([CALENDAR.session_close_ns(session) for session in SESSIONS[:rows]]),
        tuple(f"S{i}" for i in range(symbols)), opened, high, low, close,
        np.rint(rng.uniform(0.05, 1.0, shape) * volume), there,
    )  # fmt: skip


def split_prices(bars: Bars, row: int, column: int, new: int, old: int) -> Bars:
    """The bars as printed when a split takes effect at that row."""
    parts = [part.copy() for part in (bars.open, bars.high, bars.low, bars.close, bars.volume)]
    for part in parts[:4]:
        part[row:, column] = np.round(part[row:, column] * old / new, 2)
    parts[4][row:, column] = np.rint(parts[4][row:, column] * new / old)
    return Bars(bars.ts_ns, bars.symbols, *parts, bars.tradable)


@st.composite
def worlds(draw: Any) -> World:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    symbols, rows = draw(st.integers(1, 4)), FIRST + draw(st.integers(6, 12))
    volume = draw(st.sampled_from([3e4, 3e5, 5e6]))
    bars = random_bars(
        rng, rows, symbols, volume=volume, halts=draw(st.sampled_from([0.0, 0.03])),
        gap=draw(st.sampled_from([0.008, 0.06])),
    )  # fmt: skip
    forecast = rng.normal(0, 0.04, bars.close.shape)
    forecast[rng.random(forecast.shape) < 0.1] = np.nan
    policy = PolicyParams(
        entry_order_type=draw(st.sampled_from(ORDER_TYPES)),
        exit_order_type=draw(st.sampled_from(ORDER_TYPES)),
        max_weight=draw(st.sampled_from([0.1, 0.4, 1.0])), allow_short=draw(st.booleans()),
        max_gross_weight=draw(st.sampled_from([0.5, 1.0])), lot_shares=draw(st.sampled_from([1, 100])),
        max_slice_shares=draw(st.sampled_from([500, 1_000_000])),
        limit_offset_bps=draw(st.sampled_from([0.0, 30.0, 200.0])),
    )  # fmt: skip
    limits = draw(st.sampled_from([WIDE, WIDE, TIGHT, Limits(**{**vars(WIDE), "allow_short": True})]))
    world = World(
        bars, forecast, policy, limits, FillParams(participation=draw(st.sampled_from([0.02, 0.3]))),
        PriorCost(max_notional_usd=draw(st.sampled_from([200_000, 10_000_000])), valid_days=1_000),
        draw(st.sampled_from([20_000, 1_000_000])),
    )  # fmt: skip
    if draw(st.booleans()):
        with_events(world, rng)
    return world


def with_events(world: World, rng: np.random.Generator) -> None:
    """A forward split, a reverse split and dividends, one of them on a split's own session."""
    rows, symbols = world.bars.close.shape
    for new, old in ((3, 2), (1, 4)):
        row, column = int(rng.integers(FIRST + 1, rows)), int(rng.integers(symbols))
        name = world.bars.symbols[column]
        if world.bars.tradable[row - 1, column] and row not in world.splits:
            world.splits[row] = {name: (new, old)}
            world.bars = split_prices(world.bars, row, column, new, old)
    for row in [*world.splits, *rng.integers(FIRST + 1, rows, 3).tolist()]:
        world.dividends[row] = {world.bars.symbols[int(rng.integers(symbols))]: 250_000}


def compare(world: World) -> SimulationResult:
    result = parity.simulated(world)
    with tempfile.TemporaryDirectory() as folder:
        journal = parity.journalled(world, Path(folder))
        theirs = parity.records_of_journal(journal)
        ours = parity.records_of_simulation(result, parity.decision_times(world), FIRST)
        journal.close()
    assert ours["decisions"] == theirs["decisions"]
    assert ours["orders"] == theirs["orders"]
    assert ours["fills"] == theirs["fills"]
    equity, cash = result.equity_micro[FIRST:].tolist(), result.cash_micro[FIRST:].tolist()
    assert list(zip(equity, cash, strict=True)) == [row[:2] for row in theirs["closed"]]
    assert dict(result.positions) == theirs["closed"][-1][2]
    return result


@pytest.mark.slow
@settings(derandomize=True, deadline=None, max_examples=10, database=None, phases=[Phase.generate])
@given(worlds())
def test_a_random_world_is_simulated_as_the_session_trades_it(world: World) -> None:
    compare(world)


@pytest.mark.prove
@settings(derandomize=True, deadline=None, max_examples=60, database=None)
@given(worlds())
def test_many_random_worlds_are_simulated_as_the_session_trades_them(world: World) -> None:
    compare(world)


@pytest.mark.slow
def test_partial_fills_slices_splits_and_refusals_are_among_the_worlds_compared() -> None:
    found: set[str] = set()
    kinds = (("limit", "market_on_close"), ("market_on_close", "market_on_open"), ("market_on_open", "limit"))
    for seed, slices, (entry, leave) in zip((3, 4, 5), (300, 10**6, 10**6), kinds, strict=True):
        rng = np.random.default_rng(seed)
        bars = random_bars(rng, FIRST + 12, 3, volume=4e5, halts=0.02)
        forecast = rng.normal(0.01, 0.04, bars.close.shape)
        policy = PolicyParams(
            max_weight=0.6, max_gross_weight=1.0, max_slice_shares=slices, entry_order_type=entry,
            exit_order_type=leave, limit_offset_bps=0.0,
        )  # fmt: skip
        world = World(
            bars, forecast, policy, Limits(**{**vars(WIDE), "allow_short": True}),
            FillParams(participation=0.05 if slices < 1_000 else 0.01),
            PriorCost(max_notional_usd=10_000_000, valid_days=1_000), 400_000,
        )  # fmt: skip
        if slices > 1_000:
            with_events(world, rng)
        result = compare(world)
        orders = result.orders
        found |= {f"{kind} {side}" for kind, side in zip(orders["order_type"], orders["side"], strict=True)}
        found |= set(orders["state"]) | {f"leg {leg}" for leg in orders["leg"]}
        partly = (orders["filled_quantity"] > 0) & (orders["filled_quantity"] < orders["quantity"])
        found |= {"partial"} if partly.any() else set()
        found |= {"split"} if world.splits else set()
        filled = orders[orders["filled_quantity"] > 0]
        found |= {f"{kind} fills" for kind in filled["order_type"]}
    every = {"limit fills", "market_on_open fills", "market_on_close fills"}
    assert {"FILLED", "EXPIRED", "DENIED", "leg 2", "partial", "split", *every} <= found


@pytest.mark.slow
def test_opens_far_above_the_cash_that_is_held_fill_what_can_be_paid() -> None:
    cut = 0
    for seed in (11, 12):
        rng = np.random.default_rng(seed)
        bars = random_bars(rng, FIRST + 12, 3, volume=5e7, halts=0.0, gap=0.12)
        forecast = np.where(rng.random(bars.close.shape) < 0.5, 0.2, -0.2)
        policy = PolicyParams(
            max_weight=0.46, max_gross_weight=0.93, gain=100.0, entry_order_type="market_on_open"
        )
        world = World(
            bars, forecast, policy, WIDE, FillParams(participation=1.0),
            PriorCost(max_notional_usd=10_000_000, valid_days=1_000), 400_000,
        )  # fmt: skip
        orders = compare(world).orders
        cut += int(((orders["filled_quantity"] > 0) & (orders["state"] == "EXPIRED")).sum())
    assert cut > 0


# --- what happened lately ------------------------------------------------------------------------------

#: Each world has a few limits that bite; together every one does that a simulation knows of.
BITING: tuple[dict[str, object], ...] = (
    {"max_net_fraction": 0.035, "max_price_move_bps": 600.0, "max_working_orders": 2},
    {"sectors": {"S0": "x", "S1": "x", "S2": "x"}, "max_sector_fraction": 0.008,
     "max_position_notional_usd": 75_000, "max_open_symbols": 2},
    {"max_volatility_multiple": 0.6, "max_quote_jump_bps": 100.0, "max_window_turnover": 0.008},
    {"max_symbol_loss_fraction": 0.0005, "max_session_shortfall_fraction": 0.00001,
     "window_s": 3_600, "max_window_orders": 0.0007},
)  # fmt: skip
EVERY = {
    "NET_EXPOSURE", "PRICE_MOVE", "WORKING_ORDERS", "SECTOR_EXPOSURE", "OPEN_SYMBOLS", "VOLATILITY",
    "QUOTE_JUMP", "WINDOW_NOTIONAL", "SYMBOL_LOSS", "SHORTFALL", "WINDOW_SHARES",
}  # fmt: skip


@pytest.mark.slow
def test_what_happened_lately_denies_alike_in_session_and_simulation() -> None:
    denied: set[str] = set()
    for seed, tight in enumerate(BITING, 21):
        rng = np.random.default_rng(seed)
        bars = random_bars(rng, FIRST + 8, 4, volume=2e6, halts=0.02, gap=0.02)
        policy = PolicyParams(
            max_weight=0.25, max_gross_weight=1.0, max_slice_shares=400, entry_order_type="market_on_open",
            exit_order_type="market_on_open",
        )  # fmt: skip
        world = World(
            bars, rng.normal(0.02, 0.05, bars.close.shape), policy, Limits(**{**vars(WIDE), **tight}),
            FillParams(participation=0.3), PriorCost(max_notional_usd=10_000_000, valid_days=1_000),
            1_000_000,
        )  # fmt: skip
        if seed % 2:
            with_events(world, rng)
        for codes in compare(world).orders["denial_codes"]:
            denied |= set(codes.split(",")) - {""}
    assert denied >= EVERY, EVERY - denied
