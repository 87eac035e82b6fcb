"""PSI + KS of 1M + 1M rows x 50 features: exact, and against a stored reference; CPU seconds and peak memory.

    python tests/benchmarks/bench_drift.py --rows 1000000 --features 50 --folder FOLDER

Each phase runs in a process of its own, its kernels compiled before the clock starts. The limits are 1.5
CPU seconds and 400 MB exact, 0.6 CPU seconds and an error of 1e-4 against a sketch. Beside them, on one
feature of the same data and in the same run, what scipy's KS test takes, times the features.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

EMPTY = 1e-4


def write(path: Path, rows: int, features: int, shift: float) -> None:
    rng = np.random.default_rng([features, int(shift * 100)])
    columns = {f"f{at}": rng.standard_normal(rows) + shift * (at % 2) for at in range(features)}
    pq.write_table(pa.table(columns), path, row_group_size=250_000, use_dictionary=False)


def measured(act: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
    """CPU seconds, wall seconds and peak memory of the act in a fresh process, its kernels warm."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_child, args=(theirs, act, arguments))
    process.start()
    result: dict[str, Any] = ours.recv()
    process.join()
    return result


def peak_mb() -> float:
    """Peak memory of this process alone; what getrusage says is the parent's where that was larger."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def _child(pipe: Any, act: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    import workbench as wb

    rng = np.random.default_rng(1)
    warm = pd.DataFrame({"f0": rng.standard_normal(1_000)})
    wb.drift.distances(warm, warm, empty=EMPTY)
    wb.drift.distances(wb.drift.sketch(warm), warm, empty=EMPTY)
    base = peak_mb()
    wall, cpu = time.perf_counter(), time.process_time()
    found = act(*arguments) or {}
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    peak = peak_mb()
    figures = {
        "cpu_s": round(cpu, 3), "wall_s": round(wall, 3), "peak_mb": round(peak), "base_mb": round(base),
    }  # fmt: skip
    pipe.send({**found, **figures})


def decode(first: Path, second: Path) -> None:
    for path in (first, second):
        file = pq.ParquetFile(path)
        for name in file.schema_arrow.names:
            for group in range(file.metadata.num_row_groups):
                file.read_row_group(group, columns=[name], use_threads=False)


def exact(first: Path, second: Path) -> dict[str, Any]:
    import workbench as wb

    frame = wb.drift.distances(first, second, empty=EMPTY)
    return {"ks": frame["ks"].round(9).tolist(), "psi": frame["psi"].round(9).tolist()}


def stored(sketch: Path, second: Path) -> dict[str, Any]:
    import workbench as wb

    frame = wb.drift.distances(wb.drift.ReferenceSketch.load(sketch), second, empty=EMPTY)
    bound = float(frame["ks_error"].max())
    return {"ks": frame["ks"].tolist(), "psi": frame["psi"].round(9).tolist(), "bound": bound}


def make_sketch(first: Path, sketch: Path) -> dict[str, Any]:
    import workbench as wb

    wb.drift.sketch(first).save(sketch)
    return {"sketch_mb": round(sketch.stat().st_size / 2**20, 2)}


def scipy_one(first: Path, second: Path, features: int) -> dict[str, Any]:
    from scipy.stats import ks_2samp

    sides = [pq.read_table(path, columns=["f0"]).column(0).to_numpy() for path in (first, second)]
    start = time.process_time()
    ks_2samp(*sides, method="asymp")
    return {"features_cpu_s": round(features * (time.process_time() - start), 1)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--features", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=None)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as name:
        first, second, sketch = (
            Path(name) / part for part in ("reference.parquet", "current.parquet", "sketch.parquet")
        )
        write(first, chosen.rows, chosen.features, 0.0)
        write(second, chosen.rows, chosen.features, 0.1)
        kept: dict[str, dict[str, Any]] = {}
        phases = (
            ("decode alone", decode, (first, second)),
            ("exact, two files", exact, (first, second)),
            ("sketch of the reference", make_sketch, (first, sketch)),
            ("stored reference, one file", stored, (sketch, second)),
        )
        for what, act, arguments in phases:
            runs = [measured(act, *arguments) for _ in range(chosen.repeats)]
            kept[what] = best = sorted(runs, key=lambda run: run["cpu_s"])[len(runs) // 2]
            print(
                json.dumps({"phase": what, **{k: v for k, v in best.items() if k not in ("ks", "psi")}}),
                flush=True,
            )
        print(
            json.dumps({"phase": "scipy KS", **measured(scipy_one, first, second, chosen.features)}),
            flush=True,
        )
        pair = kept["exact, two files"], kept["stored reference, one file"]
        error = max(abs(a - b) for a, b in zip(pair[0]["ks"], pair[1]["ks"], strict=True))
        print(
            json.dumps(
                {"largest KS error of the sketch": error, "PSI equal": pair[0]["psi"] == pair[1]["psi"]}
            )
        )


if __name__ == "__main__":
    main()
