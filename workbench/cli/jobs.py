"""`workbench jobs` and `workbench demo`: production notebooks, run once, with a record of every attempt."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from workbench.bootstrap import admin, open_workbench
from workbench.bootstrap import demo as demonstration
from workbench.bootstrap.cycle_log import log_cycles
from workbench.bootstrap.jobs import job_service
from workbench.bootstrap.logs import command_log
from workbench.bootstrap.scheduling import run_due
from workbench.cli.console import console, emit, rows_table
from workbench.cli.options import DEFAULT_CONFIG, Act, AsJson, Config, JobName, signed
from workbench.config import Settings, load_settings
from workbench.core.jobs import Job, RunResult
from workbench.errors import UsageError

app = typer.Typer(no_args_is_help=True, help="Run production notebooks and see how runs ended.")
Session = Annotated[
    str,
    typer.Option("--session", "-s", help='Exchange session, YYYY-MM-DD; "due" = the one that is due now.'),
]
DUE = "due"  #: what other schedulers give for a session: calendar and records say which one it is


@app.command("list")
def show(config: Config = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Declared jobs with their purpose."""
    with job_service(load_settings(str(config))) as service:
        declared = service.declared()
    rows = [
        (job.name, job.schedule or "by hand", " ".join(job.needs), " ".join(job.parameters), job.purpose)
        for job in declared
    ]
    names = ("job", "schedule", "needs", "parameters", "purpose")
    listed = [
        {**dict(zip(names, row, strict=True)), "timeout_s": job.timeout_s}
        for row, job in zip(rows, declared, strict=True)
    ]
    emit({"jobs": listed}, as_json, lambda out: out.print(rows_table("jobs", list(names), rows)))


