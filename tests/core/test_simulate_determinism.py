"""The release gate: equal inputs give equal bytes in every process, with numba on and off, in any order."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import sma

from workbench.core.canonical import sha256_of
from workbench.core.fills import FillParams, fill_auction, fill_range
from workbench.core.overfitting import superior_predictive_ability
from workbench.core.simulate import prepare
from workbench.core.simulate.run import Parameters
from workbench.core.validation import CombinatorialPurgedKFold, PurgedKFold, WalkForward
from workbench.errors import UsageError
from workbench.simulation import simulate, sweep

SEEDS, SIZES = (1, 2, 3), (1, 5)
ROWS = 160


def digests() -> dict[str, dict[str, str]]:
    """Digest of every stage, for each seed and number of symbols."""
    found = {}
    for seed in SEEDS:
        for symbols in SIZES:
            bars = sma.series(ROWS, symbols, seed=seed)
            forecast = np.random.default_rng(seed).normal(0, 0.05, bars.close.shape)
            result = simulate(bars, forecast, **sma.rules(symbols), keep_decisions=True)
            assert len(result.fill_record) > 5
            found[f"{seed} x {symbols}"] = {**result.digests, "all": result.digest}
    return {**found, "partitions": partitions(), "fills": fills_of_a_seed(), "draws": draws()}


def partitions() -> dict[str, str]:
    """Digest of the rows that each splitter puts into training and test."""
    rows = np.zeros((60, 1))
    splitters = {
        "walk forward": WalkForward(20, 5, purge=3, embargo=1),
        "k fold": PurgedKFold(5, purge=2, embargo=1),
        "combinatorial": CombinatorialPurgedKFold(5, 2, purge=2, embargo=1),
    }
    return {
        name: sha256_of([[part.tolist() for part in split] for split in splitter.split(rows)])
        for name, splitter in splitters.items()
    }


def fills_of_a_seed() -> dict[str, str]:
    """Digest of auction and range fills of seeded orders."""
    found = {}
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        values = FillParams(participation=0.1).values()
        got = []
        for _ in range(200):
            side, shares = int(rng.choice((-1, 1))), int(rng.integers(1, 5_000))
            price, volume = float(np.round(rng.uniform(5, 500), 2)), float(rng.integers(1, 10**6))
            limit = round(price * float(rng.uniform(0.98, 1.02)) * 1e6)
            got.append(fill_auction(side, shares, limit, price, volume, 2.0, 150.0, values))
            got.append(fill_range(side, shares, limit, price * 1.01, price * 0.99, volume, values))
        assert any(shares for shares, _ in got)
        found[str(seed)] = sha256_of([[int(one) for one in pair] for pair in got])
    return found


def draws() -> dict[str, str]:
    """What seeded bootstraps conclude, rounded to their grid."""
    losses = np.random.default_rng(5).normal(0.0, 1.0, (120, 4))
    found = superior_predictive_ability(losses[:, 0], losses[:, 1:], mean_block=5.0, seed=9, n_bootstrap=100)
    return {name: f"{value:.6f}" for name, value in found.pvalues.items()}


SCRIPT = f"""
import json, sys
sys.path[:0] = {[str(Path(__file__).parent), str(Path(sma.__file__).parent)]!r}
import test_simulate_determinism as gate
print(json.dumps(gate.digests()))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONHASHSEED": "0", "NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        {"PYTHONHASHSEED": "4711", "OPENBLAS_NUM_THREADS": "3"},
        {"NUMBA_DISABLE_JIT": "1"},
    ],
    ids=["one thread", "other hash seed", "numba off"],
)
def test_another_process_finds_the_same_digests(environment):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT], env={**os.environ, **environment},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2_000:]
    assert json.loads(done.stdout) == digests()


