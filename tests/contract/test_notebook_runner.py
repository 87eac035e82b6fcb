"""Only the kernel's own proof is a success; every way in which papermill says "done" wrongly is a failure."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
from pathlib import Path

import nbformat
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from notebooks import DONE, ENVIRONMENT, GUARD, PARAMETERS, request, write_notebook
from workbench.adapters.code_hash import code_hash
from workbench.adapters.jobs_file import load_jobs
from workbench.adapters.kernel_guard import dead_holder, guard_kernel, process_holder
from workbench.adapters.notebook_runner import NotebookRunner, check_notebook
from workbench.adapters.run_parameters import read_parameters
from workbench.core.canonical import sha256_of
from workbench.core.jobs import RunResult
from workbench.errors import ConfigError, ManifestMismatch, Refused, UsageError

ATTEMPT = Path("probe/2013-02-01.1")


@pytest.fixture
def runner(tmp_path: Path) -> NotebookRunner:
    return NotebookRunner(tmp_path / "runs")


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return tmp_path / "runs" / ATTEMPT


# --- a run that is done ------------------------------------------------------------------------------


def test_a_run_with_its_own_proof_is_done(runner: NotebookRunner, run_dir: Path, tmp_path: Path) -> None:
    probe = """
import json, os, sys
seen = {"parameters": json.load(open(params_file)), "ticket": os.environ["A_TICKET"], "cwd": os.getcwd()}
seen |= {"python": sys.executable, "debugger": "pydevd" in sys.modules}
seen |= {"interactive": os.environ.get("PYTHONSTARTUP")}
Path("seen.json").write_text(json.dumps(seen))
"""
    notebook = write_notebook(tmp_path / "probe.ipynb", PARAMETERS, GUARD, probe, DONE)
    before = notebook.read_bytes()
    steps: list[tuple[int, int]] = []
    result = runner.run(
        request(
            notebook,
            environment={**ENVIRONMENT, "A_TICKET": "onlyonce", "PYTHONSTARTUP": "x"},
            progress=lambda done, total: steps.append((done, total)),
        )
    )

    assert (result.status, result.exit_code, result.error, result.message) == ("done", 0, "", "")
    assert result.notebook == str(run_dir / "probe.ipynb")
    assert notebook.read_bytes() == before
    seen = json.loads((run_dir / "seen.json").read_text())
    assert seen == {
        "parameters": {"answer": 42},
        "ticket": "onlyonce",
        "python": sys.executable,
        "cwd": str(run_dir),
        "interactive": None,
        "debugger": False,
    }
    assert steps == [(0, 5), (1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]
    left = {path.name for path in run_dir.iterdir()}
    assert left == {
        "parameters.json", "outcome.json", "probe.ipynb", "kernel.log", "kernel.lock", "runner.heartbeat",
        "seen.json", "probe.html",
    }  # fmt: skip
    executed = nbformat.read(result.notebook, as_version=4)
    assert executed.metadata.papermill.parameters == {"params_file": str(run_dir / "parameters.json")}
    assert "onlyonce" not in Path(result.notebook).read_text()
    assert "TCP" not in (run_dir / "kernel.log").read_text()
    assert "A_TICKET" not in os.environ
    assert runner.is_over(f"{ATTEMPT}")


def test_each_run_has_a_fresh_kernel_and_a_folder_of_its_own(runner: NotebookRunner, tmp_path: Path) -> None:
    count = "left = globals().get('left', 0) + 1; assert left == 1"
    notebook = write_notebook(tmp_path / "probe.ipynb", PARAMETERS, GUARD, count, DONE)
    results = [runner.run(request(notebook, f"probe/2013-02-01.{attempt}")) for attempt in (1, 2)]
    assert [result.status for result in results] == ["done", "done"]
    with pytest.raises(Refused, match=r"probe/2013-02-01.2 exists already"):
        runner.run(request(notebook, "probe/2013-02-01.2"))


# --- endings that papermill reports as a success, or loses ---------------------------------------------


SILENT_SUCCESSES = {
    "sys.exit(0) in the middle": ["import sys; sys.exit(0)", DONE],
    "sys.exit() after the proof": [DONE, "import sys; sys.exit()"],
    "sys.exit() in the cell of the proof": [DONE + "\nraise SystemExit"],
    "an exception in the cell of the proof": [DONE + "\n1 / 0"],
    "the kernel leaves after the proof": [DONE, "import os; os._exit(0)"],
    "no proof": ["pass"],
    "a proof nobody can read": ["Path('outcome.json').write_text('{')"],
    "a proof of the wrong shape": ["""Path("outcome.json").write_text('{"status": "done"}')"""],
    "a proof that contradicts itself": [
        "guard.write_outcome('refused', exit_code=3)",
        "p = Path('outcome.json'); p.write_text(p.read_text().replace('refused', 'done'))",
    ],
    "the kernel leaves": ["import os; os._exit(0)", DONE],
    "the kernel is killed": ["import os, signal; os.kill(os.getpid(), signal.SIGKILL)", DONE],
    "a background thread dies": [
        "import threading\nt = threading.Thread(target=lambda: 1 / 0)\nt.start(); t.join()",
        DONE,
    ],
    "a syntax error": ["def", DONE],
    "an interrupt": ["raise KeyboardInterrupt", DONE],
    "input from nobody": ["input()", DONE],
}


@pytest.mark.parametrize("cells", SILENT_SUCCESSES.values(), ids=SILENT_SUCCESSES.keys())
def test_anything_but_a_clean_end_with_proof_has_failed(
    cells: list[str], runner: NotebookRunner, run_dir: Path, tmp_path: Path
) -> None:
    notebook = write_notebook(tmp_path / "probe.ipynb", PARAMETERS, GUARD, *cells)
    result = runner.run(request(notebook))
    assert (result.status, result.exit_code) == ("failed", 5)
    assert result.message
    assert result.next_step
    assert (run_dir / "probe.ipynb").is_file()
    assert not (run_dir / "probe.ipynb.tmp").exists()


def test_the_time_limit_is_for_the_whole_run(runner: NotebookRunner, tmp_path: Path) -> None:
    naps = ["import time; time.sleep(1.2)"] * 8
    notebook = write_notebook(tmp_path / "probe.ipynb", PARAMETERS, GUARD, *naps, DONE)
    result = runner.run(request(notebook, timeout_s=3.0))
    assert (result.status, result.exit_code) == ("failed", 5)
    assert "CellTimeoutError" in result.message
    assert result.seconds < 9


def test_a_kernel_that_cannot_start_has_failed(runner: NotebookRunner, tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "probe.ipynb", PARAMETERS, GUARD, DONE)
    broken = {**ENVIRONMENT, "PYTHONHOME": str(tmp_path / "nowhere")}
    result = runner.run(request(notebook, environment=broken))
    assert (result.status, result.exit_code) == ("failed", 5)
    assert "died while it started" in result.message


ERRORS = [("UsageError", "refused", 2), ("TradingHalted", "refused", 3), ("OutcomeUnknown", "unknown", 4)]


@pytest.mark.parametrize(("family", "status", "exit_code"), ERRORS)
def test_the_exit_code_of_our_own_errors_survives(
    family: str, status: str, exit_code: int, runner: NotebookRunner, tmp_path: Path
) -> None:
    cell = f"from workbench.errors import {family}\nraise {family}('no further', next_step='look')"
    notebook = write_notebook(tmp_path / "probe.ipynb", PARAMETERS, GUARD, cell, DONE)
    result = runner.run(request(notebook))
    assert (result.status, result.exit_code, result.error) == (status, exit_code, family)
    assert (result.message, result.next_step) == ("no further", "look")


# --- notebooks that are not fit for production ------------------------------------------------------------


UNFIT = {
    "no tagged cell": ([PARAMETERS, DONE], {}),
    "two tagged cells": ([PARAMETERS, PARAMETERS, DONE], {0: ["parameters"], 1: ["parameters"]}),
    "code before the parameters": (["pass", PARAMETERS], {1: ["parameters"]}),
    "another parameter": ([PARAMETERS + "\nmode = 'live'"], {0: ["parameters"]}),
    "a default that is computed": (["params_file = 'a' + 'b'"], {0: ["parameters"]}),
    "a default of another type": (["params_file = 1"], {0: ["parameters"]}),
    "no parameter": (["# nothing"], {0: ["parameters"]}),
    "not Python": (["params_file ="], {0: ["parameters"]}),
    "a cell that may raise": ([PARAMETERS, "1 / 0"], {0: ["parameters"], 1: ["raises-exception"]}),
    "a cell that is skipped": ([PARAMETERS, DONE], {0: ["parameters"], 1: ["skip-execution"]}),
    "a former run's cell": ([PARAMETERS, PARAMETERS], {0: ["parameters"], 1: ["injected-parameters"]}),
}


@pytest.mark.parametrize(("cells", "tags"), UNFIT.values(), ids=UNFIT.keys())
def test_an_unfit_notebook_is_refused_before_anything_starts(
    cells: list[str], tags: dict[int, list[str]], runner: NotebookRunner, tmp_path: Path
) -> None:
    notebook = write_notebook(tmp_path / "probe.ipynb", *cells, tags=tags)
    with pytest.raises(ConfigError, match=r"probe\.ipynb"):
        runner.run(request(notebook))
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"cells": 3}', b'{"cells": [{}]}', b"\xff"])
def test_a_broken_notebook_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.ipynb"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"broken\.ipynb"):
        check_notebook(path)
    with pytest.raises(ConfigError, match=r"broken\.ipynb"):
        code_hash(path)


def test_a_missing_notebook_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.ipynb"):
        check_notebook(tmp_path / "absent.ipynb")


# --- who may run --------------------------------------------------------------------------------------


def test_a_run_needs_the_main_thread_and_no_event_loop(runner: NotebookRunner, tmp_path: Path) -> None:
    wanted = request(write_notebook(tmp_path / "probe.ipynb", PARAMETERS, GUARD, DONE))
    caught: list[BaseException] = []

    def attempt() -> None:
        try:
            runner.run(wanted)
        except UsageError as error:
            caught.append(error)

    async def inside_a_loop() -> None:
        attempt()

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    asyncio.run(inside_a_loop())
    assert len(caught) == 2


@pytest.mark.parametrize("run_id", ["", "probe", "../x/2013-02-01.1", "p/2013-02-01.0", "p/2013-02-01.1/.."])
def test_a_run_id_cannot_leave_its_folder(run_id: str, runner: NotebookRunner, tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "probe.ipynb", PARAMETERS, GUARD, DONE)
    with pytest.raises(UsageError, match="is not a run"):
        runner.run(request(notebook, run_id))


def test_one_runner_for_each_job(tmp_path: Path) -> None:
    first, second = NotebookRunner(tmp_path), NotebookRunner(tmp_path)
    with first.exclusive("probe"):
        with first.exclusive("probe"):
            pass
        with pytest.raises(Refused, match="another process is running probe"), second.exclusive("probe"):
            pass
        assert not second.is_over("probe/2013-02-01.1")
        with second.exclusive("other"):
            pass
        assert first.is_over("probe/2013-02-01.1")
    assert second.is_over("probe/2013-02-01.1")


def test_signal_handlers_are_given_back(runner: NotebookRunner, tmp_path: Path) -> None:
    watched = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
    before = [signal.getsignal(number) for number in watched]
    runner.run(request(write_notebook(tmp_path / "probe.ipynb", PARAMETERS, GUARD, DONE)))
    assert [signal.getsignal(number) for number in watched] == before


# --- the kernel's guard ----------------------------------------------------------------------------------


def test_a_lock_that_is_held_refuses_the_kernel(runner: NotebookRunner, tmp_path: Path) -> None:
    import fcntl

    lock = tmp_path / "trading.lock"
    notebook = write_notebook(
        tmp_path / "probe.ipynb", PARAMETERS, GUARD, f"guard.hold_lock(Path({str(lock)!r}))", DONE
    )
    with lock.open("w") as file:
        file.write("somebody")
        file.flush()
        fcntl.flock(file, fcntl.LOCK_EX)
        result = runner.run(request(notebook))
    assert (result.status, result.exit_code, result.error) == ("refused", 3, "Refused")
    assert "trading.lock is held by somebody" in result.message
    assert runner.run(request(notebook, "probe/2013-02-01.2")).status == "done"
    assert dead_holder(lock.read_text())


def test_the_guard_believes_only_its_own_living_runner(runner: NotebookRunner, tmp_path: Path) -> None:
    cells = """
