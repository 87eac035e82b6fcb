"""Simulated fills: keyed draws, the OMS's own constraints, and the calibrated law (F34, F35, F36)."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from order_outcomes import outcomes

from workbench.core.fill_simulator import keyed_uniforms
from workbench.core.fills import FillParams, fill_bar
from workbench.core.types import OrderType, TimeInForce
from workbench.costs import FillModel, fit_fill_model, simulate_fills

OPEN = pd.Timestamp("2025-06-02 13:30", tz="UTC")
MINUTES = 20


def calibrated() -> FillModel:
    return fit_fill_model(outcomes(120, 20, 1), as_of="2026-01-01", min_orders=500)


MODEL = calibrated()
#: The same model with nothing to draw: no delay, no deviation, all filled.
PLAIN = dataclasses.replace(
    MODEL,
    deviations=(0.0, 0.0),
    delays_s=(0.0,),
    outcomes=(dataclasses.replace(MODEL.outcomes[0], partial_rate=0.0, fractions=()),),
    participation=0.05,
)


def bars(symbols: tuple[str, ...] = ("S00", "S01"), seed: int = 5) -> pd.DataFrame:
    rng = np.random.Generator(np.random.PCG64(seed))
    rows = []
    for symbol in symbols:
        close = 100.0
        for minute in range(MINUTES):
            opened = round(close * (1 + rng.normal(0, 0.001)), 2)
            close = round(opened * (1 + rng.normal(0, 0.001)), 2)
            high, low = max(opened, close) + 0.03, min(opened, close) - 0.03
            at = OPEN + pd.Timedelta(minutes=minute)
            rows.append((symbol, at, opened, round(high, 2), round(low, 2), close, 40_000.0))
    return pd.DataFrame(rows, columns=["symbol", "at", "open", "high", "low", "close", "volume"])


BARS = bars()


@st.composite
def order_tables(draw: st.DrawFn) -> pd.DataFrame:
    rows = []
    for number in range(draw(st.integers(1, 8))):
        life = draw(st.sampled_from([one.word for one in TimeInForce]))
        kinds = ["market", "limit"] if life in ("ioc", "fok") else [one.word for one in OrderType]
        kind = draw(st.sampled_from(kinds))
        level = draw(st.integers(9_900, 10_100)) / 100
        rows.append(
            {
                "order_id": f"o{number}", "session": "2025-06-02",
                "symbol": draw(st.sampled_from(["S00", "S01", "unheard of"])),
                "side": draw(st.sampled_from(["buy", "sell"])), "order_type": kind, "time_in_force": life,
                "quantity": draw(st.integers(1, 30_000)),
                "sent_at": OPEN + pd.Timedelta(seconds=draw(st.integers(-60, 900))),
                "adv": 1e6, "volatility_bps": 150.0, "half_spread_bps": 2.0,
                "limit_price": level if "limit" in kind else math.nan,
                "stop_price": level if "stop" in kind else math.nan,
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


@settings(max_examples=20)
@given(order_tables(), st.randoms(use_true_random=False), st.integers(0, 2**40))
def test_neither_the_order_of_rows_nor_their_split_changes_a_fill(
    orders: pd.DataFrame, shuffle: object, seed: int
) -> None:
    whole = simulate_fills(orders, BARS, model=MODEL, seed=seed)
    mixed = list(range(len(orders)))
    shuffle.shuffle(mixed)  # type: ignore[attr-defined]
    turned = simulate_fills(orders.iloc[mixed], BARS.iloc[::-1], model=MODEL, seed=seed)
    parts = [mixed[::2], mixed[1::2]]  # as two processes would share them out
    alone = pd.concat([simulate_fills(orders.iloc[part], BARS, model=MODEL, seed=seed) for part in parts])
    for other in (turned, alone):
        pd.testing.assert_frame_equal(
            whole.sort_values("execution_id", ignore_index=True),
            other.sort_values("execution_id", ignore_index=True),
            check_dtype=False,
        )


@settings(max_examples=30)
@given(order_tables(), st.integers(0, 2**40))
def test_every_fill_keeps_the_constraints_of_the_oms(orders: pd.DataFrame, seed: int) -> None:
    fills = simulate_fills(orders, BARS, model=MODEL, seed=seed)
    assert not fills["execution_id"].duplicated().any()
    by_id = orders.set_index("order_id")
    for identity, own in fills.groupby("order_id"):
        order = by_id.loc[identity]
        assert own["quantity"].sum() <= order["quantity"]
        assert (own["quantity"] >= 1).all()
        assert (own["quantity"] <= MODEL.participation * 40_000).all()
        assert (own["filled_at"] >= order["sent_at"]).all(), "filled by a bar that began before it was sent"
        assert own["filled_at"].is_unique
        side = 1 if order["side"] == "buy" else -1
        if "limit" in order["order_type"]:
            assert (side * (own["price"] - order["limit_price"]) <= 1e-9).all(), "beyond the limit"
        if order["time_in_force"] in ("ioc", "fok"):
            assert len(own) == 1
        if order["time_in_force"] == "fok":
            assert own["quantity"].sum() == order["quantity"]
        assert order["symbol"] != "unheard of"


@settings(max_examples=30)
@given(order_tables())
def test_without_anything_to_draw_shares_and_bars_are_those_of_bar_fills(orders: pd.DataFrame) -> None:
    """Order types, lives, limits and stops are judged by the very function that the venue fills with."""
    fills = simulate_fills(orders, BARS, model=PLAIN, seed=1)
    free = FillParams(
        impact_coefficient=0.0, half_spread_floor_bps=0.0, half_spread_range_fraction=0.0
    ).values()
    expected = []
    for row in orders.to_dict("records"):
        kind, life = OrderType.parse(row["order_type"]), TimeInForce.parse(row["time_in_force"])
        limit, stop = (
            0 if math.isnan(row[n]) else round(row[n] * 1e6) for n in ("limit_price", "stop_price")
        )
        leaves = int(row["quantity"])
        for bar in BARS[(BARS["symbol"] == row["symbol"]) & (BARS["at"] >= row["sent_at"])].itertuples():
            shares, _ = fill_bar(
                int(kind), 1 if row["side"] == "buy" else -1, leaves, limit, bar.open, bar.high, bar.low,
                bar.close, bar.volume, 0.0, 0.0, free, stop, int(life),
            )  # fmt: skip
            if shares:
                expected.append((row["order_id"], bar.at, shares))
            leaves -= shares
            if leaves == 0 or life in (TimeInForce.IOC, TimeInForce.FOK):
                break
    assert list(zip(fills["order_id"], fills["filled_at"], fills["quantity"], strict=True)) == expected


def market_orders(count: int, sessions: int = 1) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "order_id": [f"m{n}" for n in range(count)],
            "session": [f"day {n % sessions}" for n in range(count)], "symbol": "S00",
            "side": "buy", "order_type": "market", "quantity": 100, "sent_at": OPEN - pd.Timedelta("1h"),
            "adv": 1e6, "volatility_bps": 150.0, "half_spread_bps": 2.0,
        }
    )  # fmt: skip


def test_draws_follow_the_calibrated_bands() -> None:
    orders = market_orders(3_000, sessions=3_000)
    fills = simulate_fills(orders, BARS, model=MODEL, seed=11)
    bands = MODEL.quantiles_bps(orders, np.array([0.05, 0.25, 0.5, 0.75, 0.95]))
    drawn = fills.set_index("order_id")["cost_bps"].reindex(orders["order_id"]).to_numpy()
    known = ~np.isnan(drawn)
    below = (drawn[known, None] <= bands[known]).mean(axis=0)
    assert below == pytest.approx([0.05, 0.25, 0.5, 0.75, 0.95], abs=0.03)  # three errors of 2,500 draws
    expected = MODEL.outcome_of("market").partial_rate
    partly = fills.groupby("order_id")["quantity"].sum().reindex(orders["order_id"]).fillna(0.0) < 100
    assert partly.mean() == pytest.approx(expected, abs=0.02)


def test_orders_of_one_session_err_together() -> None:
    fills = simulate_fills(market_orders(2_000, sessions=100), BARS, model=MODEL, seed=2)
    cost = fills.drop_duplicates("order_id").assign(day=lambda f: f["order_id"].str[1:].astype(int) % 100)
    share = cost.groupby("day")["cost_bps"].mean().var() / cost["cost_bps"].var()
    assert share == pytest.approx(MODEL.day_share, abs=0.12)


def test_a_delay_is_waited_for() -> None:
    late = dataclasses.replace(PLAIN, delays_s=(300.0,))
    (fill,) = simulate_fills(market_orders(1).assign(sent_at=OPEN), BARS, model=late, seed=0).to_dict(
        "records"
    )
    assert fill["filled_at"] == OPEN + pd.Timedelta("5min")


def test_price_improvement_is_a_negative_cost_and_both_sides_mirror() -> None:
    better = dataclasses.replace(PLAIN, deviations=(-1.0, -1.0))
    orders = market_orders(1)
    for side, sign in (("buy", 1), ("sell", -1)):
        plain, improved = (
            simulate_fills(orders.assign(side=side), BARS, model=model, seed=0)["price"].item()
            for model in (PLAIN, better)
        )
        assert sign * (plain - improved) > 0


def test_an_order_that_rested_pays_its_limit_and_no_cost() -> None:
    bar = {"symbol": "S00", "at": OPEN, "open": 50.0, "high": 50.2, "low": 49.5, "close": 50.0}
    rested = market_orders(1).assign(order_type="limit", limit_price=49.8, sent_at=OPEN, symbol="S00")
    for orders, price in ((rested, 49.8), (rested.assign(limit_price=60.0), None)):
        (fill,) = simulate_fills(
            orders, pd.DataFrame([bar | {"volume": 40_000.0}]), model=PLAIN, seed=0
        ).to_dict("records")
        assert (fill["price"] == 49.8) == (price is not None)
        assert (fill["cost_bps"] == 0.0) == (price is not None), "who takes pays, who waited does not"


def test_keys_give_uniform_independent_numbers() -> None:
    drawn = np.array([keyed_uniforms(1, f"order {n}", 0) for n in range(4_000)])
    assert drawn.min() > 0.0
    assert drawn.max() < 1.0
    for column in drawn.T:
        ranked = np.sort(column)
        assert np.abs(ranked - (np.arange(4_000) + 0.5) / 4_000).max() < 1.63 / math.sqrt(4_000)  # 99 %
    assert np.abs(np.corrcoef(drawn.T) - np.eye(4)).max() < 0.06
    assert keyed_uniforms(1, "a", "b") != keyed_uniforms(2, "a", "b")
    assert keyed_uniforms(1, "a", "bc") != keyed_uniforms(1, "ab", "c")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"side": "hold"}, "neither buy nor sell"),
        ({"order_type": "guess"}, "unknown order type"),
        ({"time_in_force": "soon"}, "unknown time in force"),
    ],
)
def test_what_is_not_an_order_is_named(change: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        simulate_fills(market_orders(1).assign(**change), BARS, model=MODEL, seed=0)


def test_tables_that_cannot_be_read_are_refused() -> None:
    orders = market_orders(2)
    with pytest.raises(ValueError, match="orders has no column side"):
        simulate_fills(orders.drop(columns="side"), BARS, model=MODEL, seed=0)
    with pytest.raises(ValueError, match="bars has no column at"):
        simulate_fills(orders, BARS.drop(columns="at"), model=MODEL, seed=0)
    with pytest.raises(ValueError, match="more than once"):
        simulate_fills(orders.assign(order_id="same"), BARS, model=MODEL, seed=0)
    with pytest.raises(ValueError, match="missing"):
        simulate_fills(orders, BARS, model=dataclasses.replace(MODEL, deviations=()), seed=0)
    unknown = simulate_fills(orders.assign(adv=math.nan), BARS, model=MODEL, seed=0)
    assert len(unknown) == 0, "what it costs is not known, so nothing is invented"
