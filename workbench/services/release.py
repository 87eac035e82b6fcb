"""Acceptance of models for stages: every gate recomputed, two people where it takes two, one way back.

Nothing here takes evidence from its caller, and nothing can be forced: what is missing is a reason against.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from workbench.core.features import select_features
from workbench.core.gates import Gate, ReleaseVerdict, judged_once, refused
from workbench.core.halts import halts_of_rows
from workbench.core.manifest import ModelManifest, acceptable
from workbench.core.ports import Event, Journal, Registry
from workbench.core.validation.guard import leak_reasons, reference_bars
from workbench.errors import ApprovalRequired, Refused
from workbench.services.authorship import author_gate, require_another
from workbench.services.evidence import BEFORE, judge_candidate
from workbench.services.people import People
from workbench.services.promotion import (
    RETIRED,
    STAGES,
    accepted_model,
    accepted_models,
    plain_manifest,
    read_model,
)
from workbench.services.two_people import TwoPeople


class Examiner(Protocol):
    """What judges a candidate beyond replay on what is not in the journal: bars, shadow sessions, people."""

    @property
    def two(self) -> TwoPeople | None:
        """Where the stage takes two people; None = one person's word is enough, and that is recorded."""
        ...

    def gates(self, manifest: ModelManifest, content: bytes, model_id: str, stage: str) -> tuple[Gate, ...]:
        """One gate for each question, computed anew."""
        ...


@dataclass(frozen=True)
class Desk:
    """What the desk uses now; a model must have been made for it.

    Attributes
    ----------
    features_hash, config_hash : str
    universe : tuple of str
    horizon_sessions : int
    holdout_sessions : int
        As the settings declare it; with 0 nothing goes beyond replay.
    """

    features_hash: str
    config_hash: str
    universe: Sequence[str]
    horizon_sessions: int
    holdout_sessions: int


def judge_model(
    journal: Journal,
    registry: Registry,
    model_id: str,
    *,
    stage: str,
    desk: Desk,
    examiner: Examiner | None = None,
) -> tuple[ReleaseVerdict, Event | None]:
    """What every gate says of a registered model and a stage, and the attempt to be journalled.

    Nothing is written. The event is None where the very same was judged before, or for replay.

    Raises
    ------
    Refused
        No such model or stage.
    ManifestMismatch
        A byte of the model or of its manifest was changed.
    """
    row = _registered(journal, model_id, stage)
    content, manifest = read_model(registry, model_id)
    reasons = acceptable(
        manifest,
        features_hash=desk.features_hash,
        config_hash=desk.config_hash,
        universe=desk.universe,
        horizon_sessions=desk.horizon_sessions,
        content_sha256=hashlib.sha256(content).hexdigest(),
    )
    if plain_manifest(row["manifest"]) != manifest.to_dict():
        reasons = (*reasons, "the journal holds another manifest for this model")
    if row.get("stage") == RETIRED:
        reasons = (*reasons, "it is retired, and a retired model never comes back")
    gates = [
        Gate(name="manifest", evidence="file, manifest and desk, hashed again", reasons=reasons),
        Gate(name="leakage", evidence="both detectors on its features as coded", reasons=_leaks(manifest)),
        Gate(name="halts", evidence="halts of the model in force", reasons=_halted(journal, model_id)),
    ]
    if stage in BEFORE:
        two = examiner is not None and examiner.two is not None
        gates.append(author_gate(journal, manifest, needed=two))
    else:
        return ReleaseVerdict(model_id, stage, judged_once(gates)), None
    judgement = judge_candidate(
        journal, registry, model_id, manifest, stage=stage, holdout_sessions=desk.holdout_sessions
    )
    gates += judgement.gates
    if examiner is None:
        gates.append(refused("determinism", "nothing", "its returns cannot be computed again: no bars here"))
    else:
        gates += examiner.gates(manifest, content, model_id, stage)
    verdict = ReleaseVerdict(model_id, stage, judged_once(gates))
    return verdict, judgement.attempt(journal, verdict)


