"""An installed workbench is whole; a fresh copy makes its environment from the lock alone."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

TRAVELS = (
    "apps", "papermill-jobs", "data/sample", "docs/tutorials/own-strategy", "docs/how-to/own-feature",
    "docs/how-to/own-job",
)  # fmt: skip
DEPLOY = Path("docs/how-to/deploy")
UNITS = ("workbench-jobs.service", "workbench-watchdog.service")


def copy_of(tracked_files: list[Path], root: Path, target: Path) -> Path:
    for path in tracked_files:
        copied = target / path.relative_to(root)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copied)
    return target


def test_the_wheel_carries_apps_jobs_and_sample(
    tracked_files: list[Path], root: Path, tmp_path: Path
) -> None:
    source = copy_of(tracked_files, root, tmp_path / "a copy")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=source, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    assert {"workbench/py.typed", "workbench/cli/app.py", "workbench/core/types.py"} <= inside
    for folder in TRAVELS:
        names = [path.relative_to(root / folder) for path in tracked_files if (root / folder) in path.parents]
        assert {f"workbench/share/{folder}/{name.as_posix()}" for name in names} <= inside, (
            f"{folder} is not in the wheel"
        )
    assert not [name for name in inside if name.startswith(("tests/", "docs/", "data/"))]
    _installed_wheel_works(wheel, tmp_path / "site", tmp_path)


def _installed_wheel_works(wheel: Path, site: Path, elsewhere: Path) -> None:
    """The door opens, the program starts and finds what travels with it; nothing comes from the checkout."""
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
        "--target",
        str(site),
    ]
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True)
    (elsewhere / "desk").mkdir()

    def said(*command: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(site)}
        return subprocess.run(
            command, cwd=elsewhere / "desk", env=environment, check=True, capture_output=True, text=True
        ).stdout

    assert said(sys.executable, "-c", "import workbench; print(workbench.__file__)").startswith(str(site))
    program = (sys.executable, str(site / "bin" / "workbench"))
    assert "demo" in said(*program, "--help")
    assert "through the production" in said(*program, "demo", "--help")
    assert "rule.py" in said(*program, "new", "strategy", "weekly_reversal")


@pytest.mark.prove
def test_a_release_is_whole_and_its_wheel_makes_a_desk(
    tracked_files: list[Path], root: Path, tmp_path: Path
) -> None:
    """`python -m build` from the source archive, offline; the bill of materials names all that is locked."""
    source = copy_of(tracked_files, root, tmp_path / "a copy")
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path / "dist"), "."]
    subprocess.run(build, cwd=source, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    (archive,) = (tmp_path / "dist").glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
    assert {path.relative_to(root).as_posix() for path in tracked_files} <= names | {".ci/run"}
    _installed_wheel_works(wheel, tmp_path / "site", tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    for words in (["init"], ["data", "ingest"], ["train", "--until", "2013-01-31"]):
        program = [sys.executable, str(tmp_path / "site" / "bin" / "workbench"), *words]
        subprocess.run(program, cwd=tmp_path / "desk", env=environment, check=True, capture_output=True)
    bill = tmp_path / "sbom.json"
    program = [str(Path(sys.executable).with_name("cyclonedx-py")), "requirements", "requirements.lock"]
    subprocess.run(
        [*program, "--pyproject", "pyproject.toml", "--output-reproducible", "--no-validate",
         "-o", str(bill)],
        cwd=root,
        check=True,
        capture_output=True,
    )  # fmt: skip
    listed = {(one["name"].lower(), one["version"]) for one in json.loads(bill.read_text())["components"]}
    locked = re.findall(r"(?m)^([A-Za-z0-9._-]+)==([^\s;\\]+)", (root / "requirements.lock").read_text())
    assert listed == {(name.lower(), version) for name, version in locked}


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_takes_away_what_a_desk_does_not_need(root: Path, name: str) -> None:
    text = (root / DEPLOY / name).read_text(encoding="utf-8")
    rows = [row.partition("=")[::2] for row in text.splitlines() if "=" in row and not row.startswith("#")]
    told = dict(rows)
    for key in (
        "NoNewPrivileges", "ProtectHome", "PrivateTmp", "PrivateDevices", "ProtectKernelTunables",
        "RemoveIPC", "ProtectKernelModules", "ProtectKernelLogs", "ProtectControlGroups", "ProtectClock", 
        "LockPersonality", "RestrictNamespaces", "RestrictSUIDSGID", "RestrictRealtime", "ProtectHostname",
    ):  # fmt: skip
        assert told[key] == "yes", key
    assert (told["ProtectSystem"], told["UMask"], told["StateDirectoryMode"]) == ("strict", "0077", "0700")
    assert told["CapabilityBoundingSet"] == told["AmbientCapabilities"] == ""
    assert told["User"] not in ("", "root")
    assert ("SystemCallFilter", "~@privileged") in rows
    assert {"venue_key", "venue_secret"} == {
        value.partition(":")[0] for key, value in rows if key == "LoadCredential"
    }
    assert not [value for key, value in rows if key == "Environment" and "SECRETS__" in value]
    assert int(told["LimitCORE"]) == 0


def test_the_units_start_commands_that_exist_in_an_order_that_is_safe(root: Path) -> None:
    jobs, watchdog = ((root / DEPLOY / name).read_text(encoding="utf-8") for name in UNITS)
    assert "ExecStart=/usr/local/bin/workbench jobs serve --config" in jobs
    assert "ExecStart=/usr/local/bin/workbench watchdog --config" in watchdog
    assert re.search(r"(?m)^After=.*workbench-watchdog\.service", jobs)
    assert "Restart=always" in watchdog
    assert "KillSignal=SIGTERM" in jobs


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze on this machine")
@pytest.mark.parametrize("name", UNITS)
def test_systemd_scores_a_unit_as_hardly_exposed(root: Path, name: str) -> None:
    unit = root / DEPLOY / name
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", str(unit)],
        capture_output=True,
        text=True,
        check=True,
    )
    (score,) = re.findall(r"exposure level for \S+: ([\d.]+)", done.stdout)
    assert float(score) <= 2.0


def test_the_image_runs_as_nobody_in_particular_and_takes_packages_from_the_lock(root: Path) -> None:
    text = (root / DEPLOY / "Containerfile").read_text(encoding="utf-8")
    steps = [row.split(maxsplit=1) for row in re.sub(r"\\\n", " ", text).splitlines() if row[:1].isalpha()]
    last = {word: rest for word, rest in steps}
    assert last["USER"] == "10001:10001"
    assert [word for word, _ in steps].count("FROM") == 2  # what builds stays behind
    assert "ADD" not in last
    installs = [rest for word, rest in steps if word == "RUN" and "pip install" in rest]
    assert all("--require-hashes" in one or "--no-index" in one for one in installs)
    assert len(installs) == 2
    copied = {rest.split()[0] for word, rest in steps if word == "COPY" and not rest.startswith("--from")}
    assert {path for path in copied if path != "requirements.lock"} <= {
        "pyproject.toml", "README.md", "LICENSE", "workbench", *TRAVELS, "requirements.lock",
    }  # fmt: skip
    assert all(
        any((root / TRAVELS[at]).is_relative_to(root / one) for one in copied) for at in range(len(TRAVELS))
    )
    assert not re.search(
        r"(?i)(key|secret|password|token)\s*=\s*\S", text.replace("WORKBENCH_SECRETS_DIR=/run/secrets", "")
    )


@pytest.mark.prove
@pytest.mark.parametrize("without_uv", [False, True], ids=["uv", "pip"])
def test_a_fresh_copy_makes_its_environment(
    tracked_files: list[Path], root: Path, tmp_path: Path, without_uv: bool
) -> None:
    """In a folder whose name has a space; the second time nothing is done."""
    source = copy_of(tracked_files, root, tmp_path / "a copy")
    if without_uv:  # as where the package index does not offer it
        lock = source / "requirements-uv.lock"
        lock.write_text("uv==0.0.0 --hash=sha256:" + "0" * 64 + "\n", encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    subprocess.run(["make", "env"], cwd=source, check=True, env=environment)
    python = source / ".venv" / "bin" / "python"
    where = [str(python), "-c", "import workbench; print(workbench.__file__)"]
    done = subprocess.run(where, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == str(source / "workbench" / "__init__.py")
    subprocess.run([str(python), "-m", "pip", "check"], check=True)
    again = subprocess.run(["make", "env"], cwd=source, check=True, capture_output=True, text=True)
    assert again.stdout == ""
