"""The command that trades a recorded session again and compares."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import typer

from workbench.cli.console import DEFAULT_CONFIG, AsJson, Config, emit
from workbench.errors import ManifestMismatch

Run = Annotated[str, typer.Argument(help="JOB/DATE.N, or the folder of a run.")]


def register(app: typer.Typer) -> None:
    """Add the command to the command tree."""
    app.command("replay")(replay)


def replay(run: Run, config: Config = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Trade a recorded session again from its recorded inputs; names the first difference."""
    from workbench.bootstrap import replay as replays

    report = replays.replay(run, config=config)
    first = report.first_divergence
    payload: dict[str, Any] = {
        "run": report.run,
        "session": report.session,
        "identical": report.identical,
        "first_divergence": None if first is None else dataclasses.asdict(first),
        "recorded_digest": report.recorded_digest,
        "replayed_digest": report.replayed_digest,
        "differences": list(report.differences),
        "decisions": len(report.decisions),
    }
    if first is not None:
        raise ManifestMismatch(
            f"the replay of {report.run} is not its record: {first}",
            next_step="look at `.decisions` of workbench.replay(run); differences: "
            + ("; ".join(report.differences) or "none of code or data"),
            **payload,
        )
    text = f"{report.run}: identical, {payload['decisions']} decisions, digest {report.recorded_digest[:12]}"
    emit(payload, as_json, lambda out: out.print(text, markup=False))
