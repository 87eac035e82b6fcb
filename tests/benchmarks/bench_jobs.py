"""What a run through the runner costs beside bare papermill on the same notebook, and what a look costs.

Ratios of medians in one process; the machine may be loaded. Limits: cold run <= 1.2 times bare papermill.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fortnight import Fortnight, at

from notebooks import DONE, ENVIRONMENT, GUARD, PARAMETERS, ROOT, request, write_notebook
from workbench.adapters.notebook_runner import NotebookRunner
from workbench.bootstrap.declared import read_jobs
from workbench.core.agenda import agenda
from workbench.core.schedule import Attempt, Recorded

ROUNDS = 5


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


@pytest.mark.parametrize("cells", [0, 20])
def test_a_cold_run_beside_bare_papermill(
    cells: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", ENVIRONMENT["PYTHONPATH"])
    import papermill

    work = [f"x{number} = {number}" for number in range(cells)]
    ours = write_notebook(tmp_path / "probe.ipynb", PARAMETERS, GUARD, *work, DONE)
    bare = write_notebook(tmp_path / "bare.ipynb", PARAMETERS, "from pathlib import Path", *work, "1")
    runner = NotebookRunner(tmp_path / "runs")
    numbers = iter(range(1, 100))

    def through_runner() -> None:
        result = runner.run(request(ours, f"probe/2013-02-01.{next(numbers)}"))
        assert result.status == "done", result

    def through_papermill() -> None:
        out = tmp_path / f"out{next(numbers)}.ipynb"
        papermill.execute_notebook(str(bare), str(out), {"params_file": "x"}, progress_bar=False,
                                   kernel_name="python3")  # fmt: skip

    through_runner()
    pairs = [(seconds(through_runner), seconds(through_papermill)) for _ in range(ROUNDS)]
    runs, papermills = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = runs / papermills
    print(f"\n{cells} cells: runner {runs:.2f} s, bare papermill {papermills:.2f} s, ratio {ratio:.2f}")
    assert runs <= 1.2 * papermills


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
