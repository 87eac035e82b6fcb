"""The gate's error rates, simulated: noise seldom passes, skill does; the page has 1,000 families a cell."""

from __future__ import annotations

from pathlib import Path

import gate_worlds
import pytest
from gate_curves import curves
from gate_worlds import NOISE, POWER, Cell, rates


@pytest.mark.prove
@pytest.mark.parametrize("cell", NOISE, ids=lambda cell: cell.name)
def test_noise_seldom_passes(cell: Cell) -> None:
    assert rates(cell, 200, seed=2)["all"] <= 0.05


@pytest.mark.prove
@pytest.mark.parametrize("cell", [cell for cell in POWER if cell.skilled == 1], ids=lambda cell: cell.name)
def test_skill_passes(cell: Cell) -> None:
    assert rates(cell, 200, seed=2)["all"] >= 0.74  # 80 % less two errors of 200 families


@pytest.mark.prove
@pytest.mark.parametrize("cell", [cell for cell in POWER if cell.skilled > 1], ids=lambda cell: cell.name)
def test_equals_pass_as_often_as_one_of_them_alone(cell: Cell) -> None:
    assert rates(cell, 200, seed=2)["all"] >= rates(Cell(1, cell.sharpe, 1), 200, seed=2)["all"] - 0.05


def test_a_few_families_are_judged_by_the_same_code_and_give_the_same_rates_each_time() -> None:
    cell = Cell(6, 3.0, 1)
    once = rates(cell, 3)
    assert once == rates(cell, 3) == dict.fromkeys(gate_worlds.GATES, 1.0)
    assert rates(Cell(6), 3)["all"] == 0.0
    assert rates(Cell(8, 1.5, 8), 3)["all"] == 1.0  # equals, among which the choice does not matter


def test_the_page_shows_every_cell_that_was_run() -> None:
    page = Path(__file__).parents[2] / "docs/reference/gate-error-rates.md"
    text = page.read_text(encoding="utf-8")
    for cell in (*NOISE, *POWER):
        assert cell.name in text
    assert "Not run yet" not in text


def test_page_and_curves_are_what_the_record_says() -> None:
    done = gate_worlds.kept()
    table = {cell.name: done[cell.name] for cell in (*NOISE, *POWER)}
    assert gate_worlds.RATES.with_suffix(".md").read_text("utf-8") == gate_worlds.page(table, 1_000, [])
    drawn = gate_worlds.RATES.with_suffix(".svg").read_text("utf-8")
    assert drawn == curves(table)
    assert drawn.count("<circle") == 6 * 5 + 3 + 2 + 2  # each noise curve has five points
