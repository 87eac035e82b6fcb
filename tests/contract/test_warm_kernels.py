"""A kernel that was started beforehand is a fresh one: used once, its libraries loaded, nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from notebooks import DONE, GUARD, PARAMETERS, ROOT, request, write_notebook
from workbench.adapters.notebook_runner import NotebookRunner, WarmKernels
from workbench.adapters.run_processes import RunProcesses
from workbench.core.jobs import RunPlan
from workbench.errors import UsageError

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs the parent-death signal")

#: Says who it is, where, and what it found; then leaves behind what the next one must not see.
LEAVES = """
import os, sys
found = "left_behind" in globals() or os.environ.get("LEFT_BEHIND") or getattr(sys, "left_behind", False)
print("|".join([str(os.getpid()), os.getcwd(), str(bool(found)), str("statistics" in sys.modules)]))
left_behind = sys.left_behind = True
os.environ["LEFT_BEHIND"] = "1"
"""


class Pool:
    """Warm kernels beside the code on disk that they believe in."""

    def __init__(self, count: int, **options: object) -> None:
        self.code = "as it was"
        self.kernels = WarmKernels(
            count,
            stamp=lambda: self.code,
            preload="import statistics",
            **options,  # type: ignore[arg-type]
        )
        self.kernels.fill()
        self.pids = [kernel.manager.provisioner.process.pid for kernel, _ in self.kernels._ready]


@pytest.fixture
def pool_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Pool]]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("VENUE_KEY", "made-up")
    made: list[Pool] = []

    def make(count: int, **options: object) -> Pool:
        made.append(Pool(count, **options))
        return made[-1]

    yield make
    for pool in made:
        pool.kernels.close()


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def printed(notebook: str) -> list[str]:
    cells = json.loads(Path(notebook).read_text())["cells"]
    return "".join(cells[-2]["outputs"][0]["text"]).strip().split("|")


def test_each_run_has_a_kernel_of_its_own_with_its_libraries_and_nothing_else(
    tmp_path: Path, pool_of: Callable[..., Pool]
) -> None:
    pool = pool_of(2)
    runner = NotebookRunner(tmp_path / "runs", warm=pool.kernels)
    notebook = write_notebook(tmp_path / "probe.ipynb", PARAMETERS, GUARD, LEAVES, DONE)
    said = []
    for number in (1, 2, 3):
        run_id = f"probe/2013-02-01.{number}"
        result = runner.run(request(notebook, run_id, environment={}, warm=True))
        assert result.status == "done", result
        said.append(printed(result.notebook))
        assert said[-1][1] == str(tmp_path / "runs" / run_id)
        assert (tmp_path / "runs" / run_id / "kernel.log").exists()
    assert [int(words[0]) for words in said[:2]] == pool.pids
    assert int(said[2][0]) not in pool.pids  # none was left: it had one of its own
    assert [words[2] for words in said] == ["False"] * 3
    assert [words[3] for words in said[:2]] == ["True"] * 2
    assert all(is_gone(pid) for pid in pool.pids)


def test_a_run_that_may_not_or_does_not_fit_starts_its_own(
    tmp_path: Path, pool_of: Callable[..., Pool], monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = tmp_path / "probe.ipynb"
    pool = pool_of(3, withheld=("VENUE_KEY",))
    take = pool.kernels.take
    plain = {"environment": {}, "withheld": ("VENUE_KEY",)}
    assert take(request(notebook, **plain)) is None  # not an analysis
    assert not any(is_gone(pid) for pid in pool.pids)
    taken = take(request(notebook, warm=True, **plain))
    assert taken is not None
    assert "VENUE_KEY" not in taken.environment
    taken.close()
    # Another environment than the waiting kernels have: a ticket, or keys that they were started without.
    ticket = request(notebook, warm=True, environment={"TICKET": "one"}, withheld=("VENUE_KEY",))
    assert take(ticket) is None
    assert all(is_gone(pid) for pid in pool.pids)
    pool.kernels.fill()
    pool.code = "changed since"
    assert take(request(notebook, warm=True, **plain)) is None
    with pytest.raises(UsageError, match="none"):
        WarmKernels(0, stamp=lambda: "")


def test_a_kernel_that_died_while_it_waited_is_passed_over(pool_of: Callable[..., Pool]) -> None:
    pool = pool_of(2)
    os.kill(pool.pids[0], 9)
    while pool.kernels._ready[0][0].is_alive():
        time.sleep(0.01)
    taken = pool.kernels.take(request(Path("probe.ipynb"), environment={}, warm=True))
    assert taken is not None
    assert taken.manager.provisioner.process.pid == pool.pids[1]
    taken.close()


#: Its kernel is still loading, and so far from looking at its parent itself.
OWNER = """
import sys, time
from workbench.adapters.notebook_runner import WarmKernels
loading = "import time; open(os.environ['MARK'], 'w').write(str(os.getpid())); time.sleep(600)"
pool = WarmKernels(1, stamp=lambda: "", preload=loading)
pool.fill()
time.sleep(600)
"""


def test_a_kernel_that_still_loads_dies_with_its_runner(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MARK": str(mark)}
    with subprocess.Popen([sys.executable, "-c", OWNER], env=environment) as owner:
        while not (mark.exists() and mark.read_text()):
            assert owner.poll() is None
            time.sleep(0.01)
        waiting = int(mark.read_text())
        owner.kill()
        owner.wait()
    deadline = time.monotonic() + 30
    while not is_gone(waiting):
        assert time.monotonic() < deadline
        time.sleep(0.01)


# --- processes that wait ----------------------------------------------------------------------------------

#: Takes orders as a run does, and says which process it is.
PROGRAM = """
import os, sys
from workbench.adapters.run_processes import WAIT, await_order, read_order
text = sys.argv[1]
if text == WAIT:
    text = await_order()
    if not text:
        sys.exit(0)
