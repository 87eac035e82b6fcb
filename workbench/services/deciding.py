"""A person's answer to a request: checked, signed, recorded once; a refused attempt is recorded too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.core import approvals
from workbench.core.approvals import bound_hash
from workbench.core.ports import Event, Journal
from workbench.errors import ApprovalRequired, JournalConflict, Refused, UsageError
from workbench.services.approvals import ALLOWED, decision_subject, quote_of
from workbench.services.people import APPROVER, People
from workbench.services.records import order_from_row


class Deciding:
    """The requests of one account, for the person who answers them.

    Parameters
    ----------
    journal : Journal
    people : People
        Signs with the key at hand; its `signing` tells the wall-clock time.
    account, config_hash : str
        Of the settings at hand: a request made under others is refused.
    wall_ns : int
        Wall-clock time, UTC nanoseconds.
    """

    def __init__(
        self, journal: Journal, people: People, *, account: str, config_hash: str, wall_ns: int
    ) -> None:
        self._journal, self._people = journal, people
        self._account, self._config_hash, self._wall_ns = account, config_hash, wall_ns

    def waiting(self) -> list[dict[str, Any]]:
        """Requests of the account that can be answered now, oldest first."""
        rows = self._journal.rows("approvals", account=self._account, state=approvals.WAITING)
        return [row for row in rows if self._wall_ns < row["expires_wall_ns"]]

    def decide(self, named: str, *, verdict: str, person: str, reason: str, seen_hash: str = "") -> str:
        """Approve or decline one request; returns its id.

        Parameters
        ----------
        named : str
            The id, or enough of its beginning to name one request.
        verdict : {"approved", "declined"}
        seen_hash : str
            Beginning of the hash that `workbench pending` showed; "" = whatever is asked.

        Raises
        ------
        Refused
            No such request, answered or expired already, made under other settings, or its bytes are not
            those that were asked for; the attempt is recorded.
        ApprovalRequired
            The person is no approver, or the answer is not signed where it has to be.
        """
        act = f"{verdict} order"
        with self._people.refusals_recorded(person, act, named):
            row = self._find(named)
            self._require_same(row, seen_hash)
        acts = self._people.require(
            person, reason, act=act, subject=decision_subject(row, verdict), role=APPROVER
        )
        decided = {
            "approval_id": row["approval_id"], "account": self._account, "verdict": verdict,
            "person": person, "reason": reason, "bound_hash": row["bound_hash"],
            "nonce": acts[0].payload["nonce"], "decided_wall_ns": self._wall_ns,
        }  # fmt: skip
        with self._people.refusals_recorded(person, act, named):
            self._journal.commit([*acts, Event("approval.decided", decided)])
        return str(row["approval_id"])

    def _find(self, named: str) -> dict[str, Any]:
        if not named:
            raise UsageError("no request is named", next_step="workbench pending lists what waits")
        found = [row for row in self._journal.rows("approvals") if str(row["approval_id"]).startswith(named)]
        mine = [row for row in found if row["account"] == self._account]
        if not mine:
            others = f"; it belongs to account {found[0]['account']}" if found else ""
            raise ApprovalRequired(
                f"no request {named!r} waits in account {self._account}{others}",
                next_step="workbench pending lists what waits; check --config",
            )
        if len(mine) > 1:
            raise UsageError(f"{named!r} names {len(mine)} requests", next_step="give more of the id")
        row = mine[0]
        if row["state"] != approvals.WAITING:
            by = f" by {row['person']}: {row['reason']}" if row["person"] else ""
            raise JournalConflict(
                f"{row['approval_id']} is {row['state']} already{by}",
                next_step="nothing is to be done: one answer stands",
                state=row["state"],
            )
        if self._wall_ns >= row["expires_wall_ns"]:
            raise ApprovalRequired(
                f"the request {row['approval_id']} has expired; its order is not sent",
                next_step="wait for the next decision; approvals.life_s says how long a request lives",
            )
        return row

    def _require_same(self, row: Mapping[str, Any], seen_hash: str) -> None:
        if row["under"] != self._config_hash:
            raise Refused(
                f"{row['approval_id']} was asked for under settings {row['under'][:12]}, these are "
                f"{self._config_hash[:12]}",
                next_step="use the settings file of the running loop: --config FILE",
            )
        (order,) = self._journal.rows("orders", client_order_id=row["approval_id"])
        intent, quote = order_from_row(order).intent, quote_of(row["detail"])
        bound = bound_hash(intent, quote=quote, verdict=ALLOWED, config_hash=self._config_hash)
        if bound != row["bound_hash"]:
            raise Refused(
                f"{row['approval_id']} is not what was asked for: order or quote was changed since",
                next_step="workbench journal verify; then halt, and find out who changed it",
            )
        if seen_hash and not bound.startswith(seen_hash):
            raise Refused(
                f"{row['approval_id']} has the hash {bound[:12]}, you looked at {seen_hash[:12]}",
                next_step="look again: workbench pending",
            )
