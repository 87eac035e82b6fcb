"""The page of the long proofs: results survive partial runs, and each proof has a short version."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import proofs
import pytest
from proofs import figures_of, proofs_in

TWO = """
import os

import pytest

@pytest.mark.prove
@pytest.mark.parametrize("place", ["here", "there"])
def test_nothing_is_lost(place, record_property, tmp_path):
    assert not [name for name in os.environ if name.startswith("WORKBENCH_PROOF")]  # no setting of a desk
    assert "workbench-proofs-" in str(tmp_path)  # which no other run deletes
    record_property("kills", 1200)

@pytest.mark.prove
def test_all_is_well():
    print('{"counts": {"programs": 20000}, "seen": [1]}')
    assert WELL

def test_short():
    raise AssertionError("not a proof")
"""


def prove(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-m",
        "prove",
        "-p",
        "proofs",
        "-p",
        "no:cacheprovider",
        *options,
    ]
    environ = {**os.environ, "PYTHONPATH": str(folder / "tests" / "support")}
    environ = {name: value for name, value in environ.items() if not name.startswith("PYTEST_")}
    environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # pytest-xdist is all that it needs
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)


def commit(folder: Path) -> str:
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.invalid", "-c", "commit.gpgsign=false"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "--allow-empty", "-m", "x"]):
        subprocess.run([*git, *words], cwd=folder, check=True)
    head = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], cwd=folder, capture_output=True, text=True
    )
    return head.stdout.strip()


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    """A small project with two proofs and the plugin."""
    for name in ("tests/support/proofs.py", "docs/reference/build_proofs.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / name, tmp_path / name)
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\nmarkers = ["prove: long"]\n')
    (tmp_path / ".gitignore").write_text("__pycache__\n")
    (tmp_path / "tests" / "test_two.py").write_text(TWO.replace("WELL", "True"))
    return tmp_path


def results(folder: Path) -> dict:
    return json.loads((folder / "docs" / "reference" / "proofs.json").read_text())


def test_each_proof_has_a_row_with_its_figures_its_commit_and_this_machine(copy: Path) -> None:
    head = commit(copy)
    done = prove(copy, "-p", "xdist.plugin", "-n", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    for words in ("begins: nothing is lost (here)", "proved in 0 s: all is well"):
        assert words in done.stdout  # progress
    page = (copy / "docs" / "reference" / "proofs.md").read_text()
    assert "| nothing is lost (here) | kills 1,200 | proved | 0 | 1 | `tests/test_two.py` |" in page
    assert "| all is well | programs 20,000 | proved |" in page
    assert page.count("| `tests/test_two.py` |") == 3
    assert f"| 1 | `{head}` | " in page
    assert os.uname().nodename not in page.split()
    assert str(copy) not in page


def test_a_run_of_some_keeps_what_was_proved_before_with_its_commit(copy: Path) -> None:
    first = commit(copy)
    assert prove(copy).returncode == 0
    (copy / "tests" / "test_two.py").write_text(TWO.replace("WELL", "False"))
    second = commit(copy)
    failing = prove(copy, "-k", "well")
    assert failing.returncode == 1
    assert "min  call: " in failing.stdout  # the reason is told at once
    found = results(copy)
    verdicts = {name.partition("::")[2]: proof["verdict"] for name, proof in found["proofs"].items()}
    assert verdicts == {
        "test_all_is_well": "failed", "test_nothing_is_lost[here]": "proved",
        "test_nothing_is_lost[there]": "proved",
    }  # fmt: skip
    runs = {name.partition("::")[2]: found["runs"][proof["run"]] for name, proof in found["proofs"].items()}
    assert runs["test_all_is_well"]["commit"] == second
    assert runs["test_nothing_is_lost[here]"]["commit"] == first
    assert not runs["test_all_is_well"]["changed"]
    (copy / "tests" / "test_two.py").write_text(
        TWO.replace("all_is_well", "all_is_good").replace("WELL", "1")
    )
    assert prove(copy).returncode == 0
    assert not [name for name in results(copy)["proofs"] if "all_is_well" in name]
    assert [run["commit"] for run in results(copy)["runs"]] == [second]
    assert results(copy)["runs"][0]["changed"]


def test_a_proof_that_would_begin_after_the_limit_is_left_out(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv(proofs.BEGAN, str(time.time() - proofs.MOST_S + 60))
    proofs.pytest_runtest_setup(request.node)
    monkeypatch.setenv(proofs.BEGAN, str(time.time() - proofs.MOST_S - 60))
    with pytest.raises(pytest.skip.Exception, match="used up"):
        proofs.pytest_runtest_setup(request.node)


def test_a_proof_that_was_left_out_keeps_its_row(tmp_path: Path) -> None:
    said: list[str] = []
    recorder = proofs.Recorder(tmp_path / "proofs.json", {"commit": "c"}, said.append)
    for when, outcome in (("setup", "skipped"), ("teardown", "passed")):
        recorder.pytest_runtest_logreport(
            pytest.TestReport("tests/a.py::test_b", ("tests/a.py", 1, "test_b"), {}, outcome, None, when)  # type: ignore[arg-type]
        )
    assert said[0].endswith("LEFT OUT: b")
    assert not (tmp_path / "proofs.json").exists()


@pytest.mark.parametrize(
    ("properties", "printed", "figures"),
    [
        ([("kills", 3)], "words", {"kills": 3}),
        ([], '{"programs": 2, "more": {"fills": 3}}\n', {"programs": 2, "fills": 3}),
        ([], '{\n "programs": 2\n}\nrare steps: []\n', {"programs": 2}),
        ([], "500 covered\n  190\n", {"said": "500 covered 190"}),
        ([], "", {}),
        ([], "[1]", {"said": "[1]"}),
        ([], "looking at file:///some/where of this machine", {}),
    ],
)
def test_figures_are_properties_or_printed(
    properties: list[tuple[str, object]], printed: str, figures: dict[str, object]
) -> None:
    assert figures_of(properties, printed) == figures


def test_every_proof_has_a_short_version_in_its_file(root: Path) -> None:
    long = proofs_in(root / "tests")
    assert len(long) >= 6
    for path in {name.partition("::")[0] for name in long}:
        tests = {
            f"{path}::{node.name}"
            for node in ast.parse((root / path).read_text(encoding="utf-8")).body
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        }
        assert tests - long, f"{path} has a long proof and no short version for `make test`"
