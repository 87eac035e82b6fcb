"""Fees against exact fractions; expected cost against the formula; expiry, caps and manifests."""

import math
from dataclasses import fields, replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import workbench.costs as public
from workbench.core.costs import CostModel, FeeSchedule, PriorCost, expected_cost_bps, fee_micro, prior
from workbench.core.types import DAY_NS, Side
from workbench.errors import ManifestMismatch

AS_OF_NS = 1_767_225_600_000_000_000
FACTS = {"adv": 4e6, "volatility_bps": 150.0, "half_spread_bps": 1.5, "price": 200.0}
MODEL = prior(PriorCost(), FeeSchedule(), as_of_ns=AS_OF_NS)

sizes = st.integers(1, 2_000_000)
prices = st.integers(100, 900_000_000)
schedules = st.builds(
    FeeSchedule,
    sec_usd_per_million=st.integers(0, 10_000).map(lambda cents: cents / 100),
    taf_usd_per_share=st.integers(0, 1_000).map(lambda micros: micros / 1e6),
    taf_cap_usd=st.integers(0, 1_000).map(lambda cents: cents / 100),
    commission_usd_per_share=st.integers(0, 1_000).map(lambda micros: micros / 1e6),
)


def exact_fee_micro(side, shares, price_micro, fees):
    """Each charge in exact fractions of a dollar, rounded up to a cent."""

    def cents(usd):
        return math.ceil(usd * 100) * 10_000

    def exact(value):
        return Fraction(str(value))

    total = cents(exact(fees.commission_usd_per_share) * shares)
    if side == -1:
        notional = Fraction(shares * price_micro, 1_000_000)
        total += cents(notional * exact(fees.sec_usd_per_million) / 1_000_000)
        total += cents(min(exact(fees.taf_usd_per_share) * shares, exact(fees.taf_cap_usd)))
    return total


def test_fees_of_a_sale_by_hand():
    # 100,000 x 20.60 / 1e6 = 2.06; 1,000 x 0.000166 = 0.166 -> 0.17
    assert FeeSchedule().fee_micro(Side.SELL, 1_000, 100_000_000) == 2_230_000
    assert FeeSchedule().fee_micro(Side.BUY, 1_000, 100_000_000) == 0
    # the trading activity fee stops at its ceiling: 100,000 shares at a dollar
    assert FeeSchedule().fee_micro(Side.SELL, 100_000, 1_000_000) == 2_060_000 + 8_300_000


@given(st.sampled_from([1, -1]), sizes, prices, schedules)
def test_fees_equal_exact_fractions(side, shares, price_micro, fees):
    assert fee_micro(side, shares, price_micro, fees.rates()) == exact_fee_micro(
        side, shares, price_micro, fees
    )


@pytest.mark.parametrize(
    ("side", "shares", "price"), [(0, 1, 1), (1, 0, 1), (1, 1, 0), (-1, -5, 1), (1, 10**12, 10**12)]
)
def test_what_cannot_be_charged_is_not_free(side, shares, price):
    assert fee_micro(side, shares, price, FeeSchedule().rates()) == -1
    if side:
        with pytest.raises(ValueError, match="no fee"):
            FeeSchedule().fee_micro(Side(side), shares, price)


@given(
    st.sampled_from(["buy", "sell"]),
    st.integers(1, 900),
    st.floats(1e4, 1e9),
    st.floats(1.0, 2_000.0),
    st.floats(0.0, 200.0),
)
def test_expected_cost_is_spread_impact_and_fees(side, shares, adv, volatility, half_spread):
    estimate = MODEL.expected_bps(
        "X", side, shares, adv=adv, volatility_bps=volatility, half_spread_bps=half_spread, price=200.0
    )
    market = max(half_spread, 1.0) + volatility * (shares / adv) ** 0.5
    fees = (
        exact_fee_micro(1 if side == "buy" else -1, shares, 200_000_000, FeeSchedule()) / (shares * 200) / 100
    )
    assert estimate.mean == pytest.approx(market + fees, abs=0.0051)
    assert estimate.upper == pytest.approx(market * 1.5 + fees, abs=0.0051)
    assert estimate.lower == pytest.approx(market / 1.5 + fees, abs=0.0051)
    assert estimate.lower <= estimate.mean <= estimate.upper
    assert round(estimate.mean, 2) == estimate.mean


@pytest.mark.parametrize("missing", list(FACTS))
@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_a_missing_input_is_a_missing_cost(missing, value):
    facts = {**FACTS, missing: value}
    estimate = MODEL.expected_bps("X", "buy", 100, **facts)
    assert not estimate.known
    assert math.isnan(estimate.lower)
    assert math.isnan(estimate.upper)
    assert math.isnan(MODEL.floor_bps("X", 100, **facts))


