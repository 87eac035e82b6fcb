"""Looks at a desk from another process: halts it, cancels its orders and tells people when its loop is gone.

It may halt and cancel without a lease, because both only take away. It has no way to send an order: what it
holds of the venue is `core.cancelling.OpenOrders`, which knows no submit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from workbench.core.alerts import alert, rule_of
from workbench.core.cancelling import CancelReport
from workbench.core.ports import Event, Journal
from workbench.core.types import NANO
from workbench.core.watch import Bounds, Finding, Memory, Sight, judge, remember
from workbench.errors import WorkbenchError
from workbench.services.alerting import DirectAlerts
from workbench.services.supervision import HALTED

#: What could not be cancelled is tried again after so many seconds, for as long as the cause stands.
_AGAIN_S: Final = 20
_NEVER_NS: Final = 2**63
#: What comes of an action is told once for its cause, however often the action is repeated.
_OF_ACTIONS: Final = frozenset({"CANCEL_UNCONFIRMED", "ORDERS_CANCELLED", "WATCHDOG_FAILED"})


@dataclass(frozen=True)
class LookReport:
    """What one look found and did.

    Attributes
    ----------
    findings : tuple of Finding
        Everything that is wrong now, whether it was told before or not.
    halted : bool
        Whether this look took a permission away.
    cancelled : CancelReport or None
        What became of the open orders, when this look tried to end them.
    told : tuple of str
        Codes of the alerts that this look raised.
    """

    findings: tuple[Finding, ...]
    halted: bool
    cancelled: CancelReport | None
    told: tuple[str, ...]


class Watchdog:
    """Watches one account.

    Parameters
    ----------
    sight : callable () -> Sight
        One look at the desk; it never raises.
    halt : callable (str, sequence of Event) -> str
        Records a halt with its alerts; why it could not, soon, or "".
    disarm : callable () -> bool
        Removes the ARMED file, with or without a journal; whether there was one.
    keep : callable (str)
        Keeps the words of a halt that the journal could not record, until it can.
    cancel : callable () -> CancelReport
        Ends what is open at the venue; raises a WorkbenchError when it cannot.
    direct : DirectAlerts
        For what the journal cannot take.
    """

    def __init__(
        self,
        *,
        account: str,
        sight: Callable[[], Sight],
        journal: Callable[[], Journal],
        halt: Callable[[str, Sequence[Event]], str],
        disarm: Callable[[], bool],
        keep: Callable[[str], None],
        cancel: Callable[[], CancelReport],
        direct: DirectAlerts,
        bounds: Bounds,
        wall_ns: Callable[[], int],
    ) -> None:
        self._account = account
        self._sight = sight
        self._journal = journal
        self._record_halt = halt
        self._disarm = disarm
        self._keep = keep
        self._cancel = cancel
        self._direct = direct
        self._bounds = bounds
        self._wall_ns = wall_ns
        self._memory = Memory()
        self._begun = False
        self._told: dict[tuple[str, str], int] = {}
        self._next_cancel_ns: dict[tuple[str, str], int] = {}

    def look(self) -> LookReport:
        """See, judge, and act on what is found."""
        sight = self._sight()
        self._memory = remember(self._memory, sight, self._bounds)
        findings = judge(sight, self._memory, self._bounds)
        standing = {_key(finding) for finding in findings}
        for key in [key for key in self._told if key not in standing and key[0] not in _OF_ACTIONS]:
            del self._told[key]
        for key in self._next_cancel_ns.keys() - standing:
            del self._next_cancel_ns[key]
        told = self._new(findings)
        self._begun = True
        halting = [finding for finding in findings if finding.halts]
        halted = False
        if halting and sight.state != HALTED:
            halted = self._halt(halting, told, recordable=not sight.journal_trouble)
        else:
            self._tell([self._alert(finding) for finding in told])
        words = [finding.code for finding in told]
        report = self._end_orders(halting, words)
        return LookReport(findings, halted, report, tuple(words))

    # --- acting ----------------------------------------------------------------------------------

    def _halt(self, causes: Sequence[Finding], told: Sequence[Finding], *, recordable: bool) -> bool:
        """Disarm before anything else is tried, then record it together with the alerts.

        Returns whether a permission may have been taken away by it. A journal that did not answer a moment
        ago is not waited for: the cancels come first.
        """
        reason = "; ".join(f"{cause.code}: {cause.text}" for cause in causes)
        alerts = [self._alert(finding) for finding in told]
        try:
            armed = self._disarm()
        except WorkbenchError as error:  # the row and the cancels are tried all the same
            armed = True
            failure = Finding("WATCHDOG_FAILED", f"{error.message}; {error.next_step}", "ARMED")
            alerts += [self._alert(finding) for finding in self._new([failure])]
        trouble = self._record_halt(reason, alerts) if recordable else "the journal does not answer"
        if not trouble:
            return True
        if armed:  # the desk is disarmed: what is missing is the record
            words = f"{reason}; the ARMED file is removed, the record waits: {trouble}"
            try:
                self._keep(reason)
            except WorkbenchError as error:  # without the file the desk stays halted all the same
                words += f"; the record could not be kept either: {error.message}"
            alerts.append(alert(self._account, "WATCHDOG_HALTED", words, subject="journal down"))
        self._tell_directly(alerts)
        return armed

    def _end_orders(self, causes: Sequence[Finding], words: list[str]) -> CancelReport | None:
        """Cancel once for each cause, and again while the venue does not show that it worked."""
        now_ns = self._wall_ns()
        due = [key for key in map(_key, causes) if self._next_cancel_ns.get(key, 0) <= now_ns]
        if not due:
            return None
        try:
            report = self._cancel()
        except WorkbenchError as error:
            report = CancelReport(trouble=error.message)
        again_ns = _NEVER_NS if report.proven else self._wall_ns() + _AGAIN_S * NANO
        self._next_cancel_ns.update(dict.fromkeys(due, again_ns))
        found = self._of_report(report, subject=due[0][1])
        if found is not None:
            for finding in self._new([found]):
                self._tell([self._alert(finding)])
                words.append(finding.code)
        return report

    @staticmethod
    def _of_report(report: CancelReport, *, subject: str) -> Finding | None:
        if not report.proven:
            left = ", ".join(
                f"{one.side} {one.leaves_shares} {one.symbol} ({one.client_order_id}: {one.reason})"
                for one in report.residuals
            )
            text = f"not shown to be cancelled: {left or 'unknown'}"
            text += f"; the venue's list: {report.trouble}" if report.trouble else ""
            return Finding("CANCEL_UNCONFIRMED", text, subject)
        if report.asked:
            text = f"{len(report.confirmed)} order(s) ended within {report.seconds:.1f} s"
            return Finding("ORDERS_CANCELLED", text, subject)
        return None

    # --- telling ---------------------------------------------------------------------------------

    def _new(self, findings: Sequence[Finding]) -> list[Finding]:
        """Those that begin now, or have stood for the whole window of their rule since they were told.

        What stands already at the first look may have been told by a watchdog before: the outbox knows. What
        comes back later is raised again, and counts up when it is delivered.
        """
        now_ns, new = self._wall_ns(), []
        for finding in findings:
            window_ns = rule_of(finding.code).window_s * NANO
            last_ns = self._told.get(_key(finding))
            if last_ns is None:
                known = not self._begun or finding.code in _OF_ACTIONS
                last_ns = self._last_told_ns(finding) if known else 0
            if now_ns - last_ns > window_ns:
                new.append(finding)
                last_ns = now_ns
            self._told[_key(finding)] = last_ns
        return new

    def _last_told_ns(self, finding: Finding) -> int:
        """When the outbox took the last alert of that kind; 0 = never, or nobody knows."""
        try:
            rows = self._journal().rows(
                "outbox", account=self._account, code=finding.code, subject=finding.subject
            )
        except WorkbenchError:
            return 0
        return max((int(row["raised_at_ns"]) for row in rows), default=0)

    def _alert(self, finding: Finding) -> Event:
        return alert(self._account, finding.code, finding.text, subject=finding.subject)

    def _tell(self, alerts: Sequence[Event]) -> None:
        try:
            if alerts:
                self._journal().commit(alerts)
        except WorkbenchError:
            self._tell_directly(alerts)

    def _tell_directly(self, alerts: Sequence[Event]) -> None:
        for event in alerts:
            said = event.payload
            self._direct.raise_alert(said["code"], said["text"], subject=said.get("subject", ""))


def _key(finding: Finding) -> tuple[str, str]:
    return finding.code, finding.subject
