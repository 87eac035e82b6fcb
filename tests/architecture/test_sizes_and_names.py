"""Files and functions stay small; one word an idea; no drawer for leftovers."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

FILE_LINES = 400
FUNCTION_LINES = 60
PUBLIC_NAMES = 15
DRAWERS = {
    "util",
    "utils",
    "utility",
    "utilities",
    "helper",
    "helpers",
    "common",
    "manager",
    "managers",
    "misc",
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def body_lines(function: Function) -> int:
    """Lines of a function's body without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    if not body:
        return 0
    return (body[-1].end_lineno or body[-1].lineno) - body[0].lineno + 1


def long_functions(tree: ast.AST) -> list[str]:
    """Functions beyond the limit, as "name: lines"."""
    functions = (node for node in ast.walk(tree) if isinstance(node, Function))
    return [f"{node.name}: {size}" for node in functions if (size := body_lines(node)) > FUNCTION_LINES]


def test_no_file_holds_two_ideas(root: Path) -> None:
    files = [*(root / "workbench").rglob("*.py"), *(root / "apps").rglob("*.py")]
    sizes = {
        str(path.relative_to(root)): len(path.read_text(encoding="utf-8").splitlines()) for path in files
    }
    assert sizes
    assert {name: size for name, size in sizes.items() if size > FILE_LINES} == {}


def test_no_function_holds_two_ideas(package_trees: dict[Path, ast.Module]) -> None:
    assert {str(path): found for path, tree in package_trees.items() if (found := long_functions(tree))} == {}


def test_a_long_function_is_found_and_its_docstring_is_free() -> None:
    long_text = '"""' + "words\n" * 200 + '"""'
    at_limit = "\n".join(["def f():", f"    {long_text}", *["    x = 1"] * FUNCTION_LINES])
    beyond = "\n".join(["class A:", "    async def g(self):", *["        x = 1"] * (FUNCTION_LINES + 1)])
    assert long_functions(ast.parse(at_limit)) == []
    assert long_functions(ast.parse(beyond)) == [f"g: {FUNCTION_LINES + 1}"]


def test_no_module_is_a_drawer(root: Path) -> None:
    named = [*(root / "workbench").rglob("*"), *(root / "apps").rglob("*"), *(root / "tests").rglob("*")]
    drawers = [path for path in named if DRAWERS & set(re.split(r"[_.-]", path.stem.lower()))]
    assert drawers == []


def test_the_door_is_narrow() -> None:
    import workbench

    assert len(workbench.__all__) <= PUBLIC_NAMES
    assert set(dir(workbench)) == set(workbench.__all__)


# --- words ------------------------------------------------------------------------------------------


def words(name: str) -> list[str]:
    """A name's words in lower case: snake_case and CamelCase alike."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]


def banned_synonyms(glossary: str) -> dict[tuple[str, ...], str]:
    """The words to use, by the words never to use, from the glossary's tables."""
    banned: dict[tuple[str, ...], str] = {}
    for row in glossary.splitlines():
        cells = [cell.strip() for cell in row.strip().strip("|").split("|")]
        if len(cells) == 3 and not set(cells[0]) <= set("- :") and cells[2] != "never say":
            for synonym in filter(None, (part.strip() for part in cells[2].split(","))):
                banned[tuple(words(synonym))] = cells[0]
    return banned


#: Names that a library asks of whoever extends it, by file.
ASKED_FOR = {("page_login.py", "get_user")}


def public_names(tree: ast.Module) -> Iterator[str]:
    """Names of public functions, classes and methods."""
    for node in ast.walk(tree):
        if isinstance(node, (*Function.__args__, ast.ClassDef)) and not node.name.startswith("_"):
            yield node.name


def misnamed(tree: ast.Module, banned: dict[tuple[str, ...], str], *, file: str = "") -> list[str]:
    """Public names that hold a banned synonym, with the word to use."""
    found = []
    for name in public_names(tree):
        if (file, name) in ASKED_FOR:
            continue
        parts = words(name)
        for synonym, instead in banned.items():
            spans = (tuple(parts[at : at + len(synonym)]) for at in range(len(parts)))
            if synonym in spans:
                found.append(f"{name}: say {instead}, not {' '.join(synonym)}")
    return found


@pytest.fixture(scope="module")
def glossary(root: Path) -> dict[tuple[str, ...], str]:
    found = banned_synonyms((root / "docs" / "reference" / "glossary.md").read_text(encoding="utf-8"))
    assert len(found) > 20
    return found


def test_public_names_use_the_glossary(
    package_trees: dict[Path, ast.Module], glossary: dict[tuple[str, ...], str]
) -> None:
    assert {
        str(path): found
        for path, tree in package_trees.items()
        if (found := misnamed(tree, glossary, file=path.name))
    } == {}


def test_a_banned_synonym_is_found(glossary: dict[tuple[str, ...], str]) -> None:
    source = (
        "class TickerBook: ...\ndef mean_slippage(): ...\ndef _ticker(): ...\ndef open_trading_day(): ..."
    )
    found = misnamed(ast.parse(source), glossary)
    assert [row.partition(":")[0] for row in found] == ["TickerBook", "mean_slippage", "open_trading_day"]


def test_no_word_is_both_used_and_banned(root: Path, glossary: dict[tuple[str, ...], str]) -> None:
    used = {tuple(words(word)) for entry in glossary.values() for word in entry.split(",")}
    assert used & set(glossary) == set()
