"""Kill the scheduler, the runner or the kernel: no second trading run, and the next look goes on."""

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
import small_scheduler
from places import PostgresForTests
from small_scheduler import ACCOUNT, SESSION, open_journal, prepare

from notebooks import ENVIRONMENT
from workbench.services.jobs import scheduler_lease

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs the parent-death signal"),
]
FIRST, SECOND = (f"trading_loop/{SESSION}.{number}" for number in (1, 2))


class Scene:
    """A folder with its schedulers."""

    def __init__(self, folder: Path, url: str = "") -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        prepare(folder, url)

    def serve(self, host: str = "") -> subprocess.Popen[bytes]:
        with (self.folder / f"serve{host}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, small_scheduler.__file__, "serve", str(self.folder), host],
                env={**os.environ, **ENVIRONMENT}, stdout=log, stderr=log,
            )  # fmt: skip
        self.processes.append(process)
        return process

    def submits(self, run_id: str) -> list[tuple[float, int]]:
        path = self.folder / "submits"
        lines = path.read_text().splitlines() if path.exists() else []
        words = [line.split() for line in lines if line.startswith(f"{run_id} ") and line.count(" ") == 2]
        return [(float(at), int(pid)) for _, at, pid in words]

    def rows(self, projection: str, **equals: object) -> list[dict[str, object]]:
        journal = open_journal(self.folder)
        try:
            return journal.rows(projection, **equals)
        finally:
            journal.close()

    def log(self) -> str:
        return "\n".join(path.read_text() for path in self.folder.rglob("*.log"))

    def close(self) -> None:
        (self.folder / "go").touch()
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path)
    yield scene
    scene.close()


def until(happened: Callable[[], object], scene: Scene, seconds: float = 60.0) -> None:
    """Wait until it happened; the limit only ends a test that hangs."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, scene.log()[-3000:]
        time.sleep(0.05)


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def resumed_once(victim: str, scene: Scene) -> None:
    """Kill it in the middle of a trading run: one look, then one run that is done."""
    scheduler = scene.serve()
    until(lambda: scene.submits(FIRST), scene)
    kernel = scene.submits(FIRST)[0][1]
    pid = {"scheduler": scheduler.pid, "kernel": kernel, "runner": parent_of(kernel)}[victim]
    os.kill(pid, signal.SIGKILL)
    if victim == "scheduler":
        scheduler.wait()
        until(lambda: not Path(f"/proc/{kernel}").exists(), scene)  # nothing of it lives on
        scene.serve()
    until(lambda: scene.submits(SECOND), scene)
    (scene.folder / "go").touch()
    until(lambda: [row["status"] for row in scene.rows("runs", run_id=SECOND)] == ["done"], scene)
    rows = {row["run_id"]: row for row in scene.rows("runs")}
    assert set(rows) == {FIRST, f"reconcile/{SESSION}.1", SECOND}
    assert rows[FIRST]["status"] == "failed"
    assert rows[f"reconcile/{SESSION}.1"]["status"] == "done"
    assert rows[FIRST]["seq"] < rows[f"reconcile/{SESSION}.1"]["added_seq"]  # type: ignore[operator]
    assert rows[f"reconcile/{SESSION}.1"]["seq"] < rows[SECOND]["added_seq"]  # type: ignore[operator]
    assert scene.submits(FIRST)[-1][0] < scene.submits(SECOND)[0][0]
    journal = open_journal(scene.folder)
    with contextlib.closing(journal):
        assert journal.verify().ok


def test_a_killed_scheduler_takes_its_run_along_and_the_next_one_goes_on(scene: Scene) -> None:
    resumed_once("scheduler", scene)


@pytest.mark.prove
@pytest.mark.parametrize("victim", ["runner", "kernel"])
def test_a_trading_run_is_resumed_once_and_after_a_look(victim: str, scene: Scene) -> None:
    resumed_once(victim, scene)


@pytest.mark.prove
def test_another_host_takes_over_within_thirty_seconds(tmp_path: Path, postgres: PostgresForTests) -> None:
    scene = Scene(tmp_path, postgres.new_place().url)
    try:
        first = scene.serve("alpha")
        until(lambda: scene.submits(FIRST), scene)
        scene.serve("beta")
        kernel = scene.submits(FIRST)[0][1]
        children = [first.pid, parent_of(kernel), kernel]
        for pid in children:  # the whole machine, at once
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        lost_at = time.monotonic()
        name = scheduler_lease(ACCOUNT)

        def taken() -> bool:
            return str(scene.rows("leases", account=name)[0]["holder"]).startswith("beta:")

        until(taken, scene)
        took_s = time.monotonic() - lost_at
        print(f"fail-over after {took_s:.1f} s")
        assert took_s <= 30.0
        until(lambda: scene.submits(SECOND), scene)
        (scene.folder / "go").touch()
        until(lambda: [row["status"] for row in scene.rows("runs", run_id=SECOND)] == ["done"], scene)
        runs = {row["run_id"]: (row["status"], row["reason"]) for row in scene.rows("runs")}
        assert runs[FIRST] == ("failed", "crashed")
        assert runs[f"reconcile/{SESSION}.1"][0] == "done"
        assert len(runs) == 3
        codes = [row["code"] for row in scene.rows("alerts")]
        assert "scheduler_replaced" in codes
    finally:
        scene.close()