job, session, plan = read_order(text)
print(os.getpid(), job, session, plan.due_ns, flush=True)
"""


def test_a_waiting_process_takes_one_order_and_only_of_jobs_that_may(tmp_path: Path) -> None:
    program = tmp_path / "run.py"
    program.write_text(f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{PROGRAM}")
    logs = tmp_path / "logs"
    processes = RunProcesses(
        [sys.executable, str(program)], logs, spares=1, takes_spare=lambda job: job == "tca_daily"
    )
    processes.keep_spares()
    (waiting,) = (spare.pid for spare in processes._spares)
    for job in ("trading_loop", "tca_daily", "tca_daily"):
        processes.start(job, "2013-02-01", RunPlan("schedule", 7))
        assert processes.running() == ((job, "2013-02-01", 7),)
        while processes.running():
            time.sleep(0.01)
    trading, first, second = (
        line.split() for job in ("trading_loop", "tca_daily")
        for line in (logs / f"{job}.log").read_text().splitlines()
    )  # fmt: skip
    assert int(first[0]) == waiting
    assert waiting not in (int(trading[0]), int(second[0]))  # never for trading, and once
    assert first[1:] == ["tca_daily", "2013-02-01", "7"]
    assert (logs / "spare.log").read_text() == ""  # from its order on it prints where its job does
    processes.keep_spares()
    (another,) = (spare.pid for spare in processes._spares)
    assert another != waiting
    processes.stop()
    assert is_gone(another)


def test_a_waiting_process_ends_with_its_scheduler(tmp_path: Path) -> None:
    program = tmp_path / "run.py"
    program.write_text(f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{PROGRAM}")
    processes = RunProcesses([sys.executable, str(program)], tmp_path / "logs", spares=1)
    processes.keep_spares()
    (spare,) = processes._spares
    assert spare.stdin is not None
    spare.stdin.close()  # what the end of the scheduler does
    assert spare.wait(timeout=60) == 0
