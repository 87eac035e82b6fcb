"""CPU time of `import workbench` in a fresh interpreter: at most 0.25 s, median of five."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
from pathlib import Path

from pytest_benchmark.fixture import BenchmarkFixture

LIMIT_S = 0.25
ROUNDS = 5
ROOT = Path(__file__).resolve().parents[2]


def child_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_import_of_the_door(benchmark: BenchmarkFixture) -> None:
    cpu_s: list[float] = []

    def import_once() -> None:
        before = child_cpu_s()
        subprocess.run([sys.executable, "-c", "import workbench"], cwd=ROOT, check=True)
        cpu_s.append(child_cpu_s() - before)

    benchmark.pedantic(import_once, rounds=ROUNDS, warmup_rounds=1)
    median_s = statistics.median(cpu_s[1:])
    benchmark.extra_info["cpu_median_s"] = median_s
    print(f"\nimport workbench: {median_s:.3f} s CPU, interpreter included (limit {LIMIT_S} s)")
    assert median_s <= LIMIT_S
