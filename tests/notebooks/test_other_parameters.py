"""Every notebook keeps its claims under other parameters than its own, and says what nonsense is."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from workbench.config import DEFAULT_TOML, Settings, load_settings

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "notebooks"
TABLE: dict[str, Any] = tomllib.loads((FOLDER / "other-parameters.toml").read_text(encoding="utf-8"))
NONSENSE: list[dict[str, Any]] = TABLE.pop("nonsense")
#: What names places of a machine: the tests give them.
PLACES = {"config_file", "sample_folder", "run", "model"}
#: Seconds, not tens of them: these run in `make test`, the others in `make prove` alone.
QUICK = ("01_sample_data_and_desk", "05_execution_quality", "06_calibration", "07_drift")


def parameters_of(name: str) -> dict[str, Any]:
    """The committed parameters of a notebook, by name."""
    cells = json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    (tagged,) = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
    assigned = [one for one in ast.parse("".join(tagged["source"])).body if isinstance(one, ast.Assign)]
    return {target.id: ast.literal_eval(one.value) for one in assigned for target in one.targets
            if isinstance(target, ast.Name)}  # fmt: skip


def test_every_notebook_has_other_values_for_all_that_it_declares() -> None:
    """A parameter without another value, or one that the notebook does not know, would prove nothing."""
    assert set(TABLE) == {path.stem for path in FOLDER.glob("*.ipynb")}
    for name, others in TABLE.items():
        own = parameters_of(name)
        assert set(others) == set(own) - PLACES, name
        assert [key for key, value in others.items() if value == own[key]] == [], name


def test_nonsense_is_said_of_every_notebook_and_of_what_it_declares() -> None:
    assert {one["notebook"] for one in NONSENSE} == set(TABLE)
    for one in NONSENSE:
        assert set(one["parameters"]) <= set(parameters_of(one["notebook"]))
        assert len(one["says"]) >= 4


def endings(wanted: list[dict[str, Any]], config: Path) -> list[str]:
    """What stopped each of these runs, "" = nothing did; one process, so that libraries are loaded once."""
    runs = [
        {
            "notebook": str(FOLDER / f"{one['notebook']}.ipynb"),
            "parameters": {"config_file": str(config), **one["parameters"]},
        }
        for one in wanted
    ]
    script = str(ROOT / "tests" / "support" / "notebook_cells.py")
    done = subprocess.run(
        [sys.executable, script], input=json.dumps(runs), capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2_000:]
    found: list[str] = json.loads(done.stdout)
    assert len(found) == len(wanted)
    return found


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], list[str]]:
    """Endings of the quick notebooks, then of the nonsense; there is no desk."""
    config = tmp_path_factory.mktemp("no-desk") / "workbench.toml"
    config.write_text(DEFAULT_TOML)
    quick = [{"notebook": name, "parameters": TABLE[name]} for name in QUICK]
    found = endings([*quick, *NONSENSE], config)
    return found[: len(quick)], found[len(quick) :]


@pytest.mark.slow
def test_the_quick_notebooks_keep_their_claims(ended: tuple[list[str], list[str]]) -> None:
    assert dict(zip(QUICK, ended[0], strict=True)) == dict.fromkeys(QUICK, "")


@pytest.mark.slow
def test_nonsense_is_refused_with_a_message_that_names_it(ended: tuple[list[str], list[str]]) -> None:
    for one, ending in zip(NONSENSE, ended[1], strict=True):
        assert one["says"] in ending, (one, ending)
        assert "AssertionError" not in ending, (
            "a claim that fails does not say what was wrong with the parameter"
        )


@pytest.fixture(scope="module")
def traded(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A desk with two sessions behind it: the notebooks' own choice is the later one."""
    import drive

    from workbench.bootstrap.desk import open_journal
    from workbench.core.ports import Event

    folder = tmp_path_factory.mktemp("traded") / "desk"
    shutil.copytree(prepared, folder)
    settings = load_settings(str(folder / "workbench.toml"))
    for session in ("2013-02-01", "2013-02-04"):
        run = {"run_id": f"trading_loop/{session}.1", "job": "trading_loop", "session": session, "attempt": 1}
        journal = open_journal(settings, read_only=False)
        journal.commit([Event("run.started", {**run, "parameters_hash": "p" * 64, "code_hash": "c" * 64})])
        journal.close()
        drive.trade(settings, session)
    return settings


@pytest.mark.prove
@pytest.mark.parametrize("name", sorted(TABLE))
def test_every_notebook_keeps_its_claims_under_papermill_beside_a_desk(
    name: str, traded: Settings, tmp_path: Path
) -> None:
    import papermill

    places = {"config_file": str(traded.file), "run": "trading_loop/2013-02-01.1"}
    own = parameters_of(name)
    papermill.execute_notebook(
        str(FOLDER / f"{name}.ipynb"), str(tmp_path / "executed.ipynb"),
        {**TABLE[name], **{key: value for key, value in places.items() if key in own}},
        cwd=str(FOLDER), progress_bar=False, execution_timeout=600,
    )  # fmt: skip


@pytest.mark.prove
def test_a_run_and_a_model_that_are_not_there_are_named(traded: Settings) -> None:
    wanted = [
        {"notebook": "08_replay", "parameters": {"run": "trading_loop/2099-01-01.1"}},
        {"notebook": "09_promotion", "parameters": {"model": "nope"}},
        {"notebook": "09_promotion", "parameters": {"stage": "gold"}},
    ]
    first, second, third = endings(wanted, Path(str(traded.file)))
    assert "2099-01-01.1" in first
    assert "nope" in second
    assert "gold" in third
