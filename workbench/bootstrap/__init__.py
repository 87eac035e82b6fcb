"""The only place where adapters meet services.

What trades is loaded when it is asked for: a page or a look at the journal waits for none of it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.bootstrap.desk import Desk, open_workbench
    from workbench.bootstrap.desk_job import DeskJob, start_job
    from workbench.bootstrap.trading import Job

__all__ = ["Desk", "DeskJob", "Job", "open_workbench", "start_job"]

_HOME_OF = {
    "Desk": "desk", "DeskJob": "desk_job", "Job": "trading", "open_workbench": "desk",
    "start_job": "desk_job",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
