"""What a person may order from a page: the server judges every press anew, the page only offers it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from workbench.errors import WorkbenchError

#: Roles that may give commands from a page.
COMMANDING = frozenset({"operator", "approver"})


@dataclass(frozen=True)
class Said:
    """What became of a command, in words for the person who gave it."""

    text: str
    done: bool


class PageCommands:
    """What every page's commands share: who may give them, and what is said of their outcome.

    Parameters
    ----------
    login : bool
        Whether people log in; without it a typed name is only recorded.
    role_of : callable (person) -> str
        The person's role now, "" when nobody of that name may look.
    """

    def __init__(self, *, login: bool, role_of: Callable[[str], str]) -> None:
        self.login = login
        self._role_of = role_of

    def may_command(self, person: str) -> bool:
        """Whether the page carries out what that person asks."""
        return not self.login or self._role_of(person) in COMMANDING

    def _carry_out(self, person: str, reason: str, failed: str, do: Callable[[str, str], str]) -> Said:
        who, why = person.strip(), reason.strip()
        if not self.may_command(who):
            return Said(
                f"{failed}: {who or 'nobody'} may look, not command. On the machine itself "
                "`workbench halt` asks nobody.", done=False,
            )  # fmt: skip
        if not who or not why:
            return Said(
                f"{failed} yet: give a name and a reason, so that the record can be read in a year.",
                done=False,
            )
        try:
            return Said(do(who, why), done=True)
        except (WorkbenchError, OSError) as error:
            step = error.next_step if isinstance(error, WorkbenchError) else ""
            words = error.message if isinstance(error, WorkbenchError) else str(error)
            return Said(f"{failed}: {words}. {f'Next: {step}' if step else ''}".strip(), done=False)


class DeskCommands(PageCommands):
    """The commands of the desk page: each does what the command line does, under the same guards.

    Parameters
    ----------
    login, role_of
        As `PageCommands`.
    halt : callable (person, reason) -> str
        The kill switch: the same as `workbench halt`. The pages hold no keys, so nothing is cancelled. Says
        who had halted the desk before, "" when nobody had.
    answer : callable (approval_id, verdict, person, reason, passphrase, seen_hash) -> None
        Approves or declines what waits.
    acknowledge : callable (alert_id, person, reason) -> None
        Takes an alert over.
    """

    def __init__(
        self,
        *,
        login: bool,
        role_of: Callable[[str], str],
        halt: Callable[[str, str], str],
        answer: Callable[..., object],
        acknowledge: Callable[[int, str, str], object],
    ) -> None:
        super().__init__(login=login, role_of=role_of)
        self._halt = halt
        self._answer = answer
        self._acknowledge = acknowledge

    def halt(self, person: str, reason: str) -> Said:
        """Stop sending at once; what works at the venue goes on working."""

        def stop(who: str, why: str) -> str:
            if first := self._halt(who, why):
                return f"HALTED already by {first}. Your halt stands in the record beside it."
            return (
                f"HALTED by {who}. Nothing is sent until somebody gives `workbench resume`; open orders end "
                "by `workbench halt --cancel`."
            )

        return self._carry_out(person, reason, "Not halted", stop)

    def answer(self, row: dict[str, Any], verdict: str, *, person: str, reason: str, passphrase: str) -> Said:
        """Approve or decline one waiting order, exactly as it was shown."""

        def give(who: str, why: str) -> str:
            self._answer(
                str(row["id"]), verdict=verdict, person=who, reason=why, passphrase=passphrase,
                seen_hash=str(row["hash"]),
            )  # fmt: skip
            return f"{row['side']} {row['shares']:,} {row['symbol']} is {verdict} by {who}."

        return self._carry_out(person, reason, f"Not {verdict}", give)

    def acknowledge(self, alert: int, *, person: str, reason: str) -> Said:
        """Say that somebody deals with an alert."""

        def take(who: str, why: str) -> str:
            self._acknowledge(alert, who, why)
            return f"Alert {alert} is acknowledged by {who}."

        return self._carry_out(person, reason, "Not acknowledged", take)
