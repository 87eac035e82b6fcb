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
    seq : int
        Number of that record in the journal.
    books : Books or None
    flow : OwnFlow or None
    closings : sequence of rows or None
        The closing record.
    """

    seq: int
    books: Books | None
    flow: OwnFlow | None
    closings: Sequence[dict[str, Any]] | None


NOTHING = HandedOn(0, None, None, None)


def take_over(journal: Journal, account: str, former: HandedOn | None) -> HandedOn:
    """What the former session knew; nothing where the journal shows that more has happened since."""
    if former is None or former.books is None:
        return NOTHING
    closings = journal.rows("sessions", account=account)[-1:] if former.closings is None else former.closings
    if [row["added_seq"] for row in closings] != [former.seq]:
        return NOTHING
    since = journal.events(after_seq=former.seq)
    return former if all(event.kind.startswith(ELSEWHERE) for event in since) else NOTHING
