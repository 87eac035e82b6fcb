"""Time each stage of a cycle against its budget; a breach is an alert, never a reason to hurry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from workbench.core.ports import Event


class StageTimer:
    """Wall-clock durations of the stages of a cycle.

    Parameters
    ----------
    wall_ns : callable () -> int
    budget_ms : int
        Budget of each stage in milliseconds.
    """

    def __init__(self, wall_ns: Callable[[], int], *, budget_ms: int) -> None:
        self._wall_ns = wall_ns
        self._budget_ms = budget_ms
        self.spent_ms: dict[str, float] = {}
        self.on_stage: Callable[[str], object] = lambda name: None

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time spent inside towards `name`."""
        self.on_stage(name)
        started_ns = self._wall_ns()
        try:
            yield
        finally:
            spent = (self._wall_ns() - started_ns) / 1e6
            self.spent_ms[name] = self.spent_ms.get(name, 0.0) + spent

    def breaches(self, account: str, at_ns: int) -> list[Event]:
        """An alert for every stage that went over its budget."""
        return [
            Event(
                "alert.raised",
                {
                    "account": account,
                    "code": "STAGE_BUDGET",
                    "text": f"stage {name} took {spent:.0f} ms, its budget is {self._budget_ms} ms",
                    "at_ns": at_ns,
                },
            )
            for name, spent in self.spent_ms.items()
            if spent > self._budget_ms
        ]
