"""The only place where adapters meet services."""

from workbench.bootstrap.desk import Desk, open_workbench
from workbench.bootstrap.desk_job import DeskJob, start_job
from workbench.bootstrap.trading import Job

__all__ = ["Desk", "DeskJob", "Job", "open_workbench", "start_job"]
