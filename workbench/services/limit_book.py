"""The limits in force: recorded with their date, tightened by one start, loosened by two people only."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from workbench.core.canonical import canonical_json, sha256_of
from workbench.core.limit_changes import LimitChange, limit_changes
from workbench.core.ports import Event, Journal
from workbench.errors import Refused
from workbench.services.two_people import Agreement, TwoPeople


def limits_in_force(journal: Journal, account: str) -> dict[str, Any] | None:
    """The limits that an account recorded last, whatever its settings say by now; None before the first."""
    rows = journal.rows("limits_in_force", account=account)
    return dict(json.loads(rows[-1]["limits"])) if rows else None


class LimitBook:
    """Which limits an account trades under, and since when.

    Parameters
    ----------
    journal : Journal
    account, config_hash : str
    limits : mapping of dotted key to value
        As the settings at hand have them.
    wall_ns : callable () -> int
        Wall-clock time, UTC nanoseconds; a change is dated by it.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        account: str,
        config_hash: str,
        limits: Mapping[str, Any],
        wall_ns: Callable[[], int],
    ) -> None:
        self._journal, self._account, self._config_hash = journal, account, config_hash
        self._limits, self._wall_ns = dict(limits), wall_ns

    def in_force(self) -> dict[str, Any] | None:
        """The limits recorded last; None before the first start."""
        return limits_in_force(self._journal, self._account)

    def changes(self) -> tuple[LimitChange, ...]:
        """What the settings at hand would change."""
        held = self.in_force()
        return () if held is None else limit_changes(held, self._limits)

    def require(self) -> None:
        """Record the first limits and every tightening; refuse what permits more.

        Raises
        ------
        Refused
            A limit is looser than the one in force; key, old and new value are named.
        """
        held = self.in_force()
        changes = self.changes()
        looser = [change for change in changes if change.permits_more]
        if looser:
            raise Refused(
                f"limits are looser than those in force: {'; '.join(map(str, looser))}",
                next_step='two people agree first: `workbench accept-limits --person NAME --reason "..."`, '
                "each of them; or restore the former values",
                changes=[str(change) for change in looser],
            )
        if held is None or changes:
            reason = "tightened" if held else "the first limits of the account"
            self._journal.commit([self._record(changes, "", "", weaker=False, reason=reason)])

    @property
    def subject(self) -> str:
        """What two people agree to: these limits, by account and hash."""
        return f"limits {sha256_of(self._limits)[:12]} of {self._account}"

    def agree(
        self, two: TwoPeople, *, person: str, reason: str, typed: str = ""
    ) -> tuple[tuple[LimitChange, ...], Agreement | None]:
        """The first person asks, the second one puts the limits into force; None after the first word.

        Raises
        ------
        Refused
            There is nothing to agree to.
        ApprovalRequired
            It takes another person, or more time.
        """
        changes = self.changes()
        if not any(change.permits_more for change in changes):
            raise Refused(
                "no limit is looser than the one in force: there is nothing to agree to",
                next_step="a tighter limit takes effect at the next start",
            )
        asked = [one for one in two.waiting() if one["subject"] == self.subject]
        if not asked:
            two.ask(self.subject, person=person, reason=reason)
            return changes, None
        first = str(asked[0]["first"])
        record = self._record(changes, first, person, weaker=first == person, reason=reason)
        agreement = two.confirm(self.subject, person=person, reason=reason, typed=typed, also=[record])
        return changes, agreement

    def _record(
        self, changes: tuple[LimitChange, ...], first: str, second: str, *, weaker: bool, reason: str
    ) -> Event:
        payload = {
            "account": self._account, "limits": canonical_json(self._limits),
            "config_hash": self._config_hash, "changes": [str(change) for change in changes],
            "first": first, "second": second, "weaker": weaker, "reason": reason,
            "effective_wall_ns": self._wall_ns(),
        }  # fmt: skip
        return Event("limits.changed", payload)
