"""Book what the venue did and the books do not know how to take, on a person's word."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.bootstrap import admin
from workbench.bootstrap.holding import holding
from workbench.bootstrap.signing import Credentials, people_of
from workbench.config import Settings
from workbench.core.adjusting import Proposed
from workbench.core.reconcile import Break
from workbench.services.adjusting import Adjusting
from workbench.services.succession import next_session


@dataclass(frozen=True)
class Adjustment:
    """What can be accepted, or was.

    Attributes
    ----------
    proposed : Proposed
    accepted : bool
        Whether the entries are in the books now.
    breaks : tuple of Break
        What a reconciliation found afterwards; of what was only proposed, nothing.
    """

    proposed: Proposed
    accepted: bool
    breaks: tuple[Break, ...] = ()


def adjust(
    settings: Settings,
    *,
    accept: str = "",
    person: str = "",
    reason: str = "",
    credentials: Credentials | None = None,
) -> Adjustment:
    """Propose entries for the activities that the books do not know; book those whose mark is accepted.

    Nothing can be sent meanwhile. An account that a break has halted stays halted: a person resumes it
    when the reconciliation is clean.

    Parameters
    ----------
    accept : str
        The mark of what the person has looked at; "" = nothing is booked.

    Raises
    ------
    ApprovalRequired, Refused
        The person may not act, or what would be booked is not what was shown, or does not explain all.
    """
    with holding(settings, credentials=credentials) as (account, authority):
        oms, _ = account.order_path(authority)
        oms.recover()
        adjusting = Adjusting(account.journal, account.broker, settings.account, lambda: oms.ledger)
        if not accept:
            return Adjustment(adjusting.proposed(), accepted=False)
        session = next_session(
            account.journal, account.calendar, account=settings.account, venue_ns=account.link.last_ns
        )
        found = adjusting.accept(
            accept,
            session=session,
            person=person,
            reason=reason,
            people=people_of(settings, account.journal, credentials),
            lease=authority.lease(),
        )
    return Adjustment(found, accepted=True, breaks=admin.reconcile(settings))
