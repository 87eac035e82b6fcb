"""Listening to the venue: polls that may fail, hints that may be missed, silence that halts."""

from __future__ import annotations

from collections.abc import Callable

from workbench.core.ports import Clock, Hints
from workbench.core.reconcile import Break
from workbench.core.types import NANO
from workbench.errors import OutcomeUnknown, TradingHalted

NAP_S = 0.25


class Listening:
    """What the venue says, asked for on time and again when the stream hints at something.

    Parameters
    ----------
    clock : Clock
    hints : Hints or None
        The stream of trade updates; None where polls are all there is.
    poll : callable () -> int
        Takes over the venue's news and returns the number of changes.
    reconcile : callable () -> tuple of Break
        A full reconciliation; it halts the account when there is any break.
    halt : callable (str) -> None
    silence_s : float
        Nothing is sent, and the account is halted, when polls or the stream have failed for longer, seconds.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        hints: Hints | None,
        poll: Callable[[], int],
        reconcile: Callable[[], tuple[Break, ...]],
        halt: Callable[[str], None],
        silence_s: float,
    ) -> None:
        self._clock, self._hints = clock, hints
        self._poll, self._reconcile, self._halt = poll, reconcile, halt
        self._silence_ns = int(silence_s * NANO)
        self._answered_ns = clock.wall_ns()
        #: The connection in which the account was reconciled since the last request; -1 = not since then.
        self._caught_up = -1

    def poll(self) -> int:
        """Take over the venue's news; a failed poll is 0 changes, and a halt once it has lasted too long."""
        try:
            changes = self._poll()
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

    # --- around a request ------------------------------------------------------------------------

    def catch_up(self) -> None:
        """Before anything new is sent: reconcile in full when the stream may have missed something.

        Never while requests of a batch are outstanding: the venue cannot list what has not left.

        Raises
        ------
        TradingHalted
            A break was found, or the stream has been down for too long; the account is halted.
        """
        hints = self._hints
        if hints is None or not self.missed():
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
        self._caught_up = generation

    def missed(self) -> str:
        """Why no request may leave before the account is reconciled again; "" = it may.

        While the stream is down, one reconciliation is good for one request.
        """
        if self._hints is None or self._caught_up == self._hints.generation:
            return ""
        return self._hints.trouble()

    def announce(self, client_order_id: str) -> None:
        """A request leaves now: the stream has to mention its order, perhaps before the answer is read."""
        if self._hints is not None:
            self._caught_up = -1
            self._hints.expect(client_order_id)

    def withdraw(self, client_order_id: str) -> None:
        """The venue did not say that it took the order, so the stream need not mention it."""
        if self._hints is not None:
            self._hints.forget(client_order_id)
