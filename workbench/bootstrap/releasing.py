"""Releases of models: judged, promoted, retired, rolled back; and the shadow model that runs beside."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from workbench.adapters.journal import JournalDatabase
from workbench.bootstrap.desk import Desk as DeskHandle
from workbench.bootstrap.desk import open_journal
from workbench.bootstrap.signing import Credentials, people_of, two_people_of
from workbench.config import Settings
from workbench.core import costs
from workbench.core.features import features_hash, select_features
from workbench.core.gates import ReleaseVerdict
from workbench.core.limit_changes import stricter
from workbench.core.manifest import ModelManifest
from workbench.core.ports import Event, Journal
from workbench.errors import JournalCorrupt, ManifestMismatch, UsageError
from workbench.services.decision import Strategy
from workbench.services.evidence import BEFORE
from workbench.services.examiner import DeskExaminer
from workbench.services.limit_book import limits_in_force
from workbench.services.promotion import SHADOW, STAGES, latest_cost_model, read_model
from workbench.services.refits import refit_candidate
from workbench.services.release import Desk, judge_model, retire_model, roll_back, stage_model
from workbench.services.retrial import Market, Retrial
from workbench.services.shadow import NOBODY, Beside, ShadowRunner
from workbench.services.shadow_fills import Filling
from workbench.services.shadow_proof import ShadowReport, shadow_report
from workbench.services.training import load_model_of

if TYPE_CHECKING:
    import pandas as pd

#: Sources whose companies were chosen with hindsight: what is bought in them had a future.
SURVIVORS = frozenset({"sample/daily"})


def accept_model(
    settings: Settings, model_id: str, *, stage: str, person: str, reason: str, typed: str = "",
    credentials: Credentials | None = None,
) -> str:  # fmt: skip
    """Accept a candidate for a stage on people's word and on recomputed evidence.

    Parameters
    ----------
    typed : str
        Alone on a desk that takes two people: what is agreed to, word for word.

    Raises
    ------
    JournalCorrupt
        Beyond replay, when the journal that holds the evidence is not whole.
    """
    with _journal(settings, stage) as journal:
        desk = desk_of(settings)
        stage_model(
            journal,
            DeskHandle(settings).registry,
            model_id,
            stage=stage,
            person=person,
            reason=reason,
            **{field.name: getattr(desk, field.name) for field in dataclasses.fields(desk)},
            people=people_of(settings, journal, credentials),
            examiner=examiner_of(settings, journal, stage, credentials) if stage in BEFORE else None,
            typed=typed,
        )
    return model_id


def verdict_of(settings: Settings, model_id: str, *, stage: str) -> ReleaseVerdict:
    """What every gate says of a model and a stage; nobody is asked and nothing is written."""
    with _journal(settings, stage, read_only=True) as journal:
        return judge_model(
            journal, DeskHandle(settings).registry, model_id, stage=stage, desk=desk_of(settings),
            examiner=examiner_of(settings, journal, stage),
        )[0]  # fmt: skip


def surface_of(settings: Settings, model_id: str) -> dict[tuple[float, int], float]:
    """Annual Sharpe ratio in excess of holding over factors of a model's penalty and horizons."""
    desk = DeskHandle(settings)
    _, manifest = read_model(desk.registry, model_id)
    market = _market(settings, desk.journal, desk, manifest)
    if market.cost_now is None:
        raise UsageError("no cost model is approved", next_step="`workbench calibrate --prior`")
    return Retrial(manifest, market).surface()


def refitted_paths_of(
    settings: Settings, model_id: str, *, n_folds: int, n_test_folds: int, embargo: int
) -> pd.DataFrame:
    """Label and forecasts of a model that every split fits anew, on the desk's workers."""
    desk = DeskHandle(settings)
    _, manifest = read_model(desk.registry, model_id)
    return refit_candidate(
        manifest, _market(settings, desk.journal, desk, manifest), n_folds=n_folds,
        n_test_folds=n_test_folds, embargo=embargo, workers=desk.workers,
    )  # fmt: skip


def retire(
    settings: Settings, model_id: str, *, person: str, reason: str, credentials: Credentials | None = None
) -> None:
    """End a model's use for good."""
    with _journal(settings) as journal:
        people = people_of(settings, journal, credentials)
        retire_model(journal, model_id, person=person, reason=reason, people=people)


def rollback(
    settings: Settings, *, person: str, reason: str, credentials: Credentials | None = None
) -> tuple[str, str]:
    """Retire the model that decides here, so that the one before it decides again; both ids."""
    with _journal(settings) as journal:
        return roll_back(
            journal, DeskHandle(settings).registry, mode=settings.mode.value, person=person, reason=reason,
            desk=desk_of(settings), people=people_of(settings, journal, credentials),
        )  # fmt: skip


def shadow_of(settings: Settings, model_id: str) -> ShadowReport:
    """What is on record of a model's shadow sessions, every decision made again.

    Raises
    ------
    UsageError
        Nothing is on record.
    """
    desk = DeskHandle(settings)
    _, manifest = read_model(desk.registry, model_id)
    with _journal(settings, read_only=True) as journal:
        found = _shadow_report(settings, journal, desk, model_id, manifest)
    if found is None:
        raise UsageError(
            f"no shadow session of model {model_id[:12]} is on record",
            next_step="a model at stage shadow runs beside the accepted one in every session",
        )
    return found


