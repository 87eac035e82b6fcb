"""The handbook builds without a warning; its reference names all there is; its blocks can be typed."""

from __future__ import annotations

import ast
import doctest
import importlib
import json
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import workbench as wb
from workbench.adapters.journal.kinds import FIELDS
from workbench.cli.app import build, commands
from workbench.config import leaves, secret_keys
from workbench.core.orders import OrderState
from workbench.core.pretrade.codes import DenialCode

SCRIPTS = ("build_api", "build_events", "build_halts")
FETCHED = re.compile(r'<(?:script|link|img|iframe)[^>]*(?:src|href)="([^"]+)"')
FENCE = re.compile(r"(?ms)^( *)```([a-z]*)[^\n]*\n(.*?)^ *```")


@pytest.fixture(scope="module")
def written(root: Path) -> dict[str, dict[str, str]]:
    """What the scripts would write, by script."""
    return {name: runpy.run_path(str(root / f"docs/reference/{name}.py"))["pages"]() for name in SCRIPTS}


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_generated_pages_are_what_the_code_says(
    script: str, root: Path, written: dict[str, dict[str, str]]
) -> None:
    for name, text in written[script].items():
        assert (root / "docs/reference" / name).read_text("utf-8") == text, f"run: docs/reference/{script}.py"


def test_every_setting_denial_state_event_and_command_is_in_the_reference(root: Path) -> None:
    pages = {path.name: path.read_text("utf-8") for path in (root / "docs/reference").glob("*.md")}
    named = {
        "settings.md": [*leaves(), *(key.partition(".")[2] for key in secret_keys())],
        "denial-codes.md": [code.name for code in DenialCode],
        "order-states.md": [str(state) for state in OrderState],
        "events.md": list(FIELDS),
        "cli.md": [f"## workbench {path}" for path, _ in commands(build())],
    }
    for page, names in named.items():
        assert len(names) > 5, page
        assert [name for name in names if not _stands(name, pages[page])] == [], page


def _stands(name: str, page: str) -> bool:
    """As a heading of its own, or as code."""
    return f"{name}\n" in page if name.startswith("##") else f"`{name}" in page


def test_every_kind_of_event_has_a_writer(written: dict[str, dict[str, str]]) -> None:
    page = written["build_events"]["events.md"]
    rows = re.findall(r"(?m)^\| `([a-z_.]+)` \|.*\| (\S.*?) \| \S.*? \|$", page)
    assert {kind for kind, _ in rows} == set(FIELDS)
    assert [kind for kind, wrote in rows if wrote == "-"] == []


# --- the examples of the public names --------------------------------------------------------------------


def test_every_public_function_has_an_example_that_runs(root: Path, tmp_path: Path, monkeypatch: Any) -> None:
    names = runpy.run_path(str(root / "docs/reference/build_api.py"))
    monkeypatch.chdir(tmp_path)
    without, failed = [], []
    finder = doctest.DocTestFinder(recurse=False)
    for module in names["MODULES"]:
        for name, what in names["public"](module).items():
            if isinstance(what, type):
                continue
            known = {**vars(sys.modules[what.__module__]), "wb": wb}
            (found,) = finder.find(what, name, globs=known) or [None]
            if found is None or not found.examples:
                without.append(f"{module}.{name}")
            elif doctest.DocTestRunner(verbose=False).run(found).failed:
                failed.append(f"{module}.{name}")
    assert (without, failed) == ([], [])


# --- blocks of code on the pages -------------------------------------------------------------------------


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """Language and content of every fenced block, without its indentation."""
    for indent, language, body in FENCE.findall(text):
        yield language, re.sub(rf"(?m)^{indent}", "", body)


def trouble(language: str, body: str) -> str:
    """Why the block cannot be what it says it is; "" when it can."""
    try:
        if language == "python":
            plain = re.sub(r"(?m)^>>> ?|^\.\.\. ?", "", body) if body.lstrip().startswith(">>>") else body
            ast.parse("\n".join(row for row in plain.splitlines() if row.strip() != "..."))
        elif language in ("bash", "console", "sh"):
            for line in body.replace("\\\n", " ").splitlines():
                shlex.split(line, comments=True)
        elif language == "toml":
            tomllib.loads(body)
        elif language == "json":
            json.loads(body)
    except (SyntaxError, ValueError) as error:
        return f"{language}: {error}"
    return ""


