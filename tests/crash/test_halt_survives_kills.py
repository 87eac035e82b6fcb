"""A halt that is killed at any of its own steps leaves a desk that is halted, for every later process."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.kill_world import OrderPath, desk_at, identity, intent_of, venue_of_many
from workbench.adapters.armed_file import ArmedFileOnDisk
from workbench.adapters.journal import JournalDatabase
from workbench.adapters.spool import SpoolFolder
from workbench.bootstrap.desk import Desk, open_journal
from workbench.bootstrap.killing import HaltOrder, halt
from workbench.bootstrap.permission import book_waiting_halts, desk_supervision
from workbench.errors import TradingHalted
from workbench.services.killing import MassCancel
from workbench.services.supervision import ACTIVE, HALTED

#: The durable steps of a halt, and what of each is replaced by a death.
STEPS: dict[str, tuple[Any, str]] = {
    "before the ARMED file goes": (ArmedFileOnDisk, "remove"),
    "before the row": (JournalDatabase, "commit"),
    "before the cancels": (MassCancel, "run"),
    "before the record is kept": (SpoolFolder, "keep"),
}


def die(*_: Any, **__: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def in_a_child(step: Callable[[], Any]) -> int:
    """Exit status of a process that does this and nothing else."""
    child = os.fork()
    if not child:
        status = 1
        try:
            step()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", sorted(STEPS))
@pytest.mark.parametrize("journal_is_down", [False, True])
def test_a_halt_killed_at_any_step_is_a_halt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, moment: str, journal_is_down: bool
) -> None:
    monkeypatch.setenv("WORKBENCH_SECRETS__VENUE_KEY", "")
    monkeypatch.setenv("WORKBENCH_SECRETS__VENUE_SECRET", "")
    venue = venue_of_many(tmp_path)
    try:
        settings = desk_at(tmp_path / "desk", venue)
        path = OrderPath(settings)
        path.oms.intend(intent_of(0), "d", ())
        path.send(0)
        path.close()
        journal_file = Desk(settings).paths.journal
        if journal_is_down:
            journal_file.rename(journal_file.with_name("elsewhere"))
        owner, name = STEPS[step]
        real = getattr(owner, name)

        def and_die(*args: Any, **kwargs: Any) -> Any:
            if moment == "after":
                real(*args, **kwargs)
            die()

        def dying() -> None:
            setattr(owner, name, and_die)
            halt(settings, HaltOrder("ada", "killed half-way", cancel=True))

        code = in_a_child(dying)
        never_reached = (name == "commit" and journal_is_down) or (name == "keep" and not journal_is_down)
        assert code == (0 if never_reached else -signal.SIGKILL)
        if journal_is_down:
            journal_file.with_name("elsewhere").rename(journal_file)

        def state() -> str:  # of a new process
            with open_journal(settings, read_only=False) as journal:
                book_waiting_halts(settings, journal)
                return desk_supervision(settings, journal).permission().state

        nothing_done = step == "before the ARMED file goes" and moment == "before"
        assert state() == (ACTIVE if nothing_done else HALTED)
        if not nothing_done:
            path = OrderPath(settings)
            with pytest.raises(TradingHalted):
                path.send(1)
            path.close()
        again = halt(settings, HaltOrder("ada", "once more", cancel=True))  # typed again it is whole
        assert again.proven
        assert state() == HALTED
        orders = {order["client_order_id"]: order["status"] for order in venue.hands.ledger()["orders"]}
        assert orders == {identity(0): "canceled"}
    finally:
        venue.close()
