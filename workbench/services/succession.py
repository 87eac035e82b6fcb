"""Sessions follow one another: none is forgotten, and none is left out unless a person says so by name."""

from __future__ import annotations

from workbench.core.ports import Calendar, Event, Journal
from workbench.errors import Refused, UsageError
from workbench.services.epochs import epoch_of, require_later


def require_next(journal: Journal, calendar: Calendar, *, account: str, session: str, venue_ns: int) -> None:
    """Refuse a session that is not the one to be traded now; asked before the venue's clock moves.

    Parameters
    ----------
    venue_ns : int
        The venue's latest time, UTC nanoseconds: an account's first session is the one that follows.

    Raises
    ------
    Refused
        An earlier session was begun and never closed, sessions would be left out, or an earlier desk epoch
        has begun it.
    """
    require_later(journal, account=account, session=session)
    closed = {str(row["session"]) for row in journal.rows("sessions", account=account)}
    begun = {str(row["session"]) for row in journal.rows("decisions", account=account)} - closed
    open_before = sorted(earlier for earlier in begun if earlier < session)
    if open_before:
        raise Refused(
            f"session {open_before[0]} was begun and never closed",
            next_step=f"workbench jobs run trading_loop --session {open_before[0]}",
            session=open_before[0],
        )
    expected = next_session(journal, calendar, account=account, venue_ns=venue_ns)
    if session > expected and session not in begun:
        raise Refused(
            f"{session} is not the next session: {expected} is, and would never be traded",
            next_step=f"run {expected}, or leave sessions out by name: "
            f'workbench jobs skip --to {session} --person NAME --reason "..."',
            session=session,
            expected=expected,
        )


def next_session(journal: Journal, calendar: Calendar, *, account: str, venue_ns: int) -> str:
    """The session to be traded next: after the last closed one, or after the account was opened."""
    rows = journal.rows("sessions", account=account)
    skipped = [
        str(event.payload["to"])
        for event in journal.events(kinds=("session.skipped",))
        if event.payload["account"] == account
    ]
    if rows:
        expected = calendar.next_session(max(str(row["session"]) for row in rows))
    else:
        expected = calendar.session_after_ns(venue_ns)
    former = epoch_of(journal, account).last_session
    return max([expected, *skipped, *([calendar.next_session(former)] if former else [])])


def skip_to(journal: Journal, *, account: str, expected: str, session: str, person: str, reason: str) -> None:
    """Record that a person leaves out all sessions before `session`."""
    if session <= expected:
        raise UsageError(
            f"{session} leaves nothing out: the next session is {expected}",
            next_step=f"workbench jobs run trading_loop --session {expected}",
        )
    payload = {"account": account, "expected": expected, "to": session, "person": person, "reason": reason}
    journal.commit([Event("session.skipped", payload)])