def test_every_block_of_a_page_is_what_it_says(root: Path) -> None:
    pages = [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    pages = [page for page in pages if page.name != "api.md"]  # its examples are run
    found = [(page, *block) for page in pages for block in blocks(page.read_text("utf-8"))]
    assert len(found) > 60
    wrong = [f"{page.name}: {why}" for page, language, body in found if (why := trouble(language, body))]
    assert wrong == []


def test_a_block_of_python_imports_what_exists(root: Path) -> None:
    """Public names in the code of pages, as `from workbench.x import y` and as `wb.x.y`."""
    for page in sorted((root / "docs").rglob("*.md")):
        for language, body in blocks(page.read_text("utf-8")):
            if language != "python" or page.parent.name == "reference":
                continue
            for module, names in re.findall(r"(?m)^from (workbench[\w.]*) import ([\w, ]+)$", body):
                for name in names.split(","):
                    assert hasattr(importlib.import_module(module), name.strip()), (page.name, name)
            for name in re.findall(r"\bwb\.(\w+)", body):
                assert name in wb.__all__, (page.name, name)


@pytest.mark.parametrize(
    ("language", "body"),
    [("python", "def f(:\n"), ("bash", "echo 'open"), ("toml", "a = "), ("json", "{'a': 1}")],
)
def test_a_block_that_is_not_what_it_says_is_found(language: str, body: str) -> None:
    assert trouble(language, body) != ""


# --- links into a page -----------------------------------------------------------------------------------


def anchors(text: str) -> set[str]:
    """Anchors of the headings of a page."""
    outside = FENCE.sub("", text)
    found = re.findall(r"(?m)^#{1,4} (.+)$", outside)
    plain = (re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", one).strip().lower() for one in found)
    return {re.sub(r"[^\w\- ]", "", one).replace(" ", "-") for one in plain}


def test_links_into_a_page_find_their_heading(root: Path) -> None:
    pages = [root / "README.md", root / "CHANGELOG.md", *sorted((root / "docs").rglob("*.md"))]
    broken = []
    for page in pages:
        for link, anchor in re.findall(r"\]\(([^)#\s:]*)#([^)\s]+)\)", page.read_text("utf-8")):
            target = (page.parent / link).resolve() if link else page
            if target.suffix == ".md" and anchor not in anchors(target.read_text("utf-8")):
                broken.append(f"{page.name}: {link}#{anchor}")
    assert broken == []
    assert anchors("# One `two`, three\n") == {"one-two-three"}


def test_every_page_is_in_the_handbook(root: Path) -> None:
    index = (root / "docs/index.md").read_text("utf-8")
    listed = set(re.findall(r"(?m)^([a-z-]+/[a-z0-9*-]+)$", index))
    pages = {path.relative_to(root / "docs").with_suffix("") for path in (root / "docs").glob("*/*.md")}
    assert [str(page) for page in pages if not {str(page), f"{page.parent}/*"} & listed] == []


@pytest.mark.prove
def test_the_handbook_builds_without_a_warning_and_fetches_nothing(root: Path, tmp_path: Path) -> None:
    book = tmp_path / "book"
    sphinx = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"]
    subprocess.run([*sphinx, "-d", str(tmp_path / "trees"), str(root / "docs"), str(book)], check=True)
    pages = sorted(book.rglob("*.html"))
    assert len(pages) > 100
    asked = {link for page in pages for link in FETCHED.findall(page.read_text("utf-8"))}
    assert [link for link in asked if "://" in link or link.startswith("//")] == []
    dead = [
        f"{page.name}: {link}"
        for page in pages
        for link in re.findall(r'<a [^>]*href="([^"#]+)', page.read_text("utf-8"))
        if "://" not in link and not link.startswith("mailto") and not (page.parent / link).exists()
    ]
    assert dead == []
