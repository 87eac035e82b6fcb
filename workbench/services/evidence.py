"""The evidence that a candidate needs beyond replay, recomputed from stored records each time it is asked.

Nothing here is an argument that could be made to fit: trials, returns and the holdout come from the journal
and the registry, the limits from the rule. What is missing is a reason against.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from workbench.core.manifest import ModelManifest
from workbench.core.overfitting import FamilyVerdict, GateRule, judge_family
from workbench.core.ports import Event, Journal, Registry
from workbench.core.types import DAY_NS
from workbench.errors import ManifestMismatch
from workbench.services.research import Evidence, TrialLedger, lay_beside
from workbench.services.return_series import SERIES, ReturnSeries

#: Resamples are drawn from it: nobody may look for a kinder one.
SEED = 20_180_611
_LEAST_BLOCK = 10.0
_YEAR_NS = 365 * DAY_NS
#: A stage, and the one that a model must have before it.
BEFORE = {"shadow": "replay", "paper": "shadow", "live": "paper"}


@dataclass(frozen=True, eq=False)
class Judgement:
    """What the stored evidence says of a candidate.

    Attributes
    ----------
    reasons : tuple of str
        Why not; empty when nothing speaks against it.
    verdict : FamilyVerdict or None
        Of the statistical gate; None when there was nothing to judge.
    event : Event or None
        The attempt, to be journalled; None when nothing was judged, or the very same was before.
    """

    reasons: tuple[str, ...]
    verdict: FamilyVerdict | None
    event: Event | None


def judge_candidate(
    journal: Journal,
    registry: Registry,
    model_id: str,
    manifest: ModelManifest,
    *,
    stage: str,
    holdout_sessions: int,
) -> Judgement:
    """Whether the records let a candidate go to a stage beyond replay.

    Parameters
    ----------
    stage : {"shadow", "paper", "live"}
    holdout_sessions : int
        As the settings declare it.
    """
    ledger = TrialLedger(journal, registry)
    reasons = [*_stage_reasons(journal, model_id, stage)]
    reasons += _holdout_reasons(journal, registry, model_id, manifest, holdout_sessions)
    own = ledger.trial_of(model_id)
    if own is None:
        reasons.append("no trial of it is in the ledger: it was not trained through it")
        return Judgement(tuple(reasons), None, None)
    try:
        evidence = lay_beside(ledger, own)
    except ManifestMismatch as altered:
        reasons.append(f"a stored series cannot be trusted: {altered.message}")
        return Judgement(tuple(reasons), None, None)
    attempt = _attempt(journal.rows("judgements"), model_id, evidence.evidence_hash)
    verdict, found = _statistics(evidence, manifest, attempt)
    reasons += found
    record = {
        "model_id": model_id,
        "stage": stage,
        "passed": not reasons,
        "evidence_hash": evidence.evidence_hash,
        "trials": evidence.trials,
        "clusters": verdict.clusters.n_clusters if verdict else 0,
        "attempt": attempt,
        "reasons": reasons,
    }
    known = any(all(row[name] == record[name] for name in record) for row in journal.rows("judgements"))
    return Judgement(tuple(reasons), verdict, None if known else Event("promotion.judged", record))


def _stage_reasons(journal: Journal, model_id: str, stage: str) -> list[str]:
    (row,) = journal.rows("models", model_id=model_id)
    reasons = []
    if row["stage"] not in (BEFORE[stage], stage):
        reasons.append(f"it is at {row['stage'] or 'candidate'}, and {stage} follows {BEFORE[stage]}")
    if stage != "shadow":
        reasons.append("no proof from shadow sessions is on record")
    return reasons


def _holdout_reasons(
    journal: Journal, registry: Registry, model_id: str, manifest: ModelManifest, declared: int
) -> list[str]:
    if declared < 1:
        return ["no holdout is declared in model.holdout_sessions"]
    rows = journal.rows("holdout_reads", model_id=model_id)
    if not rows:
        return ["its holdout was not read: `workbench holdout MODEL`"]
    row = rows[0]
    try:
        series = ReturnSeries.from_bytes(registry.get(SERIES, row["series_id"])[0])
    except ManifestMismatch as altered:
        return [f"its holdout result cannot be trusted: {altered.message}"]
    reasons = []
    if manifest.train_last_session >= series.sessions[0]:
        reasons.append("it was trained on its holdout")
    excess = sum(series.net_nano) - sum(series.hold_nano)
    if excess < 0:
        reasons.append(
            f"on its holdout it earned less than holding did: {excess / 1e5 / len(series.sessions):.2f} bps "
            f"a session over {len(series.sessions)}"
        )
    return reasons


def _attempt(rows: Sequence[Mapping[str, Any]], model_id: str, evidence_hash: str) -> int:
    """Which attempt this is within a year; the same candidate on the same ledger is no new one.

    The year ends with the last judgement, not with a clock that somebody can set.
    """
    since = max((row["at_ns"] for row in rows), default=0) - _YEAR_NS
    made = list(
        dict.fromkeys((row["model_id"], row["evidence_hash"]) for row in rows if row["at_ns"] >= since)
    )
    mine = (model_id, evidence_hash)
    return made.index(mine) + 1 if mine in made else len(made) + 1


def _statistics(
    evidence: Evidence, manifest: ModelManifest, attempt: int
) -> tuple[FamilyVerdict | None, list[str]]:
    """The gate's verdict, and its reasons; the error allowed is shared by the attempts of a year."""
    rule = GateRule()
    shared = replace(
        rule,
        least_deflated=1.0 - (1.0 - rule.least_deflated) / attempt,
        most_spa_pvalue=rule.most_spa_pvalue / attempt,
    )
    try:
        verdict = judge_family(
            evidence.matrix,
            evidence.benchmark,
            candidate="0",
            mean_block=max(_LEAST_BLOCK, float(manifest.horizon_sessions)),
            seed=SEED,
            rule=shared,
            unplaced=evidence.unplaced,
        )
    except (ValueError, np.linalg.LinAlgError) as error:
        return None, [f"its family cannot be judged: {error}"]
    said = [
        f"{reason} (attempt {attempt} of a year)" if attempt > 1 else reason for reason in verdict.reasons
    ]
    return verdict, said
