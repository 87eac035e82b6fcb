"""Replay of a recorded run: the same session, traded again beside the desk from what was known then."""

from __future__ import annotations

import sqlite3
import tempfile
from dataclasses import dataclass
from pathlib import Path

from workbench.adapters.armed_file import ArmedFileOnDisk
from workbench.adapters.journal import JournalDatabase
from workbench.adapters.kernel_guard import process_holder
from workbench.adapters.run_parameters import read_parameters
from workbench.bootstrap.desk import Desk, open_journal, recorded_hash
from workbench.bootstrap.resources import present_code_hash
from workbench.bootstrap.trading import HOUR_NS, Account, load_strategy, session_times
from workbench.bootstrap.venues import embedded_venue, uses_alpaca
from workbench.config import Settings, load_settings
from workbench.core.ports import Event, RecordedEvent
from workbench.errors import DataError, ManifestMismatch, Refused, UsageError
from workbench.services.replay import ReplayReport, SessionRecord, compare
from workbench.services.session import SessionTimes, TradingSession
from workbench.services.supervision import Supervision

#: Events of one process or person's presence; a replay has its own.
_OF_A_PROCESS = ("lease.", "ticket.", "run.", "alert.", "reconciliation.")
REPLAY_KEY = b"replay" * 6  # the copy's anchor guards nothing: the copy is thrown away


@dataclass(frozen=True)
class RecordedRun:
    """A run of the trading loop that a journal knows."""

    run_id: str
    session: str
    settings: Settings


def replay(run: str | Path, *, config: str | Path = "workbench.toml") -> ReplayReport:
    """Trade a recorded session again from its recorded inputs, and compare decision by decision.

    Nothing of the desk is changed: the journal up to the session and the venue up to its start are
    copied, bars are read as they were known at each decision, and model, cost model and settings are
    those of the record, re-hashed. The session then runs through the same services.

    Parameters
    ----------
    run : str or Path
        "JOB/DATE.N", or the folder of a run.
    config : path, default "workbench.toml"
        Settings file of the desk, for a run given by name.

    Returns
    -------
    ReplayReport
        `.identical`, `.first_divergence`, `.decisions`.

    Raises
    ------
    UsageError
        There is no such run.
    ManifestMismatch
        Parameters, settings, model or cost model are not those of the record.
    DataError
        The record is not whole: the session was not closed, or its events are archived.
    Refused
        The run was not in the mode replay, or traded at a venue outside its process.

    Examples
    --------
    >>> import workbench as wb
    >>> wb.replay("trading_loop/2013-02-01.1").identical  # doctest: +SKIP
    True
    """
    found = _find(run, Path(config))
    settings = found.settings
    if uses_alpaca(settings):
        raise Refused(
            f"run {found.run_id} was in mode {settings.mode.value} at a venue outside this process, "
            "which is not recorded in full",
            next_step="replay a run of mode replay at the embedded venue",
        )
    journal = open_journal(settings, read_only=True)
    recorded = SessionRecord.of(journal, settings.account, found.session)
    if not journal.rows("sessions", account=settings.account, session=found.session):
        raise DataError(
            f"session {found.session} was never closed: its record is not whole",
            next_step="run the job again; it resumes and closes the session",
        )
    events = journal.events()
    _require_same_settings(events, found)
    with tempfile.TemporaryDirectory(prefix="workbench-replay-") as folder:
        replayed = _trade_again(found, _before(events, found), Path(folder))
    return compare(found.run_id, recorded, replayed, differences=_differences(events, found))


def _find(run: str | Path, config: Path) -> RecordedRun:
    """The run by name or folder; its parameters are proved against the journal's record."""
    name = str(run)
    folder = Path(run)
    if (folder / "parameters.json").is_file():
        found = read_parameters(folder / "parameters.json", expected_hash=recorded_hash)
        settings = load_settings(found.config_path, overrides=found.overrides)
        return RecordedRun(found.run_id, found.session, settings)
    settings = load_settings(str(config))
    rows = open_journal(settings, read_only=True).rows("runs", run_id=name)
    if not rows:
        raise UsageError(
            f"there is no run {name!r}", next_step="workbench jobs history lists the runs of this desk"
        )
    kept = Desk(settings).paths.runs / name / "parameters.json"
    if kept.is_file():
        return _find(kept.parent, config)
    return RecordedRun(name, str(rows[0]["session"]), settings)


def _decided(events: tuple[RecordedEvent, ...], found: RecordedRun) -> list[RecordedEvent]:
    return [e for e in events if e.kind == "decision.made" and e.payload["session"] == found.session]


