"""The policy against a slow version of itself, and what it may never do."""

import math
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.policy import (
    PolicyParams,
    Reason,
    decide,
    decide_row,
    intended_shares,
    limit_price_micro,
    target_weight_micro,
)
from workbench.core.types import MISSING, OrderType, Snapshot

PARAMS = PolicyParams()
COLUMNS = (
    "price_micro", "bar_age_sessions", "bid_micro", "ask_micro", "quote_age_ns", "tradable", "frozen",
    "position_shares", "open_buy_shares", "open_sell_shares", "adv_shares", "volatility_bps",
    "half_spread_bps",
)  # fmt: skip


def snapshot(n=1, **changes):
    columns = {
        "price_micro": 100_000_000, "bar_age_sessions": 0, "bid_micro": 99_990_000, "ask_micro": 100_010_000,
        "quote_age_ns": 0, "tradable": True, "frozen": False, "position_shares": 0, "open_buy_shares": 0,
        "open_sell_shares": 0, "adv_shares": 1e6, "volatility_bps": 150.0, "half_spread_bps": 1.5,
    }  # fmt: skip
    equity = changes.pop("equity_micro", 100_000_000_000)
    columns.update(changes)
    arrays = {}
    for name in COLUMNS:
        kind = {bool: np.bool_, float: np.float64}.get(type(columns[name]), None)
        value = np.broadcast_to(np.asarray(columns[name]), (n,)).copy()
        arrays[name] = value.astype(kind or (value.dtype if value.dtype.kind in "fb" else np.int64))
    symbols = tuple(f"S{i:02d}" for i in range(n))
    return Snapshot("a", "s", "2013-01-02", 1, symbols, **arrays, cash_micro=equity, equity_micro=equity,
                    session_start_equity_micro=equity)  # fmt: skip


def one(forecast, *, floor=8.0, params=PARAMS, **changes):
    decision = decide(snapshot(**changes), np.array([forecast]), params, np.array([floor]))
    return Reason(decision.reason[0]), int(decision.delta_shares[0]), decision


def test_an_entry_is_sized_by_forecast_over_risk():
    reason, delta, decision = one(0.004)
    weight = 0.004 / (0.015 * 5**0.5)
    assert reason is Reason.ENTER
    assert delta == math.floor(weight * 1_000)
    assert decision.weight_micro[0] == round(weight * 1e6)
    assert (decision.edge_micro[0], decision.cost_floor_micro[0]) == (4_000, 800)
    assert (decision.order_type[0], decision.limit_micro[0]) == (OrderType.LIMIT, 100_250_000)


@pytest.mark.parametrize(
    ("reason", "forecast", "delta", "changes"),
    [
        (Reason.EDGE_BELOW_COST, 0.004, 0, {"floor": 40.0}),
        (Reason.ENTER, 0.004, 119, {"floor": 39.99}),
        (Reason.WITHIN_BAND, 0.0006, 0, {"floor": 1.0}),
        (Reason.BELOW_ONE_LOT, 0.00001, 0, {}),
        (Reason.AT_TARGET, 0.004, 0, {"position_shares": 119}),
        (Reason.AT_TARGET, 0.0, 0, {}),
        (Reason.INCREASE, 0.004, 59, {"position_shares": 60}),
        (Reason.REDUCE, 0.001, -71, {"position_shares": 100}),
        (Reason.EDGE_BELOW_COST, 0.001, 0, {"position_shares": 100, "floor": 30.0}),
        (Reason.EXIT, 0.0, -100, {"position_shares": 100}),
        (Reason.EXIT, -0.00001, -7, {"position_shares": 7, "floor": 500.0}),
        (Reason.SHORT_NOT_ALLOWED, -0.01, 0, {}),
        (Reason.EXIT, 0.01, 5, {"position_shares": -5}),
        (Reason.FORECAST_MISSING, math.nan, 0, {}),
        (Reason.FORECAST_MISSING, 1.5, 0, {}),
        (Reason.FORECAST_MISSING, -math.inf, 0, {}),
        (Reason.PRICE_MISSING, 0.004, 0, {"price_micro": 0}),
        (Reason.PRICE_MISSING, 0.004, 0, {"price_micro": 10**15}),
        (Reason.VOLATILITY_MISSING, 0.004, 0, {"volatility_bps": math.nan}),
        (Reason.VOLATILITY_MISSING, 0.004, 0, {"volatility_bps": 0.0}),
        (Reason.EQUITY_MISSING, 0.004, 0, {"equity_micro": 0}),
        (Reason.COST_MISSING, 0.004, 0, {"floor": math.nan}),
        (Reason.COST_MISSING, -0.004, 0, {"floor": math.nan, "position_shares": 100}),
        (Reason.COST_MISSING, 0.004, 0, {"floor": -1.0}),
        (Reason.POSITION_MISSING, 0.004, 0, {"position_shares": MISSING}),
        (Reason.NOT_TRADABLE, 0.004, 0, {"tradable": False}),
        (Reason.FROZEN, 0.004, 0, {"frozen": True}),
        (Reason.ORDER_WORKING, 0.004, 0, {"open_buy_shares": 1}),
        (Reason.ORDER_WORKING, 0.004, 0, {"open_sell_shares": 1}),
    ],
)
def test_every_reason_is_given_when_it_holds(reason, forecast, delta, changes):
    got, got_delta, decision = one(forecast, **changes)
    assert (got, got_delta) == (reason, delta)
    assert (
        decision.target_shares[0] == decision.delta_shares[0] + changes.get("position_shares", 0)
        or delta == 0
    )
    if delta == 0:
        assert decision.limit_micro[0] == 0


