"""Research on a Dask cluster is that of one process, bit for bit, also when a worker dies in the middle."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sma
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from notebooks import ROOT
from workbench.adapters.cluster import DaskWorkers
from workbench.adapters.code_hash import package_hash
from workbench.bootstrap.clusters import workers_of
from workbench.config import load_settings
from workbench.core.features import DEFAULT_FEATURES, select_features
from workbench.core.labels import LABELS
from workbench.core.workers import HERE
from workbench.drift import distances
from workbench.errors import ConfigError, JobFailed, Refused
from workbench.overfitting import selection_paths, strategy_variants
from workbench.services.walk_forward import forecast_blocks, training_rows
from workbench.simulation import Parameters, prepare, sweep
from workbench.tca import report, report_by_partition
from workbench.validation import CombinatorialPurgedKFold, WalkForward, refitted_paths

CLOSES = pd.read_parquet(ROOT / "data" / "sample" / "closes" / "large_caps.parquet").set_index("session")
FOLDS = CombinatorialPurgedKFold(6, 2, purge=5, embargo=5)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Two worker processes on this machine, each of which is started again when it dies."""
    import dask
    import distributed

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        local = str(tmp_path_factory.mktemp("dask"))
        with (
            dask.config.set({"temporary-directory": local, "distributed.admin.log-format": "%(message)s"}),
            distributed.LocalCluster(
                n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None,
                silence_logs=60,
            ) as running,
        ):  # fmt: skip
            yield running


@pytest.fixture(scope="module")
def workers(cluster: Any) -> Iterator[DaskWorkers]:
    made = DaskWorkers(cluster.scheduler_address, code=package_hash)
    yield made
    made.close()


def parameter_sets(count: int) -> list[Parameters]:
    """As many different rules; a third of them trade alike, as in every such study."""
    rules = sma.rules(4)
    policy = rules["policy"]
    weights = np.linspace(0.02, 0.3, count).round(6)
    return [
        Parameters(**{**rules, "policy": replace(policy, max_weight=float(one), max_gross_weight=1.0)})
        for one in weights
    ]


def kill_one(cluster: Any) -> int:
    """SIGKILL a worker that is at work; its process id."""
    pid = next(iter(cluster.workers.values())).process.pid
    os.kill(pid, signal.SIGKILL)
    return int(pid)


def chosen_each_year(returns: pd.DataFrame) -> pd.DataFrame:
    """The walk-forward study: the winner of five years, held over the year after."""
    rows = []
    for train, test in WalkForward(5 * 252, 252, purge=21, embargo=0).split(returns):
        part = returns.iloc[train]
        winner = (part.mean() / part.std()).idxmax()
        rows.append((returns.index[test[0]], winner, float(returns[winner].iloc[test].sum())))
    return pd.DataFrame(rows, columns=["from", "variant", "held"])


def study_equals_the_serial_one(
    cluster: Any, workers: DaskWorkers, lookbacks: tuple[int, ...], holds: tuple[int, ...],
    tops: tuple[int, ...], runs: int, rows: int,
) -> int:  # fmt: skip
    """Variants, their walk-forward choice, combinatorial paths and a sweep, with a worker killed in it."""
    grid: dict[str, Any] = {"cost_bps": 5.0, "lookbacks": lookbacks, "holds": holds, "tops": tops}
    alone = strategy_variants(CLOSES, **grid)
    spread = strategy_variants(CLOSES, **grid, workers=workers)
    pd.testing.assert_frame_equal(spread.returns, alone.returns, check_exact=True)
    assert spread.returns.to_numpy().tobytes() == alone.returns.to_numpy().tobytes()
    assert spread.parameters.equals(alone.parameters)
    assert chosen_each_year(spread.returns).equals(chosen_each_year(alone.returns))
    some = alone.returns.iloc[:, :12]
    assert selection_paths(some, FOLDS, workers=workers).equals(selection_paths(some, FOLDS))
    market = prepare(sma.series(rows, 4, seed=6))
    forecast = np.random.default_rng(6).normal(0, 0.05, market.bars.close.shape)
    sets = parameter_sets(runs)
    serial = sweep(market, forecast, parameters=sets)
    killed: list[int] = []

    def progress(done: int, of: int) -> None:
        if done * 4 >= of and not killed:
            killed.append(kill_one(cluster))

    assert sweep(market, forecast, parameters=sets, workers=workers, progress=progress).equals(serial)
    assert len(killed) == 1
    assert killed[0] not in {nanny.process.pid for nanny in cluster.workers.values() if nanny.process}
    assert serial["digest"].nunique() > runs // 4
    return len(alone.returns.columns) + runs


