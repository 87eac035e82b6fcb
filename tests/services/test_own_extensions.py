"""A package outside of this one brings a strategy: judged, let in by name, trained, gated and traded."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.support.command_line import PROGRAM, Answer, typed
from workbench.adapters.code_hash import code_hash
from workbench.bootstrap.new_project import INSIDE, KINDS, TEMPLATES
from workbench.bootstrap.resources import jobs_folder
from workbench.config import DEFAULT_TOML, load_settings
from workbench.core.features import Feature
from workbench.core.strategies import Strategy
from workbench.errors import ConfigError
from workbench.testing import strategy_troubles
from workbench.testing.strategy_checks import (
    STRATEGY_CHECKS,
    differs_in_a_session,
    forecasts_no_return,
    forecasts_the_same_for_all,
)

ROOT = Path(__file__).parents[2]


def install(project: Path, target: Path) -> None:
    """As `pip install` does, from the folder alone."""
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
        "--no-build-isolation",
    ]
    source = target.parent / f"{project.name}-source"
    shutil.copytree(project, source)  # a build leaves nothing behind in the repository
    subprocess.run([*pip, "--target", str(target), str(source)], check=True, capture_output=True)


def run(site: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A program with the packages of the site: `python` for -m, else `workbench`."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])}
    command = [sys.executable] if arguments[0] == "-m" else [str(PROGRAM)]
    return subprocess.run(
        [*command, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def judged(site: Path, cwd: Path, *options: str) -> subprocess.CompletedProcess[str]:
    pytest_options = ["-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(cwd)]
    return run(site, "-m", "pytest", *pytest_options, "--pyargs", "workbench.testing", *options, cwd=cwd)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of installed packages: the worked example, and a copy that `workbench new` made."""
    folder = tmp_path_factory.mktemp("own")
    answer = typed(folder, "new", "strategy", "weekly_reversal", "--json")
    assert answer.code == 0, answer
    assert len(answer.payload["files"]) == 5
    for project in (folder / "weekly-reversal", ROOT / TEMPLATES["feature"]):
        install(project, folder / "site")
    return folder / "site"


def desk_with(site: Path, folder: Path) -> Path:
    """A settings file that lets the strategy in."""
    text = DEFAULT_TOML.replace("extensions = []", 'extensions = ["weekly-reversal"]')
    lines = [
        'features = ["weekly_reversal", "momentum_20"]' if row.startswith("features = ") else row
        for row in text.splitlines()
    ]
    folder.mkdir(exist_ok=True)
    (folder / "workbench.toml").write_text("\n".join(lines) + "\n")
    return folder / "workbench.toml"


