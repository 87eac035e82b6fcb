"""`workbench monitor` and the drift report: one closed session measured, with the consequences recorded."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from workbench.bootstrap.desk import Desk, open_journal
from workbench.bootstrap.venue_kind import uses_alpaca
from workbench.bootstrap.watchdog_sign import watchdog_state
from workbench.config import Settings
from workbench.core.features import select_features
from workbench.core.halts import MONITORING, Halt, halts_of_rows
from workbench.core.monitoring import Level, Measure
from workbench.core.ports import Journal
from workbench.errors import Refused
from workbench.services.model_files import read_forecast_model
from workbench.services.monitoring import (
    Monitored,
    SessionMonitor,
    input_measures,
    monitored_of_row,
)
from workbench.services.promotion import accepted_model, read_model
from workbench.services.session_measures import HostFacts
from workbench.services.session_streams import Watched

if TYPE_CHECKING:
    import pandas as pd


def monitor(settings: Settings, session: str = "", *, found: pd.DataFrame | None = None) -> Monitored:
    """What was measured of a closed session; measured and recorded now if it was not before.

    Parameters
    ----------
    session : str, default ""
        ISO date; "" = the session that was closed last.
    found : DataFrame or None
        Table of `drift_of_session`: whether inputs have drifted beyond what the model bears.

    Raises
    ------
    Refused
        No session is closed, or a later one was monitored.
    ManifestMismatch
        No model is accepted, or its file was changed.
    """
    desk = Desk(settings)
    journal = open_journal(settings, read_only=False)
    try:
        session = session or last_closed(journal, settings.account)
        watched = watched_of(settings, desk, journal)
        watching = SessionMonitor(
            journal, desk.bars, desk.calendar, watched=watched, host=host_facts(settings, desk)
        )
        inputs: list[Measure] = []
        if found is not None:
            inputs = input_measures(found, watched.manifest, watched.input_bounds)
        return watching.monitor(session, inputs=inputs)
    finally:
        journal.close()


def watched_of(settings: Settings, desk: Desk, journal: Journal) -> Watched:
    """The account and the model that decides for it now."""
    model_id = accepted_model(journal, settings.mode.value)
    content, manifest = read_model(desk.registry, model_id)
    gross_usd = float(settings.limits.max_gross_notional_usd)
    return Watched(
        account=settings.account, strategy=settings.strategy, model_id=model_id, manifest=manifest,
        features=select_features(manifest.features),
        forecaster=read_forecast_model(content, manifest.features),
        gross_limit_usd=gross_usd, net_limit_usd=gross_usd * settings.limits.max_net_fraction,
        alpha=settings.monitoring.alpha, input_bounds=settings.monitoring.input_bounds(),
    )  # fmt: skip


def host_facts(settings: Settings, desk: Desk) -> HostFacts:
    """The machine as it is now."""
    feed = f"alpaca/{settings.venue.feed}" if uses_alpaca(settings) else "recorded"
    own_file = not settings.journal.url and desk.paths.journal.exists()
    heartbeat: float | None = None
    if settings.watchdog.required:
        age_s = watchdog_state(settings)["age_s"]
        heartbeat = float("inf") if age_s is None else float(age_s)
    return HostFacts(
        feed=feed,
        journal_bytes=desk.paths.journal.stat().st_size if own_file else None,
        free_bytes=shutil.disk_usage(desk.paths.root).free,
        heartbeat_s=heartbeat,
    )


def last_monitored(settings: Settings, journal: Journal) -> Monitored | None:
    """The record of the session that was monitored last; None = none was."""
    rows = journal.rows("monitored", account=settings.account)
    return monitored_of_row(max(rows, key=lambda row: row["session"])) if rows else None


def monitoring_state(settings: Settings, journal: Journal) -> dict[str, Any]:
    """What `workbench status` shows: session, level, measures at warn and block; nulls before the first."""
    last = last_monitored(settings, journal)
    if last is None:
        return {"session": None, "level": None, "warnings": [], "blocks": []}
    return {
        "session": last.session,
        "level": last.level.value,
        "warnings": [one.name for one in last.at(Level.WARN)],
        "blocks": [one.name for one in last.at(Level.BLOCK)],
    }


def halts_by_monitoring(settings: Settings) -> tuple[Halt, ...]:
    """Halts of the account that monitoring placed and nobody has lifted."""
    with open_journal(settings, read_only=True) as journal:
        held = halts_of_rows(journal.rows("halts", account=settings.account))
    return tuple(halt for halt in held if halt.cause == MONITORING)


def last_closed(journal: Journal, account: str) -> str:
    """The account's latest closed session.

    Raises
    ------
    Refused
        None was closed.
    """
    session = max((str(row["session"]) for row in journal.rows("sessions", account=account)), default="")
    if not session:
        raise Refused(
            f"account {account} has closed no session: there is nothing to measure",
            next_step="workbench jobs run trading_loop --session DATE",
        )
    return session
