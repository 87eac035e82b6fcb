"""What a fitted cost model says, refuses and remembers."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from own_fills import draw

from workbench.core.canonical import canonical_json
from workbench.core.costs.regression import gross_outliers, tail_bound
from workbench.core.evaluation import cost_per_side_bps
from workbench.core.types import DAY_NS, Bars
from workbench.costs import CostModel, FeeSchedule, fit_cost_model
from workbench.errors import ManifestMismatch

AS_OF = pd.Timestamp("2025-12-01", tz="UTC")
AS_OF_NS = AS_OF.value
FACTS = {"adv": 1e7, "volatility_bps": 190.0, "half_spread_bps": 4.5}
RECORDS = draw(5_000, 1).records


def fitted(records: pd.DataFrame = RECORDS, **changes: Any) -> CostModel:
    return fit_cost_model(records, **{"as_of": AS_OF, "min_fills": 200} | changes)


MODEL = fitted()


def test_a_model_answers_for_policy_fills_and_analysis() -> None:
    one = MODEL.expected_bps("S001", "buy", 10_000, **FACTS)
    assert one.lower < one.mean < one.upper
    floor = MODEL.floor_bps("S001", 10_000, **FACTS)
    assert 2 * one.mean < floor < 2 * one.upper  # 80 % one-sided lies inside of 90 % two-sided
    row = MODEL.floor_row_bps(
        np.array([10_000, 0, 10_000]), price_micro=np.array([10_000_000] * 3), adv_shares=np.array([1e7] * 3),
        volatility_bps=np.array([190.0, 190.0, math.nan]), half_spread_bps=np.array([4.5] * 3),
        symbols=("S001", "S002", "S003"),
    )  # fmt: skip
    assert row[0] == floor
    assert np.isnan(row[1:]).all()
    assert MODEL.floor_bps("S001", 10_000) > 0.0  # without facts those of its own records


def test_a_symbol_without_records_has_the_universe_with_the_spread_between_symbols() -> None:
    uneven = fitted(draw(5_000, 3, symbol_bps=25.0).records)
    known, unknown = (uneven.expected_bps(name, "buy", 10_000, **FACTS) for name in ("S001", "NEW"))
    assert unknown.upper - unknown.lower > 3 * (known.upper - known.lower)
    levels = {entry.symbol: entry.level_bps for entry in uneven.parameters.symbols}
    assert np.std(list(levels.values())) == pytest.approx(25.0, rel=0.5)
    assert uneven.parameters.symbol_spread_bps > 10.0
    even = MODEL.parameters.symbols
    assert all(entry.level_bps == 0.0 for entry in even)  # nothing tells the symbols apart


def test_a_thin_symbol_is_pulled_to_the_universe() -> None:
    records = draw(5_000, 3, symbol_bps=25.0).records
    thick = records[records["symbol"] != "S000"]
    thin = records[records["symbol"] == "S000"].head(3)
    both = fitted(pd.concat([thick, thin]).sort_index()).parameters
    thin_entry = both.about("S000")
    assert thin_entry.fills == 3
    assert thin_entry.level_variance > 5 * both.about("S001").level_variance
    raw = fitted(records).parameters.about("S000").level_bps
    assert abs(thin_entry.level_bps) < max(abs(raw), 25.0)


def test_price_improvement_stays_a_negative_cost() -> None:
    better = RECORDS.assign(cost_bps=RECORDS["cost_bps"] - 30.0)
    assert fitted(better).expected_bps("S001", "buy", 1_000, **FACTS).mean < 0.0
    assert fitted(better).floor_bps("S001", 1_000, **FACTS) == 0.0  # but no gain is assumed in a floor


def test_the_mean_of_skewed_costs_is_estimated() -> None:
    """Mean 5, skew 3: a bounded score would say -3.6."""
    rng = np.random.Generator(np.random.Philox(9))
    cost = 5.0 + (rng.gamma(4 / 9, 1.0, 20_000) - 4 / 9) / (2 / 3) * 50.0
    records = RECORDS.iloc[np.arange(20_000) % 5_000].assign(cost_bps=cost, half_spread_bps=1.0)
    found = fitted(records).parameters
    volatility, share = records["volatility_bps"], records["quantity"] / records["adv"]
    slope = float((volatility * np.sqrt(share)).mean())
    mean = found.spread_multiple.estimate + found.impact_coefficient.estimate * slope
    assert mean == pytest.approx(5.0, abs=1.0)
    assert found.excluded == {}


def test_few_fills_or_days_give_a_model_that_is_missing() -> None:
    few = fitted(RECORDS.head(199))
    assert few.status(AS_OF_NS) == "missing"
    assert not few.expected_bps("S001", "buy", 100, **FACTS).known
    assert math.isnan(few.floor_bps("S001", 100, **FACTS))
    one_week = RECORDS[RECORDS["session"] < "2025-01-10"]
    assert fitted(one_week, min_fills=100).status(AS_OF_NS) == "missing"
    assert fitted(RECORDS.head(0)).status(AS_OF_NS) == "missing"


def test_status_names_what_is_wrong() -> None:
    assert MODEL.status(AS_OF) == "ok" == MODEL.status(AS_OF.isoformat())
    assert MODEL.status(AS_OF_NS + 10 * DAY_NS) == "stale"
    assert MODEL.status(AS_OF_NS - 1) == "out_of_bounds"
    assert MODEL.status(AS_OF_NS, volatility_bps=200.0) == "ok"
    assert MODEL.status(AS_OF_NS, volatility_bps=2_000.0) == "wrong_regime"
    assert MODEL.status(AS_OF_NS, volatility_bps=math.nan) == "wrong_regime"
    assert MODEL.drifted("cusum 2025-12-02").status(AS_OF_NS) == "drifted"
    wild = RECORDS.assign(cost_bps=RECORDS["cost_bps"] + 60.0 * RECORDS["half_spread_bps"])
    assert fitted(wild).status(AS_OF_NS) == "out_of_bounds"
    with pytest.raises(ValueError, match="time zone"):
        MODEL.status(pd.Timestamp("2025-12-02 10:00"))


def test_sources_never_mix_and_unnamed_ones_are_simulated() -> None:
    assert MODEL.source == "simulated"
    assert fitted(RECORDS.assign(source="paper")).source == "paper"
    assert fitted(source="live").source == "live"
    mixed = RECORDS.assign(source=["paper", "live"] * 2_500)
    with pytest.raises(ValueError, match="live, paper never calibrate one model"):
        fitted(mixed)
    with pytest.raises(ValueError, match="never calibrate one"):
        fitted(RECORDS.assign(source="paper"), source="live")
    with pytest.raises(ValueError, match="source must be"):
        fitted(source="prior")


def test_bad_records_are_counted_by_name_and_change_nothing() -> None:
    bad = RECORDS.head(10).copy()
    bad["adv"] = bad["adv"].astype(float)
    bad.loc[0, "cost_bps"] = math.nan
    bad.loc[1, "quantity"] = -5.0
    bad.loc[2, "adv"] = 0.0
    bad.loc[3, "volatility_bps"] = -1.0
    bad.loc[4, "half_spread_bps"] = -1.0
    bad.loc[5, "quantity"] = bad.loc[5, "adv"] * 2
    bad.loc[6, "session"] = "2026-01-05"
    bad.loc[7, "session"] = None
    bad.loc[8, "symbol"] = None
    bad.loc[9, "cost_bps"] = 90_000.0
    found = fitted(pd.concat([RECORDS, bad], ignore_index=True))
    assert found.parameters.excluded == {
        "after_as_of": 1, "gross_outlier": 1, "missing_value": 1, "more_than_the_volume": 1,
        "negative_spread": 1, "negative_volatility": 1, "no_day": 1, "no_symbol": 1, "no_volume": 1,
        "quantity_not_positive": 1,
    }  # fmt: skip
    assert found.parameters.covariance == MODEL.parameters.covariance
    twice = pd.concat([RECORDS, RECORDS]).assign(execution_id=[*range(5_000), *range(5_000)])
    assert fitted(twice).parameters.excluded == {"duplicate": 5_000}
    with pytest.raises(ValueError, match="adv, cost_bps"):
        fitted(RECORDS.drop(columns=["adv", "cost_bps"]))


def test_fees_that_records_name_are_taken_out_and_added_by_schedule() -> None:
    named = RECORDS.assign(fee_bps=2.0, cost_bps=RECORDS["cost_bps"] + 2.0, price=50.0)
    schedule = FeeSchedule(commission_usd_per_share=0.005)
    found = fitted(named, fees=schedule)
    assert found.parameters.spread_multiple == MODEL.parameters.spread_multiple
    plain, sold = (MODEL.expected_bps("S001", side, 1_000, **FACTS) for side in ("buy", "sell"))
    with_fees = found.expected_bps("S001", "sell", 1_000, **FACTS)
    assert sold == plain  # no fees: no side
    fee = schedule.fee_micro(-1, 1_000, 50_000_000) / 1e6 / 50_000 * 1e4
    assert with_fees.mean == pytest.approx(sold.mean + fee, abs=0.011)


def test_beyond_what_was_seen_the_model_does_not_know() -> None:
    assert MODEL.expected_bps("S001", "buy", 1_000_000, **FACTS).known
    assert not MODEL.expected_bps("S001", "buy", 1_000_001, **FACTS).known
    for name in FACTS:
        assert not MODEL.expected_bps("S001", "buy", 100, **FACTS | {name: math.nan}).known


def test_a_manifest_tells_all_and_brings_the_same_model_back() -> None:
    text = canonical_json(MODEL.manifest)
    again = CostModel.from_manifest(json.loads(text))
    assert again.model_id == MODEL.model_id
    assert again.expected_bps("S001", "buy", 100, **FACTS) == MODEL.expected_bps("S001", "buy", 100, **FACTS)
    parameters = MODEL.manifest["parameters"]
    assert not parameters["identified"]
    assert parameters["exponent"] == {"estimate": 0.5, "lower": 0.5, "upper": 0.5}
    assert parameters["exponent_width"] > 0.4
    assert parameters["condition_number"] > 10.0  # coefficient and exponent cannot be told apart
    assert (parameters["fills"], parameters["days"]) == (5_000, 100)
    assert fitted(RECORDS.sample(frac=1.0, random_state=1).sort_index()).model_id == MODEL.model_id
    for change in ({"source": "prior"}, {"source": "sandbox"}):
        with pytest.raises(ManifestMismatch, match="cost model"):
            CostModel.from_manifest({**json.loads(text), **change})
    broken = json.loads(text)
    broken["parameters"]["covariance"] = [[1.0]]
    with pytest.raises(ManifestMismatch, match="covariance"):
        CostModel.from_manifest(broken)


def test_records_that_cannot_tell_the_impact_leave_it_at_nothing() -> None:
    flat = RECORDS.assign(half_spread_bps=2.0, volatility_bps=100.0, quantity=1_000.0, adv=1e7)
    found = fitted(flat).parameters
    assert found.impact_coefficient.estimate == 0.0
    assert found.exponent_width is None
    no_spread = fitted(RECORDS.assign(half_spread_bps=0.0)).parameters
    assert no_spread.spread_multiple.estimate == 1.0


def test_standard_error_of_the_exponent_is_what_the_noise_allows() -> None:
    """Of the order of 1.36 with 500 fills: with the exponent's own column no sample of that size decides."""
    widths = [fitted(draw(500, seed).records).parameters.exponent_width for seed in range(20)]
    assert 0.5 < np.median([width / 2 / 1.96 for width in widths if width is not None]) < 4.0


def test_outliers_need_a_tail_to_be_measured_by() -> None:
    assert tail_bound(np.zeros(100))[1] == math.inf
    values = np.concatenate([np.linspace(-1, 1, 200), np.full(10, 500.0)])
    found = gross_outliers(np.ones((210, 1)), values)
    assert found.sum() == 10
    assert found[200:].all()


def test_simulations_take_the_fitted_parameters() -> None:
    rng = np.random.Generator(np.random.Philox(2))
    close = 50.0 + np.cumsum(rng.normal(0, 0.5, (60, 1)), axis=0)
    ts = np.arange(60, dtype=np.int64) * DAY_NS + AS_OF_NS
    volume = np.full((60, 1), 1e7)
    bars = Bars(ts, ("S001",), close, close + 0.5, close - 0.5, close, volume, np.ones((60, 1), dtype=bool))
    cost = cost_per_side_bps(bars, MODEL, notional_usd=50_000)
    assert np.isfinite(cost[:, -1, 0]).all()
    missing = fitted(RECORDS.head(10))
    assert np.isnan(cost_per_side_bps(bars, missing, notional_usd=50_000)).all()
