"""Starts production notebooks: one attempt at a time, recorded before and after; tickets for trading only."""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from workbench.core.canonical import sha256_of
from workbench.core.jobs import Job, RunPlan, RunRequest, RunResult
from workbench.core.ports import Calendar, Clock, Event, JobRunner, Journal
from workbench.core.types import NANO
from workbench.errors import JobFailed, Refused, UsageError, WorkbenchError
from workbench.redaction import redact
from workbench.services.tickets import TICKET_VARIABLE, issue_ticket

if TYPE_CHECKING:
    from pathlib import Path

#: A run that a person starts.
BY_HAND: Final = RunPlan()
_STATUS_OF_EXIT_CODE: Final = {2: "refused", 3: "refused", 4: "unknown", 5: "failed"}


class JobService:
    """Runs declared jobs and keeps their record in the journal.

    Parameters
    ----------
    code_hash : callable
        Hash of the package and of the given notebook, as it is now.
    config_path, desk_path : str
        Absolute paths that the notebook opens by itself; secrets never travel in parameters.
    account : str
        Whose alerts are raised, and whose lease says whether a lost run may still send.
    holder : str
        This process, "host:boot:pid:start"; the host decides whether a run's locks can be asked.
    venue_keys : tuple of str
        Variables that only the kernels of jobs with `venue_keys` get.
    """

    def __init__(
        self,
        journal: Journal,
        calendar: Calendar,
        clock: Clock,
        runner: JobRunner,
        *,
        jobs: Mapping[str, Job],
        code_hash: Callable[[Path], str],
        config_path: str,
        desk_path: str,
        account: str,
        holder: str = "",
        venue_keys: tuple[str, ...] = (),
    ) -> None:
        self._journal = journal
        self._calendar = calendar
        self._clock = clock
        self._runner = runner
        self._jobs = dict(jobs)
        self._code_hash = code_hash
        self._paths = {"config_path": config_path, "desk_path": desk_path}
        self._account = account
        self._holder = holder
        self._venue_keys = venue_keys

    def run(
        self,
        job: str,
        session: str,
        *,
        overrides: Mapping[str, Any] | None = None,
        values: Mapping[str, Any] | None = None,
        plan: RunPlan = BY_HAND,
        progress: Callable[[int, int], None] | None = None,
    ) -> RunResult:
        """Run the job for that session, unless it is done already.

        A run that the journal holds as running is first proved dead and recorded as crashed. Every start
        is a new attempt with a new ticket; nothing is retried without being asked for.

        Parameters
        ----------
        session : str
            ISO date.
        overrides : mapping or None
            Run-time settings for the notebook.
        values : mapping or None
            Parameters of the job; those that are not named have their declared default.
        plan : RunPlan
            Why it is started, and on whose word.

        Raises
        ------
        UsageError
            No such job, no such date, a parameter that it does not take, or the exchange was closed.
        Refused
            Another run of the job is alive.
        LeaseLost
            The scheduler that starts it is no longer the owner.
        """
        declared = self.require_declared(job)
        _refuse_secrets(overrides or {})
        self._check_session(declared, session)
        chosen = parameters_of(declared, values or {})
        done = self._already_done(declared, session, plan)
        if done is not None:
            return done
        with self._runner.exclusive(job):
            done = self._already_done(declared, session, plan)  # another runner may just have finished it
            if done is not None:
                return done
            self.bury_the_dead(job)
            attempt = 1 + max((int(row["attempt"]) for row in self._rows(job, session)), default=0)
            told = {"overrides": dict(overrides or {}), "parameters": chosen}
            return self._attempt(declared, session, attempt, told, plan, progress)

    def declared(self) -> tuple[Job, ...]:
        """Declared jobs, by name."""
        return tuple(self._jobs[name] for name in sorted(self._jobs))

    def history(self, *, job: str | None = None) -> list[dict[str, Any]]:
        """Recorded runs, oldest first, of one job or of all."""
        return self._journal.rows("runs") if job is None else self._journal.rows("runs", job=job)

    def require_declared(self, job: str) -> Job:
        """The job of that name; UsageError names the nearest."""
        if job not in self._jobs:
            known = ", ".join(sorted(self._jobs))
            near = difflib.get_close_matches(job, self._jobs, n=1)
            step = f"workbench jobs run {near[0]}" if near else "workbench jobs list"
            raise UsageError(f"there is no job {job!r} (declared: {known})", next_step=step, job=job)
        return self._jobs[job]

    def _check_session(self, job: Job, session: str) -> None:
        try:
            valid = datetime.date.fromisoformat(session).isoformat() == session
        except (ValueError, TypeError):
            valid = False
        if not valid:
            raise UsageError(
                f"{session!r} is not a date", next_step="write it as YYYY-MM-DD", session=session
            )
        if job.needs_session and not self._calendar.is_session(session):
            before, after = self._calendar.previous_session(session), self._calendar.next_session(session)
            raise UsageError(
                f"the exchange was closed on {session}",
                next_step=f"the sessions around it are {before} and {after}",
                session=session,
                previous=before,
                next=after,
            )

    def _rows(self, job: str, session: str) -> list[dict[str, Any]]:
        return self._journal.rows("runs", job=job, session=session)

    def _already_done(self, job: Job, session: str, plan: RunPlan) -> RunResult | None:
        if job.repeats and not plan.due_ns:
            return None
        due = {row["run_id"]: row["due_ns"] for row in self._journal.rows("run_plans", job=job.name)}
        for row in self._rows(job.name, session):
            if row["status"] == "done" and (not job.repeats or due.get(row["run_id"]) == plan.due_ns):
                return RunResult(
                    run_id=str(row["run_id"]),
                    status="done",
                    exit_code=0,
                    message="already done: nothing sent",
                    notebook=str(row["notebook"] or ""),
                )
        return None

    def bury_the_dead(self, job: str) -> None:
        """Record every run of the job that is proved dead as crashed.

        Raises
        ------
        Refused
            One of them may still be alive.
        """
        declared = self.require_declared(job)
        for row in self._journal.rows("runs", job=job, status="running"):
            run_id = str(row["run_id"])
            if not self._is_over(declared, row):
                raise Refused(
                    f"the kernel of run {run_id} may still be alive",
                    next_step="wait a moment and start again; it dies with its runner",
                    run_id=run_id,
                )
            self._finish(RunResult(run_id, "failed", 5), reason="crashed", job=declared)

    def _is_over(self, job: Job, row: Mapping[str, Any]) -> bool:
        """Whether it is proved that the run is over.

        A run of this host is proved by its locks. One of another host is over when its time limit has passed,
        or when its scheduler has been replaced (whose lease ran out first, and who ends its runs before that)
        and nobody holds the right to send.
        """
        run_id = str(row["run_id"])
        plans = self._journal.rows("run_plans", run_id=run_id)
        theirs = str(plans[0]["holder"]) if plans else ""
        if not theirs or not self._holder or theirs.partition(":")[0] == self._holder.partition(":")[0]:
            return self._runner.is_over(run_id)
        wall_ns = self._clock.wall_ns()
        if job.holds_account and self._lease_in_force(self._account, wall_ns):
            return False
        if wall_ns > int(row["started_at_ns"]) + int(job.timeout_s * NANO):
            return True
        token = int(plans[0]["owner_token"])
        owner = self._journal.rows("leases", account=scheduler_lease(self._account))
        return bool(token and owner and int(owner[0]["token"]) > token)

    def _lease_in_force(self, name: str, wall_ns: int) -> bool:
        return any(
            not row["released"] and int(row["until_wall_ns"]) > wall_ns
            for row in self._journal.rows("leases", account=name)
        )

    def _attempt(
        self,
        job: Job,
        session: str,
        attempt: int,
        told: Mapping[str, Any],
        plan: RunPlan,
        progress: Callable[[int, int], None] | None,
    ) -> RunResult:
        run_id = f"{job.name}/{session}.{attempt}"
        code_hash = self._code_hash(job.notebook)
        parameters = {
            "run_id": run_id,
            "job": job.name,
            "session": session,
            "attempt": attempt,
            **told,
            "code_hash": code_hash,
            **self._paths,
        }
        started = {
            "run_id": run_id,
            "job": job.name,
            "session": session,
            "attempt": attempt,
            "parameters_hash": sha256_of(parameters),
            "code_hash": code_hash,
            "cause": plan.cause,
            "due_ns": plan.due_ns,
            "lease": scheduler_lease(self._account),
            "owner_token": plan.owner_token,
            "holder": self._holder,
        }
        self._journal.commit([Event("run.started", started)])
        environment = {}
        if job.sends_orders:
            environment[TICKET_VARIABLE] = issue_ticket(
                self._journal, run_id=run_id, code_hash=code_hash, wall_ns=self._clock.wall_ns()
            )
        withheld = () if job.venue_keys else self._venue_keys
        request = RunRequest(
            run_id, job.notebook, parameters, environment, job.timeout_s, progress, withheld, job.is_analysis
        )
        try:
            result = self._runner.run(request)
        except BaseException as error:  # also a stop signal: the record says how it ended, then it goes on
            self._finish(_ending(run_id, error), reason=_reason(error), job=job)
            raise
        self._finish(result, reason=result.message, job=job)
        return result

    def _finish(self, result: RunResult, *, reason: str, job: Job) -> None:
        payload = {
            "run_id": result.run_id,
            "status": result.status,
            "exit_code": result.exit_code,
            "reason": reason,
            "notebook": result.notebook,
        }
        events = [Event("run.finished", payload)]
        if result.status != "done" and "failed" in job.alert_on:
            text = f"{result.run_id} {result.status}: {reason or 'no reason was given'}"
            alert = {
                "account": self._account, "code": "job_failed", "text": text, "at_ns": self._clock.now_ns()
            }  # fmt: skip
            events.append(Event("alert.raised", alert))
        self._journal.commit(events)


