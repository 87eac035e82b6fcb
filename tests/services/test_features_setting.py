"""A desk that chooses other features trains, accepts and trades with exactly those."""

from __future__ import annotations

from pathlib import Path

import drive
import numpy as np
import pytest

from workbench.bootstrap import admin, releasing
from workbench.bootstrap.desk import Desk, open_journal
from workbench.bootstrap.trading import load_strategy, open_account
from workbench.config import DEFAULT_TOML
from workbench.core.features import compute, select_features
from workbench.core.types import MISSING
from workbench.errors import Refused

NAMES = ("reversal_5", "gap_1", "rank_momentum_60")
SESSION, BEFORE = "2013-02-01", "2013-01-31"


def test_the_setting_reaches_training_acceptance_and_the_session(tmp_path: Path) -> None:
    chosen = f"features = {list(NAMES)}".replace("'", '"')
    lines = [chosen if line.startswith("features = ") else line for line in DEFAULT_TOML.splitlines()]
    assert chosen in lines
    settings = drive.make_desk(tmp_path / "desk", "\n".join(lines))
    row = drive.trade(settings, SESSION)
    assert row["equal_to_venue"]

    account = open_account(settings)
    try:
        calendar = account.calendar
        decided_ns = calendar.session_open_ns(SESSION) - 15 * 60 * 10**9
        strategy = load_strategy(account, session=SESSION, now_ns=decided_ns)
    finally:
        account.close()
    assert tuple(feature.name for feature in strategy.features) == NAMES
    assert strategy.lookback == 61

    bars = Desk(settings).bars.read(settings.universe, as_of_ns=decided_ns)  # all of them, not the last 61
    expected = strategy.model.forecast(compute(select_features(NAMES), bars))
    (decision,) = Desk(settings).journal.rows("decisions")
    recorded = {one["symbol"]: one["forecast_micro"] for one in decision["rows"]}
    assert MISSING not in recorded.values()
    assert recorded == dict(zip(bars.symbols, np.rint(expected * 1e6).astype(int).tolist(), strict=True))

    other = admin.train(settings, last_session=BEFORE, features=("momentum_20", "gap_1"))
    who = {"stage": "replay", "person": "operator", "reason": "test"}
    with pytest.raises(Refused, match="features_hash"):
        releasing.accept_model(settings, other.model_id, **who)
    barrier = admin.train(settings, last_session=BEFORE, label="triple_barrier")
    with pytest.raises(Refused, match="forecasts triple_barrier"):
        releasing.accept_model(settings, barrier.model_id, **who)
    models = open_journal(settings, read_only=True).rows("models")
    listed = admin.candidates(settings, sort="net_bps")
    assert len(listed) == len(models) == 3
    assert sum(one["stage"] == "replay" for one in listed) == 1