def test_a_small_study_equals_the_serial_one_with_a_worker_killed(cluster: Any, workers: DaskWorkers) -> None:
    study_equals_the_serial_one(cluster, workers, (21, 63), (5, 21), (3,), runs=24, rows=400)


@pytest.mark.prove
def test_a_thousand_variants_on_two_workers_equal_the_serial_study(
    cluster: Any, workers: DaskWorkers, record_property: Callable[[str, object], None]
) -> None:
    lookbacks = tuple(range(10, 260, 10))
    made = study_equals_the_serial_one(
        cluster, workers, lookbacks, (1, 5, 10, 21, 42), (2, 5), runs=1000, rows=1500
    )
    record_property("variants", made)
    assert made == 2000


def test_a_candidate_is_trained_the_same_and_an_error_keeps_its_family(workers: DaskWorkers) -> None:
    bars = sma.series(400, 4, seed=3)
    label = next(iter(LABELS.values()))
    rows = training_rows(bars, select_features(DEFAULT_FEATURES), label=label, horizon_sessions=5)
    blocks = forecast_blocks(rows)
    assert [len(block) for block in workers.map(np.unique, blocks)] == [len(block) for block in blocks]
    pooled = {"X": rows.matrix, "y": rows.target, "splitter": FOLDS}
    model = make_pipeline(StandardScaler(), Ridge())
    alone = refitted_paths(model, **pooled)
    assert alone.notna().all().all()
    pd.testing.assert_frame_equal(refitted_paths(model, **pooled, workers=workers), alone, check_exact=True)
    with pytest.raises(ValueError, match="never varies"):
        selection_paths(pd.DataFrame(np.zeros((60, 2))), FOLDS, workers=workers)


def test_execution_and_drift_by_partition_are_the_same(workers: DaskWorkers) -> None:
    rng = np.random.default_rng(8)
    before, after = (pd.DataFrame(rng.normal(size=(500, 3)), columns=["a", "b", "c"]) for _ in range(2))
    after["b"] = np.nan
    alone = distances(before, after, empty=1e-4)
    assert distances(before, after, empty=1e-4, workers=workers).equals(alone)
    assert alone.index.tolist() == ["a", "b", "c"]
    assert np.isnan(alone.loc["b", "psi"])
    at = pd.to_datetime(["2026-01-05 15:00"]).tz_localize("UTC")
    months = {
        name: (
            pd.DataFrame({
                "order_id": [1], "symbol": "S", "side": "buy", "quantity": 100, "arrival_at": at,
                "decision_price": 10.0, "arrival_price": 10.01, "final_price": price,
            }),
            pd.DataFrame({"order_id": [1], "quantity": 100, "price": price, "fee": 0.1, "filled_at": at}),
            pd.DataFrame({"symbol": ["S"], "ts": at, "bid": 10.0, "ask": 10.02}),
        )
        for name, price in (("2026-01", 10.02), ("2026-02", 10.05))
    }  # fmt: skip
    options: dict[str, Any] = {"by": "symbol", "split": "cfa"}
    found = report_by_partition(months, workers=workers, **options)
    assert list(found) == list(months)
    for name, tables in months.items():
        assert found[name].frame.equals(report(*tables, **options).frame)


def test_workers_of_other_code_are_refused(cluster: Any) -> None:
    other = DaskWorkers(cluster.scheduler_address, code=os.getpid)  # type: ignore[arg-type]  # differs
    try:
        with pytest.raises(Refused, match="other code"):
            list(other.map(abs, [-1]))
    finally:
        other.close()


def test_nobody_answers_and_dask_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(JobFailed, match="no Dask scheduler answers"):
        DaskWorkers("tcp://127.0.0.1:1", code=package_hash, connect_s=0.2)
    overrides = {"account": "a", "strategy": "s", "universe": ["A"], "seed": 1}
    assert workers_of(load_settings(None, overrides=overrides)) is HERE
    named = load_settings(None, overrides={**overrides, "scale.cluster": "tcp://127.0.0.1:1"})
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ConfigError, match="not installed") as refused:
        workers_of(named)
    assert "workbench[dask]" in refused.value.next_step
