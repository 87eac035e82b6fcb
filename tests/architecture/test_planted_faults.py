"""The tool that plants faults: it finds good tests and bad ones, and its page is of the code that is here."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import mutation
import pytest
from mutants import mutants_of

TOY = '''
LIMIT = 3


def is_allowed(value: int) -> bool:
    """Whether a value is below the limit."""
    return value < LIMIT


def halves(value: int) -> int:
    """How often a number can be halved."""
    count = 0
    while value > 1:
        value //= 2
        count += 1
    return count
'''
SHARP = """
from toy import halves, is_allowed

def test_the_limit_is_the_first_value_that_is_refused():
    assert [is_allowed(n) for n in (1, 2, 3, 4)] == [True, True, False, False]

def test_halves():
    assert [halves(n) for n in (0, 1, 2, 3, 4, 8)] == [0, 0, 1, 1, 2, 3]
"""
USELESS = """
import toy

def test_nothing():
    assert toy.is_allowed(1) in (True, False) and toy.halves(1) is not None

def test_that_fails_on_the_original():
    assert toy.LIMIT == 4
"""
JUDGE = """
import json, pathlib, sys
import mutation_runs
from mutants import mutants_of
mutation_runs.GRACE_S = 0.0
root, found = pathlib.Path.cwd(), {}
(root / "scratch").mkdir()
def told(one, verdict):
    found[one.after] = [verdict.killed, verdict.by]
