"""What a person does to a desk outside a run: create it, feed it, train, approve, adopt, resume, halt."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from workbench.adapters.bars import IngestReport
from workbench.bootstrap import signing
from workbench.bootstrap.desk import Desk, create_journal, open_journal
from workbench.bootstrap.holding import recovering
from workbench.bootstrap.permission import desk_supervision, register_desk
from workbench.bootstrap.resources import present_code_hash, sample_folder
from workbench.bootstrap.signing import Credentials, people_of
from workbench.config import DEFAULT_TOML, Settings, load_settings
from workbench.core import costs
from workbench.core.features import select_features
from workbench.core.labels import LABELS
from workbench.core.manifest import TRADED_LABEL
from workbench.core.reconcile import Break
from workbench.errors import Refused, UsageError
from workbench.services.authorship import UNATTENDED, Author
from workbench.services.candidates import candidate_table
from workbench.services.estimators import find_estimator
from workbench.services.holdout import HoldoutResult, read_holdout
from workbench.services.promotion import read_model
from workbench.services.succession import next_session, skip_to
from workbench.services.supervision import Permission, Supervision
from workbench.services.training import CandidateReport, Experiment, train_candidate

SAMPLE_SOURCE = "sample/daily"
#: Sources whose rows are recorded market history.
REAL_SOURCES = frozenset({SAMPLE_SOURCE, "alpaca/sip/raw"})


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
def supervision_of(settings: Settings, credentials: Credentials | None = None) -> Iterator[Supervision]:
    """State of the desk, for what needs neither venue nor lease."""
    journal = open_journal(settings, read_only=False)
    try:
        yield desk_supervision(settings, journal, people_of(settings, journal, credentials))
    finally:
        journal.close()


def permission(settings: Settings) -> Permission:
    """What the desk may do now."""
    with supervision_of(settings) as supervision:
        return supervision.permission()


def add_person(settings: Settings, person: str, *, role: str) -> None:
    """Register a person who may look, operate or approve."""
    signing.add_person(settings, person, role=role)


def reduce(settings: Settings, *, person: str, reason: str, credentials: Credentials | None = None) -> None:
    """Allow risk-reducing orders only, on a registered person's word."""
    with supervision_of(settings, credentials) as supervision:
        supervision.reduce(person=person, reason=reason)


def train(
    settings: Settings,
    *,
    last_session: str,
    label: str = TRADED_LABEL,
    estimator: str = "ridge",
    alpha: float | None = None,
    features: Sequence[str] = (),
    progress: Callable[[str, int, int], None] | None = None,
    author: str = "",
    credentials: Credentials | None = None,
) -> CandidateReport:
    """Train a candidate on what was known at the end of `last_session`, less the declared holdout.

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
    author : str
        Registered person whose candidate it is, or what trains unattended; "" = nobody says.
    credentials : Credentials or None
        The author signs with them.
    """
    desk = Desk(settings)
    desk.calendar.require_session(last_session, argument="--until")
    as_of_ns = desk.calendar.session_close_ns(last_session)
    experiment = _experiment(settings, label, estimator, alpha, features, as_of_ns=as_of_ns)
    first_ns = desk.calendar.session_open_ns(settings.model.train_first_session)
    unattended = not author or (author == UNATTENDED and credentials is None)
    journal = open_journal(settings, read_only=False)
    try:
        bars = desk.bars.read(settings.universe, as_of_ns=as_of_ns)
        first_row = int(np.searchsorted(bars.ts_ns, first_ns))
        end_row = max(first_row, len(bars.ts_ns) - settings.model.holdout_sessions)
        return train_candidate(
            experiment,
            bars=bars.rows(first_row, end_row),
            calendar=desk.calendar,
            as_of_ns=as_of_ns,
            bars_fingerprint=desk.bars.fingerprint(),
            provenance=_provenance(desk),
            config_hash=settings.config_hash,
            code_hash=present_code_hash(settings),
            registry=desk.registry,
            journal=journal,
            input_bounds=settings.monitoring.input_bounds(),
            progress=progress or (lambda what, done, steps: None),
            workers=desk.workers,
            author=Author(author, None if unattended else people_of(settings, journal, credentials)),
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
        notional_usd=_notional(settings),
        allow_short=settings.policy.allow_short,
    )


