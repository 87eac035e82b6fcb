"""What a person does to a desk outside a run: create it, feed it, train, approve, adopt, resume, halt."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from workbench.adapters.armed_file import ArmedFileOnDisk
from workbench.adapters.bars import IngestReport
from workbench.adapters.process_lock import process_lock
from workbench.bootstrap.desk import Desk, create_journal, open_journal
from workbench.bootstrap.resources import present_code_hash, sample_folder
from workbench.bootstrap.trading import Account, open_account
from workbench.config import DEFAULT_TOML, Settings, load_settings
from workbench.core import costs
from workbench.core.features import FEATURES, features_hash
from workbench.core.ledger import opening_postings
from workbench.core.reconcile import Break
from workbench.errors import Refused, UsageError
from workbench.services.oms import Oms
from workbench.services.promotion import approve_cost_model, stage_model
from workbench.services.reconciler import Reconciler
from workbench.services.supervision import Permission, Supervision
from workbench.services.training import CandidateReport, train_candidate

SAMPLE_SOURCE = "sample/daily"
#: Sources whose rows are recorded market history.
REAL_SOURCES = frozenset({SAMPLE_SOURCE})


def init(config_path: Path) -> Settings:
    """Write a commented `workbench.toml` (an existing one is kept) and create the desk it describes."""
    if not config_path.exists():
        config_path.write_text(DEFAULT_TOML)
    settings = load_settings(str(config_path))
    journal = create_journal(settings)
    journal.record_config(json.loads(settings.to_json()))
    journal.close()
    return settings


def ingest_sample(settings: Settings) -> IngestReport:
    """Take the committed daily sample, with its splits, into the desk's bars store."""
    folder = sample_folder()
    return _ingest(settings, folder / "daily", source=SAMPLE_SOURCE, splits=folder / "splits.parquet")


def ingest(settings: Settings, path: Path, *, source: str) -> IngestReport:
    """Take a Parquet file, or a folder of them, into the desk's bars store."""
    if not path.exists():
        raise UsageError(f"there is no {path}", next_step="name a Parquet file or a folder of them")
    return _ingest(settings, path, source=source or path.name, splits=None)


def _ingest(settings: Settings, path: Path, *, source: str, splits: Path | None) -> IngestReport:
    now_ns = time.time_ns()
    return Desk(settings).bars.ingest(
        path, source=source, known_at="session_close", now_ns=now_ns, splits=splits
    )


@contextmanager
def supervision_of(settings: Settings) -> Iterator[Supervision]:
    """State and people of the desk, for what needs neither venue nor lease."""
    journal = open_journal(settings, read_only=False)
    try:
        yield Supervision(journal, ArmedFileOnDisk(Desk(settings).paths.armed), settings.account)
    finally:
        journal.close()


def permission(settings: Settings) -> Permission:
    """What the desk may do now."""
    with supervision_of(settings) as supervision:
        return supervision.permission()


def add_person(settings: Settings, person: str, *, role: str) -> None:
    """Register a person who may look, operate or approve."""
    with supervision_of(settings) as supervision:
        supervision.add_person(person, role=role)


def reduce(settings: Settings, *, person: str, reason: str) -> None:
    """Allow risk-reducing orders only, on a registered person's word."""
    with supervision_of(settings) as supervision:
        supervision.reduce(person=person, reason=reason)


def halt(settings: Settings, *, person: str, reason: str) -> None:
    """Stop sending at once; works with a running loop, without one, and without the journal.

    The ARMED file is removed before anything else is tried: from then on every process is refused,
    whatever becomes of the record. Nobody is asked for permission to stop.
    """
    ArmedFileOnDisk(Desk(settings).paths.armed).remove()
    with supervision_of(settings) as supervision:
        supervision.halt(reason, cause="person", person=person)


def train(
    settings: Settings, *, last_session: str, progress: Callable[[str, int, int], None] | None = None
) -> CandidateReport:
    """Train a candidate on everything that was known at the end of `last_session`.

    Parameters
    ----------
    progress : callable (what, steps done, steps in all) or None
    """
    desk = Desk(settings)
    desk.calendar.require_session(last_session, argument="--until")
    as_of_ns = desk.calendar.session_close_ns(last_session)
    first_ns = desk.calendar.session_open_ns(settings.model.train_first_session)
    journal = open_journal(settings, read_only=False)
    try:
        bars = desk.bars.read(settings.universe, as_of_ns=as_of_ns)
        first_row = int(np.searchsorted(bars.ts_ns, first_ns))
        return train_candidate(
            bars=bars.rows(first_row, len(bars.ts_ns)),
            calendar=desk.calendar,
            features=FEATURES,
            horizon_sessions=settings.model.horizon_sessions,
            alpha=settings.model.ridge_alpha,
            seed=settings.seed,
            as_of_ns=as_of_ns,
            bars_fingerprint=desk.bars.fingerprint(),
            provenance=_provenance(desk),
            config_hash=settings.config_hash,
            code_hash=present_code_hash(),
            registry=desk.registry,
            journal=journal,
            progress=progress or (lambda what, done, steps: None),
        )
    finally:
        journal.close()