def test_columns_in_another_order_are_the_same_panel():
    bars = sma.series(ROWS, 5, seed=4)
    forecast = np.random.default_rng(4).normal(0, 0.05, bars.close.shape)
    renamed = ["S0003", "S0001", "S0004", "S0000", "S0002"]
    back = np.argsort(renamed)
    turned = type(bars)(
        bars.ts_ns, tuple(sorted(renamed)),
        *(part[:, np.argsort(back)][:, back] for part in (bars.open, bars.high, bars.low, bars.close)),
        np.asfortranarray(bars.volume), bars.tradable,
    )  # fmt: skip
    plain, other = (simulate(one, forecast, **sma.rules(5)) for one in (bars, turned))
    assert plain.digest == other.digest


def parameter_sets(symbols: int) -> list[Parameters]:
    rules = sma.rules(symbols)
    policies = [
        type(rules["policy"])(**{**vars(rules["policy"]), "max_weight": weight, "min_trade_weight": band})
        for weight in (0.05, 0.1, 0.2)
        for band in (0.01, 0.04)
    ]
    return [Parameters(**{**rules, "policy": policy}) for policy in policies]


def test_a_sweep_is_the_same_rows_for_any_workers_order_and_after_a_stop(tmp_path):
    market = prepare(sma.series(ROWS, 4, seed=6))
    forecast = np.random.default_rng(6).normal(0, 0.05, market.bars.close.shape)
    sets = parameter_sets(4)
    serial = sweep(market, forecast, parameters=sets)
    assert serial["digest"].nunique() == 3
    assert sweep(market, forecast, parameters=sets, workers=3).equals(serial)
    turned = sweep(market, forecast, parameters=sets[::-1], workers=2)
    assert turned[::-1].reset_index(drop=True).equals(serial)

    class Stop(Exception):
        pass

    def stop_after_two(done: int, runs: int) -> None:
        if done == 2:
            raise Stop

    file = tmp_path / "sweep.jsonl"
    with pytest.raises(Stop):
        sweep(market, forecast, parameters=sets, resume=file, progress=stop_after_two)
    with file.open("a") as torn:
        torn.write('{"key": "half a li')
    seen: list[int] = []
    resumed = sweep(
        market, forecast, parameters=sets, resume=file, progress=lambda done, runs: seen.append(done)
    )
    assert seen == [2, 3, 4, 5, 6]
    assert resumed.equals(serial)
    assert len(file.read_text().splitlines()) == len(sets)


class Kept:
    """Keeps what a sweep records."""

    def __init__(self):
        self.trials = []

    @contextmanager
    def recording(self):
        yield self

    def record(self, **trial):
        self.trials.append(trial)


def test_a_recorded_sweep_enters_every_run_with_its_returns():
    market, sets = prepare(sma.series(ROWS, 4, seed=6)), parameter_sets(1)
    forecast = np.random.default_rng(6).normal(0, 0.05, market.bars.close.shape)
    kept = Kept()
    table = sweep(market, forecast, parameters=sets, workers=2, research=kept, family="f")
    assert [trial["source"] for trial in kept.trials] == ["sweep"] * len(sets)
    for row, trial in zip(table.itertuples(), kept.trials, strict=True):
        grown = float(np.prod(1.0 + trial["returns"]) - 1.0)
        assert grown == pytest.approx(row.total_return, abs=1e-6)
        assert len(trial["returns"]) == len(market.bars.ts_ns) - 1
    assert len({str(trial["parameters"]) for trial in kept.trials}) == len(sets)


@pytest.mark.parametrize("wrong", [{"family": ""}, {"family": "f", "resume": "file.jsonl"}])
def test_a_recorded_sweep_takes_a_family_and_no_resume_file(wrong):
    market = prepare(sma.series(60, 1, seed=6))
    with pytest.raises(UsageError, match="takes a family and no resume file"):
        sweep(market, np.zeros((60, 1)), parameters=parameter_sets(1), research=Kept(), **wrong)


def test_a_sweep_file_of_something_else_is_named(tmp_path):
    from workbench.errors import DataError

    file = tmp_path / "other.jsonl"
    file.write_text("[1, 2]\n")
    market = prepare(sma.series(60, 1, seed=6))
    with pytest.raises(DataError, match=r"line 1 of other\.jsonl"):
        sweep(market, np.zeros((60, 1)), parameters=parameter_sets(1), resume=file)
