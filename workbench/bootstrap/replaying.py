"""A recorded session traded again beside its desk, in a folder that is thrown away."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, cast

from workbench.adapters.armed_file import ArmedFileOnDisk
from workbench.adapters.journal import JournalDatabase
from workbench.adapters.message_tape import read_messages
from workbench.bootstrap.desk import Desk
from workbench.bootstrap.recorded_run import RecordedRun
from workbench.bootstrap.run_inputs import messages_hash, messages_path
from workbench.bootstrap.signing import people_of
from workbench.bootstrap.trading import HOUR_NS, Account, load_strategy, session_times
from workbench.bootstrap.venues import VenueLink, embedded_venue, uses_alpaca
from workbench.config import RecordedSettings
from workbench.core.ports import Broker, Clock, Event
from workbench.errors import DataError, Refused
from workbench.services.bystanders import Bystanders, RepeatedClock, RepeatedJournal
from workbench.services.decision import Strategy
from workbench.services.messages import Talk, ToldBroker, ToldClock, ToldStream
from workbench.services.replay import SessionRecord
from workbench.services.session import SessionTimes, TradingSession
from workbench.services.supervision import Supervision

#: Events of one process or person's presence; a replay has its own. What a scheduler wrote is refused without
#: its lease, and no session reads it: which job is due, missed or paused decides nothing within a session.
_OF_A_PROCESS: Final = ("lease.", "schedule.", "ticket.", "run.", "alert.", "reconciliation.")
REPLAY_KEY: Final = b"replay" * 6  # the copy's anchor guards nothing: the copy is thrown away


@dataclass(frozen=True)
class TradedAgain:
    """A session that was traded again.

    Attributes
    ----------
    record : SessionRecord
    strayed : tuple of str
        Questions to the venue that the recorded run did not ask, or not then.
    seconds : float
        Wall-clock time from the first step of the session to its close; start-up is not in it.
    ledger : mapping
        cash_micro, equity_micro and positions (1e-9 shares) at the close.
    """

    record: SessionRecord
    strayed: tuple[str, ...]
    seconds: float
    ledger: Mapping[str, Any]


def trade_again(
    found: RecordedRun,
    folder: Path,
    settings: RecordedSettings,
    *,
    strategy: Callable[[Strategy, Account], Strategy] = lambda strategy, account: strategy,
) -> TradedAgain:
    """The session of a run, decided and executed again through the services that trade.

    Parameters
    ----------
    folder : Path
        Empty; gets a journal and, for the embedded venue, its commands from before the session.
    settings : RecordedSettings
        Of the run, or other ones for a hypothetical run.
    strategy : callable (Strategy, Account) -> Strategy
        For a hypothetical run: another model or cost model.

    Raises
    ------
    Refused
        The run was at a venue outside this process and kept no messages.
    """
    desk = Desk(settings)
    times = session_times(settings, desk.calendar, found.session)
    start_ns = min(times.open_ns - HOUR_NS, times.decision_ns[0])
    window = [e for e in found.events if found.trading_seq <= e.seq <= found.last_seq]
    bystanders = Bystanders(window, attempts=len(found.traded_by) or 1)
    talk: Talk | None = None
    if uses_alpaca(settings):
        talk = _talk(found)
        told = ToldClock(talk, start_ns, start_wall_ns=window[0].at_ns)
        clock: Clock = told
        link = VenueLink(cast(Broker, ToldBroker(talk)), told, start_ns, lambda: None)
        stream = ToldStream(talk, told) if talk.heard("stream") else None
        now_ns, wall_ns = (lambda: told.latest_ns), (lambda: told.latest_wall_ns)
    else:
        _copy_venue(desk.paths.venue, folder / "venue.sqlite", before_ns=start_ns)
        link = embedded_venue(settings, desk, folder / "venue.sqlite", start_ns=start_ns)
        clock = RepeatedClock(link.clock, bystanders, start_wall_ns=window[0].at_ns)
        stream, now_ns, wall_ns = None, link.clock.now_ns, time.time_ns
    journal = JournalDatabase(
        f"sqlite:///{folder / 'journal.sqlite'}", anchor_path=folder / "anchor", anchor_key=REPLAY_KEY,
        config_hash=settings.config_hash, wall_ns=wall_ns,
    )  # fmt: skip
    journal.commit(_before(found))
    armed = ArmedFileOnDisk(folder / "ARMED")
    supervision = Supervision(journal, armed, settings.account)
    armed.write(settings.account, supervision.permission().epoch)
    account = Account(desk, journal, desk.calendar, link, supervision)
    counted = clock if isinstance(clock, RepeatedClock) else None
    repeated = RepeatedJournal(journal, bystanders, now_ns=now_ns, clock=counted)
    try:
        chosen = strategy(load_strategy(account, session=times.session, now_ns=times.decision_ns[0]), account)
        authority = account.authority(code_hash=supervision.permission().code_hash, ticket_redeemed=True)
        authority.acquire(is_dead=lambda holder: True)  # nobody else can be in the copy
        trading = TradingSession(
            times=times, strategy=chosen, journal=repeated, broker=link.broker, clock=clock,
            calendar=desk.calendar, bars=desk.bars, supervision=supervision, authority=authority,
            stage_budget_ms=settings.session.stage_budget_ms, hints=stream,
            silence_s=settings.venue.stream_silence_s, rules=settings.approvals,
            people=people_of(settings, journal), config_hash=settings.config_hash,
        )  # fmt: skip
        seconds = _steps(trading, times, talk)
        row = journal.rows("sessions", account=settings.account, session=found.session)[0]
        ledger = {name: row[name] for name in ("cash_micro", "equity_micro", "positions")}
        record = SessionRecord.of(journal, settings.account, found.session)
        return TradedAgain(record, tuple(talk.strayed) if talk else (), seconds, ledger)
    finally:
        account.close()


def _before(found: RecordedRun) -> list[Event]:
    """Everything that the desk had recorded before the session, as events to commit."""
    kept = [
        event for event in found.events
        if event.seq < found.trading_seq and not event.kind.startswith(_OF_A_PROCESS)
    ]  # fmt: skip
    numbers = {event.seq: number for number, event in enumerate(kept, start=1)}
    events = []
    for event in kept:
        payload = dict(event.payload)
        if "placed_seq" in payload:  # who lifts a halt names it by its number
            payload["placed_seq"] = numbers.get(payload["placed_seq"], 0)
        events.append(Event(event.kind, payload))
    return events


def _steps(trading: TradingSession, times: SessionTimes, talk: Talk | None) -> float:
    """The steps of the production notebook; how long they took, seconds."""
    started = time.perf_counter()
    for _ in range(talk.looks_before_start if talk else 0):
        trading.preflight()
    trading.start()
    for scheduled_ns in times.decision_ns:
        trading.decide(scheduled_ns)
    trading.watch()
    trading.close()
    spent = time.perf_counter() - started
    trading.release()
    return spent


def _talk(found: RecordedRun) -> Talk:
    if found.inputs is None or not found.inputs["inputs"]["messages"]:
        raise Refused(
            f"run {found.run_id} was at a venue outside this process and kept no messages",
            next_step="replay a run that recorded its inputs",
        )
    (run_id, *later) = found.traded_by
    if later:
        raise Refused(
            f"session {found.session} took {1 + len(later)} runs at a venue outside this process",
            next_step="replay a session that one run traded from start to end",
        )
    digest = messages_hash(found.events, run_id)
    return Talk(read_messages(messages_path(found.desk, run_id), expected_hash=digest))


def changed_strategy(
    settings: RecordedSettings, changes: Mapping[str, Any]
) -> Callable[[Strategy, Account], Strategy]:
    """What puts another model or cost model into a strategy: keys "model", "cost_model" and prior costs."""
    from workbench.core.costs import prior
    from workbench.services.model_files import read_forecast_model
    from workbench.services.promotion import find_cost_model, read_model

    def changed(strategy: Strategy, account: Account) -> Strategy:
        if "model" in changes:
            content, manifest = read_model(account.desk.registry, str(changes["model"]))
            model = read_forecast_model(content, manifest.features)
            strategy = replace(strategy, model=model, model_id=str(changes["model"]))
        if "cost_model" in changes:
            cost_model = find_cost_model(account.journal, account.desk.registry, str(changes["cost_model"]))
            strategy = replace(strategy, cost_model=cost_model, cost_model_id=cost_model.model_id)
        elif any(key.startswith(("prior_cost.", "fees.")) for key in changes):
            as_of_ns = strategy.cost_model.as_of_ns
            cost_model = prior(settings.prior_cost, settings.fees, as_of_ns=as_of_ns)
            strategy = replace(strategy, cost_model=cost_model, cost_model_id=cost_model.model_id)
        return strategy

    return changed


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
