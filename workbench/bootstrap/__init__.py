"""The only place where adapters meet services."""

from workbench.bootstrap.desk import Desk, open_workbench
from workbench.bootstrap.trading import Job, start_job

__all__ = ["Desk", "Job", "open_workbench", "start_job"]
