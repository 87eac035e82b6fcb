"""`workbench verdict | retire | rollback | shadow`: what the gates say, and the ways back."""

from __future__ import annotations

from typing import Annotated

import typer

from workbench.bootstrap import releasing
from workbench.cli.console import (
    DEFAULT_CONFIG,
    AsJson,
    Config,
    PassphraseFile,
    Person,
    Reason,
    SshKey,
    credentials,
    emit,
    rows_table,
)
from workbench.config import load_settings
from workbench.core.types import MICRO

Model = Annotated[str, typer.Argument(help="Id of the model, as `workbench candidates` shows it.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the command tree."""
    for command in (verdict, retire, rollback, shadow):
        app.command(command.__name__)(command)


def verdict(
    model: Model,
    stage: Annotated[str, typer.Option("--stage", help="Stage to judge it for.")] = "shadow",
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Every gate of a stage with its evidence and numbers, recomputed; nothing is written or accepted."""
    found = releasing.verdict_of(load_settings(str(config)), model, stage=stage)
    payload = {
        "model_id": model, "stage": stage, "passed": found.passed, "evidence_hash": found.evidence_hash,
        "gates": [gate.plain() for gate in found.gates],
    }  # fmt: skip
    rows = [list(row) for row in found.frame.itertuples(index=False)]
    said = "passed" if found.passed else "not promotable"
    title = f"{said}: model {model[:12]} for {stage}"
    emit(payload, as_json, lambda out: out.print(rows_table(title, list(found.frame.columns), rows)))


def retire(
    model: Model,
    person: Person,
    reason: Reason,
    passphrase_file: PassphraseFile = "",
    ssh_key: SshKey = None,
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """End a model's use for good; a retired model never comes back."""
    settings = load_settings(str(config))
    key = credentials(settings, passphrase_file, ssh_key)
    releasing.retire(settings, model, person=person, reason=reason, credentials=key)
    payload = {"model_id": model, "stage": "retired", "person": person}
    emit(payload, as_json, lambda out: out.print(f"model {model[:12]} is retired by {person}", markup=False))


def rollback(
    person: Person,
    reason: Reason,
    passphrase_file: PassphraseFile = "",
    ssh_key: SshKey = None,
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Retire the model that decides here, so that the one accepted before it decides again."""
    settings = load_settings(str(config))
    key = credentials(settings, passphrase_file, ssh_key)
    gone, back = releasing.rollback(settings, person=person, reason=reason, credentials=key)
    payload = {"retired": gone, "model_id": back, "mode": settings.mode.value, "person": person}
    text = f"model {gone[:12]} is retired, {back[:12]} decides again, by {person}"
    emit(payload, as_json, lambda out: out.print(text, markup=False))


def shadow(model: Model, config: Config = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """What a model's shadow sessions show: each decision made again, the difference to live by cause."""
    found = releasing.shadow_of(load_settings(str(config)), model)
    causes, backtest = found.explanation.by_cause_micro if found.explanation else {}, found.backtest
    payload = {
        "model_id": model, "sessions": found.sessions, "decisions": found.decisions,
        "unlike": list(found.unlike), "failures": list(found.failures), "missed": found.missed,
        "difference_usd": {cause: micro / MICRO for cause, micro in causes.items()},
        "off_backtest_usd": {cause: micro / MICRO for cause, micro in backtest.by_cause_micro.items()}
        if backtest else {},
        "first_off_backtest": backtest.first if backtest else "",
        "first_difference": found.first_difference, "detectable_bps": found.detectable_bps,
        "cost_bps": found.cost_bps, "expected_bps": found.expected_bps,
    }  # fmt: skip
    rows = [[name, str(value)] for name, value in payload.items()]
    emit(payload, as_json, lambda out: out.print(rows_table("shadow", ["what", "value"], rows)))
