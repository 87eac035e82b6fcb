"""Invariants of simulated fills: within volume, never beyond the limit, never better than the market."""

import math
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.fills import (
    NO_FILL,
    FillParams,
    bar_half_spread_bps,
    capacity_shares,
    fill_auction,
    fill_bar,
    fill_range,
    tick_micro,
)

PARAMS = FillParams().values()
MARKET, LIMIT, ON_OPEN, ON_CLOSE = 0, 1, 2, 3
DAY = {"open_price": 100.0, "high": 102.0, "low": 98.0, "close": 101.0, "volume": 1e6}

sides = st.sampled_from([1, -1])
cents = st.integers(200, 100_000)


@st.composite
def bars(draw):
    low, high = sorted((draw(cents), draw(cents)))
    inside = st.integers(low, high)
    return {
        "open_price": draw(inside) / 100,
        "high": high / 100,
        "low": low / 100,
        "close": draw(inside) / 100,
        "volume": float(draw(st.integers(0, 10_000_000))),
    }


def fill(order_type, side, leaves, limit_micro, bar, *, half_spread=2.0, volatility=150.0, params=PARAMS):
    return fill_bar(
        order_type, side, leaves, limit_micro, bar["open_price"], bar["high"], bar["low"], bar["close"],
        bar["volume"], half_spread, volatility, params,
    )  # fmt: skip


@given(st.sampled_from([0, 1, 2, 3]), sides, st.integers(1, 10**6), cents, bars())
def test_a_fill_is_within_order_volume_and_limit_and_never_better_than_the_market(
    order_type, side, leaves, limit_cents, bar
):
    limit_micro = limit_cents * 10_000 if order_type == LIMIT else 0
    shares, price_micro = fill(order_type, side, leaves, limit_micro, bar)
    assert 0 <= shares <= min(leaves, bar["volume"] * 0.05)
    if shares == 0:
        assert price_micro == 0
        return
    if order_type == LIMIT:
        assert side * (limit_micro - price_micro) >= 0, "beyond the limit"
        best = bar["low"] if side == 1 else bar["high"]
        assert side * (price_micro - best * 1e6) >= -1, "better than anything that traded"
    else:
        anchor = bar["close"] if order_type == ON_CLOSE else bar["open_price"]
        assert side * (price_micro - anchor * 1e6) > 0, "better than the auction"


def test_market_orders_pay_half_spread_and_impact():
    shares, price_micro = fill(MARKET, 1, 10_000, 0, DAY)
    assert shares == 10_000
    assert price_micro == pytest.approx(100e6 * (1 + (2.0 + 150.0 * 0.1) / 1e4), abs=1)
    assert fill(ON_OPEN, 1, 10_000, 0, DAY) == (shares, price_micro)
    assert fill(ON_CLOSE, -1, 10_000, 0, DAY)[1] == pytest.approx(101e6 * (1 - 17.0 / 1e4), abs=1)


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("order_type", [MARKET, ON_OPEN, ON_CLOSE])
def test_cost_is_a_part_of_the_price_whatever_the_price_is(order_type, side):
    """F35: impact and spread count in bps of the price, and nothing is drawn: equal calls, equal fills."""
    bps = []
    for scale in (0.1, 1.0, 40.0):
        bar = {name: value * (scale if name != "volume" else 1.0) for name, value in DAY.items()}
        anchor = bar["close"] if order_type == ON_CLOSE else bar["open_price"]
        shares, price_micro = fill(order_type, side, 10_000, 0, bar)
        assert (shares, price_micro) == fill(order_type, side, 10_000, 0, bar)
        bps.append(side * (price_micro / 1e6 / anchor - 1.0) * 1e4)
    assert bps == pytest.approx([17.0] * 3, abs=0.01)


def test_a_limit_buy_at_100_is_never_filled_at_100_11():
    assert fill(LIMIT, 1, 100, 100_000_000, {**DAY, "open_price": 100.11}) == (100, 100_000_000)
    assert fill(LIMIT, 1, 100, 100_000_000, {**DAY, "open_price": 100.0}) == (100, 100_000_000)
    assert fill(LIMIT, -1, 100, 100_000_000, {**DAY, "open_price": 100.0})[1] == 100_000_000


