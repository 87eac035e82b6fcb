"""What would make the books say what the venue says, entry by entry, where no rule of the books knows how.

A busted or corrected trade, a merger, a spin-off, a change of name: the venue tells an activity of a kind
that `core.corporate` does not take over by itself. Here each becomes a proposal that a person may accept.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.core.canonical import sha256_of
from workbench.core.corporate import ACTIVITY_KINDS
from workbench.core.ledger import (
    CASH,
    PNL,
    SECURITIES,
    Ledger,
    Posting,
    posting_payload,
    reversal_postings,
)
from workbench.core.ports import Activity, VenueAccount
from workbench.core.types import NANO, from_micro

UNDONE, RENAMED, MOVED = "execution undone", "symbol renamed", "shares and cash moved"


@dataclass(frozen=True)
class Proposal:
    """One entry that a person may accept.

    Attributes
    ----------
    activity_id, kind, symbol, at_ns
        The venue's activity, in its own word, and when it took effect (UTC nanoseconds).
    how : str
        UNDONE, RENAMED or MOVED: the rule by which the entry was made.
    postings : tuple of Posting
        Amounts sum to 0.
    undoes : str
        Id of the execution that is undone; "" = none.
    """

    activity_id: str
    kind: str
    symbol: str
    at_ns: int
    how: str
    postings: tuple[Posting, ...]
    undoes: str = ""

    @property
    def words(self) -> str:
        """The entry in one line: shares by symbol, cash, and what it realises."""
        shares = [
            f"{p.quantity_nano / NANO:+g} {p.ledger_account.removeprefix(SECURITIES)}"
            for p in self.postings
            if p.quantity_nano
        ]
        cash = sum(p.amount_micro for p in self.postings if p.ledger_account == CASH)
        gain = -sum(p.amount_micro for p in self.postings if p.ledger_account.startswith(PNL))
        money = [f"{from_micro(cash):+,.6f} USD"] if cash else []
        return ", ".join([*shares, *money, *([f"realises {from_micro(gain):+,.6f} USD"] if gain else [])])


@dataclass(frozen=True)
class Proposed:
    """All proposals of one moment, and what they would leave unexplained.

    Attributes
    ----------
    proposals : tuple of Proposal
        Oldest first.
    unexplained : tuple of str
        Differences of cash or position that would remain; nothing can be accepted while there is one.
    """

    proposals: tuple[Proposal, ...]
    unexplained: tuple[str, ...]

    @property
    def mark(self) -> str:
        """Twelve characters that stand for every posting of every proposal: what a person accepts."""
        told = [[one.activity_id, *(posting_payload(p) for p in one.postings)] for one in self.proposals]
        return sha256_of(told)[:12]


def propose(
    ledger: Ledger,
    activities: Sequence[Activity],
    *,
    booked: Collection[str],
    executions: Mapping[str, Sequence[Posting]],
    theirs: VenueAccount,
) -> Proposed:
    """Entries for the activities that the books do not know how to take, checked against the account.

    An activity that is exactly the opposite of one execution undoes that execution's entry, at its cost.
    One that says only that a symbol has a new name moves the whole position at its cost, when the account
    shows just that. Any other moves the shares and the cash that it tells: shares that leave take their
    part of the cost, shares that come carry the cost of a position that left whole at the same moment, or
    none, and the rest is realised.

    Parameters
    ----------
    ledger : Ledger
        Our books.
    activities : sequence of Activity
        The venue's, of all time.
    booked : collection of str
        Ids of the activities that have an entry.
    executions : mapping of str to sequence of Posting
        Execution id -> its entry; those that were undone before are left out by the caller.
    theirs : VenueAccount
        What the venue says that the account holds.
    """
    unknown = {a.activity_id: a for a in activities if a.kind not in ACTIVITY_KINDS}
    waiting = [a for key, a in unknown.items() if key not in booked]
    found, left, after = [], dict(executions), ledger
    carried: dict[int, int] = {}  # moment -> cost that left with whole positions, not yet carried on
    for activity in sorted(waiting, key=lambda a: (a.at_ns, a.quantity_nano > 0, a.activity_id)):
        opposite = _opposite(activity, left)
        if opposite:
            entry, how = reversal_postings(left.pop(opposite), memo=f"undoes execution {opposite}"), UNDONE
        elif renamed := _renamed(after, activity, theirs):
            entry, how = renamed, RENAMED
        else:
            entry, how = _moved(after, activity, carried), MOVED
        after = after.apply(entry)
        found.append(
            Proposal(
                activity.activity_id, activity.kind, activity.symbol, activity.at_ns, how, entry, opposite
            )
        )
    return Proposed(tuple(found), _unexplained(after, theirs))


def _opposite(activity: Activity, executions: Mapping[str, Sequence[Posting]]) -> str:
    """The youngest execution whose shares and cash this activity takes back to the last unit; "" = none."""
    wanted = (activity.symbol, -activity.quantity_nano, -activity.amount_micro)
    if not activity.quantity_nano:
        return ""
    for execution_id, entry in reversed(list(executions.items())):
        moved = [p for p in entry if p.quantity_nano]
        cash = sum(p.amount_micro for p in entry if p.ledger_account == CASH)
        if len(moved) == 1:
            symbol = moved[0].ledger_account.removeprefix(SECURITIES)
            if (symbol, moved[0].quantity_nano, cash) == wanted:
                return execution_id
    return ""


def _renamed(ledger: Ledger, activity: Activity, theirs: VenueAccount) -> tuple[Posting, ...]:
    """The whole position of the one symbol that left, under the new name; () when that is not the case."""
    if activity.quantity_nano or activity.amount_micro or not activity.symbol:
        return ()
    ours, new = ledger.positions_nano, activity.symbol
    gone = [symbol for symbol in ours if not theirs.positions_nano.get(symbol)]
    held = ours.get(gone[0], 0) if len(gone) == 1 else 0
    if not held or new in ours or theirs.positions_nano.get(new) != held:
        return ()
    cost, memo = ledger.cost_micro[gone[0]], f"{gone[0]} is now {new}"
    return (Posting(SECURITIES + gone[0], -cost, -held, memo), Posting(SECURITIES + new, cost, held, memo))


def _moved(ledger: Ledger, activity: Activity, carried: dict[int, int]) -> tuple[Posting, ...]:
    symbol, quantity, amount = activity.symbol, activity.quantity_nano, activity.amount_micro
    memo = f"{activity.kind} of {symbol}" if symbol else activity.kind
    if not symbol:
        return (Posting(CASH, amount, 0, memo), Posting(f"{PNL}{activity.kind}", -amount, 0, memo))
    held, cost = ledger.positions_nano.get(symbol, 0), ledger.cost_micro.get(symbol, 0)
    moved = 0
    if quantity and held * quantity < 0:  # some of it leaves
        whole = abs(quantity) >= abs(held)
        moved = -cost if whole else -(cost * -quantity // held)
        if whole and not amount:
            carried[activity.at_ns] = carried.get(activity.at_ns, 0) + cost
    elif quantity:
        moved = carried.pop(activity.at_ns, 0)
    lines = [Posting(SECURITIES + symbol, moved, quantity, memo)] if quantity else []
    if amount:
        lines.append(Posting(CASH, amount, 0, memo))
    if moved + amount:
        lines.append(Posting(PNL + symbol, -moved - amount, 0, memo))
    return tuple(lines)


def _unexplained(ledger: Ledger, theirs: VenueAccount) -> tuple[str, ...]:
    ours = ledger.positions_nano
    pairs = {
        symbol: (ours.get(symbol, 0), theirs.positions_nano.get(symbol, 0))
        for symbol in sorted({*ours, *theirs.positions_nano})
    }
    found = [
        f"{symbol}: ours {here / NANO:g}, theirs {there / NANO:g}"
        for symbol, (here, there) in pairs.items()
        if here != there
    ]
    if ledger.cash_micro != theirs.cash_micro:
        found.append(
            f"cash: ours {from_micro(ledger.cash_micro):,.6f}, theirs {from_micro(theirs.cash_micro):,.6f}"
        )
    return tuple(found)


def proposal_payload(proposal: Proposal) -> dict[str, Any]:
    """The proposal as plain values."""
    return {
        "activity_id": proposal.activity_id,
        "kind": proposal.kind,
        "symbol": proposal.symbol,
        "at_ns": proposal.at_ns,
        "how": proposal.how,
        "undoes": proposal.undoes,
        "words": proposal.words,
        "postings": [posting_payload(posting) for posting in proposal.postings],
    }
