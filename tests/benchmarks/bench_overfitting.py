"""Backtest overfitting and splits against their bars: CPU seconds of warm calls, and more memory than before.

Bars: PBO of 2,000 rows x 1,000 trials in 16 blocks (12,870 halves) <= .06 CPU-s and <= 40 MB more memory;
CombinatorialPurgedKFold(10, 2) over 100,000 rows <= 6 ms consumed one at a time, <= .5 ms as ranges. Set
one BLAS thread; the same binary varies by a third between processes, so the ratio to a bare pass over the
same numbers in the same run is printed beside each figure.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from workbench.overfitting import probability_of_backtest_overfitting
from workbench.validation import CombinatorialPurgedKFold

ROUNDS = 15


def cpu_seconds(act: Callable[[], object]) -> float:
    """Median CPU seconds of warm calls."""
    act()
    spent = []
    for _ in range(ROUNDS):
        start = time.process_time()
        act()
        spent.append(time.process_time() - start)
    return statistics.median(spent)


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def figures() -> dict[str, float]:
    """Every figure, measured in this process."""
    draw = np.random.default_rng(1)
    probability_of_backtest_overfitting(draw.normal(size=(64, 8)))  # compiles, or reads the compiled code
    returns = draw.normal(0.0, 0.01, (2_000, 1_000))
    before = peak_mb()
    probability_of_backtest_overfitting(returns)
    found = {"pbo_more_mb": peak_mb() - before}
    found["pbo_s"] = cpu_seconds(lambda: probability_of_backtest_overfitting(returns))
    found["bare_pass_s"] = cpu_seconds(lambda: np.square(returns).sum(axis=0))
    rows = np.zeros((100_000, 1))
    ends = np.arange(100_000) + 5
    for name, purge in (("rows", 5), ("label_ends", ends)):
        folds = CombinatorialPurgedKFold(10, 2, purge=purge, embargo=10)
        found[f"cpcv_{name}_ms"] = 1e3 * cpu_seconds(
            lambda folds=folds: sum(len(a) for a, _ in folds.split(rows))
        )
        found[f"cpcv_{name}_lazy_ms"] = 1e3 * cpu_seconds(
            lambda folds=folds: sum(1 for _ in folds.ranges(rows))
        )
    masks = [np.ones(100_000, dtype=np.bool_) for _ in range(2)]
    found["bare_45_masks_ms"] = 1e3 * cpu_seconds(lambda: [np.flatnonzero(masks[0]) for _ in range(45)])
    return found


@pytest.fixture(scope="module")
def measured() -> dict[str, float]:
    """Figures of a fresh process with one BLAS thread."""
    root = Path(__file__).parents[2]
    threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    done = subprocess.run(
        [sys.executable, __file__], cwd=root, check=True, capture_output=True, text=True,
        env={**os.environ, **threads, "PYTHONPATH": str(root)},
    )  # fmt: skip
    found: dict[str, float] = json.loads(done.stdout)
    print(json.dumps(found, indent=1))
    return found


@pytest.mark.parametrize(
    ("figure", "bar"),
    [
        ("pbo_s", 0.06), ("pbo_more_mb", 40.0), ("cpcv_rows_ms", 6.0), ("cpcv_label_ends_ms", 6.0),
        ("cpcv_rows_lazy_ms", 0.5),
    ],
)  # fmt: skip
def test_a_figure_keeps_its_bar(figure: str, bar: float, measured: dict[str, float]) -> None:
    assert measured[figure] <= bar


if __name__ == "__main__":
    print(json.dumps(figures()))
