"""A kernel never outlives, nor outruns, the runner that started it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from notebooks import DONE, ENVIRONMENT, GUARD, PARAMETERS, ROOT, write_notebook
from workbench.adapters.kernel_guard import dead_holder
from workbench.adapters.notebook_runner import NotebookRunner
from workbench.errors import Refused

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux")

RUN = "probe/2013-02-01.1"
#: "Submits" every 20 ms while the guard allows it, as the OMS asks before every order; goes on living,
#: and says so, when it does not.
SUBMIT = """
import os, time
guard.hold_lock(Path(os.environ["DESK"]) / "trading.lock")
submits = open(Path(os.environ["DESK"]) / "submits", "a", buffering=1)
lives = open(Path(os.environ["DESK"]) / "lives", "a", buffering=1)
for number in range(1000):
    lives.write(f"{time.time()}\\n")
    if guard.parent_alive():
        submits.write(f"{os.getpid()} {time.time()}\\n")
    else:
        (Path(os.environ["DESK"]) / "gate-closed").touch()
    time.sleep(0.02)
"""
RUNNER = """
import sys
from pathlib import Path
from workbench.adapters.notebook_runner import NotebookRunner
from workbench.core.jobs import RunRequest
run, root, notebook = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
print(NotebookRunner(root / "runs").run(RunRequest(run, notebook, {}, {"DESK": str(root)}, 60.0)).status)
"""


class Scene:
    """A runner process whose kernel is submitting."""

    def __init__(self, desk: Path, notebook: Path) -> None:
        self.desk = desk
        self.run_dir = desk / "runs" / RUN
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUNNER, RUN, str(desk), str(notebook)],
            env={**os.environ, **ENVIRONMENT},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            within(60, lambda: len(self.submits()) >= 3)
        except BaseException:
            self.process.kill()
            self.process.communicate()
            raise
        self.kernel = int(self.submits()[0].split()[0])

    def submits(self) -> list[str]:
        path = self.desk / "submits"
        return path.read_text().splitlines() if path.exists() else []

    def kernel_is_gone(self) -> bool:
        try:
            state = Path(f"/proc/{self.kernel}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        return state in "ZX"

    def lock_is_free(self) -> bool:
        import fcntl

        with (self.desk / "trading.lock").open("r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

    def end(self) -> None:
        for pid in (self.process.pid, self.kernel):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.communicate()


def runner_lock_is_free(scene: Scene) -> bool:
    try:
        with NotebookRunner(scene.desk / "runs").exclusive("probe"):
            return True
    except Refused:
        return False


def within(seconds: float, happened: Callable[[], bool]) -> float:
    """Seconds until it happened, looked at every 5 ms; fails when it takes longer."""
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        if happened():
            return time.monotonic() - started
        time.sleep(0.005)
    pytest.fail(f"did not happen within {seconds} s")


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    notebook = write_notebook(tmp_path / "probe.ipynb", PARAMETERS, GUARD, SUBMIT, DONE)
    scene = Scene(tmp_path, notebook)
    try:
        yield scene
    finally:
        scene.end()


def test_a_killed_runner_takes_its_kernel_with_it(scene: Scene) -> None:
    holder = (scene.desk / "trading.lock").read_text()
    other = NotebookRunner(scene.desk / "runs")
    assert not scene.lock_is_free()
    assert not dead_holder(holder)
    assert not other.is_over(RUN)
    os.kill(scene.process.pid, signal.SIGKILL)
    killed_at = time.time()
    within(1.0, scene.kernel_is_gone)
    assert float(scene.submits()[-1].split()[1]) - killed_at < 0.25
    # Not only its gate closed: it died, and not by the once-a-second look of ipykernel at its parent.
    assert float((scene.desk / "lives").read_text().splitlines()[-1]) - killed_at < 0.25
    # A process gives its locks back when the last of its threads is gone.
    within(1.0, scene.lock_is_free)
    within(1.0, lambda: dead_holder(holder))
    within(1.0, lambda: other.is_over(RUN))
    assert not (scene.run_dir / "outcome.json").exists()
    assert not (scene.run_dir / "probe.ipynb").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_stopped_runner_kills_its_kernel_first(number: signal.Signals, scene: Scene) -> None:
    os.kill(scene.process.pid, number)
    stopped_at = time.time()
    within(1.0, scene.kernel_is_gone)
    output, errors = scene.process.communicate(timeout=10)
    assert float(scene.submits()[-1].split()[1]) - stopped_at < 0.25
    assert scene.process.returncode == (-number if number == signal.SIGINT else 128 + number), errors
    assert output == ""
    within(1.0, scene.lock_is_free)
    assert (scene.run_dir / "probe.ipynb").is_file()  # what had run until then is kept
    assert not (scene.run_dir / "outcome.json").exists()


def test_a_hanging_runner_closes_the_gate(scene: Scene) -> None:
    os.kill(scene.process.pid, signal.SIGSTOP)
    stopped_at = time.time()
    within(4.0, (scene.desk / "gate-closed").exists)
    assert float(scene.submits()[-1].split()[1]) - stopped_at <= 2.1
    assert not scene.kernel_is_gone()  # it is the gate that held, not a signal


def test_a_run_while_the_former_kernel_lives_is_refused(scene: Scene) -> None:
    import fcntl

    # The runner is gone, yet something still holds its kernel's lock: never take that for dead.
    os.kill(scene.process.pid, signal.SIGKILL)
    within(1.0, scene.kernel_is_gone)
    with (scene.run_dir / "kernel.lock").open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        other = NotebookRunner(scene.desk / "runs")
        within(1.0, lambda: runner_lock_is_free(scene))
        assert not other.is_over(RUN)
    assert other.is_over(RUN)
