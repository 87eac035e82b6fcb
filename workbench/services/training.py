"""Training of the forecast model, its registration as a candidate, and loading of the accepted one.

Rows of all symbols and sessions are pooled; a row whose label ends after the training data is not used.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from workbench.core.costs import CostModel
from workbench.core.evaluation import cost_per_side_bps
from workbench.core.features import Feature, features_hash
from workbench.core.forecast import ForecastModel
from workbench.core.labels import Label
from workbench.core.manifest import ModelManifest, compatible
from workbench.core.ports import Calendar, Journal, Registry
from workbench.core.types import BPS, Bars, Floats, Integers
from workbench.core.validation.guard import leak_reasons
from workbench.core.workers import HERE, Workers
from workbench.errors import DataError, ManifestMismatch, Refused
from workbench.services.authorship import NOT_SAID, Author
from workbench.services.estimators import Estimator, fit_pipeline
from workbench.services.model_files import (
    library_versions,
    model_bytes,
    prove_readable,
    read_forecast_model,
)
from workbench.services.promotion import accepted_model, read_model, register_model
from workbench.services.research import TRAINING, record_trial
from workbench.services.return_series import ReturnSeries
from workbench.services.walk_forward import (
    FOLDS,
    Book,
    Fold,
    TrainingRows,
    evaluate_block,
    forecast_blocks,
    partition_hash,
    training_rows,
)

_NO_BOUNDS: Mapping[str, float] = {}
Progress = Callable[[str, int, int], None]  #: what is being done, steps done, steps in all


@dataclass(frozen=True)
class CandidateReport:
    """A registered candidate and how it did on sessions that it had not seen."""

    model_id: str
    manifest: ModelManifest
    folds: tuple[Fold, ...]

    def _repr_html_(self) -> str:
        cells = "".join(
            f"<tr><td>{fold.first_session} to {fold.last_session}</td><td>{fold.train_rows}</td>"
            f"<td>{fold.test_rows}</td><td>{fold.ic:+.4f}</td><td>{fold.hit_rate:.3f}</td>"
            f"<td>{fold.gross_bps:+.2f}</td><td>{fold.net_bps:+.2f}</td><td>{fold.turnover:.3f}</td></tr>"
            for fold in self.folds
        )
        names = "tested on|train rows|test rows|IC|hit rate|gross bps|net bps|turnover".split("|")
        head = f"<tr>{''.join(f'<th>{name}</th>' for name in names)}</tr>"
        return f"<p>candidate <code>{self.model_id[:12]}</code></p><table>{head}{cells}</table>"


@dataclass(frozen=True)
class Experiment:
    """What is tried: everything about a candidate that is not data.

    Attributes
    ----------
    features : tuple of Feature
        Columns in order.
    label : Label
    horizon_sessions : int
        Sessions from the decision to the latest end of a label.
    estimator : Estimator
    alpha : float
        Penalty, in the estimator's own measure.
    seed : int
    cost_model : CostModel
        Prices the walk-forward book.
    notional_usd : float
        Value of one order of the book; decides impact and fees.
    allow_short : bool
        Whether the book takes negative forecasts as positions.
    """

    features: tuple[Feature, ...]
    label: Label
    horizon_sessions: int
    estimator: Estimator
    alpha: float
    seed: int
    cost_model: CostModel
    notional_usd: float
    allow_short: bool

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(feature.name for feature in self.features)

    def parameters(self) -> dict[str, float]:
        """The numbers that the manifest keeps."""
        return {
            "alpha": float(self.alpha),
            **self.estimator.parameters(),
            **self.label.parameters(),
            "evaluation_notional_usd": float(self.notional_usd),
            "evaluation_allow_short": float(self.allow_short),
        }


def train_candidate(
    experiment: Experiment,
    *,
    bars: Bars,
    calendar: Calendar,
    as_of_ns: int,
    bars_fingerprint: str,
    provenance: str,
    config_hash: str,
    code_hash: str,
    registry: Registry,
    journal: Journal,
    input_bounds: Mapping[str, float] = _NO_BOUNDS,
    progress: Progress = lambda what, done, steps: None,
    workers: Workers = HERE,
    author: Author = NOT_SAID,
) -> CandidateReport:
    """Train, evaluate and register a candidate; the same inputs give the same bytes everywhere.

    Parameters
    ----------
    experiment : Experiment
    bars : Bars
        Adjusted daily panel as known at `as_of_ns`, one row for every exchange session it spans.
    calendar : Calendar
        Proves that no session is missing, so that a horizon in rows is one in sessions.
    as_of_ns : int
        Time at which the bars were known, UTC nanoseconds.
    bars_fingerprint, config_hash, code_hash : str
        Hex sha256, kept in the manifest.
    provenance : {"real", "synthetic"}
        Where the bars come from. Candidates of synthetic bars can be looked at, never accepted.
    input_bounds : mapping of str to float
        How far inputs may drift while the model opens risk, for the manifest.
    progress : callable (what, done, steps)
    workers : Workers, default here
        Where the blocks of the walk-forward evaluation are worked on; the candidate is the same.
    author : Author, default not said
        Whose candidate it is; a stage that takes two people wants to know, and another person.

    Raises
    ------
    DataError
        Bars from after `as_of_ns`, a missing session, too few rows, or labels without variation.
    Refused
        A feature knows the future, or depends on where history begins; `reasons` holds all of it.
    StorageFailed
        The registry or the journal could not keep the candidate.

    Notes
    -----
    The walk-forward returns go into the trial ledger: a candidate that was trained was tried.
    """
    steps = FOLDS + 3
    progress("features and labels", 0, steps)
    author.check()
    sessions = _sessions_of(bars, calendar, as_of_ns=as_of_ns)
    _require_causal(experiment.features, bars)
    rows = training_rows(
        bars, experiment.features, label=experiment.label, horizon_sessions=experiment.horizon_sessions
    )
    folds = _walk_forward(
        experiment, bars, rows, sessions, lambda what, done: progress(what, done, steps), workers
    )
    progress("final fit", FOLDS + 1, steps)
    content = fit_file(experiment, rows.matrix, rows.target)
    prove_readable(content, rows.matrix, experiment.names)
    manifest = ModelManifest(
        kind=experiment.estimator.kind,
        features=experiment.names,
        features_hash=features_hash(experiment.features),
        universe=bars.symbols,
        horizon_sessions=experiment.horizon_sessions,
        bars_fingerprint=bars_fingerprint,
        provenance=provenance,
        train_first_session=sessions[0],
        train_last_session=sessions[-1],
        train_rows=len(rows.target),
        label=experiment.label.name,
        seed=experiment.seed,
        as_of_ns=as_of_ns,
        config_hash=config_hash,
        code_hash=code_hash,
        library_versions=library_versions(),
        content_sha256=hashlib.sha256(content).hexdigest(),
        metrics=_metrics(folds),
        parameters=experiment.parameters(),
        partition_hash=partition_hash(rows),
        input_bounds=input_bounds,
        author=author.name,
    )
    progress("registration", FOLDS + 2, steps)
    model_id = register_model(journal, registry, content, manifest, acts=author.signs(manifest))
    _record(journal, registry, experiment, manifest, folds, model_id)
    progress("done", steps, steps)
    return CandidateReport(model_id, manifest, folds)


def _record(
    journal: Journal, registry: Registry, experiment: Experiment, manifest: ModelManifest,
    folds: Sequence[Fold], model_id: str,
) -> None:  # fmt: skip
    """Enter the candidate's returns out of sample in the trial ledger."""
    series = ReturnSeries.of(
        [session for fold in folds for session in fold.sessions],
        [bps / BPS for fold in folds for bps in fold.net_of_session_bps],
        [bps / BPS for fold in folds for bps in fold.hold_of_session_bps],
    )
    record_trial(
        journal,
        registry,
        series,
        family=f"{experiment.label.name} {experiment.horizon_sessions}",
        parameters={
            **experiment.parameters(),
            "estimator": manifest.kind,
            "features": list(experiment.names),
            "seed": experiment.seed,
            "train_last_session": manifest.train_last_session,
        },
        source=TRAINING,
        model_id=model_id,
    )


