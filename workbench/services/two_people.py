"""What takes two people: one asks, another confirms; alone on a desk the same person, later and typed."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from workbench.core.canonical import sha256_of
from workbench.core.ports import Event, Journal
from workbench.core.types import NANO
from workbench.errors import ApprovalRequired
from workbench.services.people import APPROVER, People

#: How long a person alone has to wait before confirming what he asked for himself.
ALONE_WAIT_S: Final = 15 * 60
#: How long a request can be confirmed.
REQUEST_LIFE_S: Final = 8 * 3600


@dataclass(frozen=True)
class Agreement:
    """Two words on one subject.

    Attributes
    ----------
    subject : str
        What both agreed to.
    first, second : str
        Who asked and who confirmed.
    weaker : bool
        True when one person said both, on a desk where nobody else may act.
    """

    subject: str
    first: str
    second: str
    weaker: bool

    def _repr_html_(self) -> str:
        how = "alone, after the delay" if self.weaker else f"with {html.escape(self.second)}"
        return f"<p>{html.escape(self.subject)}: {html.escape(self.first)} {how}</p>"


class TwoPeople:
    """Requests of one account that need a second word.

    Parameters
    ----------
    journal : Journal
    people : People
    account : str
    wall_ns : callable () -> int
        Wall-clock time, UTC nanoseconds; requests live and expire by it.
    """

    def __init__(self, journal: Journal, people: People, *, account: str, wall_ns: Callable[[], int]) -> None:
        self._journal = journal
        self._people = people
        self._account = account
        self._wall_ns = wall_ns

    def ask(self, subject: str, *, person: str, reason: str) -> str:
        """Id of the request, now open for a second person; asked again by the same one it is the same.

        Raises
        ------
        ApprovalRequired
            Somebody else has asked for the same already: it wants a confirmation, not another request.
        """
        now_ns = self._wall_ns()
        request = {
            "account": self._account, "subject": subject, "first": person, "first_reason": reason,
            "asked_ns": now_ns, "expires_ns": now_ns + REQUEST_LIFE_S * NANO,
        }  # fmt: skip
        acts = self._people.require(person, reason, act="ask for a second person", subject=request)
        if open_ := self._open(subject):
            if open_["first"] == person:
                return str(open_["request_id"])
            raise ApprovalRequired(
                f"{open_['first']} has asked for {subject} already",
                next_step=f"confirm it instead, as {person}",
                request_id=open_["request_id"],
            )
        request_id = sha256_of(request)[:16]
        self._journal.commit([*acts, Event("agreement.asked", {"request_id": request_id, **request})])
        return request_id

    def confirm(
        self,
        subject: str,
        *,
        person: str,
        reason: str,
        typed: str = "",
        also: Sequence[Event] = (),
    ) -> Agreement:
        """The agreement of two people, recorded.

        Parameters
        ----------
        subject : str
            As it was asked for, word for word.
        typed : str
            On a one-person desk the subject, typed again.
        also : sequence of Event
            What the agreement permits, in the same transaction.

        Raises
        ------
        ApprovalRequired
            Nobody asked, the request expired, it takes another person, or it is too early.
        JournalConflict
            Somebody else confirmed it just now; nothing was written.
        """
        with self._people.refusals_recorded(person, "confirm", subject):
            request, first = self._confirmable(subject, person, typed)
        confirmed = {
            "request_id": request["request_id"], "account": self._account, "subject": subject,
            "first": first, "second": person, "weaker": first == person, "reason": reason,
            "confirmed_ns": self._wall_ns(),
        }  # fmt: skip
        acts = self._people.require(person, reason, act="confirm", subject=confirmed)
        self._journal.commit([*acts, Event("agreement.confirmed", confirmed), *also])
        return Agreement(subject, first, person, weaker=first == person)

    def waiting(self) -> tuple[dict[str, Any], ...]:
        """Requests that can be confirmed now, oldest first."""
        now_ns = self._wall_ns()
        rows = self._journal.rows("agreements", account=self._account)
        return tuple(r for r in rows if not r["confirmed_ns"] and r["asked_ns"] <= now_ns < r["expires_ns"])

    def _open(self, subject: str) -> dict[str, Any] | None:
        return next((row for row in self.waiting() if row["subject"] == subject), None)

    def _confirmable(self, subject: str, person: str, typed: str) -> tuple[dict[str, Any], str]:
        """The open request that this person may confirm now, and who asked for it."""
        request = self._open(subject)
        if request is None:
            raise ApprovalRequired(
                f"nobody has asked for {subject}, or the request expired",
                next_step="one person asks first, a second one confirms",
            )
        first = str(request["first"])
        self._require_first(first, subject)
        if first == person:
            self._require_alone(request, person, typed)
        elif APPROVER not in (self._people.role(first), self._people.role(person)):
            raise ApprovalRequired(
                f"{subject}: neither {first} nor {person} is an approver",
                next_step="one of the two has to be an approver: `workbench people list`",
            )
        return request, first

    def _require_first(self, first: str, subject: str) -> None:
        if first not in self._people.acting():
            raise ApprovalRequired(
                f"{first}, who asked for {subject}, may not act any more",
                next_step="somebody who may act asks anew",
            )

    def _require_alone(self, request: dict[str, Any], person: str, typed: str) -> None:
        """Refuse the same person twice, unless nobody else may act, the words are typed and time passed."""
        subject = str(request["subject"])
        others = [name for name in self._people.acting() if name != person]
        if others:
            raise ApprovalRequired(
                f"{person} asked for {subject}: a second person confirms it",
                next_step=f"ask one of: {', '.join(others)}",
            )
        left_s = ALONE_WAIT_S - (self._wall_ns() - int(request["asked_ns"])) // NANO
        if left_s > 0:
            raise ApprovalRequired(
                f"{subject}: alone on the desk, {person} confirms after {ALONE_WAIT_S // 60} minutes",
                next_step=f"think again, and confirm in {-(-left_s // 60)} minute(s)",
                wait_s=left_s,
            )
        if typed != subject:
            raise ApprovalRequired(
                f"alone on the desk, {person} confirms by typing what is confirmed",
                next_step=f"type exactly: {subject}",
            )