def test_a_new_strategy_passes_its_tests_and_the_contract(site: Path) -> None:
    project = site.parent / "weekly-reversal"
    own = run(site, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", ".", "tests", cwd=project)
    assert own.returncode == 0, own.stdout + own.stderr
    done = judged(site, project, "-k", "weekly_reversal")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "11 passed" in done.stdout


def test_whatever_is_installed_is_judged_and_what_breaks_the_contract_is_named(
    site: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "site"
    shutil.copytree(site, broken)
    columns = broken / "own_feature" / "columns.py"
    columns.write_text(columns.read_text().replace("np.abs(changes(window.close))", "window.close"))
    done = judged(broken, tmp_path, "-k", "weekly_reversal or own_feature or contract and momentum_20")
    assert done.returncode == 1
    assert "own_feature-changes_with_a_split" in done.stdout
    assert "prices / 4 and volumes x 4 give another value" in done.stdout
    assert "weekly_reversal]" not in done.stdout  # what fails is named, the other package passes


def test_a_desk_loads_what_its_settings_name_and_nothing_else(site: Path, tmp_path: Path) -> None:
    config = desk_with(site, tmp_path / "desk")
    named = run(site, "features", "--json", cwd=config.parent)
    assert named.returncode == 0, named.stderr
    assert '"weekly_reversal"' in named.stdout
    assert "own_feature" not in named.stdout  # installed, not let in


@pytest.mark.parametrize(
    ("extensions", "words"),
    [
        (["no-such-package"], "'no-such-package' is not installed here"),
        (["numpy"], "offers no entry point of workbench.features"),
        (["numpy", "numpy"], "more than once"),
    ],
)
def test_a_package_that_cannot_come_in_is_named(extensions: Sequence[str], words: str) -> None:
    choices = {"account": "demo", "strategy": "own", "universe": ["IBM"], "seed": 1}
    with pytest.raises(ConfigError, match=words):
        load_settings(None, overrides={**choices, "model.extensions": extensions}, environ={})


def test_a_package_that_breaks_while_it_is_loaded_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "half_installed.py").write_text("raise RuntimeError('no disk')\n")
    described = tmp_path / "half_installed-1.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: half-installed\nVersion: 1\n")
    (described / "entry_points.txt").write_text("[workbench.features]\nx = half_installed\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    choices = {"account": "demo", "strategy": "own", "universe": ["IBM"], "seed": 1}
    with pytest.raises(ConfigError, match="'half-installed' cannot be loaded: RuntimeError: no disk"):
        load_settings(None, overrides={**choices, "model.extensions": ["half-installed"]}, environ={})


def test_the_accepted_code_is_other_code_when_an_extension_changes(site: Path) -> None:
    notebook, package = jobs_folder() / "trading_loop.ipynb", site / "weekly_reversal"
    rule = package / "rule.py"
    text = rule.read_text()
    before = code_hash(notebook, extensions={"weekly_reversal": package})
    assert before != code_hash(notebook)
    try:
        rule.write_text(text.replace("STRENGTH = 0.2", "STRENGTH = 0.3"))
        assert code_hash(notebook, extensions={"weekly_reversal": package}) != before
    finally:
        rule.write_text(text)
    assert code_hash(notebook, extensions={"weekly_reversal": package}) == before


# --- the checks find what they are for -------------------------------------------------------------------


def lies(function, lookback: int = 3) -> Strategy:
    return Strategy("lies", 5, Feature("lies", lookback, function))


@pytest.mark.parametrize(
    ("check", "lying"),
    [
        (forecasts_no_return, lies(lambda w: 10.0 * w.close[-1] / w.close[0])),
        (forecasts_the_same_for_all, lies(lambda w: np.zeros(w.close.shape[1]))),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_each_check_finds_the_strategy_that_lies(check, lying: Strategy) -> None:
    assert check(lying) != ""
    assert any(said.startswith(check.__name__) for said in strategy_troubles(lying))


def test_a_rule_that_counts_its_calls_is_found() -> None:
    calls: list[int] = []

    def counts(window):
        calls.append(1)
        return window.close[-1] / window.close[0] - 1.0 + len(calls) * 1e-4

    assert differs_in_a_session(lies(counts)) != ""
    assert differs_in_a_session in STRATEGY_CHECKS


# --- `workbench new` -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", INSIDE)
def test_what_cannot_come_from_outside_is_refused_with_the_reason(kind: str, tmp_path: Path) -> None:
    answer = typed(tmp_path, "new", kind, "own_thing")
    assert answer.code == 2
    assert "inside the package" in answer.err
    assert (ROOT / INSIDE[kind][1]).exists()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("strateg", "own_thing"), "no kind 'strateg'"),
        (("strategy", "Own"), "'Own' is no name"),
        (("strategy", "own"), "at least two lower-case words"),
        (("feature", "../own_thing"), "is no name"),
    ],
)
def test_what_cannot_be_started_is_refused(arguments: tuple[str, str], words: str, tmp_path: Path) -> None:
    answer = typed(tmp_path, "new", *arguments)
    assert (answer.code, words in answer.err) == (2, True), answer
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    assert typed(tmp_path, "new", "feature", "own_thing").code == 0
    answer = typed(tmp_path, "new", "feature", "own_thing")
    assert (answer.code, "exists already" in answer.err) == (2, True)


def test_a_new_job_is_declared_beside_the_settings_and_can_run(tmp_path: Path) -> None:
    def did(*arguments: str) -> Answer:
        answer = typed(tmp_path, *arguments, "--json")
        assert answer.code == 0, answer
        return answer

    did("init")
    before = {row["job"] for row in did("jobs", "list").payload["jobs"]}
    did("new", "job", "worst_orders")
    after = {row["job"] for row in did("jobs", "list").payload["jobs"]}
    assert after - before == {"worst_orders"}
    did("jobs", "check")
    again = typed(tmp_path, "new", "job", "worst_orders")
    assert (again.code, "already" in again.err) == (2, True)


def test_the_kinds_are_those_of_the_page() -> None:
    page = (ROOT / "docs/how-to/own-strategy-feature-job.md").read_text()
    assert [kind for kind in KINDS if f"## {kind.capitalize()}" not in page] == []


@pytest.mark.prove
def test_an_own_strategy_is_trained_gated_promoted_and_traded(site: Path, tmp_path: Path) -> None:
    """The tutorial's commands, one after the other, with the package installed."""
    config = desk_with(site, tmp_path / "desk")
    sign = ("--person", "operator", "--reason", "own strategy")
    day = ("--as-of", "2013-01-31")

    def did(*arguments: str, code: int = 0) -> str:
        done = run(site, *arguments, cwd=config.parent)
        assert done.returncode == code, (arguments, done.stdout, done.stderr)
        return done.stdout

    for words in (("init",), ("data", "ingest"), ("people", "add", "operator", "--role", "operator")):
        did(*words)
    model = did("train", "--until", "2013-01-31").split()[1]
    did("promote", model, *sign)
    did("calibrate", "--prior", *day, *sign)
    did("adopt", *day, *sign)
    did("resume", *sign)
    did("jobs", "run", "trading_loop", "--session", "2013-02-01")
    assert '"sessions_run": 1' in did("status", "--json")
    rule = site / "weekly_reversal" / "rule.py"
    text = rule.read_text()
    try:  # other code than the person accepted
        rule.write_text(text.replace("STRENGTH = 0.2", "STRENGTH = 0.3"))
        did("jobs", "run", "trading_loop", "--session", "2013-02-04", code=3)
    finally:
        rule.write_text(text)
