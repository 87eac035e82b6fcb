"""One runbook for each halt reason and alert code, found from both, and drilled by a test that exists."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from workbench.core.alerts import RULES, rule_of
from workbench.core.halt_reasons import BY_A_PERSON, HALT_REASONS, halt_reason

#: Page of each alert code and halt reason; a reason that is an alert of the watchdog has that alert's page.
PAGES = {
    **{code: rule.runbook for code, rule in RULES.items()},
    **{reason.code: reason.runbook for reason in (*HALT_REASONS, BY_A_PERSON)},
}
#: The page that tells how to halt and resume is drilled as a whole.
WITHOUT_A_DRILL = {"DESK_HALTED"}
DRILL = re.compile(r"\*\*Drilled by\*\*\s+`([^`]+)::([^`]+)`")
#: Functions whose first argument is a reason that lands in the state row.
HALTERS = {"halt", "_halt", "halt_by_row"}


def test_no_two_share_a_page() -> None:
    counted = Counter(PAGES.values())
    assert {page for page, count in counted.items() if count > 1} == set()
    assert {reason.code for reason in HALT_REASONS if reason.code in RULES} == {
        "LOOP_DEAD", "LOOP_STUCK", "JOURNAL_UNREACHABLE", "VENUE_UNREACHABLE", "CLOCK_SKEW",
    }  # fmt: skip
    for reason in HALT_REASONS:
        assert reason.code not in RULES or reason.runbook == RULES[reason.code].runbook


@pytest.mark.parametrize("code", PAGES)
def test_the_page_says_what_was_done_what_to_look_at_and_who_decides(code: str, root: Path) -> None:
    page = (root / PAGES[code]).read_text(encoding="utf-8")
    for words in ("you see|symptom", "the machine has", "check", "decide", "ends|over when"):
        assert re.search(words, page, re.IGNORECASE), words
    named = (
        code
        if code in RULES
        else _words(next(r.begins for r in (*HALT_REASONS, BY_A_PERSON) if r.code == code))
    )
    assert _flat(named) in _flat(page), "who has only the code or the words finds the page by them"


def _words(pattern: str) -> str:
    """The longest stretch of a pattern that is plain words."""
    return max(re.split(r"\\.\+?|\(.*?\)|[.*?+:]", pattern), key=len).strip()


def _flat(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("code", [code for code in PAGES if code not in WITHOUT_A_DRILL])
def test_the_page_names_a_drill_that_exists_and_is_of_it(code: str, root: Path) -> None:
    found = DRILL.search((root / PAGES[code]).read_text(encoding="utf-8"))
    assert found, f"{PAGES[code]}: add **Drilled by** `tests/FILE.py::test_name`"
    source = source_of_test((root / found[1]).read_text(encoding="utf-8"), found[2])
    assert source, f"{found[1]} has no test {found[2]}"
    if code in RULES:
        short = code.removeprefix("cost_model_")
        assert re.search(rf"\b{code}\b|\"{short}\"|\b{code.upper()}\b", source), (
            f"{found[2]} never meets {code}"
        )
    else:
        assert re.search("halt|recovery", source, re.IGNORECASE), found[2]


def source_of_test(text: str, name: str) -> str:
    """The test of that name with its decorators and what they name; "" = there is none."""
    tree = ast.parse(text)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            parts = [ast.unparse(node)]
            decorated = [one for part in node.decorator_list for one in ast.walk(part)]
            used = {one.id for one in decorated if isinstance(one, ast.Name)}
            tables = [other for other in tree.body if isinstance(other, ast.Assign)]
            parts += [ast.unparse(one) for one in tables if used & {ast.unparse(t) for t in one.targets}]
            return "\n".join(parts).replace("'", '"')
    return ""


# --- every halt in the code ------------------------------------------------------------------------------


def halting_words(trees: dict[Path, ast.Module]) -> dict[str, str]:
    """Each reason that code can write into the state row, with holes filled in, by where it stands.

    Reasons are handed on by many functions: those that are a plain name or attribute are found where they are
    put together, and the words of others' messages are listed in `CARRIED`.
    """
    found: dict[str, str] = {}
    for path, tree in trees.items():
        for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]:
            for node in ast.walk(function):
                for value in _reasons_in(node):
                    for text in _texts(value, function, tree):
                        found[f"{path.name}:{value.lineno}"] = text
    return found


def _reasons_in(node: ast.AST) -> Iterator[ast.expr]:
    if not isinstance(node, ast.Call) or not node.args:
        return
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name in HALTERS:
        yield node.args[1 if name == "halt_by_row" else 0]
    if name == "Permission" and "HALTED" in ast.unparse(node.args[0]):
        yield node.args[2]
    if (
        name == "Event"
        and ast.unparse(node.args[0]) == "'state.changed'"
        and isinstance(node.args[1], ast.Dict)
    ):
        written = dict(
            zip(map(ast.unparse, filter(None, node.args[1].keys)), node.args[1].values, strict=True)
        )
        if ast.unparse(written["'state'"]) == "'HALTED'":
            yield written["'reason'"]


def _texts(value: ast.expr, function: ast.FunctionDef, tree: ast.Module) -> Iterator[str]:
    if isinstance(value, ast.Constant):
        yield str(value.value)
    elif isinstance(value, ast.JoinedStr):
        yield "".join(
            str(part.value) if isinstance(part, ast.Constant) else FILLED.get(ast.unparse(part), "1")
            for part in value.values
        )
    elif isinstance(value, ast.Name):
        for scope in (function, tree):
            for node in ast.walk(scope) if scope is function else tree.body:
                targets = node.targets if isinstance(node, ast.Assign) else []
                if isinstance(node, ast.Assign) and any(ast.unparse(t) == value.id for t in targets):
                    yield from _texts(node.value, function, tree)
    elif ast.unparse(value) not in CARRIED | NO_REASON:
        yield f"? {ast.unparse(value)}"


#: What stands in the holes of reasons where "1" would not do.
FILLED = {"{halt.level}": "broker"}
#: Words that are put together elsewhere: the state row's own, and an error's, whose pages are drilled in
#: tests/services/test_halt_reasons.py.
CARRIED = {"str(row['reason'])", "str(error)"}
#: Arguments of functions of these names that are no reason, or a person's own words.
NO_REASON = {
    "order.reason", "load_settings(str(config))", "[finding for finding in findings if finding.halts]",
    "person or name.value",
}  # fmt: skip


@pytest.fixture(scope="module")
def said(package_trees: dict[Path, ast.Module]) -> dict[str, str]:
    """Reasons of the rooms that may write a state row."""
    rooms = {"services", "bootstrap"}
    return halting_words({path: tree for path, tree in package_trees.items() if rooms & {*path.parts}})


def test_every_reason_in_the_code_is_known(said: dict[str, str]) -> None:
    assert len(said) >= 13, said
    unknown = {where: text for where, text in said.items() if halt_reason(text) is BY_A_PERSON}
    assert unknown == {}, "give each a row in workbench/core/halt_reasons.py and a page in docs/runbooks"


def test_every_known_reason_is_in_the_code(said: dict[str, str]) -> None:
    found = {halt_reason(text).code for text in said.values()}
    watched = set(RULES)  # the watchdog's reason is made of its findings' codes
    by_messages = {"IMPOSSIBLE_STEP", "IMPOSSIBLE_FILL", "STRANGE_FILL"}  # `CARRIED`, and Booking's troubles
    assert {reason.code for reason in HALT_REASONS} - found - watched - by_messages == set()


def test_a_halt_without_a_page_is_found() -> None:
    tree = ast.parse(
        "def f(self):\n    self._halt('a novelty')\n    words = f'news: {self.x}'\n    self.halt(words)\n"
        "    halt_by_row(s, 'lost')\n    Permission(HALTED, 0, 'closed')\n    self._halt(other())\n"
    )
    assert sorted(halting_words({Path("x.py"): tree}).values()) == [
        "? other()", "a novelty", "closed", "lost", "news: 1",
    ]  # fmt: skip


def test_a_code_without_a_rule_has_a_page_too(root: Path) -> None:
    assert (root / rule_of("A_CODE_WITHOUT_RULE").runbook).exists()