@app.command("run")
def run(
    job: JobName,
    session: Session,
    values: Annotated[
        list[str] | None, typer.Option("--set", help="Parameter of the job, NAME=VALUE; may come again.")
    ] = None,
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Run one job for one session; a session that is done already is never traded again."""
    settings = load_settings(str(config))
    with (
        job_service(settings) as service,
        command_log(settings, f"jobs-run-{service.require_declared(job).name}", session=session) as log,
        _bar(shown=not as_json) as bar,
    ):
        task = bar.add_task(f"{job} {session}", total=None)
        chosen = typed_values(service.require_declared(job), values or [])

        def progress(done: int, cells: int) -> None:
            bar.update(task, completed=done, total=cells)

        if session == DUE:
            result = run_due(settings, service, job, values=chosen, progress=progress)
        else:
            result = service.run(job, session, values=chosen, progress=progress)
        if job == demonstration.JOB and result.run_id:
            log_cycles(log, settings, run_id=result.run_id, session=session_of(result.run_id))
        log.info("run", **_said(result))
    emit(dataclasses.asdict(result), as_json, lambda out: _print_result(out, settings, result))
    if result.exit_code:
        raise typer.Exit(result.exit_code)


def session_of(run_id: str) -> str:
    """The session of a run, from its id JOB/DATE.N."""
    return run_id.partition("/")[2].partition(".")[0]


def _said(result: RunResult) -> dict[str, Any]:
    """What a log keeps of a run."""
    return {name: value for name, value in dataclasses.asdict(result).items() if name != "next_step"}


@app.command("skip")
@signed
def skip(
    act: Act, to: Annotated[str, typer.Option("--to", help="Session to go on with, YYYY-MM-DD.")]
) -> None:
    """Leave sessions out by name; without this a run refuses to jump over one."""
    expected = admin.skip_sessions(act.settings, session=to, **act.said)
    payload = {"from": expected, "to": to, "person": act.person}
    act.emit(payload, f"sessions from {expected} to before {to} are left out")


@app.command("history")
def history(config: Config = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Every attempt of every job: when, how it ended, where the executed notebook is."""
    with job_service(load_settings(str(config))) as service:
        runs = service.history()
    columns = ["run_id", "status", "exit_code", "reason", "notebook"]
    rows = [[row[name] for name in columns] for row in runs]
    listed = [dict(zip(columns, row, strict=True)) for row in rows]
    emit({"runs": listed}, as_json, lambda out: out.print(rows_table("runs", columns, rows)))


def demo(config: Config = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Make a desk on real history and trade 20 sessions through the production notebook."""
    out = console(errors=as_json)
    for step in demonstration.prepare(config):
        out.print(f"[green]ok[/green] {step.name}: {step.found}")
    settings = load_settings(str(config))
    chosen = demonstration.sessions(settings)
    results: list[RunResult] = []
    with (
        job_service(settings) as service,
        command_log(settings, "demo") as log,
        _bar(shown=True) as bar,
    ):
        task = bar.add_task("trading_loop", total=len(chosen))
        for session in chosen:
            bar.update(task, description=f"trading_loop {session}")
            results.append(service.run(demonstration.JOB, session))
            log_cycles(log, settings, run_id=results[-1].run_id, session=session)
            log.info("run", **_said(results[-1]))
            if not sys.stderr.isatty():  # a log gets lines instead of a bar
                console(errors=True).print(f"{results[-1].run_id} {results[-1].status}", markup=False)
            if results[-1].exit_code:
                break
            bar.advance(task)
    frame = open_workbench(settings).views.sessions()
    payload = {
        "runs": [dataclasses.asdict(result) for result in results],
        "sessions": frame.to_dict("records"),
    }
    emit(payload, as_json, lambda screen: _print_demo(screen, settings, config, results))
    if results[-1].exit_code:
        raise typer.Exit(results[-1].exit_code)


def typed_values(job: Job, texts: list[str]) -> dict[str, Any]:
    """Values of NAME=VALUE texts, each read as the job declares it; UsageError names what is wrong."""
    values: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        known = job.parameters.get(name)
        if not equals or name in values:
            raise UsageError(f"--set {text!r} is not NAME=VALUE, once a name", next_step="write alpha=0.05")
        try:  # of a name that is not declared the job service says so
            values[name] = value if known is None else known.parse(value)
        except ValueError as error:
            raise UsageError(f"--set: {error}", next_step="workbench jobs list") from None
    return values


def _print_result(out: Console, settings: Settings, result: RunResult) -> None:
    colour = "green" if result.exit_code == 0 else "red"
    out.print(f"[{colour}]{result.status}[/{colour}] {result.run_id} in {result.seconds:.1f} s")
    if result.message:
        out.print(
            f"  {result.error}: {result.message}" if result.error else f"  {result.message}", markup=False
        )
    if result.next_step:
        out.print(f"  next: {result.next_step}", markup=False)
    if result.notebook:
        out.print(f"  notebook: {result.notebook}", markup=False)
    if result.exit_code == 0 and result.run_id.startswith(demonstration.JOB):
        _print_session(out, settings, session_of(result.run_id))


def _print_session(out: Console, settings: Settings, session: str) -> None:
    """Decisions with reasons, then what became of the orders."""
    views = open_workbench(settings).views
    decisions = views.decisions(session)
    columns = ["symbol", "reason", "forecast_bps", "cost_floor_bps", "weight", "change_shares"]
    out.print(rows_table(f"decisions {session}", columns, decisions[columns].itertuples(index=False)))
    orders = views.orders(session)
    columns = [
        "symbol",
        "side",
        "quantity_shares",
        "order_type",
        "limit_usd",
        "state",
        "filled_shares",
        "reason",
    ]
    if len(orders):
        out.print(rows_table("orders", columns, orders[columns].itertuples(index=False)))
    denials = views.denials(session)
    columns = ["symbol", "side", "quantity_shares", "codes"]
    if len(denials):
        out.print(rows_table("denials", columns, denials[columns].itertuples(index=False)))


def _print_demo(out: Console, settings: Settings, config: Path, results: list[RunResult]) -> None:
    views = open_workbench(settings).views
    if results[-1].exit_code:
        out.print(f"{results[-1].run_id} {results[-1].status}: {results[-1].message}", markup=False)
        out.print(f"  next: {results[-1].next_step}", markup=False)
    decisions = views.decisions()
    reasons = [(session, _reasons_of(group)) for session, group in decisions.groupby("session", sort=True)]
    out.print(rows_table("what was decided, and why", ["session", "decisions with reasons"], reasons))
    denials = views.denials()
    if len(denials):
        columns = ["session", "symbol", "side", "quantity_shares", "codes"]
        out.print(
            rows_table("what our own controls denied", columns, denials[columns].itertuples(index=False))
        )
    frame = views.sessions()
    columns = [
        "session",
        "orders",
        "denials",
        "fills",
        "traded_usd",
        "fees_usd",
        "shortfall_bps",
        "equity_usd",
    ]
    rows = [
        (
            *(getattr(row, name) for name in columns),
            "clean" if row.clean else f"{row.breaks} break(s)",
            str(row.digest)[:8],
        )
        for row in frame.itertuples(index=False)
    ]
    out.print(rows_table("what happened", [*columns, "reconciliation", "digest"], rows))
    out.print("executed notebooks, one a session:")
    for result in results:
        out.print(f"  {result.notebook}", markup=False, no_wrap=True)
    suffix = "" if config == Path("workbench.toml") else f" --config {config}"
    out.print("worth typing next:")
    for command in (
        f"workbench status{suffix}",
        f"workbench journal verify{suffix}",
        f"workbench dashboards{suffix}",
        "jupyter lab notebooks/01_sample_data_and_desk.ipynb",
    ):
        out.print(f"  .venv/bin/{command}", markup=False)


def _reasons_of(decisions: Any) -> str:
    """One line for a session's decisions: orders by symbol, the rest by reason."""
    acted = decisions[decisions["change_shares"] != 0]
    words = [f"{row.symbol} {row.change_shares:+,} {row.reason}" for row in acted.itertuples()]
    for reason, group in decisions[decisions["change_shares"] == 0].groupby("reason"):
        words.append(f"{' '.join(group['symbol'])} {reason}")
    return "; ".join(words)


@contextmanager
def _bar(*, shown: bool) -> Iterator[Progress]:
    """Progress on stderr, so that what is printed can be piped."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(
        *columns, console=console(errors=True), transient=True, disable=not (shown and sys.stderr.isatty())
    ) as bar:
        yield bar
