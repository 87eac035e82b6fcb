"""Halt, cancel and flatten: without a loop, beside a running one, and without the journal.

The ARMED file goes first and durably; from then on nothing can be sent. The row, the cancels and the record
follow, and none of them waits for another that does not answer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from workbench.adapters.armed_file import ArmedFileOnDisk
from workbench.adapters.journal import JournalDatabase
from workbench.adapters.spool import SpoolFolder
from workbench.bootstrap.desk import Desk, open_journal
from workbench.bootstrap.flattening import flatten
from workbench.bootstrap.permission import (
    BROKERS,
    book_waiting_halts,
    broker_name,
    desk_supervision,
    this_host,
)
from workbench.bootstrap.signing import Credentials
from workbench.bootstrap.venues import open_for_cancels
from workbench.config import Settings
from workbench.core.cancelling import CancelReport, OpenOrder, by_exposure, residual_of
from workbench.core.halts import DENIALS, WHOLE_SYSTEM, require_level, require_target
from workbench.core.ports import Event
from workbench.errors import ConfigError, Refused, StorageFailed, UsageError, WorkbenchError
from workbench.services.flattening import FlattenReport
from workbench.services.halts import known_targets
from workbench.services.killing import MassCancel, carried_out, halt_by_row, known_open_orders
from workbench.services.supervision import HALTED, REDUCING, Supervision

#: How long the cancels wait for the state row, and how long the record waits for the journal at the end, s.
ROW_FIRST_S, RECORD_S = 0.3, 15.0


@dataclass(frozen=True)
class HaltOrder:
    """What a person wants stopped.

    Attributes
    ----------
    target : str
        "" = the desk's own account, broker, or the whole system.
    cancel : bool
        Whether open orders that it covers are to be ended.
    flatten : bool
        Whether the desk's positions are to be closed afterwards; cancels too.
    reducing : bool
        Whether orders that reduce risk still pass.
    """

    person: str
    reason: str
    level: str = "account"
    target: str = ""
    cancel: bool = False
    reducing: bool = False
    flatten: bool = False

    def covers_desk(self, settings: Settings) -> bool:
        """Whether the desk's whole account is stopped by it."""
        own = {"account": settings.account, "broker": broker_name(settings), "system": WHOLE_SYSTEM}
        return self.target == own.get(self.level)

    def wants(self, order: OpenOrder) -> bool:
        """Whether it stops this order of the desk's account; one account has one strategy."""
        if self.level == "order":
            return order.identity == self.target
        return self.level != "symbol" or order.order.symbol == self.target


@dataclass(frozen=True)
class HaltReport:
    """What a halt did, and what it could not prove.

    Attributes
    ----------
    accounts : tuple of str
        Accounts whose state is HALTED by it.
    elsewhere : tuple of str
        Those of them that are other desks': HALTED too, but their open orders were not touched from here.
    journal : str
        "written", or "spooled": kept in a file of the desk until the journal is back, or "lost".
    trouble : str
        Why the journal could not be written, or the ARMED file not removed.
    cancel : CancelReport or None
    stopped_at_ns : int
        Wall-clock time at which the ARMED file was gone for good, UTC nanoseconds; 0 = it was not touched.
    seconds : float
        From then to the last cancel that the venue confirmed.
    flatten : FlattenReport or None
    not_flattened : str
        Why nothing was flattened although it was asked for.
    """

    order: HaltOrder
    state: str
    accounts: tuple[str, ...]
    elsewhere: tuple[str, ...] = ()
    journal: str = "written"
    trouble: str = ""
    cancel: CancelReport | None = None
    stopped_at_ns: int = 0
    seconds: float = 0.0
    flatten: FlattenReport | None = None
    not_flattened: str = ""

    @property
    def proven(self) -> bool:
        """Whether everything that was asked for is shown to be done."""
        ended = not self.order.cancel or not self.elsewhere
        ended = ended and (self.cancel is None or self.cancel.proven)
        flat = self.flatten is None or self.flatten.flat
        return ended and flat and self.journal != "lost"