def candidates(settings: Settings, *, sort: str = "") -> list[dict[str, Any]]:
    """Every registered model with what it was made of and its walk-forward scores.

    Parameters
    ----------
    sort : str
        A column; "" = in the order of registration.
    """
    journal = Desk(settings).journal
    return candidate_table(journal.rows("models"), trials=journal.rows("trials"), sort=sort)


def trial_counts(settings: Settings) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Families of the trial ledger with raw count and effective number, and every read of a holdout."""
    research = Desk(settings).research
    families = [
        {"family": one.family, "trials": one.trials, "effective": one.effective, "basis": one.basis}
        for one in research.families()
    ]
    return families, list(research.reads())


def look_at_holdout(settings: Settings, model_id: str) -> HoldoutResult:
    """The candidate's one result on its holdout.

    Raises
    ------
    Refused
        No holdout is declared, the candidate has seen it, or it was read with other inputs.
    ManifestMismatch
        No such model, or a byte of it was changed.
    """
    desk = Desk(settings)
    journal = open_journal(settings, read_only=False)
    try:
        _, manifest = read_model(desk.registry, model_id)
        if manifest.config_hash != settings.config_hash:
            raise Refused(
                f"model {model_id[:12]} was trained under other settings",
                next_step="train a candidate for this desk: `workbench train`",
            )
        bars = desk.bars.read(settings.universe, as_of_ns=manifest.as_of_ns)
        prior = costs.prior(settings.prior_cost, settings.fees, as_of_ns=manifest.as_of_ns)
        return read_holdout(
            journal,
            desk.registry,
            model_id,
            bars=bars,
            sessions=[str(np.datetime64(int(at), "ns").astype("datetime64[D]")) for at in bars.ts_ns],
            holdout_sessions=settings.model.holdout_sessions,
            cost_model=prior,
            notional_usd=_notional(settings),
            allow_short=settings.policy.allow_short,
        )
    finally:
        journal.close()


def _notional(settings: Settings) -> float:
    return float(min(settings.limits.max_order_notional_usd, settings.prior_cost.max_notional_usd))


def _provenance(desk: Desk) -> str:
    """Whether every row is recorded market history; a model of any other stays a candidate for ever."""
    return "real" if set(desk.bars.status()["sources"]) <= REAL_SOURCES else "synthetic"


def reconcile(settings: Settings) -> tuple[Break, ...]:
    """Look up what is unresolved and compare everything with the venue; sends nothing."""
    with recovering(settings) as (_, oms, reconciler):
        oms.recover()
        return reconciler.reconcile(session="")


def resume(
    settings: Settings, *, person: str, reason: str, credentials: Credentials | None = None
) -> Permission:
    """Recover, reconcile, and only when that is clean make the account ACTIVE on a person's word."""
    with recovering(settings, credentials=credentials) as (account, oms, reconciler):
        people_of(settings, account.journal).check(person, reason, act="resume")
        epoch = account.supervision.permission().epoch
        oms.recover()
        reconciler.reconcile(session="")
        register_desk(settings, account.journal)
        return account.supervision.resume(
            person=person, reason=reason, code_hash=present_code_hash(settings), after_epoch=epoch
        )


def skip_sessions(
    settings: Settings, *, session: str, person: str, reason: str, credentials: Credentials | None = None
) -> str:
    """Leave out all sessions before `session`, on a person's word; returns the one that was next."""
    Desk(settings).calendar.require_session(session, argument="--to")
    with recovering(settings) as (account, _, _):
        people = people_of(settings, account.journal, credentials)
        expected = next_session(
            account.journal, account.calendar, account=settings.account, venue_ns=account.link.last_ns
        )
        subject = {"account": settings.account, "from": expected, "to": session}
        account.journal.commit(people.require(person, reason, act="skip sessions", subject=subject))
        skip_to(
            account.journal,
            account=settings.account,
            expected=expected,
            session=session,
            person=person,
            reason=reason,
        )
        return expected
