"""Every alert that the package can raise has a rule, and every rule a page that says what to do."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from workbench.core.alerts import RULES, Severity, rule_of
from workbench.core.costs.model import Status

ALERT_KEYS = {"account", "code", "text", "at_ns"}
Functions = ast.FunctionDef | ast.AsyncFunctionDef


def raised_codes(trees: dict[Path, ast.Module]) -> dict[str, str]:
    """Where each code is raised, by code; a code that cannot be read stands as "?" with its source,
    one that is put together with a star after its beginning.

    A code is the second argument of `alert(...)`, the first of `raise_alert(...)` and of a watchdog's
    `Finding(...)`, the value of "code" in a
    payload, or what the callers of a function hand to it for one of these.
    """
    found: dict[str, str] = {}
    for path, tree in trees.items():
        for node, function in _within_functions(tree):
            for value in _codes_in(node, watches=path.stem.startswith("watch")):
                for word in _words(value, function, tree, trees):
                    found[word] = f"{path.name}:{value.lineno}"
    return found


def _within_functions(
    tree: ast.AST, function: Functions | None = None
) -> Iterator[tuple[ast.AST, Functions | None]]:
    for node in ast.iter_child_nodes(tree):
        inner = node if isinstance(node, Functions) else function
        yield node, inner
        yield from _within_functions(node, inner)


def _codes_in(node: ast.AST, *, watches: bool) -> Iterator[ast.expr]:
    if isinstance(node, ast.Dict):
        keys = [key.value for key in node.keys if isinstance(key, ast.Constant)]
        if set(keys) >= ALERT_KEYS:
            yield next(v for k, v in zip(node.keys, node.values, strict=True)
                       if isinstance(k, ast.Constant) and k.value == "code")  # fmt: skip
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        place = {"alert": 1, "raise_alert": 0, **({"Finding": 0} if watches else {})}.get(name)
        if place is not None and len(node.args) > place:
            yield node.args[place]


def _words(
    value: ast.expr, function: Functions | None, tree: ast.Module, trees: dict[Path, ast.Module]
) -> Iterator[str]:
    if isinstance(value, ast.Constant):
        yield str(value.value)
    elif isinstance(value, ast.IfExp):
        yield from _words(value.body, function, tree, trees)
        yield from _words(value.orelse, function, tree, trees)
    elif isinstance(value, ast.JoinedStr):
        yield from _words_of_pattern(value)
    elif isinstance(value, ast.Name):
        yield from _words_of_name(value, function, tree, trees)
    elif isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add):
        yield from (f"{head}*" for head in _words(value.left, function, tree, trees))
    elif ast.unparse(value) in CARRIED:
        return
    else:
        yield f"? {ast.unparse(value)}"


#: An alert that is built from a finding, an event or a row, whose own code is found where that is made.
CARRIED = {"finding.code", "said['code']"}


def _words_of_pattern(value: ast.JoinedStr) -> Iterator[str]:
    text = ast.unparse(value)
    first = value.values[0]
    if text == "f'cost_model_{status}'":
        yield from (f"cost_model_{word}" for word in get_args(Status) if word != "ok")
    else:
        yield f"{first.value}*" if isinstance(first, ast.Constant) else f"? {text}"


def _words_of_name(
    value: ast.Name, function: Functions | None, tree: ast.Module, trees: dict[Path, ast.Module]
) -> Iterator[str]:
    if function is not None:
        names = [arg.arg for arg in function.args.args]
        if value.id in names:  # handed in: what do the callers say?
            place = names.index(value.id) - (names[0] == "self")
            private = function.name.startswith("_")  # then nobody calls it from another file
            yield from _of_callers(function.name, place, [tree] if private else list(trees.values()), trees)
            return
    assigned = [
        node.value
        for scope in filter(None, (function, tree))
        for node in ast.walk(scope)
        if isinstance(node, ast.Assign)
        and any(isinstance(target, ast.Name) and target.id == value.id for target in node.targets)
    ]
    if not assigned:
        yield f"? {value.id}"
    for one in assigned[:1]:
        yield from _words(one, function, tree, trees)


def _of_callers(
    name: str, place: int, files: list[ast.Module], trees: dict[Path, ast.Module]
) -> Iterator[str]:
    for tree in files:
        for node, function in _within_functions(tree):
            if isinstance(node, ast.Call) and len(node.args) > place:
                called = (
                    node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                )
                if called == name:
                    yield from _words(node.args[place], function, tree, trees)


def rules_of(code: str) -> set[str]:
    """Rules of a code; one that ends in a star was built from that beginning."""
    head, star, _ = code.partition("*")
    return {known for known in RULES if known == code or (star and head and known.startswith(head))}


def test_every_code_that_is_raised_has_a_rule(package_trees: dict[Path, ast.Module]) -> None:
    raised = raised_codes(package_trees)
    assert {"STAGE_BUDGET", "cost_drift", "cost_model_stale", "LOOP_DEAD", "DESK_HALTED"} <= raised.keys()
    assert {code: where for code, where in raised.items() if not rules_of(code)} == {}


def test_every_rule_is_of_a_code_that_is_raised(package_trees: dict[Path, ast.Module]) -> None:
    used = {code for raised in raised_codes(package_trees) for code in rules_of(raised)}
    assert set(RULES) - used == set()


@pytest.mark.parametrize("code", [*RULES, "A_CODE_WITHOUT_RULE"])
def test_the_runbook_of_a_rule_says_what_to_see_to_check_to_decide_and_how_it_ends(
    code: str, root: Path
) -> None:
    page = (root / rule_of(code).runbook).read_text(encoding="utf-8")
    for words in ("you see|symptom", "the machine has", "check", "decide", "ends|no answer|over"):
        assert re.search(words, page, re.IGNORECASE), words
    assert code in page or "_" not in code or code.startswith(("cost_model_", "A_CODE"))


@pytest.mark.parametrize("rule", RULES.values(), ids=str)
def test_a_rule_is_whole(rule: object) -> None:
    assert rule.meaning.endswith(".")  # type: ignore[attr-defined]
    assert 60 <= rule.window_s <= 86_400  # type: ignore[attr-defined]
    assert (rule.escalate_after_s > 0) == (rule.severity is Severity.CRITICAL)  # type: ignore[attr-defined]


def test_a_code_without_a_rule_or_that_cannot_be_read_is_found() -> None:
    source = """
BAD = "HIDDEN"
def one(account, code): return {"account": account, "code": code, "text": "", "at_ns": 1}
def two(): return one("a", "FROM_CALLER")
def three(): return alert("a", BAD, "x")
def four(words): return alert("a", words[0], "x")
def five(rule): return alert("a", BAD + rule, "x")
"""
    found = raised_codes({Path("x.py"): ast.parse(source)})
    assert set(found) == {"FROM_CALLER", "HIDDEN", "? words[0]", "HIDDEN*"}
