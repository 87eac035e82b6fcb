"""A pytest plugin that writes down what the long proofs proved: ``pytest -m prove -p proofs``.

Each proof's result goes into ``docs/reference/proofs.json`` as soon as it is known, with the commit and the
machine of this run; a proof that this run leaves out keeps the result that it had. At the end the page
``proofs.md`` is written anew. A proof states its figures with the fixture `record_property`, or by
printing one JSON object; any other text that it prints is kept in short.
"""

from __future__ import annotations

import ast
import datetime
import importlib.metadata
import json
import os
import platform
import runpy
import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "reference" / "proofs.json"
BUILDER = ROOT / "docs" / "reference" / "build_proofs.py"
PAGE = runpy.run_path(str(BUILDER))
#: The whole run ends within this; a proof that would begin later is left out and keeps its old result.
MOST_S = 75 * 60
BEGAN = "PROOFS_BEGAN"  # reaches the workers of pytest-xdist; a name that is no setting
LIBRARIES = (
    "duckdb", "exchange-calendars", "hypothesis", "numba", "numpy", "pandas", "psycopg", "pyarrow", "scipy",
    "sqlalchemy",
)  # fmt: skip
#: Figures of one proof on the page, and characters of a text that is no figure.
MOST_FIGURES, MOST_TEXT = 12, 160
PHASES = ("setup", "call", "teardown")


def figures_of(properties: list[tuple[str, Any]], printed: str) -> dict[str, Any]:
    """What a proof counted: its properties, else what is in the JSON it printed, else that text in short."""
    if properties:
        return dict(properties)
    try:  # an object first, whatever words may follow
        found, _ = json.JSONDecoder().raw_decode(printed.strip())
    except ValueError:
        found = None
    if isinstance(found, dict):
        return dict(list(_flat(found))[:MOST_FIGURES])
    text = " ".join(printed.split())
    if not text or "://" in text:  # addresses belong to one machine, and are no figures
        return {}
    return {"said": text[:MOST_TEXT]}


def _flat(found: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in found.items():
        if isinstance(value, dict):
            yield from _flat(value)
        elif isinstance(value, (int, float, str)):
            yield name, value


def proofs_in(folder: Path) -> set[str]:
    """Ids, without parameters, of all tests below a folder of tests that are marked as proofs."""
    found = set()
    for path in sorted(folder.rglob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and any(
                "mark.prove" in ast.unparse(d) for d in node.decorator_list
            ):
                found.add(f"{path.relative_to(folder.parent).as_posix()}::{node.name}")
    return found


def this_run() -> dict[str, Any]:
    """The code and the machine that the results of this run hold for; nothing that names the machine."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs/reference/proofs.*")
    return {
        "commit": git("rev-parse", "--short=12", "HEAD"),
        "changed": bool(changed),
        "day": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
    }


class Recorder:
    """Collects the phases of each proof and writes its result when the last one is over."""

    def __init__(self, results: Path, run: dict[str, Any], tell: Any) -> None:
        self._results = results
        self._run = run
        self._tell = tell
        self._began = time.monotonic()
        self._open: dict[str, list[pytest.TestReport]] = {}

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._say(f"begins: {PAGE['claim_of'](nodeid)}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        reports = self._open.setdefault(report.nodeid, [])
        reports.append(report)
        if report.when == PHASES[-1]:
            self._finish(report.nodeid, self._open.pop(report.nodeid))

    def _finish(self, identity: str, reports: list[pytest.TestReport]) -> None:
        if any(report.skipped for report in reports):
            self._say(f"LEFT OUT: {PAGE['claim_of'](identity)}")
            return
        calls = [report for report in reports if report.when == "call"]
        last = (calls or reports)[-1]
        result = {
            "verdict": "failed" if any(report.failed for report in reports) else "proved",
            "figures": figures_of(last.user_properties, last.capstdout),
            "seconds": round(sum(report.duration for report in reports)),
        }
        self._write(identity, result)
        for report in reports:
            if report.failed:
                self._say(f"{report.when}: {report.longreprtext.strip().splitlines()[-1]}")
        self._say(
            f"{result['verdict']} in {result['seconds']} s: {PAGE['claim_of'](identity)} {result['figures']}"
        )

    def _write(self, identity: str, result: dict[str, Any]) -> None:
        """Put one result in; proofs that are gone, and runs that no result is of any more, are dropped."""
        known = json.loads(self._results.read_text(encoding="utf-8")) if self._results.exists() else {}
        runs, proofs = list(known.get("runs", [])), dict(known.get("proofs", {}))
        if self._run not in runs:
            runs.append(self._run)
        proofs[identity] = {**result, "run": runs.index(self._run)}
        there = proofs_in(ROOT / "tests")
        proofs = {name: proof for name, proof in proofs.items() if name.partition("[")[0] in there}
        used = sorted({proof["run"] for proof in proofs.values()})
        for proof in proofs.values():
            proof["run"] = used.index(proof["run"])
        content = {"runs": [runs[n] for n in used], "proofs": dict(sorted(proofs.items()))}
        unfinished = self._results.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        unfinished.replace(self._results)

    def _say(self, words: str) -> None:
        self._tell(f"{(time.monotonic() - self._began) / 60:6.1f} min  {words}")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Give the run a folder of its own: other runs of pytest delete old ones of the shared place."""
    if not hasattr(config, "workerinput") and config.option.basetemp is None:
        folder = tempfile.mkdtemp(prefix="workbench-proofs-")
        config.option.basetemp = str(Path(folder) / "run")
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):  # a worker of pytest-xdist: its controller records
        return
    os.environ[BEGAN] = str(time.time())

    def tell(words: str) -> None:
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.ensure_newline()
            reporter.write_line(words)

    config.pluginmanager.register(Recorder(RESULTS, this_run(), tell), "proof-recorder")


def pytest_runtest_setup(item: pytest.Item) -> None:
    spent_s = time.time() - float(os.environ.get(BEGAN, time.time()))
    if spent_s > MOST_S:
        pytest.skip(f"the {MOST_S // 60} minutes of this run are used up")


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workerinput") or not RESULTS.exists():
        return
    for name, text in PAGE["pages"]().items():
        (BUILDER.parent / name).write_text(text, encoding="utf-8")
