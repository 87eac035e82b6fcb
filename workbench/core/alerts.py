"""What each alert means, how loud it is, where its runbook is, and when two alerts are one.

The table is read when alerts are delivered and shown, never when events are folded: a rule may change
without changing what the journal holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol

from workbench.core.halt_reasons import RUNBOOKS, halt_reason
from workbench.core.ports import Event


class Severity(StrEnum):
    """How soon a person must look."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0, 1 or 2: the larger, the louder."""
        return list(Severity).index(self)


@dataclass(frozen=True)
class AlertRule:
    """What is known about one alert code.

    Attributes
    ----------
    code : str
        As in the event `alert.raised`.
    severity : Severity
    meaning : str
        One sentence for the person who is woken by it.
    runbook : str
        Path of the page that says what to do, from the root of the project.
    window_s : int
        Alerts of the same code and subject within so many seconds of the first are one alert that counts up.
    escalate_after_s : int
        Seconds without an acknowledgement after which the next group of channels is told; 0 = never.
    local : bool
        Delivered to console and file only: an alert about a broken channel must not need that channel.
    """

    code: str
    severity: Severity
    meaning: str
    runbook: str
    window_s: int
    escalate_after_s: int
    local: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """What two alerts of this rule must share, beside the account, to be one."""
        return ("code", "subject")

    def words(self) -> dict[str, str]:
        """Severity and runbook, for a table."""
        return {"severity": self.severity.value, "runbook": self.runbook}


HOUR_S: Final = 3_600
#: Nobody has said that he saw a critical alert: after five minutes somebody else is told.
ESCALATE_S: Final = 300


def _rule(
    code: str, severity: Severity, runbook: str, meaning: str, *, window_s: int = HOUR_S, local: bool = False
) -> AlertRule:
    escalate_s = ESCALATE_S if severity is Severity.CRITICAL else 0
    return AlertRule(code, severity, meaning, f"{RUNBOOKS}/{runbook}.md", window_s, escalate_s, local)