def _halted(journal: Journal, model_id: str) -> tuple[str, ...]:
    """Why the model may open no risk now: the halts of it that nobody has lifted."""
    held = halts_of_rows(journal.rows("halts", level="model", target=model_id))
    return tuple(f"it is halted: {halt.reason}" for halt in held)


def _registered(journal: Journal, model_id: str, stage: str) -> Mapping[str, Any]:
    if stage not in STAGES:
        raise Refused(
            f"a model cannot be accepted for {stage!r}",
            next_step=f"use one of: {', '.join(STAGES)}",
            stage=stage,
        )
    rows = journal.rows("models", model_id=model_id)
    if not rows:
        known = [row["model_id"] for row in journal.rows("models")]
        raise Refused(
            f"no model {model_id!r}; registered: {', '.join(known) or 'none'}",
            next_step="name one of them in full" if known else "train a candidate: `workbench train`",
            model_id=model_id,
            candidates=tuple(known),
        )
    return rows[0]


def stage_model(
    journal: Journal,
    registry: Registry,
    model_id: str,
    *,
    stage: str,
    person: str,
    reason: str,
    features_hash: str,
    config_hash: str,
    universe: Sequence[str],
    horizon_sessions: int,
    holdout_sessions: int,
    people: People | None = None,
    examiner: Examiner | None = None,
    typed: str = "",
) -> ModelManifest:
    """Accept a registered model for a stage, when people say so *and* every gate passes.

    The file's hash, the manifest and its fit with the desk are recomputed from the bytes, and its features
    are put through the leak detectors again. There is no way to accept a model that fails.

    Parameters
    ----------
    stage : {"replay", "shadow", "paper", "live"}
        Beyond replay the trial ledger, the holdout and everything that the examiner asks are judged too.
    person, reason : str
        A registered operator or approver, and why.
    features_hash, config_hash, universe, horizon_sessions, holdout_sessions
        What the desk uses now, see `Desk`.
    people : People, optional
        Signs with the key at hand; by default nothing is signed.
    examiner : Examiner, optional
        Without one nothing goes beyond replay.
    typed : str
        Alone on a desk that takes two people: what is agreed to, word for word.

    Returns
    -------
    ModelManifest
        Of the accepted model, which is now the one that `accepted_model` gives.

    Raises
    ------
    ApprovalRequired
        Acts are signed here, and this one is not; or a second person has to agree to this very evidence.
    Refused
        The person may not accept, no such model or stage, or the evidence speaks against it; `reasons`
        holds all of it, `gates` every gate.
    ManifestMismatch
        A byte of the model or of its manifest was changed.
    """
    people = people or People(journal)
    people.check(person, reason, act="promote")
    desk = Desk(features_hash, config_hash, universe, horizon_sessions, holdout_sessions)
    verdict, attempt = judge_model(journal, registry, model_id, stage=stage, desk=desk, examiner=examiner)
    judged = [attempt] if attempt else []
    if not verdict.passed:
        if judged:
            journal.commit(judged)  # an attempt counts whatever came of it
        raise Refused(
            f"model {model_id[:12]} cannot be accepted for {stage}: {'; '.join(verdict.reasons)}",
            next_step="mend what the reasons name, or train another candidate: `workbench train`",
            model_id=model_id,
            reasons=verdict.reasons,
            gates=tuple(gate.plain() for gate in verdict.gates),
        )
    payload = {"model_id": model_id, "stage": stage, "person": person, "reason": reason}
    manifest = read_model(registry, model_id)[1]
    two = examiner.two if examiner is not None and stage in BEFORE else None
    if two is not None:
        _agree(journal, two, verdict, payload, judged, typed=typed, people=people, manifest=manifest)
    else:
        acts = people.require(person, reason, act="promote", subject=payload)
        journal.commit([*judged, *acts, Event("model.staged", payload)])
    return manifest


def promotion_subject(verdict: ReleaseVerdict) -> str:
    """What two people agree to: this model, this stage, this evidence, and nothing else."""
    return (
        f"promote model {verdict.model_id[:16]} to {verdict.stage} on evidence {verdict.evidence_hash[:16]}"
    )