def test_every_reason_reads_as_a_sentence_and_a_word():
    for reason in Reason:
        assert reason.explain.endswith(".")
        assert reason.word == reason.name.lower()


def test_an_order_never_crosses_zero():
    shorts = replace(PARAMS, allow_short=True)
    reason, delta, _ = one(-0.004, params=shorts, position_shares=50)
    assert (reason, delta) == (Reason.EXIT, -50)
    reason, delta, decision = one(-0.004, params=shorts)
    assert (reason, delta) == (Reason.ENTER, -119)
    assert decision.limit_micro[0] == 99_750_000


@given(st.lists(st.floats(-0.05, 0.05) | st.just(math.nan), min_size=1, max_size=12), st.booleans())
def test_weights_stay_within_symbol_and_gross_ceilings(forecasts, allow_short):
    params = replace(PARAMS, allow_short=allow_short)
    n = len(forecasts)
    decision = decide(snapshot(n), np.array(forecasts), params, np.full(n, 8.0))
    weights = decision.weight_micro[decision.weight_micro != MISSING]
    assert np.abs(weights).sum() <= 900_000
    assert np.all(np.abs(weights) <= 200_000)
    if not allow_short:
        assert np.all(weights >= 0)
    assert np.all(np.abs(decision.target_shares) * 100_000_000 <= 0.2 * 100_000_000_000)


def test_what_is_held_and_cannot_be_judged_uses_the_gross_weight():
    many = snapshot(6, position_shares=np.array([400, 400, 0, 0, 0, 0]))
    forecast = np.array([math.nan, math.nan, 0.01, 0.01, 0.01, 0.01])
    decision = decide(many, forecast, PARAMS, np.full(6, 8.0))
    assert decision.weight_micro[2:].sum() <= 100_000


@given(st.permutations(range(6)), st.lists(st.floats(-0.05, 0.05), min_size=6, max_size=6))
def test_the_order_of_symbols_does_not_matter(order, forecasts):
    position = np.array([0, 10, -5, 100, 300, 0])
    price = np.array([90, 100, 110, 3, 250, 40]) * 1_000_000
    straight = decide(
        snapshot(6, position_shares=position, price_micro=price), np.array(forecasts), PARAMS, np.full(6, 8.0)
    )
    at = list(order)
    shuffled = decide(
        snapshot(6, position_shares=position[at], price_micro=price[at]),
        np.array(forecasts)[at],
        PARAMS,
        np.full(6, 8.0),
    )
    for field in fields(straight):
        if field.name != "symbols":
            assert np.array_equal(getattr(straight, field.name)[at], getattr(shuffled, field.name)), (
                field.name
            )


@given(st.integers(100, 900_000_000), st.floats(0.0, 900.0))
def test_a_limit_is_on_the_tick_grid_and_rounding_never_worsens_it(price_micro, offset_bps):
    """F20: buys are rounded down and sells up, on the grid of their price."""
    offset = round(offset_bps * 100)
    buy = limit_price_micro(1, price_micro, offset)
    sell = limit_price_micro(-1, price_micro, offset)
    for limit in (buy, sell):
        assert limit % (10_000 if limit >= 1_000_000 else 100) == 0
        assert limit > 0
    if price_micro >= 200:
        assert buy * 1_000_000 <= price_micro * (1_000_000 + offset)
    assert sell * 1_000_000 >= price_micro * (1_000_000 - offset)


def slow_delta(forecast, price, volatility, position, equity, floor_bps):
    """One symbol, long only, in plain words."""
    if math.isnan(forecast):
        return 0
    forecast = round(forecast, 6)
    if forecast * position < 0:
        return -position
    risk = volatility * math.sqrt(5)
    weight = min(max(round(forecast / risk, 6), 0.0), 0.2)
    delta = int(weight * equity / price + 1e-9) - position
    change = abs(delta) * price / equity
    edge = abs(forecast) if delta * position >= 0 else change * risk
    return delta if change >= 0.02 and edge * 1e4 > floor_bps else 0


