"""Whether the account may trade, and who said so: the state row, the ARMED file, halt and resume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from workbench.core.alerts import alert, halted_text
from workbench.core.halt_reasons import halt_reason
from workbench.core.halts import Halt
from workbench.core.ports import ArmedFile, Event, Journal, Lease
from workbench.errors import JournalConflict, Refused, TradingHalted
from workbench.services.halts import Halts
from workbench.services.people import People

ACTIVE: Final = "ACTIVE"
REDUCING: Final = "REDUCING"
HALTED: Final = "HALTED"
#: A halt competes with other state changes only this often before it reports the conflict.
HALT_TRIES = 5


@dataclass(frozen=True)
class Permission:
    """What may be sent now.

    Attributes
    ----------
    state : str
        "ACTIVE", "REDUCING" (risk-reducing orders only) or "HALTED". Anything unclear is HALTED.
    epoch : int
        Number of the last state change.
    reason : str
        Why, in words a person can act on.
    code_hash : str
        Hash of package and production notebook that the resuming person accepted.
    halts : tuple of Halt
        Halts of single orders, symbols and strategies of the account, which the state does not show.
    """

    state: str
    epoch: int
    reason: str
    code_hash: str = ""
    halts: tuple[Halt, ...] = ()


class Supervision:
    """State of one account; the only writer of the state row and of the ARMED file.

    Parameters
    ----------
    journal, armed
        Ports.
    account : str
    broker : str
        At which broker the account is; "" = not known here, so that a halt of any broker stops it.
    people : People, optional
        Checks and signs the words of people; by default nothing is signed.
    """

    def __init__(
        self,
        journal: Journal,
        armed: ArmedFile,
        account: str,
        broker: str = "",
        *,
        people: People | None = None,
    ) -> None:
        self._journal = journal
        self._armed = armed
        self._account = account
        self._people = people or People(journal)
        self.halts = Halts(journal, account, broker, people=self._people)

    def permission(self) -> Permission:
        """The state in force: the row *and* the ARMED file must agree, else HALTED."""
        rows = self._journal.rows("state", account=self._account)
        if not rows:
            return Permission(HALTED, 0, "a new desk starts HALTED")
        row = rows[0]
        epoch, reason, code_hash = int(row["epoch"]), str(row["reason"]), str(row["code_hash"])
        if row["state"] not in (ACTIVE, REDUCING):
            return Permission(HALTED, epoch, reason, code_hash)
        armed = self._armed.read()
        if armed is None:
            return Permission(HALTED, epoch, "the ARMED file is absent or unreadable", code_hash)
        if armed != (self._account, epoch):
            return Permission(
                HALTED,
                epoch,
                f"the ARMED file is for account {armed[0]} epoch {armed[1]}, the state row for "
                f"account {self._account} epoch {epoch}",
                code_hash,
            )
        halts = self.halts.in_force()
        if above := [halt for halt in halts if not halt.account]:
            halt = min(above, key=lambda halt: halt.reducing)  # the strictest speaks
            words = f"the {halt.level} is halted ({halt.target}, by {halt.person or 'nobody'}): {halt.reason}"
            return Permission(REDUCING if halt.reducing else HALTED, epoch, words, code_hash, halts)
        return Permission(str(row["state"]), epoch, reason, code_hash, halts)

    def require(self, *, risk_reducing: bool = False) -> Permission:
        """The permission, if it allows sending; raises TradingHalted otherwise."""
        permission = self.permission()
        if permission.state == ACTIVE or (permission.state == REDUCING and risk_reducing):
            return permission
        raise TradingHalted(
            f"account {self._account} is {permission.state}: {permission.reason}",
            next_step=f"{halt_reason(permission.reason).runbook} says what to look at; then "
            '`workbench resume --person NAME --reason "..."`',
            account=self._account,
            state=permission.state,
            reason=permission.reason,
        )

    def halt(
        self,
        reason: str,
        *,
        cause: str,
        person: str = "",
        lease: Lease | None = None,
        alerts: Sequence[Event] = (),
    ) -> None:
        """HALT the account; it latches until a person resumes.

        The ARMED file goes first, so that the halt holds even when the journal cannot be written. A halt
        that ends a permission is an alert in the same transaction, beside those of its cause.
        """
        try:
            self._armed.remove()
        finally:
            for attempt in range(HALT_TRIES):
                event = self._change(HALTED, self._epoch() + 1, reason, cause, person, "")
                told = [*self._halt_alert(reason, cause, person), *alerts]
                try:
                    self._journal.commit([event, *told], lease=lease)
                    break
                except JournalConflict:  # somebody else changed the state just now: a halt still has to win
                    if attempt == HALT_TRIES - 1:
                        raise

    def _halt_alert(self, reason: str, cause: str, person: str) -> list[Event]:
        rows = self._journal.rows("state", account=self._account)
        if not rows or rows[0]["state"] == HALTED:
            return []
        code = "WATCHDOG_HALTED" if cause == "watchdog" else "DESK_HALTED"
        text = halted_text(person or cause, reason)
        return [alert(self._account, code, text, subject=f"epoch {rows[0]['epoch']}")]

    def reduce(self, *, person: str, reason: str) -> None:
        """Allow risk-reducing orders only; needs an ACTIVE desk and a registered person."""
        self._people.check(person, reason, act="reduce")
        current = self.require()
        self._set(REDUCING, reason, person, current.code_hash, act="reduce", after_epoch=current.epoch)

    def resume(self, *, person: str, reason: str, code_hash: str, after_epoch: int) -> Permission:
        """Make the account ACTIVE on a registered person's word.

        Parameters
        ----------
        code_hash : str
            Hash of the package and the production notebook that this person accepts by resuming; a
            run of other code is refused.
        after_epoch : int
            Epoch of the state that this person has looked at. A halt that arrived since then stands.

        Raises
        ------
        TradingHalted
            The state has changed since the person looked.
        Refused
            The person may not act, or the last reconciliation has breaks.
        """
        self._people.check(person, reason, act="resume")
        self._require_clean()
        for halt in self.halts.in_force():
            if not halt.account:
                raise TradingHalted(
                    f"the {halt.level} is halted ({halt.target}): {halt.reason}",
                    next_step=f"workbench resume --level {halt.level} first; it covers every account there",
                )
        self._set(ACTIVE, reason, person, code_hash, act="resume", after_epoch=after_epoch)
        return self.permission()

    def permit_flatten(self, *, person: str, reason: str, code_hash: str, after_epoch: int) -> Permission:
        """Let a registered person's flatten send orders that reduce risk, and nothing else.

        Raises
        ------
        TradingHalted
            The state has changed since the person looked, or a halt above the account allows no reduction.
        Refused
            The person may not act.
        """
        self._people.check(person, reason)
        for halt in self.halts.in_force():
            if not halt.account and not halt.reducing:
                raise TradingHalted(
                    f"the {halt.level} is halted ({halt.target}) and lets no reduction pass: {halt.reason}",
                    next_step="docs/runbooks/flatten-by-hand.md",
                )
        said = f"flatten: {reason}"
        self._set(REDUCING, said, person, code_hash, act="flatten", after_epoch=after_epoch)
        return self.permission()

    def _require_clean(self) -> None:
        rows = self._journal.rows("reconciliations", account=self._account)
        if rows and not rows[-1]["clean"]:
            count = len(rows[-1]["breaks"])
            raise Refused(
                f"the last reconciliation of {self._account} has {count} break(s)",
                next_step="workbench reconcile, explain each break, then resume",
                breaks=rows[-1]["breaks"],
            )

    def _set(
        self, state: str, reason: str, person: str, code_hash: str, *, act: str, after_epoch: int
    ) -> None:
        # Row first, file second: a crash in between leaves the file at the old epoch, which is HALTED.
        changed = TradingHalted(
            f"the state of {self._account} changed while this was decided: {self.permission().reason}",
            next_step="look at `workbench status`, then decide again",
            account=self._account,
        )
        if self._epoch() != after_epoch:
            raise changed
        change = self._change(state, after_epoch + 1, reason, "person", person, code_hash)
        acts = self._people.require(person, reason, act=act, subject=change.payload)
        self._armed.remove()
        try:
            self._journal.commit([*acts, change])
        except JournalConflict as error:
            raise changed from error
        self._armed.write(self._account, after_epoch + 1)

    def _epoch(self) -> int:
        rows = self._journal.rows("state", account=self._account)
        return int(rows[0]["epoch"]) if rows else 0

    def _change(self, state: str, epoch: int, reason: str, cause: str, person: str, code_hash: str) -> Event:
        return Event(
            "state.changed",
            {
                "account": self._account,
                "state": state,
                "epoch": epoch,
                "reason": reason,
                "cause": cause,
                "person": person,
                "code_hash": code_hash,
            },
        )