_OWN_FLOW: Final = "Our own orders look like a pattern that is forbidden."
_I, _W, _C = Severity.INFO, Severity.WARNING, Severity.CRITICAL
_TABLE: Final = (
    _rule(
        "STAGE_BUDGET", _I, "stage-over-budget", "A stage of the session took longer than its time budget."
    ),
    _rule("cost_drift", _W, "cost-drift", "Realised costs move away from the predicted ones."),
    _rule("cost_model_blocked", _C, "cost-model-blocked", "The cost model is blocked: nothing is traded."),
    _rule("cost_model_stale", _C, "cost-model-stale", "The cost model has expired: nothing is traded."),
    _rule("cost_model_missing", _C, "cost-model-missing", "There is no cost model: nothing is traded."),
    _rule(
        "cost_model_out_of_bounds", _C, "cost-model-out-of-bounds",
        "The cost model's parameters are out of bounds: nothing is traded.",
    ),
    _rule(
        "cost_model_wrong_regime", _W, "cost-model-wrong-regime",
        "The market is outside of what the cost model has seen: nothing is traded at this decision.",
    ),
    _rule(
        "cost_model_drifted", _C, "cost-model-drifted",
        "Realised costs have left the cost model: nothing is traded.",
    ),
    _rule("job_failed", _C, "job-failed", "A job ended without its own proof of success."),
    _rule("session_missed", _C, "missed-session", "A session was not traded: its start was missed."),
    _rule("job_missed", _W, "job-missed", "A job was not run in its time."),
    _rule("scheduler_replaced", _W, "scheduler-replaced", "A scheduler ended without saying so."),
    _rule("drift_found", _W, "drift-found", "The market differs from what the model was made with."),
    _rule(
        "MONITOR_WARNED", _W, "monitoring-warned",
        "A measure of the session is beyond the bound of a warning.",
    ),
    _rule(
        "MONITOR_BLOCKED", _C, "monitoring-blocked",
        "A measure of the session is beyond the bound of a block: no new risk is opened.",
    ),
    _rule("symbol_disabled", _C, "symbol-disabled-by-throttle", "A symbol waits until a person enables it."),
    _rule("SURVEILLANCE_SELF_MATCH", _W, "own-orders-met", _OWN_FLOW),
    _rule("SURVEILLANCE_LAYERING", _W, "layers-of-orders", _OWN_FLOW),
    _rule("SURVEILLANCE_CLOSE_MARKED", _W, "close-was-moved", _OWN_FLOW),
    _rule("APPROVAL_WAITING", _W, "approvals", "Orders wait for a person's word and expire without it."),
    _rule(
        "WATCHDOG_HALTED", _C, "watchdog-halted-the-desk",
        "The watchdog has halted the account and asked the venue to cancel our orders.",
    ),
    _rule(
        "LOOP_DEAD", _C, "loop-dead", "The process that traded has ended uncleanly."
    ),
    _rule(
        "DESK_HALTED", _C, "halt-and-resume", "The account is HALTED: nothing is sent until a person resumes."
    ),
    _rule("ORDERS_CANCELLED", _I, "orders-cancelled", "The venue shows all our orders as ended."),
    _rule("LOOP_STUCK", _C, "loop-stuck", "The process that trades shows no sign of progress."),
    _rule("RUN_CRASHED", _W, "run-crashed", "A run ended without a record."),
    _rule("ORDERS_UNWATCHED", _W, "orders-without-a-loop", "Orders are open while no process watches them."),
    _rule("CANCEL_UNCONFIRMED", _C, "orders-left-after-a-cancel", "Orders are not shown as cancelled."),
    _rule("CLOCK_SKEW", _C, "clock-skew", "Our clock and the venue's differ by more than the bound."),
    _rule("JOURNAL_UNREACHABLE", _C, "journal-unreachable", "The journal cannot be read."),
    _rule("JOURNAL_GROWTH", _W, "journal-growth", "The journal grows faster than a desk can explain."),
    _rule("DISK_LOW", _C, "disk-is-filling", "The disk of the desk is nearly full."),
    _rule("VENUE_UNREACHABLE", _C, "venue-unreachable", "The venue does not answer."),
    _rule(
        "WATCHDOG_FAILED", _C, "watchdog-failed", "The watchdog could not look or act."
    ),
    _rule(
        "ALERT_NOT_DELIVERED", _C, "alert-not-delivered",
        "An alert could not be delivered, whatever was tried.", local=True,
    ),
)  # fmt: skip
RULES: Final[Mapping[str, AlertRule]] = {rule.code: rule for rule in _TABLE}


def rule_of(code: str) -> AlertRule:
    """The rule of an alert code; a code without one is critical, because nobody knows what it means."""
    known = RULES.get(code)
    return known or _rule(code, Severity.CRITICAL, "unknown-alert", "An alert that has no rule.")


def alert(account: str, code: str, text: str, *, at_ns: int = 0, subject: str = "") -> Event:
    """The event of an alert, to be committed in the transaction of its cause.

    Parameters
    ----------
    at_ns : int, default 0
        Trading time, UTC nanoseconds; 0 = the moment at which the journal records it.
    subject : str, default ""
        What it is about, such as a run or a symbol: alerts of one code and subject are one alert.

    Examples
    --------
    >>> from workbench.core.alerts import alert
    >>> alert("demo", "CLOCK_SKEW", "3.1 s").payload["code"]
    'CLOCK_SKEW'
    """
    payload = {"account": account, "code": code, "text": text, "at_ns": at_ns}
    return Event("alert.raised", payload | ({"subject": subject} if subject else {}))


