"""Desk epochs: a desk whose account changes at the venue closes its journal and goes on in another one.

A reset paper account, or the step from paper to live, is another account: nothing that was ordered, filled or
owned there is true here. What people decided is: who may act, the limits, the halts, what was tried and which
models were promoted on what evidence. Every kind of event is either handed down or left behind, by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from workbench.core.alerts import rule_of
from workbench.core.inheritance import CARRIED
from workbench.core.ledger import Ledger, posting_from_payload
from workbench.core.orders import TERMINAL, OrderState
from workbench.core.ports import Event, Journal, RecordedEvent
from workbench.errors import Refused

#: Whose word a scheduler's run was: it held a lease of then.
_OF_A_SCHEDULER: Final = ("lease", "owner_token")


@dataclass(frozen=True)
class DeskEpoch:
    """One life of a desk: its journal belongs to one account at the venue.

    Attributes
    ----------
    number : int
        1 = the desk has had no other account.
    venue_account : str
        The venue's id of the account; "" before one was adopted.
    predecessor : str
        Account of the epoch before; "" = there is none.
    last_session : str
        The last session that an epoch before has begun; "" = none.
    """

    number: int
    venue_account: str
    predecessor: str = ""
    last_session: str = ""


def epoch_of(journal: Journal, account: str) -> DeskEpoch:
    """The desk epoch that a journal belongs to."""
    told = journal.events(kinds=("epoch.begun", "account.adopted"))
    mine = [event for event in told if event.payload["account"] == account]
    begun = [event.payload for event in mine if event.kind == "epoch.begun"]
    adopted = [event.payload for event in mine if event.kind == "account.adopted"]
    if begun:
        facts = begun[0]
        return DeskEpoch(
            int(facts["epoch"]), str(facts["venue_account"]), str(facts["predecessor"]),
            str(facts["last_session"]),
        )  # fmt: skip
    return DeskEpoch(1, str(adopted[-1]["venue_account"]) if adopted else "")


def require_later(journal: Journal, *, account: str, session: str) -> None:
    """Refuse a session that an earlier epoch has begun: its orders' ids were given to another account.

    Raises
    ------
    Refused
        Names the last session of the epochs before.
    """
    epoch = epoch_of(journal, account)
    if epoch.last_session and session <= epoch.last_session:
        raise Refused(
            f"session {session} belongs to an earlier desk epoch, which traded until {epoch.last_session}",
            next_step="trade a later session: the ids of that one's orders are taken",
            session=session,
            last_session=epoch.last_session,
        )


def require_closable(journal: Journal, account: str) -> None:
    """Refuse to close the books of an account while something of it is not over.

    Raises
    ------
    Refused
        An order is not final, or the journal belongs to other accounts too.
    """
    others = sorted({str(row["account"]) for row in journal.rows("state")} - {account})
    if others:
        raise Refused(
            f"the journal belongs to account {', '.join(others)} too, whose epoch does not end",
            next_step="begin the new account in another desk.path with a journal of its own",
            accounts=others,
        )
    open_orders = [
        row
        for state in OrderState
        if state not in TERMINAL
        for row in journal.rows("orders", account=account, state=str(state))
    ]
    if open_orders:
        named = ", ".join(
            f"{row['client_order_id']} ({row['symbol']}, {row['state']})" for row in open_orders
        )
        raise Refused(
            f"{len(open_orders)} order(s) of the account are not final: {named}",
            next_step="with the former keys: workbench reconcile, until each is final. Where that account is "
            "gone for good, keep this desk as its record and begin another desk.path",
            orders=[row["client_order_id"] for row in open_orders],
        )


def closing_events(
    journal: Journal,
    *,
    account: str,
    epoch: DeskEpoch,
    successor: str,
    archives: Sequence[str],
    person: str,
    reason: str,
) -> list[Event]:
    """What ends an epoch: the account HALTED, then the books as they stand.

    Parameters
    ----------
    successor : str
        The venue's id of the next account.
    archives : sequence of str
        Files of the events that were moved out of the journal, oldest first.
    """
    rows = journal.rows("state", account=account)
    halted = f"desk epoch {epoch.number} ends, {epoch.number + 1} begins HALTED"
    cause, before = "epoch", 0
    if rows:
        before = int(rows[0]["epoch"])
        if rows[0]["state"] == "HALTED":
            cause, halted = str(rows[0]["cause"]), f"{halted}; halted before: {rows[0]['reason']}"
    entries = journal.rows("postings", account=account)
    ledger = Ledger.from_postings([posting_from_payload(row) for row in entries])
    reconciled = journal.rows("reconciliations", account=account)
    return [
        Event(
            "state.changed",
            {
                "account": account, "state": "HALTED", "epoch": before + 1, "reason": halted, "cause": cause,
                "person": person, "code_hash": "",
            },
        ),
        Event(
            "epoch.closed",
            {
                "account": account, "epoch": epoch.number, "venue_account": epoch.venue_account,
                "successor": successor, "last_session": _last_session(journal, account, epoch),
                "cash_micro": ledger.cash_micro, "positions": dict(sorted(ledger.positions_nano.items())),
                "clean": bool(reconciled) and bool(reconciled[-1]["clean"]), "archives": list(archives),
                "person": person, "reason": reason,
            },
        ),
    ]  # fmt: skip


def _last_session(journal: Journal, account: str, epoch: DeskEpoch) -> str:
    begun = [
        str(row["session"])
        for projection in ("decisions", "sessions", "orders")
        for row in journal.rows(projection, account=account)
    ]
    return max([epoch.last_session, *begun])


def beginning(
    events: Iterable[RecordedEvent], alerts: Iterable[Mapping[str, Any]]
) -> tuple[Event, list[RecordedEvent]]:
    """The first event of the next epoch, and what it is handed down; a function of the closed journal alone.

    Parameters
    ----------
    events : iterable of RecordedEvent
        The whole chain of the closed journal.
    alerts : iterable of mapping
        Its outbox: what nobody has dealt with is raised again.

    Raises
    ------
    Refused
        The journal is not closed, or its first events are not there.
    """
    chain = list(events)
    if not chain or chain[-1].kind != "epoch.closed" or chain[0].seq != 1:
        raise Refused(
            "the next epoch begins from a whole journal that was closed",
            next_step="name the files of all events that were archived: workbench adopt --archive FILE",
        )
    last = chain[-1]
    facts = last.payload
    first = Event(
        "epoch.begun",
        {
            "account": facts["account"], "epoch": facts["epoch"] + 1, "venue_account": facts["successor"],
            "predecessor": facts["venue_account"], "predecessor_seq": last.seq,
            "predecessor_hash": last.hash, "last_session": facts["last_session"],
            "person": facts["person"], "reason": facts["reason"],
        },
    )  # fmt: skip
    kept = [event for event in chain if event.kind in CARRIED]
    numbers = {event.seq: number for number, event in enumerate(kept, start=2)}  # the first event comes first
    handed = [replace(event, payload=_adapted(event, numbers)) for event in kept]
    again = [
        replace(last, kind="alert.raised", payload=_raised_again(row)) for row in alerts if _is_open(row)
    ]
    return first, [*handed, *again]


def _adapted(event: RecordedEvent, numbers: Mapping[int, int]) -> Mapping[str, Any]:
    """The payload with what refers to the chain of then: a halt's number, a scheduler's lease."""
    payload = event.payload
    if "placed_seq" in payload:
        return {**payload, "placed_seq": numbers.get(payload["placed_seq"], 0)}
    if event.kind == "run.started":
        return {name: value for name, value in payload.items() if name not in _OF_A_SCHEDULER}
    return payload


def _is_open(row: Mapping[str, Any]) -> bool:
    waits = row["status"] == "pending"
    loud = rule_of(row["code"]).severity.rank > 0 and not row["acknowledged_by"]
    return row["status"] != "merged" and (waits or loud)


def _raised_again(row: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: row[name] for name in ("account", "code", "text", "at_ns", "subject")}
