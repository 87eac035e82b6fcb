"""Research, replay and live decide, judge, cost and fill by the same compiled functions."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from workbench.core import costs, fees, fills
from workbench.core.policy import kernels as policy
from workbench.core.pretrade import controls, row
from workbench.core.simulate import deciding, lately, loop, sending, trading
from workbench.core.venue import events as venue_events
from workbench.core.venue import kernels as venue_kernels
from workbench.core.venue import machine, matching
from workbench.services import own_orders

policy_decide = importlib.import_module("workbench.core.policy.decide")

#: Kernels of the loop -> where the session's own path uses the same object.
SHARED: list[tuple[str, ModuleType, ModuleType]] = [
    ("decide_row", deciding, policy_decide),
    ("decide_symbol", deciding, policy),
    ("target_weight_micro", deciding, policy),
    ("round_trip_floor_bps", deciding, costs),
    ("expected_cost_bps", sending, costs),
    ("fee_micro", sending, fees),
    ("fee_micro", trading, fees),
    ("judge_order", sending, row),
    ("judge_order", trading, row),
    ("account_with", sending, row),
    ("flow_with", sending, row),
    ("symbol_exposure", lately, row),
    ("symbol_net", lately, row),
    ("ordered_micro", lately, own_orders),
    ("hold_price_micro", sending, machine),
    ("take", trading, matching),
    ("affordable_shares", trading, matching),
    ("meets_open", trading, matching),
    ("rests_in_range", trading, matching),
    ("fill_auction", venue_kernels, fills),
    ("fill_range", venue_kernels, fills),
    ("split_shares", trading, venue_events),
    ("split_bar", deciding, venue_events),
]


@pytest.mark.parametrize(("name", "simulation", "session"), SHARED)
def test_the_simulation_calls_the_function_of_the_session(
    name: str, simulation: ModuleType, session: ModuleType
) -> None:
    ours: Any = getattr(simulation, name)
    assert ours is getattr(session, name)
    called = {
        node.func.id
        for node in ast.walk(ast.parse(Path(str(simulation.__file__)).read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert name in called


def test_the_simulation_has_no_arithmetic_of_money_controls_or_policy_of_its_own() -> None:
    """Bit masks, square roots, logarithms and bps belong to the shared kernels alone."""
    for module in (deciding, sending, trading, loop):
        tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
        names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert not names & {"sqrt", "log", "exp", "ceil", "floor"}, module.__name__
        assert not any(isinstance(node, (ast.BitOr, ast.Pow)) for node in ast.walk(tree)), module.__name__


def test_every_control_is_called_by_the_one_judge() -> None:
    checks = {name for name in vars(controls) if name.startswith("check_")}
    tree = ast.parse(Path(controls.__file__).read_text(encoding="utf-8"))
    judge = next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "judge_order")
    called = {n.func.id for n in ast.walk(judge) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    assert checks
    assert checks <= called


def test_kernels_count_no_references() -> None:
    from numba import njit

    def counts(function: Any) -> bool:
        return any("NRT_incref" in text for text in function.inspect_llvm().values())

    def total(values: np.ndarray) -> float:
        part = values[1:]
        return part.sum() + values.copy()[0]

    from workbench.core.kernel import OPTIONS

    assert OPTIONS["_nrt"] is False
    counted = njit(total)
    counted(np.ones(4))
    assert counts(counted)  # the text that is looked for is really what numba writes
    fresh = njit(**{**OPTIONS, "cache": False})(policy.forecast_row.py_func)
    fresh(np.ones(4), np.zeros(4, dtype=np.int64))
    assert not counts(fresh)