def same_alert(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> bool:
    """Whether a row of the outbox only repeats an earlier one.

    What a person has acknowledged is over: when it happens again, that is a new alert.
    """
    if earlier["acknowledged_by"] or earlier["alert_id"] >= later["alert_id"]:
        return False
    if earlier["status"] == "merged" or earlier["account"] != later["account"]:
        return False
    rule = rule_of(later["code"])
    between_ns = later["raised_at_ns"] - earlier["raised_at_ns"]
    return all(earlier[name] == later[name] for name in rule.key) and between_ns <= rule.window_s * 10**9


def retry_after_s(attempt: int, *, first_s: float, most_s: float = 300.0) -> float:
    """Seconds to wait after the `attempt`-th failed delivery: doubled each time, bounded."""
    return min(most_s, first_s * 2.0 ** min(attempt - 1, 30))


@dataclass(frozen=True)
class Message:
    """An alert as people get it.

    Attributes
    ----------
    number : str
        Alert and level, such as "512.0": the same for every attempt, so that a repetition can be recognised.
    level : int
        Group of channels.
    channels : tuple of str
        Names of the channels that have not had it.
    """

    number: str
    level: int
    title: str
    body: str
    channels: tuple[str, ...]


#: Alerts that tell a halt: their text is "halted by WHO: REASON", or the reason alone.
_HALTED_BY: Final = "halted by "
_OF_A_HALT: Final = frozenset({"DESK_HALTED", "WATCHDOG_HALTED"})


def halted_text(who: str, reason: str) -> str:
    """The text of an alert that an account was halted; `message` finds the reason in it again."""
    return f"{_HALTED_BY}{who}: {reason}"


def _cause(row: Mapping[str, Any]) -> str:
    """The page of the reason behind an alert of a halt; "" for every other alert."""
    if row["code"] not in _OF_A_HALT:
        return ""
    text = str(row["text"])
    reason = text.partition(": ")[2] if text.startswith(_HALTED_BY) else text
    return f"\nof this reason: {halt_reason(reason).runbook}"


def message(row: Mapping[str, Any], channels: Sequence[str]) -> Message:
    """What people are told of a row of the outbox; the same row gives the same bytes."""
    rule = rule_of(row["code"])
    number = f"{row['alert_id']}.{row['level']}"
    title = f"[{rule.severity}] {row['account']}: {row['code']} (alert {number})"
    repeated = f"\nseen {row['count']} times" if row["count"] > 1 else ""
    escalated = "\nESCALATED: nobody has acknowledged it" if row["level"] else ""
    body = (
        f"{row['text']}\n{rule.meaning}{repeated}{escalated}\nrunbook: {rule.runbook}{_cause(row)}\n"
        f'acknowledge: workbench alerts acknowledge {row["alert_id"]} --person NAME --reason "..."'
    )
    return Message(number, row["level"], title, body, tuple(channels))


def false_alarm_table(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row a code: how often it was raised, and how many people judged to be real or false.

    Returns
    -------
    list of dict
        code, severity, raised (every repetition counts), alerts, real, false, unjudged,
        false_rate (of the judged ones; None before any was judged).
    """
    table: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row["status"] == "merged":
            continue
        code = row["code"]
        counted = table.setdefault(
            code,
            {"code": code, "severity": rule_of(code).severity.value, "raised": 0, "alerts": 0, "real": 0,
             "false": 0, "unjudged": 0},
        )  # fmt: skip
        counted["raised"] += row["count"]
        counted["alerts"] += 1
        counted[row["judged"] or "unjudged"] += 1
    for counted in table.values():
        judged = counted["real"] + counted["false"]
        counted["false_rate"] = counted["false"] / judged if judged else None
    return [table[code] for code in sorted(table)]


class Notifier(Protocol):
    """Where alerts go: named channels in groups, each of which succeeds or fails by itself."""

    @property
    def levels(self) -> int:
        """Number of groups of channels; a higher one is told when nobody answers."""
        ...

    def channels(self, level: int, *, severity: Severity, local: bool) -> tuple[str, ...]:
        """Names of the channels that an alert goes to; never a secret among them."""
        ...

    def send(self, messages: Sequence[Message]) -> list[dict[str, str]]:
        """Tell each message to its channels, all channels at once and each in the given order.

        For each message "" for a channel that took it, else what kind of error there was. Never raises, and
        returns within a few seconds whatever a channel does.
        """
        ...
