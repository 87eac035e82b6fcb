"""`workbench alerts` and `workbench watchdog`: who was told what, who has seen it, and who watches."""

from __future__ import annotations

import dataclasses
import sys
from typing import Annotated

import typer
from rich.console import Console

from workbench.bootstrap import alerts
from workbench.bootstrap.logs import patient_log
from workbench.cli.console import emit, rows_table
from workbench.cli.options import DEFAULT_CONFIG, AsJson, Config, Person, Reason
from workbench.config import load_settings
from workbench.errors import JobFailed, Refused

app = typer.Typer(no_args_is_help=True, help="Alerts: what was told, to whom, and who has seen it.")

Number = Annotated[int, typer.Argument(help="Number of the alert, as `workbench alerts list` shows it.")]


def register(tree: typer.Typer) -> None:
    """Add the watchdog to the command tree."""
    tree.command("watchdog")(watchdog)


@app.command("list")
def list_(
    everything: Annotated[
        bool, typer.Option("--all", help="Acknowledged ones too; otherwise what is open or undelivered.")
    ] = False,
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Alerts with their deliveries, newest first, and how many of each kind were false alarms."""
    found = alerts.list_alerts(load_settings(str(config)), everything=everything)

    def text(out: Console) -> None:
        names = ["alert", "severity", "code", "count", "status", "acknowledged_by", "judged", "text", "error"]
        title = f"{found['open']} open, {found['undelivered']} undelivered, {found['waiting']} waiting"
        out.print(rows_table(title, names, [[row[name] for name in names] for row in found["alerts"]]))
        counts = ["code", "severity", "raised", "alerts", "real", "false", "unjudged", "false_rate"]
        rows = [[row[name] for name in counts] for row in found["false_alarms"]]
        out.print(rows_table("false alarms", counts, rows))

    emit(found, as_json, text)


@app.command("acknowledge")
def acknowledge(
    number: Number, person: Person, reason: Reason, config: Config = DEFAULT_CONFIG, as_json: AsJson = False
) -> None:
    """Say that you have seen an alert and deal with it: it is not escalated further."""
    with alerts.open_alerting(load_settings(str(config))) as service:
        service.acknowledge(number, person=person, reason=reason)
    payload = {"alert": number, "person": person}
    emit(payload, as_json, lambda out: out.print(f"alert {number} acknowledged by {person}", markup=False))


@app.command("judge")
def judge(
    number: Number,
    verdict: Annotated[str, typer.Argument(help='"real" or "false": was it worth being told?')],
    person: Person,
    reason: Reason,
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Record whether an alert was real or a false alarm; the counts are in `workbench alerts list`."""
    if verdict not in ("real", "false"):
        raise typer.BadParameter('say "real" or "false"')
    with alerts.open_alerting(load_settings(str(config))) as service:
        service.judge(number, real=verdict == "real", person=person, reason=reason)
    payload = {"alert": number, "judged": verdict, "person": person}
    emit(
        payload, as_json, lambda out: out.print(f"alert {number} judged {verdict} by {person}", markup=False)
    )


@app.command("deliver")
def deliver(
    once: Annotated[
        bool, typer.Option("--once", help="One look at the outbox; otherwise until Ctrl-C.")
    ] = False,
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Tell whatever waits in the outbox; safe beside a running watchdog, which does the same."""
    found = dataclasses.asdict(alerts.deliver(load_settings(str(config)), once=once))
    emit(found, as_json, lambda out: out.print(", ".join(f"{count} {name}" for name, count in found.items())))


@app.command("test")
def try_channels(config: Config = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Send a test message to every channel and say which of them took it; exit code 5 when one did not."""
    answers = alerts.try_channels(load_settings(str(config)))
    bad = {name: error for name, error in answers.items() if error}
    rows = [[name, error or "told"] for name, error in answers.items()]
    emit({"channels": answers, "ok": not bad}, as_json, lambda out: out.print(rows_table("", ["", ""], rows)))
    if bad:
        raise typer.Exit(JobFailed.exit_code)


def watchdog(
    once: Annotated[bool, typer.Option("--once", help="Look and act once, then end.")] = False,
    seconds: Annotated[
        float, typer.Option("--seconds", help="End after so long; 0 = watch until Ctrl-C.", min=0)
    ] = 0.0,
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Watch the desk from a process of its own: halt, cancel and alert when its loop is dead or stuck.

    It reads the journal, the heartbeats of runs, the disk and the venue's time; it delivers the alerts of all
    processes. It needs no lease, and has no way to send an order. Exit code 3 when the last look found
    something.
    """
    from workbench.bootstrap.watchdog import watch  # channels and notebooks take a moment to load

    settings = load_settings(str(config))
    with patient_log(settings, "watchdog", once=once) as log:

        def trouble(words: str) -> None:
            print(f"watchdog: {words}", file=sys.stderr, flush=True)
            log.info("trouble", reason=words)

        found = watch(settings, once=once, seconds=seconds, trouble=trouble)
        for finding in found.last.findings if found.last else ():
            log.info("found", **dataclasses.asdict(finding))
    findings = [dataclasses.asdict(finding) for finding in found.last.findings] if found.last else []
    payload = {
        "looks": found.looks,
        "findings": findings,
        "halted": bool(found.last and found.last.halted),
    }
    names = ["code", "text", "halts"]
    rows = [[row[name] for name in names] for row in findings]
    emit(payload, as_json, lambda out: out.print(rows_table(f"{found.looks} look(s)", names, rows)))
    if findings:
        raise typer.Exit(Refused.exit_code)
