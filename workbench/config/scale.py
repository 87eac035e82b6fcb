"""The section of ``workbench.toml`` about more than one process, machine or disk."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ScaleSettings:
    """What research and jobs may use beyond one process. Not part of the config hash: results are the same.

    Attributes
    ----------
    cluster : str
        Address of a Dask scheduler, such as tcp://10.0.0.5:8786, that sweeps, evaluations and measurements
        run on; "" = this machine. Never the trading path.
    storage : str
        Object storage that bars and executed runs are copied to and from, s3://BUCKET/PREFIX; "" = none.
    storage_endpoint : str
        Address of an S3-compatible service; "" = Amazon's own.
    storage_region : str
        Region of the bucket; "" = the service's default.
    warm_kernels : int
        Kernels kept ready for analysis runs by `workbench jobs serve`, each for one run; 0 = none. Runs that
        may send, hold the account or reach the venue never use one, nor does a schedule of the past.
    """

    cluster: str = ""
    storage: str = ""
    storage_endpoint: str = ""
    storage_region: str = ""
    warm_kernels: int = 1