@given(
    st.integers(-400, 400).map(lambda x: x / 10_000),
    st.sampled_from([50, 80, 100, 125]),
    st.integers(20, 500),
    st.integers(0, 300),
    st.integers(0, 100),
)
def test_one_symbol_equals_the_slow_version(forecast, price, volatility_bps, position, floor_bps):
    floor = floor_bps + 0.37  # never exactly on the edge of the comparison
    _, delta, _ = one(
        forecast, floor=floor, price_micro=price * 1_000_000, volatility_bps=float(volatility_bps),
        position_shares=position,
    )  # fmt: skip
    assert delta == slow_delta(forecast, price, volatility_bps / 1e4, position, 100_000, floor)


@given(st.floats(-0.05, 0.05), st.floats(0.0, 100.0), st.integers(-300, 300))
def test_a_dearer_trade_is_never_made_where_a_cheaper_one_is_not(forecast, floor, position):
    _, cheap, _ = one(forecast, floor=floor, position_shares=position)
    _, dear, _ = one(forecast, floor=floor + 5.0, position_shares=position)
    assert dear in (0, cheap)


def test_intended_shares_ask_for_at_least_one_lot():
    sizes = intended_shares(snapshot(3), np.array([0.004, -0.01, math.nan]), PARAMS)
    assert sizes.tolist() == [119, 1, 1]


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="one element for each"):
        decide(snapshot(2), np.array([0.1]), PARAMS, np.zeros(2))


@pytest.mark.parametrize(
    "name", ["gain", "max_weight", "min_trade_weight", "edge_multiple", "horizon_sessions"]
)
@pytest.mark.parametrize("value", [math.nan, math.inf, 0, -1, True])
def test_parameters_refuse_nonsense(name, value):
    with pytest.raises(ValueError, match=name):
        PolicyParams(**{name: value})


@pytest.mark.parametrize("name", ["entry_order_type", "exit_order_type"])
def test_unknown_order_types_are_refused(name):
    with pytest.raises(ValueError, match=name):
        PolicyParams(**{name: "stop"})


@given(
    st.lists(st.floats(-0.05, 0.05), min_size=4, max_size=4),
    st.lists(st.integers(-300, 300), min_size=4, max_size=4),
)
def test_compiled_and_plain_rows_are_the_same(forecasts, positions):
    rows = []
    for kernel in (decide_row, decide_row.py_func):
        out = np.zeros((8, 4), dtype=np.int64)
        kernel(
            np.rint(np.array(forecasts) * 1e6).astype(np.int64), np.full(4, 100_000_000), np.full(4, 150.0),
            np.full(4, 8.0), np.array(positions), np.zeros(4, dtype=np.int64), np.ones(4, dtype=np.int64),
            np.zeros(4, dtype=np.int64), 100_000_000_000, PARAMS.values(), out,
        )  # fmt: skip
        rows.append(out.tobytes())
    assert rows[0] == rows[1]
    weight = target_weight_micro(4_000, 150.0, PARAMS.values())
    assert weight == target_weight_micro.py_func(4_000, 150.0, PARAMS.values())


@pytest.mark.parametrize("volatility_bps", [math.nan, math.inf, -1.0, 0.0, 0.5])
def test_an_absurd_volatility_gives_no_weight(volatility_bps):
    assert target_weight_micro(4_000, volatility_bps, PARAMS.values()) == MISSING


@given(
    st.integers(-1_000_000, 1_000_000), st.floats(1.0, 99_000.0), st.floats(1e-3, 1_000.0),
    st.integers(1, 260), st.floats(1e-6, 1.0), st.booleans(), st.sampled_from([0.0, 0.9999, 1.0, 1.0001]),
)  # fmt: skip
def test_a_weight_told_without_a_division_is_the_one_with_it(
    forecast, volatility, gain, horizon, largest, short, near
):
    params = PolicyParams(gain=gain, horizon_sessions=horizon, max_weight=largest, allow_short=short)
    most = round(largest * 1e6)
    if near:  # at the edge of what is surely clipped
        risk = volatility / 1e4 * math.sqrt(horizon)
        size = min(round((most + 1) * near * risk / gain), 1_000_000)
        forecast = size if forecast >= 0 else -size
    risk = volatility / 1e4 * math.sqrt(horizon)
    weight = float(np.rint(gain * forecast / risk))
    clipped = int(min(max(weight, float(-most if short else 0)), float(most)))
    assert target_weight_micro(forecast, volatility, params.values()) == clipped
