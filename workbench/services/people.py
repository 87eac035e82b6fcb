"""Who is registered, in which role, and who may act."""

from __future__ import annotations

from typing import Final

from workbench.core.ports import Event, Journal
from workbench.errors import Refused, UsageError

ROLES: Final = ("viewer", "operator", "approver")
#: Roles that may resume, adopt, promote and approve.
ACTING_ROLES: Final = frozenset({"operator", "approver"})


class People:
    """The people of a desk, as the journal knows them."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def add(self, person: str, *, role: str, passphrase_hash: str = "") -> None:
        """Register a person who may look, operate or approve."""
        if not person.strip() or person != person.strip():
            raise UsageError("a person needs a name without leading or trailing spaces")
        if role not in ROLES:
            raise UsageError(f"role {role!r} is unknown", next_step=f"choose one of {', '.join(ROLES)}")
        payload = {"person": person, "role": role, "passphrase_hash": passphrase_hash}
        self._journal.commit([Event("person.added", payload)])

    def require(self, person: str, reason: str) -> None:
        """Refuse unless `person` is registered to act and says why."""
        if not reason.strip():
            raise UsageError(
                "a reason is required", next_step='add --reason "what changed, and why it is safe"'
            )
        rows = self._journal.rows("people", person=person)
        if not rows:
            known = (
                ", ".join(sorted(str(row["person"]) for row in self._journal.rows("people"))) or "nobody yet"
            )
            raise Refused(
                f"{person!r} is not registered (registered: {known})",
                next_step="workbench people add NAME --role operator",
                person=person,
            )
        if rows[0]["role"] not in ACTING_ROLES:
            raise Refused(
                f"{person} is a {rows[0]['role']} and may not act",
                next_step="ask an operator or an approver",
                person=person,
            )
