"""A control is added by the steps of docs/how-to/add-a-control.md; one that misses a step is refused."""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

import workbench.core.pretrade as pretrade
from workbench.core.kernel import kernel
from workbench.core.pretrade import DenialCode, Limits, LimitValues, OrderValues, controls
from workbench.core.pretrade.catalogue import CONTROLS, Control
from workbench.core.pretrade.limits import CEILINGS

ROOT = Path(__file__).parents[2]
#: Sections, one file each.
SECTIONS = {"size", "price", "market", "rate", "exposure", "account"}
#: Rows of the catalogue of controls that orders are judged by.
ROWS = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 20, 23, 32, 40, 51}


def called_in(function: object) -> set[str]:
    tree = ast.parse(inspect.getsource(function))  # type: ignore[arg-type]
    return {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }


def missing_steps(control: Control, *, judged: set[str], acts: str) -> list[str]:
    """What is still to be done before a control counts as one."""
    name, function = str(control.code.name), inspect.unwrap(control.kernel)
    missing = []
    if not control.code.explain.endswith("."):
        missing.append("a sentence in codes.py")
    for limit in control.limits:
        if limit not in {item.name for item in fields(Limits)}:
            missing.append(f"the field limits.{limit}")
        elif isinstance(getattr(Limits(), limit), float) and limit not in CEILINGS:
            missing.append(f"a ceiling of limits.{limit}")
    if function.__module__.rpartition(".")[2] not in SECTIONS:
        missing.append("a kernel in the file of a section")
    if name not in (function.__doc__ or "").partition(":")[0].replace(",", " ").split():
        missing.append("the code in the kernel's first line")
    if function.__name__ not in judged:
        missing.append("a call in judge_order")
    if f'("{name}",' not in acts:
        missing.append("a case in ACTS")
    return missing


JUDGED = called_in(inspect.unwrap(controls.judge_order))
ACTS = (ROOT / "tests" / "core" / "test_pretrade.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: str(control.code.name))
def test_a_control_has_all_its_steps(control: Control) -> None:
    assert missing_steps(control, judged=JUDGED, acts=ACTS) == []


def test_every_code_has_one_row_and_every_limit_belongs_to_a_control() -> None:
    assert sorted(control.code for control in CONTROLS) == sorted(DenialCode)
    named = {limit for control in CONTROLS for limit in control.limits}
    assert named == {item.name for item in fields(Limits)}
    assert {row for control in CONTROLS for row in control.rows} == ROWS


def test_every_kernel_that_judges_is_in_the_table() -> None:
    named = {inspect.unwrap(control.kernel).__name__ for control in CONTROLS}
    assert {name for name in JUDGED if name.startswith("check_")} == named


def test_codes_are_single_bits_and_none_is_used_twice() -> None:
    assert all(code.bit_count() == 1 for code in DenialCode)
    assert len({int(code) for code in DenialCode}) == len(DenialCode) < 63


def test_every_limit_of_a_kernel_denies_something() -> None:
    """A limit in kernel form that no section reads would be a setting without an effect."""
    folder = Path(pretrade.__file__).parent
    text = "".join((folder / f"{name}.py").read_text(encoding="utf-8") for name in SECTIONS)
    assert [name for name in LimitValues._fields if f"limits.{name}" not in text] == []


# --- the example of the how-to ---------------------------------------------------------------------------


@kernel
def check_sale_value(order: OrderValues, worst_price: float, limits: LimitValues) -> int:
    """SALE_VALUE: what a sale may fetch at most."""
    if order.side == 1:
        return 0
    value = order.shares * worst_price
    return 0 if 0.0 < value <= limits.max_order_notional else 1 << 43


def test_the_example_of_the_how_to_works_and_is_refused_until_it_is_whole() -> None:
    page = (ROOT / "docs" / "how-to" / "add-a-control.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"( +@kernel\n.*?)```", page, flags=re.DOTALL)
    body = inspect.getsource(inspect.unwrap(check_sale_value))
    same = body.replace("max_order_notional", "max_sale_value").replace("1 << 43", "_SALE_VALUE")
    assert inspect.cleandoc(shown) == inspect.cleandoc(same)
    assert max(DenialCode).bit_length() == 43, "the page names the next free bit"
    values = Limits(max_order_notional_usd=1_000).values()
    order = OrderValues(-1, 10, 0, 0, 100_000_000, 1, 0, 0, 0, 0)
    verdicts = [check_sale_value(order, price, values) for price in (1e8, 1e8 + 1, np.nan, -1.0)]
    assert verdicts == [0, 1 << 43, 1 << 43, 1 << 43]
    toy = Control(DenialCode.GROSS, check_sale_value, ("max_sale_value",), (3,))
    assert missing_steps(toy, judged=JUDGED, acts="") == [
        "the field limits.max_sale_value",
        "a kernel in the file of a section",
        "the code in the kernel's first line",
        "a call in judge_order",
        "a case in ACTS",
    ]
