"""Compose the watchdog: what it sees, and the two things that it may do."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from workbench.adapters.armed_file import ArmedFileOnDisk
from workbench.adapters.kernel_guard import process_holder
from workbench.adapters.process_lock import process_lock
from workbench.adapters.spool import SpoolFolder
from workbench.bootstrap.alerts import DeliveryThread, alert_channels, direct_alerts
from workbench.bootstrap.desk import Desk
from workbench.bootstrap.permission import desk_supervision
from workbench.bootstrap.venues import open_for_cancels
from workbench.bootstrap.watchdog_eyes import Door, Eyes
from workbench.bootstrap.watchdog_sign import watchdog_file
from workbench.config import Settings
from workbench.core.cancelling import CancelReport, OpenOrder
from workbench.core.ports import Event
from workbench.core.watch import Bounds
from workbench.errors import ConfigError, WorkbenchError
from workbench.services.alerting import DirectAlerts
from workbench.services.killing import MassCancel, known_open_orders
from workbench.services.watchdog import LookReport, Watchdog

#: How long the cancels wait for the record of the halt, seconds.
_RECORD_S = 2.0


# --- hands ---------------------------------------------------------------------------------------------


def _cancel_all(settings: Settings, door: Door) -> CancelReport:
    """End every open order of ours; the venue's list, and what the journal knows, if it answers."""

    def known() -> tuple[OpenOrder, ...]:
        try:
            return known_open_orders(door.open(), settings.account)
        except WorkbenchError:
            return ()

    link = open_for_cancels(settings, Desk(settings))
    try:
        cancel = MassCancel(link.orders, monotonic=time.monotonic, sleep=time.sleep)
        return cancel.run(lambda order: True, everything=link.verified, known=known)
    finally:
        link.close()


def _record_halt(settings: Settings, door: Door, reason: str, alerts: Sequence[Event]) -> str:
    """Write the state row with the alerts; why that has not happened within two seconds, or "".

    A writer that hangs in its transaction holds the journal's lock: the cancels do not wait for it, and the
    record follows when it lets go.
    """
    trouble = ["the journal does not take the record"]

    def write() -> None:
        try:
            supervision = desk_supervision(settings, door.open())
            supervision.halt(reason, cause="watchdog", alerts=alerts)
            trouble[0] = ""
        except Exception as error:  # the boundary: the desk is disarmed, and people are told without it
            trouble[0] = error.message if isinstance(error, WorkbenchError) else type(error).__name__

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    thread.join(_RECORD_S)
    return trouble[0]


def _disarm(settings: Settings) -> bool:
    armed = ArmedFileOnDisk(Desk(settings).paths.armed)
    there = armed.path.exists()
    armed.remove()
    return there


def _keep_halt(settings: Settings, reason: str) -> None:
    """A halt that the journal could not take; it is booked when the journal is back."""
    record = {
        "level": "account", "target": settings.account, "person": "", "reason": f"watchdog: {reason}",
        "reducing": False, "report": {},
    }  # fmt: skip
    SpoolFolder(Desk(settings).paths.spool).keep(record)


# --- the process ---------------------------------------------------------------------------------------


@dataclass
class Watch:
    """A watchdog with everything that it holds."""

    dog: Watchdog
    eyes: Eyes
    door: Door
    delivery: DeliveryThread
    direct: DirectAlerts

    def close(self) -> None:
        """Deliver what waits, then close everything."""
        self.delivery.stop()
        self.eyes.close()
        self.door.drop()


def open_watch(settings: Settings, *, trouble: Callable[[str], None]) -> Watch:
    """The watchdog of a desk, with its deliveries under way.

    Raises
    ------
    ConfigError
        There is no desk, or an alert channel is none.
    """
    if not Desk(settings).paths.anchor.exists():  # a journal that is gone is what a watchdog is for
        raise ConfigError(
            f"there is no desk at {settings.desk_path}", next_step="workbench init, or name it with --config"
        )
    channels = alert_channels(settings)
    door = Door(settings)
    eyes = Eyes(settings, door)
    bounds, direct = settings.watchdog, direct_alerts(settings, channels)
    dog = Watchdog(
        account=settings.account,
        sight=eyes.look,
        journal=door.open,
        halt=lambda reason, alerts: _record_halt(settings, door, reason, alerts),
        disarm=lambda: _disarm(settings),
        keep=lambda reason: _keep_halt(settings, reason),
        cancel=lambda: _cancel_all(settings, door),
        direct=direct,
        bounds=Bounds(
            bounds.stuck_after_s, bounds.no_progress_s, bounds.max_clock_skew_s, bounds.venue_silent_s,
            bounds.journal_silent_s, bounds.max_growth_mb_per_hour, bounds.min_free_disk_mb,
        ),
        wall_ns=time.time_ns,
    )  # fmt: skip
    delivery = DeliveryThread(settings, channels, trouble=trouble)
    delivery.start()
    return Watch(dog, eyes, door, delivery, direct)


@dataclass(frozen=True)
class WatchReport:
    """How often a watchdog looked, and what it saw last (None = it could not look)."""

    looks: int
    last: LookReport | None


def watch(settings: Settings, *, once: bool, seconds: float, trouble: Callable[[str], None]) -> WatchReport:
    """Watch a desk until SIGTERM or Ctrl-C, or for so many seconds (0 = without end).

    Raises
    ------
    Refused
        Another watchdog watches this desk.
    ConfigError
        There is no desk, or an alert channel is none.
    """
    over, sign = threading.Event(), watchdog_file(settings)
    until_s = time.monotonic() + seconds if seconds else float("inf")
    last: LookReport | None = None
    looks = 0
    with process_lock(Desk(settings).paths.root / "watchdog.lock"), _stopped_by_signals(over):
        watching = open_watch(settings, trouble=trouble)
        try:
            if not once:
                sign.begin(process_holder())
            while not over.is_set() and (not looks or time.monotonic() < until_s):
                last, looks = _one_look(watching, trouble), looks + 1
                if last is not None and not once:
                    sign.beat()
                if once:
                    break
                over.wait(settings.watchdog.look_every_s)
        finally:
            watching.close()
            if not once:
                sign.end()
    return WatchReport(looks, last)


def _one_look(watching: Watch, trouble: Callable[[str], None]) -> LookReport | None:
    try:
        return watching.dog.look()
    except Exception as error:  # the boundary: no sign of life is given, so a loop that needs one stops
        words = error.message if isinstance(error, WorkbenchError) else f"{type(error).__name__}: {error}"
        trouble(words)
        watching.direct.raise_alert("WATCHDOG_FAILED", words, subject=type(error).__name__)
        return None


@contextmanager
def _stopped_by_signals(over: threading.Event) -> Iterator[None]:
    """Let SIGTERM and Ctrl-C end the watch in good order."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, lambda *_: over.set()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
