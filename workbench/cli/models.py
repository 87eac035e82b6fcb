"""`workbench train | candidates | promote | calibrate`: models and cost models, accepted by people."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from workbench.bootstrap import admin, costing, feature_list, releasing
from workbench.cli.console import console, credentials, emit, rows_table
from workbench.cli.options import (
    DEFAULT_CONFIG,
    Act,
    AsJson,
    Config,
    Confirm,
    ModelId,
    PassphraseFile,
    SshKey,
    signed,
)
from workbench.config import load_settings
from workbench.errors import Refused, UsageError
from workbench.services.fill_calibration import FillCalibration

Until = Annotated[str, typer.Option("--until", help="Last session that the model may know, YYYY-MM-DD.")]

#: Columns of a fold as they are printed, and what they are of a `Fold`.
_FOLD_COLUMNS = {
    "tested from": "first_session", "to": "last_session", "train rows": "train_rows",
    "test rows": "test_rows",
    "IC": "ic", "hit rate": "hit_rate", "gross bps": "gross_bps", "cost bps": "cost_bps",
    "net bps": "net_bps", "turnover": "turnover", "hold bps": "hold_bps",
}  # fmt: skip
_WIDE = 240  #: characters that every column of the candidate table fits in
_SCORES = ("ic", "hit_rate", "gross_bps", "net_bps", "excess_bps", "turnover")
_CANDIDATE_COLUMNS = (
    "model_id", "stage", "estimator", "label", "features", "alpha", "folds", *_SCORES, "trials",
    "train_last_session", "bars",
)  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add these commands to the command tree."""
    for command in (features, train, candidates, trials, holdout, promote, calibrate):
        app.command(command.__name__)(command)