@dataclass
class _Record:
    """The journal's part of a halt, written beside the cancels: it may take for ever, they may not."""

    settings: Settings
    order: HaltOrder
    account_halts: bool
    journal: JournalDatabase | None = None
    accounts: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    trouble: str = ""
    written: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Write in a thread that the process does not wait for when it ends."""
        threading.Thread(target=self.write, daemon=True).start()

    def write(self) -> None:
        """Rows of the halt; what went wrong is kept as words, for the file that takes the journal's place."""
        try:
            journal = open_journal(self.settings, read_only=False)
            self.journal = journal
            own = desk_supervision(self.settings, journal)
            if self.account_halts:
                self._halt_accounts(journal, own)
            else:
                journal.commit([_placed(own, self.order)])
            self.written.set()
        except Exception as error:  # boundary: whatever the journal did, the halt stands and is spooled
            words = error.message if isinstance(error, WorkbenchError) else str(error)
            self.trouble = f"{type(error).__name__}: {words}"
        finally:
            self.over.set()

    def _halt_accounts(self, journal: JournalDatabase, own: Supervision) -> None:
        order, settings = self.order, self.settings
        if order.level != "account":
            journal.commit([_placed(own, order)])
        here = {row["account"]: row["folder"] for row in journal.rows("desks") if row["host"] == this_host()}
        names = _covered(journal, order, settings)
        for name in names:  # every ARMED file of this machine before the first row
            if name in here and Path(here[name]).is_dir():
                with suppress(StorageFailed):  # tried again below, and its row stops it too
                    ArmedFileOnDisk(Path(here[name]) / "ARMED").remove()
        for name in names:
            mine = name == settings.account
            armed = ArmedFileOnDisk(Path(here.get(name, Desk(settings).paths.root)) / "ARMED")
            one = own if mine else Supervision(journal, _OutOfReach() if name not in here else armed, name)
            halt_by_row(one, order.reason, person=order.person)
        self.accounts = names
        self.elsewhere = tuple(name for name in names if name != settings.account)
        book_waiting_halts(settings, journal)

    def known(self) -> Sequence[OpenOrder]:
        """Orders that the journal says may be at the venue; () while it has not answered."""
        if self.journal is None or not self.written.is_set():
            return ()
        try:
            return known_open_orders(self.journal, self.settings.account)
        except WorkbenchError:
            return ()

    def close(self) -> None:
        """Close the journal, unless it is still busy."""
        if self.journal is not None and self.over.is_set():
            self.journal.close()


class _OutOfReach:
    """The ARMED file of a desk on another machine, which nobody here can touch."""

    def read(self) -> None: ...
    def write(self, account: str, epoch: int) -> None: ...
    def remove(self) -> None: ...


def halt(settings: Settings, order: HaltOrder, *, credentials: Credentials | None = None) -> HaltReport:
    """Stop what the order names; nobody is asked for permission to stop.

    Raises
    ------
    UsageError
        No such level or target, or no reason; nothing was done.
    StorageFailed
        Neither could the ARMED file be removed nor the journal say HALTED: remove the file by hand.
    """
    order = _checked(settings, order)
    desk = Desk(settings)
    if not desk.paths.root.is_dir():
        raise ConfigError(f"there is no desk at {desk.paths.root}", next_step="workbench init, or --config")
    covers = order.covers_desk(settings)
    stopped_at_ns, stuck = _disarm(desk) if covers else (0, None)
    began = time.monotonic()
    record = _Record(settings, order, account_halts=order.level not in DENIALS)
    if covers:
        record.start()
        record.over.wait(ROW_FIRST_S)
    else:
        _require_known(settings, order)
        record.write()
        if record.trouble and order.level not in DENIALS:
            raise StorageFailed(
                f"the {order.level} {order.target} is not this desk's, and the journal is down: "
                f"{record.trouble}",
                next_step="halt at the desk of that account: its ARMED file is there",
            )
        if record.trouble:  # a halt of a part that nobody could record becomes one of the whole
            stopped_at_ns, stuck = _disarm(desk)
    waited = time.monotonic() - began
    here = covers or order.level in DENIALS
    cancel = _cancel(settings, desk, order, record) if order.cancel and here else None
    record.over.wait(RECORD_S)
    try:
        report = _reported(desk, order, record, cancel)
        seconds = waited + cancel.seconds if cancel is not None else 0.0
        report = replace(report, stopped_at_ns=stopped_at_ns, seconds=seconds)
    finally:
        record.close()
    if stuck is not None:
        if report.journal != "written":
            raise stuck
        report = replace(report, trouble=f"the row says HALTED, but {stuck.message}")
    return _flattened(settings, report, credentials) if order.flatten else report


def _disarm(desk: Desk) -> tuple[int, StorageFailed | None]:
    """Remove the ARMED file durably; when it was gone, or why it is not: the rest of the halt goes on."""
    try:
        ArmedFileOnDisk(desk.paths.armed).remove()
    except StorageFailed as error:
        return 0, error
    return time.time_ns(), None


def _flattened(settings: Settings, report: HaltReport, credentials: Credentials | None) -> HaltReport:
    """The report with what the flatten came to; not without the journal, nor while an order works."""
    order, why = report.order, ""
    if report.journal != "written":
        why = f"the journal is down, and nothing is sent without it: {report.trouble}"
    elif report.cancel is None or report.cancel.trouble or any(o.shown for o in report.cancel.residuals):
        why = "not every order is shown to have ended, and one of them may still trade"
    if not why:
        try:
            found = flatten(settings, person=order.person, reason=order.reason, credentials=credentials)
            return replace(report, flatten=found)
        except Refused as error:
            why = f"{error.message}; next: {error.next_step}" if error.next_step else error.message
    return replace(report, not_flattened=why)


