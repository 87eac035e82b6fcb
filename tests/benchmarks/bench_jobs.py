"""What a run through the runner costs beside bare papermill on the same notebook, and what a look costs.

Ratios of medians in one process; the machine may be loaded. Limits: a cold run <= 1.2 times bare papermill; a
warm one <= .15 s empty and .45 s with 20 cells where bare papermill takes .88 and 1.35 s: 17% and 33% of it.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fortnight import Fortnight, at

from notebooks import DONE, ENVIRONMENT, GUARD, PARAMETERS, ROOT, request, write_notebook
from workbench.adapters.code_hash import code_stamp
from workbench.adapters.notebook_runner import NotebookRunner, WarmKernels
from workbench.bootstrap.declared import read_jobs
from workbench.core.agenda import agenda
from workbench.core.schedule import Attempt, Recorded

ROUNDS = 9
#: Most of bare papermill's time that a warm run may take, by cells.
WARM_SHARE = {0: 0.15 / 0.88, 20: 0.45 / 1.35}


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


@pytest.mark.parametrize("cells", [0, 20])
def test_a_run_beside_bare_papermill_cold_and_warm(
    cells: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", ENVIRONMENT["PYTHONPATH"])
    import nbformat
    import papermill

    work = [f"x{number} = {number}" for number in range(cells)]
    ours = write_notebook(tmp_path / "probe.ipynb", PARAMETERS, GUARD, *work, DONE)
    bare = write_notebook(tmp_path / "bare.ipynb", PARAMETERS, *work)
    named = nbformat.read(bare, as_version=4)
    named.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(named, bare)
    cold = NotebookRunner(tmp_path / "cold")
    numbers = iter(range(1, 1000))

    def through(runner: NotebookRunner, *, warm: bool) -> None:
        run_id = f"probe/2013-02-01.{next(numbers)}"
        result = runner.run(request(ours, run_id, environment={}, warm=warm))
        assert result.status == "done", result

    def through_papermill() -> None:
        out = tmp_path / f"out{next(numbers)}.ipynb"
        papermill.execute_notebook(str(bare), str(out), {"params_file": "x"}, progress_bar=False)

    pool = WarmKernels(1, stamp=code_stamp, preload="import workbench; workbench.start_job")
    with contextlib.closing(pool):
        ready = NotebookRunner(tmp_path / "warm", warm=pool)
        through(cold, warm=False)
        through_papermill()
        rounds = []
        for _ in range(ROUNDS):
            pool.fill()  # as a waiting process does it: before it is ordered to run
            pool.wait()
            rounds.append((
                seconds(lambda: through(ready, warm=True)), seconds(lambda: through(cold, warm=False)),
                seconds(through_papermill),
            ))  # fmt: skip
    warm_s, cold_s, bare_s = (statistics.median(side) for side in zip(*rounds, strict=True))
    print(
        f"\n{cells} cells: warm {warm_s:.3f} s, cold {cold_s:.2f} s, bare papermill {bare_s:.2f} s; "
        f"warm / bare {warm_s / bare_s:.2f}, cold / bare {cold_s / bare_s:.2f}"
    )
    assert cold_s <= 1.2 * bare_s
    assert warm_s <= WARM_SHARE[cells] * bare_s


def test_a_look_after_a_year_of_runs() -> None:
    jobs = read_jobs(ROOT / "papermill-jobs" / "jobs.toml")
    calendar = Fortnight()
    names = [name for name in jobs if name != "train_candidate"]
    sessions = calendar.sessions_between("2026-01-05", "2026-06-30")
    attempts = tuple(
        Attempt(f"{name}/{session}.1", name, session, "done", 1, 2 * n + 1, 2 * n + 2)
        for n, (session, name) in enumerate((session, name) for session in sessions * 2 for name in names)
    )
    known = Recorded(attempts, from_ns=dict.fromkeys(names, at("2026-06-20 00:00")))
    took = [
        seconds(lambda: agenda(jobs, calendar, known, now_ns=at("2026-06-30 18:00"), room=3))
        for _ in range(20)
    ]
    print(f"\na look over {len(attempts):,} runs: {1e3 * statistics.median(took):.1f} ms")
