"""A token bucket of our own: the venue's headers are missing where they matter, its limit is not."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock


class RateBudget:
    """Requests that may still be sent, with a part that only cancels and look-ups may use.

    Alpaca allows 200 requests a minute and account (documented for the Broker API, cited for the trading
    API); its answers carried no rate headers in any recording, so the count is kept here.

    Parameters
    ----------
    per_minute : int
        Requests a minute; the bucket also holds that many at most.
    reserve : int
        Requests that ordinary calls must leave for cancels and look-ups.
    monotonic, sleep : callable
        Seconds that never run backwards, and how to wait; for tests.

    Examples
    --------
    >>> RateBudget(per_minute=150, reserve=30).take(urgent=False)
    True
    """

    def __init__(
        self,
        *,
        per_minute: int,
        reserve: int,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not 0 < reserve < per_minute:
            raise ValueError(f"reserve {reserve} must lie between 0 and per_minute {per_minute}")
        self._rate = per_minute / 60.0
        self._size, self._reserve = float(per_minute), float(reserve)
        self._monotonic, self._sleep = monotonic, sleep
        self._tokens, self._at = float(per_minute), monotonic()
        self._lock = Lock()

    def take(self, *, urgent: bool, wait_s: float = 0.0) -> bool:
        """Whether one request may leave now, or within `wait_s` seconds; `urgent` may use the reserve."""
        floor = 0.0 if urgent else self._reserve
        deadline = self._monotonic() + wait_s
        while True:
            with self._lock:
                now = self._monotonic()
                self._tokens = min(self._size, self._tokens + (now - self._at) * self._rate)
                self._at = now
                if self._tokens - 1.0 >= floor - 1e-9:
                    self._tokens -= 1.0
                    return True
                missing_s = (floor + 1.0 - self._tokens) / self._rate
            if now + missing_s > deadline:
                return False
            self._sleep(missing_s)

    def drain(self) -> None:
        """The venue said "too many": leave only the reserve, so that cancels still go out."""
        with self._lock:
            self._tokens = min(self._tokens, self._reserve)
