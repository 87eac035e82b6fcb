"""What the journal says of one account, held in memory: orders, executions, entries of events, ledger.

Read from the journal once, then changed by whoever writes for the account, after each commit.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from workbench.core.corporate import activity_of
from workbench.core.ledger import CASH, Ledger, Posting, posting_from_payload
from workbench.core.orders import Fill
from workbench.core.ports import Journal
from workbench.services.own_orders import OwnOrders
from workbench.services.records import date_of, fill_from_row, order_from_row


@dataclass
class Entry:
    """What was booked of one corporate event: its date, and the change of cash and of shares."""

    session: str
    cash_micro: int = 0
    quantity_nano: int = 0


@dataclass
class Books:
    """Orders of one account, its fills and the ledger that follows from them.

    Attributes
    ----------
    orders : OwnOrders
    ledger : Ledger
    fills : dict of str to Fill or None
        By execution id; None = told by the venue and not booked, because it is of no order of ours.
    activities : dict of str to Entry
        By the venue's id of the event.
    """

    orders: OwnOrders = field(default_factory=OwnOrders)
    ledger: Ledger = field(default_factory=Ledger)
    fills: dict[str, Fill | None] = field(default_factory=dict)
    activities: dict[str, Entry] = field(default_factory=dict)

    @classmethod
    def of(cls, journal: Journal, account: str) -> Books:
        """All that the journal says."""
        orders = journal.rows("orders", account=account)
        lines = journal.rows("postings", account=account)
        books = cls(
            OwnOrders({row["client_order_id"]: order_from_row(row) for row in orders}),
            Ledger.from_postings([posting_from_payload(row) for row in lines]),
            {row["execution_id"]: fill_from_row(row) for row in journal.rows("fills", account=account)},
        )
        for row in lines:
            books._enter(row["entry_id"], row["session"], posting_from_payload(row))
        return books

    def book(self, entry_id: str, session: str, postings: tuple[Posting, ...]) -> None:
        """Take over an entry that is in the journal."""
        for posting in postings:
            self._enter(entry_id, session, posting)
        self.ledger = self.ledger.apply(postings)

    def fills_since(self, since_ns: int) -> tuple[Fill, ...]:
        """Booked executions at or after a moment."""
        return tuple(f for f in self.fills.values() if f is not None and f.filled_at_ns >= since_ns)

    def entries_since(self, since_ns: int, listed: set[str]) -> dict[str, tuple[int, int]]:
        """Cash and shares of every event that was booked after a moment, or that the venue lists.

        An entry has a date only, so what it says about the day of `since_ns` itself proves nothing.
        """
        day = date_of(since_ns)
        return {
            key: (entry.cash_micro, entry.quantity_nano)
            for key, entry in self.activities.items()
            if key in listed or entry.session > day
        }

    def _enter(self, entry_id: str, session: str, posting: Posting) -> None:
        if key := activity_of(entry_id):
            entry = self.activities.setdefault(key, Entry(session))
            entry.cash_micro += posting.amount_micro if posting.ledger_account == CASH else 0
            entry.quantity_nano += posting.quantity_nano
