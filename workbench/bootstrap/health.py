"""Whether a desk is well, for probes, and its figures for Prometheus; reads, changes nothing."""

from __future__ import annotations

import json
import math
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Final

from workbench.bootstrap.desk import Desk, open_journal
from workbench.bootstrap.permission import desk_supervision
from workbench.bootstrap.watchdog_sign import watchdog_check, watchdog_state
from workbench.config import Settings
from workbench.core.exposition import CONTENT_TYPE, Figure, exposition
from workbench.core.ports import Journal
from workbench.errors import WorkbenchError
from workbench.services.alerting import outbox_summary
from workbench.services.preflight import Check
from workbench.services.supervision import ACTIVE, HALTED, REDUCING

HEALTH, METRICS = "/healthz", "/metrics"
_JSON: Final = "application/json; charset=utf-8"
_TEXT: Final = "text/plain; charset=utf-8"
Answer = tuple[int, str, str]
More = Callable[[], tuple[Sequence[Check], Sequence[Figure]]]


def nothing_more() -> tuple[Sequence[Check], Sequence[Figure]]:
    """For a server that has nothing of its own to say."""
    return (), ()


class HealthAnswers:
    """Answers `/healthz` and `/metrics` of one desk; never raises.

    Parameters
    ----------
    settings : Settings
    more : callable () -> (checks, figures)
        What the serving process knows of itself.
    """

    def __init__(self, settings: Settings, *, more: More = nothing_more) -> None:
        self._settings, self._more = settings, more
        self._lock = threading.Lock()
        self._known: tuple[Hashable, list[Figure]] = ((), [])

    def __call__(self, path: str, near: bool) -> Answer | None:
        """Status, content type and text; None = no such page. Who is not near learns no figures."""
        if path == HEALTH:
            checks = self.checks()
            well = all(check.ok for check in checks)
            listed = [{"name": one.name, "ok": one.ok, "found": one.found} for one in checks]
            body = {"ok": well, **({"checks": listed} if near else {})}
            return (200 if well else 503), _JSON, json.dumps(body) + "\n"
        if path == METRICS:
            if not near:
                return 403, _TEXT, "figures are given on this machine only\n"
            return 200, CONTENT_TYPE, exposition(self.figures())
        return None

    def checks(self) -> tuple[Check, ...]:
        """What has to hold for the desk to be supervised; a HALTED desk is well, an unreadable one is not."""
        settings = self._settings
        free_mb = shutil.disk_usage(_existing(settings)).free / 1e6
        disk = Check("disk", free_mb >= settings.watchdog.min_free_disk_mb, f"{free_mb:,.0f} MB free")
        more, _ = self._more()
        return (*self._journal_checks(), disk, watchdog_check(settings), *more)

    def _journal_checks(self) -> tuple[Check, ...]:
        settings = self._settings
        try:
            with open_journal(settings, read_only=True) as journal:
                permission = desk_supervision(settings, journal).permission()
                told = outbox_summary(journal, settings.account, wall_ns=time.time_ns())
        except Exception as error:  # the boundary: a probe is told why, and that nothing is known
            words = error.message if isinstance(error, WorkbenchError) else type(error).__name__
            return (Check("journal", False, words),)
        undelivered = int(told["undelivered"])
        return (
            Check("journal", True, "readable"),
            Check("state", True, permission.state),
            Check("alerts", not undelivered, f"{undelivered} undelivered"),
        )

    def figures(self) -> list[Figure]:
        """Everything that can be told now; without a journal little more than that there is none."""
        settings = self._settings
        who = {"account": settings.account, "mode": settings.mode.value}
        started = time.perf_counter()
        try:
            with open_journal(settings, read_only=True) as journal:
                found = [*self._remembered(journal), *_now(settings, journal)]
                up = 1.0
        except Exception:  # the boundary: `workbench_up` says it
            found, up = [], 0.0
        _, more = self._more()
        took = Figure("workbench_scrape_seconds", time.perf_counter() - started, "Time taken by this answer.")
        alive = Figure("workbench_up", up, "Whether the journal can be read.", who)
        return [alive, *found, *_of_host(settings), *more, took]

    def _remembered(self, journal: Any) -> list[Figure]:
        """What only changes with the journal, computed once for each of its ends."""
        end = journal.head()
        with self._lock:
            if self._known[0] != end:
                self._known = end, _recorded(self._settings, journal)
            return self._known[1]


