"""Compose the delivery of alerts: the outbox of the journal, the channels of the settings, the spool."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from workbench.adapters.alert_spool import AlertSpool
from workbench.adapters.journal import JournalDatabase
from workbench.adapters.kernel_guard import process_holder
from workbench.adapters.notify import Channels
from workbench.bootstrap.desk import Desk, open_journal
from workbench.bootstrap.permission import book_waiting_halts
from workbench.config import Settings
from workbench.core.alerts import Message, Severity, rule_of
from workbench.errors import WorkbenchError
from workbench.services.alerting import Alerting, DeliveryReport, DeliveryRules, DirectAlerts, outbox_summary

#: A delivery takes some seconds at most; a deliverer that is silent for longer has died.
_CLAIM_S = 30.0


def alert_channels(settings: Settings) -> Channels:
    """The channels of the settings and secrets.

    Raises
    ------
    ConfigError
        An address that is none; it is not shown.
    """
    found = (settings.secrets.alert_urls, settings.secrets.alert_urls_second)
    return Channels(
        plain=settings.alerts.channels,
        file=Desk(settings).paths.root / "alerts.jsonl",
        groups=[secret.reveal() for secret in found if secret is not None],
        external_from=Severity(settings.alerts.external_from),
    )


def alert_spool(settings: Settings) -> AlertSpool:
    """Alerts that wait for the journal."""
    return AlertSpool(Desk(settings).paths.root / "alerts.spool")


def direct_alerts(settings: Settings, channels: Channels) -> DirectAlerts:
    """Alerts without a journal."""
    return DirectAlerts(
        channels, alert_spool(settings), account=settings.account, wall_ns=time.time_ns,
        new_id=lambda: secrets.token_hex(8),
    )  # fmt: skip


def alerting(settings: Settings, journal: JournalDatabase, channels: Channels) -> Alerting:
    """The outbox of the desk's account."""
    rules = DeliveryRules(settings.alerts.max_attempts, settings.alerts.retry_first_s, _CLAIM_S)
    holder = f"{process_holder()}/{threading.get_ident()}"
    return Alerting(
        journal, channels, account=settings.account, holder=holder, wall_ns=time.time_ns, rules=rules
    )


@contextmanager
def open_alerting(settings: Settings) -> Iterator[Alerting]:
    """The outbox with journal and channels open while it is used."""
    channels = alert_channels(settings)
    journal = open_journal(settings, read_only=False)
    try:
        yield alerting(settings, journal, channels)
    finally:
        journal.close()
        channels.close()


def deliver(settings: Settings, *, once: bool) -> DeliveryReport:
    """Journal what waits for it, then tell whatever is due: once, or again and again until Ctrl-C."""
    with open_alerting(settings) as service:
        while True:
            service.settle(alert_spool(settings))
            report = service.deliver()
            if once:
                return report
            time.sleep(settings.alerts.poll_s)


def try_channels(settings: Settings) -> dict[str, str]:
    """Send a test message to every channel of both groups; what kind of error each had, "" = none."""
    channels = alert_channels(settings)
    title = f"[test] {settings.account}: a test of the alert channels"
    try:
        groups = [
            channels.channels(level, severity=Severity.CRITICAL, local=False)
            for level in range(channels.levels)
        ]
        groups[1:] = [group[len(settings.alerts.channels) :] for group in groups[1:]]
        tests = [
            Message(f"test.{level}", level, title, "Nothing has happened.", group)
            for level, group in enumerate(groups)
        ]
        return {
            f"{name} (group {test.level + 1})": error
            for test, answers in zip(tests, channels.send(tests), strict=True)
            for name, error in answers.items()
        }
    finally:
        channels.close()


def list_alerts(settings: Settings, *, everything: bool, desk: Desk | None = None) -> dict[str, Any]:
    """The outbox as a person wants to see it: what is open first, repetitions counted, nothing secret."""
    desk = desk or Desk(settings)
    rows = [row for row in desk.journal.rows("outbox", account=settings.account) if row["status"] != "merged"]
    shown = [
        {
            "alert": row["alert_id"], "code": row["code"], "severity": rule_of(row["code"]).severity.value,
            "subject": row["subject"], "text": row["text"], "count": row["count"],
            "raised_at_ns": row["raised_at_ns"], "status": row["status"], "level": row["level"],
            "attempts": row["attempts"], "error": row["error"], "delivered": row["delivered"],
            "acknowledged_by": row["acknowledged_by"], "judged": row["judged"],
            "runbook": rule_of(row["code"]).runbook,
        }
        for row in rows
        if everything or not row["acknowledged_by"] or row["status"] in ("pending", "undeliverable")
    ]  # fmt: skip
    summary = outbox_summary(desk.journal, settings.account, wall_ns=time.time_ns())
    return {"alerts": shown[::-1], **summary}


class DeliveryThread:
    """Delivers in the background of a process that must not wait for a mail server.

    Parameters
    ----------
    trouble : callable (str)
        Told why a look at the outbox failed.
    """

    def __init__(self, settings: Settings, channels: Channels, *, trouble: Callable[[str], None]) -> None:
        self._settings = settings
        self._channels = channels
        self._trouble = trouble
        self._over = threading.Event()
        self._journal: JournalDatabase | None = None
        self._service: Alerting | None = None
        self._said = ""
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)

    def start(self) -> None:
        """Begin to look at the outbox."""
        self._thread.start()

    def stop(self, *, wait_s: float = 10.0) -> None:
        """Look a last time and end."""
        self._over.set()
        self._thread.join(wait_s)

    def _run(self) -> None:
        while True:
            last = self._over.wait(self._settings.alerts.poll_s)
            try:
                self._look()
                self._said = ""
            except Exception as error:  # the boundary: the next look tries again, and somebody is told once
                self._close()
                words = error.message if isinstance(error, WorkbenchError) else type(error).__name__
                if words != self._said:
                    self._trouble(words)
                self._said = words
            if last:
                self._close()
                return

    def _look(self) -> None:
        if self._journal is not None and self._journal.closed:
            self._close()  # a new desk epoch has a journal of its own
        if self._service is None:
            self._journal = open_journal(self._settings, read_only=False)
            book_waiting_halts(self._settings, self._journal)
            self._service = alerting(self._settings, self._journal, self._channels)
        self._service.settle(alert_spool(self._settings))
        self._service.deliver()

    def _close(self) -> None:
        journal, self._journal, self._service = self._journal, None, None
        if journal is not None:
            journal.close()


def summary_of(settings: Settings) -> dict[str, Any]:
    """What status says about alerts."""
    desk = Desk(settings)
    return outbox_summary(desk.journal, settings.account, wall_ns=time.time_ns())
