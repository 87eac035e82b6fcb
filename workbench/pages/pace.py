"""How often a page is drawn again: at once for few readers, more seldom for many, never late for a halt."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable

#: Part of one processor that drawing may take for all readers of a page together; the loop needs the rest.
SHARE = 0.5


class Pace:
    """When one reader's page may be drawn again.

    Parameters
    ----------
    clock_s : callable () -> float, default time.monotonic

    Examples
    --------
    >>> now = [0.0]
    >>> pace = Pace(lambda: now[0])
    >>> pace.may_draw("calm")
    True
    >>> now[0] = 0.1  # drawing took as long
    >>> pace.drawn("calm", readers=20)
    >>> pace.may_draw("calm"), pace.may_draw("halted")
    (False, True)
    """

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._began_s = self._rest_until_s = -float("inf")
        self._urgent: Hashable = object()

    def may_draw(self, urgent: Hashable) -> bool:
        """Whether to draw now; what is `urgent` never waits. Drawing counts as begun with the answer."""
        self._began_s = self._clock_s()
        return urgent != self._urgent or self._began_s >= self._rest_until_s

    def drawn(self, urgent: Hashable, *, readers: int) -> None:
        """Note that the page was drawn, and how many others are drawn as well."""
        now_s = self._clock_s()
        self._urgent = urgent
        self._rest_until_s = now_s + (now_s - self._began_s) * (max(readers, 1) / SHARE - 1.0)
