"""A connection that is opened is closed at once, not when the collector finds it: until then it locks."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def left_open(source: str) -> list[int]:
    """Lines with `with sqlite3.connect(...)`: such a block ends the transaction and leaves the connection."""
    return [
        item.context_expr.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.With)
        for item in node.items
        if ast.unparse(item.context_expr).startswith("sqlite3.connect(")
    ]


@pytest.mark.parametrize("folder", ["workbench", "tests", "apps", "docs"])
def test_no_block_leaves_its_connection_open(folder: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for line in left_open(path.read_text())
    ]
    assert found == []


def test_the_rule_sees_what_it_forbids() -> None:
    assert left_open("with sqlite3.connect(path) as database:\n    pass\n") == [1]
    assert left_open("with closing(sqlite3.connect(path)) as database:\n    pass\n") == []
