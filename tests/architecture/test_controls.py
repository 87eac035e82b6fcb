"""The control and the acceptance matrix: every anchor leads somewhere, the pages say what the code says."""

from __future__ import annotations

import copy
import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture(scope="session")
def builder(root: Path) -> ModuleType:
    """The script that writes the pages, as a module."""
    spec = importlib.util.spec_from_file_location("build_controls", root / "docs/reference/build_controls.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def table(builder: ModuleType) -> dict[str, Any]:
    found: dict[str, Any] = builder.load_table()
    return found


@pytest.fixture(scope="session")
def tests(builder: ModuleType, root: Path) -> Any:
    return builder.read_tests(root)


def test_every_row_of_the_matrix_holds(builder: ModuleType, table: dict[str, Any]) -> None:
    assert builder.problems(table) == []


def test_the_pages_are_what_the_script_would_write(builder: ModuleType, root: Path) -> None:
    for name, text in builder.pages().items():
        assert (root / "docs" / "reference" / name).read_text(encoding="utf-8") == text, (
            f"run `make docs`: {name}"
        )


def test_every_public_capability_has_a_test_that_names_it(builder: ModuleType) -> None:
    found = builder.capabilities()
    assert {one.kind for one in found} == {"name", "function", "command", "notebook", "job", "page"}
    assert len(found) > 100
    assert builder.unproved(found) == []


def test_the_five_promises_are_there(table: dict[str, Any]) -> None:
    titles = [promise["title"] for promise in table["promise"].values()]
    assert titles == ["Fail closed", "One path", "Reconstructible", "Deterministic", "Proven, not promised"]


def lose(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(row: dict[str, Any]) -> None:
        row[key] = value

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lose("code", ["workbench.core.pretrade:no_such_control"]), "core.pretrade:no_such_control"),
        (lose("code", ["workbench.no_such_module:x"]), "No module named"),
        (lose("code", ["docs/runbooks/no-such-page.md"]), "there is no such file"),
        (lose("setting", ["limits.no_such_limit"]), "setting limits.no_such_limit does not exist"),
        (lose("reason", ["denial:NO_SUCH_CODE"]), "reason denial:NO_SUCH_CODE"),
        (lose("reason", ["error:NoSuchError"]), "reason error:NoSuchError"),
        (lose("reason", ["halt:no such halt is ever made"]), "nothing in the package says so"),
        (lose("reason", ["report:no-such-kind"]), "reason report:no-such-kind"),
        (lose("reason", ["QUANTITY"]), "write it as one of"),
        (lose("acts", ["tests/core/test_pretrade.py::test_gone"]), "::test_gone does not exist"),
        (lose("fails_closed", ["tests/core/test_gone.py::test_x"]), "test_gone.py::test_x does not exist"),
        (lose("dashboard", ["desk: No Such Panel"]), "dashboard desk: No Such Panel does not exist"),
        (lose("dashboard", ["command: workbench no-such"]), "does not exist"),
        (lose("runbook", "docs/runbooks/no-such-page.md"), "no-such-page.md does not exist"),
        (lose("fails_closed", []), "fails_closed is empty, and nothing is said to be open"),
        (lose("colour", "green"), "missing or unknown"),
        (lambda row: row.pop("runbook"), "missing or unknown"),
    ],
)  # fmt: skip
def test_a_lost_anchor_is_named(
    builder: ModuleType, table: dict[str, Any], change: Callable[[dict[str, Any]], None], words: str
) -> None:
    altered = copy.deepcopy(table)
    assert not altered["row"]["1"]["open"], "the row that is altered here must be a done one"
    change(altered["row"]["1"])
    found = builder.problems(altered)
    assert found != []
    assert all(one.startswith("row 1: ") for one in found)
    assert any(words in one for one in found)


def test_a_lost_row_and_a_promise_without_test_are_named(builder: ModuleType, table: dict[str, Any]) -> None:
    altered = copy.deepcopy(table)
    del altered["row"]["62"]
    altered["promise"]["one_path"]["acts"] = []
    assert builder.problems(altered) == [
        "rows [62] are missing, or there are more than 62", "promise one_path: no code or no test",
    ]  # fmt: skip


def test_open_rows_are_counted_and_say_what_is_missing(builder: ModuleType, table: dict[str, Any]) -> None:
    opened = [number for number, row in table["row"].items() if row["open"]]
    page = builder.controls_page(table)
    assert f"**{62 - len(opened)} of 62 rows are done, {len(opened)} are open.**" in page
    assert page.count("- **open**: ") == len(opened)


def test_a_capability_that_no_test_names_is_found(builder: ModuleType, tests: Any) -> None:
    without = {one: named for one, named in tests.names.items() if "spreads" not in named[0]}
    silent = [one for one in builder._public_names(builder.Tests(tests.ids, without)) if not one.tests]
    assert "function wb.tca.spreads" in builder.unproved(silent)
    page = builder.acceptance_page(builder.load_table(), silent)
    assert "| `wb.tca.spreads` | `workbench.core.tca.spreads` | **nothing** |" in page


def test_names_are_read_from_the_syntax_of_a_test(builder: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "tests"
    folder.mkdir()
    (folder / "test_one.py").write_text(
        "import workbench as wb\nimport pytest\n"
        "@pytest.fixture\ndef walked():\n    do('jobs run', 'trading_loop')\n"
        "def test_a(walked): wb.tca.report\n"
        "class TestB:\n    def test_c(self): typed(x, 'jobs', 'list')\n"
        "def helper(): wb.costs.prior\n"
    )
    found = builder.read_tests(tmp_path)
    place = "tests/test_one.py"
    assert found.ids == {f"{place}::{name}" for name in ("walked", "test_a", "TestB::test_c", "helper")}
    assert set(found.names) == {f"{place}::test_a", f"{place}::TestB::test_c"}
    words, texts, modules = found.names[f"{place}::test_a"]
    assert {"wb", "tca", "report"} <= words
    assert "jobs run trading_loop" in texts
    assert "workbench" in modules
    assert "jobs list" in found.names[f"{place}::TestB::test_c"][1]
    assert "prior" not in words


def test_a_notebook_without_a_claim_proves_nothing(builder: ModuleType, tmp_path: Path, root: Path) -> None:
    for folder in ("notebooks", "papermill-jobs", "tests"):
        (tmp_path / folder).mkdir()
    (tmp_path / "papermill-jobs" / "jobs.toml").write_text("")
    for name, source in (("01_claims", "assert x"), ("02_silent", "x")):
        cells = [{"cell_type": "code", "source": [source]}]
        (tmp_path / "notebooks" / f"{name}.ipynb").write_text(json.dumps({"cells": cells}))
    found = builder._notebooks(tmp_path, builder.read_tests(root))
    assert [(one.name, bool(one.tests)) for one in found] == [
        ("01_claims.ipynb", True),
        ("02_silent.ipynb", False),
    ]
