"""Time each stage of a session and of each of its cycles; a breach is an alert, never a reason to hurry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from workbench.core.alerts import alert
from workbench.core.ports import Event
from workbench.core.timings import CYCLE_STAGES, StageTimes

#: What of a cycle the rest of a session's stage is: everything after the last `lap`.
_REST: Final[Mapping[str, str]] = {"decide": "record", "send": "submit"}


class StageTimer:
    """Wall-clock durations of the stages.

    Parameters
    ----------
    wall_ns : callable () -> int
    budget_ms : int
        Budget of each stage of the session in milliseconds.

    Attributes
    ----------
    budgets_ms : mapping of str to int
        Budget of each stage of a cycle in milliseconds; a stage that is not there has none.
    on_stage : callable (str) -> None
        Told of each stage of the session as it begins.
    """

    def __init__(self, wall_ns: Callable[[], int], *, budget_ms: int) -> None:
        self._wall_ns = wall_ns
        self._budget_ms = budget_ms
        self._marked_ns = 0
        self._cycles = {name: StageTimes() for name in CYCLE_STAGES}
        self.spent_ms: dict[str, float] = {}
        self.on_stage: Callable[[str], object] = lambda name: None

    @property
    def budgets_ms(self) -> Mapping[str, int]:
        """Budgets of the stages of a cycle, milliseconds."""
        return {name: times.budget_ms for name, times in self._cycles.items()}

    @budgets_ms.setter
    def budgets_ms(self, budgets: Mapping[str, int]) -> None:
        for name, times in self._cycles.items():
            times.budget_ms = budgets.get(name, 0)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time spent inside towards a stage of the session."""
        self.on_stage(name)
        started_ns = self._marked_ns = self._wall_ns()
        try:
            yield
        finally:
            ended_ns = self._wall_ns()
            self.spent_ms[name] = self.spent_ms.get(name, 0.0) + (ended_ns - started_ns) / 1e6
            if rest := _REST.get(name):
                self._cycles[rest].add(ended_ns - self._marked_ns)

    def lap(self, name: str) -> None:
        """Count the time since the last lap, or since the session's stage began, towards one of the cycle."""
        now_ns = self._wall_ns()
        self._cycles[name].add(now_ns - self._marked_ns)
        self._marked_ns = now_ns

    def events(self, account: str, session: str, at_ns: int) -> list[Event]:
        """The durations for the journal, and an alert for every stage that went over its budget."""
        stages = {name: times.as_record() for name, times in self._cycles.items() if times.count}
        for name, spent in self.spent_ms.items():
            once = StageTimes(budget_ms=self._budget_ms)
            once.add(int(spent * 1e6))
            stages[f"session: {name}"] = once.as_record()
        over = [
            f"stage {name} took {record['max_us'] / 1e3:.0f} ms at most, over its budget of "
            f"{record['budget_ms']} ms in {record['over']} of {record['count']} cycle(s)"
            for name, record in stages.items()
            if record["over"]
        ]
        timed = Event("session.timed", {"account": account, "session": session, "stages": stages})
        return [timed, *(alert(account, "STAGE_BUDGET", text, at_ns=at_ns) for text in over)]
