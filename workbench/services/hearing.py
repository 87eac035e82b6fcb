"""Hearing the venue during a session: polls that may fail, hints that may be missed, silence that halts."""

from __future__ import annotations

from collections.abc import Callable

from workbench.core.ports import Clock, Hints
from workbench.core.reconcile import Break
from workbench.core.types import NANO
from workbench.errors import OutcomeUnknown, TradingHalted
from workbench.services.oms import Oms

NAP_S = 0.25


class Hearing:
    """What the venue says, asked for on time and again when the stream hints at something.

    Parameters
    ----------
    oms, clock
    hints : Hints or None
        The stream of trade updates; None where polls are all there is.
    since_ns : callable () -> int
        Start of the window in which the venue's lists are read.
    reconcile : callable () -> tuple of Break
        A full reconciliation; it halts the account when there is any break.
    halt : callable (str) -> None
    silence_s : float
        Nothing is sent, and the account is halted, when polls or the stream have failed for longer, seconds.
    """

    def __init__(
        self,
        *,
        oms: Oms,
        clock: Clock,
        hints: Hints | None,
        since_ns: Callable[[], int],
        reconcile: Callable[[], tuple[Break, ...]],
        halt: Callable[[str], None],
        silence_s: float,
    ) -> None:
        self._oms, self._clock, self._hints = oms, clock, hints
        self._since_ns, self._reconcile, self._halt = since_ns, reconcile, halt
        self._silence_ns = int(silence_s * NANO)
        self._answered_ns = clock.wall_ns()

    def poll(self) -> int:
        """Take over the venue's news; a failed poll is 0 changes, and a halt once it has lasted too long."""
        try:
            changes = self._oms.poll(since_ns=self._since_ns())
        except OutcomeUnknown as error:
            silent_ns = self._clock.wall_ns() - self._answered_ns
            if silent_ns > self._silence_ns:
                self._halt(f"no answer of the venue for {silent_ns / NANO:.0f} s: {error.message}")
            return 0
        self._answered_ns = self._clock.wall_ns()
        return changes

    def wait_until(self, at_ns: int) -> int:
        """Sleep until then; with a stream, poll whenever it mentions something. Returns the changes."""
        if self._hints is None:
            self._clock.sleep_until(at_ns)
            return 0
        changes = 0
        while (left_ns := at_ns - self._clock.now_ns()) > 0:
            if self._hints.wait(min(NAP_S, left_ns / NANO)) and self._hints.take():
                changes += self.poll()
        return changes

    def catch_up(self) -> None:
        """Before anything new is sent: reconcile in full when the stream may have missed something.

        Raises
        ------
        TradingHalted
            A break was found, or the stream has been down for too long; the account is halted.
        """
        hints = self._hints
        if hints is None or not hints.trouble():
            return
        silent_s = hints.silent_s()
        if silent_s * NANO > self._silence_ns:
            reason = f"trade updates were not heard for {silent_s:.0f} s: {hints.trouble()}"
            self._halt(reason)
            raise TradingHalted(reason, next_step="look at the stream, then `workbench resume`")
        generation = hints.generation
        breaks = self._reconcile()
        if breaks:
            raise TradingHalted(
                f"{len(breaks)} break(s) after a gap in the trade updates, first {breaks[0].kind}",
                next_step="workbench reconcile, then `workbench resume`",
            )
        hints.reconciled(generation)

    def announce(self, client_order_id: str) -> None:
        """Tell the stream that it has to mention this order."""
        if self._hints is not None:
            self._hints.expect(client_order_id)
