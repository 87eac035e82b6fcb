"""What a page shows beside the journal: the next run, the watchdog, executed notebooks, limits in use."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from workbench.bootstrap.desk import Desk
from workbench.bootstrap.limits import limit_utilisation
from workbench.bootstrap.watchdog_sign import watchdog_state
from workbench.config import Settings
from workbench.core.types import Mode
from workbench.errors import DataError, UsageError, WorkbenchError
from workbench.services.execution import ExecutionRecords
from workbench.services.supervision import HALTED
from workbench.services.utilisation import LimitUse

#: Runs whose notebooks are linked, the newest.
MOST_RUNS = 200
#: Larger executed notebooks are not shown in a page.
MOST_BYTES = 50_000_000


def limit_uses(desk: Desk) -> Sequence[LimitUse]:
    """Use of every limit; of a desk that has nothing to measure by yet, none."""
    return limit_utilisation(desk.settings, desk=desk) if desk.journal.count("orders") else ()


class HistorySince:
    """Rows of the sessions from one on: what a page reads of a journal that is years long."""

    def __init__(self, desk: Desk, first: str) -> None:
        self._journal = desk.journal
        closed = {row["session"] for row in self._journal.rows("sessions", account=desk.settings.account)}
        last = self._journal.newest("orders", 1, account=desk.settings.account)
        self._sessions = sorted(one for one in {*closed, *(row["session"] for row in last)} if one >= first)
        self._known: dict[tuple[Any, ...], list[dict[str, Any]]] = {}

    def rows(self, projection: str, **equals: Any) -> list[dict[str, Any]]:
        """Rows whose columns equal the given values, session by session."""
        if "session" in equals:
            return self._journal.rows(projection, **equals)
        asked = (projection, *equals.items())
        if asked not in self._known:  # one reading of a journal, asked the same several times
            self._known[asked] = [
                row for one in self._sessions for row in self._journal.rows(projection, session=one, **equals)
            ]
        return self._known[asked]


def execution_since(desk: Desk, first: str) -> ExecutionRecords:
    """Records of own orders from a session on; "" = of all."""
    if not first:
        return desk.execution
    return ExecutionRecords(
        HistorySince(desk, first), desk.settings.account, source=desk.execution.source, bars=desk.bars,
        calendar=desk.calendar,
    )  # fmt: skip


def halted_before(desk: Desk, seen: Mapping[str, Any], person: str, reason: str) -> str:
    """Who halted the desk before this halt, and why; "" when this one did, or when nobody can tell.

    Parameters
    ----------
    seen : mapping
        What the person's page showed: `state`, `person`, `reason`, `journal` and `journal_seq`.
    """
    account, after_seq = desk.settings.account, int(seen.get("journal_seq", 0))
    try:
        desk.follow()
        former = seen.get("journal", desk.journal.name) != desk.journal.name
        if not former and seen.get("state") == HALTED:
            return f"{seen['person']}: {seen['reason']}"
        told = desk.journal.events(kinds=("state.changed",), after_seq=0 if former else after_seq)
    except (WorkbenchError, OSError):  # the halt stands without the journal too
        return f"{seen['person']}: {seen['reason']}" if seen.get("state") == HALTED else ""
    changes = [event.payload for event in told if event.payload["account"] == account]
    if former:  # the page was of another desk epoch: what counts is how the desk in force came to be HALTED
        began = max((at for at, one in enumerate(changes, 1) if one["state"] != HALTED), default=0)
        changes = changes[began:]
    halts = [one for one in changes if one["state"] == HALTED]
    if not halts or (halts[0]["person"], halts[0]["reason"]) == (person, reason):
        return ""
    return f"{halts[0]['person']}: {halts[0]['reason']}"


def watchdog_words(settings: Settings) -> str:
    """Whether a watchdog lives, in words that change only when that does."""
    state = watchdog_state(settings)
    if state["alive"]:
        return f"alive ({state['holder']})"
    seen = "none was ever seen" if state["age_s"] is None else f"silent ({state['holder']})"
    return f"{seen}: nothing is sent without one" if state["required"] else f"{seen}; not required"


def next_run_words(desk: Desk, last_session: str) -> str:
    """What runs next and when, in exchange time."""
    if desk.settings.mode is Mode.REPLAY:
        if not last_session:
            return "when a person starts it: workbench jobs run trading_loop"
        return f"session {desk.calendar.next_session(last_session)}, when a person starts it"
    from workbench.bootstrap.scheduling import upcoming

    try:
        slot = next(iter(upcoming(desk.settings).ahead), None)
    except WorkbenchError as error:
        return f"not known: {error.message}"
    if slot is None:
        return "nothing within a week"
    at = pd.Timestamp(slot.due_ns, unit="ns", tz="UTC").tz_convert("America/New_York")
    return f"{slot.job} of {slot.session}, {at:%Y-%m-%d %H:%M %Z}"


def notebooks_of(desk: Desk) -> dict[str, str]:
    """Run id -> address of its executed notebook on the dashboards' server, for runs that left one."""
    rows = desk.journal.newest("runs", MOST_RUNS)
    return {row["run_id"]: f"runs/{quote(row['run_id'])}" for row in rows if row["notebook"]}


@lru_cache(maxsize=8)
def _rendered(path: str, changed_ns: int) -> str:
    from workbench.pages.executed import executed_notebook

    with Path(path).open(encoding="utf-8") as file:
        return executed_notebook(json.load(file), title=path)


def notebook_page(desk: Desk, run_id: str) -> str:
    """The executed notebook of a run as one HTML page without scripts.

    Raises
    ------
    UsageError
        The journal knows no such run, or the run left no notebook.
    DataError
        Its file is gone, too large, or no notebook.
    """
    desk.follow()
    rows = desk.journal.rows("runs", run_id=run_id)
    if not rows:
        raise UsageError(f"there is no run {run_id!r}", next_step="the desk page lists the runs of this desk")
    if not rows[0]["notebook"]:
        raise UsageError(
            f"run {run_id} left no notebook: {rows[0]['status']} {rows[0]['reason']}".strip(),
            next_step=f"workbench jobs history shows how it ended; its log is in runs/{run_id}",
        )
    path = Path(rows[0]["notebook"])
    try:
        found = path.stat()
        if found.st_size > MOST_BYTES:
            raise DataError(
                f"the notebook of {run_id} has {found.st_size:,} bytes",
                next_step=f"open {path} in JupyterLab",
            )
        return _rendered(str(path), found.st_mtime_ns)
    except OSError as error:
        raise DataError(
            f"the executed notebook of {run_id} is gone: {error.strerror or error}",
            next_step=f"restore {path.parent} from a backup; the journal still holds what the run did",
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path.name} of {run_id} is no notebook: {error}", next_step="restore it from a backup"
        ) from error