def _require_same_settings(events: tuple[RecordedEvent, ...], found: RecordedRun) -> None:
    decided = _decided(events, found)
    if not decided:
        raise DataError(
            f"the journal holds no decision of {found.session}",
            next_step="bring the archive of those events back, or name another run",
        )
    recorded = {event.config_hash for event in decided}
    if recorded != {found.settings.config_hash}:
        raise ManifestMismatch(
            f"settings of {found.session} were {', '.join(sorted(recorded))[:12]}, "
            f"the present ones are {found.settings.config_hash[:12]}",
            next_step="restore the settings of that run; `config.recorded` events hold their text",
        )


def _before(events: tuple[RecordedEvent, ...], found: RecordedRun) -> list[Event]:
    """Everything that the desk had recorded when the session's first run began, as events to commit."""
    first = min(
        event.seq
        for event in events
        if event.kind in ("run.started", "decision.made") and event.payload["session"] == found.session
    )
    kept = [e for e in events if e.seq < first and not e.kind.startswith(_OF_A_PROCESS)]
    if events[0].seq != 1:
        raise DataError(
            "events before this session are archived: a replay starts from the first",
            next_step="replay on a copy of the journal from before the archive",
        )
    return [Event(event.kind, event.payload) for event in kept]


def _trade_again(found: RecordedRun, before: list[Event], folder: Path) -> SessionRecord:
    settings, desk = found.settings, Desk(found.settings)
    times = session_times(settings, desk.calendar, found.session)
    start_ns = min(times.open_ns - HOUR_NS, times.decision_ns[0])
    _copy_venue(desk.paths.venue, folder / "venue.sqlite", before_ns=start_ns)
    link = embedded_venue(settings, desk, folder / "venue.sqlite", start_ns=start_ns)
    journal = JournalDatabase(
        f"sqlite:///{folder / 'journal.sqlite'}", anchor_path=folder / "anchor", anchor_key=REPLAY_KEY,
        config_hash=settings.config_hash, wall_ns=link.clock.wall_ns,
    )  # fmt: skip
    journal.commit(before)
    armed = ArmedFileOnDisk(folder / "ARMED")
    supervision = Supervision(journal, armed, settings.account)
    armed.write(settings.account, supervision.permission().epoch)
    account = Account(desk, journal, desk.calendar, link, supervision)
    try:
        _session(account, times)
        return SessionRecord.of(journal, settings.account, found.session)
    finally:
        account.close()


def _session(account: Account, times: SessionTimes) -> None:
    """The steps of the production notebook, under the permission that the record gave."""
    authority = account.authority(code_hash=account.supervision.permission().code_hash, ticket_redeemed=True)
    authority.acquire(is_dead=lambda holder: holder == process_holder())
    trading = TradingSession(
        times=times, strategy=load_strategy(account, session=times.session, now_ns=times.decision_ns[0]),
        journal=account.journal, broker=account.broker, clock=account.clock, calendar=account.calendar,
        bars=account.desk.bars, supervision=account.supervision, authority=authority,
        stage_budget_ms=account.desk.settings.session.stage_budget_ms,
    )  # fmt: skip
    trading.start()
    for scheduled_ns in times.decision_ns:
        trading.decide(scheduled_ns)
    trading.watch()
    trading.close()
    authority.release()


def _copy_venue(source: Path, target: Path, *, before_ns: int) -> None:
    """Copy the embedded venue's commands from before an instant."""
    origin = sqlite3.connect(f"file:{source}?mode=ro", uri=True)
    copy = sqlite3.connect(target)
    try:
        copy.execute(
            "CREATE TABLE commands"
            " (seq INTEGER PRIMARY KEY, command TEXT NOT NULL, reply TEXT NOT NULL) STRICT"
        )
        rows = origin.execute(
            "SELECT seq, command, reply FROM commands"
            " WHERE json_extract(command, '$.at_ns') < ? ORDER BY seq",
            (before_ns,),
        ).fetchall()
        copy.executemany("INSERT INTO commands VALUES (?, ?, ?)", rows)
        copy.commit()
    except sqlite3.Error as error:
        raise DataError(
            f"the embedded venue's record {source.name} cannot be read: {error}",
            next_step="end the run that holds it, then replay",
        ) from error
    finally:
        origin.close()
        copy.close()


def _differences(events: tuple[RecordedEvent, ...], found: RecordedRun) -> tuple[str, ...]:
    """Code and data that are not those of then."""
    told = []
    ran = [e.payload["code_hash"] for e in events if e.kind == "run.started"
           and e.payload["run_id"] == found.run_id]  # fmt: skip
    if ran and ran[-1] != present_code_hash():
        told.append(f"the software was {str(ran[-1])[:12]}, it is {present_code_hash()[:12]}")
    bars = {str(event.payload["bars_fingerprint"]) for event in _decided(events, found)}
    if bars != {Desk(found.settings).bars.fingerprint()}:
        told.append("the bars store has other content than then; what was known then is read from it")
    return tuple(told)
