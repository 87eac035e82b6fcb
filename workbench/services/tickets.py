"""One-use tickets: the positive proof that a kernel was started by the runner to trade, once."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import MutableMapping
from typing import Final

from workbench.core.ports import Event, Journal
from workbench.errors import Refused

TICKET_VARIABLE: Final = "WORKBENCH_TICKET"
#: From the start of a kernel to the redemption in its first cells, on a loaded machine.
TICKET_LIFE_NS: Final = 300 * 1_000_000_000


def issue_ticket(journal: Journal, *, run_id: str, code_hash: str, wall_ns: int) -> str:
    """A secret that lets one kernel trade once; the journal keeps only its hash.

    Parameters
    ----------
    wall_ns : int
        Wall-clock time, UTC nanoseconds; the ticket expires 300 s later.
    """
    ticket = secrets.token_hex(32)
    issued = {
        "ticket_hash": _hash(ticket),
        "run_id": run_id,
        "code_hash": code_hash,
        "expires_wall_ns": wall_ns + TICKET_LIFE_NS,
    }
    journal.commit([Event("ticket.issued", issued)])
    return ticket


def redeem_ticket(
    journal: Journal, environ: MutableMapping[str, str], *, run_id: str, code_hash: str, wall_ns: int
) -> None:
    """Use up this kernel's ticket: the positive proof that it was started to trade, once.

    Parameters
    ----------
    environ : mutable mapping
        The ticket is taken out of it before anything is judged, so that no child process inherits it.
    code_hash : str
        Hash of package and notebook, computed in this kernel.
    wall_ns : int
        Wall-clock time, UTC nanoseconds.

    Raises
    ------
    Refused
        No ticket, never issued, for another run or other code, expired, or used before.
    JournalConflict
        Another process used it at this very moment.
    """
    ticket = environ.pop(TICKET_VARIABLE, "")
    if not ticket:
        raise _no_entry("this kernel has no ticket to trade")
    ticket_hash = _hash(ticket)
    issued = journal.rows("tickets", ticket_hash=ticket_hash)
    if len(issued) != 1:
        raise _no_entry("the ticket was never issued")
    if issued[0]["run_id"] != run_id:
        raise _no_entry(f"the ticket is for run {issued[0]['run_id']}, not for {run_id}")
    if issued[0]["code_hash"] != code_hash:
        raise _no_entry("package or notebook changed after the ticket was issued")
    if not wall_ns < int(issued[0]["expires_wall_ns"]):
        raise _no_entry("the ticket has expired")
    if issued[0]["used"]:
        raise _no_entry("the ticket was used before")
    journal.commit([Event("ticket.used", {"ticket_hash": ticket_hash, "run_id": run_id})])


def _no_entry(message: str) -> Refused:
    return Refused(message, next_step="start the session with `workbench jobs run`")


def _hash(ticket: str) -> str:
    return hashlib.sha256(ticket.encode()).hexdigest()
