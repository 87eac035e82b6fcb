"""Whatever a public function gives back prints itself in a notebook, and its help names units."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import workbench as wb
from workbench.services.replay import Divergence

MODULES = (wb.costs, wb.drift, wb.overfitting, wb.simulation, wb.tca, wb.validation)
#: Given back without being a result: what is asked further, and what a caller made and hands over.
NO_RESULTS = {
    "Job": "steps of a running session", "DeskJob": "steps of a running session",
    "Screen": "a page: Panel shows it",
    "PriorCost": "settings", "FeeSchedule": "settings", "FillParams": "settings", "GateRule": "settings",
    "Parameters": "inputs of many simulations", "DividendEvent": "an input", "SplitEvent": "an input",
    "SessionHours": "an input", "SymbolCost": "a row of FittedCost", "Finding": "a row of LeakReport",
    "Outcomes": "arrays of a simulator", "CombinatorialPurgedKFold": "a splitter, as scikit-learn prints it",
    "PurgedKFold": "a splitter, as scikit-learn prints it",
    "WalkForward": "a splitter, as scikit-learn prints it",
}  # fmt: skip


def public() -> Iterator[tuple[str, Any]]:
    """Every public function, and every public method of a public class, with its name."""
    for name in wb.__all__:
        if callable(getattr(wb, name)):
            yield f"wb.{name}", getattr(wb, name)
    for module in MODULES:
        for name in module.__all__:
            found = getattr(module, name)
            yield f"{module.__name__}.{name}", found
            for key, value in vars(found).items() if inspect.isclass(found) else ():
                function = getattr(value, "__func__", value)
                if inspect.isfunction(function) and not key.startswith("_"):
                    yield f"{module.__name__}.{name}.{key}", function


def results() -> dict[type, str]:
    """Classes of this package that public functions give back or that are public, with where."""
    found: dict[type, str] = {}
    for name, thing in public():
        given: list[type] = []
        if inspect.isclass(thing):
            given = [thing]
        elif callable(thing):  # a constant gives nothing back
            given = list(_classes(_returned(thing)))
        for one in given:
            if one.__module__.startswith("workbench") and not issubclass(one, BaseException):
                found.setdefault(one, name)
    return found


def _returned(function: Any) -> Any:
    """What a function says that it returns; its other annotations may name what is imported only to check."""

    def bare() -> None: ...

    bare.__annotations__ = {name: kind for name, kind in function.__annotations__.items() if name == "return"}
    return typing.get_type_hints(bare, inspect.unwrap(function).__globals__, {"pd": pd}).get("return")


def _classes(annotation: Any) -> Iterator[type]:
    if inspect.isclass(annotation):
        yield annotation
    for part in typing.get_args(annotation):
        yield from _classes(part)


def test_every_result_prints_itself() -> None:
    found = results()
    assert len(found) >= 30, found
    plain = {one.__name__: where for one, where in found.items() if not hasattr(one, "_repr_html_")}
    assert {name: where for name, where in plain.items() if name not in NO_RESULTS} == {}
    assert set(NO_RESULTS) - set(plain) == set(), "these print themselves now: take them off the list"


def numbers(function: Any) -> Iterator[str]:
    """Parameters that take a number, or an array or sequence of numbers."""
    for name, parameter in inspect.signature(function).parameters.items():
        if re.search(r"\b(int|float|Floats?|Integers)\b", str(parameter.annotation)):
            yield name


@pytest.mark.parametrize("name", sorted(name for name, thing in public() if inspect.isfunction(thing)))
def test_the_help_of_a_public_function_says_what_its_numbers_are(name: str) -> None:
    """Each is described below `Parameters`, or its own name ends in its unit."""
    thing = dict(public())[name]
    text = inspect.getdoc(thing) or ""
    assert len(text.splitlines()[0]) >= 15, name
    unit = re.compile(r"_(bps|ns|s|days|sessions|usd|micro|shares|rows|fraction)$")
    silent = [one for one in numbers(thing) if not unit.search(one) and not re.search(rf"\b{one}\b", text)]
    assert silent == []


def test_what_they_print_says_what_they_hold() -> None:
    folder = Path(__file__).resolve().parents[2] / "data" / "sample"
    bars = wb.validation.read_bars([folder / "daily" / "IBM.parquet"], last=400)
    assert "<td>IBM</td>" in bars._repr_html_()
    assert "2013-03-01" in bars._repr_html_()
    assert "<td>0</td>" in bars.rows(0, 0)._repr_html_()
    closes = pd.DataFrame({"IBM": bars.close[:, 0], "half": bars.close[:, 0] / 2}, index=range(400))
    assert "Market of a simulation" in wb.simulation.prepare(bars)._repr_html_()
    family = wb.overfitting.strategy_variants(closes, cost_bps=3.0, lookbacks=[5], holds=[1], tops=[1])
    assert "net of 3 bps" in family._repr_html_()
    returns = closes.pct_change().iloc[1:]
    assert "not excess" in wb.overfitting.sharpe_moments(returns["IBM"])._repr_html_()
    assert "decay" in wb.drift.VolatilityFilter.fit(returns)._repr_html_()
    detector = wb.drift.SequentialDetector(
        "cusum", alpha=0.05, horizon=20, min_reference=100, block_length=5, seed=1
    )
    assert "threshold" not in detector._repr_html_()
    assert "threshold" in detector.fit(returns["IBM"])._repr_html_()
    model = wb.costs.prior(wb.costs.PriorCost(), wb.costs.FeeSchedule(), as_of_ns=0)
    assert model.model_id[:12] in model._repr_html_()
    assert "<td>valid for days</td><td>120</td>" in model._repr_html_()
    difference = Divergence("fills", "2013-02-01", "price", 1, None)
    assert "First divergence" in difference._repr_html_()
