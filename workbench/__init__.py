"""Workbench: analyse, simulate and trade US equities under guards that fail closed.

This is the door: the few names a notebook needs, each loaded when it is first used. Importing it does
nothing else: no settings are read, no file is opened, no large library is loaded.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench import costs, drift, overfitting, pages, simulation, tca, validation
    from workbench.bootstrap import open_workbench, start_job
    from workbench.bootstrap.dashboards import screen
    from workbench.bootstrap.replay import replay
    from workbench.config import load_settings
    from workbench.core.simulate import simulate
    from workbench.plots import notebook

__version__ = "0.1.0"

__all__ = [
    "__version__",
    "costs",
    "drift",
    "load_settings",
    "notebook",
    "open_workbench",
    "overfitting",
    "pages",
    "replay",
    "screen",
    "simulate",
    "simulation",
    "start_job",
    "tca",
    "validation",
]

_HOME_OF = {
    "costs": "workbench.costs",
    "drift": "workbench.drift",
    "load_settings": "workbench.config",
    "notebook": "workbench.plots",
    "open_workbench": "workbench.bootstrap",
    "overfitting": "workbench.overfitting",
    "pages": "workbench.pages",
    "replay": "workbench.bootstrap.replay",
    "screen": "workbench.bootstrap.dashboards",
    "simulate": "workbench.core.simulate",
    "simulation": "workbench.simulation",
    "start_job": "workbench.bootstrap",
    "tca": "workbench.tca",
    "validation": "workbench.validation",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"workbench has no public name {name!r}; it offers {', '.join(__all__)}")
    from workbench.kernel_cache import name_kernel_cache

    name_kernel_cache()
    module = importlib.import_module(_HOME_OF[name])
    value = module if module.__name__ == f"{__name__}.{name}" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
