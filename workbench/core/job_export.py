"""The declared jobs in the words of other schedulers: systemd, cron, Airflow, Kubernetes.

None of them knows the exchange. Each therefore calls at every minute at which a job may be due (a half day
closes three hours earlier), and `workbench jobs run JOB --session due` decides from calendar and records
whether it is, for which session, and whether what it needs is done. The guards stay those of the runner.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from workbench.core.jobs import Job
from workbench.core.schedule import AroundSession, Daily, parse_schedule

TARGETS: Final = ("systemd", "cron", "airflow", "kubernetes")
_DAY: Final = 24 * 60
#: Minutes after midnight, exchange time: the open, and every close there is.
_EDGES: Final = {"open": (9 * 60 + 30,), "close": (16 * 60, 13 * 60)}
_NAMES: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
#: Calls that find something not done yet are repeated so often, a minute apart.
_TRIES: Final = 30


@dataclass(frozen=True)
class Calls:
    """When another scheduler calls: minutes of the exchange's day, on weekdays (0 = Monday), days, months."""

    minutes: tuple[int, ...]
    weekdays: tuple[int, ...]
    days: tuple[int, ...] = ()
    months: tuple[int, ...] = ()

    def cron(self) -> str:
        """Five fields; all calls of one job share their minute."""
        hours = ",".join(str(minute // 60) for minute in self.minutes)
        weekdays = ",".join(str((day + 1) % 7) for day in self.weekdays) if len(self.weekdays) < 7 else "*"
        days = ",".join(map(str, self.days)) or "*"
        return f"{self.minutes[0] % 60} {hours} {days} {','.join(map(str, self.months)) or '*'} {weekdays}"

    def calendar(self, zone: str) -> tuple[str, ...]:
        """Lines of systemd's OnCalendar."""
        weekdays = f"{','.join(_NAMES[day] for day in self.weekdays)} " if len(self.weekdays) < 7 else ""
        days = ",".join(f"{day:02d}" for day in self.days) or "*"
        months = ",".join(f"{month:02d}" for month in self.months) or "*"
        return tuple(
            f"{weekdays}*-{months}-{days} {minute // 60:02d}:{minute % 60:02d}:00 {zone}"
            for minute in self.minutes
        )


def calls_of(job: Job) -> Calls | None:
    """When a job has to be called; None for one that only people start."""
    trigger = parse_schedule(job.schedule)
    if trigger is None:
        return None
    if isinstance(trigger, Daily):
        days = tuple(sorted(trigger.days)) if len(trigger.days) < 31 else ()
        months = tuple(sorted(trigger.months)) if len(trigger.months) < 12 else ()
        return Calls((trigger.minute,), tuple(sorted(trigger.weekdays)), days, months)
    return _around(trigger)


def _around(trigger: AroundSession) -> Calls:
    minutes = [edge + trigger.minutes for edge in _EDGES[trigger.anchor]]
    shifts = {minute // _DAY for minute in minutes}
    # A time beyond midnight belongs to the next (or former) day; when only one of two does, both days call.
    weekdays = {(day + shift) % 7 for day in range(5) for shift in shifts}
    return Calls(tuple(sorted({minute % _DAY for minute in minutes})), tuple(sorted(weekdays)))


def export(
    jobs: Mapping[str, Job], target: str, *, program: str, config: str, folder: str, zone: str
) -> dict[str, str]:
    """Files by name for one of the targets.

    Parameters
    ----------
    program, config, folder : str
        Absolute paths of the `workbench` program, the settings file and the folder to work in.
    zone : str
        Time zone of the exchange, such as "America/New_York".

    Raises
    ------
    ValueError
        An unknown target, or a path that its syntax cannot hold.
    """
    if target not in TARGETS:
        raise ValueError(f"target {target!r} is none of {', '.join(TARGETS)}")
    for path in (program, config, folder):
        if any(character in path for character in "\n\"'%$\\` "):
            raise ValueError(f"{path!r} holds a character that {target} would read as its own")
    known = [(job, calls) for job in jobs.values() if (calls := calls_of(job)) is not None]
    writer = {"systemd": _systemd, "cron": _cron, "airflow": _airflow, "kubernetes": _kubernetes}[target]
    return writer(known, program, config, folder, zone)


def command(program: str, config: str, job: str) -> list[str]:
    """What every target runs."""
    return [program, "jobs", "run", job, "--session", "due", "--config", config]


Known = list[tuple[Job, Calls]]


def _systemd(known: Known, program: str, config: str, folder: str, zone: str) -> dict[str, str]:
    files = {}
    for job, calls in known:
        run = " ".join(command(program, config, job.name))
        files[f"workbench-{job.name}.service"] = (
            f"[Unit]\nDescription=Workbench: {job.name}\n"
            f"StartLimitIntervalSec=7200\nStartLimitBurst={_TRIES}\n\n"
            f"[Service]\nType=oneshot\nWorkingDirectory={folder}\nExecStart={run}\n"
            # the whole group dies with the runner, and a run that needs another waits for it
            f"KillMode=control-group\nTimeoutStartSec={int(job.timeout_s) + 300}\n"
            f"Restart=on-failure\nRestartSec=60\nRestartPreventExitStatus=2 4 5\nNoNewPrivileges=true\n"
        )
        lines = "".join(f"OnCalendar={line}\n" for line in calls.calendar(zone))
        # a missed session is not made up for by the timer: the runner knows what may be caught up
        persistent = "true" if job.misfire == "catch_up" else "false"
        files[f"workbench-{job.name}.timer"] = (
            f"[Unit]\nDescription=Workbench: when {job.name} may be due\n\n"
            f"[Timer]\n{lines}AccuracySec=1s\nPersistent={persistent}\n\n"
            f"[Install]\nWantedBy=timers.target\n"
        )
    return files


def _cron(known: Known, program: str, config: str, folder: str, zone: str) -> dict[str, str]:
    lines = [
        "# Needs a cron that knows CRON_TZ (cronie): without it the times would be those of this machine.",
        f"CRON_TZ={zone}",
    ]
    for job, calls in known:
        lines.append(f"# {job.name}: {job.schedule}")
        lines.append(f"{calls.cron()} cd {folder} && {' '.join(command(program, config, job.name))}")
    return {"workbench.crontab": "\n".join([*lines, ""])}


def _airflow(known: Known, program: str, config: str, folder: str, zone: str) -> dict[str, str]:
    rows = [
        {
            "name": job.name,
            "schedule": calls.cron(),
            "command": " ".join(command(program, config, job.name)),
            "timeout_s": int(job.timeout_s) + 300,
            # waiting for what it needs is a failure here; a run that may have sent orders is never repeated
            "retries": 0 if job.sends_orders else _TRIES,
        }
        for job, calls in known
    ]
    table = json.dumps(rows, indent=4)
    text = f'''"""Workbench jobs for Airflow, written by `workbench jobs export`; do not edit.

Each task calls the runner. Airflow's own papermill operator would start a kernel without the guards of the
runner, and the production notebooks refuse such a kernel.
"""

import datetime

import pendulum
from airflow import DAG
from airflow.operators.bash import BashOperator

JOBS = {table}
ZONE = pendulum.timezone("{zone}")

for job in JOBS:
    with DAG(
        dag_id="workbench_" + job["name"],
        schedule=job["schedule"],
        start_date=datetime.datetime(2026, 1, 1, tzinfo=ZONE),
        catchup=False,
        max_active_runs=1,
    ) as dag:
        BashOperator(
            task_id=job["name"],
            bash_command=job["command"],
            cwd="{folder}",
            retries=job["retries"],
            retry_delay=datetime.timedelta(minutes=1),
            execution_timeout=datetime.timedelta(seconds=job["timeout_s"]),
        )
    globals()["workbench_" + job["name"]] = dag
'''
    return {"workbench_jobs.py": text}


def _kubernetes(known: Known, program: str, config: str, folder: str, zone: str) -> dict[str, str]:
    """One CronJob a file; the image, the volume of the desk and the secret are the cluster's own."""
    files = {}
    for job, calls in known:
        words = "".join(
            f"\n                - {json.dumps(part)}" for part in command(program, config, job.name)
        )
        files[f"workbench-{job.name.replace('_', '-')}.yaml"] = f"""apiVersion: batch/v1
kind: CronJob
metadata:
  name: workbench-{job.name.replace("_", "-")}
spec:
  schedule: {json.dumps(calls.cron())}
  timeZone: {json.dumps(zone)}
  concurrencyPolicy: Forbid
  startingDeadlineSeconds: {int(job.start_within_s)}
  successfulJobsHistoryLimit: 3
  failedJobsHistoryLimit: 10
  jobTemplate:
    spec:
      backoffLimit: {0 if job.sends_orders else 6}
      activeDeadlineSeconds: {int(job.timeout_s) + 300}
      template:
        spec:
          restartPolicy: Never
          containers:
            - name: run
              image: workbench
              workingDir: {json.dumps(folder)}
              command:{words}
              envFrom:
                - secretRef:
                    name: workbench
              volumeMounts:
                - name: desk
                  mountPath: {json.dumps(folder)}
          volumes:
            - name: desk
              persistentVolumeClaim:
                claimName: workbench-desk
"""
    return files
