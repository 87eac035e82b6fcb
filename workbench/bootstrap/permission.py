"""The permission of a desk's account: its state, its ARMED file, its halts, and where all of that is."""

from __future__ import annotations

from typing import Final

from workbench.adapters.armed_file import ArmedFileOnDisk
from workbench.adapters.journal import JournalDatabase
from workbench.adapters.kernel_guard import process_holder
from workbench.adapters.spool import SpoolFolder
from workbench.bootstrap.desk import DeskPaths
from workbench.bootstrap.venue_kind import uses_alpaca
from workbench.config import Settings
from workbench.core.ports import Event
from workbench.services.killing import book_spooled
from workbench.services.people import People
from workbench.services.supervision import Supervision

BROKERS: Final = ("alpaca", "embedded")


def broker_name(settings: Settings) -> str:
    """The name by which a halt of a broker covers this desk."""
    return "alpaca" if uses_alpaca(settings) else "embedded"


def desk_supervision(
    settings: Settings, journal: JournalDatabase, people: People | None = None
) -> Supervision:
    """State of the desk's account, halts of its broker and of the system included; `people` may act on it."""
    armed = ArmedFileOnDisk(DeskPaths(settings.desk_path).armed)
    return Supervision(journal, armed, settings.account, broker_name(settings), people=people)


def book_waiting_halts(settings: Settings, journal: JournalDatabase) -> int:
    """Journal the halts that happened while the journal was down, which halts the account; their number."""
    spool = SpoolFolder(DeskPaths(settings.desk_path).spool)
    return book_spooled(journal, desk_supervision(settings, journal), spool, account=settings.account)


def register_desk(settings: Settings, journal: JournalDatabase) -> None:
    """Tell the journal where this account's ARMED file is, so that a wider halt finds it."""
    place = {"account": settings.account, "host": this_host(), "folder": str(settings.desk_path)}
    broker = broker_name(settings)
    if not journal.rows("desks", broker=broker, **place):
        journal.commit([Event("desk.registered", {**place, "broker": broker})])


def this_host() -> str:
    """Name of this machine, as leases know it."""
    return process_holder().partition(":")[0]