def _walk_forward(
    experiment: Experiment,
    bars: Bars,
    rows: TrainingRows,
    sessions: Sequence[str],
    progress: Callable[[str, int], None],
    workers: Workers,
) -> tuple[Fold, ...]:
    """Out-of-sample results block by block; every model is given only what was settled before its block."""
    cost_bps = cost_per_side_bps(bars, experiment.cost_model, notional_usd=experiment.notional_usd)
    book = Book(bars, cost_bps, experiment.horizon_sessions, experiment.allow_short)
    found = workers.map(_fold, forecast_blocks(rows), shared=(experiment, rows, sessions, book))
    folds = []
    for number in range(1, FOLDS + 1):
        progress(f"walk-forward {number} of {FOLDS}", number)
        folds.append(next(found))
    return tuple(folds)


def _fold(
    experiment: Experiment, rows: TrainingRows, sessions: Sequence[str], book: Book, block: Integers
) -> Fold:
    def fit(matrix: Floats, target: Floats) -> ForecastModel:
        return read_forecast_model(fit_file(experiment, matrix, target), experiment.names)

    return evaluate_block(rows, block, sessions=sessions, fit=fit, book=book)


def load_model(
    registry: Registry,
    journal: Journal,
    *,
    mode: str,
    features_hash: str,
    config_hash: str,
    universe: Sequence[str],
    horizon_sessions: int,
    as_of_session: str,
) -> tuple[str, ForecastModel]:
    """Id and forecasts of the model accepted for a mode, after every hash and claim was checked again.

    scikit-learn is not imported: a trading kernel starts without its seconds.

    Parameters
    ----------
    features_hash, config_hash, universe, horizon_sessions
        What the desk uses now.
    as_of_session : str
        ISO date of the session to be traded.

    Raises
    ------
    ManifestMismatch
        None is accepted, a byte of it was changed, or it does not fit; `reasons` holds all of it.
    """
    model_id = accepted_model(journal, mode)
    model = load_model_of(
        registry, model_id, features_hash=features_hash, config_hash=config_hash, universe=universe,
        horizon_sessions=horizon_sessions, as_of_session=as_of_session,
    )  # fmt: skip
    return model_id, model


