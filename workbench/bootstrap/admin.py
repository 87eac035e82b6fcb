"""What a person does to a desk outside a run: create it, feed it, train, approve, adopt, resume, halt."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from workbench.adapters.armed_file import ArmedFileOnDisk
from workbench.adapters.bars import IngestReport
from workbench.adapters.process_lock import process_lock
from workbench.bootstrap.desk import Desk, create_journal, open_journal
from workbench.bootstrap.resources import present_code_hash, sample_folder
from workbench.bootstrap.trading import Account, open_account
from workbench.config import DEFAULT_TOML, Settings, load_settings
from workbench.core import costs
from workbench.core.costs import CostModel
from workbench.core.features import features_hash, registered_features, select_features
from workbench.core.labels import LABELS
from workbench.core.ledger import opening_postings
from workbench.core.manifest import TRADED_LABEL
from workbench.core.reconcile import Break
from workbench.core.validation.guard import leak_reports, reference_bars
from workbench.errors import Refused, UsageError
from workbench.services.calibration import Calibration, CalibrationService
from workbench.services.candidates import candidate_table
from workbench.services.estimators import find_estimator
from workbench.services.oms import Oms
from workbench.services.promotion import approve_cost_model, stage_model
from workbench.services.reconciler import Reconciler
from workbench.services.succession import next_session, skip_to
from workbench.services.supervision import Permission, Supervision
from workbench.services.training import CandidateReport, Experiment, train_candidate

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
    return Desk(settings).bars.ingest(
        folder / "daily", source=SAMPLE_SOURCE, known_at="session_close", now_ns=time.time_ns(),
        splits=folder / "splits.parquet",
    )  # fmt: skip


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


def list_features(settings: Settings) -> list[dict[str, str | int | bool]]:
    """Every feature there is: name, lookback in sessions, family, unit, meaning, and whether it is used."""
    return [
        {
            "feature": one.name,
            "lookback": one.lookback,
            "family": one.family,
            "unit": one.unit,
            "meaning": one.meaning,
            "used": one.name in settings.model.features,
        }
        for one in registered_features()
    ]


def check_features(settings: Settings) -> list[dict[str, Any]]:
    """What the leak detectors find in every registered feature, on the desk's bars where it has enough.

    Returns
    -------
    list of dict
        Feature, kind, bar, symbol and size of each finding; empty when all are clean.
    """
    features = registered_features()
    bars = reference_bars(features)
    desk = Desk(settings)
    if set(settings.universe) <= set(desk.bars.symbols()):
        stored = desk.bars.read(settings.universe, as_of_ns=time.time_ns(), rows=len(bars.ts_ns))
        bars = stored if len(stored.ts_ns) == len(bars.ts_ns) else bars
    return [
        {"feature": report.subject, **finding._asdict()}
        for report in leak_reports(features, bars)
        for finding in report.findings
    ]


def train(
    settings: Settings,
    *,
    last_session: str,
    label: str = TRADED_LABEL,
    estimator: str = "ridge",
    alpha: float | None = None,
    features: Sequence[str] = (),
    progress: Callable[[str, int, int], None] | None = None,
) -> CandidateReport:
    """Train a candidate on everything that was known at the end of `last_session`.

    Parameters
    ----------
    label : str
        Name of a label; only candidates of the default can be accepted.
    estimator : str
        Name of an estimator.
    alpha : float or None
        Its penalty; None = `model.ridge_alpha` for ridge, else the estimator's own default.
    features : sequence of str
        Columns to try; none = the setting `model.features`, which is what a desk accepts.
    progress : callable (what, steps done, steps in all) or None
    """
    desk = Desk(settings)
    desk.calendar.require_session(last_session, argument="--until")
    as_of_ns = desk.calendar.session_close_ns(last_session)
    experiment = _experiment(settings, label, estimator, alpha, features, as_of_ns=as_of_ns)
    first_ns = desk.calendar.session_open_ns(settings.model.train_first_session)
    journal = open_journal(settings, read_only=False)
    try:
        bars = desk.bars.read(settings.universe, as_of_ns=as_of_ns)
        first_row = int(np.searchsorted(bars.ts_ns, first_ns))
        return train_candidate(
            experiment,
            bars=bars.rows(first_row, len(bars.ts_ns)),
            calendar=desk.calendar,
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


def _experiment(
    settings: Settings,
    label: str,
    estimator: str,
    alpha: float | None,
    features: Sequence[str],
    *,
    as_of_ns: int,
) -> Experiment:
    """What is asked for, checked before anything is read; UsageError names what is not known."""
    if label not in LABELS:
        raise UsageError(f"there is no label {label!r}", next_step=f"use one of: {', '.join(LABELS)}")
    chosen = find_estimator(estimator)
    try:
        columns = select_features(features or settings.model.features)
    except ValueError as error:
        raise UsageError(f"--features {error}", next_step="see `workbench features`") from error
    return Experiment(
        features=columns,
        label=LABELS[label],
        horizon_sessions=settings.model.horizon_sessions,
        estimator=chosen,
        alpha=chosen.alpha(alpha, settings.model.ridge_alpha),
        seed=settings.seed,
        cost_model=costs.prior(settings.prior_cost, settings.fees, as_of_ns=as_of_ns),
        notional_usd=float(min(settings.limits.max_order_notional_usd, settings.prior_cost.max_notional_usd)),
        allow_short=settings.policy.allow_short,
    )


def candidates(settings: Settings, *, sort: str = "") -> list[dict[str, Any]]:
    """Every registered model with what it was made of and its walk-forward scores.

    Parameters
    ----------
    sort : str
        A column; "" = in the order of registration.
    """
    return candidate_table(Desk(settings).journal.rows("models"), sort=sort)


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
            features_hash=features_hash(select_features(settings.model.features)),
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
def _calibration(settings: Settings) -> Iterator[CalibrationService]:
    desk = Desk(settings)
    journal = open_journal(settings, read_only=False)
    try:
        yield CalibrationService(
            journal, desk.registry, desk.calendar, account=settings.account, mode=settings.mode.value,
            rule=costs.CalibrationRule(), fees=settings.fees,
        )  # fmt: skip
    finally:
        journal.close()


def calibrate(settings: Settings, *, session: str) -> Calibration:
    """Learn from the fills up to a closed session; the same session again gives the recorded answer."""
    desk = Desk(settings)
    desk.calendar.require_session(session, argument="--session")
    records = desk.execution.records()
    with _calibration(settings) as service:
        return service.run(records, session, source=desk.execution.source)


def approve_calibration(settings: Settings, cost_model_id: str, *, person: str, reason: str) -> CostModel:
    """Put a registered cost model into use on a person's word."""
    with _calibration(settings) as service:
        return service.approve(cost_model_id, person=person, reason=reason)


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
            try:
                yield account, oms, reconciler
            except Refused:
                authority.release()  # nothing was sent from here: a refusal is a clean end
                raise
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
        epoch = account.supervision.permission().epoch
        oms.recover()
        reconciler.reconcile(session="")
        return account.supervision.resume(
            person=person, reason=reason, code_hash=present_code_hash(), after_epoch=epoch
        )


def skip_sessions(settings: Settings, *, session: str, person: str, reason: str) -> str:
    """Leave out all sessions before `session`, on a person's word; returns the one that was next."""
    Desk(settings).calendar.require_session(session, argument="--to")
    with recovering(settings) as (account, _, _):
        account.supervision.require_person(person, reason)
        expected = next_session(
            account.journal, account.calendar, account=settings.account, venue_ns=account.broker.last_ns
        )
        skip_to(
            account.journal,
            account=settings.account,
            expected=expected,
            session=session,
            person=person,
            reason=reason,
        )
        return expected
