"""How long the stages of a session took, by the times at which the journal recorded their ends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from workbench.core.ports import RecordedEvent

#: Events that end a stage, and the stage that each ends. What lies between orders belongs to "watch".
_ENDS = {
    "ticket.used": "start the kernel",
    "lease.acquired": "take the lease",
    "reconciliation.done": "reconcile",
    "decision.made": "decide",
    "session.closed": "close the session",
    "lease.released": "finish the notebook",
    "run.finished": "record the run",
}
KINDS = ("run.started", *_ENDS)
ORDER = (
    "start the kernel", "take the lease", "recover and reconcile", "decide", "send, watch and reconcile",
    "close the session", "finish the notebook", "record the run",
)  # fmt: skip
#: Runs that the median is of.
RUNS = 20
COLUMNS = ("stage", "last_s", "median_s", "longest_s", "runs")


def first_seq(runs: Sequence[dict[str, Any]], job: str) -> int:
    """The event after which the latest runs of a job began; beyond all events where there is none."""
    of_job = [row["added_seq"] for row in runs if row["job"] == job]
    return min(of_job[-RUNS:]) - 1 if of_job else 2**62


def stage_timings(events: Iterable[RecordedEvent], job: str) -> pd.DataFrame:
    """Seconds of each stage of the latest runs: stage, last_s, median_s, longest_s, runs.

    A stage begins where the one before it ends, so the stages of a run sum to its duration. Only runs that
    are over count; a decision that was made twice in a session counts with the sum of both.
    """
    spent: dict[str, list[float]] = {}
    current: dict[str, float] = {}
    before_ns, run_id, decided = 0, "", False
    for event in events:
        if event.kind == "run.started":
            mine = event.payload["job"] == job
            run_id, decided, current = event.payload["run_id"] if mine else "", False, {}
            before_ns = event.at_ns
            continue
        if not run_id:
            continue
        if event.kind == "run.finished" and event.payload["run_id"] != run_id:
            continue
        stage = _ENDS[event.kind]
        decided = decided or event.kind == "decision.made"
        if stage == "reconcile":
            stage = "send, watch and reconcile" if decided else "recover and reconcile"
        current[stage] = current.get(stage, 0.0) + (event.at_ns - before_ns) / 1e9
        before_ns = event.at_ns
        if event.kind == "run.finished":
            for name, seconds in current.items():
                spent.setdefault(name, []).append(seconds)
            run_id = ""
    rows = [
        (stage, taken[-1], float(pd.Series(taken).median()), max(taken), len(taken))
        for stage in ORDER
        if (taken := spent.get(stage))
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"runs": "int64"})
