"""False alarms and power of `wb.drift.compare`, cell by cell, one JSON line each.

    python tests/benchmarks/bench_drift_rates.py --rows 100 1000 --out FILE

The committed lines are `docs/reference/drift-rates.jsonl`; `docs/reference/build_drift_rates.py` makes the
page `drift-rates.md` from them. A whole run takes about two hours of one core.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from drift_cells import PROCESSES, measure

SHIFT_SD = 0.3


def runs_of(rows: int) -> int:
    return 2_000 if rows <= 10_000 else 500


def columns_of(rows: int) -> int:
    return 4 if rows <= 10_000 else 2 if rows <= 100_000 else 1


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, nargs="+", default=[100, 200, 1_000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--processes", nargs="+", default=list(PROCESSES))
    parser.add_argument("--columns", type=int, default=0)
    parser.add_argument("--power-runs", type=int, default=500)
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    for rows in chosen.rows:
        for process in chosen.processes:
            columns = chosen.columns or columns_of(rows)
            for shift, runs in ((0.0, runs_of(rows)), (SHIFT_SD, min(chosen.power_runs, runs_of(rows)))):
                if shift and rows > 10_000:
                    runs = min(runs, 100)
                cell = measure(process, rows, columns=columns, runs=runs, shift_sd=shift, seed=26)
                with chosen.out.open("a") as out:
                    out.write(json.dumps(asdict(cell)) + "\n")


if __name__ == "__main__":
    main()
