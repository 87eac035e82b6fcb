"""Ending what is open at the venue after a halt, and booking halts that the journal could not take."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from workbench.core.cancelling import (
    CancelReport,
    OpenOrder,
    OpenOrders,
    Residual,
    by_exposure,
    residual_of,
)
from workbench.core.halts import LEVELS
from workbench.core.orders import TERMINAL, WORKING, OrderState
from workbench.core.ports import Event, Journal, SubmitOutcome, SubmitResult, VenueOrder
from workbench.core.types import Side
from workbench.errors import StorageFailed, WorkbenchError
from workbench.services.supervision import HALTED, Supervision

#: A request that had its last look before the halt may still land within this, seconds: what is open is
#: listed again afterwards.
SETTLE_S = 0.2
#: How long a halt goes on asking before it reports what is left, and how long it waits without any news.
DEADLINE_S, STILL_S = 150.0, 1.5
#: Wait after a request for which the venue or our own budget had no room, seconds.
NO_ROOM_S = 0.35
#: How often the end of one order is asked for, how often one request waits for room, how often a list may
#: fail in a row.
MOST_ASKS, MOST_WAITS, MOST_FAILURES = 3, 6, 6
_PAUSE_S = 0.05
#: States of ours in which the venue may have the order.
_MAY_BE_THERE = WORKING - {OrderState.NOT_ACCEPTED}


class MassCancel:
    """Asks for the end of open orders until the venue shows that they have ended.

    Parameters
    ----------
    venue : OpenOrders
    monotonic, sleep : callable
        Seconds that never run backwards, and how to wait.
    settle_s, deadline_s : float
        As the constants.
    """

    def __init__(
        self,
        venue: OpenOrders,
        *,
        monotonic: Callable[[], float],
        sleep: Callable[[float], None],
        settle_s: float = SETTLE_S,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._venue = venue
        self._monotonic, self._sleep = monotonic, sleep
        self._settle_s, self._deadline_s = settle_s, deadline_s
        self._seen: dict[str, OpenOrder] = {}
        self._ended: dict[str, VenueOrder] = {}
        self._shown: set[str] = set()
        self._asks: dict[str, int] = {}
        self._foreign: dict[str, None] = {}
        self._way, self._trouble, self._failures = "none", "", 0
        self._started = self._confirmed_s = self._news_s = 0.0

    def run(
        self,
        wanted: Callable[[OpenOrder], bool],
        *,
        everything: bool,
        known: Callable[[], Sequence[OpenOrder]] = tuple,
    ) -> CancelReport:
        """End every open order of ours that is wanted; what has been shown, and what has not.

        Parameters
        ----------
        wanted : callable (OpenOrder) -> bool
        everything : bool
            Whether one request may end them all while no foreign order is open.
        known : callable () -> sequence of OpenOrder
            Orders that our own record says may be there, looked up as well; () when nobody can tell.
        """
        self._started = self._monotonic()
        while True:
            began_s = self._elapsed_s()
            listed = self._list()
            settled = began_s >= self._settle_s
            foreign = [one.identity for one in listed or () if not one.ours]
            self._foreign.update(dict.fromkeys(foreign))
            for one in (*(listed or ()), *(known() if settled or listed is None else ())):
                if one.ours and wanted(one):
                    self._seen.setdefault(one.identity, one)
            self._end(alone=everything and listed is not None and not foreign)
            self._read_back()
            if self._over(settled=settled and listed is not None):
                return self._report()
            self._sleep(_PAUSE_S if self._open() or listed is None else max(self._settle_s - began_s, 0.0))

    # --- one round -------------------------------------------------------------------------------

    def _list(self) -> tuple[OpenOrder, ...] | None:
        try:
            listed = self._venue.listed()
        except Exception as error:  # boundary: whatever the adapter raised, there is no list
            self._trouble, self._failures = _in_short(error), self._failures + 1
            return None
        self._trouble, self._failures = "", 0
        return listed

    def _open(self) -> list[OpenOrder]:
        return [one for identity, one in self._seen.items() if identity not in self._ended]

    def _end(self, *, alone: bool) -> None:
        """Ask for the end of what is open: by one request for all, or by id from the largest exposure on."""
        todo = [
            one
            for one in self._open()
            if self._asks.get(one.identity, 0) < MOST_ASKS and one.order.venue_order_id
        ]
        if alone and len(todo) > 1 and self._tried(self._venue.cancel_all) is SubmitOutcome.ACCEPTED:
            self._way = "all"
            self._asked(*todo)
            return
        for one in by_exposure(todo):
            self._way = "by id" if self._way == "none" else self._way
            if not self._cancel(one):
                return

    def _cancel(self, order: OpenOrder) -> bool:
        """Ask for the end of one order, waiting for room; False when there is none to be had."""
        for _ in range(MOST_WAITS):
            if self._tried(partial(self._venue.cancel, order)) is not SubmitOutcome.NOT_ACCEPTED:
                self._asked(order)
                return True
            if self._elapsed_s() > self._deadline_s:
                break
            self._sleep(NO_ROOM_S)
        return False

    @staticmethod
    def _tried(request: Callable[[], SubmitResult]) -> SubmitOutcome:
        try:
            return request().outcome
        except Exception:  # boundary: it may have been asked for; only reading back tells
            return SubmitOutcome.UNKNOWN

    def _asked(self, *orders: OpenOrder) -> None:
        for order in orders:
            self._asks[order.identity] = self._asks.get(order.identity, 0) + 1
        self._news_s = self._elapsed_s()

    def _read_back(self) -> None:
        """Believe only what the venue shows of each id; that a list leaves one out proves nothing."""
        try:
            shown = self._venue.read_back(self._open())
        except Exception as error:  # boundary: nothing was shown
            self._trouble = _in_short(error)
            return
        for identity, order in shown.items():
            self._shown.add(identity)
            self._seen[identity] = replace(self._seen[identity], order=order)
            if order.state in TERMINAL:
                self._ended[identity] = order
                self._confirmed_s = self._news_s = self._elapsed_s()

    def _over(self, *, settled: bool) -> bool:
        elapsed_s = self._elapsed_s()
        if elapsed_s > self._deadline_s or self._failures >= MOST_FAILURES:
            return True
        return settled and (not self._open() or elapsed_s - self._news_s > STILL_S)

    def _elapsed_s(self) -> float:
        return self._monotonic() - self._started

    # --- the end ---------------------------------------------------------------------------------

    def _report(self) -> CancelReport:
        filled = [identity for identity, order in self._ended.items() if order.state is OrderState.FILLED]
        return CancelReport(
            way=self._way,
            asked=len(self._asks),
            confirmed=tuple(sorted(self._ended)),
            filled=tuple(sorted(filled)),
            residuals=tuple(self._residual(one) for one in by_exposure(self._open())),
            foreign=tuple(self._foreign),
            trouble=self._trouble,
            seconds=self._confirmed_s,
        )

    def _residual(self, order: OpenOrder) -> Residual:
        if order.identity not in self._shown:
            return residual_of(order, "the venue does not show it, which proves nothing")
        asks = self._asks.get(order.identity, 0)
        words = f"still {order.order.state} after its end was asked for {asks} time(s)"
        return residual_of(order, words, shown=True)


def _in_short(error: Exception) -> str:
    return error.message if isinstance(error, WorkbenchError) else type(error).__name__


def known_open_orders(journal: Journal, account: str) -> tuple[OpenOrder, ...]:
    """Orders of the account that may be at the venue, as the journal knows them."""
    return tuple(
        OpenOrder(
            VenueOrder(
                row["client_order_id"], row["venue_order_id"] or "", row["symbol"],
                Side[str(row["side"]).upper()], row["quantity_nano"], row["filled_nano"],
                OrderState(row["state"]),
            ),
            row["limit_micro"] or row["stop_micro"], row["sent_at_ns"] or 0,
        )
        for row in journal.rows("orders", account=account)
        if row["state"] in _MAY_BE_THERE
    )  # fmt: skip


# --- what the journal could not take at the time ---------------------------------------------------


class Spool(Protocol):
    """Records that wait for the journal."""

    def waiting(self) -> Sequence[tuple[str, Mapping[str, Any] | None]]:
        """Name and content of each, oldest first; None for one that cannot be read."""
        ...

    def done(self, name: str) -> None:
        """The journal holds it now."""
        ...

    def set_aside(self, name: str) -> None:
        """Nobody can read it: it is kept for a person, and met no more."""
        ...


def carried_out(account: str, record: Mapping[str, Any], *, spool: str = "") -> Event:
    """The event that keeps what a halt did; `spool` names the file that it waited in."""
    said = {name: str(record.get(name, "")) for name in ("level", "target", "person", "reason")}
    return Event(
        "halt.carried_out", {"account": account, **said, "spool": spool, "report": dict(record["report"])}
    )


def halt_by_row(supervision: Supervision, reason: str, *, person: str = "") -> None:
    """Halt the account on a person's word; an ARMED file that stays does not matter once the row says so.

    Raises
    ------
    StorageFailed
        The row does not say HALTED either.
    """
    try:
        supervision.halt(reason, cause="person", person=person)
    except StorageFailed:
        if supervision.permission().state != HALTED:
            raise


def book_spooled(journal: Journal, supervision: Supervision, spool: Spool, *, account: str) -> int:
    """Halt the account for every record that waits, and journal what was done then; their number.

    A record that was booked before (the process died before its file was removed) is not booked again; one
    that cannot be read is a halt whose words are lost.
    """
    waiting = spool.waiting()
    if not waiting:
        return 0
    booked = {str(event.payload["spool"]) for event in journal.events(kinds=("halt.carried_out",))}
    for name, record in waiting:
        if record is None or not isinstance(record.get("report"), Mapping):
            halt_by_row(supervision, f"a halt was kept in {name}, and its words are lost")
            spool.set_aside(name)
            continue
        if name not in booked:
            person, level = str(record.get("person", "")), str(record.get("level", ""))
            words = f"halted while the journal was down: {record.get('reason', '')}"
            halt_by_row(supervision, words, person=person)
            events = [carried_out(account, record, spool=name)]
            if level in LEVELS and level != "account":
                reducing = record.get("reducing") is True
                target = str(record.get("target", ""))
                events.append(
                    supervision.halts.placed(level, target, person=person, reason=words, reducing=reducing)
                )
            journal.commit(events)
        spool.done(name)
    return len(waiting)
