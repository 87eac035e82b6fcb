"""Clocks: the machine's own, and a simulated one for replay that jumps instead of waiting."""

from __future__ import annotations

import time


class SystemClock:
    """Trading time is wall-clock time."""

    def now_ns(self) -> int:
        """Present time, UTC nanoseconds."""
        return time.time_ns()

    def wall_ns(self) -> int:
        """Same as `now_ns`."""
        return time.time_ns()

    def sleep_until(self, at_ns: int) -> None:
        """Wait, in short naps so that a signal or a halt is noticed, until `at_ns`."""
        while (left_ns := at_ns - time.time_ns()) > 0:
            time.sleep(min(left_ns / 1e9, 0.5))


class SimulatedClock:
    """Trading time that moves only when somebody sleeps; it never runs backwards.

    Parameters
    ----------
    start_ns : int
        First trading time, UTC nanoseconds.
    """

    def __init__(self, start_ns: int) -> None:
        self._now_ns = start_ns

    def now_ns(self) -> int:
        """Present trading time, UTC nanoseconds."""
        return self._now_ns

    def wall_ns(self) -> int:
        """The machine's wall clock, for records and leases."""
        return time.time_ns()

    def sleep_until(self, at_ns: int) -> None:
        """Jump to `at_ns`, or stay when that has passed."""
        self._now_ns = max(self._now_ns, at_ns)