def _checked(settings: Settings, order: HaltOrder) -> HaltOrder:
    """The order with its target filled in; what cannot be meant is refused before anything is done."""
    require_level(order.level)
    if not order.reason.strip():
        raise UsageError("a reason is required", next_step='add --reason "what is wrong"')
    if order.level == "account" and order.reducing:
        raise UsageError("a halted account sends nothing", next_step="use `workbench reduce` instead")
    own = {"account": settings.account, "broker": broker_name(settings), "system": WHOLE_SYSTEM}
    own["strategy"] = settings.strategy
    target = order.target or own.get(order.level, "")
    if order.level in ("broker", "system"):
        require_target(order.level, target, BROKERS if order.level == "broker" else (WHOLE_SYSTEM,))
    order = replace(order, target=target, cancel=order.cancel or order.flatten)
    if order.flatten and not order.covers_desk(settings):
        raise UsageError(
            f"a halt of {order.level} {target} does not flatten this desk's account",
            next_step="leave --level and --target out, or flatten at the desk of that account",
        )
    wider = order.flatten and order.level != "account"  # what reduces has to pass a wider halt
    return replace(order, reducing=order.reducing or wider)


def _require_known(settings: Settings, order: HaltOrder) -> None:
    """Refuse a target that neither settings nor journal know; without the journal nothing is refused."""
    also = {
        "symbol": settings.universe, "strategy": (settings.strategy,), "account": (settings.account,),
        "broker": BROKERS, "order": (), "model": (),
    }[order.level]  # fmt: skip
    try:
        with open_journal(settings, read_only=True) as journal:
            known = known_targets(journal, order.level, account=settings.account, also=also)
    except Exception:  # boundary: nobody can say that there is no such target, so the halt goes on
        return
    require_target(order.level, order.target, known)


def _cancel(settings: Settings, desk: Desk, order: HaltOrder, record: _Record) -> CancelReport:
    try:
        link = open_for_cancels(settings, desk)
    except Exception as error:  # boundary: a venue that cannot be reached leaves what is known as residual
        words = error.message if isinstance(error, WorkbenchError) else type(error).__name__
        left = by_exposure(one for one in record.known() if order.wants(one))
        return CancelReport(trouble=words, residuals=tuple(residual_of(one, words) for one in left))
    try:
        whole = order.covers_desk(settings) or order.level in ("model", "strategy")
        cancel = MassCancel(link.orders, monotonic=time.monotonic, sleep=time.sleep)
        return cancel.run(order.wants, everything=whole and link.verified, known=record.known)
    finally:
        link.close()


def _reported(desk: Desk, order: HaltOrder, record: _Record, cancel: CancelReport | None) -> HaltReport:
    """The report, journalled; or kept in a file when the journal does not take it."""
    account, trouble = desk.settings.account, record.trouble
    kept = {
        "level": order.level, "target": order.target, "person": order.person, "reason": order.reason,
        "reducing": order.reducing, "report": {} if cancel is None else cancel.payload(),
    }  # fmt: skip
    if not record.over.is_set():
        trouble = f"no answer within {RECORD_S:.0f} s"
    if not trouble and record.journal is not None:
        try:
            record.journal.commit([carried_out(account, kept), *_alerts(account, order, cancel)])
        except Exception as error:  # boundary: the journal went away meanwhile
            trouble = error.message if isinstance(error, WorkbenchError) else type(error).__name__
    place = "written"
    if trouble:
        try:
            SpoolFolder(desk.paths.spool).keep(kept)
            place = "spooled"
        except StorageFailed as error:
            place, trouble = "lost", f"{trouble}; {error.message}"
    state = REDUCING if order.reducing and not trouble else HALTED
    accounts = (account,) if trouble else record.accounts
    return HaltReport(order, state, accounts, record.elsewhere, place, trouble, cancel)


def _alerts(account: str, order: HaltOrder, cancel: CancelReport | None) -> list[Event]:
    """An alert for orders that may still be open."""
    if cancel is None or cancel.proven:
        return []
    ids = ", ".join(one.client_order_id for one in cancel.residuals[:5])
    text = f"halt by {order.person}: {len(cancel.residuals)} order(s) not shown to have ended: {ids}"
    words = {"account": account, "code": "CANCEL_UNCONFIRMED", "text": text, "at_ns": time.time_ns()}
    return [Event("alert.raised", words)]


def _covered(journal: JournalDatabase, order: HaltOrder, settings: Settings) -> tuple[str, ...]:
    """Accounts that the order stops, this desk's own first."""
    if order.level == "account":
        return (order.target,)
    desks = journal.rows("desks")
    if order.level == "system":
        names = {row["account"] for row in (*journal.rows("state"), *desks)} | {settings.account}
    else:
        names = {row["account"] for row in desks if row["broker"] == order.target}
        names |= {settings.account} if order.covers_desk(settings) else set()
    return tuple(sorted(names, key=lambda name: (name != settings.account, name)))


def _placed(supervision: Supervision, order: HaltOrder) -> Event:
    return supervision.halts.placed(
        order.level, order.target, person=order.person, reason=order.reason, reducing=order.reducing
    )
