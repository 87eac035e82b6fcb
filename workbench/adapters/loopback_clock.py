"""Trading time of a replay at a loopback venue: sleeping moves the venue's clock through its admin port."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime

from workbench.core.types import NANO
from workbench.errors import OutcomeUnknown


class LoopbackClock:
    """A simulated clock that takes the venue along; satisfies `core.ports.Clock`.

    The venue's own time stands still otherwise, so every session of a replay is the same however fast or
    slow the machine is.

    Parameters
    ----------
    admin_url : str
        The venue's admin port, on the loopback address.
    start_ns : int
        Trading time at the start, UTC nanoseconds.
    timeout_s : float
        Limit for the venue's answer, seconds.
    """

    def __init__(self, admin_url: str, *, start_ns: int, timeout_s: float) -> None:
        self._url = admin_url.rstrip("/") + "/_/advance"
        self._timeout_s = timeout_s
        self._now_ns = start_ns
        # No proxy of the environment is asked for an address on this machine.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def now_ns(self) -> int:
        """Present trading time, UTC nanoseconds."""
        return self._now_ns

    def wall_ns(self) -> int:
        """The machine's wall clock, for records and leases."""
        return time.time_ns()

    def sleep_until(self, at_ns: int) -> None:
        """Move the venue and this clock to `at_ns`, or stay when that has passed.

        Raises
        ------
        OutcomeUnknown
            The venue's admin port does not answer.
        """
        if at_ns <= self._now_ns:
            return
        seconds, rest_ns = divmod(at_ns, NANO)
        moment = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest_ns:09d}Z"
        body = json.dumps({"to": moment}).encode()
        request = urllib.request.Request(  # noqa: S310  # the settings allow http on the loopback address only
            self._url, data=body, headers={"Content-Type": "application/json"}, method="POST"
        )
        trouble = ""
        try:
            with self._opener.open(request, timeout=self._timeout_s) as answer:
                answer.read()
        except (OSError, urllib.error.URLError) as error:
            trouble = type(error).__name__
        if trouble:
            raise OutcomeUnknown(
                f"the venue's admin port does not move its clock: {trouble}",
                next_step="start it again with `workbench venue serve` and the same state file",
            )
        self._now_ns = at_ns
