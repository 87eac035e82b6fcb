"""Delivers alerts from the outbox: once each if it can, at least once whatever happens, and says so if not.

Whoever raises an alert commits one event and goes on; nothing here runs in a process that trades. Two
deliverers may work at once: each claims an alert in the journal before it tells anybody.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from workbench.core.alerts import (
    Notifier,
    alert,
    false_alarm_table,
    message,
    retry_after_s,
    rule_of,
    same_alert,
)
from workbench.core.ports import Event, Journal
from workbench.core.types import NANO
from workbench.errors import JournalConflict, WorkbenchError
from workbench.services.people import People

#: Alerts of one look: a flood is delivered in pieces, between which the others are heard.
_AT_ONCE: Final = 20
#: Who has not acknowledged is looked for less often than what is due.
_ESCALATE_EVERY_S: Final = 1


class Spool(Protocol):
    """Alerts that were told without the journal, on disk until it has them."""

    def append(self, entry: Mapping[str, Any]) -> None:
        """Keep an alert, or say more about one that is kept, durably."""
        ...

    def read(self) -> tuple[dict[str, Any], ...]:
        """All that is kept, oldest first."""
        ...

    def clear(self) -> None:
        """Forget everything: the journal has it."""
        ...


@dataclass(frozen=True)
class DeliveryRules:
    """How often and how long a delivery is tried.

    Attributes
    ----------
    max_attempts : int
        Attempts for one group of channels; after that the alert is "undeliverable", which is an alert.
    retry_first_s : float
        Seconds before the second attempt; doubled for each further one.
    claim_s : float
        Seconds that a claim holds; a deliverer that died leaves the alert to the next one after them.
    """

    max_attempts: int
    retry_first_s: float
    claim_s: float


@dataclass(frozen=True)
class DeliveryReport:
    """What one look at the outbox did."""

    delivered: int = 0
    failed: int = 0
    merged: int = 0
    escalated: int = 0
    waiting: int = 0


class Alerting:
    """The outbox of one account.

    Parameters
    ----------
    holder : str
        Names this process in claims.
    wall_ns : callable () -> int
        Wall-clock time, UTC nanoseconds.
    """

    def __init__(
        self,
        journal: Journal,
        notifier: Notifier,
        *,
        account: str,
        holder: str,
        wall_ns: Callable[[], int],
        rules: DeliveryRules,
    ) -> None:
        self._journal = journal
        self._notifier = notifier
        self._account = account
        self._holder = holder
        self._wall_ns = wall_ns
        self._rules = rules
        self._escalated_ns = 0

    # --- delivering ------------------------------------------------------------------------------

    def deliver(self) -> DeliveryReport:
        """Merge what repeats, escalate what nobody acknowledged, tell whatever is due."""
        merged, contested = self._merge(self._pending())
        now_ns = self._wall_ns()
        escalated = 0
        if now_ns - self._escalated_ns >= _ESCALATE_EVERY_S * NANO:
            self._escalated_ns, escalated = now_ns, self._escalate()
        waiting = [row for row in self._pending() if row["alert_id"] not in contested]
        due = [row for row in waiting if row["next_wall_ns"] <= now_ns and self._is_free(row, now_ns)]
        due.sort(key=lambda row: (-rule_of(row["code"]).severity.rank, row["alert_id"]))
        told = self._tell(due[:_AT_ONCE])
        return DeliveryReport(
            told.count("delivered"), told.count("failed"), merged, escalated, len(waiting) - len(told)
        )

    def _pending(self) -> list[dict[str, Any]]:
        return self._journal.rows("outbox", account=self._account, status="pending")

    def _is_free(self, row: Mapping[str, Any], now_ns: int) -> bool:
        return bool(row["until_wall_ns"] <= now_ns or row["holder"] == self._holder)

    def _merge(self, pending: Sequence[Mapping[str, Any]]) -> tuple[int, set[int]]:
        """Count repetitions up on the alert that they repeat: how many, and those left for the next look."""
        now_ns, merged = self._wall_ns(), 0
        contested: set[int] = set()
        repeats: dict[int, list[int]] = {}
        for row in pending:
            if row["attempts"] or row["level"] or row["delivered"] or not self._is_free(row, now_ns):
                continue
            alike = self._journal.rows(
                "outbox", account=self._account, code=row["code"], subject=row["subject"]
            )
            heads = [other["alert_id"] for other in alike if same_alert(other, row)]
            if heads:  # the first of a window: all that follow count up on one row
                repeats.setdefault(min(heads), []).append(row["alert_id"])
        for head, numbers in repeats.items():
            if self._commit(self._event("merged", head, merged=numbers)):
                merged += len(numbers)
            else:  # another deliverer has begun with one of them
                contested.update(numbers)
        return merged, contested

    def _tell(self, due: Sequence[dict[str, Any]]) -> list[str]:
        """Claim alerts and send each to every channel that has not had it; what became of each."""
        until_ns = self._wall_ns() + int(self._rules.claim_s * NANO)
        claim = {"holder": self._holder, "until_wall_ns": until_ns}
        rows = [row for row in due if self._commit(self._event("claimed", row["alert_id"], **claim))]
        if not rows:
            return []
        messages = [message(row, self._left(row)) for row in rows]
        answers = self._notifier.send(messages)
        return [
            self._record(row, {channel: answer.get(channel, "no answer") for channel in sent.channels})
            for row, sent, answer in zip(rows, messages, answers, strict=True)
        ]

    def _left(self, row: Mapping[str, Any]) -> tuple[str, ...]:
        """Channels of an alert that have not had it."""
        rule = rule_of(row["code"])
        channels = self._notifier.channels(row["level"], severity=rule.severity, local=rule.local)
        return tuple(channel for channel in channels if channel not in row["delivered"])

    def _record(self, row: Mapping[str, Any], answers: Mapping[str, str]) -> str:
        number, code, attempt = row["alert_id"], row["code"], row["attempts"] + 1
        failures = {channel: error for channel, error in answers.items() if error}
        good = [channel for channel in answers if channel not in failures]
        if not answers:  # told already, without the journal
            good = row["delivered"][-1:]
        events = [
            self._event("delivered", number, attempt=attempt, channel=channel,
                        complete=not failures and channel == good[-1])
            for channel in good
        ]  # fmt: skip
        last = attempt >= self._rules.max_attempts
        wait_s = retry_after_s(attempt, first_s=self._rules.retry_first_s)
        next_ns = 0 if last else self._wall_ns() + int(wait_s * NANO)
        for channel, error in failures.items():
            events.append(
                self._event("failed", number, attempt=attempt, channel=channel, error=error,
                            next_wall_ns=next_ns)
            )  # fmt: skip
        if failures and last and not rule_of(code).local:
            text = f"alert {number} ({code}) did not reach {', '.join(failures)} in {attempt} attempts"
            events.append(
                alert(self._account, "ALERT_NOT_DELIVERED", text, at_ns=self._wall_ns(), subject=str(number))
            )
        self._journal.commit(events)
        return "failed" if failures else "delivered"

    def _escalate(self) -> int:
        """Send on to the next group what is critical and nobody has acknowledged in time."""
        escalated, now_ns = 0, self._wall_ns()
        for status in ("delivered", "undeliverable"):
            rows = self._journal.rows("outbox", account=self._account, status=status, acknowledged_by="")
            for row in rows:
                wait_s = rule_of(row["code"]).escalate_after_s
                quiet = row["judged"] == "false"
                overdue = wait_s and now_ns - row["level_at_ns"] > wait_s * NANO
                if overdue and not quiet and row["level"] + 1 < self._notifier.levels:
                    escalated += self._commit(
                        self._event("escalated", row["alert_id"], level=row["level"] + 1)
                    )
        return escalated

    def _commit(self, event: Event) -> bool:
        """Whether it was written; another deliverer that was faster is no error."""
        try:
            self._journal.commit([event])
        except JournalConflict:
            return False
        return True

    def _event(self, word: str, alert_id: int, **more: Any) -> Event:
        return Event(f"alert.{word}", {"account": self._account, "alert_id": alert_id, **more})

    # --- without the journal ---------------------------------------------------------------------

    def settle(self, spool: Spool) -> int:
        """Journal what was told while there was no journal; returns the number of alerts.

        An alert that is in the outbox already, because an earlier settling died before it cleared the
        spool, is not written twice.
        """
        entries = spool.read()
        if not entries:
            return 0
        known = {row["spool_id"] for row in self._journal.rows("outbox", account=self._account)}
        new = [entry for entry in entries if entry["spool_id"] not in known]
        self._journal.commit([Event("alert.raised", entry) for entry in new])
        spool.clear()
        return len(new)

    # --- what people do --------------------------------------------------------------------------

    def acknowledge(self, alert_id: int, *, person: str, reason: str) -> None:
        """Record that a registered person has seen it and deals with it: it is not escalated further."""
        People(self._journal).require(person, reason)
        self._journal.commit([self._event("acknowledged", alert_id, person=person, reason=reason)])

    def judge(self, alert_id: int, *, real: bool, person: str, reason: str) -> None:
        """Record whether it was a real alarm; the last word stands."""
        People(self._journal).require(person, reason)
        self._journal.commit([self._event("judged", alert_id, real=real, person=person, reason=reason)])


def outbox_summary(journal: Any, account: str, *, wall_ns: int) -> dict[str, Any]:
    """What a supervisor must know about alerts.

    Returns
    -------
    dict
        open (critical or warning and not acknowledged), undelivered (given up), waiting, oldest_waiting_s,
        false_alarms (one row a code).
    """
    rows = [row for row in journal.rows("outbox", account=account) if row["status"] != "merged"]
    waiting = [row for row in rows if row["status"] == "pending"]
    oldest_ns = min((row["level_at_ns"] for row in waiting), default=wall_ns)
    loud = [row for row in rows if rule_of(row["code"]).severity.rank > 0 and not row["acknowledged_by"]]
    return {
        "open": len(loud),
        "undelivered": sum(row["status"] == "undeliverable" for row in rows),
        "waiting": len(waiting),
        "oldest_waiting_s": max(0, wall_ns - oldest_ns) / NANO,
        "false_alarms": false_alarm_table(rows),
    }


class DirectAlerts:
    """Tells an alert without the journal and keeps it on disk until the journal has it.

    Parameters
    ----------
    new_id : callable () -> str
        A name that no other alert has.
    """

    def __init__(
        self,
        notifier: Notifier,
        spool: Spool,
        *,
        account: str,
        wall_ns: Callable[[], int],
        new_id: Callable[[], str],
    ) -> None:
        self._notifier = notifier
        self._spool = spool
        self._account = account
        self._wall_ns = wall_ns
        self._new_id = new_id

    def raise_alert(self, code: str, text: str, *, subject: str = "") -> bool:
        """Spool it and tell every channel; False when the same alert was spooled within its window.

        The spool comes first: what was told is never forgotten, and after a crash it is told again.
        """
        now_ns, rule = self._wall_ns(), rule_of(code)
        for entry in self._spool.read():
            alike = (entry["code"], entry["subject"]) == (code, subject)
            if alike and entry["delivered"] and now_ns - entry["at_ns"] <= rule.window_s * NANO:
                return False
        entry = {
            "account": self._account, "code": code, "text": text, "at_ns": now_ns, "subject": subject,
            "spool_id": self._new_id(), "delivered": [],
        }  # fmt: skip
        problem = ""
        try:
            self._spool.append(entry)
        except WorkbenchError as error:  # a full disk must not keep the alert from being told
            problem = f"\nthis alert could not be kept on disk: {error.message}"
        row = {**entry, "alert_id": 0, "level": 0, "count": 1}
        channels = self._notifier.channels(0, severity=rule.severity, local=rule.local)
        said = message(row, channels)
        said = replace(said, body=f"{said.body}{problem}", number=str(entry["spool_id"]))
        (answers,) = self._notifier.send([said])
        told = [channel for channel in channels if answers.get(channel) == ""]
        with contextlib.suppress(WorkbenchError):  # without this line it is told once more: at least once
            self._spool.append({**entry, "delivered": told})
        return True
