"""Commands of releases from a page: asked for, confirmed by another person, rolled back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from workbench.screens.commands import PageCommands, Said

#: Columns of the table of gates.
GATE_COLUMNS = ("model", "stage", "gate", "verdict", "numbers", "reasons")


class ReleaseCommands(PageCommands):
    """Promotion and rollback: each does what the command line does, every gate recomputed.

    Parameters
    ----------
    login, role_of
        As `PageCommands`.
    promote : callable (model_id, stage, person, reason, passphrase, typed) -> None
    roll_back : callable (person, reason, passphrase) -> (str, str)
        Gives the retired model and the one that decides again.
    """

    def __init__(
        self,
        *,
        login: bool,
        role_of: Callable[[str], str],
        promote: Callable[..., object],
        roll_back: Callable[..., tuple[str, str]],
    ) -> None:
        super().__init__(login=login, role_of=role_of)
        self._promote, self._roll_back = promote, roll_back

    def promote(
        self, model_id: str, stage: str, *, person: str, reason: str, passphrase: str, typed: str = ""
    ) -> Said:
        """Ask for a stage, or confirm what another person asked for."""

        def give(who: str, why: str) -> str:
            self._promote(
                model_id, stage=stage, person=who, reason=why, passphrase=passphrase, typed=typed.strip()
            )
            return f"Model {model_id[:12]} is accepted for {stage} by {who}."

        return self._carry_out(person, reason, "Not accepted", give)

    def roll_back(self, *, person: str, reason: str, passphrase: str) -> Said:
        """Retire the model that decides, so that the one before it decides again."""

        def give(who: str, why: str) -> str:
            gone, back = self._roll_back(person=who, reason=why, passphrase=passphrase)
            return f"Model {gone[:12]} is retired, {back[:12]} decides again."

        return self._carry_out(person, reason, "Not rolled back", give)


def gate_table(releases: list[dict[str, Any]]) -> pd.DataFrame:
    """One row a gate of every judgement that is current, what refuses first."""
    rows = [
        (
            str(release["model_id"])[:12], release["stage"], gate["name"],
            "passed" if gate["passed"] else "refused",
            ", ".join(f"{name} {value}" for name, value in gate["numbers"].items()),
            "; ".join(gate["reasons"]),
        )
        for release in releases
        for gate in sorted(release["gates"], key=lambda gate: bool(gate["passed"]))
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(GATE_COLUMNS))