bench = mutation_runs.Bench(
    root, ["tests/test_toy.py"], mutants_of("toy.py", pathlib.Path("toy.py").read_text()),
    {"toy.py": ("tests/test_toy.py",)}, told, scratch=root / "scratch",
)
code = mutation_runs.judge(bench)
pathlib.Path("found.json").write_text(json.dumps([code, found]))
"""


def judged(folder: Path, root: Path, tests: str) -> dict[str, tuple[bool, str]]:
    (folder / "tests").mkdir()
    (folder / "toy.py").write_text(TOY)
    (folder / "tests" / "test_toy.py").write_text(tests)
    (folder / "pyproject.toml").write_text(
        '[tool.pytest.ini_options]\naddopts = "--import-mode=importlib"\npythonpath = ["."]\n'
    )
    environ = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "HYPOTHESIS"))
    }
    environ |= {"PYTHONPATH": str(root / "tests" / "support"), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        [sys.executable, "-c", JUDGE], cwd=folder, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    code, found = json.loads((folder / "found.json").read_text())
    assert code == 0
    assert not list((folder / "scratch").glob("*/*")), "what a mutant's tests wrote is gone"
    assert (folder / "toy.py").read_text() == TOY, "no file is changed"
    return {after: (killed, by) for after, (killed, by) in found.items()}


def test_sharp_tests_find_every_planted_fault(tmp_path: Path, root: Path) -> None:
    found = judged(tmp_path, root, SHARP)
    assert len(found) > 15
    # a number that is already 0 or 1 cannot be halved further either way
    assert [after for after, (killed, _) in found.items() if not killed] == []
    assert found["value <= LIMIT"] == (
        True,
        "tests/test_toy.py::test_the_limit_is_the_first_value_that_is_refused",
    )
    assert found["LIMIT = 4"][0], "a fault that acts at import"
    assert found["value *= 2"] == (True, "time limit"), "a fault that never ends"


def test_a_test_that_cannot_fail_finds_none(tmp_path: Path, root: Path) -> None:
    found = judged(tmp_path, root, USELESS)
    left = {after for after, (killed, _) in found.items() if not killed}
    assert {"value <= LIMIT", "value >= LIMIT", "LIMIT = 4", "count -= 1", "value *= 2"} <= left


# --- the faults ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a < b", {"a <= b", "a >= b"}),
        ("0 <= a < b", {"0 < a < b", "0 > a < b", "0 <= a <= b", "0 <= a >= b", "1 <= a < b", "-1 <= a < b"}),
        ("a is None", {"a is not None"}),
        ("a and b or c", {"(a and b) and c", "a or b"}),
        ("not a", {"a"}),
        ("-a + b", {"a + b", "-a - b"}),
        ("f(1.5)", {"pass", "f(2.5)", "f(0.5)"}),
        ("x = True", {"x = False"}),
        ("x = 'word'", {"x = 'word_'"}),
        ("x = 'a sentence for people'", set()),
        ("x: 'word' = a", set()),
        ("__all__ = ['word']", set()),
        ("f(a, b)", {"pass", "f(b, a)"}),
        ("f(a, *b)", {"pass"}),
        ("max(a, b)", {"pass"}),
        ("f(a=b, c=d)", {"pass", "f(a=d, c=b)"}),
        ("f(a, k=b)", {"pass", "f(a)"}),
        ("x = {a, b}", {"{a}", "{b}"}),
        ("x = a if b else c", {"a if not b else c"}),
        ("x = [a for a in b if c]", {"for a in b if not c"}),
        ("while a:\n  break", {"while not a", "continue"}),
        ("for a in b:\n  continue", {"break"}),
        ("def f():\n  'Says what it is.'\n  return a", {"pass"}),
        ("raise E('word')", {"pass"}),
        ("x.a = b", {"pass"}),
        ("x |= b", {"pass", "x &= b"}),
        ("assert a", {"pass"}),
        ("from a import b", set()),
    ],
)  # fmt: skip
def test_what_is_planted(source: str, expected: set[str]) -> None:
    assert {one.after for one in mutants_of("x.py", source)} == expected


def test_a_fault_keeps_its_id_when_other_code_changes() -> None:
    before = {one.identity: one.after for one in mutants_of("toy.py", TOY)}
    moved = "import json\n\ndef new(a: int) -> int:\n    return a + 1\n" + TOY
    after = {one.identity: one.after for one in mutants_of("toy.py", moved)}
    assert before.items() <= after.items()
    assert len(before) == len(mutants_of("toy.py", TOY)), "ids are different"
    renamed = {one.identity for one in mutants_of("toy.py", TOY.replace("is_allowed", "allows"))}
    assert len(renamed & set(before)) < len(before)


# --- the score -------------------------------------------------------------------------------------------


def test_the_score_counts_what_has_no_verdict_as_not_found() -> None:
    faults = mutants_of("toy.py", TOY)
    names = [one.identity for one in faults]
    assert mutation.score(faults, names, []) == 1.0
    assert mutation.score(faults, names[1:], []) == 1 - 1 / len(names)
    assert mutation.score(faults, names[1:], names[:1]) == 1.0
    assert mutation.score(faults, [], []) == 0.0


def test_the_list_of_explained_faults_cannot_rot() -> None:
    faults = mutants_of("toy.py", TOY)
    one, gone = faults[0].identity, "0123456789"
    rows = {one: {"killed": True, "by": "a test"}}
    left = {one: {"file": "toy.py"}, gone: {"file": "toy.py"}}
    assert mutation.rot_of(rows, faults, left) == [
        f"{one}: is found by a test, so it is no equivalent", f"{gone}: is no mutant any more",
    ]  # fmt: skip
    assert mutation.rot_of({one: {"killed": False, "by": ""}}, faults, {one: {"file": "toy.py"}}) == []


@pytest.mark.parametrize("module", mutation.MODULES, ids=lambda module: module.name)
def test_the_tests_of_the_order_path_find_nine_of_ten_faults(module: mutation.Module, root: Path) -> None:
    """Of the code as it is now, by the record of the last run: what is new since then counts as not found."""
    known = json.loads((root / "docs/reference/mutation.json").read_text("utf-8"))[module.name]
    assert tuple(known["files"]) == mutation.files_of(module)
    assert known["files"], "the module is where the table says"
    assert mutation.score_now(module, known) >= mutation.LEAST, f"run: make mutants ONLY={module.name}"


def test_every_explained_fault_has_a_reason_and_its_words(root: Path) -> None:
    there = {one.identity: one for module in mutation.MODULES for one in mutation.population(module)}
    for key, one in mutation.explained().items():
        assert len(one["reason"].split()) >= 4, key
        if key in there:  # one that is gone is told by `make mutants`
            fault = there[key]
            assert (one["file"], one["where"]) == (fault.path, fault.scope or "at import")
            assert (one["before"], one["after"]) == (fault.before, fault.after)


def test_the_page_is_what_the_record_says(root: Path) -> None:
    for name, text in runpy.run_path(str(root / "docs/reference/build_mutation.py"))["pages"]().items():
        assert (root / "docs/reference" / name).read_text("utf-8") == text, (
            "run: docs/reference/build_mutation.py"
        )
