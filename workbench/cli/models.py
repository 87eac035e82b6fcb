"""`workbench train | candidates | promote | calibrate`: models and cost models, accepted by people."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.progress import Progress

from workbench.bootstrap import admin, open_workbench
from workbench.cli.console import DEFAULT_CONFIG, AsJson, Config, Person, Reason, console, emit, rows_table
from workbench.config import load_settings
from workbench.errors import UsageError

Until = Annotated[str, typer.Option("--until", help="Last session that the model may know, YYYY-MM-DD.")]
AsOf = Annotated[str, typer.Option("--as-of", help="Session from whose close it is valid, YYYY-MM-DD.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the command tree."""
    for command in (features, train, candidates, promote, calibrate):
        app.command(command.__name__)(command)


def features(config: Config = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Every feature that `model.features` may name, with lookback, family, unit and meaning."""
    listed = admin.list_features(load_settings(str(config)))
    columns = ["feature", "lookback", "family", "unit", "meaning", "used"]
    rows = [[*list(one.values())[:-1], "yes" if one["used"] else ""] for one in listed]
    emit(
        {"features": listed, "used": [one["feature"] for one in listed if one["used"]]},
        as_json,
        lambda out: out.print(rows_table("features", columns, rows)),
    )


def train(until: Until, config: Config = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Train a candidate on what was known at the end of a session, with a walk-forward score."""
    settings = load_settings(str(config))
    with _steps("training", shown=not as_json) as progress:
        report = admin.train(settings, last_session=until, progress=progress)
    folds = [
        (fold.first_session, fold.last_session, fold.train_rows, fold.test_rows, fold.ic, fold.hit_rate)
        for fold in report.folds
    ]
    columns = ["tested from", "to", "train rows", "test rows", "IC", "hit rate"]
    payload = {
        "model_id": report.model_id,
        "folds": [dict(zip(columns, fold, strict=True)) for fold in folds],
        "manifest": report.manifest.to_dict(),
    }
    emit(payload, as_json, lambda out: out.print(rows_table(f"candidate {report.model_id}", columns, folds)))


def candidates(config: Config = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Every registered model with its stage."""
    settings = load_settings(str(config))
    rows = open_workbench(settings).journal.rows("models")
    listed = [{"model_id": row["model_id"], "stage": row["stage"] or "candidate"} for row in rows]
    table = rows_table("models", ["model", "stage"], [(row["model_id"], row["stage"]) for row in listed])
    emit({"models": listed}, as_json, lambda out: out.print(table))


def promote(
    model: Annotated[str, typer.Argument(help="Id of the model, as `workbench candidates` shows it.")],
    person: Person,
    reason: Reason,
    stage: Annotated[str, typer.Option("--stage", help="Stage to accept it for.")] = "replay",
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Accept a candidate for a stage; the evidence is recomputed, there is no way around it."""
    settings = load_settings(str(config))
    admin.accept_model(settings, model, stage=stage, person=person, reason=reason)
    payload = {"model_id": model, "stage": stage, "person": person}
    emit(payload, as_json, lambda out: out.print(f"model {model[:12]} is accepted for {stage} by {person}"))


def calibrate(
    person: Person,
    reason: Reason,
    as_of: AsOf,
    prior: Annotated[bool, typer.Option("--prior", help="Approve the configured prior.")] = False,
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Approve a cost model; this version has the prior of published parameters, which expires."""
    if not prior:
        raise UsageError("this version calibrates no model from fills", next_step="add --prior")
    settings = load_settings(str(config))
    identity = admin.approve_prior(settings, as_of_session=as_of, person=person, reason=reason)
    payload = {"cost_model_id": identity, "source": "prior", "as_of": as_of, "person": person}
    emit(payload, as_json, lambda out: out.print(f"prior cost model {identity[:12]} is approved by {person}"))


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