import os, time
from workbench.errors import Refused
beat = guard.run_dir / "runner.heartbeat"
assert guard.parent_alive()
os.environ["CHECK"] = "x"
def age(seconds):
    os.utime(beat, (time.time() - seconds,) * 2)
    return guard.parent_alive()
answers = [age(0), age(1.0), age(-1.0), age(60), age(-60)]
assert answers == [True, True, True, False, False], answers
age(0)
def refused(folder):
    try:
        guard_kernel(folder)
    except Refused as error:
        return str(error)
other = guard.run_dir / "other"
other.mkdir()
assert "belongs to nobody" in refused(other)
(other / "runner.heartbeat").write_text("1")
assert "belongs to 1" in refused(other)
(other / "runner.heartbeat").write_text(str(os.getppid()))
os.utime(other / "runner.heartbeat", (1, 1))
assert "no heartbeat" in refused(other)
(other / "outcome.json").write_text("{}")
assert "has ended already" in refused(other)
assert not (other / "kernel.lock").exists()
beat.unlink()
assert not guard.parent_alive()
"""
    notebook = write_notebook(tmp_path / "probe.ipynb", PARAMETERS, GUARD, cells, DONE)
    result = runner.run(request(notebook))
    assert result.status == "done", result.message


def test_a_process_that_no_runner_started_is_refused(tmp_path: Path) -> None:
    (tmp_path / "runner.heartbeat").write_text(str(os.getppid()))
    with pytest.raises(Refused, match="started this kernel"):
        guard_kernel(tmp_path)
    assert not (tmp_path / "outcome.json").exists()


def test_a_holder_is_dead_only_with_proof() -> None:
    alive = process_holder()
    host, boot_id, pid, start_time = alive.split(":")
    assert not dead_holder(alive)
    assert dead_holder(f"{host}:{boot_id}:{pid}:1")  # the number was given to a later process: us
    child = os.fork()
    if child == 0:
        signal.pause()
    ours = process_holder(child)
    assert not dead_holder(ours)
    os.kill(child, signal.SIGKILL)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)  # a zombie sends nothing any more
    assert dead_holder(ours)
    os.waitpid(child, 0)
    assert dead_holder(ours)
    for elsewhere in (f"{host}:other-boot:{child}:{start_time}", f"other:{boot_id}:{child}:{start_time}"):
        assert not dead_holder(elsewhere)
    for nonsense in ("", "a:b:c:d", f"{host}:{boot_id}:-1:1", f"{host}:{boot_id}:0:1", "host"):
        assert not dead_holder(nonsense)


# --- parameters, hashes, declarations -----------------------------------------------------------------------


GOOD = {
    "run_id": "trading_loop/2013-02-01.1",
    "job": "trading_loop",
    "session": "2013-02-01",
    "attempt": 1,
    "config_path": "workbench.toml",
    "desk_path": "desk",
    "overrides": {"mode": "replay"},
    "code_hash": "a" * 64,
}


def test_parameters_are_those_of_the_ledger(tmp_path: Path) -> None:
    path = tmp_path / "parameters.json"
    path.write_text(json.dumps(GOOD))
    assert read_parameters(path, expected_hash=sha256_of(GOOD)).attempt == 1
    assert read_parameters(path, expected_hash=lambda parameters: sha256_of(GOOD)).session == "2013-02-01"
    with pytest.raises(ManifestMismatch):
        read_parameters(path, expected_hash=sha256_of({**GOOD, "attempt": 2}))
    with pytest.raises(ManifestMismatch):
        read_parameters(path, expected_hash=lambda parameters: "")


BAD_PARAMETERS = {
    "a key too many": json.dumps({**GOOD, "live": True}),
    "a key missing": json.dumps({key: value for key, value in GOOD.items() if key != "attempt"}),
    "a number as text": json.dumps({**GOOD, "attempt": "1"}),
    "a truth as number": json.dumps({**GOOD, "attempt": True}),
    "not a number": json.dumps({**GOOD, "overrides": {"limit": float("nan")}}),
    "beyond every number": json.dumps(GOOD).replace('"replay"', "1e999"),
    "a key twice": json.dumps(GOOD)[:-1] + ', "attempt": 1}',
    "not an object": "[]",
    "half a file": json.dumps(GOOD)[:40],
    "nothing": "",
}


@pytest.mark.parametrize("text", BAD_PARAMETERS.values(), ids=BAD_PARAMETERS.keys())
def test_parameters_are_strict(text: str, tmp_path: Path) -> None:
    path = tmp_path / "parameters.json"
    path.write_text(text)
    with pytest.raises(Refused, match=r"parameters\.json"):
        read_parameters(path, expected_hash=lambda parameters: pytest.fail("asked for the hash of nonsense"))


def test_the_code_hash_counts_code_and_nothing_else(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "a.py").write_text("A = 1")
    notebook = write_notebook(tmp_path / "probe.ipynb", PARAMETERS, GUARD, DONE)

    def now() -> str:
        return code_hash(notebook, package=package)

    first = now()
    content = nbformat.read(notebook, as_version=4)
    content.cells[1].outputs = [nbformat.v4.new_output("stream", text="hello")]
    content.cells[1].execution_count = 7
    content.cells[1].metadata["collapsed"] = True
    content.cells.insert(1, nbformat.v4.new_markdown_cell("prose"))
    nbformat.write(content, notebook)
    (package / "notes.txt").write_text("notes")
    assert now() == first

    hashes = {first}
    content.cells[2].source += "\n"
    nbformat.write(content, notebook)
    hashes.add(now())
    content.cells[2].metadata["tags"] = ["skip-execution"]
    nbformat.write(content, notebook)
    hashes.add(now())
    (package / "a.py").write_text("A = 2")
    hashes.add(now())
    (package / "a.py").rename(package / "b.py")
    hashes.add(now())
    assert len(hashes) == 5


JOB = {
    "notebook": '"probe.ipynb"',
    "purpose": '"To try."',
    "needs_session": "true",
    "timeout_s": "60",
    "sends_orders": "false",
    "schedule": '"close+10m"',
    "needs": "[]",
    "misfire": '"skip"',
    "start_within_s": "600",
    "attempts": "1",
    "resume_until": '""',
    "holds_account": "false",
    "venue_keys": "false",
    "repeats": "false",
    "alert_on": "[]",
    "keep_days": "30",
}


def declared(folder: Path, **changes: str | None) -> Path:
    write_notebook(folder / "probe.ipynb", PARAMETERS)
    lines = [f"{key} = {value}" for key, value in {**JOB, **changes}.items() if value is not None]
    path = folder / "jobs.toml"
    path.write_text("\n".join(["[probe]", *lines]))
    return path


def test_declared_jobs_are_read(tmp_path: Path) -> None:
    job = load_jobs(declared(tmp_path))["probe"]
    assert (job.name, job.notebook, job.timeout_s) == ("probe", tmp_path / "probe.ipynb", 60.0)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"timeout": "3"}, "unknown key 'timeout'"),
        ({"purpose": None}, "purpose is missing"),
        ({"needs_session": "1"}, "needs_session = 1 is not bool"),
        ({"timeout_s": '"60"'}, "timeout_s = '60' is not int or float"),
        ({"timeout_s": "true"}, "timeout_s = True is not int or float"),
        ({"sends_orders": None}, "sends_orders is missing"),
        ({"timeout_s": "nan"}, "timeout_s = nan"),
        ({"timeout_s": "inf"}, "timeout_s = inf"),
        ({"timeout_s": "0"}, r"timeout_s = 0"),
        ({"notebook": '"absent.ipynb"'}, "there is no notebook"),
        ({"purpose": "oops"}, "line 3"),
    ],
)
def test_a_wrong_declaration_is_named(changes: dict[str, str | None], named: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=named):
        load_jobs(declared(tmp_path, **changes))


@pytest.mark.parametrize("text", ["", "probe = 3", "[Probe]", "['../x']"])
def test_a_jobs_file_without_proper_tables_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "jobs.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"jobs\.toml"):
        load_jobs(path)


def test_a_result_says_nothing_of_the_ticket(tmp_path: Path) -> None:
    wanted = request(tmp_path / "x.ipynb", environment={"WORKBENCH_TICKET": "tick"})
    assert "tick" not in repr(wanted)
    assert "tick" not in repr(RunResult("probe/2013-02-01.1", "done", 0))
