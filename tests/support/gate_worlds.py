"""Error rates of the statistical gate over simulated families of trials, and the page that shows them.

Run as a program it judges the families of every cell that ``docs/reference/gate-error-rates.jsonl`` does not
hold yet, and writes ``docs/reference/gate-error-rates.md`` from that file:

    python tests/support/gate_worlds.py --families 1000 --cells "noise, fat"

Several processes may judge different cells at once. Cells without a row in the file are named on the page.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gate_curves import curves

from workbench.overfitting import judge_family, stationary_bootstrap_index

ROWS = 2_520
A_YEAR = 252
DAILY = 0.01
GATES = ("deflated", "SPA", "PBO or loss", "all")
RATES = Path(__file__).parents[2] / "docs/reference/gate-error-rates.jsonl"


@dataclass(frozen=True)
class Cell:
    """Families of one kind.

    Attributes
    ----------
    trials : int
    sharpe : float
        True annual Sharpe ratio of the skilled trials.
    skilled : int
        How many trials have it; the others have none.
    shape : {"normal", "fat", "autocorrelated"}
        Of the returns: normal, Student's t with 4 degrees of freedom, or AR(1) with .1.
    correlation : float
        Between all trials.
    """

    trials: int
    sharpe: float = 0.0
    skilled: int = 0
    shape: str = "normal"
    correlation: float = 0.0

    @property
    def name(self) -> str:
        kind = f"{self.skilled} with Sharpe {self.sharpe:g}" if self.skilled else "noise"
        return f"{self.trials} trials, {kind}, {self.shape}, correlation {self.correlation:g}"


NOISE = (
    *(
        Cell(n, shape=shape)
        for n in (10, 30, 100, 300, 1_000)
        for shape in ("normal", "fat", "autocorrelated")
    ),
    Cell(30, correlation=0.4),
    Cell(30, correlation=0.8),
)
POWER = (
    Cell(10, 1.5, 1), Cell(30, 1.5, 1), Cell(100, 1.75, 1), Cell(200, 1.75, 1), Cell(30, 2.0, 1),
    Cell(1_000, 2.0, 1), Cell(1, 1.5, 1), Cell(10, 1.5, 10, correlation=0.9), Cell(10, 1.5, 10),
)  # fmt: skip


def family(cell: Cell, draw: np.random.Generator) -> np.ndarray:
    """Daily returns of one family, float64 (rows, trials)."""
    shape = (ROWS, cell.trials)
    common = draw.normal(size=(ROWS, 1))
    if cell.shape == "fat":
        noise = draw.standard_t(4, shape) / math.sqrt(2.0)
    else:
        noise = draw.normal(size=shape)
    if cell.shape == "autocorrelated":
        for row in range(1, ROWS):
            noise[row] = 0.1 * noise[row - 1] + math.sqrt(1 - 0.01) * noise[row]
    noise *= math.sqrt(1.0 - cell.correlation)  # in place: the largest families are 20 MB each
    noise += math.sqrt(cell.correlation) * common
    noise[:, : cell.skilled] += cell.sharpe / math.sqrt(A_YEAR)
    noise *= DAILY
    return noise


def judged(cell: Cell, families: int, seed: int) -> Iterator[tuple[bool, ...]]:
    """Which gates the best-looking trial of each family passes, in the order of `GATES`."""
    index = stationary_bootstrap_index(ROWS, n_bootstrap=400, mean_block=5, seed=seed)
    for number in range(families):
        returns = family(cell, np.random.default_rng([seed, number, cell.trials, cell.skilled]))
        best = int(np.argmax(returns.mean(axis=0) / returns.std(axis=0)))
        verdict = judge_family(returns, np.zeros(ROWS), candidate=best, bootstrap_index=index)
        words = " ".join(verdict.reasons)
        yield (
            "deflated" not in words,
            "SPA" not in words,
            "PBO" not in words and "backtest overfitting" not in words,
            verdict.passed,
        )


def rates(cell: Cell, families: int, seed: int = 1) -> dict[str, float]:
    """Share of families that pass each gate."""
    passed = np.array(list(judged(cell, families, seed)))
    return dict(zip(GATES, passed.mean(axis=0).tolist(), strict=True))


HEAD = """\
# Error rates of the statistical gate

Written by `tests/support/gate_worlds.py`; do not edit. Each row: {families} simulated families of {rows}
sessions out of sample; of each family the trial that looks best is put up, as a person would. 400 resamples
for the SPA. The share of families that pass each gate, and all of them; the dashed grey lines are the bars,
5 % of noise and 80 % of skill:

![Share of families that pass, by the number of trials](gate-error-rates.svg)

| family | {gates} |
|---|{lines}|
"""


TAIL = """
The rule binds all gates together: noise passes them in at most 5 % of families, while a single gate may pass
more. Ten trials that all are skilled pass as often as one of them alone, likes (one cluster) and unlikes (ten
clusters that cannot be told apart, among which the choice does not matter).

The other gates are judged together with these on 24 worlds of generated prices, half of them with a plateau
of skill: `tests/services/test_release.py`, in `make prove`. Not simulated: the universe, which is a fact of
the data; shadow and paper sessions, which prove the implementation; and people.
"""


def page(found: dict[str, dict[str, float]], families: int, left_out: list[str]) -> str:
    """The page's text."""
    head = HEAD.format(
        families=f"{families:,}",
        rows=f"{ROWS:,}",
        gates=" | ".join(GATES),
        lines="|".join(["---"] * len(GATES)),
    )
    lines = [
        f"| {name} | " + " | ".join(f"{100 * row[gate]:.1f} %" for gate in GATES) + " |\n"
        for name, row in found.items()
    ]
    tail = f"\nNot run yet: {'; '.join(left_out)}.\n" if left_out else ""
    return head + "".join(lines) + tail + TAIL


def kept() -> dict[str, dict[str, float]]:
    """Rates of every cell that was judged, by its name."""
    if not RATES.exists():
        return {}
    rows = [json.loads(line) for line in RATES.read_text(encoding="utf-8").splitlines()]
    return {row["cell"]: {gate: row[gate] for gate in GATES} for row in rows}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--families", type=int, default=1_000)
    parser.add_argument("--cells", default="", help="judge only cells whose name has this in it")
    chosen = parser.parse_args()
    cells = (*NOISE, *POWER)
    for cell in cells:
        if cell.name in kept() or chosen.cells not in cell.name:
            continue
        start = time.process_time()
        found = rates(cell, chosen.families)
        with RATES.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"cell": cell.name, "families": chosen.families, **found}) + "\n")
        print(cell.name, found, f"{time.process_time() - start:.0f} CPU-s", flush=True)
    done = kept()
    table = {cell.name: done[cell.name] for cell in cells if cell.name in done}
    left_out = [cell.name for cell in cells if cell.name not in done]
    RATES.with_suffix(".md").write_text(page(table, chosen.families, left_out), encoding="utf-8")
    RATES.with_suffix(".svg").write_text(curves(table), encoding="utf-8")


if __name__ == "__main__":
    main()
