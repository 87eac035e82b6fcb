"""Starts production notebooks: one attempt at a time, recorded before and after; tickets for trading only."""

from __future__ import annotations

import datetime
import difflib
import hashlib
import secrets
from collections.abc import Callable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Final

from workbench.core.canonical import sha256_of
from workbench.core.jobs import Job, RunRequest, RunResult
from workbench.core.ports import Calendar, Clock, Event, JobRunner, Journal
from workbench.errors import JobFailed, Refused, UsageError, WorkbenchError
from workbench.redaction import redact

if TYPE_CHECKING:
    from pathlib import Path

TICKET_VARIABLE: Final = "WORKBENCH_TICKET"
#: From the start of a kernel to the redemption in its first cells, on a loaded machine.
TICKET_LIFE_NS: Final = 300 * 1_000_000_000
_STATUS_OF_EXIT_CODE: Final = {2: "refused", 3: "refused", 4: "unknown", 5: "failed"}


class JobService:
    """Runs declared jobs and keeps their record in the journal.

    Parameters
    ----------
    code_hash : callable
        Hash of the package and of the given notebook, as it is now.
    config_path, desk_path : str
        Absolute paths that the notebook opens by itself; secrets never travel in parameters.
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
    ) -> None:
        self._journal = journal
        self._calendar = calendar
        self._clock = clock
        self._runner = runner
        self._jobs = dict(jobs)
        self._code_hash = code_hash
        self._paths = {"config_path": config_path, "desk_path": desk_path}

    def run(
        self,
        job: str,
        session: str,
        *,
        overrides: Mapping[str, Any] | None = None,
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

        Raises
        ------
        UsageError
            No such job, no such date, or the exchange was closed that day.
        Refused
            Another run of the job is alive.
        """
        declared = self.known(job)
        _refuse_secrets(overrides or {})
        self._check_session(declared, session)
        done = self._already_done(job, session)
        if done is not None:
            return done
        with self._runner.exclusive(job):
            done = self._already_done(job, session)  # another runner may just have finished it
            if done is not None:
                return done
            self._bury_the_dead(job)
            attempt = 1 + max((int(row["attempt"]) for row in self._rows(job, session)), default=0)
            return self._attempt(declared, session, attempt, dict(overrides or {}), progress)

    def declared(self) -> tuple[Job, ...]:
        """Declared jobs, by name."""
        return tuple(self._jobs[name] for name in sorted(self._jobs))

    def history(self, *, job: str | None = None) -> list[dict[str, Any]]:
        """Recorded runs, oldest first, of one job or of all."""
        return self._journal.rows("runs") if job is None else self._journal.rows("runs", job=job)

    def known(self, job: str) -> Job:
        """The declared job of that name; UsageError names the nearest when there is none."""
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

    def _already_done(self, job: str, session: str) -> RunResult | None:
        for row in self._rows(job, session):
            if row["status"] == "done":
                return RunResult(
                    run_id=str(row["run_id"]),
                    status="done",
                    exit_code=0,
                    message="already done: nothing sent",
                    notebook=str(row["notebook"] or ""),
                )
        return None

    def _bury_the_dead(self, job: str) -> None:
        for row in self._journal.rows("runs", job=job, status="running"):
            run_id = str(row["run_id"])
            if not self._runner.is_over(run_id):
                raise Refused(
                    f"the kernel of run {run_id} may still be alive",
                    next_step="wait a moment and start again; it dies with its runner",
                    run_id=run_id,
                )
            self._finish(RunResult(run_id, "failed", 5), reason="crashed")

    def _attempt(
        self,
        job: Job,
        session: str,
        attempt: int,
        overrides: Mapping[str, Any],
        progress: Callable[[int, int], None] | None,
    ) -> RunResult:
        run_id = f"{job.name}/{session}.{attempt}"
        code_hash = self._code_hash(job.notebook)
        parameters = {
            "run_id": run_id,
            "job": job.name,
            "session": session,
            "attempt": attempt,
            "overrides": dict(overrides),
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
        }
        self._journal.commit([Event("run.started", started)])
        environment = {}
        if job.sends_orders:
            environment[TICKET_VARIABLE] = issue_ticket(
                self._journal, run_id=run_id, code_hash=code_hash, wall_ns=self._clock.wall_ns()
            )
        request = RunRequest(run_id, job.notebook, parameters, environment, job.timeout_s, progress)
        try:
            result = self._runner.run(request)
        except BaseException as error:  # also a stop signal: the record says how it ended, then it goes on
            self._finish(_ending(run_id, error), reason=_reason(error))
            raise
        self._finish(result, reason=result.message)
        return result

    def _finish(self, result: RunResult, *, reason: str) -> None:
        payload = {
            "run_id": result.run_id,
            "status": result.status,
            "exit_code": result.exit_code,
            "reason": reason,
            "notebook": result.notebook,
        }
        self._journal.commit([Event("run.finished", payload)])


