"""What one session hands on to the next of the same process, when nobody else has written in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from workbench.core.ports import Journal
from workbench.services.books import ELSEWHERE, Books
from workbench.services.own_flow import OwnFlow


@dataclass(frozen=True)
class HandedOn:
    """What is known of the account right after a session's closing record.

    Attributes
    ----------
    account : str
    seq, record_hash : int and str
        Number of that record in the journal, and its hash: another journal has another one.
    books : Books or None
    flow : OwnFlow or None
    closings : sequence of rows or None
        The closing record.
    """

    account: str
    seq: int
    record_hash: str
    books: Books | None
    flow: OwnFlow | None
    closings: Sequence[dict[str, Any]] | None


#: What a session writes after its own closing record, in the same transaction or about its shadow.
AFTER_CLOSING = ("session.timed", "exposure.judged", "shadow.")
NOTHING = HandedOn("", 0, "", None, None, None)


def take_over(journal: Journal, account: str, former: HandedOn | None) -> HandedOn:
    """What the former session knew; nothing where the journal shows that more has happened since."""
    if former is None or former.books is None or former.account != account:
        return NOTHING
    record, *since = journal.events(after_seq=former.seq - 1) or (None,)
    if record is None or record.hash != former.record_hash:
        return NOTHING
    return former if all(event.kind.startswith((*ELSEWHERE, *AFTER_CLOSING)) for event in since) else NOTHING