def load_model_of(
    registry: Registry,
    model_id: str,
    *,
    features_hash: str,
    config_hash: str,
    universe: Sequence[str],
    horizon_sessions: int,
    as_of_session: str,
) -> ForecastModel:
    """Forecasts of a named model, checked as `load_model` does; nobody need have accepted it.

    Raises
    ------
    ManifestMismatch
        A byte of it was changed, or it does not fit; `reasons` holds all of it.
    """
    content, manifest = read_model(registry, model_id)
    reasons = compatible(
        manifest,
        features_hash=features_hash,
        config_hash=config_hash,
        universe=universe,
        horizon_sessions=horizon_sessions,
        content_sha256=hashlib.sha256(content).hexdigest(),
        as_of_session=as_of_session,
    )
    if reasons:
        raise ManifestMismatch(
            f"model {model_id[:12]} may not decide here: {'; '.join(reasons)}",
            next_step="train a candidate for this desk, `workbench train`, then `workbench promote` it",
            model_id=model_id,
            reasons=reasons,
        )
    return read_forecast_model(content, manifest.features)


def _sessions_of(bars: Bars, calendar: Calendar, *, as_of_ns: int) -> tuple[str, ...]:
    """The session of every bar; DataError unless they are consecutive and known."""
    if not len(bars.ts_ns):
        raise DataError("no bars to train on", next_step="ingest bars: `workbench data ingest`")
    if bars.ts_ns[-1] > as_of_ns:
        raise DataError(
            "bars from after the training's as-of time", next_step="read the bars as of that time"
        )
    first, last = (str(np.datetime64(int(at), "ns").astype("datetime64[D]")) for at in bars.ts_ns[[0, -1]])
    sessions = calendar.sessions_between(first, last)
    closes = {calendar.session_close_ns(session): session for session in sessions}
    missing = [closes[close] for close in sorted(set(closes) - set(bars.ts_ns.tolist()))]
    if missing or len(closes) != len(bars.ts_ns):
        raise DataError(
            f"bars do not match the exchange's sessions from {first} to {last}; first without a bar: "
            f"{missing[0] if missing else 'none, but there are bars outside of sessions'}",
            next_step="ingest the missing sessions: `workbench data ingest`",
            missing=tuple(missing),
        )
    return sessions


def _require_causal(features: Sequence[Feature], bars: Bars) -> None:
    """Refuse features that the leak detectors find something in, on the bars they are to be trained on."""
    reasons = leak_reasons(features, bars)
    if reasons:
        raise Refused(
            f"features leak: {'; '.join(reasons)}",
            next_step="mend or leave out these features; `workbench features --check` judges them all",
            reasons=reasons,
        )


def fit_file(experiment: Experiment, matrix: Floats, target: Floats) -> bytes:
    """File of the pipeline that the experiment fits to a matrix (rows, features) and a target (rows,)."""
    return model_bytes(
        fit_pipeline(experiment.estimator, matrix, target, alpha=experiment.alpha, seed=experiment.seed)
    )


_SCORES = ("ic", "hit_rate", "gross_bps", "cost_bps", "net_bps", "turnover", "hold_bps")


def _metrics(folds: Sequence[Fold]) -> dict[str, float]:
    """Every score of every fold, and its mean over the folds."""
    metrics = {}
    for number, fold in enumerate(folds, start=1):
        for name in _SCORES:
            metrics[f"fold_{number}_{name}"] = float(getattr(fold, name))
    for name in _SCORES:
        metrics[f"mean_{name}"] = round(math.fsum(getattr(fold, name) for fold in folds) / len(folds), 6)
    return metrics
