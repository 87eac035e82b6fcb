"""Commands of `workbench jobs` about schedules: when jobs are due, and what became of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from workbench.bootstrap import job_export, retention, run_logs, scheduling
from workbench.bootstrap.declared import jobs_file, read_jobs
from workbench.bootstrap.logs import patient_log
from workbench.cli.console import console, emit, rows_table
from workbench.cli.options import DEFAULT_CONFIG, Act, AsJson, Config, JobName, Person, Reason, signed
from workbench.config import load_settings
from workbench.errors import UsageError
from workbench.services.scheduler import Tick


def register(app: typer.Typer) -> None:
    """Add these commands to the group of jobs."""
    for name, command in (
        ("check", check), ("next", ahead), ("serve", serve), ("logs", logs), ("pause", pause),
        ("resume", resume), ("export", export), ("prune", prune),
    ):  # fmt: skip
        app.command(name)(command)


def check(
    file: Annotated[Path | None, typer.Option("--file", help="Declarations to read instead.")] = None,
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Read the declared jobs as everything else does; what is wrong is named with its line."""
    path = file or jobs_file(load_settings(str(config)))
    jobs = read_jobs(path)
    rows = [(job.name, job.schedule or "by hand", " ".join(job.needs)) for job in jobs.values()]
    columns = ["job", "schedule", "needs"]
    payload = {"file": str(path), "jobs": [dict(zip(columns, row, strict=True)) for row in rows]}
    emit(payload, as_json, lambda out: out.print(rows_table(f"{path}: whole", columns, rows)))


