"""The venue's time: it advances with wall time at a chosen rate, or only when told to."""

from __future__ import annotations

import time


class VenueClock:
    """Trading time of a loopback venue; never runs backwards, whatever is served to clients.

    Parameters
    ----------
    start_ns : int
        Trading time at the start, UTC nanoseconds.
    rate : float
        Trading seconds in a wall second; 0 = only `step` and `set` move it.
    """

    def __init__(self, start_ns: int, *, rate: float) -> None:
        self._base_ns, self._rate = start_ns, rate
        self._mark_ns = time.monotonic_ns()
        self.skew_ns = 0  #: added to the time that `GET /v2/clock` shows; the venue itself keeps its time

    def now_ns(self) -> int:
        """Present trading time, UTC nanoseconds."""
        return self._base_ns + int((time.monotonic_ns() - self._mark_ns) * self._rate)

    def step(self, by_ns: int) -> int:
        """Go forward by that much; the new time."""
        return self.set(self.now_ns() + max(by_ns, 0))

    def set(self, at_ns: int) -> int:
        """Go forward to that time, or stay when it has passed; the new time."""
        self._base_ns, self._mark_ns = max(at_ns, self.now_ns()), time.monotonic_ns()
        return self._base_ns

    def run(self, rate: float) -> None:
        """Go on from now at another rate."""
        self.set(self.now_ns())
        self._rate = rate
