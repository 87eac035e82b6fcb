"""Take back a halt: a registered person's word, and two people's where the whole system was stopped."""

from __future__ import annotations

from workbench.bootstrap.desk import open_journal
from workbench.bootstrap.permission import broker_name, desk_supervision
from workbench.bootstrap.signing import Credentials, people_of, two_people_of
from workbench.config import Settings
from workbench.core.halts import WHOLE_SYSTEM, Halt, require_level
from workbench.errors import ApprovalRequired
from workbench.services.supervision import Permission
from workbench.services.two_people import Agreement, TwoPeople


def lift(
    settings: Settings,
    level: str,
    target: str,
    *,
    person: str,
    reason: str,
    typed: str = "",
    credentials: Credentials | None = None,
) -> Permission:
    """Take back a halt above or below the account; what the account may do then.

    The level system takes two people: the first call asks, the second person's call confirms and lifts.

    Parameters
    ----------
    typed : str
        On a desk of one person, what is confirmed, word for word.

    Raises
    ------
    UsageError
        No such level, or no such halt.
    ApprovalRequired
        The person may not act, or a second one has to confirm; says what is to be done next.
    TradingHalted
        The halt has changed since.
    """
    require_level(level)
    own = {"broker": broker_name(settings), "system": WHOLE_SYSTEM, "strategy": settings.strategy}
    journal = open_journal(settings, read_only=False)
    try:
        people = people_of(settings, journal, credentials)
        people.check(person, reason)
        supervision = desk_supervision(settings, journal, people)
        halt = supervision.halts.find(level, target or own.get(level, ""))
        second, weaker = "", False
        if level == "system":
            two = two_people_of(settings, journal, credentials)
            agreed = _agreed(two, halt, person=person, reason=reason, typed=typed)
            second, weaker = agreed.first, agreed.weaker
        supervision.halts.lift(halt, person=person, reason=reason, second=second, weaker=weaker)
        return supervision.permission()
    finally:
        journal.close()


def _agreed(two: TwoPeople, halt: Halt, *, person: str, reason: str, typed: str) -> Agreement:
    """The second word on lifting this very halt; the first one is only asked for."""
    subject = f"lift the halt of the system of event {halt.seq}"
    if not any(row["subject"] == subject for row in two.waiting()):
        two.ask(subject, person=person, reason=reason)
        raise ApprovalRequired(
            f"{person} asks to {subject}",
            next_step="a second person runs the same command; alone on the desk you do, after 15 minutes, "
            f'with --confirm "{subject}"',
        )
    return two.confirm(subject, person=person, reason=reason, typed=typed)