def ahead(
    day: Annotated[str, typer.Option("--day", help="As seen at the start of that day, YYYY-MM-DD.")] = "",
    days: Annotated[int, typer.Option("--days", help="How far to look ahead.", min=1, max=370)] = 7,
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """What a scheduler would do now, what waits and for what, and what falls due next; changes nothing."""
    settings = load_settings(str(config))
    found = scheduling.upcoming(settings, day=day, days=days)
    when = scheduling.exchange_time(settings)
    open_rows = [
        *((one.job, one.session, when(one.due_ns), "start") for one in found.agenda.starts),
        *((one.job, one.session, when(one.due_ns), f"missed: {one.reason}") for one in found.agenda.misses),
        *((one.job, one.session, when(one.due_ns), one.reason) for one in found.agenda.waiting),
    ]
    coming = [(slot.job, slot.session, when(slot.due_ns)) for slot in found.ahead]
    columns = ["job", "session", "due", "step"]
    payload = {
        "at": when(found.at_ns),
        "due": [dict(zip(columns, row, strict=True)) for row in open_rows],
        "ahead": [dict(zip(columns[:3], row, strict=True)) for row in coming],
    }

    def text(out: Any) -> None:
        if open_rows:
            out.print(rows_table("due now", columns, open_rows))
        out.print(rows_table("coming, exchange time", columns[:3], coming))

    emit(payload, as_json, text)


def serve(
    first: Annotated[str, typer.Option("--first", help="Replay desks: first session, YYYY-MM-DD.")] = "",
    last: Annotated[str, typer.Option("--last", help="Replay desks: last session, YYYY-MM-DD.")] = "",
    seconds: Annotated[
        float | None, typer.Option("--seconds", help="End after so long; without it a stop signal ends it.")
    ] = None,
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Start jobs when they are due, one scheduler at a time; a replay desk goes through recorded sessions."""
    settings = load_settings(str(config))
    if bool(first) != bool(last):
        raise UsageError("--first and --last go together", next_step="name both sessions, or neither")
    when = scheduling.exchange_time(settings)
    started: list[dict[str, Any]] = []
    missed: list[dict[str, Any]] = []
    owner: list[bool] = []

    def tell(tick: Tick) -> None:
        if not owner or owner[-1] != tick.owner:
            words = "this scheduler is the owner" if tick.owner else "another scheduler is the owner; waiting"
            console(errors=True).print(words, markup=False)
        owner.append(tick.owner)
        del owner[:-1]
        for one in tick.started:
            due = when(one.due_ns) if one.due_ns else ""
            started.append({"job": one.job, "session": one.session, "due": due, "cause": one.cause})
            console(errors=True).print(f"{one.job} {one.session} started ({one.cause})", markup=False)
        for lost in tick.missed:
            due = when(lost.due_ns)
            missed.append({"job": lost.job, "session": lost.session, "due": due, "reason": lost.reason})
            console(errors=True).print(f"{lost.job} {lost.session} MISSED: {lost.reason}", markup=False)

    if first:
        scheduling.simulate(settings, first, last, tell=tell)
    else:
        with patient_log(settings, "jobs-serve") as log:

            def ready(address: str) -> None:
                console(errors=True).print(f"{address}/healthz and {address}/metrics", markup=False)
                log.info("answering", address=address)

            def told(tick: Tick) -> None:
                for one in tick.started:
                    log.info("started run", job=one.job, session=one.session, cause=one.cause)
                for lost in tick.missed:
                    log.info("missed run", job=lost.job, session=lost.session, reason=lost.reason)
                tell(tick)

            scheduling.serve(settings, seconds=seconds, tell=told, ready=ready)
    payload = {"started": started, "missed": missed, "owner": bool(owner and owner[-1])}
    emit(payload, as_json, lambda out: out.print(f"{len(started)} started, {len(missed)} missed"))


def logs(
    run: Annotated[str, typer.Argument(help="JOB/DATE.N, as `workbench jobs history` shows it.")],
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """How a run ended, how long each cell took, what it printed, and what stopped it."""
    found = run_logs.run_log(load_settings(str(config)), run)

    def text(out: Any) -> None:
        out.print(f"{found['run_id']} {found['status']} {found['reason']}".rstrip(), markup=False)
        rows = [(cell["cell"], cell["seconds"], cell["error"]) for cell in found["cells"]]
        out.print(rows_table("cells", ["cell", "seconds", "error"], rows))
        for cell in found["cells"]:
            if cell["text"]:
                out.print(f"--- cell {cell['cell']}\n{cell['text']}", markup=False)
        if found["kernel"]:
            out.print(f"--- kernel\n{found['kernel']}", markup=False)
        if found["html"]:
            out.print(f"page: {found['html']}", markup=False)

    emit(found, as_json, text)


def pause(
    job: JobName, person: Person, reason: Reason, config: Config = DEFAULT_CONFIG, as_json: AsJson = False
) -> None:
    """Keep schedulers from starting a job; what passes meanwhile is missed or caught up as declared."""
    scheduling.pause_job(load_settings(str(config)), job, person=person, reason=reason)
    emit({"job": job, "person": person}, as_json, lambda out: out.print(f"{job} is paused"))


@signed
def resume(act: Act, job: JobName) -> None:
    """Let schedulers start a paused job again; signed where acts are signed."""
    scheduling.resume_job(act.settings, job, **act.said)
    act.emit({"job": job, "person": act.person}, f"{job} goes on")


def export(
    target: Annotated[str, typer.Option("--target", help="systemd, cron, airflow or kubernetes.")],
    to: Annotated[Path, typer.Option("--to", help="Folder for the files; made when it is missing.")],
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Write the same declarations for what you run already; the guards stay those of the runner."""
    files = job_export.export(load_settings(str(config)), target, to)
    names = [str(path) for path in files]
    emit({"target": target, "files": names}, as_json, lambda out: out.print("\n".join(names), markup=False))


def prune(
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete them; without it they are only named.")
    ] = False,
    config: Config = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Folders of runs that ended longer ago than their job's keep_days; journal rows are never deleted."""
    found = retention.prune(load_settings(str(config)), delete=delete)
    columns = ["run", "days", "keep_days", "bytes"]
    rows = [(one.run_id, one.days, one.keep_days, one.bytes) for one in found]
    payload = {"deleted": delete, "runs": [dict(zip(columns, row, strict=True)) for row in rows]}
    title = "deleted" if delete else "would be deleted with --delete"
    emit(payload, as_json, lambda out: out.print(rows_table(title, columns, rows)))