def _refuse_secrets(overrides: Mapping[str, Any]) -> None:
    """Parameters are kept beside the notebook and hashed into the journal: no secret may be among them."""
    for key, value in overrides.items():
        if redact(str(value)) != str(value):
            raise UsageError(
                f"the override {key} holds a secret, and parameters are kept",
                next_step="give it by the environment, the secrets folder or the keyring, and rotate it",
                key=key,
            )


def issue_ticket(journal: Journal, *, run_id: str, code_hash: str, wall_ns: int) -> str:
    """A secret that lets one kernel trade once; the journal keeps only its hash.

    Parameters
    ----------
    wall_ns : int
        Wall-clock time, UTC nanoseconds; the ticket expires 300 s later.
    """
    ticket = secrets.token_hex(32)
    issued = {
        "ticket_hash": _hash(ticket),
        "run_id": run_id,
        "code_hash": code_hash,
        "expires_wall_ns": wall_ns + TICKET_LIFE_NS,
    }
    journal.commit([Event("ticket.issued", issued)])
    return ticket


def redeem_ticket(
    journal: Journal, environ: MutableMapping[str, str], *, run_id: str, code_hash: str, wall_ns: int
) -> None:
    """Use up this kernel's ticket: the positive proof that it was started to trade, once.

    Parameters
    ----------
    environ : mutable mapping
        The ticket is taken out of it before anything is judged, so that no child process inherits it.
    code_hash : str
        Hash of package and notebook, computed in this kernel.
    wall_ns : int
        Wall-clock time, UTC nanoseconds.

    Raises
    ------
    Refused
        No ticket, never issued, for another run or other code, expired, or used before.
    JournalConflict
        Another process used it at this very moment.
    """
    ticket = environ.pop(TICKET_VARIABLE, "")
    if not ticket:
        raise _no_entry("this kernel has no ticket to trade")
    ticket_hash = _hash(ticket)
    issued = journal.rows("tickets", ticket_hash=ticket_hash)
    if len(issued) != 1:
        raise _no_entry("the ticket was never issued")
    if issued[0]["run_id"] != run_id:
        raise _no_entry(f"the ticket is for run {issued[0]['run_id']}, not for {run_id}")
    if issued[0]["code_hash"] != code_hash:
        raise _no_entry("package or notebook changed after the ticket was issued")
    if not wall_ns < int(issued[0]["expires_wall_ns"]):
        raise _no_entry("the ticket has expired")
    if issued[0]["used"]:
        raise _no_entry("the ticket was used before")
    journal.commit([Event("ticket.used", {"ticket_hash": ticket_hash, "run_id": run_id})])


def _no_entry(message: str) -> Refused:
    return Refused(message, next_step="start the session with `workbench jobs run`")


def _hash(ticket: str) -> str:
    return hashlib.sha256(ticket.encode()).hexdigest()


def _ending(run_id: str, error: BaseException) -> RunResult:
    code = error.exit_code if isinstance(error, WorkbenchError) else JobFailed.exit_code
    return RunResult(run_id, _STATUS_OF_EXIT_CODE[code], code)


def _reason(error: BaseException) -> str:
    if isinstance(error, WorkbenchError):
        return error.message
    if isinstance(error, SystemExit):
        return f"stopped by a signal (exit {error.code})"
    return "stopped from the keyboard" if isinstance(error, KeyboardInterrupt) else repr(error)
