"""Entries that a person accepts for what the venue did and the books do not know how to take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from workbench.core.adjusting import Proposed, propose
from workbench.core.corporate import ADJUSTED_PREFIX, activity_of
from workbench.core.ledger import Ledger, Posting, posting_from_payload
from workbench.core.ports import Broker, Event, Journal, Lease
from workbench.errors import ApprovalRequired, Refused
from workbench.services.people import People
from workbench.services.records import ledger_entry

ADJUSTED = "books.adjusted"


@dataclass(frozen=True)
class Adjusting:
    """Proposes entries for one account, and books what a person accepts.

    Parameters
    ----------
    ledger : callable () -> Ledger
        The books, after everything that is known by itself was booked.
    """

    journal: Journal
    broker: Broker
    account: str
    ledger: Callable[[], Ledger]

    def proposed(self) -> Proposed:
        """What could be accepted now.

        Raises
        ------
        OutcomeUnknown
            The venue does not answer.
        """
        postings = self.journal.rows("postings", account=self.account)
        booked = {activity_of(row["entry_id"]) for row in postings}
        undone = {key for event in self._adjusted() for key in event["undoes"]}
        executions: dict[str, list[Posting]] = {
            row["execution_id"]: []
            for row in self.journal.rows("fills", account=self.account)
            if row["execution_id"] not in undone
        }
        for row in postings:
            if row["entry_id"] in executions:
                executions[row["entry_id"]].append(posting_from_payload(row))
        return propose(
            self.ledger(),
            self.broker.activities(since_ns=0),
            booked=booked,
            executions=executions,
            theirs=self.broker.account(),
        )

    def accept(
        self, mark: str, *, session: str, person: str, reason: str, people: People, lease: Lease
    ) -> Proposed:
        """Book exactly what was shown, in one transaction.

        Parameters
        ----------
        mark : str
            Of the proposals that the person has looked at.
        session : str
            The session to whose books the entries belong.

        Raises
        ------
        ApprovalRequired
            The person may not act, or what would be booked is not what was shown.
        Refused
            There is nothing to accept, or the entries would leave a difference.
        """
        people.check(person, reason, act="adjust books")
        found = self.proposed()
        if not found.proposals:
            raise Refused(
                "there is nothing to adjust", next_step="`workbench reconcile` shows any difference"
            )
        if found.mark != mark:
            raise ApprovalRequired(
                f"what would be booked is {found.mark}, not {mark}: it is not what was shown",
                next_step="run `workbench adjust`, look at every entry, accept its mark",
                mark=found.mark,
            )
        if found.unexplained:
            raise Refused(
                f"the entries would leave a difference: {'; '.join(found.unexplained)}",
                next_step="ask the venue for what is missing in its activities; nothing was booked",
                unexplained=list(found.unexplained),
            )
        fact = {
            "account": self.account,
            "mark": mark,
            "activities": [one.activity_id for one in found.proposals],
            "undoes": [one.undoes for one in found.proposals if one.undoes],
            "person": person,
            "reason": reason,
        }
        acts = people.require(person, reason, act="adjust books", subject=fact)
        entries = [
            ledger_entry(
                self.account,
                ADJUSTED_PREFIX + one.activity_id,
                session,
                one.postings,
                f"{one.how}, accepted by {person}: {reason}",
            )
            for one in found.proposals
        ]
        self.journal.commit([*acts, *entries, Event(ADJUSTED, fact)], lease=lease)
        return found

    def _adjusted(self) -> list[dict[str, list[str]]]:
        events = self.journal.events(kinds=(ADJUSTED,))
        return [dict(event.payload) for event in events if event.payload["account"] == self.account]
