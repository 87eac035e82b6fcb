"""What outlasts a denied order: an account halted for its rate, a symbol disabled for repetition."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from workbench.core.ports import Clock, Journal, Lease
from workbench.core.pretrade import DenialCode
from workbench.services.own_flow import OwnFlow

RATE_REASON = "rate: more attempts to send within a minute than limits.stop_rate_multiple allows"


class Stops:
    """Records what a look at the controls has found beyond the verdict.

    Parameters
    ----------
    journal, clock
        Ports.
    lease : callable () -> Lease
    halt : callable (str) -> None
    flow : OwnFlow
    """

    def __init__(
        self,
        *,
        journal: Journal,
        clock: Clock,
        lease: Callable[[], Lease],
        halt: Callable[[str], None],
        flow: OwnFlow,
    ) -> None:
        self._journal, self._clock, self._lease, self._halt, self._flow = journal, clock, lease, halt, flow

    def settle(self) -> None:
        """Record what is new before a session is closed: a later process does not look back at all of it."""
        self._flow.follow()
        self.heed(())

    def heed(self, codes: Iterable[str]) -> None:
        """Record newly disabled symbols with their alert, and halt the account where a code says so.

        A process that dies before this loses nothing: the next look finds the same from the same events.
        """
        if news := self._flow.news(self._clock.now_ns()):
            self._journal.commit(news, lease=self._lease())
            self._flow.follow()
        if DenialCode.RATE_STOP.name in codes:
            self._halt(RATE_REASON)