def _agree(
    journal: Journal,
    two: TwoPeople,
    verdict: ReleaseVerdict,
    payload: Mapping[str, str],
    judged: Sequence[Event],
    *,
    typed: str,
    people: People,
    manifest: ModelManifest,
) -> None:
    """The first person asks; the second one's word, not its author's, stages the model in one transaction."""
    subject, person, reason = promotion_subject(verdict), payload["person"], payload["reason"]
    asked = next((row for row in two.waiting() if row["subject"] == subject), None)
    if asked is None:
        journal.commit(judged)
        two.ask(subject, person=person, reason=reason)
        raise ApprovalRequired(
            f"{person} asks to {subject}",
            next_step="a second person runs the same command; alone on the desk you do, after 15 minutes, "
            f'with --confirm "{subject}"',
            subject=subject,
        )
    with people.refusals_recorded(person, "confirm", subject):
        require_another(journal, manifest, subject, person=person, asked_by=asked["first"])
    staged = {**payload, "request_id": asked["request_id"], "second": asked["first"]}
    also = [*judged, Event("model.staged", staged)]
    two.confirm(subject, person=person, reason=reason, typed=typed, also=also)


def retire_model(
    journal: Journal, model_id: str, *, person: str, reason: str, people: People | None = None
) -> None:
    """End a model's use for good, on one registered person's word; it never comes back.

    Raises
    ------
    Refused
        No such model, or it is retired already.
    ApprovalRequired
        The person may not act, or the act is not signed where it has to be.
    """
    people = people or People(journal)
    people.check(person, reason, act="retire")
    row = _registered(journal, model_id, STAGES[0])
    if row["stage"] == RETIRED:
        raise Refused(f"model {model_id[:12]} is retired already", next_step="see `workbench candidates`")
    payload = {"model_id": model_id, "stage": RETIRED, "person": person, "reason": reason}
    acts = people.require(person, reason, act="retire", subject=payload)
    journal.commit([*acts, Event("model.staged", payload)])


def roll_back(
    journal: Journal,
    registry: Registry,
    *,
    mode: str,
    person: str,
    reason: str,
    desk: Desk,
    people: People | None = None,
) -> tuple[str, str]:
    """Retire the model that decides in a mode, so that the one before it decides again; both ids.

    One command and one transaction: the statistics are not asked again, for the earlier model passed them
    and the present one is distrusted. That its bytes are whole and fit the desk is.

    Raises
    ------
    Refused
        There is no earlier model, or it does not fit the desk any more: halt instead.
    ManifestMismatch
        No model is accepted for the mode, or a byte of the earlier one was changed.
    """
    people = people or People(journal)
    people.check(person, reason, act="roll back")
    accepted = accepted_models(journal, mode)
    if len(accepted) < 2:
        accepted_model(journal, mode)  # says so when there is none at all
        raise Refused(
            f"there is no model to go back to in mode {mode!r}",
            next_step="`workbench halt --person NAME --reason WHY` stops the present one",
        )
    present, before = accepted[-1], accepted[-2]
    content, manifest = read_model(registry, before)
    reasons = acceptable(
        manifest, features_hash=desk.features_hash, config_hash=desk.config_hash, universe=desk.universe,
        horizon_sessions=desk.horizon_sessions, content_sha256=hashlib.sha256(content).hexdigest(),
    )  # fmt: skip
    if reasons:
        raise Refused(
            f"model {before[:12]} does not fit this desk any more: {'; '.join(reasons)}",
            next_step="`workbench halt --person NAME --reason WHY` stops the present one",
            reasons=reasons,
        )
    payload = {"model_id": present, "stage": RETIRED, "person": person, "reason": reason}
    moved = {"mode": mode, "from_model": present, "to_model": before, "person": person, "reason": reason}
    acts = people.require(person, reason, act="roll back", subject=moved)
    journal.commit([*acts, Event("model.staged", payload), Event("model.rolled_back", moved)])
    return present, before


def _leaks(manifest: ModelManifest) -> tuple[str, ...]:
    """What the leak detectors find in the model's features as they are coded now."""
    try:
        features = select_features(manifest.features)
    except ValueError as unknown:
        return (f"its features cannot be judged: {unknown}",)
    return leak_reasons(features, reference_bars(features))