def features(
    check: Annotated[
        bool, typer.Option("--check", help="Put every feature through the leak and warm-up detectors.")
    ] = False,
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Every feature that `model.features` may name, with lookback, family, unit and meaning."""
    settings = load_settings(str(config))
    findings = feature_list.check_features(settings) if check else []
    if findings:
        first = findings[0]
        raise Refused(
            f"{len(findings)} finding(s), the first: {first['kind']} of {first['feature']} at bar "
            f"{first['bar']}",
            next_step="mend the feature: no model that uses it is trained or accepted",
            findings=findings,
        )
    listed = feature_list.list_features(settings)
    columns = ["feature", "lookback", "family", "unit", "meaning", "used"]
    rows = [[*list(one.values())[:-1], "yes" if one["used"] else ""] for one in listed]
    emit(
        {"features": listed, "used": [one["feature"] for one in listed if one["used"]], "checked": check},
        as_json,
        lambda out: out.print(rows_table("features, all clean" if check else "features", columns, rows)),
    )


def train(
    until: Until,
    label: Annotated[
        str, typer.Option("--label", help="What to foresee; only forward_return can be accepted.")
    ] = "forward_return",
    estimator: Annotated[str, typer.Option("--estimator", help="ridge or elastic_net.")] = "ridge",
    alpha: Annotated[
        float | None, typer.Option("--alpha", help="Penalty in the estimator's measure; ridge: the setting.")
    ] = None,
    features: Annotated[
        str, typer.Option("--features", help="Names separated by commas to try; else model.features.")
    ] = "",
    person: Annotated[
        str, typer.Option("--person", "-p", help="Author: later stages want one, and another who confirms.")
    ] = "",
    passphrase_file: PassphraseFile = "",
    ssh_key: SshKey = None,
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Train a candidate on what was known at the end of a session, scored walk-forward net of cost."""
    settings = load_settings(str(config))
    names = [name.strip() for name in features.split(",") if name.strip()]
    key = credentials(settings, passphrase_file, ssh_key) if person else None
    with _steps("training", shown=not as_json) as progress:
        report = admin.train(
            settings,
            last_session=until,
            label=label,
            estimator=estimator,
            alpha=alpha,
            features=names,
            progress=progress,
            author=person,
            credentials=key,
        )
    folds = [[getattr(fold, name) for name in _FOLD_COLUMNS.values()] for fold in report.folds]
    payload = {
        "model_id": report.model_id,
        "folds": [dict(zip(_FOLD_COLUMNS, fold, strict=True)) for fold in folds],
        "manifest": report.manifest.to_dict(),
    }
    shown = [[*fold[:4], *(f"{number:.4f}" for number in fold[4:])] for fold in folds]
    title = f"candidate {report.model_id}"
    emit(payload, as_json, lambda out: out.print(rows_table(title, [*_FOLD_COLUMNS], shown)))


def candidates(
    sort: Annotated[
        str, typer.Option("--sort", help="Column to sort by, best first; without it as registered.")
    ] = "",
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Every registered model: what it was made of, its scores net of cost, and its stage."""
    listed = admin.candidates(load_settings(str(config)), sort=sort)
    emit({"models": listed}, as_json, lambda out: _print_wide(out, _candidate_table(listed)))


def _print_wide(out: Console, table: Table) -> None:
    out.width = max(out.width, _WIDE)  # nothing is folded: an id is needed in full
    out.print(table)


def _candidate_table(listed: list[dict[str, Any]]) -> Table:
    rows = []
    for row in listed:
        shown = {**row, "features": len(row["features"]), "bars": row["bars_fingerprint"][:12]}
        shown |= {name: f"{row[name]:.4f}" for name in _SCORES if row[name] is not None}
        rows.append([shown[name] for name in _CANDIDATE_COLUMNS])
    return rows_table("models", _CANDIDATE_COLUMNS, rows)


def trials(config: Config = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Everything that was tried, counted by family, and every read of a holdout."""
    families, reads = admin.trial_counts(load_settings(str(config)))
    columns = ["family", "trials", "effective", "basis"]
    read_columns = ["model_id", "first_session", "last_session", "sessions", "net_bps", "hold_bps"]

    def show(out: Console) -> None:
        out.print(rows_table("trials", columns, [list(one.values()) for one in families]))
        if reads:
            shown = [[one[name] for name in read_columns] for one in reads]
            out.print(rows_table("holdout reads", read_columns, shown))

    emit({"families": families, "holdout_reads": reads}, as_json, show)


def holdout(
    model: ModelId,
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Look once at how a candidate does on the sessions that its training never saw."""
    found = admin.look_at_holdout(load_settings(str(config)), model)
    payload = dataclasses.asdict(found)
    rows = [[name, value] for name, value in payload.items()]
    emit(payload, as_json, lambda out: out.print(rows_table("holdout", ["what", "value"], rows)))


@signed
def promote(
    act: Act,
    model: ModelId,
    stage: Annotated[str, typer.Option("--stage", help="Stage to accept it for.")] = "replay",
    confirm: Confirm = "",
) -> None:
    """Accept a candidate for a stage: every gate is recomputed, later stages take a second person."""
    releasing.accept_model(act.settings, model, stage=stage, typed=confirm, **act.said)
    payload = {"model_id": model, "stage": stage, "person": act.person}
    act.emit(payload, f"model {model[:12]} is accepted for {stage} by {act.person}")


def calibrate(
    session: Annotated[
        str, typer.Option("--session", help="Learn from the fills up to this closed session, YYYY-MM-DD.")
    ] = "",
    approve: Annotated[
        str, typer.Option("--approve", help="Put this calibrated cost model into use; needs a person.")
    ] = "",
    prior: Annotated[
        bool, typer.Option("--prior", help="Approve the configured prior; needs --as-of and a person.")
    ] = False,
    as_of: Annotated[
        str, typer.Option("--as-of", help="Session from whose close a prior is valid, YYYY-MM-DD.")
    ] = "",
    person: Annotated[str, typer.Option("--person", "-p", help="Registered person who decides.")] = "",
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why, in words.")] = "",
    passphrase_file: PassphraseFile = "",
    ssh_key: SshKey = None,
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Learn the next session's cost model from own fills, or approve one: a step beyond bounds, a prior."""
    if sum((bool(session), bool(approve), prior)) != 1:
        raise UsageError(
            "calibrate needs exactly one of --session, --approve and --prior",
            next_step="workbench calibrate --session DATE",
        )
    settings = load_settings(str(config))
    if session:
        fills = costing.calibrate_fills(settings, session=session)  # before a refusal of the costs' step
        found = costing.calibrate(settings, session=session)
        payload = {
            "cost_model_id": found.new_cost_model_id or found.old_cost_model_id,
            "source": found.source,
            "as_of": session,
            "person": None,
            "decision": found.decision,
            "reason": found.reason,
            "window": {"first": found.first_session, "last": found.last_session,
                       "sessions": found.sessions, "fills": found.fills},
            "fill_model": _fill_payload(fills),
        }  # fmt: skip
        words = (
            f"{session}: {found.decision}, {found.reason}\nfill simulator: {fills.decision}, {fills.reason}"
        )
        emit(payload, as_json, lambda out: out.print(words))
        return
    key = credentials(settings, passphrase_file, ssh_key)
    if approve:
        model = costing.approve_calibration(settings, approve, person=person, reason=reason, credentials=key)
        identity, source = model.model_id, model.source
    else:
        if not as_of:
            raise UsageError("a prior needs --as-of", next_step="name the session from whose close it holds")
        identity, source = (
            costing.approve_prior(
                settings, as_of_session=as_of, person=person, reason=reason, credentials=key
            ),
            "prior",
        )
    payload = {
        "cost_model_id": identity, "source": source, "as_of": as_of or None, "person": person,
        "decision": "approved", "reason": reason, "window": None, "fill_model": None,
    }  # fmt: skip
    emit(
        payload, as_json,
        lambda out: out.print(f"{source} cost model {identity[:12]} is approved by {person}"),
    )  # fmt: skip


def _fill_payload(found: FillCalibration) -> dict[str, Any]:
    return {
        "fill_model_id": found.fill_model_id, "decision": found.decision, "reason": found.reason,
        "orders": found.orders, "sessions": found.sessions,
    }  # fmt: skip


@contextmanager
def _steps(title: str, *, shown: bool) -> Iterator[Any]:
    """A progress bar on stderr fed by (what, steps done, steps in all)."""
    with Progress(
        console=console(errors=True), transient=True, disable=not (shown and sys.stderr.isatty())
    ) as bar:
        task = bar.add_task(title, total=None)

        def advance(what: str, done: int, steps: int) -> None:
            bar.update(task, description=f"{title}: {what}", completed=done, total=steps)

        yield advance