def _recorded(settings: Settings, journal: Journal) -> list[Figure]:
    """Counts of records, money at the last close, alerts by code, and the measures of the last session."""
    account = settings.account
    sessions = journal.rows("sessions", account=account)
    states = Counter(str(row["state"]) for row in journal.rows("orders", account=account))
    raised = Counter(str(row["code"]) for row in journal.rows("alerts", account=account))
    runs = Counter((str(row["job"]), str(row["status"])) for row in journal.rows("runs"))
    reconciled = journal.rows("reconciliations", account=account)
    found = [
        Figure("workbench_sessions_total", len(sessions), "Closed sessions."),
        Figure("workbench_decisions_total", len(journal.rows("decisions", account=account)), "Decisions."),
        Figure("workbench_fills_total", len(journal.rows("fills", account=account)), "Executions."),
        *(Figure("workbench_orders", count, "Orders by state.", {"state": state})
          for state, count in sorted(states.items())),
        *(Figure("workbench_alerts_total", count, "Alerts raised.", {"code": code})
          for code, count in sorted(raised.items())),
        *(Figure("workbench_runs", count, "Runs of jobs.", {"job": job, "status": status})
          for (job, status), count in sorted(runs.items())),
    ]  # fmt: skip
    if sessions:
        last = sessions[-1]
        found += [
            Figure("workbench_equity_usd", last["equity_micro"] / 1e6, "Equity at the last close."),
            Figure("workbench_cash_usd", last["cash_micro"] / 1e6, "Cash at the last close."),
        ]
    if reconciled:
        breaks = len(reconciled[-1]["breaks"])
        found.append(Figure("workbench_breaks", breaks, "Breaks of the last reconciliation."))
    from workbench.bootstrap.monitoring import last_monitored

    measured = last_monitored(settings, journal)
    for one in measured.measures if measured else ():
        label = {"measure": one.name}
        if not math.isnan(one.value):
            found.append(Figure("workbench_measure", one.value, "Measures of the last session.", label))
        words = "Level of each measure: 0 ok, 1 unknown, 2 note, 3 warn, 4 block."
        found.append(Figure("workbench_measure_level", one.level.rank, words, label))
    return found


def _now(settings: Settings, journal: Any) -> list[Figure]:
    """State in force, halts, alerts that wait, and how long the journal is."""
    supervision = desk_supervision(settings, journal)
    permission = supervision.permission()
    halts = Counter(halt.level for halt in supervision.halts.in_force())
    told = outbox_summary(journal, settings.account, wall_ns=time.time_ns())
    return [
        *(Figure("workbench_state", float(permission.state == state), "State in force.", {"state": state})
          for state in (ACTIVE, REDUCING, HALTED)),
        Figure("workbench_state_epoch", permission.epoch, "Number of the last change of state."),
        *(Figure("workbench_halts", count, "Halts beside the account's own.", {"level": level})
          for level, count in sorted(halts.items())),
        *(Figure("workbench_alerts_in_outbox", told[name], "Alerts by what became of them.", {"status": name})
          for name in ("open", "undelivered", "waiting")),
        Figure("workbench_journal_events_total", journal.head()[0], "Events in the journal."),
    ]  # fmt: skip


def _of_host(settings: Settings) -> list[Figure]:
    paths, dog = Desk(settings).paths, watchdog_state(settings)
    found = [
        Figure("workbench_disk_free_bytes", shutil.disk_usage(_existing(settings)).free, "Space left."),
        Figure("workbench_watchdog_alive", float(dog["alive"]), "Whether a watchdog lives."),
    ]
    if dog["age_s"] is not None:
        found.append(Figure("workbench_watchdog_age_seconds", dog["age_s"], "Age of its last sign of life."))
    if not settings.journal.url and paths.journal.exists():
        size = paths.journal.stat().st_size
        found.append(Figure("workbench_journal_bytes", size, "Size of the journal's file."))
    return found


def _existing(settings: Settings) -> str:
    """The desk's folder, or the nearest one above it that is there."""
    folder = settings.desk_path
    while not folder.exists():
        folder = folder.parent
    return str(folder)
