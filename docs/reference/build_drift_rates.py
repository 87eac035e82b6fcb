"""Write ``drift-rates.md`` beside this file from the committed figures ``drift-rates.jsonl``.

The figures come from ``tests/benchmarks/bench_drift_rates.py``; run this after they changed:
``python docs/reference/build_drift_rates.py``. A test compares the page with what this script would write.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
PROCESSES = {
    "iid": "independent, normal", "ar5": "AR(1), .5", "ar9": "AR(1), .9", "student": "Student, 3 degrees",
    "ties": "rounded to whole numbers", "garch": "GARCH(1, 1), raw", "filtered": "the same, filtered",
}  # fmt: skip
_HEAD = """\
# Drift: false alarms and power

Written by `docs/reference/build_drift_rates.py` from `drift-rates.jsonl`; do not edit. The figures were made
by `tests/benchmarks/bench_drift_rates.py`; `tests/support/drift_cells.py` defines the processes.

`wb.drift.compare` at alpha 5 %, the reference as long as the window. *Feature* is the share of features
whose own p-value is at most 5 %, *family* the share of tables that are called drifted (the decision),
*insufficient* the share of features with fewer than 50 effective rows, which are never called unchanged.
*scipy* is `ks_2samp` at 5 % on the first feature of the same tables (the first 50 tables beyond 10,000
rows). Between features the correlation is one quarter. The bars: feature between 2 % and 6.5 %, family
at most 6.5 %, where the effective rows are 50 or more and volatility is constant or filtered. Discrete
values may lie lower. Not met: {not_met}. Raw GARCH is
reported, not promised. Combinations that are not listed have not been measured.

## Nothing changed

| process | rows | features | tables | effective rows | feature | family | insufficient | scipy |
|---|---|---|---|---|---|---|---|---|
"""
_POWER = """\

## Moved by 0.3 standard deviations

| process | rows | tables | effective rows | feature | family | insufficient | scipy |
|---|---|---|---|---|---|---|---|
"""
CHANGES = {
    "none": "none", "mean": "mean by 0.5", "variance": "standard deviation times 1.5",
    "tails": "Student tails, 3 degrees, same variance", "correlation_none": "none, products",
    "correlation": "correlation 0 to .8, products",
}  # fmt: skip
LEAST_EFFECTIVE, LOWEST, HIGHEST = 50, 0.02, 0.065
_DELAYS = """\

## Beside River's defaults, on the same streams

Made by `tests/benchmarks/bench_drift_delay.py`: 500 values, the change after 100, reference of 750. The own
detectors allow 5 % of unchanged streams an alarm within the 500; River's defaults are given the values as
they are. Products are those of two standard normal series, whose mean is their correlation. *Early* are
streams with an alarm before the change, *alarmed* all with one; the delay is that of first alarms after it.

| change | detector | streams | early | alarmed | median delay |
|---|---|---|---|---|---|
"""
_SEQUENTIAL = """\

## One value at a time

`wb.drift.SequentialDetector` at alpha 5 % within 250 updates, 300 unchanged streams each, so the figures are
good to about 2.5 points. Detectors and processes that are not listed have not been measured.

| detector | process | reference | streams with an alarm |
|---|---|---|---|
| CUSUM | independent, normal | 100 | 6.7 % |
| CUSUM | independent, normal | 500 | 5.7 % |
| CUSUM | AR(1), .5 | 500 | 7.3 % |
| CUSUM | AR(1), .9 | 1,000 | 5.0 % |
| CUSUM | Student, 3 degrees | 500 | 3.3 % |
| CUSUM | rounded to whole numbers | 500 | 8.7 % |
| Page-Hinkley | independent, normal | 100 | 9.3 % |
| Page-Hinkley | independent, normal | 500 | 5.0 % |

Delay of the CUSUM, alpha 5 % within 500 updates, reference of 750 independent rows, two references with
60 streams each; the change comes after 100 updates, the delay is counted from it.

| change | median delay | found within 400 updates |
|---|---|---|
| mean by 0.5 standard deviations | 54, 59 | 100 %, 100 % |
| mean by 1 | 23, 22 | 100 %, 100 % |
| standard deviation times 1.5 | 40, 45 | 100 %, 100 % |
| standard deviation times 2 | 20, 20 | 100 %, 100 % |
| Student tails, 3 degrees, same variance | 131, 121 | 97 %, 98 % |
"""


def cells() -> list[dict[str, Any]]:
    """The committed figures, smallest windows first."""
    lines = (FOLDER / "drift-rates.jsonl").read_text(encoding="utf-8").splitlines()
    order = list(PROCESSES)
    return sorted(map(json.loads, lines), key=lambda one: (one["rows"], order.index(one["process"])))


def not_met(one: dict[str, Any]) -> bool:
    """Whether a cell without any change misses a bar that is promised for it."""
    if one["shift_sd"] or one["process"] == "garch" or one["effective_n"] < LEAST_EFFECTIVE:
        return False
    lowest = 0.0 if one["process"] == "ties" or one["insufficient"] > 0.1 else LOWEST
    return not lowest <= one["feature_rate"] <= HIGHEST or one["family_rate"] > HIGHEST


def _missed(one: dict[str, Any]) -> str:
    words = f"feature {_percent(one['feature_rate'])}, family {_percent(one['family_rate'])}"
    name = PROCESSES[one["process"]].replace("the same, filtered", "filtered GARCH")
    return f"{name}, {one['rows']:,} rows ({words})"


def _delays() -> list[str]:
    """The table of detectors on the same streams, once its figures are there."""
    path = FOLDER / "drift-delay.jsonl"
    if not path.exists():
        return []
    rows = [_DELAYS]
    for one in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
        name = one["detector"] + (" (calibrated)" if one["calibrated"] else " (River's defaults)")
        delay = "-" if one["median_delay"] is None else f"{one['median_delay']:.0f}"
        shares = [_percent(one[word] / one["streams"]) for word in ("early", "alarmed")]
        rows.append(
            f"| {CHANGES[one['change']]} | {name} | {one['streams']} | {' | '.join(shares)} | {delay} |\n"
        )
    return rows


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _row(one: dict[str, Any], *, power: bool) -> str:
    shares = [_percent(one[name]) for name in ("feature_rate", "family_rate", "insufficient", "scipy_rate")]
    counts = [f"{one['rows']:,}", *([] if power else [str(one["columns"])]), f"{one['runs']:,}"]
    effective = f"{one['effective_n']:,.0f}"
    return f"| {' | '.join([PROCESSES[one['process']], *counts, effective, *shares])} |\n"


def pages() -> dict[str, str]:
    """The text of every page by its name."""
    found = cells()
    quiet = [_row(one, power=False) for one in found if one["shift_sd"] == 0.0]
    moved = [_row(one, power=True) for one in found if one["shift_sd"] > 0.0]
    head = _HEAD.replace("{not_met}", "; ".join(map(_missed, filter(not_met, found))) or "none")
    return {"drift-rates.md": "".join([head, *quiet, _POWER, *moved, _SEQUENTIAL, *_delays()])}


if __name__ == "__main__":
    for _name, _text in pages().items():
        (FOLDER / _name).write_text(_text, encoding="utf-8")
