"""Public names and jobs that no other test calls by name; the acceptance matrix finds such gaps."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import drive
import numpy as np
import pandas as pd
import pytest
from command_line import ROOT, typed

import workbench as wb
from workbench.config import Settings
from workbench.errors import ConfigError, DataError


def test_start_job_is_for_the_runner_and_not_for_hands(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="by the runner, not by hand"):
        wb.start_job(str(tmp_path / "parameters.json"))


@pytest.mark.slow
def test_the_jobs_after_a_session_measure_and_learn(new_desk: Callable[[str], Settings]) -> None:
    settings = new_desk("daily")
    assert settings.file is not None
    drive.trade(settings, drive.FIRST)
    for job in ("tca_daily", "calibrate_costs"):
        answer = typed(settings.file.parent, "jobs", "run", job, "--session", drive.FIRST, "--json")
        assert answer.code == 0, answer
        assert answer.payload["status"] == "done"
        executed = json.loads(Path(answer.payload["notebook"]).read_text())
        assert all(cell["execution_count"] for cell in executed["cells"] if cell["cell_type"] == "code")
    decided = wb.open_workbench(settings).journal.events(kinds=("calibration.done",))
    assert [event.payload["session"] for event in decided] == [drive.FIRST]


def test_the_ledger_identity_explains_a_period_to_the_micro() -> None:
    orders = pd.DataFrame(
        {"order_id": ["a"], "symbol": ["IBM"], "side": ["buy"], "quantity": [100], "decision_price": [10.0],
         "arrival_price": [10.05], "final_price": [10.5]}
    )  # fmt: skip
    fills = pd.DataFrame({"order_id": ["a"], "quantity": [60], "price": [10.1], "fee": [1.0]})
    earned = 60 * 900_000 - 1_000_000 + 5 * 1_000_000  # 60 from 10.1 to 11, a fee, 5 held
    prices = {"opening_prices": {"IBM": 10}, "closing_prices": {"IBM": 11}}
    found = wb.tca.ledger_identity(
        orders, fills, split="cfa", ledger_micro=earned, opening={"IBM": 5}, **prices
    )
    assert found.paper_micro == 105 * 1_000_000
    assert found.fees_micro == 1_000_000
    assert found.residual_micro == 0
    off = wb.tca.ledger_identity(
        orders, fills, split="cfa", ledger_micro=earned + 7, opening={"IBM": 5}, **prices
    )
    assert abs(off.residual_micro) == 7
    with pytest.raises(ValueError, match="no closing price for IBM"):
        wb.tca.ledger_identity(
            orders, fills, split="cfa", ledger_micro=0, opening={}, opening_prices={}, closing_prices={}
        )


def test_every_signal_has_a_variant_and_no_other_is_taken() -> None:
    moves = np.random.default_rng(3).normal(0, 0.02, (60, 4))
    closes = pd.DataFrame(50 * np.cumprod(1 + moves, axis=0), columns=list("ABCD"))
    closes.index = pd.date_range("2020-01-01", periods=60)
    options = {"cost_bps": 5.0, "lookbacks": [5], "holds": [1], "tops": [2]}
    made = wb.overfitting.strategy_variants(closes, signals=list(wb.overfitting.SIGNALS), **options)
    assert made.returns.shape[1] == len(wb.overfitting.SIGNALS) == 4
    with pytest.raises(ValueError, match="signal"):
        wb.overfitting.strategy_variants(closes, signals=["astrology"], **options)


def test_the_gates_deflation_takes_the_variance_between_clusters() -> None:
    draw = np.random.default_rng(5)
    candidate, others = draw.normal(0.1, 1, 300), draw.normal(0, 1, (300, 3))
    found = wb.overfitting.deflate(candidate, others, 4)
    ratios = others.mean(axis=0) / others.std(axis=0, ddof=1)
    moments = wb.overfitting.sharpe_moments(candidate)
    expected = wb.overfitting.deflated_sharpe_ratio(
        sharpe=moments.sharpe, n_obs=300, skew=moments.skew, kurtosis=moments.kurtosis, n_trials=4,
        trial_sharpe_variance=max(1 / 299, float(ratios.var(ddof=1))),
    )  # fmt: skip
    assert found == expected
    assert float(wb.overfitting.deflate(candidate, others, 40)) < float(found)


def test_daily_rows_come_in_the_asked_order_and_a_missing_symbol_is_named() -> None:
    folder = ROOT / "data" / "sample"
    rows = wb.validation.read_daily(folder, ["MSFT", "AAPL"])
    assert list(rows["symbol"].unique()) == ["MSFT", "AAPL"]
    alone = pd.read_parquet(folder / "daily" / "AAPL.parquet")
    assert rows[rows["symbol"] == "AAPL"].reset_index(drop=True).equals(alone.reset_index(drop=True))
    for wrong, said in ((["AAPL", "NOPE"], "of NOPE in"), ([], "no symbol")):
        with pytest.raises(DataError, match=said) as refusal:
            wb.validation.read_daily(folder, wrong)
        assert "AAPL" in refusal.value.next_step


def test_bars_of_files_are_one_panel_over_all_their_sessions() -> None:
    files = sorted((ROOT / "data" / "sample" / "daily").glob("*.parquet"))[:2]
    bars = wb.validation.read_bars(files, last=10)
    frames = [pd.read_parquet(path) for path in files]
    assert bars.symbols == tuple(sorted(frame["symbol"].iloc[0] for frame in frames))
    sessions = sorted({str(day) for frame in frames for day in frame["session"]})[-10:]
    assert [str(np.datetime64(int(at), "ns").astype("datetime64[D]")) for at in bars.ts_ns] == sessions
    with pytest.raises(ValueError, match="no file"):
        wb.validation.read_bars([])