def test_to_touch_the_limit_is_not_enough():
    assert fill(LIMIT, 1, 100, 98_000_000, DAY) == NO_FILL
    assert fill(LIMIT, 1, 100, 98_010_000, DAY) == (100, 98_010_000)
    assert fill(LIMIT, -1, 100, 102_000_000, DAY) == NO_FILL
    assert fill(LIMIT, -1, 100, 101_990_000, DAY) == (100, 101_990_000)
    deeper = FillParams(through_fraction=0.01).values()
    assert fill(LIMIT, 1, 100, 98_010_000, DAY, params=deeper) == NO_FILL
    assert fill(LIMIT, 1, 100, 99_500_000, DAY, params=deeper) == (100, 99_500_000)


def test_a_fill_is_a_share_of_the_volume():
    assert fill(MARKET, 1, 80_000, 0, DAY)[0] == 50_000
    assert fill(LIMIT, 1, 80_000, 99_000_000, DAY) == (50_000, 99_000_000)
    assert fill(MARKET, 1, 80_000, 0, {**DAY, "volume": 19.0}) == NO_FILL
    assert capacity_shares(math.nan, PARAMS) == 0
    assert capacity_shares(math.inf, PARAMS) == 0


@pytest.mark.parametrize("name", [*DAY, "half_spread", "volatility"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
@pytest.mark.parametrize(("order_type", "limit"), [(0, 0), (1, 99_000_000), (1, 100_500_000), (2, 0), (3, 0)])
def test_what_is_missing_fills_nothing(name, value, order_type, limit):
    bar = {**DAY, name: value} if name in DAY else DAY
    extra = {} if name in DAY else {name: value}
    assert fill(order_type, 1, 100, limit, bar, **extra) == NO_FILL


@pytest.mark.parametrize(
    ("order_type", "side", "leaves", "limit"),
    [
        (9, 1, 100, 0),
        (-1, 1, 100, 0),
        (0, 0, 100, 0),
        (0, 2, 100, 0),
        (0, 1, 0, 0),
        (1, 1, 100, 0),
        (1, 1, 100, -5),
    ],
)
def test_what_is_not_an_order_fills_nothing(order_type, side, leaves, limit):
    assert fill(order_type, side, leaves, limit, DAY) == NO_FILL


@given(sides, st.integers(1, 10**5), bars(), st.floats(0, 100), st.floats(0, 100))
def test_a_wider_spread_never_gives_a_better_price(side, leaves, bar, one, other):
    narrow, wide = sorted((one, other))
    near = fill(MARKET, side, leaves, 0, bar, half_spread=narrow)
    far = fill(MARKET, side, leaves, 0, bar, half_spread=wide)
    assert near[0] == far[0]
    assert side * (far[1] - near[1]) >= 0


@given(cents, cents)
def test_the_half_spread_follows_the_range_and_keeps_its_floor(one, other):
    low, high = sorted((one / 100, other / 100))
    half_spread = bar_half_spread_bps(high, low, PARAMS)
    assert half_spread == pytest.approx(max(1.0, 0.02 * 1e4 * (high - low) / ((high + low) / 2)), abs=0.0051)
    if low < high:
        assert math.isnan(bar_half_spread_bps(low, high, PARAMS))


def test_ticks_are_a_cent_from_one_dollar_on():
    """F20: below a dollar a hundredth of it (17 CFR 242.612)."""
    assert tick_micro(1_000_000) == 10_000
    assert tick_micro(999_900) == 100


@pytest.mark.parametrize("field", [field.name for field in fields(FillParams)])
@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, True])
def test_parameters_refuse_nonsense(field, value):
    with pytest.raises(ValueError, match=field):
        FillParams(**{field: value})


@given(
    st.sampled_from([0, 1, 2, 3]),
    sides,
    st.integers(1, 10**6),
    cents,
    bars(),
    st.floats(0, 1e4),
    st.floats(0, 1e4),
)
def test_compiled_and_plain_fills_are_the_same(
    order_type, side, leaves, limit_cents, bar, half_spread, volatility
):
    limit_micro = limit_cents * 10_000
    taken = (side, leaves, limit_micro, bar["open_price"], bar["volume"], half_spread, volatility, PARAMS)
    assert fill_auction(*taken) == fill_auction.py_func(*taken)
    rested = (side, leaves, limit_micro, bar["high"], bar["low"], bar["volume"], PARAMS)
    assert fill_range(*rested) == fill_range.py_func(*rested)
    spread = (bar["high"], bar["low"], PARAMS)
    assert bar_half_spread_bps(*spread) == bar_half_spread_bps.py_func(*spread)
    whole = (
        order_type, side, leaves, limit_micro if order_type == LIMIT else 0, bar["open_price"], bar["high"],
        bar["low"], bar["close"], bar["volume"], half_spread, volatility, PARAMS,
    )  # fmt: skip
    assert fill_bar(*whole) == fill_bar.py_func(*whole)
