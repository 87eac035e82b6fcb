"""Every command that a page or a message tells a person to type exists, with the options it is told with."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from workbench.cli.app import build, commands

PROGRAM = "workbench "


@pytest.fixture(scope="module")
def tree() -> dict[str, Any]:
    return dict(commands(build()))


def shown(page: str) -> Iterator[str]:
    """Command lines in the blocks and in the spans of a page, without their comments."""
    blocks = re.findall(r"(?ms)^```[^\n]*\n(.*?)^```", page)
    lines = [line for block in blocks for line in block.splitlines()]
    lines += [line for line in page.splitlines() if line.startswith("    ")]
    lines += re.findall(rf"`({PROGRAM}[^`\n]+)`", page)
    for line in (line.strip().removeprefix("$ ").removeprefix(".venv/bin/") for line in lines):
        if line.startswith(PROGRAM):
            yield re.split(r"\s#|\s>|\|", line)[0]


def said(source: str) -> Iterator[str]:
    """Command lines in back-quotes among the texts of a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else "X" for part in node.values]
            yield from re.findall(rf"`({PROGRAM}[^`]+)`", "".join(map(str, parts)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from re.findall(rf"`({PROGRAM}[^`]+)`", node.value)


def trouble(line: str, tree: dict[str, Any]) -> str:
    """Why the line cannot be typed; "" when it can, or when it names a group of commands."""
    words = line.removeprefix(PROGRAM).split()
    name = " ".join(words[:2]) if " ".join(words[:2]) in tree else words[0]
    if name not in tree:
        group = len(words) == 1 and any(one.startswith(f"{name} ") for one in tree)
        return "" if group else f"{line!r}: there is no such command"
    options = {word for one in tree[name].params for word in (*one.opts, *one.secondary_opts)}
    typed = {word.partition("=")[0].rstrip(".,;)") for word in words if re.match(r"--?[a-z]", word)}
    unknown = sorted(typed - options - {"--help"})
    return f"{line!r}: {name} has no {', '.join(unknown)}" if unknown else ""


def test_every_command_on_a_page_exists(root: Path, tree: dict[str, Any]) -> None:
    pages = [root / "README.md", root / "CHANGELOG.md", *sorted((root / "docs").rglob("*.md"))]
    found = [(page, line) for page in pages for line in shown(page.read_text(encoding="utf-8"))]
    assert len(found) > 100
    assert [f"{page.name}: {wrong}" for page, line in found if (wrong := trouble(line, tree))] == []


def test_every_command_in_a_message_exists(root: Path, tree: dict[str, Any]) -> None:
    found = [
        (path, line)
        for path in sorted((root / "workbench").rglob("*.py"))
        for line in said(path.read_text(encoding="utf-8"))
    ]
    assert len(found) > 50
    assert [f"{path.name}: {wrong}" for path, line in found if (wrong := trouble(line, tree))] == []


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("workbench no-such", "no such command"),
        ("workbench jobs no-such", "no such command"),
        ("workbench halt --no-such", "halt has no --no-such"),
        ("workbench jobs run trading_loop --sesion DATE", "jobs run has no --sesion"),
    ],
)
def test_what_cannot_be_typed_is_named(line: str, wrong: str, tree: dict[str, Any]) -> None:
    assert wrong in trouble(line, tree)
