"""A production run beside the trading loop: it has no ticket, so it can send nothing.

Jobs that are declared without `venue_keys` do not hold the venue's keys either: the runner starts their
kernel without them, and here they are dropped from the settings as well.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from workbench.adapters.kernel_guard import KernelGuard, guard_kernel
from workbench.adapters.run_parameters import read_parameters
from workbench.bootstrap import costing, monitoring, session_jobs, trading
from workbench.bootstrap.declared import declared_jobs
from workbench.bootstrap.desk import Desk, recorded_hash
from workbench.bootstrap.session_jobs import Taken
from workbench.config import load_settings
from workbench.core.reconcile import Break
from workbench.errors import ConfigError, Refused
from workbench.services.calibration import Calibration
from workbench.services.fill_calibration import FillCalibration
from workbench.services.monitoring import Monitored
from workbench.services.training import CandidateReport

if TYPE_CHECKING:
    import pandas as pd

#: The one job that may send.
TRADING: Final = "trading_loop"


@dataclass(repr=False)
class DeskJob:
    """A run inside its kernel that reads the desk and may calibrate: what its notebook talks to.

    Attributes
    ----------
    run_id, session : str
    desk : Desk
        Tables of what has been recorded.
    parameters : mapping
        Values of the declared parameters, as the journal recorded them.
    """

    run_id: str
    session: str
    desk: Desk
    guard: KernelGuard
    parameters: Mapping[str, Any]

    def ingest(self) -> Taken:
        """Take in the bars up to the session before."""
        return session_jobs.ingest_session(self.desk.settings, self.session, self.parameters)

    def reconcile(self) -> tuple[Break, ...]:
        """Compare everything with the venue; a break is an error that names it."""
        return session_jobs.reconcile_session(self.desk.settings)

    def train(self) -> CandidateReport:
        """Train and register a candidate; nobody has accepted it."""
        return session_jobs.train_session(self.desk.settings, self.session, self.parameters)

    def drift(self) -> pd.DataFrame:
        """Verdicts on features and costs against the model's training window."""
        return session_jobs.drift_of_session(
            self.desk.settings, self.session, self.parameters, run_id=self.run_id
        )

    def monitor(self, found: pd.DataFrame) -> Monitored:
        """Every measure of the session, recorded with what follows from it; `found` is what `drift` gave."""
        return monitoring.monitor(self.desk.settings, self.session, found=found)

    def calibrate(self) -> Calibration:
        """Learn costs from the fills up to the session, once."""
        return costing.calibrate(self.desk.settings, session=self.session)

    def calibrate_fills(self) -> FillCalibration:
        """Learn the fill simulator from the orders up to the session, once."""
        return costing.calibrate_fills(self.desk.settings, session=self.session)

    def records(self) -> pd.DataFrame:
        """Cost records of the session, one row a fill."""
        records = self.desk.execution.records()
        return records[records["session"] == self.session].reset_index(drop=True)

    def shortfall(self) -> pd.DataFrame:
        """Implementation shortfall of the session's orders, the most expensive first."""
        mine = self.desk.execution.orders()
        ids = mine.loc[mine["session"] == self.session, "order_id"]
        found = self.desk.execution.shortfall(split="cfa")
        return found[found.index.isin(ids)].sort_values("total", ascending=False, kind="stable")

    def require_closed(self) -> None:
        """Refuse while the session's fills may still change."""
        account = self.desk.settings.account
        if not self.desk.journal.rows("sessions", account=account, session=self.session):
            raise Refused(
                f"session {self.session} is not closed: its fills may still change",
                next_step=f"workbench jobs run trading_loop --session {self.session}",
                session=self.session,
            )

    def __repr__(self) -> str:
        return f"<run {self.run_id} of account {self.desk.settings.account}; it cannot send>"

    def finish(self) -> None:
        """Leave the proof that the run is done; the notebook's last word."""
        self.guard.write_outcome("done")
        self.guard.release()


def open_job(params_file: str) -> DeskJob:
    """Begin a run that sends nothing, inside the kernel that the runner started.

    Parameters
    ----------
    params_file : str
        Path of the run's `parameters.json`; set by the runner.

    Raises
    ------
    Refused
        The kernel was not started by the runner, or the parameters are not those recorded.
    """
    path = Path(params_file)
    if not params_file or not path.is_file():
        raise ConfigError(
            f"no parameters at {params_file!r}: this notebook is run by the runner, not by hand",
            next_step="workbench jobs run JOB --session DATE",
        )
    guard = guard_kernel(path.parent)
    parameters = read_parameters(path, expected_hash=recorded_hash)
    settings = load_settings(parameters.config_path, overrides=parameters.overrides, keys_needed=False)
    job = declared_jobs(settings).get(parameters.job)
    if job is not None and job.venue_keys:
        settings = load_settings(parameters.config_path, overrides=parameters.overrides)
    else:
        settings = replace(settings, secrets=replace(settings.secrets, venue_key=None, venue_secret=None))
    values = MappingProxyType(dict(parameters.parameters))
    return DeskJob(parameters.run_id, parameters.session, Desk(settings), guard, values)


def start_job(params_file: str) -> trading.Job | DeskJob:
    """Begin the run whose parameters are in the file; the production notebook's first word.

    The trading loop gets everything that may send, once its ticket is redeemed; any other job gets the
    desk to read, and can send nothing.

    Parameters
    ----------
    params_file : str
        Path of the run's `parameters.json`; set by the runner.

    Raises
    ------
    Refused
        The kernel was not started by the runner, or any guard says no.

    Examples
    --------
    >>> import workbench as wb
    >>> job = wb.start_job(params_file)  # doctest: +SKIP
    """
    try:
        job = json.loads(Path(params_file).read_bytes())["job"]
    except (OSError, ValueError, KeyError, TypeError):
        job = TRADING  # the strictest reader says what is wrong
    return trading.start_job(params_file) if job == TRADING else open_job(params_file)
