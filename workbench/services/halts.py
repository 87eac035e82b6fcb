"""Halts above and below the account: who stopped what, and what that leaves allowed."""

from __future__ import annotations

from collections.abc import Iterable

from workbench.core.halts import WHOLE_SYSTEM, WITHOUT_ACCOUNT, Halt, halts_of_rows
from workbench.core.ports import Event, Journal
from workbench.errors import JournalConflict, TradingHalted, UsageError
from workbench.services.people import People


class Halts:
    """Rows of halts as they concern one account.

    Parameters
    ----------
    journal : Journal
    account : str
    broker : str
        At which broker the account is; "" = not known here, so that a halt of any broker concerns it.
    people : People
        Checks and signs the words of who lifts.
    """

    def __init__(self, journal: Journal, account: str, broker: str, *, people: People) -> None:
        self._journal = journal
        self._people = people
        self._account, self._broker = account, broker

    def in_force(self) -> tuple[Halt, ...]:
        """Halts that concern this account, those above it first."""
        found = halts_of_rows(self._journal.rows("halts"))
        above = [halt for halt in found if halt.level in WITHOUT_ACCOUNT and self._covered(halt)]
        return (*above, *(halt for halt in found if halt.account == self._account))

    def _covered(self, halt: Halt) -> bool:
        return halt.level == "system" or not self._broker or halt.target == self._broker

    def find(self, level: str, target: str) -> Halt:
        """The halt of that level and target; UsageError when there is none in force."""
        for halt in halts_of_rows(self._journal.rows("halts", level=level, target=target)):
            if halt.account == self._of(level):
                return halt
        raise UsageError(
            f"there is no halt of {level} {target} to lift",
            next_step="`workbench status` shows the halts in force",
        )

    def placed(self, level: str, target: str, *, person: str, reason: str, reducing: bool) -> Event:
        """The event of a halt by a person; with `reducing` orders that reduce risk still pass."""
        return Event(
            "halt.placed",
            {
                "account": self._of(level),
                "level": level,
                "target": target,
                "state": "REDUCING" if reducing else "HALTED",
                "reason": reason,
                "cause": "person",
                "person": person,
            },
        )

    def lift(self, halt: Halt, *, person: str, reason: str, second: str = "", weaker: bool = False) -> None:
        """Take back the very halt that this person has looked at.

        Parameters
        ----------
        second : str
            The other person who agreed; the system level needs one.
        weaker : bool
            Whether a waiting time stood in for the second person.

        Raises
        ------
        ApprovalRequired, UsageError
            The person may not act, or says no reason.
        TradingHalted
            It was placed again since the person looked, or somebody else has lifted it.
        """
        payload = {
            "account": halt.account,
            "level": halt.level,
            "target": halt.target,
            "placed_seq": halt.seq,
            "reason": reason,
            "person": person,
            "second": second,
            "weaker": weaker,
        }
        acts = self._people.require(person, reason, act="lift halt", subject=payload)
        try:
            self._journal.commit([*acts, Event("halt.lifted", payload)])
        except JournalConflict as error:
            raise TradingHalted(error.message, next_step=error.next_step) from error

    def _of(self, level: str) -> str:
        return "" if level in WITHOUT_ACCOUNT else self._account


def known_targets(journal: Journal, level: str, *, account: str, also: Iterable[str]) -> set[str]:
    """Names that a halt of this level may have: what the journal knows, and what the settings name."""
    if level == "system":
        return {WHOLE_SYSTEM}
    found = set(also)
    if level == "strategy":
        return found  # one account has one strategy, which the settings name
    if level == "account":
        found |= {str(row["account"]) for row in journal.rows("state")}
    elif level == "broker":
        found |= {str(row["broker"]) for row in journal.rows("desks")}
    elif level == "model":
        found |= {str(row["model_id"]) for row in journal.rows("models")}
    else:
        column = {"order": "client_order_id", "symbol": "symbol"}[level]
        found |= {str(row[column]) for row in journal.rows("orders", account=account)}
    return found - {""}