def _provenance(desk: Desk) -> str:
    """Whether every row is recorded market history; a model of any other stays a candidate for ever."""
    return "real" if set(desk.bars.status()["sources"]) <= REAL_SOURCES else "synthetic"


def accept_model(settings: Settings, model_id: str, *, stage: str, person: str, reason: str) -> str:
    """Accept a candidate for a stage on a person's word and on recomputed evidence."""
    desk = Desk(settings)
    journal = open_journal(settings, read_only=False)
    try:
        stage_model(
            journal,
            desk.registry,
            model_id,
            stage=stage,
            person=person,
            reason=reason,
            features_hash=features_hash(FEATURES),
            config_hash=settings.config_hash,
            universe=settings.universe,
            horizon_sessions=settings.policy.horizon_sessions,
        )
    finally:
        journal.close()
    return model_id


def approve_prior(settings: Settings, *, as_of_session: str, person: str, reason: str) -> str:
    """Approve the configured prior cost model from the close of `as_of_session` until it expires."""
    desk = Desk(settings)
    desk.calendar.require_session(as_of_session, argument="--as-of")
    as_of_ns = desk.calendar.session_close_ns(as_of_session)
    model = costs.prior(settings.prior_cost, settings.fees, as_of_ns=as_of_ns)
    journal = open_journal(settings, read_only=False)
    try:
        return approve_cost_model(journal, desk.registry, model, person=person, reason=reason)
    finally:
        journal.close()


@contextmanager
def recovering(settings: Settings, *, start_ns: int = 0) -> Iterator[tuple[Account, Oms, Reconciler]]:
    """The account held by this process alone, for look-ups and reconciliation; nothing can be sent."""
    desk = Desk(settings)
    with process_lock(desk.paths.lock):
        account = open_account(settings, start_ns=start_ns)
        try:
            authority = account.authority(code_hash="")
            account.take(authority)
            oms, reconciler = account.order_path(authority)
            yield account, oms, reconciler
            authority.release()
        finally:
            account.close()


def adopt(settings: Settings, *, as_of_session: str, person: str, reason: str) -> int:
    """Open the ledger with the venue's cash, on a person's word; returns the cash in micros.

    Parameters
    ----------
    as_of_session : str
        The embedded venue's account is opened at the close of this session.

    Raises
    ------
    Refused
        The ledger is open already, or the account holds positions that nobody here bought.
    """
    calendar = Desk(settings).calendar
    calendar.require_session(as_of_session, argument="--as-of")
    with recovering(settings, start_ns=calendar.session_close_ns(as_of_session)) as (account, oms, _):
        account.supervision.require_person(person, reason)
        theirs = account.broker.account()
        if oms.ledger.cash_micro or oms.ledger.positions_nano:
            raise Refused("the ledger is open already", next_step="workbench reconcile shows any difference")
        if theirs.positions_nano:
            held = ", ".join(sorted(theirs.positions_nano))
            raise Refused(f"the account holds {held}", next_step="close them at the venue, then adopt")
        memo = f"adopted by {person}: {reason}"
        oms.record_opening("opening", "", opening_postings(theirs.cash_micro), memo)
        return theirs.cash_micro


def reconcile(settings: Settings) -> tuple[Break, ...]:
    """Look up what is unresolved and compare everything with the venue; sends nothing."""
    with recovering(settings) as (_, oms, reconciler):
        oms.recover()
        return reconciler.reconcile(session="")


def resume(settings: Settings, *, person: str, reason: str) -> Permission:
    """Recover, reconcile, and only when that is clean make the account ACTIVE on a person's word."""
    with recovering(settings) as (account, oms, reconciler):
        account.supervision.require_person(person, reason)
        oms.recover()
        reconciler.reconcile(session="")
        return account.supervision.resume(person=person, reason=reason, code_hash=present_code_hash())
