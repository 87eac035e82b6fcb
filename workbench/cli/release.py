"""`workbench verdict | retire | rollback | shadow`: what the gates say, and the ways back."""

from __future__ import annotations

from typing import Annotated

import typer

from workbench.bootstrap import releasing
from workbench.cli.console import emit, rows_table
from workbench.cli.options import DEFAULT_CONFIG, Act, AsJson, Config, ModelId, signed
from workbench.config import load_settings
from workbench.core.types import MICRO


def register(app: typer.Typer) -> None:
    """Add these commands to the command tree."""
    for command in (verdict, retire, rollback, shadow):
        app.command(command.__name__)(command)


def verdict(
    model: ModelId,
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


@signed
def retire(act: Act, model: ModelId) -> None:
    """End a model's use for good; a retired model never comes back."""
    releasing.retire(act.settings, model, **act.said)
    payload = {"model_id": model, "stage": "retired", "person": act.person}
    act.emit(payload, f"model {model[:12]} is retired by {act.person}")


@signed
def rollback(act: Act) -> None:
    """Retire the model that decides here, so that the one accepted before it decides again."""
    gone, back = releasing.rollback(act.settings, **act.said)
    payload = {"retired": gone, "model_id": back, "mode": act.settings.mode.value, "person": act.person}
    act.emit(payload, f"model {gone[:12]} is retired, {back[:12]} decides again, by {act.person}")


def shadow(model: ModelId, config: Config = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
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
