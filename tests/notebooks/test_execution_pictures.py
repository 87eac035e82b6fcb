"""Tables and pictures of execution quality: every step, size, bucket and horizon is drawn."""

from __future__ import annotations

import holoviews as hv
import numpy as np
import pytest
from own_fills import draw
from tape import market

from workbench import costs, plots, tca

REPORT = tca.report(**market(3), by="hour", split="wagner", max_age="10min")
MODEL = costs.fit_cost_model(draw(5_000, 1).records, as_of="2025-12-01", min_fills=100)
FACTS = {"adv": 1e7, "volatility_bps": 190.0, "half_spread_bps": 4.5, "price": 50.0}


def test_a_waterfall_climbs_from_nothing_to_the_total() -> None:
    order_id = REPORT.orders.index[0]
    steps = tca.waterfall(REPORT, order_id)
    assert steps["step"].tolist() == ["delay", "trading", "opportunity", "fees", "total"]
    assert steps["begin"].tolist()[1:4] == steps["end"].tolist()[:3]
    assert steps["end"].iloc[3] == pytest.approx(REPORT.orders.loc[order_id, "total_bps"])
    picture = plots.shortfall_waterfall(steps)
    assert len(picture) == 5
    hv.render(picture)
    with pytest.raises(KeyError, match="does not measure"):
        tca.waterfall(REPORT, -1)


def test_the_worst_orders_come_first() -> None:
    worst = tca.worst_orders(REPORT, 3)
    assert worst["total"].tolist() == sorted(REPORT.orders["total"], reverse=True)[:3]


def test_a_fan_has_every_group_and_horizon() -> None:
    fan = tca.markout_fan(REPORT, "hour")
    assert len(fan) == 3 * len(REPORT.frame)
    assert sorted(set(fan["seconds"])) == [1.0, 60.0, 300.0]
    by_hour = REPORT.frame.set_index("hour")["markout_1min_bps"]
    drawn = fan[fan["horizon"] == "1min"].set_index("hour")["markout_bps"]
    assert np.array_equal(drawn.to_numpy(), by_hour.to_numpy(), equal_nan=True)
    hv.render(plots.markout_fan(fan))


def test_a_curve_stops_where_the_model_does_not_know() -> None:
    curve = costs.cost_curve(MODEL, "S001", side="buy", participations=(1e-3, 1e-2, 0.2), **FACTS)
    assert curve["mean_bps"].isna().tolist() == [False, False, True]
    assert (curve["lower_bps"] < curve["upper_bps"]).tolist() == [True, True, False]
    hv.render(plots.cost_curve(curve))


def test_realised_costs_lie_by_the_predicted_ones() -> None:
    records = draw(5_000, 2).records
    found = costs.predicted_and_realised(records, MODEL, buckets=5)
    assert found["records"].sum() == 5_000
    assert found["predicted_bps"].is_monotonic_increasing
    error = (found["realised_bps"] - found["predicted_bps"]).to_numpy()
    assert np.all(np.abs(error) < 4 * found["error_bps"])
    hv.render(plots.predicted_and_realised(found))


def test_the_profile_has_a_bar_an_hour() -> None:
    picture = plots.intraday_profile(REPORT.frame)
    assert len(picture) == len(REPORT.frame)
    hv.render(picture)
