"""A cost model that may not be used stops new risk, never the way out of a position."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import drive
import numpy as np
import pytest

from workbench.bootstrap.desk import Desk
from workbench.config import Settings
from workbench.config.template import DEFAULT_TOML
from workbench.core.costs import CostModel, FeeSchedule, PriorCost, prior
from workbench.core.policy import PolicyParams, Reason
from workbench.core.pretrade import Limits
from workbench.core.types import MISSING, Snapshot
from workbench.errors import Refused
from workbench.services.cost_gate import cost_alerts, decide_at_cost
from workbench.services.decision import Strategy
from workbench.services.promotion import cost_model_or_prior

DAY_NS = 86_400 * 10**9
NOW_NS = 1_767_225_600 * 10**9
SYMBOLS = ("AAA", "BBB", "CCC", "DDD")


def snapshot(model: CostModel, *, days: float, volatility_bps: float = 150.0) -> Snapshot:
    """AAA is to be sold, BBB to be reduced, CCC to be entered, DDD is short and to be bought back."""
    whole = {name: np.zeros(4, dtype=np.int64) for name in ("open_buy_shares", "open_sell_shares")}
    plain = {
        "price_micro": np.full(4, 100_000_000, dtype=np.int64),
        "bid_micro": np.full(4, 99_990_000, dtype=np.int64),
        "ask_micro": np.full(4, 100_010_000, dtype=np.int64),
        "volatility_bps": np.full(4, volatility_bps), "half_spread_bps": np.full(4, 1.0),
        "adv_shares": np.full(4, 1e7), "position_shares": np.array([300, 900, 0, -200], dtype=np.int64),
        "tradable": np.ones(4, dtype=np.bool_), "frozen": np.zeros(4, dtype=np.bool_),
        "bar_age_sessions": np.zeros(4, dtype=np.int64), "quote_age_ns": np.zeros(4, dtype=np.int64),
    }  # fmt: skip
    given: dict[str, Any] = {
        "account": "demo", "strategy": "trend", "session": "2026-01-02",
        "scheduled_ns": model.as_of_ns + round(days * DAY_NS), "symbols": SYMBOLS,
        "equity_micro": 100_000_000_000, "cash_micro": 50_000_000_000,
        "session_start_equity_micro": 100_000_000_000, **whole, **plain,
    }  # fmt: skip
    return Snapshot(**{one.name: given[one.name] for one in dataclasses.fields(Snapshot)})


def strategy(model: CostModel, **changes: Any) -> Strategy:
    made = Strategy(
        account="demo", name="trend", universe=SYMBOLS, features=(), policy=PolicyParams(allow_short=True),
        limits=Limits(), cost_model=model, cost_model_id=model.model_id, model=None, model_id="m",  # type: ignore[arg-type]
    )  # fmt: skip
    return dataclasses.replace(made, **changes)


FORECAST = np.array([-0.01, 0.002, 0.02, 0.01])
PRIOR = prior(PriorCost(valid_days=10), FeeSchedule(), as_of_ns=NOW_NS)
BAD = [
    ("stale", strategy(PRIOR), {"days": 10.0}),
    ("out_of_bounds", strategy(PRIOR), {"days": -1.0}),
    ("missing", strategy(PRIOR, cost_problem="missing"), {"days": 1.0}),
]


@pytest.mark.parametrize(("status", "desk", "at"), BAD)
def test_only_what_reduces_risk_is_ordered_while_the_model_may_not_be_used(
    status: str, desk: Strategy, at: dict[str, float]
) -> None:
    seen = snapshot(PRIOR, **at)
    decision = decide_at_cost(desk, seen, FORECAST)
    assert decision.delta_shares[0] == -300
    assert -900 < decision.delta_shares[1] < 0
    assert decision.delta_shares[2] == 0
    assert decision.delta_shares[3] == 200
    words = [Reason(int(code)).word for code in decision.reason]
    assert words == ["exit", "reduce", "cost_model_not_usable", "exit"]
    assert (decision.cost_floor_micro != MISSING).all(), "exits are priced by the named model"
    (alert,) = cost_alerts(desk, seen)
    assert alert.payload["code"] == f"cost_model_{status}"
    assert "only risk-reducing orders" in alert.payload["text"]
    assert "prior model" in alert.payload["text"]


def test_a_usable_model_changes_nothing() -> None:
    seen = snapshot(PRIOR, days=1.0)
    decision = decide_at_cost(strategy(PRIOR), seen, FORECAST)
    assert decision.delta_shares[2] > 0
    assert cost_alerts(strategy(PRIOR), seen) == []


def test_without_an_approved_model_of_the_mode_the_prior_prices_exits() -> None:
    class Nothing:
        def rows(self, projection: str) -> list[dict[str, Any]]:
            return []

    found, status = cost_model_or_prior(Nothing(), Nothing(), mode="replay", prior=PRIOR)  # type: ignore[arg-type]
    assert (found.model_id, status) == (PRIOR.model_id, "missing")


@pytest.fixture(scope="module")
def expiring(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A desk whose prior of four days is stale from its third session on."""
    toml = DEFAULT_TOML.replace("valid_days = 120", "valid_days = 4")
    assert toml != DEFAULT_TOML
    return drive.make_desk(tmp_path_factory.mktemp("expiring") / "desk", toml)


@pytest.mark.slow
def test_a_desk_with_a_stale_model_still_gets_out_and_never_in(expiring: Settings) -> None:
    desk = Desk(expiring)
    sessions = drive.sessions_of(expiring, last="2013-02-12")
    for session in sessions:
        drive.trade(expiring, session)
    decisions = desk.views.decisions()
    stale = decisions[decisions["session"] >= "2013-02-05"]
    held_back = stale[stale["reason"] == "cost_model_not_usable"]
    assert len(held_back) > 0
    assert (held_back["change_shares"] == 0).all()
    orders = desk.views.orders()
    orders = orders[orders["session"] >= "2013-02-05"]
    assert orders[["symbol", "side", "state"]].to_numpy().tolist() == [["FB", "sell", "FILLED"]]
    alerts = desk.views.alerts()
    assert "cost_model_stale" in set(alerts["code"])


def test_a_desk_that_holds_nothing_does_not_start_with_a_stale_model(tmp_path: Path) -> None:
    toml = DEFAULT_TOML.replace("valid_days = 120", "valid_days = 1")
    settings = drive.make_desk(tmp_path / "desk", toml)
    drive.trade(settings, drive.FIRST)  # its one order expires
    job = drive.start(settings, "2013-02-04")
    try:
        with pytest.raises(Refused, match=r"cost model: prior .*: stale"):
            job.trading.start()
        job.finish()
    finally:
        job.account.close()
