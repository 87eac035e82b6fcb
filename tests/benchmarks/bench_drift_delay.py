"""Detection delay of sequential detectors, calibrated ones beside River's defaults on the same streams.

    python tests/benchmarks/bench_drift_delay.py --streams 100 --out FILE

One JSON line a detector and change. The committed lines are `docs/reference/drift-delay.jsonl`, from which
`docs/reference/build_drift_rates.py` makes a table. Each stream has 500 values, the change comes after 100;
calibrated detectors allow 5 % of unchanged streams an alarm. About ten minutes of one core.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import workbench as wb

ROWS, CHANGE, REFERENCE = 500, 100, 750
OWN = ("cusum", "page_hinkley", "adwin", "kswin")
RIVER = ("ADWIN", "PageHinkley", "KSWIN")
Stream = np.ndarray[Any, np.dtype[np.float64]]


def changed(kind: str, rng: np.random.Generator, rows: int) -> Stream:
    """Values of variance one before any change; of a correlation, products of two standard normals."""
    first = rng.standard_normal(rows)
    if kind == "mean":
        return first + 0.5
    if kind == "variance":
        return first * 1.5
    if kind == "tails":
        return rng.standard_t(3, rows) / np.sqrt(3.0)
    if kind.startswith("correlation"):
        rho = 0.8 if kind == "correlation" else 0.0
        return first * (rho * first + np.sqrt(1.0 - rho * rho) * rng.standard_normal(rows))
    return first


def streams_of(kind: str, count: int) -> tuple[Stream, list[Stream]]:
    """A reference, and streams that change after 100 values; "none" and "correlation_none" never do."""
    rng = np.random.default_rng([11, sum(map(ord, kind))])
    before = "correlation_none" if kind.startswith("correlation") else "none"
    made = [
        np.concatenate([changed(before, rng, CHANGE), changed(kind, rng, ROWS - CHANGE)])
        for _ in range(count)
    ]
    return changed(before, rng, REFERENCE), made


def calibrated(method: str, reference: Stream) -> Callable[[], Callable[[float], bool]]:
    fitted = wb.drift.SequentialDetector(
        method, alpha=0.05, horizon=ROWS, min_reference=REFERENCE, block_length=None, seed=3
    ).fit(reference)
    state = fitted.state()
    return lambda: wb.drift.SequentialDetector.from_state(state).update


def by_default(name: str) -> Callable[[], Callable[[float], bool]]:
    from river import drift

    def start() -> Callable[[float], bool]:
        made: Any = getattr(drift, name)(**({"seed": 3} if name == "KSWIN" else {}))

        def update(value: float) -> bool:
            made.update(value)
            return bool(made.drift_detected)

        return update

    return start


def first_alarm(start: Callable[[], Callable[[float], bool]], stream: Stream) -> int:
    """Number of updates until the first alarm; 0 = none."""
    update = start()
    return next((at for at, value in enumerate(stream.tolist(), 1) if update(value)), 0)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    for kind in ("none", "mean", "variance", "tails", "correlation_none", "correlation"):
        reference, streams = streams_of(kind, chosen.streams)
        for name in (*OWN, *RIVER):
            start = calibrated(name, reference) if name in OWN else by_default(name)
            alarms = [first_alarm(start, stream) for stream in streams]
            late = [at - CHANGE for at in alarms if at > CHANGE]
            early = sum(0 < at <= CHANGE for at in alarms)
            row = {
                "detector": name, "calibrated": name in OWN, "change": kind, "streams": len(alarms),
                "alarmed": sum(at > 0 for at in alarms), "early": early,
                "median_delay": float(np.median(late)) if late else None,
            }  # fmt: skip
            with chosen.out.open("a") as out:
                out.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