def test_without_a_price_or_a_side_or_whole_shares_the_prior_does_not_know():
    assert not MODEL.expected_bps("X", "buy", 100, adv=4e6, volatility_bps=150.0, half_spread_bps=1.5).known
    assert not MODEL.expected_bps("X", "short", 100, **FACTS).known
    assert not MODEL.expected_bps("X", "buy", 0, **FACTS).known
    assert not MODEL.expected_bps("X", "buy", 1.5, **FACTS).known
    assert math.isnan(MODEL.floor_bps("X", 100))


def test_above_the_notional_cap_the_prior_does_not_know():
    assert MODEL.expected_bps("X", "buy", 1_000, **FACTS).known  # 200,000
    assert not MODEL.expected_bps("X", "buy", 1_001, **FACTS).known


@given(st.integers(1, 999), st.integers(1, 999))
def test_buying_more_never_costs_less(one, other):
    small, large = sorted((one, other))
    assert (
        MODEL.expected_bps("X", "buy", small, **FACTS).mean
        <= MODEL.expected_bps("X", "buy", large, **FACTS).mean
    )


def test_the_floor_is_the_upper_round_trip():
    bought = MODEL.expected_bps("X", Side.BUY, 100, **FACTS).upper
    sold = MODEL.expected_bps("X", Side.SELL, 100, **FACTS).upper
    assert MODEL.floor_bps("X", 100, **FACTS) == pytest.approx(bought + sold, abs=1e-9)
    row = MODEL.floor_row_bps(
        np.array([100, 100]),
        price_micro=np.array([200_000_000, 0]),
        adv_shares=np.array([4e6, 4e6]),
        volatility_bps=np.array([150.0, 150.0]),
        half_spread_bps=np.array([1.5, 1.5]),
    )
    assert row[0] == MODEL.floor_bps("X", 100, **FACTS)
    assert math.isnan(row[1])


def test_status_names_what_is_wrong():
    end_ns = AS_OF_NS + 120 * DAY_NS
    assert MODEL.status(AS_OF_NS) == "ok"
    assert MODEL.status(end_ns - 1) == "ok"
    assert MODEL.status(end_ns) == "stale"
    assert MODEL.status(AS_OF_NS - 1) == "out_of_bounds"
    wild = prior(PriorCost(impact_coefficient=50.0), FeeSchedule(), as_of_ns=AS_OF_NS)
    assert wild.status(AS_OF_NS) == "out_of_bounds"
    assert CostModel("", PriorCost(), FeeSchedule(), 0, 0).status(AS_OF_NS) == "missing"


@pytest.mark.parametrize("field", [field.name for field in fields(PriorCost)])
@pytest.mark.parametrize("value", [math.nan, math.inf, 0, -1, True])
def test_prior_parameters_have_no_off_value(field, value):
    with pytest.raises(ValueError, match=field):
        PriorCost(**{field: value})


@pytest.mark.parametrize("field", [field.name for field in fields(FeeSchedule)])
@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_fees_refuse_nonsense(field, value):
    with pytest.raises(ValueError, match=field):
        FeeSchedule(**{field: value})


def test_a_manifest_brings_the_same_model_back():
    again = CostModel.from_manifest(MODEL.to_manifest())
    assert again == MODEL
    assert again.model_id == MODEL.model_id
    assert public.prior is prior
    other = prior(replace(PriorCost(), impact_coefficient=1.1), FeeSchedule(), as_of_ns=AS_OF_NS)
    assert other.model_id != MODEL.model_id


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"kind": "model"},
        {"source": "paper"},
        {"as_of_ns": "x"},
        {"parameters": {"impact_coefficient": math.nan}},
        {"parameters": {"unknown": 1.0}},
        {"fees": {}},
        {"extra": 1},
    ],
)
def test_a_manifest_that_is_not_a_cost_model_is_refused(change):
    with pytest.raises(ManifestMismatch, match="cost model"):
        CostModel.from_manifest({**MODEL.to_manifest(), **change})


@given(st.sampled_from([1, -1]), sizes, prices, st.floats(), st.floats(), st.floats())
def test_compiled_and_plain_costs_are_the_same_bytes(side, shares, price_micro, adv, volatility, half_spread):
    arguments = (
        side, shares, price_micro, adv, volatility, half_spread, PriorCost().values(), FeeSchedule().rates()
    )  # fmt: skip
    compiled = np.array(expected_cost_bps(*arguments))
    plain = np.array(expected_cost_bps.py_func(*arguments))
    assert compiled.tobytes() == plain.tobytes()
    assert fee_micro(side, shares, price_micro, FeeSchedule().rates()) == fee_micro.py_func(
        side, shares, price_micro, FeeSchedule().rates()
    )
