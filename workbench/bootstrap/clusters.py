"""Which workers a desk's research has: those of its cluster, or this process."""

from __future__ import annotations

from workbench.adapters.code_hash import package_hash
from workbench.config import Settings
from workbench.core.workers import HERE, Workers


def workers_of(settings: Settings) -> Workers:
    """The workers that `scale.cluster` names; without it research is worked on in turn, here.

    Raises
    ------
    ConfigError
        A cluster is named and Dask is not installed.
    JobFailed
        No scheduler answers, or it has no workers.
    """
    if not settings.scale.cluster:
        return HERE
    from workbench.adapters.cluster import DaskWorkers

    return DaskWorkers(settings.scale.cluster, code=package_hash)
