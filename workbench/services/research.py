"""The trial ledger: everything that was tried, in the journal, with the returns it had.

A trial is counted because it was run, not because it was kept. Its returns lie in the registry under the
hash of what they are, so that they can be judged later and not exchanged meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.core.canonical import canonical_json, sha256_of
from workbench.core.overfitting import TrialClusters, cluster_trials
from workbench.core.ports import Event, Journal, Registry
from workbench.core.printing import html_table
from workbench.core.types import BPS, Floats
from workbench.errors import UsageError
from workbench.services.return_series import NANO, SERIES, ReturnSeries

TRAINING, NOTEBOOK, SWEEP = "training", "notebook", "sweep"
SOURCES = (TRAINING, NOTEBOOK, SWEEP)
#: A trial that lacks more of the sessions than this cannot be laid beside the others.
LEAST_COVER = 0.5


@dataclass(frozen=True)
class Trial:
    """One entry of the trial ledger.

    Attributes
    ----------
    trial_id : str
        Hash of family, parameters and returns.
    family, source : str
        What belongs together, and where it was run.
    parameters : mapping
        What was tried.
    series_id : str
        Artifact of its returns.
    first_session, last_session : str
    rows : int
    model_id : str
        The candidate that it evaluates; "" when it is not of a model.
    """

    trial_id: str
    family: str
    source: str
    parameters: Mapping[str, Any]
    series_id: str
    first_session: str
    last_session: str
    rows: int
    model_id: str


@dataclass(frozen=True, eq=False)
class FamilyCount:
    """How many trials a family holds, and how many different things they are.

    Attributes
    ----------
    family : str
    trials : int
        The raw count: every recorded trial.
    clusters : TrialClusters or None
        Groups of likes over the sessions that all of them share; None where these are too few, or a trial
        never varies.
    shared_sessions : int
    """

    family: str
    trials: int
    clusters: TrialClusters | None
    shared_sessions: int

    @property
    def effective(self) -> int | None:
        """Effective number of trials; None where it is not known."""
        return None if self.clusters is None else self.clusters.n_clusters

    @property
    def basis(self) -> str:
        """How the effective number was found, in words."""
        if self.clusters is None:
            return f"not known: {self.shared_sessions} sessions are shared, or a trial never varies"
        return f"{self.clusters.basis}, over {self.shared_sessions} shared sessions"

    def _repr_html_(self) -> str:
        facts = {"trials": self.trials, "effective trials": self.effective}
        return html_table(f"Family {self.family}", facts, {"basis": self.basis})


def record_trial(
    journal: Journal,
    registry: Registry,
    series: ReturnSeries,
    *,
    family: str,
    parameters: Mapping[str, Any],
    source: str,
    model_id: str = "",
) -> Trial:
    """The trial, now in the ledger; the very same one again is the one that is there.

    Parameters
    ----------
    family : str
        What is tried together. It is a label to read by: a promotion is judged by the whole ledger.
    parameters : mapping
        What was tried, of plain values.
    source : {"training", "notebook", "sweep"}
    model_id : str, default ""
        The registered candidate that the returns evaluate; only training knows one.

    Raises
    ------
    UsageError
        No family, an unknown source, or parameters without canonical form.
    StorageFailed
        Registry or journal could not keep it.
    """
    if not family.strip():
        raise UsageError("a trial needs a family", next_step='give one, such as family="trend"')
    if source not in SOURCES:
        raise UsageError(f"there is no source {source!r}", next_step=f"use one of: {', '.join(SOURCES)}")
    try:
        said = canonical_json(dict(parameters))
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"parameters of a trial: {error}", next_step="use plain numbers, text, lists and mappings"
        ) from error
    series_id = registry.put(SERIES, series.to_bytes(), {"rows": len(series.sessions)})
    trial_id = sha256_of([family, said, series_id, model_id])
    found = journal.rows("trials", trial_id=trial_id)
    if found:
        return _trial(found[0])
    row = {
        "trial_id": trial_id,
        "family": family,
        "parameters": said,
        "source": source,
        "series_id": series_id,
        "first_session": series.sessions[0],
        "last_session": series.sessions[-1],
        "rows": len(series.sessions),
        "model_id": model_id,
    }
    journal.commit([Event("trial.recorded", row)])
    return _trial(row)


class TrialLedger:
    """The trial ledger as it stands: what was tried, and how much that is."""

    def __init__(self, journal: Journal, registry: Registry) -> None:
        self._journal = journal
        self._registry = registry

    def trials(self, *, family: str = "") -> tuple[Trial, ...]:
        """Every trial in order of recording, of one family when it is named."""
        wanted = {"family": family} if family else {}
        return tuple(_trial(row) for row in self._journal.rows("trials", **wanted))

    def series(self, trial: Trial) -> ReturnSeries:
        """Returns of a trial, with every hash recomputed.

        Raises
        ------
        ManifestMismatch
            The stored series is gone, or a byte of it was changed.
        """
        return ReturnSeries.from_bytes(self._registry.get(SERIES, trial.series_id)[0])

    def trial_of(self, model_id: str) -> Trial | None:
        """The trial that training recorded for a model; None when there is none."""
        rows = self._journal.rows("trials", model_id=model_id)
        return _trial(rows[-1]) if rows else None

    def families(self) -> tuple[FamilyCount, ...]:
        """Raw count and effective number of every family, in order of first appearance."""
        by_family: dict[str, list[Trial]] = {}
        for trial in self.trials():
            by_family.setdefault(trial.family, []).append(trial)
        return tuple(self._count(family, trials) for family, trials in by_family.items())

    def _count(self, family: str, trials: Sequence[Trial]) -> FamilyCount:
        series = [self.series(trial) for trial in trials]
        shared = sorted(set.intersection(*(set(one.sessions) for one in series)))
        clusters = None
        if len(shared) >= 3:
            columns = [_at(one, shared, one.net - one.hold) for one in series]
            try:
                clusters = cluster_trials(np.column_stack(columns))
            except ValueError:  # a trial that never varies is like nothing; the raw count still holds
                clusters = None
        return FamilyCount(family, len(trials), clusters, len(shared))

    def holdout_reads(self) -> tuple[dict[str, Any], ...]:
        """Each read of a holdout: model, sessions, and mean net and held return in bps a session."""
        return tuple(
            {
                "model_id": row["model_id"],
                "first_session": row["first_session"],
                "last_session": row["last_session"],
                "sessions": row["sessions"],
                "net_bps": mean_bps(row["net_sum_nano"], row["sessions"]),
                "hold_bps": mean_bps(row["hold_sum_nano"], row["sessions"]),
                "at_ns": row["at_ns"],
            }
            for row in self._journal.rows("holdout_reads")
        )


@dataclass(frozen=True, eq=False)
class Evidence:
    """The ledger laid beside one candidate.

    Attributes
    ----------
    sessions : tuple of str
        Those of the candidate's own trial.
    matrix : float64 (sessions, placed trials)
        Net returns; the candidate's is the first column. Equal columns stand once.
    benchmark : float64 (sessions,)
    trials : int
        All in the ledger, the raw count.
    unplaced : int
        Trials that share too few sessions, or that never differ from the benchmark.
    evidence_hash : str
        Of the candidate's and all other series.
    """

    sessions: tuple[str, ...]
    matrix: Floats
    benchmark: Floats
    trials: int
    unplaced: int
    evidence_hash: str


def lay_beside(ledger: TrialLedger, own: Trial) -> Evidence:
    """Every trial of the ledger over the sessions of the candidate's own, whatever its family.

    A session that another trial lacks counts as the benchmark's: no skill and no loss there.

    Raises
    ------
    ManifestMismatch
        A stored series is gone or was changed.
    """
    everything = ledger.trials()
    mine = ledger.series(own)
    benchmark, place = mine.hold, {session: at for at, session in enumerate(mine.sessions)}
    columns, seen, unplaced = [mine.net], {mine.net_nano}, 0
    for trial in everything:
        if trial.trial_id == own.trial_id:
            continue
        other = ledger.series(trial)
        held = [(place[session], at) for at, session in enumerate(other.sessions) if session in place]
        column = benchmark.copy()
        if held:
            here, there = (np.array(part, dtype=np.int64) for part in zip(*held, strict=True))
            column[here] = other.net[there]
        key = tuple(np.round(column * NANO).astype(np.int64).tolist())
        if len(held) < LEAST_COVER * len(place) or np.ptp(column - benchmark) == 0.0:
            unplaced += 1
        elif key not in seen:
            seen.add(key)
            columns.append(column)
    evidence_hash = sha256_of([own.trial_id, sorted(trial.trial_id for trial in everything)])
    return Evidence(
        mine.sessions, np.column_stack(columns), benchmark, len(everything), unplaced, evidence_hash
    )


def mean_bps(sum_nano: int, sessions: int) -> float:
    """Mean of a sum of returns, bps a session, on the grid of 1e-6."""
    return round(sum_nano / NANO / sessions * BPS, 6)


def _at(series: ReturnSeries, sessions: Sequence[str], values: Floats) -> Floats:
    place = {session: at for at, session in enumerate(series.sessions)}
    found: Floats = values[[place[session] for session in sessions]]
    return found


def _trial(row: Mapping[str, Any]) -> Trial:
    return Trial(
        trial_id=row["trial_id"],
        family=row["family"],
        source=row["source"],
        parameters=json.loads(row["parameters"]),
        series_id=row["series_id"],
        first_session=row["first_session"],
        last_session=row["last_session"],
        rows=row["rows"],
        model_id=row["model_id"],
    )
