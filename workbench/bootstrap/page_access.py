"""Who may open the dashboards and command from them: registered people, asked anew every time."""

from __future__ import annotations

import hmac

from workbench.adapters.signing import derive
from workbench.bootstrap.desk import Desk
from workbench.errors import Refused, WorkbenchError


def role_of(desk: Desk, person: str) -> str:
    """Role of a registered person now; "" for anybody else, and when it cannot be told."""
    try:
        desk.follow()  # who was revoked in a later desk epoch is revoked
        rows = desk.journal.rows("people", person=person) if person else []
        keys = desk.journal.rows("person_keys", person=person) if rows else []
    except (WorkbenchError, OSError):
        return ""
    return str(rows[0]["role"]) if rows and not any(key["revoked"] for key in keys) else ""


def is_passphrase(desk: Desk, person: str, passphrase: str) -> bool:
    """Whether it is the passphrase behind that person's registered key.

    A name that is not registered takes as long as one that is: the answer's time names nobody.
    """
    rows = desk.journal.rows("person_keys", person=person) if role_of(desk, person) else []
    source = str(rows[0]["key_source"]) if rows else ""
    known = source.startswith("scrypt ")
    try:
        made = derive(passphrase, source if known else _NOBODY).public_key().public_bytes_raw().hex()
    except Refused:
        return False
    return known and hmac.compare_digest(made, str(rows[0]["public_key"]))


def may_log_in(desk: Desk) -> bool:
    """Whether somebody is registered with a passphrase and may still look."""
    return any(
        row["key_source"].startswith("scrypt ") and role_of(desk, row["person"])
        for row in desk.journal.rows("person_keys")
    )


#: Costs as much as a real one, and belongs to nobody.
_NOBODY = f"scrypt n=32768 r=8 p=1 salt={'0' * 32}"