def desk_of(settings: Settings) -> Desk:
    """What this desk uses now, as a model has to fit it."""
    return Desk(
        features_hash=features_hash(select_features(settings.model.features)),
        config_hash=settings.config_hash,
        universe=settings.universe,
        horizon_sessions=settings.policy.horizon_sessions,
        holdout_sessions=settings.model.holdout_sessions,
    )


def examiner_of(
    settings: Settings, journal: Journal, stage: str, credentials: Credentials | None = None
) -> DeskExaminer:
    """What judges candidates of this desk beyond replay."""
    desk = DeskHandle(settings)
    first = settings.people.promotion_second_person
    in_force = (limits_in_force(journal, settings.account) or {}).get("people.promotion_second_person", first)
    first = stricter("promotion_second_person", first, str(in_force))
    needed = stage in STAGES and STAGES.index(stage) >= STAGES.index(first)
    return DeskExaminer(
        journal=journal,
        registry=desk.registry,
        account=settings.account,
        market=lambda manifest: _market(settings, journal, desk, manifest),
        shadow=lambda model_id, manifest: _shadow_report(settings, journal, desk, model_id, manifest),
        two=two_people_of(settings, journal, credentials) if needed else None,
    )


def _market(settings: Settings, journal: Journal, desk: DeskHandle, manifest: ModelManifest) -> Market:
    """Bars as they were known at the candidate's as-of time, and as they are known now."""
    calendar = desk.calendar
    then = desk.bars.read(manifest.universe, as_of_ns=manifest.as_of_ns)
    first = int(np.searchsorted(then.ts_ns, calendar.session_open_ns(manifest.train_first_session)))
    bars = then.rows(first, len(then.ts_ns))
    latest = desk.bars.read(manifest.universe, as_of_ns=np.iinfo(np.int64).max)
    sources = set(desk.bars.status()["sources"])
    return Market(
        bars=bars,
        sessions=tuple(str(np.datetime64(int(at), "ns").astype("datetime64[D]")) for at in bars.ts_ns),
        latest=latest,
        trained_to_ns=calendar.session_close_ns(manifest.train_last_session),
        cost_then=costs.prior(settings.prior_cost, settings.fees, as_of_ns=manifest.as_of_ns),
        cost_now=latest_cost_model(journal, desk.registry),
        max_participation=settings.limits.max_participation,
        survivors=tuple(sorted(sources & SURVIVORS)),
    )


def _shadow_report(
    settings: Settings, journal: Journal, desk: DeskHandle, model_id: str, manifest: ModelManifest
) -> ShadowReport | None:
    cost_model = latest_cost_model(journal, desk.registry)
    if cost_model is None:
        return None
    features = select_features(manifest.features)
    model = load_model_of(
        desk.registry, model_id, features_hash=features_hash(features), config_hash=settings.config_hash,
        universe=settings.universe, horizon_sessions=settings.policy.horizon_sessions,
        as_of_session="9999-12-31",
    )  # fmt: skip
    strategy = Strategy(
        account=settings.account, name=settings.strategy, universe=settings.universe, features=features,
        policy=settings.policy, limits=settings.limits, cost_model=cost_model,
        cost_model_id=cost_model.model_id, model=model, model_id=model_id, mode=settings.mode.value,
    )  # fmt: skip
    filling = Filling(settings.fills, settings.fees.rates())
    return shadow_report(journal, strategy=strategy, filling=filling, bars=desk.bars, calendar=desk.calendar)


def beside_of(desk: DeskHandle, journal: Journal, live: Strategy, *, session: str) -> Beside:
    """The newest model at stage shadow, made to run beside; nobody where none is, or none fits."""
    rows = [row for row in journal.rows("models", stage=SHADOW) if row["model_id"] != live.model_id]
    if not rows:
        return NOBODY
    model_id = str(max(rows, key=lambda row: int(row["seq"]))["model_id"])  # seq: the event that staged it
    settings, registry = desk.settings, desk.registry
    try:
        _, manifest = read_model(registry, model_id)
        features = select_features(manifest.features)
        model = load_model_of(
            registry, model_id, features_hash=features_hash(features), config_hash=settings.config_hash,
            universe=settings.universe, horizon_sessions=settings.policy.horizon_sessions,
            as_of_session=session,
        )  # fmt: skip
    except (ManifestMismatch, ValueError) as unfit:
        why = {
            "account": live.account, "model_id": model_id, "session": session, "scheduled_ns": 0,
            "step": "load", "why": f"{type(unfit).__name__}: {unfit}",
        }  # fmt: skip
        journal.commit([Event("shadow.failed", why)])
        return NOBODY
    shadow = dataclasses.replace(live, features=features, model=model, model_id=model_id)
    return ShadowRunner(
        journal=journal, bars=desk.bars, calendar=desk.calendar, live=live, shadow=shadow,
        filling=Filling(settings.fills, settings.fees.rates()),
    )  # fmt: skip


@contextmanager
def _journal(settings: Settings, stage: str = "", *, read_only: bool = False) -> Iterator[JournalDatabase]:
    """The journal, whole where it is evidence."""
    journal = open_journal(settings, read_only=read_only, with_key=True)
    try:
        if stage in BEFORE and not (report := journal.verify()).ok:
            raise JournalCorrupt(
                f"the evidence cannot be trusted: {report.reason}", next_step="run `workbench journal verify`"
            )
        yield journal
    finally:
        journal.close()