def parameters_of(job: Job, values: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters of a run: the given ones, checked, and the declared defaults.

    Raises
    ------
    UsageError
        A parameter that the job does not take, or a value of another kind or out of bounds.
    """
    for name, value in values.items():
        if name not in job.parameters:
            near = difflib.get_close_matches(name, job.parameters, n=1)
            known = ", ".join(job.parameters) or "none"
            raise UsageError(
                f"{job.name} takes no parameter {name!r}",
                next_step=f"write {near[0]}" if near else f"it takes: {known}",
            )
        if words := job.parameters[name].problem(value):
            raise UsageError(f"{job.name}: {words}", next_step=f"workbench jobs list shows what {name} takes")
    return {name: values.get(name, one.default) for name, one in job.parameters.items()}


def scheduler_lease(account: str) -> str:
    """Name of the lease that the one scheduler of an account holds."""
    return f"schedule:{account}"


def _refuse_secrets(overrides: Mapping[str, Any]) -> None:
    """Parameters are kept beside the notebook and hashed into the journal: no secret may be among them."""
    for key, value in overrides.items():
        if redact(str(value)) != str(value):
            raise UsageError(
                f"the override {key} holds a secret, and parameters are kept",
                next_step="give it by the environment, the secrets folder or the keyring, and rotate it",
                key=key,
            )


def _ending(run_id: str, error: BaseException) -> RunResult:
    code = error.exit_code if isinstance(error, WorkbenchError) else JobFailed.exit_code
    return RunResult(run_id, _STATUS_OF_EXIT_CODE[code], code)


def _reason(error: BaseException) -> str:
    if isinstance(error, WorkbenchError):
        return error.message
    if isinstance(error, SystemExit):
        return f"stopped by a signal (exit {error.code})"
    return "stopped from the keyboard" if isinstance(error, KeyboardInterrupt) else repr(error)
