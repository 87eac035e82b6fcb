"""The evidence that a candidate needs beyond replay, recomputed from stored records each time it is asked.

Nothing here is an argument that could be made to fit: trials, returns and the holdout come from the journal
and the registry, the limits from the rule. What is missing is a reason against.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from workbench.core.gates import Gate, ReleaseVerdict, refused
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
#: A candidate may go to shadow at once: replay asks for less.
CANDIDATE = "candidate"
FIRST_STEP = (CANDIDATE, "shadow")
_LEDGER = "returns of every trial, from the registry by their hashes"


@dataclass(frozen=True, eq=False)
class Judgement:
    """What the stored evidence says of a candidate.

    Attributes
    ----------
    gates : tuple of Gate
        Stage, holdout, ledger and statistics.
    record : mapping or None
        What the attempt is known by in the journal; None when there was nothing to judge.
    """

    gates: tuple[Gate, ...]
    record: Mapping[str, Any] | None

    def attempt(self, journal: Journal, verdict: ReleaseVerdict) -> Event | None:
        """The attempt with every gate of the whole verdict; None when the very same is on record."""
        if self.record is None:
            return None
        record = {**self.record, "passed": verdict.passed, "reasons": list(verdict.reasons)}
        known = any(all(row[name] == record[name] for name in record) for row in journal.rows("judgements"))
        gates = [gate.plain() for gate in verdict.gates]
        shown = journal.rows("releases", model_id=verdict.model_id, stage=verdict.stage)
        if known and shown and shown[0]["gates"] == gates:
            return None
        return Event("promotion.judged", {**record, "gates": gates, "verdict_hash": verdict.evidence_hash})


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
    gates = [
        Gate(name="stage", evidence="the journal", reasons=tuple(_stage_reasons(journal, model_id, stage))),
        _holdout_gate(journal, registry, model_id, manifest, holdout_sessions),
    ]
    own = ledger.trial_of(model_id)
    if own is None:
        gates.append(
            refused("ledger", _LEDGER, "no trial of it is in the ledger: it was not trained through it")
        )
        return Judgement(tuple(gates), None)
    try:
        evidence = lay_beside(ledger, own)
    except ManifestMismatch as altered:
        gates.append(refused("ledger", _LEDGER, f"a stored series cannot be trusted: {altered.message}"))
        return Judgement(tuple(gates), None)
    attempt = _attempt(journal.rows("judgements"), model_id, evidence.evidence_hash)
    verdict, judged = _statistics(evidence, manifest, attempt)
    record = {
        "model_id": model_id,
        "stage": stage,
        "evidence_hash": evidence.evidence_hash,
        "trials": evidence.trials,
        "clusters": verdict.clusters.n_clusters if verdict else 0,
        "attempt": attempt,
    }
    return Judgement((*gates, *judged), record)


def _stage_reasons(journal: Journal, model_id: str, stage: str) -> list[str]:
    (row,) = journal.rows("models", model_id=model_id)
    reasons = []
    if row["stage"] not in (BEFORE[stage], stage) and (row["stage"] or CANDIDATE, stage) != FIRST_STEP:
        reasons.append(f"it is at {row['stage'] or CANDIDATE}, and {stage} follows {BEFORE[stage]}")
    return reasons


def _holdout_gate(
    journal: Journal, registry: Registry, model_id: str, manifest: ModelManifest, declared: int
) -> Gate:
    """The one look at sessions that no training saw."""
    reasons = _holdout_reasons(journal, registry, model_id, manifest, declared)
    rows = journal.rows("holdout_reads", model_id=model_id)
    numbers: dict[str, float | int | str] = {"declared sessions": declared}
    if rows:
        found = {name: rows[0][f"{name}_sum_nano"] / 1e5 / rows[0]["sessions"] for name in ("net", "hold")}
        numbers |= {
            "sessions": rows[0]["sessions"], "net bps": found["net"], "held bps": found["hold"],
        }  # fmt: skip
    return Gate(name="holdout", evidence="its one journalled read", numbers=numbers, reasons=tuple(reasons))


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
) -> tuple[FamilyVerdict | None, tuple[Gate, ...]]:
    """The statistical gates; the error allowed is shared by the attempts of a year."""
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
        return None, (refused("statistics", _LEDGER, f"its family cannot be judged: {error}"),)
    said = [
        f"{reason} (attempt {attempt} of a year)" if attempt > 1 else reason for reason in verdict.reasons
    ]
    pbo = verdict.overfitting.pbo if verdict.overfitting and verdict.pbo_identified else "not identified"
    alike = verdict.alike if verdict.pbo_identified else "not identified"
    loss = verdict.overfitting.probability_of_loss if verdict.overfitting else "alone"
    numbers: dict[str, dict[str, float | int | str]] = {
        "rows": {"rows": verdict.n_obs, "least": shared.least_rows},
        "deflated Sharpe ratio": {
            "deflated": float(verdict.deflated), "least": shared.least_deflated, "trials": verdict.n_trials,
            "clusters": verdict.clusters.n_clusters, "attempt": attempt,
        },
        "superior predictive ability": {
            "p-value": verdict.superiority.pvalues["consistent"], "most": shared.most_spa_pvalue,
            "own p-value": verdict.superiority.selected_pvalue,
        },
        "backtest overfitting": {
            "PBO": pbo, "most": shared.most_pbo, "clusters alike": alike,
            "least alike": shared.least_alike, "probability of loss": loss, "most loss": shared.most_loss,
        },
    }  # fmt: skip
    basis = f"{evidence.trials} trials of the ledger, {verdict.clusters.basis}"
    return verdict, tuple(
        Gate(
            name=name, evidence=basis, numbers=found,
            reasons=tuple(reason for reason in said if _gate_of(reason) == name),
        )
        for name, found in numbers.items()
    )  # fmt: skip


def _gate_of(reason: str) -> str:
    """The gate that a reason of the family's verdict belongs to; an unknown one is never lost."""
    if "rows out of sample" in reason:
        return "rows"
    if "deflated Sharpe" in reason:
        return "deflated Sharpe ratio"
    return "superior predictive ability" if reason.startswith("SPA") else "backtest overfitting"
